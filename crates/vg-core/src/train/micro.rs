//! Gradients of a batch that does not fit in memory at once.

use candle_core::Tensor;

use crate::grad::{Grads, mark, rewind};
use crate::{Batch, Error, Result};

/// Some of the clips of a batch, which lie side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The first of them.
    pub start: usize,
    /// How many there are.
    pub len: usize,
    /// Clips of the whole batch.
    pub of: usize,
}

impl Part {
    /// Whether this is the whole batch.
    pub fn is_whole(self) -> bool {
        self.len == self.of
    }

    /// Its share of the batch: the weight of a mean over its clips in the mean over all.
    pub fn share(self) -> f64 {
        self.len as f64 / self.of.max(1) as f64
    }

    /// The part of a tensor that has the clips along `axis`.
    ///
    /// # Errors
    /// [`Error::Shape`] when the tensor has another number of clips.
    pub fn narrow(self, tensor: &Tensor, axis: usize) -> Result<Tensor> {
        if tensor.dims().get(axis) != Some(&self.of) {
            let expected = format!("{} clips along axis {axis}", self.of);
            return Err(Error::shape("tensor of a batch", expected, tensor.dims()));
        }
        if self.is_whole() {
            return Ok(tensor.clone());
        }
        Ok(tensor.narrow(axis, self.start, self.len)?.contiguous()?)
    }

    /// The part of a batch: its clips with their labels and maps, and as many single frames as clips.
    ///
    /// # Errors
    /// [`Error::Shape`] when the batch has other numbers of clips or single frames.
    pub fn batch(self, batch: &Batch) -> Result<Batch> {
        let all = |map: &std::collections::BTreeMap<String, Tensor>| {
            map.iter().map(|(name, t)| Ok((name.clone(), self.narrow(t, 0)?))).collect::<Result<_>>()
        };
        Ok(Batch {
            clips: self.narrow(&batch.clips, 0)?,
            images: batch.images.as_ref().map(|images| self.narrow(images, 0)).transpose()?,
            labels: all(&batch.labels)?,
            maps: all(&batch.maps)?,
        })
    }
}

