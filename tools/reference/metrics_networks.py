"""Golden data for networks that bench/pytorch/metrics.py does not cover: metrics-networks.safetensors in vg-metrics' fixtures.

    metrics_networks.py crates/vg-metrics/tests/fixtures/metrics-networks.safetensors

Narrow networks with random weights, in f32. Entries:
    param.i3d.*, in.i3d.T, out.i3d.T.logits      T = 9 and 13 frames: odd sizes take other paddings; in: [1, 3, T, 1, 1], one colour a frame
    param.vgg19.*, in.vgg [2, 3, 224, 224 from 28 by nearest], out.vgg19.{layers 1, 18, 35 as means and deviations}, .fc2, .logits
    param.st_alex.*, param.st_vgg.*, in.lpips.{a,b}, out.st_{alex,vgg}.layers [N, 5], out.st_alex.map
    param.face.*, in.face (u8 [2, 3, 40, 31]), out.face
    in.bicubic [2, 5, 7], out.bicubic [2, 11, 4]
"""

import os
import sys
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../bench/pytorch"))

from common import Fixture, fill, write_fixture  # noqa: E402
from metrics import I3d, resize  # noqa: E402


@dataclass(frozen=True)
class Config:
    i3d_width: int = 4
    i3d_classes: int = 6
    vgg_width: int = 4
    vgg_hidden: int = 16
    vgg_classes: int = 5
    lpips_width: int = 4
    face_width: int = 4


class Chain(nn.Module):
    """Layers numbered from 0, as torchvision has them in `features`."""

    def __init__(self, layers):
        super().__init__()
        self.features = nn.Sequential(*layers)

    def taps(self, x, numbers):
        found = []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in numbers:
                found.append(x)
        return found, x


class BlurPool(nn.Module):
    """A binomial filter at every second position of the input with two mirrored rows and columns on each side."""

    def forward(self, x):
        row = x.new_tensor((0.25, 0.5, 0.25))
        kernel = torch.outer(row, row).expand(x.shape[1], 1, 3, 3)
        return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=x.shape[1])


def vgg_layers(counts, width, pool):
    layers, a = [], 3
    for channels, count in zip((64, 128, 256, 512, 512), counts):
        for _ in range(count):
            b = channels * width // 64
            layers += [nn.Conv2d(a, b, 3, padding=1), nn.ReLU()]
            a = b
        layers += pool()
    return layers


