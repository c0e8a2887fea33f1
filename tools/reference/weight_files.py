"""Small files of weights in the forms in which others publish them, for the readers of vg-metrics.

    weight_files.py crates/vg-metrics/tests/fixtures/weights

Each holds `a` = [[0, 1, 2], [3, 4, 5]] and `b` = [1, 0.5] (in the nested ones as `x/a` or `x.a`), those of torch also a transposed
view `t` of `a`, a bfloat16 `h`, and a count of batches.
"""

import collections
import os
import pickle
import sys

import numpy as np
import torch

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
a, b = torch.arange(6.0).reshape(2, 3), torch.tensor([1.0, 0.5])
state = collections.OrderedDict(a=a, t=a.T, h=torch.tensor([1.5, -2.0], dtype=torch.bfloat16))
state["b"] = torch.nn.Parameter(b)
state["bn.num_batches_tracked"] = torch.tensor(7)
torch.save(state, os.path.join(folder, "legacy.pth"), _use_new_zipfile_serialization=False)
torch.save({"state_dict": {"x": state}, "epoch": 3}, os.path.join(folder, "archive.pth"))
torch.jit.script(torch.nn.Linear(2, 1)).save(os.path.join(folder, "program.pt"))
arrays = {"a": a.numpy(), "b": b.double().numpy()}
np.savez(os.path.join(folder, "arrays.npz"), **arrays)
np.savez_compressed(os.path.join(folder, "compressed.npz"), **arrays)
for protocol in (3, 4):
    with open(os.path.join(folder, f"arrays-{protocol}.pickle"), "wb") as out:
        pickle.dump({"x": arrays}, out, protocol=protocol)
