"""PyTorch peer of SVG (Denton & Fergus 2018): learned prior, fixed prior and the deterministic baseline.

Networks, loss, one training step and sampling. All noise is an argument, so that another implementation can be fed the same numbers.
Frames are [B, C, H, W] in [0, 1]; a clip is [T, B, C, H, W]. Parameter names are those of the released checkpoints.

Fixture entries, NET in encoder, decoder, frame_predictor, posterior (lp, fp), prior (lp):
  param|after|after3.NET.*   state dicts before, after one and after three training steps on in.x[:n_past + n_future]
  out|eval.encoder.{h,skipN} out|eval.decoder.frame        single networks, train and eval mode, on in.x[0], in.decoder.g
  out.posterior|prior.{mu,logvar} out.frame_predictor.g    three steps from a zero state, on in.lstm.{h,z}
  out.unroll.* loss.* grad.{kl,total}.NET.*                one teacher-forced pass with in.eps[0]; loss.steps: all three steps
  eval.rollout.frames eval.rollout_posterior.last out.rollout.last    sampling with the initial parameters
"""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn

from common import Fixture, calibrate, clone, fill, main


@dataclass(frozen=True)
class Config:
    variant: str = "lp"  # lp: learned prior, fp: N(0, I), det: no latent
    backbone: str = "dcgan"  # dcgan, vgg
    image_width: int = 64  # 64, 128
    channels: int = 1
    nf: int = 64
    g_dim: int = 128
    z_dim: int = 10
    rnn_size: int = 256
    predictor_layers: int = 2
    posterior_layers: int = 1
    prior_layers: int = 1
    n_past: int = 5
    n_future: int = 10
    n_eval: int = 30
    skip_source: str = "last_context"  # last_context: i <= n_past, official: i < n_past, previous: always
    bn_mode: str = "eval"  # of encoder and decoder while sampling: eval, batch_stats
    beta: float = 1e-4
    lr: float = 2e-3
    batch: int = 100

    @property
    def frames(self):
        return self.n_past + self.n_future

    def takes_skip(self, i):
        """Whether frame i is predicted with the skips of frame i - 1 instead of the ones kept so far."""
        if self.skip_source == "previous":
            return True
        return i < self.n_past or (self.skip_source == "last_context" and i == self.n_past)


# ---------------------------------------------------------------- encoder and decoder


def widths(config):
    """Channels of the skip levels, finest first."""
    return [config.nf * m for m in ((1, 2, 4, 8) if config.image_width == 64 else (1, 2, 4, 8, 8))]


class Block(nn.Module):
    """Convolution with bias, BatchNorm, LeakyReLU."""

    def __init__(self, conv, channels):
        super().__init__()
        self.main = nn.Sequential(conv, nn.BatchNorm2d(channels), nn.LeakyReLU(0.2))

    def forward(self, x):
        return self.main(x)


def down(a, b):
    return Block(nn.Conv2d(a, b, 4, 2, 1), b)


def up(a, b):
    return Block(nn.ConvTranspose2d(a, b, 4, 2, 1), b)


def same(a, b):
    return Block(nn.Conv2d(a, b, 3, 1, 1), b)


def to_vector(a, g_dim):
    return nn.Sequential(nn.Conv2d(a, g_dim, 4, 1, 0), nn.BatchNorm2d(g_dim), nn.Tanh())


def from_vector(g_dim, b):
    return nn.Sequential(nn.ConvTranspose2d(g_dim, b, 4, 1, 0), nn.BatchNorm2d(b), nn.LeakyReLU(0.2))


