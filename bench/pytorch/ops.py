"""Times single operations on request: a JSON object per line in, seconds per call out.

Driven by `cargo xtask bench ops --against pytorch`, which owns the list of operations.
"""

import argparse
import json
import sys
import time

import torch
import torch.nn.functional as F


class Operation:
    def __init__(self, case, dtype):
        gen = torch.Generator().manual_seed(1)
        draw = lambda shape: (2 * torch.rand(shape, generator=gen) - 1).to(dtype)
        self.case = case
        self.x, self.w = draw(case["input"]), draw(case["weight"])
        self.transposed = case["kind"] == "conv-transpose"
        axes = len(case["input"]) - 2
        self.stride, self.padding, self.none = [case["stride"]] * axes, [case["padding"]] * axes, [0] * axes
        if case["kind"] == "norm-leaky-relu":
            self.x.requires_grad_()
            self.w.requires_grad_()
            self.shift = torch.zeros_like(self.w)
        with torch.no_grad():
            self.g = draw(self.forward().shape)

    def forward(self):
        if self.case["kind"] == "norm-leaky-relu":
            y = F.batch_norm(self.x, None, None, self.w, self.shift, training=True, eps=1e-5)
            return F.leaky_relu(y, 0.2, inplace=True)
        ones = [1] * len(self.stride)
        return torch.ops.aten.convolution(
            self.x, self.w, None, self.stride, self.padding, ones, self.transposed, self.none, 1)

    def run(self):
        which = self.case["pass"]
        if which == "training":
            self.x.grad = self.w.grad = None
            self.forward().backward(self.g)
            return
        with torch.no_grad():
            if which == "forward":
                self.forward()
                return
            mask = [which == "input-grad", which == "weight-grad", False]
            ones = [1] * len(self.stride)
            torch.ops.aten.convolution_backward(
                self.g, self.x, self.w, None, self.stride, self.padding, ones, self.transposed, self.none, 1, mask)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, required=True)
    torch.set_num_threads(parser.parse_args().threads)
    key, operation = None, None
    for line in sys.stdin:
        request = json.loads(line)
        if request["case"] != key:
            dtype = torch.bfloat16 if request.get("numbers") == "bf16" else torch.float32
            key, operation = request["case"], Operation(request["case"], dtype)
            operation.run()
        started, calls = time.perf_counter(), 0
        while True:
            operation.run()
            calls += 1
            elapsed = time.perf_counter() - started
            if elapsed >= request["seconds"]:
                break
        print(elapsed / calls, flush=True)


if __name__ == "__main__":
    main()
