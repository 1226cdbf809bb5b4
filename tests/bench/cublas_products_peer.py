#!/usr/bin/env python3
"""How long cuBLAS alone takes for the matrix products of a training step of Moonlight's shape, with
nothing else on the GPU (docs/performance.md, "Moonlight: where a step goes"):

    python3 cublas_products_peer.py [LAYERS]      (16)

8 x 2048 tokens in bf16; every weight matrix forward and both ways back, all experts of a layer as
one dense product of as many rows. Prints the milliseconds of a step when the card is warm, and what
is left of them where a pause of copies follows each step. Needs torch.
"""
import sys
import time

import torch

TOKENS, HIDDEN, COPIES = 8 * 2048, 2048, 12
CHOSEN = TOKENS * 6  # rows of experts


def shapes(layers):
    """Rows, outputs, inputs and how often, in the first layer dense."""
    moe = layers - 1
    return [
        (TOKENS, 16 * 192 + 576, HIDDEN, layers),  # queries and latents
        (TOKENS, 16 * 256, 512, layers),           # keys and values
        (TOKENS, HIDDEN, 16 * 128, layers),        # attention's output
        (TOKENS, 2 * 2816, HIDDEN, moe),           # shared experts
        (TOKENS, HIDDEN, 2816, moe),
        (CHOSEN, 2 * 1408, HIDDEN, moe),           # experts
        (CHOSEN, HIDDEN, 1408, moe),
        (TOKENS, 2 * 11264, HIDDEN, 1),            # the dense layer
        (TOKENS, HIDDEN, 11264, 1),
        (TOKENS // 4, 163840, HIDDEN, 4),          # the head, in chunks as its logits are
    ]


class Layer:
    def __init__(self, rows, outputs, inputs, times):
        def normal(m, n, scale):
            return torch.randn(m, n, device="cuda", dtype=torch.bfloat16) * scale

        self.times = times
        self.flops = 6 * rows * outputs * inputs * times
        self.x, self.w, self.dy = normal(rows, inputs, 1), normal(outputs, inputs, 0.02), normal(rows, outputs, 0.01)
        self.y, self.dx, self.dw = (torch.empty_like(t) for t in (self.dy, self.x, self.w))

    def run(self):
        for _ in range(self.times):
            torch.mm(self.x, self.w.t(), out=self.y)
            torch.mm(self.dy, self.w, out=self.dx)
            torch.mm(self.dy.t(), self.x, out=self.dw)


def milliseconds(work, times):
    torch.cuda.synchronize()
    start = time.time()
    for _ in range(times):
        work()
    torch.cuda.synchronize()
    return (time.time() - start) / times * 1e3


def main():
    layers = [Layer(*s) for s in shapes(int(sys.argv[1]) if len(sys.argv) > 1 else 16)]
    flops = sum(layer.flops for layer in layers)

    def step():
        for layer in layers:
            layer.run()

    milliseconds(step, 1)
    first = milliseconds(step, 1)
    milliseconds(step, 12)
    warm = min(milliseconds(step, 5) for _ in range(3))
    print(f"{flops / 1e12:.1f} TFLOP in {first:.1f} ms at first, {warm:.1f} ms when warm: {flops / 1e9 / warm:.0f} TFLOPS")

    source = torch.empty(int(7.6e9), device="cuda", dtype=torch.uint8)
    target = torch.empty_like(source)

    def pause():
        for _ in range(COPIES):
            target.copy_(source)

    def both():
        step()
        pause()

    alone = milliseconds(pause, 2)
    milliseconds(both, 4)
    print(f"with a pause of {alone:.1f} ms of copies behind each step: {min(milliseconds(both, 5) for _ in range(3)) - alone:.1f} ms")


if __name__ == "__main__":
    main()
