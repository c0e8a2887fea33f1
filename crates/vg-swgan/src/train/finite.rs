//! Steps whose gradients are not finite are skipped; a run of them ends the training.

use candle_core::{DType, Tensor};
use vg_core::Result;
use vg_core::checkpoint::{CheckpointReader, CheckpointWriter};
use vg_core::grad::Grads;
use vg_core::optim::ParamGroup;
use vg_core::train::StepLog;

/// Skipped steps in a row that are bad luck; with more, the run is broken.
const PATIENCE: u64 = 100;
/// Where their number lies in a checkpoint.
const SKIPS: &str = "train.skips";

/// Whether all gradients of a group's variables are finite.
pub(crate) fn all_finite(group: &ParamGroup, grads: &Grads) -> Result<bool> {
    for (_, var) in group.vars() {
        let Some(grad) = grads.get(var.as_tensor()) else { continue };
        // A finite sum has finite terms; others are looked at one by one, since large ones may overflow it.
        let sum = grad.sum_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?;
        if !sum.is_finite() {
            let values = grad.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
            if values.iter().any(|v| !v.is_finite()) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Steps skipped one after the other.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Skips(u64);

impl Skips {
    pub(crate) fn note(&mut self, skipped: bool) {
        self.0 = if skipped { self.0 + 1 } else { 0 };
    }

    /// Reports losses: those of a skipped step, which may not be finite, as mere numbers while there is patience.
    pub(crate) fn log(&self, log: &mut StepLog, skipped: bool, losses: &[(&'static str, &Tensor)]) {
        for (name, loss) in losses {
            if skipped && self.0 <= PATIENCE { log.tensor(name, loss) } else { log.loss(name, loss) }
        }
        if skipped {
            log.number("skipped", 1.0);
        }
    }

    pub(crate) fn save(&self, to: &mut CheckpointWriter) -> Result<()> {
        to.value(SKIPS, &self.0)
    }

    pub(crate) fn load(from: &CheckpointReader) -> Result<Self> {
        Ok(Self(from.value(SKIPS)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(skips: Skips, skipped: bool, value: f32) -> Vec<(&'static str, bool)> {
        let mut log = StepLog::default();
        let loss = Tensor::new(value, &candle_core::Device::Cpu).unwrap();
        skips.log(&mut log, skipped, &[("critic", &loss)]);
        log.read().unwrap().iter().map(|s| (s.name, s.is_loss)).collect()
    }

    #[test]
    fn skipped_steps_do_not_stop_a_run_until_they_are_too_many() {
        let mut skips = Skips::default();
        assert_eq!(names(skips, false, 1.0), [("critic", true)]);
        (0..PATIENCE).for_each(|_| skips.note(true));
        assert_eq!(
            names(skips, true, f32::NAN),
            [("critic", false), ("skipped", true)].map(|(n, _)| (n, false))
        );
        skips.note(true);
        assert!(names(skips, true, f32::NAN)[0].1);
        skips.note(false);
        assert_eq!(skips.0, 0);
    }
}
