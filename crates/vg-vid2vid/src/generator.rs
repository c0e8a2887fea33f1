//! One generator of a scale: the coarse one, or a finer one on top of the features of the one before.

use candle_core::Tensor;
use vg_core::grad::split;
use vg_core::nn::ParamSource;
use vg_core::ops::Activation;
use vg_core::ops::blend::blend;
use vg_core::ops::fold::swap_rows;
use vg_core::ops::gates::activated_sum;
use vg_core::ops::warp::warp;
use vg_core::{Error, Result};

use crate::config::{Composition, Config, Norm};
use crate::layers::{Builder, Run, Sequence};

/// Pixels of flow for an output of 1 at the coarsest scale (official code).
const FLOW_SCALE: f64 = 20.0;

/// Generator `scale`: G0, or G1, G2, ... of twice the size of the one before.
///
/// Source: paper, section 3.2 and appendix; layers of the official code's `CompositeGenerator` and `CompositeLocalGenerator`.
#[derive(Clone, Debug)]
pub struct Generator {
    down_seg: Sequence,
    down_img: Sequence,
    image: Branch,
    final_img: Sequence,
    flow: Option<Flow>,
    foreground: Option<Foreground>,
    flow_scale: f64,
    composition: Composition,
}

/// Residual blocks (none in finer generators), then doublings.
#[derive(Clone, Debug)]
struct Branch {
    residual: Sequence,
    up: Sequence,
}

#[derive(Clone, Debug)]
struct Flow {
    branch: Branch,
    flow: Sequence,
    mask: Sequence,
}

#[derive(Clone, Debug)]
struct Foreground {
    down: Sequence,
    branch: Branch,
    last: Sequence,
}

/// What a generator takes from its maps alone, for one time step.
#[derive(Clone, Debug)]
pub struct Prepared {
    encoded: Tensor,
    /// Features and picture of the foreground.
    foreground: Option<(Tensor, Tensor)>,
}

/// What a generator makes of one time step, at its own size.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The frame, `[B, 3, H, W]` on [-1, 1].
    pub frame: Tensor,
    /// The frame without warping.
    pub raw: Tensor,
    /// Flow to the frame before, in pixels of this size, `[B, 2, H, W]`.
    pub flow: Option<Tensor>,
    /// Weight of the hallucinated picture, `[B, 1, H, W]` on [0, 1].
    pub mask: Option<Tensor>,
    /// The frame before, moved by the flow; none where nothing was warped.
    pub warped: Option<Tensor>,
    /// Features of the image branch.
    pub image_features: Tensor,
    /// Features of the flow branch.
    pub flow_features: Option<Tensor>,
    /// Features of the foreground network.
    pub foreground_features: Option<Tensor>,
}

impl Generated {
    /// Outside of any graph.
    #[must_use]
    pub fn detach(&self) -> Self {
        let cut = |t: &Option<Tensor>| t.as_ref().map(Tensor::detach);
        Self {
            frame: self.frame.detach(),
            raw: self.raw.detach(),
            flow: cut(&self.flow),
            mask: cut(&self.mask),
            warped: cut(&self.warped),
            image_features: self.image_features.detach(),
            flow_features: cut(&self.flow_features),
            foreground_features: cut(&self.foreground_features),
        }
    }
}

impl Generator {
    /// Generator `scale` over the parameters of `source`, below `G<scale>`.
    ///
    /// # Errors
    /// [`Error::Weights`] when a name is taken.
    pub fn new(source: &ParamSource, config: &Config, scale: usize) -> Result<Self> {
        let source = source.pp(format!("G{scale}"));
        let make = Make { source: &source, config, scale };
        let (maps, past) = config.generator_inputs();
        let (width, narrow) = config.widths(scale);
        let g = &config.generator;
        Ok(Self {
            down_seg: make.encoder("model_down_seg", maps, width)?,
            down_img: make.encoder("model_down_img", past, width)?,
            image: make.branch("model_res_img", "model_up_img", width, make.late())?,
            final_img: make.head("model_final_img", width, 3, Activation::Tanh)?,
            flow: g.flow.then(|| make.flow(width)).transpose()?,
            foreground: (!g.foreground.is_empty()).then(|| make.foreground(maps, narrow)).transpose()?,
            flow_scale: FLOW_SCALE * (1u64 << scale) as f64,
            composition: g.composition,
        })
    }

