//! Holistic attributes: their classifier, votes over frames, and vectors.

use candle_core::{DType, Device, Tensor};
use vg_core::nn::{Linear, Mode, ParamSource};
use vg_core::ops::Activation;
use vg_core::ops::attention::softmax;
use vg_core::{Error, Result};

use crate::config::Config;
use crate::layers::linear;

/// The attribute classifier: vectors of the encoder `[N, latent]` -> logits of each label group.
///
/// Source: specification, section 2.5.
#[derive(Clone, Debug)]
pub struct AttributeNet {
    fc1: Linear,
    heads: Vec<Linear>,
}

impl AttributeNet {
    /// A network over the parameters of `source`, named `attr_net.`: `fc1`, and `fc_NAME` for each label group.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when a name is taken.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let (source, n) = (source.pp("attr_net"), &config.networks);
        let head = |(name, classes): (&String, &usize)| {
            linear(&source.pp(format!("fc_{name}")), [n.mlp, *classes], n.small_linear_init)
        };
        let a = &config.attributes;
        Ok(Self {
            fc1: linear(&source.pp("fc1"), [n.latent, n.mlp], n.small_linear_init)?,
            heads: a.names.iter().zip(&a.classes).map(head).collect::<Result<_>>()?,
        })
    }

    /// Logits `[N, K]`, one tensor a label group.
    ///
    /// # Errors
    /// [`Error::Shape`] for vectors of another size.
    pub fn forward(&self, vectors: &Tensor, mode: Mode) -> Result<Vec<Tensor>> {
        let hidden = Activation::Relu.apply(&self.fc1.forward(vectors, mode)?)?;
        self.heads.iter().map(|head| head.forward(&hidden, mode)).collect()
    }
}

/// The class of the largest logit of each row of `[N, K]`, the first of equal ones.
///
/// # Errors
/// [`Error::Tensor`] when it is no matrix.
pub(crate) fn arg_max(logits: &Tensor) -> Result<Vec<u32>> {
    let rows = logits.to_dtype(DType::F64)?.to_vec2::<f64>()?;
    let best = |row: Vec<f64>| (0..row.len()).fold(0, |best, k| if row[k] > row[best] { k } else { best });
    Ok(rows.into_iter().map(|row| best(row) as u32).collect())
}

/// The most frequent of the votes of each clip, the lowest of equally frequent ones. `votes` holds those of all clips for the first frame,
/// then those for the second one, and so on.
pub fn majority(votes: &[u32], clips: usize) -> Vec<u32> {
    let of_clip = |clip: usize| {
        let mut counts = std::collections::BTreeMap::new();
        votes.iter().skip(clip).step_by(clips.max(1)).for_each(|vote| *counts.entry(*vote).or_insert(0) += 1);
        // The first one wins, and keys ascend.
        counts.into_iter().rev().max_by_key(|(_, count)| *count).map_or(0, |(vote, _)| vote)
    };
    (0..clips).map(of_clip).collect()
}

/// One label a clip for each label group, by the vote of its frames: `vectors` are the encoder's, `[T * clips, latent]`, the clips of the
/// first frame first.
///
/// Source: specification, section 3.3.
///
/// # Errors
/// [`Error::Shape`] for vectors of another size.
pub fn infer(network: &AttributeNet, vectors: &Tensor, clips: usize) -> Result<Vec<Vec<u32>>> {
    let logits = network.forward(&vectors.detach(), Mode::EVAL)?;
    logits.iter().map(|logits| Ok(majority(&arg_max(logits)?, clips))).collect()
}

