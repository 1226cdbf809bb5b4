#!/usr/bin/env python3
"""transformers loads the reward models that Temper saves, and gives the same scores.

usage: transformers_classifies.py TEMPER_BINARY
Small llama, qwen2 and qwen3 models with a scalar head, trained for two steps by temper reward-model. DeepSeek-V3 has
no class for sequence classification in transformers: its folder is read by Temper alone. Exits with 77 (skipped) where
torch or transformers is not installed.
"""
import json
import math
import os
import sys
import tempfile

from with_transformers import temper, torch, transformers

TOLERANCE = 1e-4  # of a score, f32 arithmetic on both sides


def write_rows(path, rows):
    with open(path, "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def base_model(kind, tokenizer_from, folder):
    """A random model of the family over the byte tokenizer of `tokenizer_from`."""
    config = {
        "llama": transformers.LlamaConfig,
        "qwen2": transformers.Qwen2Config,
        "qwen3": transformers.Qwen3Config,
    }[kind](vocab_size=len(tokenizer_from), hidden_size=64, intermediate_size=128,
            num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
            max_position_embeddings=512, eos_token_id=tokenizer_from.eos_token_id,
            bos_token_id=tokenizer_from.bos_token_id, tie_word_embeddings=False)
    torch.manual_seed(1)
    transformers.AutoModelForCausalLM.from_config(config).float().save_pretrained(folder)
    tokenizer_from.save_pretrained(folder)


def check(kind, tiny, tmp):
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny)
    base_model(kind, tokenizer, f"{tmp}/{kind}")
    write_rows(f"{tmp}/pairs.jsonl", [{"prompt": f"say {i}", "chosen": "+ yes", "rejected": "- no"}
                                      for i in range(24)])
    temper("reward-model", "--model", f"{tmp}/{kind}", "--data", f"{tmp}/pairs.jsonl", "--holdout", "0.25",
           "--batch-size", "8", "--learning-rate", "1e-3", "--max-tokens", "128", "--dtype", "f32",
           "--template", "temper", "--out", f"{tmp}/{kind}-rm")
    folder = f"{tmp}/{kind}-rm/model"
    model, info = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True)
    model.eval()
    if info["missing_keys"] or info["mismatched_keys"] or model.config.num_labels != 1:
        print(f"{kind}: missing {info['missing_keys']}, mismatched {info['mismatched_keys']}")
        return False
    rows = [{"messages": [{"role": "user", "content": question}], "completion": answer}
            for question, answer in (("say 1", "+ yes"), ("say 2", "- no"), ("What is 2+2?", "It is four."),
                                     ("x", " ".join(["a longer answer, of which nobody knows whether it is good"] * 3)))]
    write_rows(f"{tmp}/answers.jsonl", rows)
    rule = f"rm(model={folder};value=score;floor=-1000;template=temper)"
    verdicts = [json.loads(line) for line in temper("reward", "score", "--rule", rule, "--data",
                                                    f"{tmp}/answers.jsonl").splitlines()]
    worst = 0.0
    for row, verdict in zip(rows, verdicts, strict=True):
        conversation = row["messages"] + [{"role": "assistant", "content": row["completion"]}]
        write_rows(f"{tmp}/one.jsonl", [{"messages": conversation}])
        ids = json.loads(temper("tokenize", "--model", folder, "--template", "temper", "--messages",
                                f"{tmp}/one.jsonl"))["ids"]
        with torch.no_grad():
            wanted = model(torch.tensor([ids])).logits[0, 0].item()
        gap = abs(wanted - verdict["value"])
        worst = math.inf if math.isnan(gap) else max(worst, gap)
    print(f"{kind}: {type(model).__name__}, scores within {worst:.1e}")
    return worst <= TOLERANCE


def main():
    with tempfile.TemporaryDirectory() as tmp:
        temper("model", "init", "--preset", "tiny", "--out", f"{tmp}/tiny", "--seed", "1")
        # A list first: every family is checked, also after one that fails.
        return 0 if all([check(kind, f"{tmp}/tiny", tmp) for kind in ("llama", "qwen2", "qwen3")]) else 1


if __name__ == "__main__":
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    sys.exit(main())
