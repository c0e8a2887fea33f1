"""Prints the numbers of crates/vg-core/tests/ops_norms.rs: results and gradients of norms in PyTorch, f64.

python tools/reference/norms.py
"""

import torch
import torch.nn.functional as F

EPS, SLOPE = 1e-3, 0.2


def ramp(shape, step, period):
    n = torch.Size(shape).numel()
    numbers = [(i * step % period) * 3 / period - 1.4 for i in range(n)]
    return torch.tensor(numbers, dtype=torch.float64).reshape(shape)


def show(name, norm, scale, shift):
    x = ramp([2, 2, 3], 5, 19)
    for t in (x, scale, shift):
        t.requires_grad_()
    y = F.leaky_relu(norm(x, scale, shift), SLOPE)
    (y * ramp([2, 2, 3], 5, 11)).sum().backward()
    print(name)
    for t in (y, x.grad, scale.grad, shift.grad):
        print("    [" + ", ".join(f"{v:.8f}" for v in t.flatten().tolist()) + "]")


def conditional_batch_norm(x, scale, shift):
    return F.batch_norm(x, None, None, training=True, eps=EPS) * scale[..., None] + shift[..., None]


show("conditional batch norm", conditional_batch_norm, ramp([2, 2], 3, 5), ramp([2, 2], 2, 7))
show("layer norm", lambda x, g, b: F.layer_norm(x, [2, 3], g, b, EPS), ramp([2, 3], 3, 7), ramp([2, 3], 2, 5))
show("group norm", lambda x, g, b: F.group_norm(x, 1, g, b, EPS), ramp([2], 4, 9), ramp([2], 2, 5))