/// Attribute vectors `[B, A]`: for each label group, the block of its one-hot labels (one a clip).
///
/// # Errors
/// [`Error::Data`] for a label that is not below its number of classes, or another number of groups or labels.
pub fn one_hot(config: &Config, labels: &[Vec<u32>], dtype: DType, device: &Device) -> Result<Tensor> {
    let (names, classes) = (&config.attributes.names, &config.attributes.classes);
    let clips = labels.first().map_or(0, Vec::len);
    if labels.len() != classes.len() || labels.iter().any(|group| group.len() != clips) {
        let (found, wanted) = (labels.len(), classes.len());
        return Err(Error::Data(format!("labels of {found} groups, not one a clip of {wanted}")));
    }
    let (dims, mut start) = (config.attribute_dims(), 0);
    let mut values = vec![0f32; clips * dims];
    for ((group, name), classes) in labels.iter().zip(names).zip(classes) {
        for (clip, label) in group.iter().enumerate() {
            if *label as usize >= *classes {
                return Err(Error::Data(format!(
                    "label {label} of {name:?} is not below {classes}; set `attributes.classes` to those of the data"
                )));
            }
            values[clip * dims + start + *label as usize] = 1.0;
        }
        start += classes;
    }
    Ok(Tensor::from_vec(values, (clips, dims), device)?.to_dtype(dtype)?)
}

/// Probabilities of all combinations of classes, `[N, K]` with the first group's classes running fastest, from independent logits of each
/// group.
///
/// # Errors
/// Those of the operations.
pub(crate) fn joint(logits: &[Tensor]) -> Result<Tensor> {
    let mut all: Option<Tensor> = None;
    for group in logits {
        let probs = softmax(group)?;
        let (n, classes) = probs.dims2()?;
        all = Some(match all {
            None => probs,
            Some(before) => {
                let inner = before.dim(1)?;
                let outer = probs.reshape((n, classes, 1))?.broadcast_mul(&before.reshape((n, 1, inner))?)?;
                outer.reshape((n, classes * inner))?
            }
        });
    }
    all.ok_or_else(|| Error::Unsupported("a model without attributes tells none".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vg_core::config::ModelConfig;

    #[test]
    fn votes_are_counted_and_ties_go_to_the_lowest_class() {
        // Frames in rows, clips in columns.
        assert_eq!(majority(&[0, 2, 1, 1, 2, 1, 1, 0, 2, 0, 1, 2], 3), [0, 2, 1]);
        assert_eq!(majority(&[2, 1], 1), [1]);
        assert_eq!(majority(&[7], 1), [7]);
        let logits = Tensor::new(&[[0f32, 2.0, 2.0], [5.0, 5.0, 1.0]], &Device::Cpu).unwrap();
        assert_eq!(arg_max(&logits).unwrap(), [1, 0]);
    }

    #[test]
    fn blocks_stand_in_the_order_of_groups() {
        let mut config = Config::preset("tiny").unwrap();
        config.attributes.classes = vec![3, 2];
        config.attributes.names = vec!["class".into(), "identity".into()];
        let of = |labels: &[Vec<u32>]| one_hot(&config, labels, DType::F32, &Device::Cpu);
        let vectors = of(&[vec![2, 0], vec![0, 1]]).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(vectors, [[0.0, 0.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0, 1.0]]);
        let error = of(&[vec![0], vec![2]]).unwrap_err().to_string();
        assert!(error.contains("label 2 of \"identity\""), "{error}");
        assert!(of(&[vec![0]]).is_err() && of(&[vec![0], vec![]]).is_err());
    }

    #[test]
    fn joint_probabilities_run_through_the_first_group_first() {
        let ln = |p: &[f64]| {
            Tensor::new(vec![p.iter().map(|p| p.ln()).collect::<Vec<_>>()], &Device::Cpu).unwrap()
        };
        let probs = joint(&[ln(&[0.2, 0.8]), ln(&[0.5, 0.4, 0.1])]).unwrap().to_vec2::<f64>().unwrap();
        for (got, want) in probs[0].iter().zip([0.1, 0.4, 0.08, 0.32, 0.02, 0.08]) {
            assert!((got - want).abs() < 1e-12, "{probs:?}");
        }
    }
}
