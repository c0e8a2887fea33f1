"""PyTorch peer of vid2vid (Wang et al. 2018), conditional video synthesis with flow-warped previous frames.

Coarse generator G0, fine generators G1, G2 ..., image and temporal discriminators, optional face discriminator, the
instance-wise feature encoder E, all loss terms, one weight update per chunk of frames, and sequential inference.
Reference flows and confidences are inputs. Parameter names are those of the released checkpoints (VGG: torchvision's).

Images are [N, C, H, W] and clips [B, T, C, H, W], frames in [-1, 1]; label and instance maps are integers [B, T, H, W].
A flow (u, v) is in pixels of its own resolution, lives on the current frame and points into the previous one. Pyramids
and everything per level are ordered from fine to coarse; generator s works on level n_scales_spatial - 1 - s.

Entries of a fixture, with `k` = 1, 2, 3 for the chunk of the training step:
  param|after|after3 . G0 G1 ... E D D_f D_T0 ... VGG . state-dict name
  in.labels|source|instances|frames|flow|conf        the whole clip: 3 chunks and the n_frames_G - 1 lead-in frames
  in.flow_T<s>.<k>                                   flows between the strided frames of temporal scale s >= 1
  in|out.unit.*                                      warp, confidence, edges, pooling, instance means, masked L1
  in|out.G<s>.*, out.G<s>_nofg|noflow|raw.*          one call of a generator; G1 takes the features of out.G0
  in|out.D.*, in|out.VGG.*, in|out.E.*               every layer output of these networks
  out.chunk.*, loss.<term>, grad.<loss>.*            the first chunk at the initial parameters
  loss.steps                                         the totals of the three updates
  out.inference.frames                               sampling at the initial parameters
"""

from contextlib import nullcontext
from dataclasses import dataclass
from types import SimpleNamespace
from typing import NamedTuple, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common import Fixture, clone, fill, main


@dataclass(frozen=True)
class Config:
    """Option names of the official code where it has one."""

    height: int = 256
    width: int = 512
    batch: int = 1  # clips
    n_frames_load: int = 1  # frames generated per weight update
    # source maps
    label_nc: int = 35  # 0: the source maps are images of input_nc channels
    input_nc: int = 3
    use_instance: bool = True
    feat_num: int = 0  # channels of E's features behind the source channels of every frame; 0: no encoder
    nef: int = 32
    n_downsample_E: int = 3
    norm_E: str = "instance"
    # generators
    ngf: int = 128
    n_downsample_G: int = 3
    n_blocks: int = 9
    n_blocks_local: int = 3
    n_scales_spatial: int = 1
    n_frames_G: int = 3
    norm: str = "batch"
    fg: bool = True
    fg_labels: tuple = (26,)
    no_flow: bool = False
    no_first_img: bool = False
    # discriminators
    ndf: int = 64
    n_layers_D: int = 3
    num_D: int = 2
    n_frames_D: int = 3
    n_scales_temporal: int = 2
    add_face_disc: bool = False
    # losses
    no_vgg: bool = False
    vgg_widths: tuple = (64, 128, 256, 512, 512)
    no_ganFeat: bool = False
    raw_terms: bool = True  # GAN, feature and VGG terms of the raw image
    g_warp: bool = True
    lambda_feat: float = 10.0
    lambda_F: float = 10.0
    lambda_T: float = 10.0
    # optimisation
    lr: float = 2e-4
    beta1: float = 0.5
    TTUR: bool = False
    n_frames_bp: int = 1
    finest_only: bool = False  # only the finest generator trains, as before niter_fix_global epochs
    bench_chunks: int = 1  # chunks of the sequence that `bench` times

    @property
    def source_nc(self):
        return (self.label_nc or self.input_nc) + self.use_instance

    @property
    def temporal_nc(self):
        return 3 * self.n_frames_D + 2 * (self.n_frames_D - 1)

    def generator_inputs(self):
        return (self.source_nc + self.feat_num) * self.n_frames_G, 3 * (self.n_frames_G - 1)


# ---------------------------------------------------------------- source maps


def one_hot(labels, channels, dtype):
    """[B, T, H, W] integers -> [B, T, channels, H, W]."""
    return F.one_hot(labels.long(), channels).movedim(-1, 2).to(dtype)


def instance_edges(instances):
    """True where one of the four neighbours belongs to another instance."""
    edges = torch.zeros_like(instances, dtype=torch.bool)
    across = instances[..., :, 1:] != instances[..., :, :-1]
    along = instances[..., 1:, :] != instances[..., :-1, :]
    edges[..., :, 1:] |= across
    edges[..., :, :-1] |= across
    edges[..., 1:, :] |= along
    edges[..., :-1, :] |= along
    return edges


def encode_source(c, chunk):
    """Per-frame source channels [B, T, source_nc, H, W]: one-hot labels (or the given maps), then the edge map."""
    dtype = chunk.frames.dtype
    maps = one_hot(chunk.labels, c.label_nc, dtype) if c.label_nc else chunk.source
    if c.use_instance:
        maps = torch.cat([maps, instance_edges(chunk.instances).unsqueeze(2).to(dtype)], 2)
    return maps


def halve(x):
    return F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)


def pyramid(clip, levels):
    out = [clip]
    for _ in range(levels - 1):
        b, t = out[-1].shape[:2]
        out.append(halve(out[-1].flatten(0, 1)).unflatten(0, (b, t)))
    return out


def foreground(c, maps):
    """Soft foreground mask [B, 1, h, w] of source maps [B, C, h, w] of any level."""
    return maps[:, list(c.fg_labels)].sum(1, keepdim=True).clamp(0, 1)


# ---------------------------------------------------------------- warp


