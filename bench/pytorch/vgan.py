"""PyTorch peer of VGAN (Vondrick, Pirsiavash & Torralba 2016): two streams, one stream, and prediction from one image.

Networks, losses, one training step and sampling. All noise is an argument, so that another implementation can be
fed the same numbers. Clips are [B, 3, T, H, W], images [B, 3, H, W], both in [-1, 1]; z is [B, z_dim].
The published size is 32 x 64 x 64; `frames` and `size` may be any multiples of 16, and only change the first kernel
of the generator and the last one of the discriminator.

Names in a fixture, where NET is `generator` or `discriminator` and LOSS is one of the names in `loss.`:
    param.NET.*, after.NET.*, after3.NET.*
    in.real            B + 2 clips; step k = 0, 1, 2 of training uses clips k .. k+B-1, everything else clips 0 .. B-1
    in.z               [step, B, z_dim]; everything but steps 1 and 2 uses in.z[0]. Absent in the conditional variant,
                       whose input is the first frame of the real clips
    out.generator.*    video, and in variants with two streams foreground, mask, background
    out.discriminator.{real,fake}    logits [B, 2]; fake is the logits of out.generator.video
    eval.*             the same with running statistics, without foreground and background; eval.discriminator.fake is the
                       logits of eval.generator.video
    loss.{d_real,d_fake,d}           at the initial parameters; d is the sum of the other two
    loss.{g_adv,g_mask,g_recon,g}    likewise, against the initial discriminator; the weighted penalties, if any, and the sum
    loss.steps         [step, (d_real, d_fake, g_adv, penalty)] as they occur in the three training steps
"""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from common import Fixture, clone, fill, main


@dataclass(frozen=True)
class Config:
    variant: str = "two_stream"  # two_stream, one_stream, conditional
    frames: int = 32
    size: int = 64
    z_dim: int = 100  # unused in the conditional variant
    g_width: int = 64  # channels of the generator's last hidden layer; the conditional paper size is 128
    d_width: int = 64  # channels of the discriminator's first layer; the conditional paper size is 128
    mask_weight: float = 0.1  # two_stream only
    mask_reduction: str = "mean"  # mean, sum
    recon_weight: float = 10.0  # conditional only
    lr: float = 2e-4
    batch: int = 64

    @property
    def base(self):
        """Frames and side of the coarsest feature map."""
        if self.frames % 16 or self.size % 16:
            raise ValueError("frames and size must be multiples of 16")
        return self.frames // 16, self.size // 16


# ---------------------------------------------------------------- networks


def up2d(a, b):
    return nn.ConvTranspose2d(a, b, 4, 2, 1)


def up3d(a, b):
    return nn.ConvTranspose3d(a, b, 4, 2, 1)


class Foreground(nn.Module):
    """Trunk shared by the moving picture and its mask."""

    def __init__(self, first, width, mask):
        super().__init__()
        self.conv1 = first
        self.bn1 = nn.BatchNorm3d(8 * width)
        for k, (a, b) in enumerate(((8, 4), (4, 2), (2, 1)), start=2):
            setattr(self, f"conv{k}", up3d(a * width, b * width))
            setattr(self, f"bn{k}", nn.BatchNorm3d(b * width))
        self.head_video = up3d(width, 3)
        self.head_mask = up3d(width, 1) if mask else None

    def forward(self, x):
        for k in (1, 2, 3, 4):
            x = F.relu_(getattr(self, f"bn{k}")(getattr(self, f"conv{k}")(x)))
        mask = None if self.head_mask is None else torch.sigmoid(self.head_mask(x))
        return torch.tanh(self.head_video(x)), mask


class Background(nn.Module):
    def __init__(self, first, channels):
        """`channels` counts those after the first layer and ends with the picture's."""
        super().__init__()
        self.depth = len(channels)
        self.conv1 = first
        for k, (a, b) in enumerate(zip(channels, channels[1:]), start=1):
            setattr(self, f"bn{k}", nn.BatchNorm2d(a))
            setattr(self, f"conv{k + 1}", up2d(a, b))

    def forward(self, x):
        x = self.conv1(x)
        for k in range(1, self.depth):
            x = getattr(self, f"conv{k + 1}")(F.relu_(getattr(self, f"bn{k}")(x)))
        return torch.tanh(x)


class Encoder(nn.Module):
    """Image -> [B, 8 width, H / 16, W / 16]."""

    def __init__(self, width):
        super().__init__()
        for k, (a, b) in enumerate(((3, width), (width, 2 * width), (2 * width, 4 * width), (4 * width, 8 * width)), start=1):
            setattr(self, f"conv{k}", nn.Conv2d(a, b, 4, 2, 1))
            if k > 1:
                setattr(self, f"bn{k}", nn.BatchNorm2d(b, eps=1e-3))

    def forward(self, x):
        x = F.relu_(self.conv1(x))
        for k in (2, 3, 4):
            x = F.relu_(getattr(self, f"bn{k}")(getattr(self, f"conv{k}")(x)))
        return x


