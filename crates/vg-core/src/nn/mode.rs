//! How a network is run.

use candle_core::Tensor;

/// Where batch norm gets the statistics that it normalises by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormStats {
    /// From the batch itself.
    Batch,
    /// From the running averages.
    Running,
}

/// Whether weights are part of the gradient's graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// They get gradients.
    Tracked,
    /// They are constants: gradients pass through to the input only, and none are computed for the weights.
    Constant,
}

impl Weights {
    /// The parameter as this mode sees it.
    pub fn see(self, parameter: &Tensor) -> Tensor {
        match self {
            Self::Tracked => parameter.clone(),
            Self::Constant => parameter.detach(),
        }
    }
}

/// How a network is run. The choices are independent: a generator's step, for one, runs the critic as
/// `Mode::TRAIN.frozen()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// Statistics of batch norm.
    pub norm: NormStats,
    /// Whether a pass with batch statistics moves the running averages.
    pub update_running: bool,
    /// Whether weights get gradients.
    pub weights: Weights,
    /// Whether this pass is another part of the one before it, or a repetition: what a layer finds once a pass (the vectors of a
    /// [`SpectralNorm`](super::SpectralNorm)) is then as it was there.
    pub again: bool,
}

impl Mode {
    /// Batch statistics, which move the running averages; weights get gradients.
    pub const TRAIN: Self =
        Self { norm: NormStats::Batch, update_running: true, weights: Weights::Tracked, again: false };
    /// Running averages; weights are constants, so nothing is kept for a backward pass.
    pub const EVAL: Self =
        Self { norm: NormStats::Running, update_running: false, weights: Weights::Constant, again: false };

    /// With weights as constants.
    pub const fn frozen(self) -> Self {
        Self { weights: Weights::Constant, ..self }
    }

    /// As another part of the pass before it.
    pub const fn again(self) -> Self {
        Self { again: true, ..self }
    }

    /// With the running averages left as they are.
    pub const fn keep_running(self) -> Self {
        Self { update_running: false, ..self }
    }
}
