//! Losses: pure functions of logits.

use candle_core::Tensor;
use vg_core::loss::{bce_with_logits, cross_entropy};
use vg_core::{Error, Result};

use crate::config::ClassLoss;
use crate::discriminator::Logits;

/// The terms of a loss by name; the loss is their sum.
pub type Terms = Vec<(&'static str, Tensor)>;

/// The sum of the terms, a scalar.
///
/// # Errors
/// Those of the sum; a loss has at least one term.
pub fn total(terms: &Terms) -> Result<Tensor> {
    let mut sum: Option<Tensor> = None;
    for (_, term) in terms {
        sum = Some(match sum {
            Some(sum) => (sum + term)?,
            None => term.clone(),
        });
    }
    sum.ok_or_else(|| Error::Unsupported("a loss without terms".into()))
}

/// `-log D(real) - log(1 - D(fake))`, for either discriminator: two terms.
pub fn discriminator_terms(real: &Logits, fake: &Logits) -> Result<Terms> {
    Ok(vec![("real", bce_with_logits(&real.real, 1.0)?), ("fake", bce_with_logits(&fake.real, 0.0)?)])
}

/// The class head's own loss, weighted: cross-entropy against the labels of real clips (`supervised`) or the drawn classes of generated
/// ones (`infogan`); nothing in the other modes.
///
/// The classes beside the logits are `[B]` u32.
///
/// # Errors
/// [`Error::Data`] when the classes that the mode needs are missing.
pub fn class_head_term(
    mode: ClassLoss,
    weight: f64,
    real: (&Logits, Option<&Tensor>),
    fake: (&Logits, Option<&Tensor>),
) -> Result<Terms> {
    match mode {
        ClassLoss::Supervised => class_term(weight, real, "labels of the real clips"),
        ClassLoss::Infogan => class_term(weight, fake, DRAWN),
        ClassLoss::ReferenceInfoganOnly | ClassLoss::None => Ok(Vec::new()),
    }
}

/// `-log D_I(image) - log D_V(clip)`, the first where there is an image discriminator, and the cross-entropy of the drawn classes unless
/// the head is not used.
///
/// # Errors
/// As [`class_head_term`].
pub fn generator_terms(
    mode: ClassLoss,
    weight: f64,
    image: Option<&Logits>,
    video: &Logits,
    drawn: Option<&Tensor>,
) -> Result<Terms> {
    let mut terms = Terms::new();
    if let Some(image) = image {
        terms.push(("image", bce_with_logits(&image.real, 1.0)?));
    }
    terms.push(("video", bce_with_logits(&video.real, 1.0)?));
    if mode != ClassLoss::None {
        terms.extend(class_term(weight, (video, drawn), DRAWN)?);
    }
    Ok(terms)
}

/// What generated clips have in place of labels.
const DRAWN: &str = "drawn classes of the generated clips";

fn class_term(weight: f64, (logits, classes): (&Logits, Option<&Tensor>), needed: &str) -> Result<Terms> {
    let missing = |what: &str| Error::Data(format!("the class loss needs {what}, and there are none"));
    let logits = logits.classes.as_ref().ok_or_else(|| missing("class logits"))?;
    let classes = classes.ok_or_else(|| missing(needed))?;
    Ok(vec![("class", (cross_entropy(logits, classes)? * weight)?)])
}

/// Mean absolute difference of the first frame of `clips` `[B, C, T, H, W]` and the given `frames` `[B, C, H, W]`.
///
/// Source: paper, image-to-video translation.
pub fn reconstruction(clips: &Tensor, frames: &Tensor) -> Result<Tensor> {
    Ok((clips.narrow(2, 0, 1)?.squeeze(2)? - frames)?.abs()?.mean_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn value(terms: &Terms) -> f64 {
        total(terms).unwrap().to_scalar::<f64>().unwrap()
    }

    fn zero_logits(classes: usize) -> Logits {
        let zeros = |n: &[usize]| Tensor::zeros(n, candle_core::DType::F64, &Device::Cpu).unwrap();
        Logits { real: zeros(&[2]), classes: (classes > 0).then(|| zeros(&[2, classes])) }
    }

    /// Specification, section 12: losses at logits of zero.
    #[test]
    fn losses_of_a_network_that_knows_nothing() {
        let labels = Tensor::new(&[0u32, 1], &Device::Cpu).unwrap();
        let none = zero_logits(0);
        assert!((value(&discriminator_terms(&none, &none).unwrap()) - 1.386_294).abs() < 1e-6);
        let plain = generator_terms(ClassLoss::None, 1.0, Some(&none), &none, None).unwrap();
        assert!((value(&plain) - 1.386_294).abs() < 1e-6);
        for classes in [2usize, 4, 6, 101] {
            let class_loss = (classes as f64).ln();
            let logits = zero_logits(classes);
            let terms =
                generator_terms(ClassLoss::Supervised, 1.0, Some(&none), &logits, Some(&labels)).unwrap();
            assert!((value(&terms) - 1.386_294 - class_loss).abs() < 2e-6, "{classes}");
        }
    }

    #[test]
    fn each_mode_trains_the_head_on_its_own_clips() {
        let labels = Tensor::new(&[0u32, 1], &Device::Cpu).unwrap();
        let (real, fake) = (zero_logits(2), zero_logits(4));
        let of = |mode| class_head_term(mode, 2.0, (&real, Some(&labels)), (&fake, Some(&labels))).unwrap();
        assert!((value(&of(ClassLoss::Supervised)) - 2.0 * 2f64.ln()).abs() < 1e-12);
        assert!((value(&of(ClassLoss::Infogan)) - 2.0 * 4f64.ln()).abs() < 1e-12);
        assert!(of(ClassLoss::ReferenceInfoganOnly).is_empty() && of(ClassLoss::None).is_empty());
    }

    #[test]
    fn missing_classes_are_named() {
        let (logits, none) = (zero_logits(2), zero_logits(0));
        let text = |mode, real: &Logits| {
            class_head_term(mode, 1.0, (real, None), (&logits, None)).unwrap_err().to_string()
        };
        assert!(text(ClassLoss::Supervised, &logits).contains("labels of the real clips"));
        assert!(text(ClassLoss::Infogan, &logits).contains("drawn classes"));
        assert!(text(ClassLoss::Supervised, &none).contains("class logits"));
        assert!(generator_terms(ClassLoss::Supervised, 1.0, None, &logits, None).is_err());
    }
}
