//! Scores of clips that were asked for by their attributes, from a classifier that was trained on real clips.
//!
//! Source: VideoVAE (He et al. 2018) and TwoStreamVAN (Sun et al. 2020).

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::features::Features;
use crate::inception_score::InceptionScore;

/// Scores of a set of clips; entropies are in nats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttributeScores {
    /// For each label group, the share of clips whose most probable class is the one asked for; higher is better.
    pub accuracy: Vec<f64>,
    /// The share of clips that are right in all label groups.
    pub joint_accuracy: f64,
    /// Mean entropy of a clip's classes, `mean H(p(y|v))`; lower is better.
    pub intra_entropy: f64,
    /// Entropy of the set's classes, `H(mean p(y|v))`; higher is better.
    pub inter_entropy: f64,
    /// `exp(mean KL(p(y|v) || p(y)))`, which is `exp(inter - intra)`; higher is better, at most the number of classes.
    pub i_score: f64,
}

impl AttributeScores {
    /// Scores of clips with class probabilities `probs` `[N, K]`, where K is the product of `classes`, the numbers of classes of the label
    /// groups, of which the first runs fastest: column `k` stands for class `k mod classes[0]` of the first one. `wanted` has for each clip
    /// a class of every group.
    ///
    /// # Errors
    /// [`Error::Value`] for rows that are no probabilities, [`Error::TooFew`] for no clips, [`Error::Shape`] when numbers of classes, clips
    /// or groups do not fit.
    pub fn of(probs: &Features, classes: &[usize], wanted: &[Vec<usize>]) -> Result<Self> {
        let joint: usize = classes.iter().product();
        if classes.is_empty() || joint != probs.dim() {
            let what = format!("probabilities of {}", probs.what());
            return Err(Error::shape(
                what,
                format!("{joint} columns for classes {classes:?}"),
                &[probs.dim()],
            ));
        }
        let fits = wanted.len() == probs.len() && wanted.iter().all(|clip| clip.len() == classes.len());
        if !fits {
            let expected = format!("{} clips with {} classes each", probs.len(), classes.len());
            return Err(Error::shape("classes asked for", expected, &[wanted.len()]));
        }
        let i_score = InceptionScore::PLAIN.value(probs)?.mean;
        let n = probs.len() as f64;
        let (mut right, mut all_right, mut marginal) =
            (vec![0usize; classes.len()], 0usize, vec![0.0; joint]);
        let mut intra = 0.0;
        for (row, wanted) in probs.rows().zip(wanted) {
            intra += entropy(row);
            marginal.iter_mut().zip(row).for_each(|(sum, p)| *sum += p / n);
            let found = split(arg_max(row), classes);
            right.iter_mut().zip(&found).zip(wanted).for_each(|((n, a), b)| *n += usize::from(a == b));
            all_right += usize::from(found == *wanted);
        }
        Ok(Self {
            accuracy: right.into_iter().map(|right| right as f64 / n).collect(),
            joint_accuracy: all_right as f64 / n,
            intra_entropy: intra / n,
            inter_entropy: entropy(&marginal),
            i_score,
        })
    }
}

/// The first of the largest.
fn arg_max(row: &[f64]) -> usize {
    (0..row.len()).fold(0, |best, k| if row[k] > row[best] { k } else { best })
}

/// The classes of all groups that a joint class stands for.
pub fn split(mut joint: usize, classes: &[usize]) -> Vec<usize> {
    let next = |n: &usize| {
        let class = joint % n;
        joint /= n;
        class
    };
    classes.iter().map(next).collect()
}

fn entropy(p: &[f64]) -> f64 {
    -p.iter().filter(|p| **p > 0.0).map(|p| p * p.ln()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(rows: &[f64], dim: usize) -> Features {
        Features::from_rows("test", dim, rows).unwrap()
    }

    fn near(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-8, "{got} {want}");
    }

    /// VideoVAE's specification, section 10.1.
    #[test]
    fn values_by_hand() {
        let probs = features(&[0.7, 0.2, 0.1, 0.1, 0.8, 0.1, 0.25, 0.25, 0.5], 3);
        let scores = AttributeScores::of(&probs, &[3], &[vec![0], vec![1], vec![0]]).unwrap();
        near(scores.intra_entropy, 0.82685706);
        near(scores.inter_entropy, 1.07178341);
        near(scores.i_score, 1.27752721);
        near(scores.i_score, (scores.inter_entropy - scores.intra_entropy).exp());
        near(scores.accuracy[0], 2.0 / 3.0);
        near(scores.joint_accuracy, 2.0 / 3.0);
    }

    #[test]
    fn perfect_and_balanced_sets_reach_the_bounds() {
        for classes in [2usize, 10, 90] {
            let rows: Vec<f64> =
                (0..classes * classes).map(|i| f64::from(i / classes == i % classes)).collect();
            let wanted: Vec<_> = (0..classes).map(|k| vec![k]).collect();
            let scores = AttributeScores::of(&features(&rows, classes), &[classes], &wanted).unwrap();
            assert_eq!((scores.accuracy[0], scores.intra_entropy), (1.0, 0.0));
            near(scores.inter_entropy, (classes as f64).ln());
            near(scores.i_score, classes as f64);
        }
    }

    #[test]
    fn joint_classes_are_told_apart_by_group() {
        assert_eq!(split(7, &[3, 4]), [1, 2]);
        // Most probable: (1, 0), (0, 1), (2, 1) of three and two classes.
        let mut rows = vec![0.02; 18];
        for (row, place) in [(0, 1), (1, 3), (2, 5)] {
            rows[6 * row + place] = 0.9;
        }
        let wanted = [vec![1, 0], vec![0, 0], vec![1, 1]];
        let scores = AttributeScores::of(&features(&rows, 6), &[3, 2], &wanted).unwrap();
        assert_eq!(scores.accuracy, [2.0 / 3.0, 2.0 / 3.0]);
        near(scores.joint_accuracy, 1.0 / 3.0);
    }

    #[test]
    fn sets_that_do_not_fit_are_refused() {
        let probs = features(&[0.5, 0.5], 2);
        for (classes, wanted) in
            [(&[3usize][..], vec![vec![0]]), (&[2], vec![]), (&[2], vec![vec![0, 1]]), (&[], vec![vec![]])]
        {
            assert!(matches!(AttributeScores::of(&probs, classes, &wanted), Err(Error::Shape { .. })));
        }
        let wrong = AttributeScores::of(&features(&[0.9, 0.9], 2), &[2], &[vec![0]]);
        assert!(matches!(wrong, Err(Error::Value { .. })));
    }
}