class Encoder(nn.Module):
    """Frame -> (vector [B, g_dim], skips finest first)."""

    def __init__(self, config):
        super().__init__()
        w = widths(config)
        self.levels = len(w)
        self.vgg = config.backbone == "vgg"
        for k, (a, b) in enumerate(zip([config.channels] + w, w)):
            if self.vgg:
                block = nn.Sequential(same(a, b), *(same(b, b) for _ in range(1 if k < 2 else 2)))
            else:
                block = down(a, b)
            setattr(self, f"c{k + 1}", block)
        setattr(self, f"c{self.levels + 1}", to_vector(w[-1], config.g_dim))

    def forward(self, x):
        skips = []
        for k in range(self.levels):
            if self.vgg and k:
                x = F.max_pool2d(x, 2)
            x = getattr(self, f"c{k + 1}")(x)
            skips.append(x)
        if self.vgg:
            x = F.max_pool2d(x, 2)
        return getattr(self, f"c{self.levels + 1}")(x).flatten(1), skips


class Decoder(nn.Module):
    """(Vector, skips) -> frame."""

    def __init__(self, config):
        super().__init__()
        w = widths(config)
        self.levels = len(w)
        self.vgg = config.backbone == "vgg"
        self.upc1 = from_vector(config.g_dim, w[-1])
        for n, k in enumerate(range(self.levels - 1, 0, -1)):
            if self.vgg:
                middle = [same(w[k], w[k])] if k >= 2 else []
                block = nn.Sequential(same(2 * w[k], w[k]), *middle, same(w[k], w[k - 1]))
            else:
                block = up(2 * w[k], w[k - 1])
            setattr(self, f"upc{n + 2}", block)
        if self.vgg:
            last = nn.Sequential(same(2 * w[0], w[0]), nn.ConvTranspose2d(w[0], config.channels, 3, 1, 1), nn.Sigmoid())
        else:
            last = nn.Sequential(nn.ConvTranspose2d(2 * w[0], config.channels, 4, 2, 1), nn.Sigmoid())
        setattr(self, f"upc{self.levels + 1}", last)

    def forward(self, g, skips):
        x = self.upc1(g[:, :, None, None])
        for n, skip in enumerate(reversed(skips)):
            if self.vgg:
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = getattr(self, f"upc{n + 2}")(torch.cat([x, skip], 1))
        return x


# ---------------------------------------------------------------- recurrent networks


class LstmStack(nn.Module):
    def __init__(self, inputs, hidden, layers):
        super().__init__()
        self.embed = nn.Linear(inputs, hidden)
        self.lstm = nn.ModuleList(nn.LSTMCell(hidden, hidden) for _ in range(layers))

    def advance(self, x, state):
        """One time step; `state` None means zeros. Returns the top hidden vector and the new state."""
        x = self.embed(x)
        new_state = []
        for cell, old in zip(self.lstm, state or [None] * len(self.lstm)):
            new_state.append(cell(x, old))
            x = new_state[-1][0]
        return x, new_state


class FramePredictor(LstmStack):
    def __init__(self, inputs, outputs, hidden, layers):
        super().__init__(inputs, hidden, layers)
        self.output = nn.Sequential(nn.Linear(hidden, outputs), nn.Tanh())

    def forward(self, x, state):
        top, state = self.advance(x, state)
        return self.output(top), state


class GaussianLstm(LstmStack):
    def __init__(self, inputs, outputs, hidden, layers):
        super().__init__(inputs, hidden, layers)
        self.mu_net = nn.Linear(hidden, outputs)
        self.logvar_net = nn.Linear(hidden, outputs)

    def forward(self, x, state):
        top, state = self.advance(x, state)
        return self.mu_net(top), self.logvar_net(top), state


class Svg(nn.Module):
    def __init__(self, config):
        super().__init__()
        c = config
        latent = 0 if c.variant == "det" else c.z_dim
        self.encoder = Encoder(c)
        self.decoder = Decoder(c)
        self.frame_predictor = FramePredictor(c.g_dim + latent, c.g_dim, c.rnn_size, c.predictor_layers)
        if latent:
            self.posterior = GaussianLstm(c.g_dim, c.z_dim, c.rnn_size, c.posterior_layers)
        if c.variant == "lp":
            self.prior = GaussianLstm(c.g_dim, c.z_dim, c.rnn_size, c.prior_layers)
        self.apply(init_weights)


