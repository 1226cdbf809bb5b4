#!/usr/bin/env python3
"""Training steps of transformers on a shape of bench_train's, beside
`bench_train PRESET[:LAYERS] cuda 8 2048` on the same GPU (docs/performance.md):

    python3 transformers_gpu_peer.py [v3-1b | moonlight-16b][:LAYERS]

Random weights and ids, all in bf16, the experts' grouped products, fused AdamW; with gradient
checkpointing where it does not fit without. Needs torch and transformers 5. Prints a line of JSON.
"""
import gc
import json
import sys
import time

import torch
import transformers
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

SEQUENCES, TOKENS, WARM, TIMED = 8, 2048, 2, 5

# As model/presets.cc has them. Source of the second: Moonlight-16B-A3B's config.json.
PRESETS = {
    "v3-1b": dict(
        vocab_size=32768, hidden_size=1024, num_hidden_layers=16, num_attention_heads=8,
        num_key_value_heads=8, intermediate_size=4096, moe_intermediate_size=512,
        n_routed_experts=32, n_shared_experts=1, num_experts_per_tok=4, routed_scaling_factor=2.5),
    "moonlight-16b": dict(
        vocab_size=163840, hidden_size=2048, num_hidden_layers=27, num_attention_heads=16,
        num_key_value_heads=16, intermediate_size=11264, moe_intermediate_size=1408,
        n_routed_experts=64, n_shared_experts=2, num_experts_per_tok=6,
        routed_scaling_factor=2.446),
}


def make_model(preset, layers):
    config = DeepseekV3Config(**{
        **PRESETS[preset], **({"num_hidden_layers": layers} if layers else {}),
        "q_lora_rank": None, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
        "v_head_dim": 128, "n_group": 1, "topk_group": 1, "norm_topk_prob": True,
        "first_k_dense_replace": 1, "max_position_embeddings": 4096, "pad_token_id": 0,
        "bos_token_id": 1, "eos_token_id": 2})
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


def fits(model):
    try:
        return step_seconds(model)
    except torch.OutOfMemoryError:
        return None


def main():
    preset, _, layers = (sys.argv[1] if len(sys.argv) > 1 else "moonlight-16b:16").partition(":")
    torch.manual_seed(0)
    model = make_model(preset, int(layers or 0))
    for checkpointing in (False, True):
        if checkpointing:
            model.gradient_checkpointing_enable()
        torch.cuda.reset_peak_memory_stats()
        seconds = fits(model)
        if seconds is None:
            model.zero_grad(set_to_none=True)
            gc.collect()
            torch.cuda.empty_cache()
            continue
        print(json.dumps({
            "card": torch.cuda.get_device_name(), "torch": torch.__version__,
            "transformers": transformers.__version__, "model": preset,
            "layers": model.config.num_hidden_layers,
            "parameters": sum(p.numel() for p in model.parameters()),
            "checkpointing": checkpointing, "ms": 1e3 * seconds,
            "tokens_per_second": SEQUENCES * TOKENS / seconds,
            "peak_gb": torch.cuda.max_memory_allocated() / 1e9}))
        return
    sys.exit(f"{sys.argv[0]}: {preset} does not fit this GPU, with gradient checkpointing neither")


if __name__ == "__main__":
    main()
