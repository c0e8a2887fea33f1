//! Element-wise updates of several tensors in a single pass over memory, in parallel over fixed chunks.

use std::cell::Cell;

use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Tensor};

use super::real::{Real, with_slice};
use super::threads::CHUNK;
use crate::{Error, Result};

/// A rule that changes a tensor and `N` more of its shape.
pub(crate) trait Rule<const N: usize>: Sync {
    /// For messages.
    const NAME: &'static str;

    /// Changes a piece of the tensor `x` and of its `state`; `g` is the same piece of the tensor that is read. Each element may depend
    /// on those at its own place alone. Mark it `#[inline(always)]`: it is compiled for the vectors of this CPU where it is called.
    fn apply<T: Real>(&self, x: &mut [T], state: [&mut [T]; N], g: &[T]);
}

/// Applies a rule to `x` and `state` in place, given `g`.
///
/// # Errors
/// [`Error::Shape`] when the shapes differ, [`Error::Unsupported`] when `x` and `state` are not `N + 1` different contiguous tensors of
/// one type, f32 or f64.
pub(crate) fn update<const N: usize, R: Rule<N>>(
    x: &Tensor,
    state: [&Tensor; N],
    g: &Tensor,
    rule: &R,
) -> Result<()> {
    for other in state.iter().chain([&g]) {
        if other.dims() != x.dims() {
            return Err(Error::shape(R::NAME, format!("{:?}", x.dims()), other.dims()));
        }
    }
    let written: Vec<&Tensor> = std::iter::once(x).chain(state).collect();
    let addresses: Vec<_> = written.iter().map(|t| address(t)).collect();
    if (1..=N).any(|k| addresses[..k].contains(&addresses[k])) {
        return Err(Error::Unsupported(format!("{}: state and variable share their memory", R::NAME)));
    }
    // A gradient may be a view of what is about to change.
    let g = if addresses.contains(&address(g)) { g.copy()? } else { g.contiguous()? };
    match x.dtype() {
        DType::F32 => run::<f32, N, R>(&written, &g, rule),
        DType::F64 => run::<f64, N, R>(&written, &g, rule),
        other => Err(Error::Unsupported(format!("{}: expected f32 or f64 tensors, got {other:?}", R::NAME))),
    }
}

/// Equal for tensors that share their memory; never read through.
fn address(tensor: &Tensor) -> *const candle_core::Storage {
    &raw const *tensor.storage_and_layout().0
}

fn run<T: Real, const N: usize, R: Rule<N>>(written: &[&Tensor], g: &Tensor, rule: &R) -> Result<()> {
    let then = |held: Held<'_, T>| {
        with_slice(g, |g| {
            let mut held = held.into_iter();
            let x = held.next().unwrap_or_default();
            split(x, std::array::from_fn(|_| held.next().unwrap_or_default()), g, rule);
            Ok(())
        })
    };
    Ok(lock(written, Vec::with_capacity(N + 1), &then)?)
}

/// Elements of the tensors that are locked so far.
type Held<'a, T> = Vec<&'a mut [T]>;

/// Locks the tensors, one inside the other, and calls `then` with the elements of all. candle hands out a storage to be written only
/// inside of an operation.
fn lock<T: Real>(
    tensors: &[&Tensor],
    held: Held<'_, T>,
    then: &dyn Fn(Held<'_, T>) -> candle_core::Result<()>,
) -> candle_core::Result<()> {
    match tensors.split_first() {
        None => then(held),
        Some((first, rest)) => first.inplace_op1(&Lock { rest, held: Cell::new(held), then }),
    }
}

struct Lock<'a, T> {
    rest: &'a [&'a Tensor],
    held: Cell<Held<'a, T>>,
    then: &'a dyn Fn(Held<'_, T>) -> candle_core::Result<()>,
}

impl<T: Real> InplaceOp1 for Lock<'_, T> {
    fn name(&self) -> &'static str {
        "in-place update"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("in-place update of a tensor that is not contiguous");
        };
        let mut held: Held<'_, T> = self.held.take();
        held.push(&mut T::slice_mut(storage)?[start..end]);
        lock(self.rest, held, self.then)
    }
}

/// Halves the work down to single chunks.
fn split<T: Real, const N: usize, R: Rule<N>>(x: &mut [T], state: [&mut [T]; N], g: &[T], rule: &R) {
    let chunks = x.len().div_ceil(CHUNK);
    if chunks <= 1 {
        return T::simd().run(
            #[inline(always)]
            || rule.apply(x, state, g),
        );
    }
    let middle = chunks.div_ceil(2) * CHUNK;
    let ((x, x_rest), (g, g_rest)) = (x.split_at_mut(middle), g.split_at(middle));
    let mut state_rest: [&mut [T]; N] = std::array::from_fn(|_| <&mut [T]>::default());
    let mut rests = state_rest.iter_mut();
    let state = state.map(|s| {
        let (first, rest) = s.split_at_mut(middle);
        if let Some(slot) = rests.next() {
            *slot = rest;
        }
        first
    });
    rayon::join(|| split(x, state, g, rule), || split(x_rest, state_rest, g_rest, rule));
}

/// `keep * average + take * value`: one step of a moving average.
#[inline(always)]
pub(crate) fn lerp<T: Real>(average: T, value: T, keep: T, take: T) -> T {
    keep * average + take * value
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::Rng;

    /// `x -= s; s += g`.
    struct Chase;

    impl Rule<1> for Chase {
        const NAME: &'static str = "chase";

        #[inline(always)]
        fn apply<T: Real>(&self, x: &mut [T], [s]: [&mut [T]; 1], g: &[T]) {
            for ((x, s), g) in x.iter_mut().zip(s).zip(g) {
                *x -= *s;
                *s += *g;
            }
        }
    }

    fn var(name: &str, n: usize) -> Var {
        let stream = &mut Rng::new(4).stream(name);
        Var::from_tensor(&stream.normal_tensor(n, DType::F32, &Device::Cpu).unwrap()).unwrap()
    }

    #[test]
    fn every_element_is_changed_once_whatever_the_number_of_threads() {
        for n in [0, 1, CHUNK, 5 * CHUNK + 7] {
            let run = |threads: usize| {
                let (x, s, g) = (var("x", n), var("s", n), var("g", n));
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| update(x.as_tensor(), [s.as_tensor()], g.as_tensor(), &Chase)).unwrap();
                [x, s].map(|v| v.to_vec1::<f32>().unwrap())
            };
            let values = ["x", "s", "g"].map(|name| var(name, n).to_vec1::<f32>().unwrap());
            let [x, s] = run(1);
            for k in 0..n {
                assert_eq!(x[k], values[0][k] - values[1][k]);
                assert_eq!(s[k], values[1][k] + values[2][k]);
            }
            assert_eq!([x, s], run(3));
        }
    }

    #[test]
    fn shared_memory_is_noticed() {
        let (x, s) = (var("x", 3), var("s", 3));
        let before = x.to_vec1::<f32>().unwrap();
        update(x.as_tensor(), [s.as_tensor()], &x.as_detached_tensor(), &Chase).unwrap();
        update(x.as_tensor(), [s.as_tensor()], &var("g", 3), &Chase).unwrap();
        assert_ne!(x.to_vec1::<f32>().unwrap(), before);
        assert!(update(x.as_tensor(), [x.as_tensor()], s.as_tensor(), &Chase).is_err());
        assert!(update(x.as_tensor(), [s.as_tensor()], &var("g", 4), &Chase).is_err());
    }
}