class Streams(NamedTuple):
    video: torch.Tensor
    foreground: torch.Tensor | None = None
    mask: torch.Tensor | None = None  # [B, 1, T, H, W]
    background: torch.Tensor | None = None  # [B, 3, H, W]


class Generator(nn.Module):
    """Takes z [B, z_dim], or in the conditional variant an image."""

    def __init__(self, config):
        super().__init__()
        w, z, (t, s) = config.g_width, config.z_dim, config.base
        if config.variant == "conditional":
            self.encoder = Encoder(w)
            self.fg = Foreground(nn.ConvTranspose3d(8 * w, 8 * w, (t, 1, 1)), w, mask=True)
            self.bg = Background(up2d(8 * w, 4 * w), [4 * w, 2 * w, w, 3])
        else:
            self.encoder = None
            two = config.variant == "two_stream"
            self.fg = Foreground(nn.ConvTranspose3d(z, 8 * w, (t, s, s)), w, mask=two)
            self.bg = Background(nn.ConvTranspose2d(z, 8 * w, s), [8 * w, 4 * w, 2 * w, w, 3]) if two else None
        self.apply(init_weights)

    def forward(self, source):
        code = source[:, :, None, None] if self.encoder is None else self.encoder(source)
        foreground, mask = self.fg(code[:, :, None])
        if self.bg is None:
            return Streams(foreground)
        background = self.bg(code)
        video = mask * foreground + (1 - mask) * background[:, :, None]
        return Streams(video, foreground, mask, background)


class Discriminator(nn.Module):
    """Clip -> class logits [B, 2]: real, fake."""

    def __init__(self, config):
        super().__init__()
        w, (t, s) = config.d_width, config.base
        for k, (a, b) in enumerate(((3, w), (w, 2 * w), (2 * w, 4 * w), (4 * w, 8 * w)), start=1):
            setattr(self, f"conv{k}", nn.Conv3d(a, b, 4, 2, 1))
            if k > 1:
                setattr(self, f"bn{k}", nn.BatchNorm3d(b, eps=1e-3))
        self.conv5 = nn.Conv3d(8 * w, 2, (t, s, s))
        self.apply(init_weights)

    def forward(self, x):
        x = F.leaky_relu_(self.conv1(x), 0.2)
        for k in (2, 3, 4):
            x = F.leaky_relu_(getattr(self, f"bn{k}")(getattr(self, f"conv{k}")(x)), 0.2)
        return self.conv5(x).flatten(1)