def init_weights(layer):
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(layer.weight, 0.0, 0.02)
        nn.init.zeros_(layer.bias)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
        nn.init.zeros_(layer.bias)


# ---------------------------------------------------------------- loss and training step


def sample_gaussian(mu, logvar, eps):
    return mu + torch.exp(0.5 * logvar) * eps


def kl_gaussians(mu1, logvar1, mu2, logvar2):
    """KL(N1 || N2), summed over the latent, averaged over the batch."""
    kl = 0.5 * (logvar2 - logvar1) + 0.5 * (logvar1.exp() + (mu1 - mu2) ** 2) * torch.exp(-logvar2) - 0.5
    return kl.sum() / mu1.shape[0]


def kl_standard(mu, logvar):
    return -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum() / mu.shape[0]


def unroll(model, config, x, eps):
    """Teacher-forced pass over x [T, B, C, H, W] with eps [T-1, B, z_dim]; eps[i - 1] belongs to frame i.

    Every frame is encoded once, in time order, and BatchNorm sees one time step at a time.
    """
    encoded = [model.encoder(frame) for frame in x]
    predictor_state = posterior_state = prior_state = None
    skips = None
    out = SimpleNamespace(frames=[], mse_t=[], kl_t=[], mu=[], logvar=[], mu_p=[], logvar_p=[])
    for i in range(1, len(x)):
        h = encoded[i - 1][0]
        if config.takes_skip(i):
            skips = encoded[i - 1][1]
        if config.variant == "det":
            predictor_input = h
        else:
            mu, logvar, posterior_state = model.posterior(encoded[i][0], posterior_state)
            out.mu.append(mu)
            out.logvar.append(logvar)
            if config.variant == "lp":
                mu_p, logvar_p, prior_state = model.prior(h, prior_state)
                out.mu_p.append(mu_p)
                out.logvar_p.append(logvar_p)
                out.kl_t.append(kl_gaussians(mu, logvar, mu_p, logvar_p))
            else:
                out.kl_t.append(kl_standard(mu, logvar))
            predictor_input = torch.cat([h, sample_gaussian(mu, logvar, eps[i - 1])], 1)
        g, predictor_state = model.frame_predictor(predictor_input, predictor_state)
        frame = model.decoder(g, skips)
        out.frames.append(frame)
        out.mse_t.append(F.mse_loss(frame, x[i]))
    out.mse = sum(out.mse_t)
    out.kl = sum(out.kl_t) if out.kl_t else None
    out.total = out.mse if out.kl is None else out.mse + config.beta * out.kl
    return out


def make_optimizer(model, config):
    """One Adam over all networks equals the official five with equal settings."""
    return torch.optim.Adam(model.parameters(), lr=config.lr, betas=(0.9, 0.999), eps=1e-8)


def train_step(model, optimizer, config, x, eps, amp=None):
    optimizer.zero_grad(set_to_none=True)
    if amp is None:
        out = unroll(model, config, x, eps)
    else:
        with amp:
            out = unroll(model, config, x, eps)
    out.total.backward()
    optimizer.step()
    return out


# ---------------------------------------------------------------- sampling


