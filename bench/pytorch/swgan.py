"""PyTorch peer of the sliced Wasserstein generative models (Wu et al. 2019).

PG-SWGAN-3D: a progressively growing video GAN whose critic ends in a dual sliced Wasserstein block; G, D and R are the
generator, the critic's trunk and that block, Gs is the running average of G, all as in the official snapshots.
SWGAN: a residual image GAN with four dual blocks; its parameters carry our names.
SWAE: an auto-encoder for images with three primal blocks.

Networks, losses, one training step, sampling. All noise is an argument, so that another implementation can be fed the
same numbers. Videos are [B, C, T, H, W] in [-1, 1]. Parameters carry the official names with `/` replaced by `.`, but
weights are stored in PyTorch's layout (out, in, T, H, W), not yet multiplied by their run-time factor; the fixtures
hold some of them in the official layout too, as in.official.NAME.

Fixtures: a parameter without an entry under grad.LOSS is not reached by that loss. An activation close to the kink of a
LeakyReLU can fall on the other side in another f32 implementation; tests of gradients and steps are safest in f64.
"""

import copy
import math
from contextlib import nullcontext
from dataclasses import dataclass, replace
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn

from common import Fixture, main


@dataclass(frozen=True)
class Config:
    variant: str = "pgswgan3d"  # pgswgan3d, image, swae
    batch: int = 4
    lr: float = 1e-3
    beta1: float = 0.0
    beta2: float = 0.99
    eps: float = 1e-8
    # PG-SWGAN-3D
    levels: int = 8  # full resolution is 2 ** levels
    lod: float = 0.0  # 0: full resolution, k: 2 ** k times smaller, fractions fade between two sizes
    channels_base: int = 1024
    channels_max: int = 128
    latent_dim: int = 128
    features: int = 128  # width of R
    stddev_group: int = 4
    up_taps: int = 9  # kernel taps in the fan-in of Conv0_up, 9 as in the official code although the kernel has 27
    strict_reference: bool = False  # smooth over T and H instead of H and W where time does not change
    feature_penalty: str = "reference"  # reference, derivative
    gp_weight: float = 50.0
    fp_weight: float = 10.0
    fp_target: float = 0.01
    ema: float = 0.999
    # SWGAN for images
    dual_blocks: int = 1
    # SWGAN for images and SWAE
    image_size: int = 64
    width: int = 32
    # SWAE
    code_dim: int = 128
    bins: int = 32
    shifted: bool = False  # the official primal block's off-by-one


# ---------------------------------------------------------------- sizes and growth


def time_factor(r):
    """By how much the number of frames grows from resolution 2 ** (r - 1) to 2 ** r."""
    return 2 if r in (3, 5, 7) else 1


def frames_at(r):
    return 4 * math.prod(time_factor(k) for k in range(3, r + 1))


def channels_at(c, stage):
    return min(c.channels_base >> stage, c.channels_max)


def split_lod(c, lod):
    """Current resolution as a power of two, and the weight of the next lower one."""
    whole = math.floor(lod)
    return c.levels - whole, lod - whole


def enlargement(c, lod):
    """Pixels of the full size per pixel at the size of `lod`."""
    r = split_lod(c, lod)[0]
    return frames_at(c.levels) // frames_at(r) * 4 ** (c.levels - r)


def mix(a, b, t):
    """As torch.lerp, which does not take the mixed types of a bf16 run."""
    return a + t * (b - a)


def upsample(x, factor):
    return F.interpolate(x, scale_factor=(factor, 2, 2), mode="nearest")


def pool(x, factor):
    return F.avg_pool3d(x, (factor, 2, 2))


