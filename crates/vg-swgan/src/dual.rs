//! Dual sliced Wasserstein blocks: learned one-dimensional functions along orthogonal directions.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::grad::{Grads, settle};
use vg_core::nn::{Init, ParamSource, ParamStore, Weights};
use vg_core::ops::channel::{channel_affine, channel_scale};
use vg_core::ops::linear::linear;

use crate::config::FeaturePenalty;
use crate::layers::LEAKY;
use crate::orthogonal::{retract, tangent};

/// Name of the orthogonal matrix of each block.
const MATRIX: &str = "proj";

/// R: features F `[B, r]` to `LeakyReLU(scale * (F P) + offset)`, `[B, r]` for each block.
///
/// Source: specification, section 1: the columns of P are the directions.
pub struct DualBlocks(Vec<Block>);

struct Block {
    matrix: Tensor,
    scale: Tensor,
    offset: Tensor,
}

impl DualBlocks {
    /// `count` blocks over the parameters of `source`; the matrices start orthogonal, the functions as leaky ReLUs.
    pub fn new(source: &ParamSource, features: usize, count: usize) -> Result<Self> {
        let block = |k: usize| -> Result<Block> {
            let place = source.pp("dual").pp(k);
            Ok(Block {
                matrix: place.var(MATRIX, &[features, features], Init::Orthogonal { gain: 1.0 })?,
                scale: place.var("scale", &[features], Init::Ones)?,
                offset: place.var("offset", &[features], Init::Zeros)?,
            })
        };
        Ok(Self((0..count).map(block).collect::<Result<_>>()?))
    }

    /// The blocks with weights for any number of passes.
    pub fn at(&self, weights: Weights) -> Result<DualAt> {
        let block = |b: &Block| -> Result<Block> {
            Ok(Block {
                matrix: weights.see(&b.matrix),
                scale: weights.see(&b.scale),
                offset: weights.see(&b.offset),
            })
        };
        let blocks: Vec<Block> = self.0.iter().map(block).collect::<Result<_>>()?;
        let columns =
            blocks.iter().map(|b| Ok(settle(&b.matrix.t()?.contiguous()?)?)).collect::<Result<_>>()?;
        Ok(DualAt { blocks, columns })
    }
}

/// [`DualBlocks`] in use.
pub struct DualAt {
    blocks: Vec<Block>,
    /// The transposed matrices.
    columns: Vec<Tensor>,
}

/// The results of one pass, `[B, r]` a block.
pub struct Outputs(Vec<Tensor>);

impl DualAt {
    /// The result of every block.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] for features of another width.
    pub fn forward(&self, features: &Tensor) -> Result<Outputs> {
        let of = |(block, columns): (&Block, &Tensor)| -> Result<Tensor> {
            let along = linear(features, columns, None)?;
            LEAKY.apply(&channel_affine(&along, &block.scale, &block.offset)?)
        };
        Ok(Outputs(self.blocks.iter().zip(&self.columns).map(of).collect::<Result<_>>()?))
    }

    /// The gradient of the sum of all [`Outputs::values`] for the features, `[B, r]`.
    pub fn adjoint(&self, outputs: &Outputs) -> Result<Tensor> {
        let mut sum: Option<Tensor> = None;
        for (block, y) in self.blocks.iter().zip(&outputs.0) {
            let share = y.ones_like()?.detach().affine(1.0 / outputs.width(), 0.0)?;
            let along = channel_scale(&LEAKY.gradient(y, &share)?, &block.scale)?;
            let grad = linear(&along, &block.matrix, None)?;
            sum = Some(match sum {
                Some(sum) => (sum + grad)?,
                None => grad,
            });
        }
        Ok(sum.expect("a configuration has at least one block"))
    }

    /// The penalty on the blocks at features `[B, r]`, a scalar: the mean of `(d - target)^2` with `d` the slope of each function, times the
    /// size of its result in the reference form.
    ///
    /// Source: specification, section 3.
    pub fn penalty(&self, features: &Tensor, target: f64, form: FeaturePenalty) -> Result<Tensor> {
        let outputs = self.forward(features)?;
        let mut sum: Option<Tensor> = None;
        for (block, y) in self.blocks.iter().zip(&outputs.0) {
            let size = match form {
                FeaturePenalty::Reference => y.abs()?,
                FeaturePenalty::Derivative => y.ones_like()?.detach(),
            };
            let d = channel_scale(&LEAKY.gradient(y, &size)?, &block.scale)?;
            let term = (d - target)?.sqr()?.mean_all()?;
            sum = Some(match sum {
                Some(sum) => (sum + term)?,
                None => term,
            });
        }
        Ok((sum.expect("a configuration has at least one block") / outputs.0.len() as f64)?)
    }
}

impl Outputs {
    /// h, the critic's value of each sample: the mean of all its outputs, `[B]`.
    pub fn values(&self) -> Result<Tensor> {
        let means = self.0.iter().map(|y| Ok(y.mean(1)?)).collect::<Result<Vec<_>>>()?;
        let mut sum = means[0].clone();
        for mean in &means[1..] {
            sum = (sum + mean)?;
        }
        Ok((sum / means.len() as f64)?)
    }

    /// The result of each block, `[B, r]`.
    pub fn blocks(&self) -> &[Tensor] {
        &self.0
    }

    /// Numbers of a sample in all blocks.
    fn width(&self) -> f64 {
        self.0.iter().map(|y| y.dims()[1]).sum::<usize>() as f64
    }
}

/// Projects the gradients of all orthogonal matrices below `prefix` in `store` onto what keeps them orthogonal to first order.
pub(crate) fn project(store: &ParamStore, prefix: &str, grads: &mut Grads) -> Result<()> {
    for (name, var) in store.vars(prefix) {
        if is_matrix(&name)
            && let Some(grad) = grads.get(var.as_tensor())
        {
            let along = tangent(&var.as_detached_tensor(), &grad.detach())?;
            grads.set(var.as_tensor(), along);
        }
    }
    Ok(())
}

/// Makes all matrices below `prefix` orthogonal again after an update.
pub(crate) fn orthogonalise(store: &ParamStore, prefix: &str) -> Result<()> {
    for (name, var) in store.vars(prefix) {
        if is_matrix(&name) {
            var.set(&retract(&var.as_detached_tensor())?)?;
        }
    }
    Ok(())
}

fn is_matrix(name: &str) -> bool {
    name.rsplit('.').next() == Some(MATRIX)
}
