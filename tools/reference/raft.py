"""Golden data of RAFT-small: crates/vg-flow/tests/fixtures/raft.safetensors, from torchvision's `raft_small`.

    raft.py crates/vg-flow/tests/fixtures/raft.safetensors
    raft.py --weights raft_small_C_T_V2-01064c6d.pth FILE      with published weights, to compare by hand

Weights and frames are those of a formula (`vg_core::testing::uniform`), so the file holds results alone. Entries:
    out.features [1, 128, 16, 17] at 4 channels, out.context [1, 160, 16, 17] at 4 channels
    out.flow.N [1, 2, 128, 136]      the flow after N updates, every fourth pixel
in f64, rounded to f32.
"""

import json
import os
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from torchvision.models.optical_flow import raft, raft_small

HEIGHT, WIDTH = 128, 136
UPDATES = (1, 2, 12)


def uniform(n, count):
    """Numbers of tensor `n`, in [0, 1): SplitMix64."""
    with np.errstate(over="ignore"):
        s = np.uint64(n << 32) + np.arange(count, dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        s = (s ^ (s >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        s = (s ^ (s >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        s ^= s >> np.uint64(31)
    return (s >> np.uint64(40)).astype(np.float64) / 2**24


def fill(model):
    """Parameters numbered by their names in order: weights uniform with a variance of 1 / inputs, biases in [-0.1, 0.1)."""
    state = model.state_dict()
    for n, name in enumerate(sorted(state)):
        tensor = state[name]
        scale = (3 * tensor.shape[0] / tensor.numel()) ** 0.5 if tensor.dim() > 1 else 0.1
        values = scale * (2 * uniform(n, tensor.numel()) - 1)
        tensor.copy_(torch.from_numpy(values.astype(np.float32)).reshape(tensor.shape))


def frames():
    """Two frames in [-1, 1]: waves, the second one moved by (3, -2), with a little noise of its own."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    wave = lambda y, x, c: np.sin(0.31 * x + 0.1 * c) * np.cos(0.23 * y - 0.2 * c) + 0.5 * np.sin(0.11 * x + 0.17 * y)  # noqa: E731
    noise = lambda n: 0.1 * (2 * uniform(n, 3 * HEIGHT * WIDTH).reshape(3, HEIGHT, WIDTH) - 1)  # noqa: E731
    a = 0.6 * np.stack([wave(y, x, c) for c in range(3)]) + noise(1000)
    b = 0.6 * np.stack([wave(y + 2, x - 3, c) for c in range(3)]) + noise(1001)
    return [torch.from_numpy(f.astype(np.float32))[None] for f in (a, b)]


@torch.no_grad()
def main():
    arguments = sys.argv[1:]
    torch.set_num_threads(1)
    model = raft_small(weights=None).eval()
    if arguments[0] == "--weights":
        model.load_state_dict(torch.load(arguments[1], weights_only=True))
        arguments = arguments[2:]
    else:
        fill(model)
    a, b = frames()
    grid = raft.make_coords_grid
    run = {}
    for dtype in (torch.float32, torch.float64):
        model.to(dtype)
        # Offsets of a look-up have the default type; the grid of coordinates is f32 whatever the frames are.
        torch.set_default_dtype(dtype)
        raft.make_coords_grid = lambda *size, dtype=dtype: grid(*size).to(dtype)
        first, second = a.to(dtype), b.to(dtype)
        flows = model(first, second, num_flow_updates=max(UPDATES))
        run[dtype] = {
            "out.features": model.feature_encoder(first)[:, ::32],
            "out.context": model.context_encoder(first)[:, ::40],
            **{f"out.flow.{n}": flows[n - 1][:, :, ::4, ::4] for n in UPDATES},
        }
    noise = {}
    for name, single in run[torch.float32].items():
        double = run[torch.float64][name]
        noise[name] = float(f"{(single.double() - double).abs().max().item():.3g}")
        print(name, list(double.shape), "largest", double.abs().max().item(), "f32 differs by", noise[name])
    tensors = {name: t.float().contiguous() for name, t in run[torch.float64].items()}
    meta = {
        "model": "raft-small",
        "config": {"height": HEIGHT, "width": WIDTH},
        "seed": 0,
        "torch": torch.__version__.split("+")[0],
        "entries": list(tensors),
        "notes": {},
        "noise": noise,
        "values": "f64 run, rounded",
    }
    save_file(tensors, arguments[0], metadata={"meta": json.dumps(meta)})
    os.chmod(arguments[0], 0o644)


main()