    /// What the maps alone decide, for `steps` time steps at once: it goes through the convolutions together, while norms see each step for
    /// itself. `coarse` are the features of the foreground of the scale below, which a finer generator adds to its own.
    ///
    /// # Shapes
    /// - `windows` `[steps * B, C, H, W]`: the maps of the frames that a step is made from, oldest first; all clips of a step, then the next
    ///
    /// # Errors
    /// [`Error::Shape`] for other channels or a size that cannot be halved as often.
    pub fn prepare(
        &self,
        windows: &Tensor,
        steps: usize,
        coarse: &[Prepared],
        run: Run,
    ) -> Result<Vec<Prepared>> {
        let (run, rows) = (run.steps(steps), swap_rows(windows, steps)?);
        let apart = |rows: &Tensor| split(&swap_rows(rows, windows.dim(0)? / steps)?, steps);
        let encoded = apart(&self.down_seg.forward(&rows, run)?)?;
        let foreground = match &self.foreground {
            None => vec![None; steps],
            Some(foreground) => {
                let mut x = foreground.down.forward(&rows, run)?;
                if !coarse.is_empty() {
                    let features =
                        coarse.iter().map(|c| Ok(c.foreground()?.0.clone())).collect::<Result<Vec<_>>>()?;
                    let features = swap_rows(&vg_core::grad::join(&features)?, steps)?;
                    x = activated_sum(&x, &features, Activation::Identity)?;
                }
                let features = foreground.branch.forward(&x, run)?;
                let pictures = apart(&foreground.last.forward(&features, run)?)?;
                apart(&features)?.into_iter().zip(pictures).map(Some).collect()
            }
        };
        Ok(encoded
            .into_iter()
            .zip(foreground)
            .map(|(encoded, foreground)| Prepared { encoded, foreground })
            .collect())
    }

    /// The frame of one time step.
    ///
    /// # Shapes
    /// - `past` `[B, 3 (frames - 1), H, W]`: the frames before, oldest first
    /// - `foreground` `[B, 1, H, W]` on [0, 1]: where foreground classes are; without it no foreground is shown
    /// - `coarse`: what the scale below has made of this step; for G0 nothing
    ///
    /// With `raw_only` nothing is warped: there is no frame before.
    ///
    /// # Errors
    /// [`Error::Shape`] when sizes do not fit.
    pub fn step(
        &self,
        prepared: &Prepared,
        past: &Tensor,
        foreground: Option<&Tensor>,
        coarse: Option<&Generated>,
        raw_only: bool,
        run: Run,
    ) -> Result<Generated> {
        let run = run.steps(1);
        let x = activated_sum(&prepared.encoded, &self.down_img.forward(past, run)?, Activation::Identity)?;
        let image_features = self.image.forward(&with(&x, coarse.map(|c| &c.image_features))?, run)?;
        let picture = self.final_img.forward(&image_features, run)?;
        let mut made = Generated {
            frame: picture.clone(),
            raw: picture,
            flow: None,
            mask: None,
            warped: None,
            image_features,
            flow_features: None,
            foreground_features: prepared.foreground.as_ref().map(|f| f.0.clone()),
        };
        if let Some(branch) = &self.flow {
            let features =
                branch.branch.forward(&with(&x, coarse.and_then(|c| c.flow_features.as_ref()))?, run)?;
            let flow = (branch.flow.forward(&features, run)? * self.flow_scale)?;
            made.mask = Some(branch.mask.forward(&features, run)?);
            if !raw_only {
                let last = past.narrow(1, past.dim(1)? - 3, 3)?.contiguous()?;
                made.warped = Some(warp(&last, &flow)?);
            }
            (made.flow, made.flow_features) = (Some(flow), Some(features));
        }
        self.compose(&mut made, prepared, foreground)?;
        Ok(made)
    }

    /// Puts the frame together: warped and hallucinated picture by the mask, the foreground in front of both or of the latter.
    fn compose(&self, made: &mut Generated, prepared: &Prepared, foreground: Option<&Tensor>) -> Result<()> {
        let front = match foreground {
            Some(where_) => Some((where_, &prepared.foreground()?.1)),
            None => None,
        };
        if let Some((where_, picture)) = front {
            made.raw = layered(where_, picture, &made.raw)?;
        }
        let behind = match self.composition {
            Composition::Replace => made.frame.clone(),
            Composition::Hallucinated => made.raw.clone(),
        };
        made.frame = match (&made.mask, &made.warped) {
            (Some(mask), Some(warped)) => layered(mask, &behind, warped)?,
            _ => behind,
        };
        if let (Some((where_, picture)), Composition::Replace) = (front, self.composition) {
            // Without warping this is the raw frame bit for bit.
            made.frame =
                if made.warped.is_some() { layered(where_, picture, &made.frame)? } else { made.raw.clone() };
        }
        Ok(())
    }
}

