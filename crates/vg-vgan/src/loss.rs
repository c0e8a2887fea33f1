//! Objectives: pure functions of what the networks return.

use candle_core::{DType, Tensor};
use vg_core::Result;
use vg_core::loss::bce_with_logits;
use vg_core::ops::channel::channel_sum;

use crate::config::{Reconstruction, Reduction};

/// Classes of a discriminator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Index 0.
    Real,
    /// Index 1.
    Fake,
}

/// Softmax cross-entropy of the discriminator's logits `[B, 2]` against one class, averaged over the batch: a scalar.
///
/// Source: paper, eq. 1; official `nn.CrossEntropyCriterion`. With two classes it is the binary cross-entropy of their difference.
pub fn verdict_loss(logits: &Tensor, verdict: Verdict) -> Result<Tensor> {
    let margin = (logits.narrow(1, 0, 1)? - logits.narrow(1, 1, 1)?)?;
    let is_real = match verdict {
        Verdict::Real => 1.0,
        Verdict::Fake => 0.0,
    };
    bce_with_logits(&margin, is_real)
}

/// `weight * |mask|_1` of masks `[B, 1, T, H, W]`, which are positive: a scalar.
///
/// Source: paper, section 3.1 (a sum); official `nn.L1Penalty` with `sizeAverage` (a mean).
pub fn mask_penalty(mask: &Tensor, weight: f64, reduction: Reduction) -> Result<Tensor> {
    let count = match reduction {
        Reduction::Mean => mask.elem_count() as f64,
        Reduction::Sum => 1.0,
    };
    // A mask has one channel, so that the sum per channel is the sum of all.
    Ok((channel_sum(mask)?.squeeze(0)? * (weight / count))?)
}

/// `weight` times the mean distance of the first frames of `video` `[B, 3, T, H, W]` from `frame` `[B, 3, H, W]`: a scalar.
///
/// Source: paper, section 3.4, eq. 3; official `nn.AbsCriterion`.
pub fn first_frame_loss(video: &Tensor, frame: &Tensor, weight: f64, norm: Reconstruction) -> Result<Tensor> {
    let off = (video.narrow(2, 0, 1)?.squeeze(2)? - frame)?;
    let mean = match norm {
        Reconstruction::L1 => off.abs()?.mean_all()?,
        Reconstruction::L2 => off.sqr()?.mean_all()?,
    };
    Ok((mean * weight)?)
}

/// Mean squared difference of two tensors of the same shape: a scalar.
pub fn squared_error(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    Ok((x - y)?.sqr()?.mean_all()?)
}

/// Share of the clips whose largest logit is that of their label, in [0, 1].
pub fn accuracy(logits: &Tensor, labels: &Tensor) -> Result<f64> {
    let right = logits.argmax(1)?.eq(&labels.to_dtype(DType::U32)?)?.to_dtype(DType::F64)?;
    Ok(right.mean_all()?.to_scalar::<f64>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};
    use vg_core::grad::backward;

    fn value(t: Result<Tensor>) -> f64 {
        t.unwrap().to_scalar::<f64>().unwrap()
    }

    fn logits<const N: usize>(rows: &[[f64; 2]; N]) -> Tensor {
        Tensor::new(rows, &Device::Cpu).unwrap()
    }

    /// Section 12 of the specification.
    #[test]
    fn verdicts_by_hand() {
        let ln2 = std::f64::consts::LN_2;
        let equal = logits(&[[0.0, 0.0]]);
        assert!((value(verdict_loss(&equal, Verdict::Real)) - ln2).abs() < 1e-12);
        assert!((value(verdict_loss(&equal, Verdict::Fake)) - ln2).abs() < 1e-12);
        let two = logits(&[[2.0, -1.0], [0.3, 0.7]]);
        assert!((value(verdict_loss(&two, Verdict::Real)) - 0.480801).abs() < 1e-6);
        let labels = Tensor::new(&[0u32, 0], &Device::Cpu).unwrap();
        assert!((value(vg_core::loss::cross_entropy(&two, &labels)) - 0.480801).abs() < 1e-6);
        assert_eq!(accuracy(&two, &labels).unwrap(), 0.5);
    }

    /// Section 12: 0.1 / (B * 131072) for each value of the mask, 10 / (B * 12288) for each of the first frame.
    #[test]
    fn gradients_of_the_penalties() {
        let mask =
            Var::from_tensor(&Tensor::full(0.4f64, (4, 1, 32, 64, 64), &Device::Cpu).unwrap()).unwrap();
        let penalty = mask_penalty(mask.as_tensor(), 0.1, Reduction::Mean).unwrap();
        assert!((value(Ok(penalty.clone())) - 0.04).abs() < 1e-12);
        let grad = backward(&penalty).unwrap().remove(mask.as_tensor()).unwrap();
        let first = grad.flatten_all().unwrap().get(0).unwrap().to_scalar::<f64>().unwrap();
        // The specification's number is for a batch of 64.
        assert!((first / 16.0 - 1.19209e-8).abs() < 1e-13, "{first}");
        let sum = value(mask_penalty(mask.as_tensor(), 0.1, Reduction::Sum));
        assert!((sum - 0.04 * 4.0 * 131_072.0).abs() < 1e-6);

        let video =
            Var::from_tensor(&Tensor::full(0.5f64, (2, 3, 2, 64, 64), &Device::Cpu).unwrap()).unwrap();
        let frame = Tensor::zeros((2, 3, 64, 64), DType::F64, &Device::Cpu).unwrap();
        let loss = first_frame_loss(video.as_tensor(), &frame, 10.0, Reconstruction::L1).unwrap();
        assert!((value(Ok(loss.clone())) - 5.0).abs() < 1e-12);
        let grad = backward(&loss).unwrap().remove(video.as_tensor()).unwrap();
        let at = |t: usize| {
            let frame = grad.narrow(2, t, 1).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
            assert!(frame.iter().all(|g| *g == frame[0]));
            frame[0]
        };
        assert!((at(0) - 2.5431e-5 * 16.0).abs() < 1e-8 && at(1) == 0.0);
        let squared = value(first_frame_loss(video.as_tensor(), &frame, 10.0, Reconstruction::L2));
        assert!((squared - 2.5).abs() < 1e-12);
    }
}
