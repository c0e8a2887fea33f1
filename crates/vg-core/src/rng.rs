//! Seeded random numbers: one seed, any number of named streams.
//!
//! candle's CPU device cannot be seeded, so every random number of the project comes from here. A stream is a pure function of
//! (seed, path of names): nothing has to be saved to resume a run but the seed and the step.

use candle_core::{DType, Device, Shape, Tensor};
use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::Result;

/// A node in the tree of random streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng {
    key: [u8; 32],
}

impl Rng {
    /// The root for a seed.
    pub fn new(seed: u64) -> Self {
        Self { key: Sha256::digest(seed.to_le_bytes()).into() }
    }

    /// A sub-tree, such as `rng.child("step", 12)`: independent of its siblings and of the order in which they are asked for.
    pub fn child(&self, name: &str, index: u64) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(index.to_le_bytes());
        hash.update(name.as_bytes());
        Self { key: hash.finalize().into() }
    }

    /// The numbers of one purpose, such as `rng.stream("z0")`. Asking twice gives the same numbers twice.
    pub fn stream(&self, name: &str) -> Stream {
        Stream { source: ChaCha12Rng::from_seed(self.child(name, 0).key), spare: None }
    }

    /// Random bits in blocks that are independent of each other, for kernels that draw theirs in parallel.
    pub(crate) fn bits(&self, block: u64) -> ChaCha12Rng {
        let mut source = ChaCha12Rng::from_seed(self.key);
        source.set_stream(block);
        source
    }
}

/// A sequence of random numbers; drawn on the CPU, whatever the device.
#[derive(Clone, Debug)]
pub struct Stream {
    source: ChaCha12Rng,
    spare: Option<f64>,
}

impl Stream {
    /// Uniform in [0, 1), with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.source.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in [low, high).
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform integer in `0..n`; 0 for `n = 0`.
    pub fn below(&mut self, n: usize) -> usize {
        ((self.unit() * n as f64) as usize).min(n.saturating_sub(1))
    }

    /// Standard normal (Box-Muller, both values used).
    pub fn normal(&mut self) -> f64 {
        if let Some(value) = self.spare.take() {
            return value;
        }
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let angle = std::f64::consts::TAU * self.unit();
        self.spare = Some(radius * angle.sin());
        radius * angle.cos()
    }

    /// A random order of `0..n` (Fisher-Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }

    /// Uniform tensor in [low, high).
    pub fn uniform_tensor(
        &mut self,
        shape: impl Into<Shape>,
        low: f64,
        high: f64,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        self.tensor(shape, dtype, device, |s| s.uniform(low, high))
    }

    /// Standard normal tensor.
    pub fn normal_tensor(
        &mut self,
        shape: impl Into<Shape>,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        self.tensor(shape, dtype, device, Self::normal)
    }

    fn tensor(
        &mut self,
        shape: impl Into<Shape>,
        dtype: DType,
        device: &Device,
        draw: impl Fn(&mut Self) -> f64 + Sync,
    ) -> Result<Tensor> {
        let shape = shape.into();
        let n = shape.elem_count();
        // The f32 path rounds the same f64 numbers, so both precisions see the same draws.
        let tensor = if dtype == DType::F64 {
            Tensor::from_vec(self.values(n, |s| draw(s)), shape, device)?
        } else {
            Tensor::from_vec(self.values(n, |s| draw(s) as f32), shape, device)?.to_dtype(dtype)?
        };
        Ok(tensor)
    }

    /// The next `n` values. Every draw takes two words of the generator on average, and a pair of draws exactly four, so that a
    /// thread can start in the middle: the values are those of one thread.
    fn values<T: Copy + Default + Send>(&mut self, n: usize, draw: impl Fn(&mut Self) -> T + Sync) -> Vec<T> {
        let mut values = vec![T::default(); n];
        // After an odd number of normal draws, the first value is already there.
        let head = usize::from(self.spare.is_some()).min(n);
        values[..head].iter_mut().for_each(|v| *v = draw(self));
        let start = self.source.get_word_pos();
        let ends: Vec<Self> = values[head..]
            .par_chunks_mut(CHUNK)
            .enumerate()
            .map(|(i, chunk)| {
                let mut stream = self.clone();
                stream.source.set_word_pos(start + (2 * CHUNK * i) as u128);
                chunk.iter_mut().for_each(|v| *v = draw(&mut stream));
                stream
            })
            .collect();
        if let Some(end) = ends.into_iter().next_back() {
            *self = end;
        }
        values
    }
}

/// Values drawn by one task; even, so that pairs stay together.
const CHUNK: usize = 1 << 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_tensors_hold_the_draws_of_one_thread() {
        for n in [5, 2 * CHUNK + 7] {
            let (mut whole, mut single) = (Rng::new(5).stream("x"), Rng::new(5).stream("x"));
            for _ in 0..2 {
                let drawn =
                    whole.normal_tensor(n, DType::F64, &Device::Cpu).unwrap().to_vec1::<f64>().unwrap();
                assert!(drawn.iter().all(|v| *v == single.normal()));
                let drawn = whole.uniform_tensor(n, 0.0, 1.0, DType::F64, &Device::Cpu).unwrap();
                assert!(drawn.to_vec1::<f64>().unwrap().iter().all(|v| *v == single.unit()));
            }
        }
    }

    #[test]
    fn streams_are_functions_of_seed_and_path() {
        let a = Rng::new(1).child("step", 3).stream("z0").unit();
        assert_eq!(a, Rng::new(1).child("step", 3).stream("z0").unit());
        assert_ne!(a, Rng::new(2).child("step", 3).stream("z0").unit());
        assert_ne!(a, Rng::new(1).child("step", 4).stream("z0").unit());
        assert_ne!(a, Rng::new(1).child("step", 3).stream("z1").unit());
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut s = Rng::new(0).stream("test");
        let n = 100_000;
        let normal: Vec<f64> = (0..n).map(|_| s.normal()).collect();
        let mean = normal.iter().sum::<f64>() / n as f64;
        let var = normal.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
        assert!(mean.abs() < 0.02 && (var - 1.0).abs() < 0.02, "{mean} {var}");
        let mean = (0..n).map(|_| s.uniform(-1.0, 1.0)).sum::<f64>() / n as f64;
        assert!(mean.abs() < 0.01, "{mean}");
    }

    #[test]
    fn permutation_holds_every_index_once() {
        let mut order = Rng::new(5).stream("p").permutation(100);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
