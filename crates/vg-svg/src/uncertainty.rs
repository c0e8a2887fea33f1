//! How sure the learned prior is of the frames to come.

use candle_core::Tensor;
use vg_core::{Error, Result};

use crate::gaussian::Gaussian;
use crate::groups::groups;
use crate::sample::SvgSampler;
use crate::unroll::frames;

impl SvgSampler {
    /// The learned prior's variance over the time of given clips, averaged over the latent: the paper's figure of uncertainty, which rises
    /// where a clip can go on in many ways (on moving digits, at the walls). Its mean over many clips is `mean(0)` of the result; the
    /// paper draws the square root.
    ///
    /// # Shapes
    /// - `clips` `[B, C, T, H, W]` in [0, 1], T at least 2
    /// - returns `[B, T - 1]` above 0: column k is of frame k + 1, which the prior tells from the frames 0 to k
    ///
    /// # Errors
    /// [`Error::Unsupported`] in the variants without a learned prior, for clips of a single frame, and for a single clip where batch
    /// statistics count; [`Error::Shape`] for clips of another size.
    pub fn prior_variance(&self, clips: &Tensor) -> Result<Tensor> {
        let clips = self.checked(clips, 2)?;
        let of_group = |group: &Tensor| {
            let mean = |prior: Gaussian| Ok(prior.variance()?.mean(1)?);
            let means = self.priors(group)?.into_iter().map(mean).collect::<Result<Vec<_>>>()?;
            Ok(Tensor::stack(&means, 1)?)
        };
        groups(self.config.sample.norm, clips.dim(0)?)?.map(|rows| of_group(&rows.take(&clips, 0)?))
    }

    /// The learned priors of the frames 1 to T - 1 of clips.
    fn priors(&self, clips: &Tensor) -> Result<Vec<Gaussian>> {
        let prior = self.networks.prior().ok_or_else(|| {
            let problem = "this model has no learned prior; train one with `variant = \"learned-prior\"`";
            Error::Unsupported(problem.into())
        })?;
        let (frames, mode) = (frames(clips)?, self.mode());
        let mut states = prior.start(clips.dim(0)?)?;
        let step = |frame: &Tensor| {
            prior.step(&self.networks.encoder.forward(frame, mode)?.vector, &mut states, mode)
        };
        frames[..frames.len() - 1].iter().map(step).collect()
    }
}