def warp(image, flow):
    """Bilinear sample of the image at (x + u, y + v), coordinates clamped to the image."""
    h, w = image.shape[-2:]
    x = torch.arange(w, dtype=flow.dtype, device=flow.device) + flow[:, 0]
    y = torch.arange(h, dtype=flow.dtype, device=flow.device)[:, None] + flow[:, 1]
    grid = torch.stack([x * (2 / (w - 1)) - 1, y * (2 / (h - 1)) - 1], -1)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)


def confidence(current, previous, flow):
    """1 where the warped previous frame matches the current one, [N, 1, H, W]."""
    error = (current - warp(previous, flow)).square().sum(1, keepdim=True)
    return (error < 0.02).to(current.dtype)


# ---------------------------------------------------------------- generators


def norm_layer(kind, channels):
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    return nn.InstanceNorm2d(channels, affine=False, track_running_stats=True)


class ResBlock(nn.Module):
    def __init__(self, channels, norm):
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            norm_layer(norm, channels),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            norm_layer(norm, channels),
        )

    def forward(self, x):
        return x + self.conv_block(x)


def wide_conv(a, b):
    return [nn.ReflectionPad2d(3), nn.Conv2d(a, b, 7)]


def entry(a, b, norm):
    return [*wide_conv(a, b), norm_layer(norm, b), nn.ReLU(inplace=True)]