def init_weights(layer):
    if isinstance(layer, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        nn.init.normal_(layer.weight, 0.0, 0.01)
        nn.init.zeros_(layer.bias)
    elif isinstance(layer, (nn.BatchNorm2d, nn.BatchNorm3d)):
        nn.init.normal_(layer.weight, 1.0, 0.02)
        nn.init.zeros_(layer.bias)


# ---------------------------------------------------------------- losses and training step

REAL, FAKE = 0, 1


def class_loss(logits, label):
    return F.cross_entropy(logits, torch.full((len(logits),), label, device=logits.device))


def penalty(config, streams, first_frame):
    """(name, weighted value) of what the generator minimises besides the adversarial loss, or (None, None)."""
    if config.variant == "two_stream":
        size = streams.mask.abs()
        return "g_mask", config.mask_weight * (size.mean() if config.mask_reduction == "mean" else size.sum())
    if config.variant == "conditional":
        return "g_recon", config.recon_weight * F.l1_loss(streams.video[:, :, 0], first_frame)
    return None, None


def make_optimizers(generator, discriminator, config):
    return [torch.optim.Adam(net.parameters(), lr=config.lr, betas=(0.5, 0.999), eps=1e-8) for net in (generator, discriminator)]


def train_step(nets, optimizers, config, real, z, amp=nullcontext()):
    """One update of the discriminator, then one of the generator on the same generated clips. z is None if conditional."""
    generator, discriminator = nets["generator"], nets["discriminator"]
    g_optimizer, d_optimizer = optimizers
    first_frame = real[:, :, 0]

    d_optimizer.zero_grad(set_to_none=True)
    with amp:
        d_real = class_loss(discriminator(real), REAL)
    d_real.backward()
    with amp:
        streams = generator(first_frame if z is None else z)
        d_fake = class_loss(discriminator(streams.video.detach()), FAKE)
    d_fake.backward()
    d_optimizer.step()

    g_optimizer.zero_grad(set_to_none=True)
    with amp:
        g_adv = class_loss(discriminator(streams.video), REAL)
        _, extra = penalty(config, streams, first_frame)
    (g_adv if extra is None else g_adv + extra).backward(inputs=list(generator.parameters()))
    g_optimizer.step()
    losses = [d_real, d_fake, g_adv, torch.zeros_like(g_adv) if extra is None else extra]
    return torch.stack([loss.detach() for loss in losses])


@torch.no_grad()
def sample(generator, source):
    generator.eval()
    return generator(source)


# ---------------------------------------------------------------- fixtures


def record(config, seed, dtype):
    c = config
    gen = torch.Generator().manual_seed(1000 + seed)
    fx = Fixture()
    nets = {"generator": Generator(c), "discriminator": Discriminator(c)}
    fill(nets, seed)
    for net in nets.values():
        net.to(dtype)
    fx.state("param", nets)

    clips = (2 * torch.rand(c.batch + 2, 3, c.frames, c.size, c.size, generator=gen) - 1).to(dtype)
    fx.add("in.real", clips, "[B + 2, 3, T, H, W]; training step k uses clips k .. k+B-1, everything else 0 .. B-1")
    z = torch.randn(3, c.batch, c.z_dim, generator=gen).to(dtype)
    if c.variant == "conditional":
        z = [None] * 3
    else:
        fx.add("in.z", z, "[step, B, z_dim]; the single networks and losses use in.z[0]")
    real = clips[: c.batch]
    first_frame = real[:, :, 0]
    source = first_frame if z[0] is None else z[0]

    with torch.no_grad():
        for prefix, training in (("out", True), ("eval", False)):
            m = clone(nets)
            for net in m.values():
                net.train(training)
            streams = m["generator"](source)
            for name, value in streams._asdict().items():
                if value is not None and (training or name in ("video", "mask")):
                    fx.add(f"{prefix}.generator.{name}", value)
            fx.add(f"{prefix}.discriminator.real", m["discriminator"](real))
            fx.add(f"{prefix}.discriminator.fake", m["discriminator"](streams.video))

    m = clone(nets)
    generator, discriminator = m["generator"], m["discriminator"]
    streams = generator(source)
    d_real = class_loss(discriminator(real), REAL)
    d_fake = class_loss(discriminator(streams.video.detach()), FAKE)
    only_d, only_g = {"discriminator": discriminator}, {"generator": generator}
    fx.grads("d_real", d_real, only_d)
    fx.grads("d_fake", d_fake, only_d)
    fx.grads("d", d_real + d_fake, only_d)
    g_adv = class_loss(discriminator(streams.video), REAL)
    name, extra = penalty(c, streams, first_frame)
    if extra is not None:
        fx.grads("g_adv", g_adv, only_g)
        fx.grads(name, extra, only_g)
    fx.grads("g", g_adv if extra is None else g_adv + extra, only_g)

    m = clone(nets)
    optimizers = make_optimizers(m["generator"], m["discriminator"], c)
    losses = []
    for step in range(3):
        losses.append(train_step(m, optimizers, c, clips[step : step + c.batch], z[step]))
        if step in (0, 2):
            fx.state("after" if step == 0 else "after3", m)
    fx.add("loss.steps", torch.stack(losses), "[step, (d_real, d_fake, g_adv, penalty)] before each update")
    return fx


# ---------------------------------------------------------------- benchmark


def bench(config, device, amp):
    nets = {"generator": Generator(config).to(device), "discriminator": Discriminator(config).to(device)}
    optimizers = make_optimizers(nets["generator"], nets["discriminator"], config)
    real = 2 * torch.rand(config.batch, 3, config.frames, config.size, config.size, device=device) - 1

    def noise():
        return torch.randn(config.batch, config.z_dim, device=device)

    def step():
        nets["generator"].train()
        train_step(nets, optimizers, config, real, None if config.variant == "conditional" else noise(), amp)

    def draw():
        with amp:
            sample(nets["generator"], real[:, :, 0] if config.variant == "conditional" else noise())

    return nets, step, draw


PAPER = Config()
TINY = Config(frames=32, size=16, z_dim=5, g_width=3, d_width=2, batch=3)
PRESETS = {
    "tiny": TINY,
    "small": replace(PAPER, g_width=32, d_width=32, batch=8),
    "paper": PAPER,
    "paper-conditional": replace(PAPER, variant="conditional", g_width=128, d_width=128, batch=32),
}

if __name__ == "__main__":
    main("vgan", PRESETS, bench, TINY, record, exact=True)
