//! Exponential moving averages of parameters; running statistics are copied.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};

use crate::ops::in_place::{Rule, lerp, update};
use crate::ops::real::Real;
use crate::{Error, Result};

/// Averages `a = decay * a + (1 - decay) * p` of a network's tensors.
///
/// Until `start` updates have been made the average equals the weights (BigGAN's rule: update n < start copies, n >= start averages).
#[derive(Clone, Debug)]
pub struct Ema {
    decay: f64,
    start: u64,
    updates: u64,
    averages: BTreeMap<String, Var>,
}

impl Ema {
    /// Starts from the current values of `tensors`.
    pub fn new(decay: f64, start: u64, tensors: &BTreeMap<String, Tensor>) -> Result<Self> {
        let copy = |(name, t): (&String, &Tensor)| -> Result<_> {
            Ok((name.clone(), Var::from_tensor(&t.detach().copy()?)?))
        };
        Ok(Self { decay, start, updates: 0, averages: tensors.iter().map(copy).collect::<Result<_>>()? })
    }

    /// Takes in the values after an optimizer step. `is_buffer` tells which names are copied instead of averaged.
    ///
    /// # Errors
    /// [`Error::Weights`] when a tensor of the average is missing.
    pub fn update(
        &mut self,
        tensors: &BTreeMap<String, Tensor>,
        is_buffer: impl Fn(&str) -> bool,
    ) -> Result<()> {
        self.updates += 1;
        let copies = self.updates < self.start;
        for (name, average) in &self.averages {
            let value = tensors.get(name).ok_or_else(|| Error::Weights {
                what: "the averaged tensors".into(),
                problems: format!("{name} is missing"),
            })?;
            if copies || is_buffer(name) {
                average.set(&value.detach())?;
            } else {
                update(average.as_tensor(), [], &value.detach(), &Average(self.decay))?;
            }
        }
        Ok(())
    }

    /// The averages by name.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.averages.iter().map(|(k, v)| (k.clone(), v.as_detached_tensor())).collect()
    }

    /// Number of updates so far.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Restores averages and the number of updates, as saved.
    ///
    /// # Errors
    /// [`Error::Weights`] when a name is missing, a tensor error when a shape differs.
    pub fn restore(&mut self, tensors: &BTreeMap<String, Tensor>, updates: u64) -> Result<()> {
        for (name, average) in &self.averages {
            let value = tensors.get(name).ok_or_else(|| Error::Weights {
                what: "the saved averages".into(),
                problems: format!("{name} is missing"),
            })?;
            average.set(value)?;
        }
        self.updates = updates;
        Ok(())
    }
}

/// `a = decay * a + (1 - decay) * p`.
struct Average(f64);

impl Rule<0> for Average {
    const NAME: &'static str = "moving average";

    #[inline(always)]
    fn apply<T: Real>(&self, average: &mut [T], []: [&mut [T]; 0], value: &[T]) {
        let (keep, take) = (T::of(self.0), T::of(1.0 - self.0));
        for (a, p) in average.iter_mut().zip(value) {
            *a = lerp(*a, *p, keep, take);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn tensors(w: f64, running: f64) -> BTreeMap<String, Tensor> {
        let t = |x: f64| Tensor::new(&[x], &Device::Cpu).unwrap();
        BTreeMap::from([("w".into(), t(w)), ("running_mean".into(), t(running))])
    }

    #[test]
    fn copies_before_the_start_then_averages_and_copies_buffers() {
        let mut ema = Ema::new(0.9, 2, &tensors(0.0, 0.0)).unwrap();
        let value = |ema: &Ema, k: &str| ema.tensors()[k].to_vec1::<f64>().unwrap()[0];
        ema.update(&tensors(1.0, 5.0), |n| n.starts_with("running")).unwrap();
        assert_eq!(value(&ema, "w"), 1.0);
        ema.update(&tensors(2.0, 7.0), |n| n.starts_with("running")).unwrap();
        assert!((value(&ema, "w") - 1.1).abs() < 1e-12);
        assert_eq!(value(&ema, "running_mean"), 7.0);
    }
}