def down(width, times, norm):
    """`times` halvings, each doubling the width."""
    layers = []
    for i in range(times):
        b = width * 2 ** (i + 1)
        layers += [nn.Conv2d(b // 2, b, 3, 2, 1), norm_layer(norm, b), nn.ReLU(inplace=True)]
    return layers


def up(width, times, norm):
    """The way back to `width`."""
    layers = []
    for i in reversed(range(times)):
        b = width * 2**i
        layers += [nn.ConvTranspose2d(2 * b, b, 3, 2, 1, output_padding=1), norm_layer(norm, b), nn.ReLU(inplace=True)]
    return layers


def blocks(channels, count, norm):
    return [ResBlock(channels, norm) for _ in range(count)]


def stack(*groups):
    return nn.Sequential(*(layer for group in groups for layer in group))


class Generated(NamedTuple):
    final: Tensor
    flow: Optional[Tensor]
    mask: Optional[Tensor]  # weight of the hallucinated image
    raw: Tensor  # without warping
    img_feat: Tensor
    flow_feat: Optional[Tensor]
    fg_feat: Optional[Tensor]

    def detach(self):
        return Generated(*(None if x is None else x.detach() for x in self))


class Generator(nn.Module):
    """What both kinds share: the output heads and the composition of the frame."""

    def __init__(self, c, width, fg_width, scale):
        super().__init__()
        self.fg = c.fg
        self.no_flow = c.no_flow
        self.flow_scale = 20.0 * 2**scale
        self.model_final_img = stack(wide_conv(width, 3), [nn.Tanh()])
        if not c.no_flow:
            self.model_final_flow = stack(wide_conv(width, 2))
            self.model_final_w = stack(wide_conv(width, 1), [nn.Sigmoid()])
        if c.fg:
            self.indv_final = stack(wide_conv(fg_width, 3), [nn.Tanh()])

    def features(self, source, prev, coarse):
        raise NotImplementedError

    def forward(self, source, prev, fg_mask=None, coarse=None, raw_only=False):
        img_feat, flow_feat, fg_feat = self.features(source, prev, coarse)
        final = raw = self.model_final_img(img_feat)
        flow = mask = None
        if not self.no_flow:
            flow = self.model_final_flow(flow_feat) * self.flow_scale
            mask = self.model_final_w(flow_feat)
            if not raw_only:
                final = mask * raw + (1 - mask) * warp(prev[:, -3:], flow)
        if self.fg:
            front = self.indv_final(fg_feat)
            final = fg_mask * front + (1 - fg_mask) * final
            raw = fg_mask * front + (1 - fg_mask) * raw
        return Generated(final, flow, mask, raw, img_feat, flow_feat, fg_feat)


class CoarseGenerator(Generator):
    """G0."""

    def __init__(self, c):
        f, d, n = c.ngf, c.n_downsample_G, c.norm
        fi = f // 2 if d > 2 else f
        super().__init__(c, f, fi, 0)
        source_nc, prev_nc = c.generator_inputs()
        early, late = c.n_blocks - c.n_blocks // 2, c.n_blocks // 2
        top = f * 2**d
        self.model_down_seg = stack(entry(source_nc, f, n), down(f, d, n), blocks(top, early, n))
        self.model_down_img = stack(entry(prev_nc, f, n), down(f, d, n), blocks(top, early, n))
        self.model_res_img = stack(blocks(top, late, n))
        self.model_up_img = stack(up(f, d, n))
        if not c.no_flow:
            self.model_res_flow = stack(blocks(top, late, n))
            self.model_up_flow = stack(up(f, d, n))
        if c.fg:
            self.indv_down = stack(entry(source_nc, fi, n), down(fi, d, n))
            self.indv_res = stack(blocks(fi * 2**d, c.n_blocks, n))
            self.indv_up = stack(up(fi, d, n))

    def features(self, source, prev, coarse):
        x = self.model_down_seg(source) + self.model_down_img(prev)
        img = self.model_up_img(self.model_res_img(x))
        flow = None if self.no_flow else self.model_up_flow(self.model_res_flow(x))
        front = self.indv_up(self.indv_res(self.indv_down(source))) if self.fg else None
        return img, flow, front


class FineGenerator(Generator):
    """G1, G2, ...: twice the resolution of the previous one, whose last feature maps come in at half resolution."""

    def __init__(self, c, scale):
        f, n = c.ngf // 2**scale, c.norm
        fi = f // 2 if c.n_downsample_G > 2 else f
        super().__init__(c, f, fi, scale)
        source_nc, prev_nc = c.generator_inputs()
        self.model_down_seg = stack(entry(source_nc, f, n), down(f, 1, n))
        self.model_down_img = stack(entry(prev_nc, f, n), down(f, 1, n))
        self.model_up_img = stack(blocks(2 * f, c.n_blocks_local, n), up(f, 1, n))
        if not c.no_flow:
            self.model_up_flow = stack(blocks(2 * f, c.n_blocks_local, n), up(f, 1, n))
        if c.fg:
            self.indv_down = stack(entry(source_nc, fi, n), down(fi, 1, n))
            self.indv_up = stack(blocks(2 * fi, c.n_blocks_local, n), up(fi, 1, n))

    def features(self, source, prev, coarse):
        x = self.model_down_seg(source) + self.model_down_img(prev)
        img = self.model_up_img(x + coarse.img_feat)
        flow = None if self.no_flow else self.model_up_flow(x + coarse.flow_feat)
        front = self.indv_up(self.indv_down(source) + coarse.fg_feat) if self.fg else None
        return img, flow, front


# ---------------------------------------------------------------- encoder


class Encoder(nn.Module):
    """Frame [N, 3, H, W] and instance ids [N, H, W] -> features, constant inside every instance."""

    def __init__(self, feat_num, nef, times, norm):
        super().__init__()
        head = [*wide_conv(nef, feat_num), nn.Tanh()]
        self.model = stack(entry(3, nef, norm), down(nef, times, norm), up(nef, times, norm), head)

    def forward(self, frame, instances):
        return instance_mean(self.model(frame), instances)


def instance_mean(features, instances):
    """Replaces every value by the mean over the pixels of the same instance of the same image."""
    n, channels, h, w = features.shape
    ids = instances.long()
    ids = ids + torch.arange(n, device=ids.device)[:, None, None] * (ids.max() + 1)
    _, index = ids.flatten().unique(return_inverse=True)
    values = features.movedim(1, -1).reshape(-1, channels)
    size = torch.bincount(index).to(values.dtype)
    sums = torch.zeros(len(size), channels, dtype=values.dtype, device=values.device).index_add(0, index, values)
    return (sums / size[:, None])[index].reshape(n, h, w, channels).movedim(-1, 1)


# ---------------------------------------------------------------- discriminators


class Discriminator(nn.Module):
    """num_D patch discriminators on an image pyramid; column num_D - 1 sees the full resolution.

    Returns per column, full resolution first, the outputs of all layers; the last one is the score map.
    """

    def __init__(self, inputs, c, num_D):
        super().__init__()
        self.num_D = num_D
        self.layers = c.n_layers_D + 2
        for k in range(num_D):
            width = min(64, c.ndf * 2 ** (num_D - 1 - k))
            for j, layer in enumerate(patch_layers(inputs, width, c.n_layers_D, c.norm)):
                setattr(self, f"scale{k}_layer{j}", layer)

    def forward(self, x):
        result = []
        for k in reversed(range(self.num_D)):
            outputs, y = [], x
            for j in range(self.layers):
                y = getattr(self, f"scale{k}_layer{j}")(y)
                outputs.append(y)
            result.append(outputs)
            if k:
                x = halve(x)
        return result


def patch_layers(inputs, width, n_layers, norm):
    layers = [nn.Sequential(nn.Conv2d(inputs, width, 4, 2, 2), nn.LeakyReLU(0.2, inplace=True))]
    for j in range(1, n_layers + 1):
        a, width = width, min(2 * width, 512)
        conv = nn.Conv2d(a, width, 4, 2 if j < n_layers else 1, 2)
        layers.append(nn.Sequential(conv, norm_layer(norm, width), nn.LeakyReLU(0.2, inplace=True)))
    layers.append(nn.Sequential(nn.Conv2d(width, 1, 4, 1, 2)))
    return layers


class VggFeatures(nn.Module):
    """VGG19 up to relu5_1; torchvision's `features.*` keys load into it (strict=False, the rest is not needed)."""

    TAPS = (1, 6, 11, 20, 29)

    def __init__(self, widths=(64, 128, 256, 512, 512)):
        super().__init__()
        layers, a = [], 3
        for stage, (b, convs) in enumerate(zip(widths, (2, 2, 4, 4, 1))):
            if stage:
                layers.append(nn.MaxPool2d(2))
            for _ in range(convs):
                layers += [nn.Conv2d(a, b, 3, 1, 1), nn.ReLU(inplace=True)]
                a = b
        self.features = nn.Sequential(*layers)
        self.requires_grad_(False)

    def forward(self, x):
        while x.shape[-1] > 1024:
            x = F.avg_pool2d(x, 2)
        taps = []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in self.TAPS:
                taps.append(x)
        return taps


# ---------------------------------------------------------------- networks and optimisers


def make_networks(c):
    nets = {"G0": CoarseGenerator(c)}
    for s in range(1, c.n_scales_spatial):
        nets[f"G{s}"] = FineGenerator(c, s)
    if c.feat_num:
        nets["E"] = Encoder(c.feat_num, c.nef, c.n_downsample_E, c.norm_E)
    nets["D"] = Discriminator(c.source_nc + 3, c, c.num_D)
    if c.add_face_disc:
        nets["D_f"] = Discriminator(c.source_nc + 3, c, max(1, c.num_D - 2))
    for s in range(c.n_scales_temporal):
        nets[f"D_T{s}"] = Discriminator(c.temporal_nc, c, c.num_D)
    for net in nets.values():
        net.apply(init_weights)
    return nets


def init_weights(layer):
    """Convolution biases keep PyTorch's default."""
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
        nn.init.zeros_(layer.bias)


def make_optimizers(nets, c):
    """One Adam for the generators (and E), one for D (and D_f), one per temporal discriminator."""

    def adam(names, lr, betas):
        return torch.optim.Adam([p for name in names for p in nets[name].parameters()], lr=lr, betas=betas)

    scales = [c.n_scales_spatial - 1] if c.finest_only else range(c.n_scales_spatial)
    generators = [f"G{s}" for s in scales] + (["E"] if c.feat_num else [])
    images = ["D", "D_f"] if c.add_face_disc else ["D"]
    plain = (c.beta1, 0.999)
    optimizers = {
        "G": adam(generators, c.lr / 2 if c.TTUR else c.lr, (0.0, 0.9) if c.TTUR else plain),
        "D": adam(images, c.lr * 2 if c.TTUR else c.lr, (0.0, 0.9) if c.TTUR else plain),
    }
    for s in range(c.n_scales_temporal):
        optimizers[f"D_T{s}"] = adam([f"D_T{s}"], c.lr, plain)
    return optimizers


# ---------------------------------------------------------------- generation


def generator_source(nets, c, chunk, source):
    """Source channels for the generators; E's features of all given real frames, encoded as one batch, follow them."""
    if not c.feat_num:
        return source
    b, t = source.shape[:2]
    features = nets["E"](chunk.frames.flatten(0, 1), chunk.instances.flatten(0, 1))
    return torch.cat([source, features.unflatten(0, (b, t))], 2)


def lead_in(c, chunk):
    """Previous frames of the first output, per level: the real ones, or zeros when the model makes its own start."""
    frames = chunk.frames[:, : c.n_frames_G - 1]
    return pyramid(torch.zeros_like(frames) if c.no_first_img else frames, c.n_scales_spatial)


def generate(nets, c, source, prev, raw_only):
    """Frames n_frames_G - 1 ... of the source clip, one after another, at all scales.

    `prev`: per level the n_frames_G - 1 frames before, [B, n_frames_G - 1, 3, h, w].
    """
    span = c.n_frames_G
    maps = pyramid(source, c.n_scales_spatial)
    frames = [list(level.unbind(1)) for level in prev]
    finest = []
    for t in range(source.shape[1] - span + 1):
        out = None
        for s in range(c.n_scales_spatial):
            level = c.n_scales_spatial - 1 - s
            window = maps[level][:, t : t + span].flatten(1, 2)
            before = torch.cat(frames[level][t:], 1)
            if t % c.n_frames_bp == 0:
                before = before.detach()
            mask = foreground(c, maps[level][:, t + span - 1]) if c.fg else None
            out = nets[f"G{s}"](window, before, mask, out, raw_only)
            if level and c.finest_only:
                out = out.detach()
            frames[level].append(out.final)
        finest.append(out)

    def collect(name):
        values = [getattr(out, name) for out in finest]
        return None if values[0] is None else torch.stack(values, 1)

    return SimpleNamespace(
        final=collect("final"),
        raw=collect("raw"),
        flow=collect("flow"),
        mask=collect("mask"),
        levels=[torch.stack(level[span - 1 :], 1) for level in frames],
        prev=[torch.stack(level[1 - span :], 1).detach() for level in frames],
    )


@torch.no_grad()
def infer(nets, c, chunk):
    """All frames after the lead-in of one clip, as at test time: normalisation by the statistics of each frame."""
    for net in nets.values():
        net.train()
    source = generator_source(nets, c, chunk, encode_source(c, chunk))
    prev = lead_in(c, chunk)
    frames = []
    for t in range(source.shape[1] - c.n_frames_G + 1):
        out = generate(nets, c, source[:, t : t + c.n_frames_G], prev, c.no_first_img and t == 0)
        prev = out.prev
        frames.append(out.final)
    return torch.cat(frames, 1)


def to_pixels(frames):
    return ((frames.float() + 1) * 127.5).clamp(0, 255).to(torch.uint8)


# ---------------------------------------------------------------- losses


def masked_l1(a, b, mask):
    """Mean over all elements, masked ones included."""
    return F.l1_loss(a * mask, b * mask)


def least_squares(outputs, target):
    return sum(F.mse_loss(column[-1], torch.full_like(column[-1], target)) for column in outputs)


def feature_matching(c, fake, real):
    if c.no_ganFeat:
        return fake[0][-1].new_zeros(())
    weight = c.lambda_feat * 4 / (c.n_layers_D + 1) / c.num_D
    loss = 0
    for f, r in zip(fake, real):
        for a, b in zip(f[:-1], r[:-1]):
            loss = loss + F.l1_loss(a, b.detach())
    return weight * loss


def perceptual(vgg, image, reference):
    """`reference`: the taps of the target image."""
    weights = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)
    return sum(w * F.l1_loss(a, b) for w, a, b in zip(weights, vgg(image), reference))


def adversarial(c, net, real, fakes):
    """(D real, D fake, G GAN, G feature matching), summed over the kinds of fakes, the real term once per kind.

    Passes in order: real, then per kind the detached fake and the fake.
    """
    scored = net(real)
    d_fake = g_gan = g_feat = 0
    for fake in fakes:
        d_fake = d_fake + least_squares(net(fake.detach()), 0.0)
        outputs = net(fake)
        g_gan = g_gan + least_squares(outputs, 1.0)
        g_feat = g_feat + feature_matching(c, outputs, scored)
    return len(fakes) * least_squares(scored, 1.0), d_fake, g_gan, g_feat


def face_region(c, source):
    """Square crop (rows, columns), a quarter of the frame height, around the face of DensePose maps [N, C, H, W], or None.

    As in the official code the crop never touches the last row and column.
    """
    found = (source[:, 2] > 0.9).nonzero()
    if not len(found):
        return None
    half = c.height // 32 * 4
    crop = []
    for positions, size in ((found[:, 1], source.shape[2]), (found[:, 2], source.shape[3])):
        centre = (int(positions.min()) + int(positions.max())) // 2
        centre = max(half, min(size - 1 - half, centre))
        crop.append(slice(centre - half, centre + half))
    return crop


def triplets(frames, fresh, count, stride):
    """Groups of `count` frames, `stride` apart, ending 0, count, 2 count ... frames before the newest.

    `frames` [B, n, ...], of which the last `fresh` are new -> [groups * B, count, ...], newest first; None without a
    complete group.
    """
    n, span = frames.shape[1], stride * (count - 1)
    groups = [frames[:, n - 1 - o - span : n - o : stride] for o in range(0, min(n - span, fresh), count)]
    return torch.cat(groups) if groups else None


@dataclass
class ClipState:
    """What a clip hands from one chunk to the next; all of it detached."""

    prev: Optional[list] = None  # per level, the last generated frames
    real: Optional[Tensor] = None  # histories for the temporal discriminators
    fake: Optional[Tensor] = None
    flow: Optional[Tensor] = None


def append(history, new, keep):
    """The whole history including the new frames, and what to keep of it."""
    full = new if history is None else torch.cat([history, new], 1)
    return full, full[:, -keep:].detach()


def chunk_losses(nets, vgg, c, chunk, state):
    """(Loss terms, totals per optimiser, generated chunk, next state); nothing is updated.

    chunk.labels (or chunk.source), .instances, .frames: n_frames_G - 1 + n frames; .flow, .conf: n reference flows
    to the previous real frame; .flow_T: flows between the frames of `triplets` per temporal scale >= 1.
    """
    span = c.n_frames_G
    source = encode_source(c, chunk)
    first = state.prev is None
    prev = lead_in(c, chunk) if first else state.prev
    made = generate(nets, c, generator_source(nets, c, chunk, source), prev, first and c.no_first_img)

    real, real_prev = chunk.frames[:, span - 1 :], chunk.frames[:, span - 2 : -1]
    before = real_prev[:, :1] if first else prev[0][:, -1:]
    fake_prev = torch.cat([before, made.final[:, :-1]], 1).detach()
    terms = frame_losses(
        nets, vgg, c, source[:, span - 1 :].flatten(0, 1), real.flatten(0, 1), real_prev.flatten(0, 1), fake_prev.flatten(0, 1),
        chunk.flow.flatten(0, 1), chunk.conf.flatten(0, 1), made,
    )  # fmt: skip

    count, n = c.n_frames_D, real.shape[1]
    keep = count ** (c.n_scales_temporal - 1) * (count - 1)
    reals, kept_real = append(state.real, real, keep)
    fakes, kept_fake = append(state.fake, made.final, keep)
    flows, kept_flow = append(state.flow, chunk.flow, count - 1)
    active = []
    for s in range(c.n_scales_temporal):
        groups = triplets(reals, n, count, count**s)
        if groups is None:
            break
        active.append(s)
        between = chunk.flow_T[s] if s else triplets(flows, n, count, 1)[:, 1:]
        motion = between.flatten(1, 2) / 20
        d_real, d_fake, g_gan, g_feat = adversarial(
            c, nets[f"D_T{s}"], torch.cat([groups.flatten(1, 2), motion], 1),
            [torch.cat([triplets(fakes, n, count, count**s).flatten(1, 2), motion], 1)],
        )  # fmt: skip
        terms |= {f"D_T_real{s}": d_real, f"D_T_fake{s}": d_fake, f"G_T_GAN{s}": g_gan, f"G_T_GAN_Feat{s}": g_feat}

    totals = {
        "G": sum(value for name, value in terms.items() if not name.startswith("D_")),
        "D": 0.5 * sum(terms[name] for name in ("D_real", "D_fake", "D_f_real", "D_f_fake") if name in terms),
    }
    for s in active:
        totals[f"D_T{s}"] = 0.5 * (terms[f"D_T_real{s}"] + terms[f"D_T_fake{s}"])
    return terms, totals, made, ClipState(made.prev, kept_real, kept_fake, kept_flow)


def frame_losses(nets, vgg, c, source, real, real_prev, fake_prev, flow_ref, conf, made):
    """Terms over single frames; clips and time share the batch axis."""
    fake = made.final.flatten(0, 1)
    images = [fake, made.raw.flatten(0, 1)] if c.raw_terms else [fake]
    terms = {}
    if not c.no_vgg:
        with torch.no_grad():
            reference = vgg(real)
        terms["G_VGG"] = c.lambda_feat * sum(perceptual(vgg, image, reference) for image in images)
    pairs = [torch.cat([source, image], 1) for image in images]
    d_real, d_fake, g_gan, g_feat = adversarial(c, nets["D"], torch.cat([source, real], 1), pairs)
    terms |= {"G_GAN": g_gan, "G_GAN_Feat": g_feat, "D_real": d_real, "D_fake": d_fake}
    if c.g_warp:
        terms["G_Warp"] = c.lambda_T * masked_l1(fake, warp(fake_prev, flow_ref), conf)
    if made.flow is not None:
        flow = made.flow.flatten(0, 1)
        terms["F_Flow"] = c.lambda_F / 2 ** (c.n_scales_spatial - 1) * masked_l1(flow, flow_ref, conf)
        terms["F_Warp"] = c.lambda_T * masked_l1(warp(real_prev, flow), real, conf)
        if c.no_first_img:
            terms["W"] = (made.mask.flatten(0, 1) * conf).mean()
    if c.add_face_disc and (crop := face_region(c, source)):
        rows, columns = crop
        cut_real = torch.cat([source, real], 1)[:, :, rows, columns]
        d_real, d_fake, g_gan, g_feat = adversarial(c, nets["D_f"], cut_real, [pairs[0][:, :, rows, columns]])
        terms |= {"G_f_GAN": 2 * g_gan, "G_f_GAN_Feat": 2 * g_feat, "D_f_real": d_real, "D_f_fake": d_fake}
    return terms


def train_step(nets, vgg, optimizers, c, chunk, state, amp=nullcontext()):
    """One update of all networks on one chunk; every loss is taken before the first update."""
    with amp:
        terms, totals, _, state = chunk_losses(nets, vgg, c, chunk, state)
    for name, loss in totals.items():
        optimizer = optimizers[name]
        optimizer.zero_grad()
        loss.backward(inputs=optimizer.param_groups[0]["params"])
        optimizer.step()
    return {name: loss.detach() for name, loss in {**terms, **totals}.items()}, state


# ---------------------------------------------------------------- fixtures


def group_count(c, k):
    """Triplets per clip and temporal scale in the k-th chunk (k = 1, 2, ...)."""
    count, counts = c.n_frames_D, []
    keep = count ** (c.n_scales_temporal - 1) * (count - 1)
    history = min(keep, (k - 1) * c.n_frames_load) + c.n_frames_load
    for s in range(c.n_scales_temporal):
        counts.append(len(range(0, min(history - count**s * (count - 1), c.n_frames_load), count)))
    return counts


def synthetic_clip(c, gen, length):
    """Drifting label blocks with instances, smooth frames, smooth flows of a few pixels and blocky confidences."""
    h, w, b = c.height, c.width, c.batch

    def blocky(t, high, cell):
        coarse = torch.randint(0, high, (b, t, -(-h // cell), -(-w // cell)), generator=gen)
        return coarse.repeat_interleave(cell, 2).repeat_interleave(cell, 3)[..., :h, :w]

    def smooth(t, channels):
        coarse = torch.rand(b * t, channels, max(2, h // 4), max(2, w // 4), generator=gen)
        fine = F.interpolate(coarse, size=(h, w), mode="bilinear", align_corners=True)
        return (2 * fine - 1).unflatten(0, (b, t)).contiguous()

    kinds = blocky(1, c.label_nc or 4, 7)
    things = kinds * 1000 + blocky(1, 3, 3)
    drift = [(t // 2, t) for t in range(length)]
    labels = torch.cat([kinds.roll(shift, (2, 3)) for shift in drift], 1).to(torch.uint8)
    instances = torch.cat([things.roll(shift, (2, 3)) for shift in drift], 1)
    source = 1.2 * smooth(length, c.input_nc)
    frames = 0.9 * smooth(length, 3)
    flow = 2.5 * smooth(length - c.n_frames_G + 1, 2)
    conf = (blocky(length - c.n_frames_G + 1, 4, 5) > 0).float().unsqueeze(2)
    return SimpleNamespace(labels=labels, instances=instances, source=source, frames=frames, flow=flow, conf=conf)


def cut(c, clip, k, flow_T):
    """The k-th chunk (k = 1, 2, ...) of a clip."""
    n = c.n_frames_load
    wide = slice((k - 1) * n, k * n + c.n_frames_G - 1)
    exact = slice((k - 1) * n, k * n)
    return SimpleNamespace(
        labels=clip.labels[:, wide],
        instances=clip.instances[:, wide],
        source=clip.source[:, wide],
        frames=clip.frames[:, wide],
        flow=clip.flow[:, exact],
        conf=clip.conf[:, exact],
        flow_T={s: flows[k] for s, flows in flow_T.items() if k in flows},
    )


@torch.no_grad()
def tame(generator, scale):
    """Makes random generators fit for golden data.

    Flows of a few pixels instead of tens keep most samples inside the small frames. A weaker branch of the previous frames
    keeps rounding errors from doubling with every frame, as they do in a generator with random weights.
    """
    if not generator.no_flow:
        generator.model_final_flow[1].weight.mul_(0.1 / 2**scale)
    branch = generator.model_down_img
    ends = [layer.conv_block[-1] for layer in branch if isinstance(layer, ResBlock)]
    ends.append([layer for layer in branch if hasattr(layer, "running_mean")][-1])
    for norm in ends:
        if norm.affine:
            norm.weight.mul_(0.25)
            norm.bias.mul_(0.25)


def record(c, seed, dtype):
    gen = torch.Generator().manual_seed(1000 + seed)

    def uniform(*shape, scale=1.0):
        return (scale * (2 * torch.rand(shape, generator=gen) - 1)).to(dtype)

    fx = Fixture()
    nets = make_networks(c)
    vgg = VggFeatures(c.vgg_widths)
    fill({**nets, "VGG": vgg}, seed)
    for s in range(c.n_scales_spatial):
        tame(nets[f"G{s}"], s)
    for net in (*nets.values(), vgg):
        net.to(dtype)
    fx.state("param", nets if c.no_vgg else {**nets, "VGG": vgg})

    # The clip. Integers stay integers; u8 labels, i64 instances.
    n, lead = c.n_frames_load, c.n_frames_G - 1
    clip = synthetic_clip(c, gen, lead + 3 * n)
    for name in ("source", "frames", "flow", "conf"):
        setattr(clip, name, getattr(clip, name).to(dtype))
    if c.label_nc:
        fx.add("in.labels", clip.labels, "u8 [B, T, H, W]")
    else:
        fx.add("in.source", clip.source, "[B, T, input_nc, H, W]")
    if c.use_instance or c.feat_num:
        fx.add("in.instances", clip.instances, "i64 [B, T, H, W]")
    fx.add("in.frames", clip.frames, f"chunk k takes frames {n}(k-1) ... {n}k+{lead - 1}, the last {n} are generated")
    fx.add("in.flow", clip.flow, "reference flow of each frame after the lead-in to the real frame before it")
    fx.add("in.conf", clip.conf)
    flow_T = {s: {} for s in range(1, c.n_scales_temporal)}
    for k in (1, 2, 3):
        for s, groups in enumerate(group_count(c, k)):
            if s and groups:
                flow_T[s][k] = uniform(groups * c.batch, c.n_frames_D - 1, 2, c.height, c.width, scale=5.0)
                fx.add(f"in.flow_T{s}.{k}", flow_T[s][k], "[groups * B, n_frames_D - 1, 2, H, W], groups newest first")
    chunk = cut(c, clip, 1, flow_T)

    record_units(fx, c, chunk, uniform)
    record_networks(fx, c, nets, vgg, uniform, gen, dtype)

    # The first chunk at the initial parameters.
    m = clone(nets)
    terms, totals, made, _ = chunk_losses(m, vgg, c, chunk, ClipState())
    for name in ("final", "raw", "flow", "mask"):
        value = getattr(made, name)
        if value is not None:
            fx.add(f"out.chunk.{name}", value)
    for level in range(1, c.n_scales_spatial):
        fx.add(f"out.chunk.level{level}", made.levels[level], "frames composed by the coarser generators")
    finest = f"G{c.n_scales_spatial - 1}"
    heads = {
        f"{finest}.{name}": child
        for name, child in m[finest].named_children()
        if name.startswith("model_final") or name == "indv_final"
    }
    for name, loss in terms.items():
        if name.startswith("G_") or name in ("F_Flow", "F_Warp", "W"):
            fx.grads(name, loss, heads)
        else:
            fx.add(f"loss.{name}", loss)
    fx.notes["loss.G_GAN"] = "gradients of single terms: output layers of the finest generator only"
    groups = {"G": ("G", "E"), "D": ("D", "D_f")}
    for name, loss in totals.items():
        trained = optimized(m, c, groups.get(name, (name,)))
        fx.grads(f"total_{name}", loss, trained)

    # Three updates.
    m = clone(nets)
    optimizers = make_optimizers(m, c)
    state, steps = ClipState(), []
    labels = ["G", "D"] + [f"D_T{s}" for s in range(c.n_scales_temporal)]
    for k in (1, 2, 3):
        losses, state = train_step(m, vgg, optimizers, c, cut(c, clip, k, flow_T), state)
        steps.append(torch.stack([losses.get(name, torch.tensor(0.0, dtype=dtype)) for name in labels]))
        if k != 2:
            fx.state("after" if k == 1 else "after3", m)
    fx.notes["after.D.scale0_layer1.1.running_mean"] = (
        "running statistics follow the passes: real, final detached, final, raw detached, raw; no result uses them"
    )
    fx.add("loss.steps", torch.stack(steps), f"[chunk, {labels}] before the updates; 0: this discriminator was not run")

    # Sampling.
    short = cut(c, clip, 1, {})
    if c.batch > 1:
        short = SimpleNamespace(**{k: v[:1] for k, v in short.__dict__.items() if torch.is_tensor(v)})
    frames = infer(clone(nets), c, short)
    fx.add("out.inference.frames", frames, "first clip, first chunk, frame by frame from the lead-in of lead_in()")
    fx.add("out.inference.pixels", to_pixels(frames), "u8, truncated; rounding may move a value by one")
    return fx


def optimized(nets, c, prefixes):
    """The networks that the loss of this name updates."""
    chosen = {}
    for name, net in nets.items():
        if "G" in prefixes and name[0] == "G":
            if not c.finest_only or name == f"G{c.n_scales_spatial - 1}":
                chosen[name] = net
        elif name in prefixes:
            chosen[name] = net
    return chosen


def record_units(fx, c, chunk, uniform):
    """Small operations on their own."""
    source = encode_source(c, chunk)
    fx.add("out.unit.source", source[:, :1], "first frame of encode_source")
    fx.add("out.unit.source_half", pyramid(source[:, :1], 2)[1], "the next pyramid level")
    if c.fg:
        fx.add("out.unit.foreground", foreground(c, source[:, 0]))
        fx.add("out.unit.foreground_half", foreground(c, pyramid(source[:, :1], 2)[1][:, 0]))

    if c.add_face_disc and (crop := face_region(c, source[0])):
        ends = [end for part in crop for end in (part.start, part.stop)]
        fx.add("out.unit.face_region", torch.tensor(ends), "top, bottom, left, right over the frames of the first clip")

    image, flow, weight = uniform(2, 3, 6, 9), uniform(2, 2, 6, 9, scale=6.0), uniform(2, 3, 6, 9)
    fx.add("in.unit.warp.image", image)
    fx.add("in.unit.warp.flow", flow, "about a third of the samples lie outside")
    fx.add("in.unit.warp.weight", weight, "loss.unit_warp = sum(weight * warp(image, flow))")
    image.requires_grad_()
    flow.requires_grad_()
    warped = warp(image, flow)
    fx.add("out.unit.warp", warped)
    for name, g in zip(("image", "flow"), torch.autograd.grad((weight * warped).sum(), (image, flow))):
        fx.add(f"grad.unit_warp.{name}", g)
    fx.add("out.unit.warp_zero", warp(image, torch.zeros_like(flow)), "zero flow: the image itself")

    previous = chunk.frames[0, :1]
    current = warp(previous.float(), chunk.flow[0, :1].float()).to(previous) + uniform(*previous.shape, scale=0.12)
    current = current.float().to(previous)
    fx.add("in.unit.conf.current", current)
    confident = confidence(current, previous, chunk.flow[0, :1])
    fx.add("out.unit.conf", confident, "of in.unit.conf.current, in.frames[0, 0], in.flow[0, 0]")
    fx.add("loss.unit_masked_l1", masked_l1(current, previous, chunk.conf[0, :1]), "the same two images, in.conf[0, 0]")

    if c.use_instance or c.feat_num:
        features = uniform(c.batch, 2, 16, 32)
        fx.add("in.unit.instance_mean", features, "with in.instances[:, 0, :16, :32]")
        fx.add("out.unit.instance_mean", instance_mean(features, chunk.instances[:, 0, :16, :32]))


def record_networks(fx, c, nets, vgg, uniform, gen, dtype):
    """One call of every kind of network, with batch statistics, at the initial parameters."""
    nets = clone(nets)
    source_nc, prev_nc = c.generator_inputs()
    coarse = None
    with torch.no_grad():
        for s in range(c.n_scales_spatial):
            size = c.height // 2 ** (c.n_scales_spatial - 1 - s), c.width // 2 ** (c.n_scales_spatial - 1 - s)
            source, prev = uniform(1, source_nc, *size), uniform(1, prev_nc, *size)
            mask = torch.rand(1, 1, *size, generator=gen).mul(1.6).sub(0.3).clamp(0, 1).to(dtype)
            name = f"G{s}"
            fx.add(f"in.{name}.source", source)
            fx.add(f"in.{name}.prev", prev)
            fx.add(f"in.{name}.fg_mask", mask)
            out = nets[name](source, prev, mask, coarse)
            for field, value in zip(out._fields, out):
                if value is not None:
                    fx.add(f"out.{name}.{field}", value)
            raw = nets[name](source, prev, mask, coarse, raw_only=True)
            fx.add(f"out.{name}_raw.final", raw.final, "raw_only")
            nets[name].fg = False
            fx.add(f"out.{name}_nofg.final", nets[name](source, prev, None, coarse).final, "same weights, no foreground branch")
            nets[name].no_flow = True
            fx.add(f"out.{name}_noflow.final", nets[name](source, prev, None, coarse).final, "and no flow branch")
            coarse = out

        images = uniform(2, c.source_nc + 3, 16, 32)
        fx.add("in.D.x", images)
        for i, column in enumerate(nets["D"](images)):
            for j, value in enumerate(column):
                fx.add(f"out.D.{i}.{j}", value, "[pyramid level, layer]" if i + j == 0 else None)
        if not c.no_vgg:
            x = uniform(1, 3, 16, 32)
            fx.add("in.VGG.x", x)
            for i, value in enumerate(vgg(x)):
                fx.add(f"out.VGG.{i}", value)
    if c.feat_num:
        b, h, w = 2, 16, 32
        x, weight = uniform(b, 3, h, w), uniform(b, c.feat_num, h, w)
        ids = torch.randint(0, 3, (b, -(-h // 5), -(-w // 5)), generator=gen) * 1000
        ids = ids.repeat_interleave(5, 1).repeat_interleave(5, 2)[:, :h, :w].contiguous()
        fx.add("in.E.x", x)
        fx.add("in.E.instances", ids)
        fx.add("in.E.weight", weight, "loss.E = sum(weight * E(x, instances))")
        out = nets["E"](x, ids)
        fx.add("out.E.features", out)
        with torch.no_grad():
            fx.add("out.E.before_pooling", nets["E"].model(x))
        fx.grads("E", (weight * out).sum(), {"E": nets["E"]})


# ---------------------------------------------------------------- benchmark


def bench(c, device, amp):
    """Step: a whole sequence of `bench_chunks` chunks from real first frames, one update each. Sampling: the frames of one chunk."""
    nets = {name: net.to(device).train() for name, net in make_networks(c).items()}
    vgg = None if c.no_vgg else VggFeatures(c.vgg_widths).to(device)
    optimizers = make_optimizers(nets, c)
    gen = torch.Generator().manual_seed(0)
    count, n, b, size = c.n_frames_D, c.n_frames_load, c.batch, (c.height, c.width)
    clip = synthetic_clip(c, gen, c.bench_chunks * n + c.n_frames_G - 1)
    clip = SimpleNamespace(**{name: value.to(device) for name, value in clip.__dict__.items()})
    flow_T = {s: {} for s in range(1, c.n_scales_temporal)}
    for k in range(1, c.bench_chunks + 1):
        for s, groups in enumerate(group_count(c, k)):
            if s and groups:
                flow_T[s][k] = torch.randn(groups * b, count - 1, 2, *size, device=device)
    chunks = [cut(c, clip, k, flow_T) for k in range(1, c.bench_chunks + 1)]

    def step():
        state = ClipState()
        for chunk in chunks:
            _, state = train_step(nets, vgg, optimizers, c, chunk, state, amp)

    def sample():
        with amp:
            infer(nets, c, chunks[0])

    return nets, step, sample


TINY = dict(
    height=16, width=32, label_nc=4, fg_labels=(1,), ngf=4, n_downsample_G=2, n_blocks=2, n_blocks_local=1,
    ndf=2, vgg_widths=(2, 3, 4, 4, 4), n_frames_load=7, nef=2, n_downsample_E=2,
)  # fmt: skip
PRESETS = {
    "tiny": Config(**TINY, no_vgg=True),
    "small": Config(
        height=64, width=128, label_nc=8, fg_labels=(1,), ngf=24, ndf=32, no_vgg=True, n_frames_load=3, bench_chunks=4
    ),
    # Street model at a reduced size: full depth, a quarter of the width, 128x256 crops; the perceptual term needs weights.
    "paper-small": Config(height=128, width=256, ngf=32, no_vgg=True, n_frames_load=3, bench_chunks=4),
}
FIXTURE = Config(**TINY)

if __name__ == "__main__":
    main("vid2vid", PRESETS, bench, FIXTURE, record, exact=True)