@torch.no_grad()
def rollout(model, config, x, eps, use_posterior_mean=False):
    """Frames n_past .. n_eval-1, [n_eval - n_past, B, C, H, W], from the first n_past frames of x.

    eps [n_eval - 1, B, z_dim]; eps[i - 1] belongs to frame i. LP samples the posterior on the context, FP takes its
    mean. `use_posterior_mean` is the "approximate posterior" rollout: the latent is always the posterior mean of
    the true frame, for which x needs n_eval frames.
    """
    model.encoder.train(config.bn_mode == "batch_stats")
    model.decoder.train(config.bn_mode == "batch_stats")
    predictor_state = posterior_state = prior_state = None
    skips = None
    frames = []
    h, fresh = model.encoder(x[0])
    for i in range(1, config.n_eval):
        if config.takes_skip(i):
            skips = fresh
        z = None
        if config.variant == "lp":
            mu_p, logvar_p, prior_state = model.prior(h, prior_state)
        if config.variant != "det" and (i < config.n_past or use_posterior_mean):
            target = model.encoder(x[i])
            mu, logvar, posterior_state = model.posterior(target[0], posterior_state)
            mean_only = use_posterior_mean or config.variant == "fp"
            z = mu if mean_only else sample_gaussian(mu, logvar, eps[i - 1])
        elif config.variant == "lp":
            z = sample_gaussian(mu_p, logvar_p, eps[i - 1])
        elif config.variant == "fp":
            z = eps[i - 1]
        g, predictor_state = model.frame_predictor(h if z is None else torch.cat([h, z], 1), predictor_state)
        if i < config.n_past:
            h, fresh = model.encoder(x[i]) if z is None else target
            continue
        frames.append(model.decoder(g, skips))
        if i + 1 < config.n_eval:
            h, fresh = model.encoder(frames[-1])
    return torch.stack(frames)


# ---------------------------------------------------------------- fixtures


def record(config, seed, dtype):
    c = config
    gen = torch.Generator().manual_seed(1000 + seed)

    def uniform(*shape):
        return torch.rand(shape, generator=gen).to(dtype)

    def normal(*shape):
        return torch.randn(shape, generator=gen).to(dtype)

    fx = Fixture()
    model = Svg(c)
    nets = dict(model.named_children())
    fill(nets, seed)
    latent = c.variant != "det"
    x = torch.rand(max(c.frames, c.n_eval), c.batch, c.channels, c.image_width, c.image_width, generator=gen)
    eps = torch.randn(3, c.frames - 1, c.batch, c.z_dim, generator=gen)
    calibrate(model, lambda: unroll(model, c, x[: c.frames], eps[0]))
    model.to(dtype)
    fx.state("param", nets)

    x, eps = x.to(dtype), eps.to(dtype)
    fx.add("in.x", x, "[T, B, C, H, W]; training uses the first n_past + n_future frames")
    eps_rollout = normal(c.n_eval - 1, c.batch, c.z_dim)
    if latent:
        fx.add("in.eps", eps, "[training step, i - 1, B, z] for predicted frame i; all three steps use the same in.x")
        fx.add("in.eps_rollout", eps_rollout, "[i - 1, B, z] for frame i")
    g = uniform(c.batch, c.g_dim) * 2 - 1
    fx.add("in.decoder.g", g, "decoder input, used with the skips of the same mode's encoder outputs")
    h3 = uniform(3, c.batch, c.g_dim) * 2 - 1
    z3 = normal(3, c.batch, c.z_dim)
    fx.add("in.lstm.h", h3, "three consecutive inputs of posterior and prior; the predictor gets cat[h, z] (h alone for det)")
    if latent:
        fx.add("in.lstm.z", z3)

    # Single networks. Train mode on copies: every recording starts from the running statistics in `param.`.
    with torch.no_grad():
        for prefix, training in (("out", True), ("eval", False)):
            m = clone({"model": model})["model"].train(training)
            h, skips = m.encoder(x[0])
            fx.add(f"{prefix}.encoder.h", h, "encoder of in.x[0]")
            for k, skip in enumerate(skips):
                fx.add(f"{prefix}.encoder.skip{k}", skip)
            fx.add(f"{prefix}.decoder.frame", m.decoder(g, skips))
        for name in ("posterior", "prior", "frame_predictor"):
            if name not in nets:
                continue
            state, steps = None, []
            for h, z in zip(h3, z3):
                if name == "frame_predictor":
                    y, state = nets[name](torch.cat([h, z], 1) if latent else h, state)
                    steps.append((y,))
                else:
                    *y, state = nets[name](h, state)
                    steps.append(y)
            labels = ("g",) if name == "frame_predictor" else ("mu", "logvar")
            for label, values in zip(labels, zip(*steps)):
                fx.add(f"out.{name}.{label}", torch.stack(values), "three consecutive steps from a zero state")

    # Loss and gradients at the initial parameters.
    clip = x[: c.frames]
    m = clone({"model": model})["model"].train()
    out = unroll(m, c, clip, eps[0])
    fx.add("out.unroll.first", out.frames[0], "prediction of frame 1, train mode, in.eps[0]")
    fx.add("out.unroll.last", out.frames[-1], "prediction of frame T-1")
    fx.add("loss.mse_t", torch.stack(out.mse_t))
    children = dict(m.named_children())
    if latent:
        for name in ("mu", "logvar") + (("mu_p", "logvar_p") if c.variant == "lp" else ()):
            fx.add(f"out.unroll.{name}", torch.stack(getattr(out, name)))
        fx.add("loss.kl_t", torch.stack(out.kl_t))
        fx.add("loss.mse", out.mse)
        fx.grads("kl", out.kl, children)
    fx.grads("total", out.total, children)

    # Three training steps.
    m = clone({"model": model})["model"].train()
    optimizer = make_optimizer(m, c)
    totals = []
    for step in range(3):
        out = train_step(m, optimizer, c, clip, eps[step])
        totals.append(torch.stack([out.total, out.mse] + ([out.kl] if latent else [])))
        if step in (0, 2):
            fx.state("after" if step == 0 else "after3", dict(m.named_children()))
    fx.add("loss.steps", torch.stack(totals), "[step, (total, mse, kl)] before each of the three updates")

    # Sampling with the initial parameters.
    m = clone({"model": model})["model"]
    sampling = replace(c, bn_mode="eval")
    fx.add("eval.rollout.frames", rollout(m, sampling, x, eps_rollout), "bn_mode eval; frames n_past .. n_eval-1")
    if latent:
        frames = rollout(m, sampling, x, eps_rollout, use_posterior_mean=True)
        fx.add("eval.rollout_posterior.last", frames[-1], "latents are posterior means of the true frames; last frame")
    frames = rollout(m, replace(c, bn_mode="batch_stats"), x, eps_rollout)
    fx.add("out.rollout.last", frames[-1], "bn_mode batch_stats; last frame")
    return fx