/// Gradients and losses of a batch of `clips` from those of its parts of `micro` clips, the last of which may be smaller; `micro` 0 takes
/// all at once.
///
/// `gradients` gives the gradients of losses that are *means* over the clips of a part, and the losses to be logged. The results are the
/// means over all clips: sums of the parts' weighted by [`Part::share`], always in the same order. The tape forgets each part before the
/// next, so that memory is that of one part, with two sets of gradients.
///
/// Where clips do not depend on each other these are the gradients of the whole batch but for rounding. Layers with batch statistics
/// see a part instead of the batch: "ghost batch norm" (Hoffer, Hubara and Soudry 2017), another and noisier normalisation, whose running
/// averages take in every part. Random numbers are drawn for the whole batch first, and cut with [`Part::narrow`].
///
/// ```
/// # use candle_core::{Device, Tensor, Var};
/// # use vg_core::{Result, grad::backward, train::accumulate};
/// # fn main() -> Result<()> {
/// let w = Var::new(&[3f64], &Device::Cpu)?;
/// let x = Tensor::new(&[1f64, 2.0, 6.0], &Device::Cpu)?;
/// let (grads, [loss]) = accumulate(3, 2, |part| {
///     let loss = part.narrow(&x, 0)?.broadcast_mul(w.as_tensor())?.mean_all()?;
///     Ok((backward(&loss)?, [loss]))
/// })?;
/// assert_eq!(grads.get(&w).unwrap().to_vec1::<f64>()?, [3.0]);
/// assert_eq!(loss.to_scalar::<f64>()?, 9.0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Those of `gradients`; [`Error::Unsupported`] for a batch without clips.
pub fn accumulate<const N: usize>(
    clips: usize,
    micro: usize,
    mut gradients: impl FnMut(Part) -> Result<(Grads, [Tensor; N])>,
) -> Result<(Grads, [Tensor; N])> {
    if clips == 0 {
        return Err(Error::Unsupported("a batch without clips has no gradients".into()));
    }
    if micro == 0 || micro >= clips {
        return gradients(Part { start: 0, len: clips, of: clips });
    }
    let here = mark();
    let (mut sum, mut means): (Grads, Option<[Tensor; N]>) = (Grads::default(), None);
    for start in (0..clips).step_by(micro) {
        let part = Part { start, len: micro.min(clips - start), of: clips };
        let (grads, losses) = gradients(part)?;
        rewind(here);
        sum.accumulate_scaled(grads, part.share())?;
        let mut weighted = Vec::with_capacity(N);
        for (k, loss) in losses.iter().enumerate() {
            let loss = (loss.detach() * part.share())?;
            weighted.push(match &means {
                Some(before) => (&before[k] + loss)?,
                None => loss,
            });
        }
        means = Some(weighted.try_into().unwrap_or_else(|_| unreachable!("as many as there were")));
    }
    Ok((sum, means.unwrap_or_else(|| unreachable!("a batch with clips has parts"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;
    use crate::grad::{Tape, backward};
    use crate::nn::{Conv1d, ConvConfig, Linear, LinearConfig, Mode, ParamStore};
    use crate::ops::Activation;
    use candle_core::{DType, Device};

    fn mean_square(store: &ParamStore, x: &Tensor) -> impl Fn(Part) -> Result<(Grads, [Tensor; 2])> {
        let conv = Conv1d::new(2, 3, ConvConfig::new(3), &store.source().pp("conv")).unwrap();
        let linear = Linear::new(3, 1, LinearConfig::default(), &store.source().pp("linear")).unwrap();
        let x = x.clone();
        move |part| {
            let x = part.narrow(&x, 0)?;
            let h = conv.forward_with(&x, Activation::Tanh, Mode::TRAIN)?.mean(2)?;
            let loss = linear.forward(&h, Mode::TRAIN)?.sqr()?.mean_all()?;
            Ok((backward(&loss)?, [loss, x.mean_all()?]))
        }
    }

    #[test]
    fn parts_of_any_size_give_the_gradients_of_the_whole() {
        let store = ParamStore::init(Rng::new(1), DType::F64, &Device::Cpu);
        let mut stream = Rng::new(2).stream("x");
        let x = stream.uniform_tensor((7, 2, 6), -1.0, 1.0, DType::F64, &Device::Cpu).unwrap();
        let step = mean_square(&store, &x);
        let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let (whole, losses) = accumulate(7, 0, &step).unwrap();
        for (micro, tape) in [(1, false), (2, true), (3, false), (7, true), (9, true)] {
            let _tape = tape.then(Tape::start);
            let before = mark();
            let (grads, means) = accumulate(7, micro, &step).unwrap();
            for (_, var) in store.vars("") {
                let (got, want) = (values(grads.get(&var).unwrap()), values(whole.get(&var).unwrap()));
                assert!(
                    got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-14),
                    "{micro}: {got:?} {want:?}"
                );
            }
            for (got, want) in means.iter().zip(&losses) {
                assert!((values(got)[0] - values(want)[0]).abs() < 1e-14);
            }
            if micro < 7 {
                assert_eq!(format!("{:?}", mark()), format!("{before:?}"), "the tape keeps no part");
            }
        }
    }

    #[test]
    fn batches_are_cut_with_all_that_belongs_to_a_clip() {
        let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
        let mut batch = Batch::of_clips(zeros(&[5, 1, 2, 4, 4]));
        batch.labels.insert("class".into(), Tensor::new(&[0u32, 1, 2, 3, 4], &Device::Cpu).unwrap());
        batch.images = Some(zeros(&[5, 1, 4, 4]));
        let part = Part { start: 3, len: 2, of: 5 };
        let cut = part.batch(&batch).unwrap();
        assert_eq!(cut.clips.dims(), [2, 1, 2, 4, 4]);
        assert_eq!(cut.images.unwrap().dims(), [2, 1, 4, 4]);
        assert_eq!(cut.labels["class"].to_vec1::<u32>().unwrap(), [3, 4]);
        assert_eq!(part.share(), 0.4);
        batch.images = Some(zeros(&[4, 1, 4, 4]));
        assert!(part.batch(&batch).unwrap_err().to_string().contains("5 clips along axis 0"));
        let nothing = accumulate::<0>(0, 2, |_| Ok((Grads::default(), []))).err().unwrap();
        assert!(nothing.to_string().contains("without clips"));
    }
}
