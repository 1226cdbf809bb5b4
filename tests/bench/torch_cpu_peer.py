#!/usr/bin/env python3
"""What torch and transformers do on this CPU with the work of docs/performance.md: the yardstick.

usage: torch_cpu_peer.py MODEL_DIR [--threads 2] [--steps 4] [--inputs DIR]
MODEL_DIR is a Hugging Face folder of a small causal model. Needs torch and transformers.

With --inputs DIR it only writes DIR/sft.jsonl (rows of 256 ids, a batch of 4 a step) and
DIR/prompts.jsonl (16 rows of 64 ids), the very tokens that it measures itself with otherwise:
  temper sft --model MODEL_DIR --data DIR/sft.jsonl --out RUN --batch-size 4 --max-tokens 256 \\
    --micro-batch-tokens 1024 --max-steps 4
  temper rollout --model MODEL_DIR --data DIR/prompts.jsonl --batch 16 --ignore-eos \\
    --max-new-tokens 64 --temperature 1 --jsonl out.jsonl
"""
import argparse
import json
import os
import random
import time

BATCH, LENGTH = 4, 256  # a training step
PROMPTS, PROMPT_LENGTH, NEW_TOKENS = 16, 64, 64  # a generation


def random_rows(seed, rows, length, vocab_size):
    pick = random.Random(seed)
    return [[pick.randrange(vocab_size) for _ in range(length)] for _ in range(rows)]


def write_rows(path, rows):
    with open(path, "w") as file:
        file.writelines(json.dumps({"ids": row}) + "\n" for row in rows)


def gemm_gflops(torch, size=1024, repeats=50):
    a, b = torch.randn(size, size), torch.randn(size, size)
    for _ in range(3):
        a @ b
    start = time.perf_counter()
    for _ in range(repeats):
        a @ b
    return repeats * 2 * size**3 / (time.perf_counter() - start) / 1e9


def train(torch, model, rows, steps):
    """Seconds of each step: forward, loss, backward, AdamW."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5)
    seconds = []
    for step in range(steps):
        ids = torch.tensor(rows[step * BATCH : (step + 1) * BATCH])
        start = time.perf_counter()
        model(ids, labels=ids).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        seconds.append(time.perf_counter() - start)
    return seconds


def generate(torch, model, prompts):
    ids = torch.tensor(prompts)
    start = time.perf_counter()
    with torch.no_grad():
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=NEW_TOKENS,
            min_new_tokens=NEW_TOKENS,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            pad_token_id=0,
        )
    assert out.shape == (PROMPTS, PROMPT_LENGTH + NEW_TOKENS), out.shape
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--inputs", metavar="DIR")
    options = parser.parse_args()

    with open(os.path.join(options.model, "config.json")) as file:
        vocab_size = json.load(file)["vocab_size"]
    rows = random_rows(1, options.steps * BATCH, LENGTH, vocab_size)
    prompts = random_rows(2, PROMPTS, PROMPT_LENGTH, vocab_size)
    if options.inputs:
        os.makedirs(options.inputs, exist_ok=True)
        write_rows(os.path.join(options.inputs, "sft.jsonl"), rows)
        write_rows(os.path.join(options.inputs, "prompts.jsonl"), prompts)
        return

    import torch
    import transformers

    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, "
          f"{options.threads} threads, load {os.getloadavg()[0]:.2f}")
    print(f"matrix product 1024 cubed: {gemm_gflops(torch):.0f} GFLOPS")
    model = transformers.AutoModelForCausalLM.from_pretrained(
        options.model, dtype=torch.float32
    )
    seconds = train(torch, model, rows, options.steps)
    tokens = BATCH * LENGTH
    print(f"training {BATCH} x {LENGTH}: {tokens / min(seconds):.1f} tokens/s in the best step, "
          f"{tokens * len(seconds) / sum(seconds):.1f} over all; seconds a step: "
          + " ".join(f"{s:.2f}" for s in seconds))
    for _ in range(2):
        took = generate(torch, model, prompts)
        print(f"generating {PROMPTS} x {NEW_TOKENS}: {PROMPTS * NEW_TOKENS / took:.1f} tokens/s")


if __name__ == "__main__":
    main()