def real_at(c, video, lod):
    """Full-size real videos brought to the size of `lod`, blurred as far as that size fades."""
    r, fade = split_lod(c, lod)
    shrink = 2 ** (c.levels - r)
    video = F.avg_pool3d(video, (frames_at(c.levels) // frames_at(r), shrink, shrink))
    if fade > 0:
        video = mix(video, upsample(pool(video, time_factor(r)), time_factor(r)), fade)
    return video


def schedule(c, kimg):
    """lod, resolution, learning rate and batch after `kimg` thousand real videos."""
    phase = int(kimg // 1200)
    lod = max(c.levels - 2 - phase - max(kimg - 1200 * phase - 600, 0) / 600, 0.0)
    resolution = 2 ** split_lod(c, lod)[0]
    batch = {4: 32, 8: 32, 16: 16, 32: 16, 64: 8, 128: 8, 256: 4}[resolution]
    return lod, resolution, 1.5e-3 if resolution == 128 else 1e-3, batch


# ---------------------------------------------------------------- layers


class Dense(nn.Module):
    def __init__(self, inputs, outputs, gain=math.sqrt(2), per_channel=1):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs // per_channel))
        self.factor = gain / math.sqrt(inputs)
        self.per_channel = per_channel

    def forward(self, x):
        return F.linear(x, self.weight * self.factor, self.bias.repeat_interleave(self.per_channel))


class Conv(nn.Module):
    def __init__(self, inputs, outputs, kernel=3, gain=math.sqrt(2), taps=None):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.factor = gain / math.sqrt((taps or kernel**3) * inputs)

    def forward(self, x):
        return F.conv3d(x, self.weight * self.factor, self.bias, padding=self.weight.shape[-1] // 2)


class UpConv(Conv):
    def __init__(self, c, inputs, outputs, r):
        super().__init__(inputs, outputs, taps=c.up_taps)
        self.time = time_factor(r)
        self.strict = c.strict_reference and self.time == 1

    def forward(self, x):
        if not self.strict:
            return super().forward(upsample(x, self.time))
        x = x.repeat_interleave(2, 3)
        x = torch.stack([x, torch.zeros_like(x)], -1).flatten(-2)
        x = F.conv3d(F.pad(x, (2, 0, 1, 1, 2, 1)), self.weight * self.factor)
        return x[:, :, :-1] + x[:, :, 1:] + self.bias[:, None, None, None]


class DownConv(Conv):
    def __init__(self, c, inputs, outputs, r):
        super().__init__(inputs, outputs)
        self.time = time_factor(r)
        self.strict = c.strict_reference and self.time == 1

    def forward(self, x):
        if not self.strict:
            return pool(super().forward(x), self.time)
        x = F.conv3d(F.pad(x, (0, 1, 1, 1, 1, 2)), self.weight * self.factor, self.bias, stride=(1, 1, 2))
        x = (x[:, :, :-1] + x[:, :, 1:]) / 2
        return F.avg_pool3d(x, (1, 2, 1))


def act(x):
    return F.leaky_relu(x, 0.2)


def pixel_norm(x):
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)


def minibatch_stddev(x, group):
    """Appends the mean deviation within each group as a channel; sample n belongs to group n % (B / group)."""
    group = min(group, len(x))
    y = x.unflatten(0, (group, -1))
    y = y - y.mean(0)
    y = (y.square().mean(0) + 1e-8).sqrt().mean((1, 2, 3, 4))
    y = y.repeat(group)[:, None, None, None, None].expand(-1, 1, *x.shape[2:])
    return torch.cat([x, y], 1)


# ---------------------------------------------------------------- networks of PG-SWGAN-3D


class Generator(nn.Module):
    """z [B, latent_dim] -> video at the size of `lod`."""

    def __init__(self, c):
        super().__init__()
        self.c = c
        n = channels_at(c, 1)
        dense = Dense(c.latent_dim, 64 * n, gain=math.sqrt(2) / 4, per_channel=64)
        self.add_module("4x4", nn.ModuleDict({"Dense": dense, "Conv": Conv(n, n)}))
        for r in range(3, c.levels + 1):
            m, n = n, channels_at(c, r - 1)
            self.add_module(f"{2**r}x{2**r}", nn.ModuleDict({"Conv0_up": UpConv(c, m, n, r), "Conv1": Conv(n, n)}))
        for r in range(2, c.levels + 1):
            self.add_module(f"ToRGB_lod{c.levels - r}", Conv(channels_at(c, r - 1), 3, 1, gain=1))

    def forward(self, z, lod):
        last, fade = split_lod(self.c, lod)
        layers = self._modules
        x = layers["4x4"]["Dense"](pixel_norm(z)).unflatten(1, (-1, 4, 4, 4))
        x = pixel_norm(act(x))
        x = pixel_norm(act(layers["4x4"]["Conv"](x)))
        lower = None
        for r in range(3, last + 1):
            lower, block = x, layers[f"{2**r}x{2**r}"]
            x = pixel_norm(act(block["Conv0_up"](x)))
            x = pixel_norm(act(block["Conv1"](x)))
        lod0 = self.c.levels - last
        video = layers[f"ToRGB_lod{lod0}"](x)
        if fade > 0:
            video = mix(video, upsample(layers[f"ToRGB_lod{lod0 + 1}"](lower), time_factor(last)), fade)
        return video


class Trunk(nn.Module):
    """Video at the size of `lod` -> features [B, features]."""

    def __init__(self, c):
        super().__init__()
        self.c = c
        for r in range(c.levels, 1, -1):
            n, m = channels_at(c, r - 1), channels_at(c, r - 2)
            self.add_module(f"FromRGB_lod{c.levels - r}", Conv(3, n, 1))
            if r > 2:
                block = {"Conv0": Conv(n, n), "Conv1_down": DownConv(c, n, m, r)}
            else:
                block = {"Conv": Conv(n + 1, n), "Dense0": Dense(64 * n, c.features)}
            self.add_module(f"{2**r}x{2**r}", nn.ModuleDict(block))

    def forward(self, video, lod):
        first, fade = split_lod(self.c, lod)
        layers = self._modules
        lod0 = self.c.levels - first
        x = act(layers[f"FromRGB_lod{lod0}"](video))
        for r in range(first, 2, -1):
            block = layers[f"{2**r}x{2**r}"]
            x = act(block["Conv0"](x))
            x = act(block["Conv1_down"](x))
            if r == first and fade > 0:
                x = mix(x, act(layers[f"FromRGB_lod{lod0 + 1}"](pool(video, time_factor(r)))), fade)
        x = minibatch_stddev(x, self.c.stddev_group)
        x = act(layers["4x4"]["Conv"](x))
        return act(layers["4x4"]["Dense0"](x.flatten(1)))


class DualBlock(nn.Module):
    """Learned one-dimensional functions of the features along orthogonal directions, the columns of `proj`."""

    def __init__(self, width):
        super().__init__()
        self.proj = nn.Parameter(retract(torch.randn(width, width)))
        self.offset = nn.Parameter(torch.zeros(1, width))
        self.scale = nn.Parameter(torch.ones(1, width))

    def forward(self, features):
        return act(self.scale * (features @ self.proj) + self.offset)


def make_networks(c):
    if c.variant == "image":
        return {"generator": ImageGenerator(c), "trunk": ImageCritic(c), "dual": DualBlocks(c)}
    if c.variant == "swae":
        return {"Encoder": Encoder(c), "Generator": Decoder(c)}
    nets = {"G": Generator(c), "D": Trunk(c), "R": DualBlock(c.features)}
    return {**nets, "Gs": copy.deepcopy(nets["G"]).requires_grad_(False)}


# ---------------------------------------------------------------- orthogonal matrices


def tangent(p, gradient):
    """Part of the gradient at the orthogonal matrix p that keeps it orthogonal to first order."""
    a = p.T @ gradient
    return gradient - p @ (a + a.T) / 2


def retract(p):
    """Q of the QR decomposition with a positive diagonal in R."""
    q, r = torch.linalg.qr(p)
    return q * r.diagonal().sign()


class Adam(torch.optim.Adam):
    """Adam with TensorFlow's epsilon, added to the root before its bias correction; matrices in `orthogonal` stay so.

    A step with a gradient that is not finite is skipped.
    """

    def __init__(self, params, c, orthogonal=()):
        super().__init__(params, lr=c.lr, betas=(c.beta1, c.beta2))
        self.orthogonal = list(orthogonal)
        self.tf_eps, self.beta2, self.updates = c.eps, c.beta2, 0

    @torch.no_grad()
    def step(self):
        grads = [p.grad for p in self.param_groups[0]["params"] if p.grad is not None]
        if not all(g.isfinite().all() for g in grads):
            return
        self.updates += 1
        self.param_groups[0]["eps"] = self.tf_eps / math.sqrt(1 - self.beta2**self.updates)
        for p in self.orthogonal:
            p.grad = tangent(p, p.grad)
        super().step()
        for p in self.orthogonal:
            p.copy_(retract(p))


# ---------------------------------------------------------------- losses of PG-SWGAN-3D


def critic_value(nets, video, lod):
    return nets["R"](nets["D"](video, lod)).mean(1)


def gradient_penalty(nets, c, real, fake, t):
    """Squared norms [B] of the gradient with respect to `real` of the value at real + t (fake - real); the gradient.

    t [B, 1]. The official code always differentiates to videos of full size, which its critic then averages down:
    each pixel here stands for `enlargement` of those, so that the squared norm there is that many times smaller.
    """
    t = t[:, :, None, None, None]
    mixed = mix(real, fake, t).requires_grad_()
    (gradient,) = torch.autograd.grad(critic_value(nets, mixed, c.lod).sum(), mixed, create_graph=True)
    gradient = (1 - t) * gradient
    return gradient.square().sum((1, 2, 3, 4)) / enlargement(c, c.lod), gradient


def feature_penalty(block, features, target, form):
    """`reference` multiplies the slope by |p| as the official code does, `derivative` is the slope itself."""
    p = block(features)
    slope = torch.full_like(p, 0.2).masked_fill(p > 0, 1.0)
    slope = block.scale * (slope * p.abs() if form == "reference" else slope)
    return (slope - target).square().mean()


def critic_losses(nets, c, real, fake, t, t2):
    """t and t2 [B, 1] place the points of the two penalties between real and fake."""
    features_real, features_fake = nets["D"](real, c.lod), nets["D"](fake, c.lod)
    out = SimpleNamespace()
    out.value_real, out.value_fake = nets["R"](features_real).mean(1), nets["R"](features_fake).mean(1)
    out.wasserstein = out.value_real.mean() - out.value_fake.mean()
    out.gp_samples, out.gp_gradient = gradient_penalty(nets, c, real, fake, t)
    out.gp = out.gp_samples.mean()
    mixed = mix(features_real, features_fake, t2)
    out.fp = feature_penalty(nets["R"], mixed, c.fp_target, c.feature_penalty)
    out.critic = out.wasserstein + c.gp_weight * out.gp + c.fp_weight * out.fp
    return out


def generator_loss(nets, c, z):
    return critic_value(nets, nets["G"](z, c.lod), c.lod).mean()


# ---------------------------------------------------------------- training and sampling, PG-SWGAN-3D


def make_optimizers(nets, c):
    if c.variant == "swae":
        params = [p for net in nets.values() for p in net.parameters()]
        return {"all": Adam(params, c, [b.swd_proj for b in nets["Encoder"].blocks()])}
    if c.variant == "image":
        critic = [*nets["trunk"].parameters(), *nets["dual"].parameters()]
        matrices = [block.proj for block in nets["dual"]]
        return {"generator": Adam(nets["generator"].parameters(), c), "critic": Adam(critic, c, matrices)}
    critic = [*nets["D"].parameters(), *nets["R"].parameters()]
    return {"generator": Adam(nets["G"].parameters(), c), "critic": Adam(critic, c, [nets["R"].proj])}


def critic_step(nets, optimizer, c, real, z, t, t2, amp=nullcontext()):
    with amp:
        with torch.no_grad():
            fake = nets["G"](z, c.lod)
        out = critic_losses(nets, c, real, fake, t, t2)
    optimizer.zero_grad()
    out.critic.backward()
    optimizer.step()
    with torch.no_grad():
        for average, p in zip(nets["Gs"].parameters(), nets["G"].parameters()):
            average.lerp_(p, 1 - c.ema)
    return out


def generator_step(nets, optimizer, c, z, amp=nullcontext()):
    with amp:
        loss = generator_loss(nets, c, z)
    optimizer.zero_grad()
    loss.backward(inputs=optimizer.param_groups[0]["params"])
    optimizer.step()
    return loss.detach()


def train_step(nets, optimizers, c, real, z_critic, z_generator, t, t2, amp=nullcontext()):
    """`real` at full size. The average Gs is taken between the two updates, so it lags G by one."""
    out = critic_step(nets, optimizers["critic"], c, real_at(c, real, c.lod), z_critic, t, t2, amp)
    return out, generator_step(nets, optimizers["generator"], c, z_generator, amp)


@torch.no_grad()
def sample(nets, c, z):
    video = nets["Gs"](z, c.lod)
    return video, (video.float() * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)


# ---------------------------------------------------------------- SWGAN for images

WIDTHS = (1, 2, 4, 8, 8)  # channels from full size down, times the width


class Affine(nn.Module):
    """Scale and offset per channel."""

    def __init__(self, channels):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.offset = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        return F.relu(x * self.scale[:, None, None] + self.offset[:, None, None])


class BatchNorm(Affine):
    def forward(self, x):
        return super().forward(F.batch_norm(x, None, None, training=True, eps=1e-5))


class LayerNorm(Affine):
    def forward(self, x):
        return super().forward(F.layer_norm(x, x.shape[1:], eps=1e-5))


def uniform_(layer, gain):
    """Uniform with the standard deviation sqrt(gain / (inputs + outputs)), both times the taps of the kernel."""
    taps = layer.weight[0, 0].numel()
    bound = math.sqrt(3 * gain / (sum(layer.weight.shape[:2]) * taps))
    nn.init.uniform_(layer.weight, -bound, bound)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def conv3(inputs, outputs, bias=True, gain=4):
    return uniform_(nn.Conv2d(inputs, outputs, 3, 1, 1, bias=bias), gain)


class ResidualUp(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.BN1, self.BN2 = BatchNorm(a), BatchNorm(b)
        self.Conv1, self.Conv2 = conv3(a, b, bias=False), conv3(b, b)
        self.Shortcut = uniform_(nn.Conv2d(a, b, 1), 2)

    def forward(self, x):
        y = self.Conv1(F.interpolate(self.BN1(x), scale_factor=2, mode="nearest"))
        return self.Conv2(self.BN2(y)) + self.Shortcut(F.interpolate(x, scale_factor=2, mode="nearest"))


class ResidualDown(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.BN1, self.BN2 = LayerNorm(a), LayerNorm(a)
        self.Conv1, self.Conv2 = conv3(a, a, bias=False), conv3(a, b)
        self.Shortcut = uniform_(nn.Conv2d(a, b, 1), 2)

    def forward(self, x):
        y = self.Conv2(self.BN2(self.Conv1(self.BN1(x))))
        return F.avg_pool2d(y, 2) + self.Shortcut(F.avg_pool2d(x, 2))


class ImageGenerator(nn.Module):
    """z [B, latent_dim] -> images [B, 3, H, W]; batch norms always by the statistics of the batch."""

    def __init__(self, c):
        super().__init__()
        self.side, d = c.image_size // 16, c.width
        self.Input = uniform_(nn.Linear(c.latent_dim, 8 * d * self.side**2), 2)
        for k in range(4):
            setattr(self, f"Res{k + 1}", ResidualUp(WIDTHS[4 - k] * d, WIDTHS[3 - k] * d))
        self.OutputN, self.Output = BatchNorm(d), conv3(d, 3)

    def forward(self, z):
        x = self.Input(z).unflatten(1, (-1, self.side, self.side))
        for k in range(1, 5):
            x = getattr(self, f"Res{k}")(x)
        return torch.tanh(self.Output(self.OutputN(x)))


class ImageCritic(nn.Module):
    """Images -> features [B, features]."""

    def __init__(self, c):
        super().__init__()
        d = c.width
        self.Input = conv3(3, d, gain=2)
        for k in range(4):
            setattr(self, f"Res{k + 1}", ResidualDown(WIDTHS[k] * d, WIDTHS[k + 1] * d))
        self.Output = uniform_(nn.Linear(8 * d * (c.image_size // 16) ** 2, c.features), 2)

    def forward(self, x, lod=None):
        x = self.Input(x)
        for k in range(1, 5):
            x = getattr(self, f"Res{k}")(x)
        return self.Output(x.flatten(1))


class DirectionBlock(DualBlock):
    def __init__(self, width):
        super().__init__(width)
        self.scale, self.offset = nn.Parameter(self.scale[0].detach()), nn.Parameter(self.offset[0].detach())


class DualBlocks(nn.ModuleList):
    """The results of all blocks side by side."""

    def __init__(self, c):
        super().__init__(DirectionBlock(c.features) for _ in range(c.dual_blocks))

    def forward(self, features):
        return torch.cat([block(features) for block in self], 1)


def image_losses(nets, c, real, fake, t, t2):
    """As critic_losses; the feature penalty is the mean of those of all blocks."""
    value = lambda x: nets["dual"](nets["trunk"](x)).mean(1)
    features = nets["trunk"](real), nets["trunk"](fake)
    out = SimpleNamespace()
    out.wasserstein = nets["dual"](features[0]).mean() - nets["dual"](features[1]).mean()
    mixed = mix(real, fake, t[:, :, None, None]).requires_grad_()
    (gradient,) = torch.autograd.grad(value(mixed).sum(), mixed, create_graph=True)
    out.gp_gradient = (1 - t)[:, :, None, None] * gradient
    out.gp_samples = out.gp_gradient.square().sum((1, 2, 3))
    out.gp = out.gp_samples.mean()
    between = mix(*features, t2)
    penalties = [feature_penalty(block, between, c.fp_target, c.feature_penalty) for block in nets["dual"]]
    out.fp = torch.stack(penalties).mean()
    out.critic = out.wasserstein + c.gp_weight * out.gp + c.fp_weight * out.fp
    return out


def image_critic_step(nets, optimizer, c, real, z, t, t2, amp=nullcontext()):
    with amp:
        with torch.no_grad():
            fake = nets["generator"](z)
        out = image_losses(nets, c, real, fake, t, t2)
    optimizer.zero_grad()
    out.critic.backward()
    optimizer.step()
    return out


def image_generator_loss(nets, z):
    return nets["dual"](nets["trunk"](nets["generator"](z))).mean()


def image_generator_step(nets, optimizer, z, amp=nullcontext()):
    with amp:
        loss = image_generator_loss(nets, z)
    optimizer.zero_grad()
    loss.backward(inputs=optimizer.param_groups[0]["params"])
    optimizer.step()
    return loss.detach()


# ---------------------------------------------------------------- SWAE


def soft_cumulative(s, bins):
    """Cumulative soft histogram [bins + 1, D] of columns s [N, D] in [0, bins]."""
    cell = torch.floor(s + 0.5).clamp(0, bins - 1).detach()
    weights = torch.softmax(torch.stack([-((s - cell) ** 2), -((s - cell - 1) ** 2)]), 0)
    histogram = s.new_zeros(bins + 1, s.shape[1])
    histogram = histogram.scatter_add(0, cell.long(), weights[0]).scatter_add(0, cell.long() + 1, weights[1])
    return histogram.cumsum(0) / len(s)


def transport(source, target, bins, shifted=False):
    """Moves each column of source [N, D] onto the distribution of that column of target [M, D]."""
    low, high = source.amin(0), source.amax(0)
    s = (source - low) / (high - low) * bins
    low, high = target.amin(0), target.amax(0)
    cdf = soft_cumulative(s, bins)
    cdf_target = soft_cumulative((target - low) / (high - low) * bins, bins)
    with torch.no_grad():
        distance = (cdf[:, None] - cdf_target).abs()
        rises = distance[:, 1:] > distance[:, :-1]
        n = (rises.cumsum(1) == 0).sum(1).clamp(max=bins - 1)
        k = torch.floor(s + 0.5).clamp(max=bins - 1).long()
    at_n = cdf_target.gather(0, n)
    f = (cdf - at_n) / (cdf_target.gather(0, n + 1) - at_n + 1e-3) + n
    at_k = f.gather(0, k)
    q = (f.gather(0, k + 1) - at_k) * (s - k) + at_k
    if shifted:
        q = q - 1
    return q * (high - low) / bins + low


class PrimalBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.swd_proj = nn.Parameter(retract(torch.randn(c.code_dim, c.code_dim)))
        self.bins, self.shifted = c.bins, c.shifted

    def forward(self, code, noise):
        return transport(code @ self.swd_proj, noise @ self.swd_proj, self.bins, self.shifted) @ self.swd_proj.T


class Encoder(nn.Module):
    """Image [B, 3, H, W], noise [B, code_dim] from the prior -> codes distributed like the noise."""

    def __init__(self, c):
        super().__init__()
        self.Linear = nn.Linear(3 * (c.image_size // 8) ** 2, c.code_dim)
        self.swd, self.swd1, self.swd2 = PrimalBlock(c), PrimalBlock(c), PrimalBlock(c)
        init_glorot(self)

    def blocks(self):
        return self.swd, self.swd1, self.swd2

    def forward(self, image, noise):
        code = self.Linear(image[:, :, ::8, ::8].flatten(1))
        for block in self.blocks():
            code = block(code, noise)
        return code


class Decoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.size = c.image_size // 8
        self.Linear = nn.Linear(c.code_dim, c.width * self.size**2)
        for k in range(1, 10):
            setattr(self, f"Input{k}", nn.Conv2d(c.width, c.width if k < 9 else 3, 3, 1, 1))
        init_glorot(self)

    def forward(self, code):
        x = self.Linear(code).unflatten(1, (-1, self.size, self.size))
        for k in range(1, 9):
            if k in (3, 5, 7):
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = F.elu(getattr(self, f"Input{k}")(x))
        return torch.tanh(self.Input9(x))


def init_glorot(net):
    for layer in net.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)


def swae_loss(nets, image, noise):
    return F.mse_loss(nets["Generator"](nets["Encoder"](image, noise)), image)


def swae_step(nets, optimizer, image, noise, amp=nullcontext()):
    with amp:
        loss = swae_loss(nets, image, noise)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


# ---------------------------------------------------------------- distances


def sliced_wasserstein(x, y, directions):
    """Mean over the columns of `directions` [D, K] of the distances W1 and W2 ** 2 between samples x, y [N, D]."""
    gap = (x @ directions).sort(0).values - (y @ directions).sort(0).values
    return gap.abs().mean(), gap.square().mean()


# ---------------------------------------------------------------- fixtures


def fill(nets, gen):
    """Seeded values that leave no parameter at a neutral value.

    Weights of G have unit variance before their factor; those of D more, so that its penalties count in the total loss.
    """
    with torch.no_grad():
        for net in nets.values():
            for name, p in net.named_parameters():
                v = 2 * torch.rand(p.shape, generator=gen) - 1
                if "proj" in name:
                    v = retract(v.double())
                elif name.split(".")[-1] == "scale":
                    v = 1 + 0.2 * v
                elif p.dim() < 2 or name.split(".")[-1] == "offset":
                    v = 0.1 * v
                elif isinstance(net, (Encoder, Decoder, ImageGenerator)):
                    v = v * math.sqrt(3 * p.shape[0] / p.numel())
                elif isinstance(net, ImageCritic):
                    v = v * math.sqrt(9 * p.shape[0] / p.numel())
                else:
                    v = v * math.sqrt(3) * (1.6 if isinstance(net, Trunk) else 1.0)
                p.copy_(v)


def record(c, seed, dtype):
    gen = torch.Generator().manual_seed(1000 + seed)
    fx = Fixture()
    nets = make_networks(c)
    fill(nets, gen)
    if "Gs" in nets:
        nets["Gs"].load_state_dict(nets["G"].state_dict())
    for net in nets.values():
        net.to(dtype)
    fx.state("param", {name: net for name, net in nets.items() if name != "Gs"})
    if c.variant == "image":
        record_image(fx, nets, c, gen, dtype)
        return fx
    record_layouts(fx, nets)
    record_qr(fx, gen)
    if c.variant == "swae":
        record_swae(fx, nets, c, gen, dtype)
        return fx

    def uniform(*shape):
        return torch.rand(shape, generator=gen).to(dtype)

    def normal(*shape):
        return torch.randn(shape, generator=gen).to(dtype)

    width = 2**c.levels
    real = 2 * uniform(c.batch, 3, frames_at(c.levels), width, width) - 1
    z_critic, z_generator = normal(3, c.batch, c.latent_dim), normal(3, c.batch, c.latent_dim)
    t, t2 = uniform(3, c.batch, 1), uniform(3, c.batch, 1)
    fx.add("in.real", real, "full size, the same in all three training steps")
    fx.add("in.z_critic", z_critic, "[training step, B, latent]")
    fx.add("in.z_generator", z_generator, "[training step, B, latent]")
    fx.add("in.t", t, "[training step, B, 1], gradient penalty")
    fx.add("in.t2", t2, "[training step, B, 1], feature penalty")

    with torch.no_grad():
        for lod in sorted({0.0, 0.4, 1.0, 1.25, float(c.levels - 2), c.lod}):
            if lod <= c.levels - 2:
                at = real_at(c, real, lod)
                fx.add(f"out.G.lod{lod:g}", nets["G"](z_critic[0], lod), "at its own size, not enlarged")
                if lod > 0:
                    fx.add(f"out.real.lod{lod:g}", at, "input of the critic at this lod")
                fx.add(f"out.D.lod{lod:g}", nets["D"](at, lod), "features of the real videos at this lod")
        features = nets["D"](real_at(c, real, c.lod), c.lod)
        fx.add("out.R", nets["R"](features), "of the features at the configured lod")
        for form in ("reference", "derivative"):
            fx.add(f"out.fp.{form}", feature_penalty(nets["R"], features, c.fp_target, form), "of the same features")
        fake = nets["G"](z_critic[0], c.lod)
    out = critic_losses(nets, c, real_at(c, real, c.lod), fake, t[0], t2[0])
    for name in ("value_real", "value_fake", "gp_samples", "gp_gradient"):
        fx.add(f"out.{name}", getattr(out, name), "with the factor 1 - t" if name.startswith("gp") else None)
    critic = {"D": nets["D"], "R": nets["R"]}
    for name in ("wasserstein", "gp", "fp", "critic"):
        fx.grads(name, getattr(out, name), critic)
    fx.add("out.tangent.proj", tangent(nets["R"].proj, fx.tensors["grad.critic.R.proj"]), "of grad.critic.R.proj")
    fx.grads("generator", generator_loss(nets, c, z_generator[0]), {"G": nets["G"]})

    optimizers = make_optimizers(nets, c)
    steps = []
    for k in range(3):
        out, loss = train_step(nets, optimizers, c, real, z_critic[k], z_generator[k], t[k], t2[k])
        steps.append(torch.stack([out.critic, out.wasserstein, out.gp, out.fp, loss]).detach())
        if k in (0, 2):
            fx.state("after" if k == 0 else "after3", nets)
    note = "[step, (critic, wasserstein, gp, fp, generator)], the generator's after the critic's update"
    fx.add("loss.steps", torch.stack(steps), note)
    video, pixels = sample(nets, c, z_critic[0])
    fx.add("out.sample.video", video, "from Gs after three steps and in.z_critic[0]")
    fx.add("out.sample.pixels", pixels, "u8")
    record_schedule(fx, c)
    return fx


def record_layouts(fx, nets):
    """One weight of each kind as the official checkpoints hold it."""
    if "G" not in nets:
        fx.add("in.official.Encoder.Linear.weight", nets["Encoder"].Linear.weight.T)
        fx.add("in.official.Generator.Input9.weight", nets["Generator"].Input9.weight.permute(2, 3, 1, 0))
        return
    weights = {f"{label}.{name}": p for label in "GD" for name, p in nets[label].named_parameters()}
    for name in ("G.4x4.Dense", "D.4x4.Dense0"):
        fx.add(f"in.official.{name}.weight", weights[f"{name}.weight"].T, "official layout (in, out)")
    for name in ("G.ToRGB_lod0", "G.8x8.Conv1", "D.8x8.Conv1_down"):
        fx.add(f"in.official.{name}.weight", weights[f"{name}.weight"].permute(2, 3, 4, 1, 0), "(T, H, W, in, out)")
    up = weights["G.8x8.Conv0_up.weight"].flip(2, 3, 4).permute(2, 3, 4, 0, 1)
    fx.add("in.official.G.8x8.Conv0_up.weight", up, "(T, H, W, out, in), kernel axes reversed")


def record_qr(fx, gen):
    """Small matrices, and the distances along orthogonal directions; f64 in both runs, stored as f32."""

    def normal(*shape):
        return torch.randn(shape, generator=gen)

    q = retract(normal(7, 7).double())
    reflection = q.clone()
    reflection[:, 3] *= -1
    cases = {"normal": normal(7, 7), "near": (q + 1e-3 * normal(7, 7)).float(), "reflection": reflection.float()}
    cases["diagonal"] = torch.diag(torch.tensor([1.0, -2.0, 0.5, -1.0]))
    for name, p in cases.items():
        fx.add(f"in.qr.{name}", p)
        fx.add(f"out.qr.{name}", retract(p.double()).float(), "Q, R has a positive diagonal")
    g = normal(7, 7)
    fx.add("in.tangent.gradient", g, "at out.qr.normal")
    fx.add("out.tangent.gradient", tangent(fx.tensors["out.qr.normal"].double(), g.double()).float())
    x, y = normal(40, 7), 0.5 + 1.5 * normal(40, 7)
    fx.add("in.sliced.x", x)
    fx.add("in.sliced.y", y)
    w1, w2 = sliced_wasserstein(x.double(), y.double(), fx.tensors["out.qr.normal"].double())
    fx.add("out.sliced.w1", w1.float(), "along the columns of out.qr.normal")
    fx.add("out.sliced.w2_squared", w2.float())


def record_schedule(fx, c):
    kimg = torch.tensor([0, 599.9, 600, 900, 1199, 1200, 1800, 2100, 3000, 4500, 6300, 6600, 6900, 7199, 7200, 12000.0])
    fx.add("in.schedule.kimg", kimg, "thousands of real videos shown")
    for levels in (7, 8):
        rows = [schedule(replace(c, levels=levels), k) for k in kimg.double().tolist()]
        fx.add(f"out.schedule.levels{levels}", torch.tensor(rows), "[point, (lod, resolution, learning rate, batch)]")


def record_image(fx, nets, c, gen, dtype):
    image = (2 * torch.rand(c.batch, 3, c.image_size, c.image_size, generator=gen) - 1).to(dtype)
    z_critic, z_generator = (torch.randn(3, c.batch, c.latent_dim, generator=gen).to(dtype) for _ in range(2))
    t, t2 = (torch.rand(3, c.batch, 1, generator=gen).to(dtype) for _ in range(2))
    fx.add("in.image", image, "the same in all three training steps")
    for name, value in [("z_critic", z_critic), ("z_generator", z_generator), ("t", t), ("t2", t2)]:
        fx.add(f"in.{name}", value, "[training step, B, ...]")
    with torch.no_grad():
        fake = nets["generator"](z_critic[0])
        features = nets["trunk"](image)
        fx.add("out.Generator", fake, "of z_critic[0]")
        fx.add("out.Discriminator", features, "of the real images")
        fx.add("out.dual", torch.stack([block(features) for block in nets["dual"]]), "of these features, by block")
    out = image_losses(nets, c, image, fake, t[0], t2[0])
    fx.add("out.gp_samples", out.gp_samples)
    fx.add("out.gp_gradient", out.gp_gradient, "with the factor 1 - t")
    critic = {"trunk": nets["trunk"], "dual": nets["dual"]}
    for name in ("wasserstein", "gp", "fp", "critic"):
        fx.grads(name, getattr(out, name), critic)
    fx.grads("generator", image_generator_loss(nets, z_generator[0]), {"generator": nets["generator"]})
    optimizers = make_optimizers(nets, c)
    steps = []
    for k in range(3):
        out = image_critic_step(nets, optimizers["critic"], c, image, z_critic[k], t[k], t2[k])
        loss = image_generator_step(nets, optimizers["generator"], z_generator[k])
        steps.append(torch.stack([out.critic.detach(), loss]))
        if k in (0, 2):
            fx.state("after" if k == 0 else "after3", nets)
    fx.add("loss.steps", torch.stack(steps), "[step, (critic, generator)]")


def record_swae(fx, nets, c, gen, dtype):
    def normal(*shape):
        return torch.randn(shape, generator=gen).to(dtype)

    image = (2 * torch.rand(c.batch, 3, c.image_size, c.image_size, generator=gen) - 1).to(dtype)
    noise = normal(3, c.batch, c.code_dim)
    fx.add("in.image", image, "the same in all three training steps")
    fx.add("in.noise", noise, "[training step, B, code]")
    with torch.no_grad():
        code = nets["Encoder"].Linear(image[:, :, ::8, ::8].flatten(1))
        fx.add("out.Encoder.Linear", code)
        for name in ("swd", "swd1", "swd2"):
            code = getattr(nets["Encoder"], name)(code, noise[0])
            fx.add(f"out.Encoder.{name}", code)
        fx.add("out.Generator", nets["Generator"](code), "of the last code")
        fx.add("out.sample", nets["Generator"](noise[0]), "from the prior")
    fx.grads("reconstruction", swae_loss(nets, image, noise[0]), nets)
    record_transport(fx, c, normal)
    optimizer = make_optimizers(nets, c)["all"]
    steps = []
    for k in range(3):
        steps.append(swae_step(nets, optimizer, image, noise[k]))
        if k in (0, 2):
            fx.state("after" if k == 0 else "after3", nets)
    fx.add("loss.steps", torch.stack(steps), "before each of the three updates")


def record_transport(fx, c, normal):
    """The primal transport alone, with its gradient; f64 in both runs, stored as f32."""
    hand = torch.tensor([[0.0], [1.0], [2.0], [4.0]]), torch.tensor([[10.0], [11.0], [13.0], [20.0]]), 8
    drawn = 3 + 2 * normal(20, 3).float(), normal(14, 3).float(), c.bins
    for name, (source, target, bins) in {"hand": hand, "drawn": drawn}.items():
        fx.add(f"in.transport.{name}.source", source, f"{bins} bins")
        fx.add(f"in.transport.{name}.target", target)
        source = source.double().requires_grad_()
        moved = transport(source, target.double(), bins)
        weights = torch.linspace(-1, 1, moved.numel(), dtype=torch.float64).view_as(moved)
        (gradient,) = torch.autograd.grad((moved * weights).sum(), source)
        fx.add(f"out.transport.{name}.moved", moved.float())
        note = "of the sum of moved times linspace(-1, 1, number of elements), to the source"
        fx.add(f"out.transport.{name}.gradient", gradient.float(), note)
        shifted = transport(source, target.double(), bins, shifted=True)
        fx.add(f"out.transport.{name}.shifted", shifted.float(), "with the official off-by-one")


# ---------------------------------------------------------------- benchmark


def bench(c, device, amp):
    nets = {name: net.to(device) for name, net in make_networks(c).items()}
    optimizers = make_optimizers(nets, c)
    if c.variant == "image":
        image = 2 * torch.rand(c.batch, 3, c.image_size, c.image_size, device=device) - 1

        def latent():
            return torch.randn(c.batch, c.latent_dim, device=device)

        def run_step():
            image_generator_step(nets, optimizers["generator"], latent(), amp)
            for _ in range(4):
                t, t2 = torch.rand(2, c.batch, 1, device=device)
                image_critic_step(nets, optimizers["critic"], c, image, latent(), t, t2, amp)

        @torch.no_grad()
        def run_sample():
            with amp:
                nets["generator"](latent())

        return nets, run_step, run_sample

    if c.variant == "swae":
        image = 2 * torch.rand(c.batch, 3, c.image_size, c.image_size, device=device) - 1

        def run_step():
            swae_step(nets, optimizers["all"], image, torch.randn(c.batch, c.code_dim, device=device), amp)

        @torch.no_grad()
        def run_sample():
            with amp:
                nets["Generator"](torch.randn(c.batch, c.code_dim, device=device))

        return nets, run_step, run_sample

    width = 2**c.levels
    real = 2 * torch.rand(c.batch, 3, frames_at(c.levels), width, width, device=device) - 1

    def latents():
        return torch.randn(c.batch, c.latent_dim, device=device)

    def run_step():
        t, t2 = torch.rand(2, c.batch, 1, device=device)
        train_step(nets, optimizers, c, real, latents(), latents(), t, t2, amp)

    def run_sample():
        with amp:
            sample(nets, c, latents())

    return {name: net for name, net in nets.items() if name != "Gs"}, run_step, run_sample


TINY = dict(levels=4, channels_base=32, channels_max=8, latent_dim=6, features=6, batch=4)
SWAE = dict(variant="swae", lr=3e-4, beta2=0.9)
IMAGE = dict(variant="image", lr=3e-4, beta2=0.9, gp_weight=20.0, fp_target=0.001, dual_blocks=4, batch=64)
PRESETS = {
    "tiny": Config(**TINY),
    "small": Config(levels=5, channels_base=256, channels_max=64),
    "paper": Config(),  # TrailerFaces, 256x256, 32 frames
    "paper-64": Config(lod=2.0, batch=8),  # the same networks at their 64x64 stage, 16 frames
    "stage-4": Config(lod=6.0, batch=32),
    "stage-8": Config(lod=5.0, batch=32),
    "stage-16": Config(lod=4.0, batch=16),
    "stage-32": Config(lod=3.0, batch=16),
    "image-64": Config(**IMAGE, image_size=64, width=64),
    "image-32": Config(**IMAGE, image_size=32, width=32),
    "image-tiny": Config(**{**IMAGE, "dual_blocks": 2, "batch": 4}, image_size=16, width=4, latent_dim=6, features=6),
    "swae-tiny": Config(**SWAE, image_size=16, code_dim=8, width=4, bins=8, batch=6),
    "swae-paper": Config(**SWAE, batch=64),
    "swae": Config(**SWAE, batch=64),
}
FIXTURE = Config(**TINY, lod=0.4, stddev_group=2)

if __name__ == "__main__":
    main("swgan", PRESETS, bench, FIXTURE, record, exact=True)
