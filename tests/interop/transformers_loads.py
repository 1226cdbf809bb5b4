#!/usr/bin/env python3
"""transformers loads what Temper saves: the same log-probabilities, the same greedy tokens.

usage: transformers_loads.py TEMPER_BINARY [MODEL_DIR...]
Without a folder it takes a fresh `tiny` DeepSeek-V3, as saved in each dtype. Exits with 77 (skipped) where
torch or transformers is not installed.
"""
import json
import math
import os
import random
import sys
import tempfile

from with_transformers import temper, torch, transformers

TOLERANCE = 1e-4  # nats, f32 arithmetic on both sides


def largest_difference(model, folder, rows, tmp):
    with open(f"{tmp}/ids.jsonl", "w") as file:
        file.writelines(json.dumps({"ids": row}) + "\n" for row in rows)
    temper("score", "--model", folder, "--ids", f"{tmp}/ids.jsonl", "--out", f"{tmp}/scored.jsonl")
    worst = 0.0
    with open(f"{tmp}/scored.jsonl") as file:
        for row, line in zip(rows, file, strict=True):
            ids = torch.tensor([row])
            with torch.no_grad():
                logprobs = model(ids).logits[0, :-1].float().log_softmax(-1)
            wanted = logprobs.gather(1, ids[0, 1:, None])[:, 0]
            found = torch.tensor(json.loads(line)["logprobs"][1:])
            gap = (found - wanted).abs().max().item()
            worst = math.inf if math.isnan(gap) else max(worst, gap)
    return worst


def same_greedy(model, folder, row, count=16):
    text = temper("generate", "--model", folder, "--ids", ",".join(map(str, row)), "--print-ids",
                  "--temperature", "0", "--ignore-eos", "--max-new-tokens", str(count))
    found = [int(x) for x in text.strip().splitlines()[-1].replace(",", " ").split()]
    ids = torch.tensor([row])
    with torch.no_grad():  # by hand: generate() would not let the model write its EOS and go on
        for _ in range(count):
            ids = torch.cat([ids, model(ids).logits[:, -1:].argmax(-1)], dim=1)
    return found == ids[0, len(row):].tolist()


def check(folder, tmp):
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True)
    model.eval()
    if info["missing_keys"] or info["mismatched_keys"]:
        print(f"{folder}: missing {info['missing_keys']}, mismatched {info['mismatched_keys']}")
        return False
    pick = random.Random(1)
    size = model.config.vocab_size
    rows = [[pick.randrange(size) for _ in range(length)] for length in (2, 17, 64)]
    worst = largest_difference(model, folder, rows, tmp)
    greedy = same_greedy(model, folder, rows[1])
    text = "8+7-5+2=?"
    ids = transformers.AutoTokenizer.from_pretrained(folder)(text, add_special_tokens=False)["input_ids"]
    with open(f"{tmp}/text.jsonl", "w") as file:
        file.write(json.dumps({"text": text}) + "\n")
    temper("tokenize", "--model", folder, "--file", f"{tmp}/text.jsonl", "--out", f"{tmp}/ids.jsonl")
    with open(f"{tmp}/ids.jsonl") as file:
        same_ids = json.loads(file.readline())["ids"] == ids
    print(f"{folder}: {type(model).__name__}, log-probabilities within {worst:.1e} nats, "
          f"greedy tokens {'equal' if greedy else 'DIFFER'}, "
          f"token ids {'equal' if same_ids else 'DIFFER'}")
    return worst <= TOLERANCE and greedy and same_ids


def fresh_models(tmp):
    temper("model", "init", "--preset", "tiny", "--out", f"{tmp}/f32", "--seed", "1")
    temper("model", "convert", "--in", f"{tmp}/f32", "--out", f"{tmp}/bf16", "--dtype", "bf16")
    return [f"{tmp}/f32", f"{tmp}/bf16"]


def main():
    with tempfile.TemporaryDirectory() as tmp:
        folders = sys.argv[2:] or fresh_models(tmp)
        # A list first: every folder is checked, also after one that fails.
        return 0 if all([check(folder, tmp) for folder in folders]) else 1


if __name__ == "__main__":
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    sys.exit(main())