# ---------------------------------------------------------------- benchmark


def bench(config, device, amp):
    model = Svg(config).to(device)
    optimizer = make_optimizer(model, config)
    size = (config.batch, config.channels, config.image_width, config.image_width)
    x = torch.rand(config.frames, *size, device=device)

    def step():
        model.train()
        eps = torch.randn(config.frames - 1, config.batch, config.z_dim, device=device)
        train_step(model, optimizer, config, x, eps, amp)

    def sample():
        eps = torch.randn(config.n_eval - 1, config.batch, config.z_dim, device=device)
        with amp:
            rollout(model, config, x, eps)

    return dict(model.named_children()), step, sample


TINY = dict(nf=4, g_dim=6, z_dim=3, rnn_size=8, n_past=2, n_future=2, n_eval=5, batch=3)
PRESETS = {
    "tiny": Config(**TINY),
    "small": Config(nf=32, n_past=5, n_future=5, n_eval=15, batch=16),
    "paper": Config(),  # SM-MNIST, learned prior
    "paper-bair": Config(backbone="vgg", channels=3, z_dim=64, n_past=2, n_future=10, n_eval=30),
}
# beta is raised from 1e-4 so that the KL shows in the gradients of the total loss.
FIXTURE = Config(**{**TINY, "n_future": 3, "beta": 0.05, "batch": 4})

if __name__ == "__main__":
    main("svg", PRESETS, bench, FIXTURE, record, exact=True)
