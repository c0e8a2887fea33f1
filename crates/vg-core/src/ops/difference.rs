//! Sums of absolute or squared differences, without tensors of the differences in between.

use candle_core::{Shape, Tensor};

use super::op::{Gradients, Op, Operand, Output, binary, ternary, wanted};
use super::real::Real;
use super::threads::{CHUNK, map2};
use crate::{Error, Result};

/// `sum |x - y|`, a scalar; once differentiable, the gradient where both are equal is 0.
///
/// # Shapes
/// - `x` and `y` of one shape
///
/// # Errors
/// [`Error::Shape`] when the shapes differ, [`Error::Unsupported`] for mixed element types.
pub fn absolute_differences(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    apply(x, y, Power::Absolute)
}

/// `sum (x - y)^2`, likewise.
///
/// # Errors
/// As [`absolute_differences`].
pub fn squared_differences(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    apply(x, y, Power::Squared)
}

fn apply(x: &Tensor, y: &Tensor, power: Power) -> Result<Tensor> {
    if x.dims() != y.dims() {
        return Err(Error::shape("second operand of a difference", format!("{:?}", x.dims()), y.dims()));
    }
    if x.dtype() != y.dtype() {
        let (a, b) = (x.dtype(), y.dtype());
        let problem = format!("differences of {a:?} and {b:?}; convert one with `to_dtype`");
        return Err(Error::Unsupported(problem));
    }
    Ok(binary(x, y, Sum(power))?)
}

#[derive(Clone, Copy)]
enum Power {
    Absolute,
    Squared,
}

struct Sum(Power);

impl Op<2> for Sum {
    const NAME: &'static str = "sum of differences";

    /// Chunks of fixed size are added up in f64, in the order of elements.
    fn run<T: Real>(&self, [x, y]: [Operand<'_, T>; 2]) -> Output<T> {
        use rayon::prelude::*;
        let chunks: Vec<f64> = x
            .data
            .par_chunks(CHUNK)
            .zip(y.data.par_chunks(CHUNK))
            .map(|(x, y)| {
                T::simd().run(
                    #[inline(always)]
                    || match self.0 {
                        Power::Absolute => lanes(x, y, |d| d.abs()),
                        Power::Squared => lanes(x, y, |d| d * d),
                    },
                )
            })
            .collect();
        Ok((vec![T::of(chunks.iter().sum())], Shape::from(())))
    }

    fn gradients(&self, [x, y]: [&Tensor; 2], _sum: &Tensor, grad: &Tensor) -> Gradients<2> {
        let power = self.0;
        Ok([
            wanted(x, || Ok(ternary(x, y, grad, SumGrad(power))?))?,
            wanted(y, || Ok(ternary(y, x, grad, SumGrad(power))?))?,
        ])
    }
}

/// Sums in f64 of eight interleaved lanes.
#[inline(always)]
fn lanes<T: Real>(x: &[T], y: &[T], f: impl Fn(f64) -> f64) -> f64 {
    let mut sums = [0.0f64; 8];
    let (xs, ys) = (x.chunks_exact(8), y.chunks_exact(8));
    let rest: f64 = xs.remainder().iter().zip(ys.remainder()).map(|(x, y)| f(x.to_f64() - y.to_f64())).sum();
    for (x, y) in xs.zip(ys) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += f(x.to_f64() - y.to_f64());
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// The gradient of the first operand from that of the sum, a scalar.
struct SumGrad(Power);

impl Op<3> for SumGrad {
    const NAME: &'static str = "gradient of a sum of differences";

    fn run<T: Real>(&self, [x, y, grad]: [Operand<'_, T>; 3]) -> Output<T> {
        let grad = grad.data[0];
        let out = match self.0 {
            Power::Absolute => map2(
                x.data,
                y.data,
                #[inline(always)]
                |x, y| {
                    if x > y {
                        grad
                    } else if x < y {
                        T::nil() - grad
                    } else {
                        T::nil()
                    }
                },
            ),
            Power::Squared => {
                let twice = grad * T::of(2.0);
                map2(
                    x.data,
                    y.data,
                    #[inline(always)]
                    |x, y| twice * (x - y),
                )
            }
        };
        Ok((out, x.shape.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    fn draw(seed: u64, n: usize, dtype: DType) -> Tensor {
        crate::Rng::new(seed).stream("x").normal_tensor((3, n), dtype, &Device::Cpu).unwrap()
    }

    #[test]
    fn sums_are_those_of_single_operations() {
        for n in [1, 7, CHUNK + 13] {
            let (x, y) = (draw(1, n, DType::F32), draw(2, n, DType::F32));
            let off = (x.to_dtype(DType::F64).unwrap() - y.to_dtype(DType::F64).unwrap()).unwrap();
            let of =
                |t: Tensor| t.to_dtype(DType::F64).unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap();
            for (got, want) in [
                (absolute_differences(&x, &y).unwrap(), of(off.abs().unwrap())),
                (squared_differences(&x, &y).unwrap(), of(off.sqr().unwrap())),
            ] {
                let got = f64::from(got.to_scalar::<f32>().unwrap());
                assert!((got / want - 1.0).abs() < 1e-6, "{n}: {got} {want}");
            }
        }
        assert!(absolute_differences(&draw(1, 2, DType::F32), &draw(1, 3, DType::F32)).is_err());
        assert!(absolute_differences(&draw(1, 2, DType::F32), &draw(1, 2, DType::F64)).is_err());
    }

    #[cfg(feature = "testing")]
    #[test]
    fn gradients_agree_with_differences() {
        use crate::testing::gradcheck::gradcheck;
        let inputs = [draw(1, 5, DType::F64), draw(2, 5, DType::F64)];
        gradcheck(|t| absolute_differences(&t[0], &t[1]), &inputs).unwrap();
        gradcheck(|t| squared_differences(&t[0], &t[1]), &inputs).unwrap();
    }
}
