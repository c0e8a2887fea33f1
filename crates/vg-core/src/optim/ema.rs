//! Exponential moving averages of networks.

use candle_core::Var;

use crate::checkpoint::{CheckpointReader, CheckpointWriter};
use crate::nn::ParamStore;
use crate::ops::conv::forget;
use crate::ops::in_place::{Rule, lerp, update};
use crate::ops::real::Real;
use crate::{Error, Result};

/// How an average begins, so that initial weights do not stay in it for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warmup {
    /// Update n, counted from 1, copies while n is below this number (BigGAN, official code; 0 for no warm-up).
    Copy(u64),
    /// Update n, counted from 0, decays by `(1 + n) / (10 + n)` until that reaches the decay (TensorFlow's `num_updates`).
    Ramp,
}

/// Networks whose tensors follow those of networks in training: `a = decay * a + (1 - decay) * p`, running statistics included.
pub struct Ema {
    decay: f64,
    warmup: Warmup,
    updates: u64,
    average: ParamStore,
}

/// Where the number of updates stands in a checkpoint.
const UPDATES: &str = "average.updates";

impl Ema {
    /// `average` is the store of networks of the same shapes as some of `live`; it becomes their copy.
    ///
    /// # Errors
    /// [`Error::Weights`] when a tensor of `average` is missing in `live`.
    pub fn new(decay: f64, warmup: Warmup, average: ParamStore, live: &ParamStore) -> Result<Self> {
        let ema = Self { decay, warmup, updates: 0, average };
        ema.fold(live, 0.0)?;
        Ok(ema)
    }

    /// Takes in the values after an optimizer step.
    ///
    /// # Errors
    /// [`Error::Weights`] when a tensor of the average is missing in `live`.
    pub fn update(&mut self, live: &ParamStore) -> Result<()> {
        forget();
        let ramp = (1 + self.updates) as f64 / (10 + self.updates) as f64;
        self.updates += 1;
        let decay = match self.warmup {
            Warmup::Copy(start) if self.updates < start => 0.0,
            Warmup::Copy(_) => self.decay,
            Warmup::Ramp => self.decay.min(ramp),
        };
        self.fold(live, decay)
    }

    fn fold(&self, live: &ParamStore, decay: f64) -> Result<()> {
        let values = live.tensors("");
        for (name, average) in self.vars() {
            let value = values.get(&name).ok_or_else(|| Error::Weights {
                what: "the averaged networks".into(),
                problems: format!("{name} is missing"),
            })?;
            if decay == 0.0 {
                average.set(value)?;
            } else {
                update(average.as_tensor(), [], value, &Average(decay))?;
            }
        }
        Ok(())
    }

    fn vars(&self) -> impl Iterator<Item = (String, Var)> {
        self.average.vars("").into_iter().chain(self.average.buffers(""))
    }

    /// Number of updates so far.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Writes the averages as the model that samples; the networks in training then belong to the training state.
    ///
    /// # Errors
    /// As [`CheckpointWriter::model`].
    pub fn save(&self, to: &mut CheckpointWriter) -> Result<()> {
        to.value(UPDATES, &self.updates)?;
        self.average.save(to, &[])
    }

    /// Restores what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// As [`ParamStore::restore`], and [`Error::Format`] without the number of updates.
    pub fn load(&mut self, from: &CheckpointReader) -> Result<()> {
        let updates = from.value(UPDATES)?;
        self.average.load_from(from, &[])?;
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
    use crate::Rng;
    use crate::nn::Init;
    use candle_core::{DType, Device, Tensor};

    /// A store with a weight and a running statistic.
    fn store(weight: f64, running: f64) -> ParamStore {
        let store = ParamStore::init(Rng::new(0), DType::F64, &Device::Cpu);
        let source = store.source().pp("net");
        source.var("weight", &[1], Init::Const(weight)).unwrap();
        source.buffer("running", &[1], running).unwrap();
        store
    }

    fn value(ema: &Ema, name: &str) -> f64 {
        ema.average.tensors("")[name].to_vec1::<f64>().unwrap()[0]
    }

    #[test]
    fn copies_before_the_start_then_averages_everything() {
        let mut ema = Ema::new(0.9, Warmup::Copy(2), store(5.0, 5.0), &store(0.0, 0.0)).unwrap();
        assert_eq!(value(&ema, "net.weight"), 0.0);
        ema.update(&store(1.0, 5.0)).unwrap();
        assert_eq!((value(&ema, "net.weight"), value(&ema, "net.running")), (1.0, 5.0));
        ema.update(&store(2.0, 7.0)).unwrap();
        assert!((value(&ema, "net.weight") - 1.1).abs() < 1e-12);
        assert!((value(&ema, "net.running") - 5.2).abs() < 1e-12);
    }

    /// Three updates by 0.9999 from 1 towards 0.
    #[test]
    fn decays_as_it_should() {
        let mut ema = Ema::new(0.9999, Warmup::Copy(0), store(0.0, 0.0), &store(1.0, 1.0)).unwrap();
        (0..3).for_each(|_| ema.update(&store(0.0, 0.0)).unwrap());
        assert!((value(&ema, "net.weight") - 0.9997000299990).abs() < 1e-13);
    }

    #[test]
    fn a_ramp_forgets_the_first_weights_quickly() {
        let mut ema = Ema::new(0.999, Warmup::Ramp, store(0.0, 0.0), &store(1.0, 1.0)).unwrap();
        ema.update(&store(0.0, 0.0)).unwrap();
        assert!((value(&ema, "net.weight") - 0.1).abs() < 1e-12);
        (0..99).for_each(|_| ema.update(&store(0.0, 0.0)).unwrap());
        assert!(value(&ema, "net.weight") < 1e-9);
        assert_eq!(ema.updates(), 100);
    }

    #[test]
    fn other_networks_are_an_error() {
        let other = ParamStore::init(Rng::new(0), DType::F64, &Device::Cpu);
        let missing: Tensor = other.source().var("other", &[1], Init::Zeros).unwrap();
        assert_eq!(missing.dims(), [1]);
        let error = Ema::new(0.9, Warmup::Ramp, store(0.0, 0.0), &other).err().unwrap();
        assert!(
            error.to_string().contains("net.running is missing")
                || error.to_string().contains("net.weight is missing")
        );
    }
}
