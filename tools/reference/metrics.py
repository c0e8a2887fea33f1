"""Numbers that the tests of vg-metrics compare with, from numpy and scipy.

    metrics.py frechet --out F.json                         Frechet distances of features made by a formula (about five minutes)
    metrics.py statistics GOLDEN --out F.safetensors        the entries of a golden file that need no network
    metrics.py i3d --network PEER.py --weights W --out F.safetensors
                                                            logits of the real I3D for two sets of eight clips made by a formula

The formula is `features` below and `formula` in crates/vg-metrics/tests/frechet.rs. PEER.py is the PyTorch peer of the metrics, with
`load_i3d`, `i3d_input` and `moving_pattern`. Needs numpy, scipy, safetensors, and torch for `i3d`.
"""

import argparse
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import scipy
import scipy.linalg
from safetensors.numpy import load_file, save_file

# ---------------------------------------------------------------- features


def unit(index):
    """Uniform in [0, 1) from a u64 index (SplitMix64)."""
    with np.errstate(over="ignore"):
        z = (index + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) / 2.0**53


def features(seed, n, d, decay, scale, shift):
    """[n, d]; each column is noise plus `decay` times the column before it, so that the covariance is far from diagonal."""
    noise = unit(np.arange(n * d, dtype=np.uint64) + np.uint64(seed << 32)).reshape(n, d) - 0.5
    x = np.empty((n, d))
    x[:, 0] = noise[:, 0]
    for j in range(1, d):
        x[:, j] = noise[:, j] + decay * x[:, j - 1]
    return scale * x + shift


# ---------------------------------------------------------------- Frechet distance


def distances(x, y):
    mean_term = np.square(x.mean(0) - y.mean(0)).sum()
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    base = mean_term + np.trace(a) + np.trace(b)
    n, m = len(x), len(y)
    values = {"mean_term": mean_term}
    if min(n, m) > x.shape[1]:
        values["sqrtm"] = base - 2 * np.trace(scipy.linalg.sqrtm(a @ b)).real
        # a = u^T u, so a b has the eigenvalues of u b u^T.
        u = scipy.linalg.cholesky(a)
        values["cholesky"] = base - 2 * np.sqrt(np.maximum(scipy.linalg.eigvalsh(u @ b @ u.T), 0)).sum()
    else:
        centred = (x - x.mean(0)) @ (y - y.mean(0)).T
        values["nuclear"] = base - 2 * scipy.linalg.svdvals(centred).sum() / np.sqrt((n - 1) * (m - 1))
    return {k: float(v) for k, v in values.items()}


def frechet(args):
    cases = []
    for d, n, m in ((400, 1000, 900), (400, 64, 48), (400, 64, 900), (2048, 4096, 3000)):
        x = features(1, n, d, 0.9, 1.0, 0.0)
        y = features(2, m, d, 0.7, 1.5, 0.05)
        if n < d < m:  # one covariance of full rank: through the small side, whose eigenvalues are well determined
            a = (x - x.mean(0)) / np.sqrt(n - 1)
            b = np.cov(y, rowvar=False)
            trace = np.sqrt(np.maximum(scipy.linalg.eigvalsh(a @ b @ a.T), 0)).sum()
            mean_term = np.square(x.mean(0) - y.mean(0)).sum()
            values = {"mean_term": float(mean_term), "small_side": float(mean_term + np.square(a).sum() + np.trace(b) - 2 * trace)}
        else:
            values = distances(x, y)
        checks = {"x_sum": float(x.sum()), "y_sum": float(y.sum())}
        cases.append({"d": d, "n": n, "m": m, **checks, **values})
        print(cases[-1], file=sys.stderr)
    written = {"scipy": scipy.__version__, "numpy": np.__version__, "cases": cases}
    Path(args.out).write_text(json.dumps(written, indent=1) + "\n")


# ---------------------------------------------------------------- golden files


def statistics(args):
    """Entries of networks and resizing are large and tested elsewhere."""
    elsewhere = ("i3d", "c3d", "resize")
    kept = {}
    for name, value in load_file(args.golden).items():
        kind, part = name.split(".")[:2]
        if kind != "param" and part not in elsewhere:
            kept[name] = value
    meta = json.dumps({"model": "metrics", "config": {}, "notes": {"source": "entries of the golden file without networks"}})
    save_file(kept, args.out, metadata={"meta": meta})


def i3d(args):
    import torch

    spec = importlib.util.spec_from_file_location("peer", args.network)
    sys.path.insert(0, str(Path(args.network).parent))
    peer = importlib.util.module_from_spec(spec)
    sys.modules["peer"] = peer
    spec.loader.exec_module(peer)
    net = peer.load_i3d(args.weights)
    with torch.no_grad():
        sets = [
            torch.cat([net(peer.i3d_input(peer.moving_pattern(seed, 16, 64, 64)[None]))[0] for seed in seeds]).numpy()
            for seeds in (range(8), range(20, 28))
        ]
    notes = {"in.x": "logits of clips of seeds 0 to 7, half-pixel resize", "in.y": "of seeds 20 to 27"}
    meta = json.dumps({"model": "metrics", "config": {}, "notes": notes})
    save_file({"in.x": sets[0], "in.y": sets[1]}, args.out, metadata={"meta": meta})


def main():
    parser = argparse.ArgumentParser(description="Reference values of vg-metrics")
    commands = parser.add_subparsers(dest="command", required=True)
    f = commands.add_parser("frechet")
    f.add_argument("--out", required=True)
    s = commands.add_parser("statistics")
    s.add_argument("golden")
    s.add_argument("--out", required=True)
    n = commands.add_parser("i3d")
    n.add_argument("--network", required=True)
    n.add_argument("--weights", required=True)
    n.add_argument("--out", required=True)
    args = parser.parse_args()
    {"frechet": frechet, "statistics": statistics, "i3d": i3d}[args.command](args)


if __name__ == "__main__":
    main()