class Vgg19(Chain):
    def __init__(self, width, hidden, classes):
        super().__init__(vgg_layers((2, 2, 4, 4, 4), width, lambda: [nn.MaxPool2d(2)]))
        flat = 512 * width // 64 * 49
        linears = [nn.Linear(flat, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout()]
        self.classifier = nn.Sequential(*linears, nn.Linear(hidden, classes))


def shift_tolerant_alex(width):
    a, b, c, d = (n * width // 64 for n in (64, 192, 384, 256))
    return [
        nn.Conv2d(3, a, 11, 1, 2), BlurPool(), nn.ReLU(), nn.MaxPool2d(3, 1), BlurPool(),
        nn.Conv2d(a, b, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 1), BlurPool(),
        nn.Conv2d(b, c, 3, 1, 1), nn.ReLU(), nn.Conv2d(c, d, 3, 1, 1), nn.ReLU(), nn.Conv2d(d, d, 3, 1, 1), nn.ReLU(),
    ]  # fmt: skip


class Distance(Chain):
    """Squared differences of normalised features, weighted and averaged."""

    def __init__(self, layers, numbers, channels):
        super().__init__(layers)
        self.numbers = numbers
        for k, c in enumerate(channels):
            head = nn.Module()
            head.model = nn.Sequential(nn.Dropout(), nn.Conv2d(c, 1, 1, bias=False))
            self.add_module(f"lin{k}", head)

    def forward(self, a, b):
        shift, scale = a.new_tensor((-0.030, -0.088, -0.188)), a.new_tensor((0.458, 0.448, 0.450))
        maps = []
        found = [self.taps((x - shift.view(3, 1, 1)) / scale.view(3, 1, 1), self.numbers)[0] for x in (a, b)]
        for k, (x, y) in enumerate(zip(*found)):
            x, y = (v / (v.square().sum(1, keepdim=True).sqrt() + 1e-10) for v in (x, y))
            maps.append(getattr(self, f"lin{k}").model((x - y).square()))
        layers = torch.stack([m.mean((1, 2, 3)) for m in maps], 1)
        return layers, sum(F.interpolate(m, a.shape[2:], mode="bilinear", align_corners=False) for m in maps)


class Scaled(nn.Module):
    """A convolution with bias, a factor and a shift for each channel."""

    def __init__(self, a, b, kernel, stride, padding):
        super().__init__()
        conv = nn.Conv2d(a, b, kernel)
        self.weight, self.bias = conv.weight, conv.bias
        self.scale, self.shift = nn.Parameter(torch.ones(b)), nn.Parameter(torch.zeros(b))
        self.stride, self.padding = stride, padding

    def forward(self, x):
        x = F.conv2d(x, self.weight, self.bias, self.stride, self.padding)
        return x * self.scale.view(-1, 1, 1) + self.shift.view(-1, 1, 1)


class FaceBlock(nn.Module):
    def __init__(self, a, b, down):
        super().__init__()
        self.down = down
        self.conv1 = Scaled(a, b, 3, 2 if down else 1, 0 if down else 1)
        self.conv2 = Scaled(b, b, 3, 1, 1)

    def forward(self, x):
        y = self.conv2(F.relu(self.conv1(x)))
        if self.down:
            x = F.avg_pool2d(x, 2)
            if x.shape[1] != y.shape[1]:
                x = torch.cat([x, torch.zeros_like(x)], 1)
            y = F.pad(y, (0, x.shape[3] - y.shape[3], 0, x.shape[2] - y.shape[2]))
        return F.relu(x + y)


FACE_BLOCKS = (
    ("conv32_1", 1, False), ("conv32_2", 1, False), ("conv32_3", 1, False),
    ("conv64_down", 2, True), ("conv64_1", 2, False), ("conv64_2", 2, False), ("conv64_3", 2, False),
    ("conv128_down", 4, True), ("conv128_1", 4, False), ("conv128_2", 4, False),
    ("conv256_down", 8, True), ("conv256_1", 8, False), ("conv256_2", 8, False), ("conv256_down_out", 8, True),
)  # fmt: skip


class Face(nn.Module):
    """The recognition network of @vladmandic/face-api 1.7.15."""

    def __init__(self, width):
        super().__init__()
        self.conv32_down = Scaled(3, width, 7, 2, 0)
        a = width
        for name, multiple, down in FACE_BLOCKS:
            self.add_module(name, FaceBlock(a, multiple * width, down))
            a = multiple * width
        self.fc = nn.Linear(a, 4 * width, bias=False)

    def forward(self, images, dtype):
        height, width = images.shape[2:]
        missing = abs(height - width)
        after = (missing + 1) // 2
        pads = (missing - after, after, 0, 0) if height > width else (0, 0, missing - after, after)
        x = resize(F.pad(images.to(dtype), pads), (150, 150), "tf1")
        x = (x - x.new_tensor((122.782, 117.001, 104.298)).view(3, 1, 1)) / 255
        x = F.max_pool2d(F.relu(self.conv32_down(x)), 3, 2)
        for name, _, _ in FACE_BLOCKS:
            x = getattr(self, name)(x)
        return self.fc(x.mean((2, 3)))


@torch.no_grad()
def record(config, seed, dtype):
    c = config
    gen = torch.Generator().manual_seed(5000 + seed)
    fx = Fixture()
    w = c.lpips_width
    st_vgg = vgg_layers((2, 2, 3, 3, 3), w, lambda: [nn.MaxPool2d(2, 1), BlurPool()])[:34]
    nets = {
        "i3d": I3d(c.i3d_classes, c.i3d_width),
        "vgg19": Vgg19(c.vgg_width, c.vgg_hidden, c.vgg_classes),
        "st_alex": Distance(shift_tolerant_alex(w), (2, 6, 10, 12, 14), [n * w // 64 for n in (64, 192, 384, 256, 256)]),
        "st_vgg": Distance(st_vgg, (3, 9, 17, 25, 33), [n * w // 64 for n in (64, 128, 256, 512, 512)]),
        "face": Face(c.face_width),
    }
    fill(nets, seed)
    for net in nets.values():
        for name, p in net.named_parameters():
            if p.dim() >= 2:
                p.mul_(2**0.5)  # keeps the scale through ReLUs
            if name.endswith(".scale"):
                p.add_(0.6)
            if ".lin" in f".{name}":
                p.abs_()
        net.eval().to(dtype)
    fx.state("param", nets)

    def uniform(*shape):
        return torch.rand(*shape, generator=gen).to(dtype)

    for frames in (9, 13):
        colours = 2 * uniform(1, 3, frames, 1, 1) - 1
        fx.add(f"in.i3d.{frames}", colours)
        fx.add(f"out.i3d.{frames}.logits", nets["i3d"](colours.expand(1, 3, frames, 224, 224))[0])

    small = 4 * uniform(2, 3, 28, 28) - 2
    fx.add("in.vgg", small, "enlarged eight times by repeating pixels")
    found, x = nets["vgg19"].taps(F.interpolate(small, scale_factor=8, mode="nearest"), (1, 18, 35))
    fx.add("out.vgg19.layers", torch.stack([torch.stack([h.mean(), h.std(correction=0)]) for h in found]), "1, 18 and 35")
    fx.add("out.vgg19.fc2", nets["vgg19"].classifier[:5](x.flatten(1)))
    fx.add("out.vgg19.logits", nets["vgg19"].classifier(x.flatten(1)))

    a = resize(2 * uniform(2, 3, 9, 9) - 1, (45, 38), "half_pixel")
    b = (a + 0.4 * uniform(2, 3, 45, 38) - 0.2).clamp(-1, 1)
    fx.add("in.lpips.a", a)
    fx.add("in.lpips.b", b)
    for name in ("st_alex", "st_vgg"):
        layers, spatial = nets[name](a, b)
        fx.add(f"out.{name}.layers", layers)
        if name == "st_alex":
            fx.add("out.st_alex.map", spatial)

    faces = torch.randint(256, (2, 3, 40, 31), generator=gen).byte()
    fx.add("in.face", faces)
    fx.add("out.face", nets["face"](faces, dtype))

    image = uniform(2, 5, 7)
    fx.add("in.bicubic", image)
    fx.add("out.bicubic", F.interpolate(image[None], (11, 4), mode="bicubic", align_corners=False)[0])
    return fx


if __name__ == "__main__":
    torch.set_num_threads(1)
    print("%.2f MiB, noisy: %s" % write_fixture(sys.argv[1], "metrics-networks", Config(), 0, record))
