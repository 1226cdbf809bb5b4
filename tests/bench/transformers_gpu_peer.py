#!/usr/bin/env python3
"""Training steps of transformers on the first layers of Moonlight-16B's shape, beside
`bench_train moonlight-16b:LAYERS cuda 8 2048` on the same GPU (docs/performance.md):

    python3 transformers_gpu_peer.py [LAYERS]

Random weights and ids, all in bf16, the experts' grouped products, fused AdamW; with gradient
checkpointing where it does not fit without. Needs torch and transformers 5. Prints a line of JSON.
"""
import json
import sys
import time

import torch
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

LAYERS = int(sys.argv[1]) if len(sys.argv) > 1 else 16
SEQUENCES, TOKENS, WARM, TIMED = 8, 2048, 2, 5


def make_model():
    # Source: Moonlight-16B-A3B's config.json.
    config = DeepseekV3Config(
        vocab_size=163840, hidden_size=2048, num_hidden_layers=LAYERS, num_attention_heads=16,
        num_key_value_heads=16, q_lora_rank=None, kv_lora_rank=512, qk_nope_head_dim=128,
        qk_rope_head_dim=64, v_head_dim=128, intermediate_size=11264, moe_intermediate_size=1408,
        n_routed_experts=64, n_shared_experts=2, num_experts_per_tok=6, n_group=1, topk_group=1,
        norm_topk_prob=True, routed_scaling_factor=2.446, first_k_dense_replace=1,
        max_position_embeddings=4096, pad_token_id=0, bos_token_id=1, eos_token_id=2)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = DeepseekV3ForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    model.set_experts_implementation("grouped_mm")
    return model.train()


def step_seconds(model):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    ids = torch.randint(10, model.config.vocab_size, (SEQUENCES, TOKENS), device="cuda")
    times = []
    for _ in range(WARM + TIMED):
        torch.cuda.synchronize()
        start = time.time()
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
        times.append(time.time() - start)
    return sorted(times[WARM:])[TIMED // 2]


def main():
    torch.manual_seed(0)
    model = make_model()
    for checkpointing in (False, True):
        if checkpointing:
            model.gradient_checkpointing_enable()
        try:
            torch.cuda.reset_peak_memory_stats()
            seconds = step_seconds(model)
        except torch.OutOfMemoryError:
            model.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()
            continue
        print(json.dumps({
            "card": torch.cuda.get_device_name(), "layers": LAYERS,
            "parameters": sum(p.numel() for p in model.parameters()),
            "checkpointing": checkpointing, "ms": 1e3 * seconds,
            "tokens_per_second": SEQUENCES * TOKENS / seconds,
            "peak_gb": torch.cuda.max_memory_allocated() / 1e9}))
        return
    print("does not fit")


if __name__ == "__main__":
    main()