impl Prepared {
    fn foreground(&self) -> Result<&(Tensor, Tensor)> {
        let problem = "a foreground mask for a generator without a foreground network";
        self.foreground.as_ref().ok_or_else(|| Error::Unsupported(problem.into()))
    }

    /// Outside of any graph.
    #[must_use]
    pub fn detach(&self) -> Self {
        let foreground = self.foreground.as_ref().map(|(f, p)| (f.detach(), p.detach()));
        Self { encoded: self.encoded.detach(), foreground }
    }
}

impl Branch {
    fn forward(&self, x: &Tensor, run: Run) -> Result<Tensor> {
        self.up.forward(&self.residual.forward(x, run)?, run)
    }
}

/// `x + features`.
fn with(x: &Tensor, features: Option<&Tensor>) -> Result<Tensor> {
    features.map_or(Ok(x.clone()), |features| activated_sum(x, features, Activation::Identity))
}

/// `mask * front + (1 - mask) * back` of images.
fn layered(mask: &Tensor, front: &Tensor, back: &Tensor) -> Result<Tensor> {
    Ok(blend(&mask.unsqueeze(2)?, &front.unsqueeze(2)?, &back.unsqueeze(2)?)?.squeeze(2)?)
}

/// Makes the parts of one generator.
struct Make<'a> {
    source: &'a ParamSource,
    config: &'a Config,
    scale: usize,
}

impl Make<'_> {
    fn sequence(
        &self,
        name: &str,
        fill: impl FnOnce(Builder<'_>) -> Result<Builder<'_>>,
    ) -> Result<Sequence> {
        let source = self.source.pp(name);
        let builder = Builder::new(&source, Norm::Batch, self.config.train.recompute);
        Ok(fill(builder)?.finish())
    }

    /// Halvings: those of the configuration in the coarse generator, one in finer ones.
    fn times(&self) -> usize {
        if self.scale == 0 { self.config.generator.downsamplings } else { 1 }
    }

    /// Residual blocks behind the sum of both encoders.
    fn late(&self) -> usize {
        self.config.generator.blocks / 2
    }

    fn encoder(&self, name: &str, inputs: usize, width: usize) -> Result<Sequence> {
        let early = if self.scale == 0 { self.config.generator.blocks - self.late() } else { 0 };
        let times = self.times();
        self.sequence(name, |b| b.entry(inputs, width)?.down(width, times)?.blocks(width << times, early))
    }

    /// In finer generators the blocks are part of what doubles the size.
    fn branch(&self, residual: &str, up: &str, width: usize, blocks: usize) -> Result<Branch> {
        let times = self.times();
        let (apart, within) =
            if self.scale == 0 { (blocks, 0) } else { (0, self.config.generator.local_blocks) };
        Ok(Branch {
            residual: self.sequence(residual, |b| b.blocks(width << times, apart))?,
            up: self.sequence(up, |b| b.blocks(width << times, within)?.up(width, times))?,
        })
    }

    fn head(&self, name: &str, width: usize, outputs: usize, activation: Activation) -> Result<Sequence> {
        self.sequence(name, |b| b.head(width, outputs, activation))
    }

    fn flow(&self, width: usize) -> Result<Flow> {
        Ok(Flow {
            branch: self.branch("model_res_flow", "model_up_flow", width, self.late())?,
            flow: self.head("model_final_flow", width, 2, Activation::Identity)?,
            mask: self.head("model_final_w", width, 1, Activation::Sigmoid)?,
        })
    }

    fn foreground(&self, inputs: usize, width: usize) -> Result<Foreground> {
        let times = self.times();
        Ok(Foreground {
            down: self.sequence("indv_down", |b| b.entry(inputs, width)?.down(width, times))?,
            branch: self.branch("indv_res", "indv_up", width, self.config.generator.blocks)?,
            last: self.head("indv_final", width, 3, Activation::Tanh)?,
        })
    }
}
