//! Averages that say what they left out.

use serde::{Deserialize, Serialize};

/// The mean of the finite ones among some values, and how many were infinite: PSNR is infinite for equal frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FiniteMean {
    /// Mean of the finite values; absent when there are none.
    pub mean: Option<f64>,
    /// Number of finite values.
    pub finite: usize,
    /// Number of infinite values.
    pub infinite: usize,
}

impl FiniteMean {
    /// The mean of some values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let (mut sum, mut finite, mut infinite) = (0.0, 0, 0);
        for value in values {
            if value.is_infinite() {
                infinite += 1;
            } else {
                sum += value;
                finite += 1;
            }
        }
        Self { mean: (finite > 0).then(|| sum / finite as f64), finite, infinite }
    }
}
