//! Initial values of parameters.

use candle_core::{DType, Device, Tensor};

use crate::Result;
use crate::ops::{Matrix, matmul};
use crate::rng::Stream;

/// An initialiser. Fans follow PyTorch: for a shape `[a, b, k...]`, `fan_in = b * prod(k)`, `fan_out = a * prod(k)`, whatever the layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// One value.
    Const(f64),
    /// Uniform in `[-bound, bound)`.
    Uniform {
        /// Largest absolute value.
        bound: f64,
    },
    /// Uniform in `[low, high)` (PyTorch's batch norm scales before 0.4: 0 to 1).
    Between {
        /// Smallest value.
        low: f64,
        /// End of the range.
        high: f64,
    },
    /// Normal with mean 0.
    Normal {
        /// Standard deviation.
        std: f64,
    },
    /// Normal with a mean of its own (DCGAN's batch norm scales: mean 1, std 0.02).
    NormalAround {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
    /// PyTorch's default for weights of convolutions and linear layers: uniform with bound `1 / sqrt(fan_in)`.
    KaimingUniform,
    /// PyTorch's default for biases: uniform with bound `1 / sqrt(fan_in)` of the weight.
    BiasFor {
        /// Fan-in of the weight.
        fan_in: usize,
    },
    /// PyTorch's default for every tensor of a recurrent cell: uniform with bound `1 / sqrt(hidden)`.
    Recurrent {
        /// Size of the cell's state.
        hidden: usize,
    },
    /// Xavier: normal with variance `gain^2 * 2 / (fan_in + fan_out)`.
    XavierNormal {
        /// Factor of the standard deviation.
        gain: f64,
    },
    /// Rows (or columns, whichever are fewer) of `[shape[0], rest]` orthonormal, times `gain`.
    Orthogonal {
        /// Factor.
        gain: f64,
    },
}

/// `(fan_in, fan_out)` of a weight `[a, b, k...]`: `(b * prod(k), a * prod(k))`, at least 1 each.
pub fn fans(shape: &[usize]) -> (usize, usize) {
    let area: usize = shape.iter().skip(2).product();
    let axis = |k: usize| shape.get(k).copied().unwrap_or(1);
    ((axis(1) * area).max(1), (axis(0) * area).max(1))
}

impl Init {
    /// Draws a tensor.
    pub fn draw(self, shape: &[usize], stream: &mut Stream, dtype: DType, device: &Device) -> Result<Tensor> {
        let constant =
            |value: f64| -> Result<Tensor> { Ok(Tensor::full(value, shape, device)?.to_dtype(dtype)?) };
        let uniform =
            |stream: &mut Stream, bound: f64| stream.uniform_tensor(shape, -bound, bound, dtype, device);
        let normal = |stream: &mut Stream, std: f64| -> Result<Tensor> {
            Ok((stream.normal_tensor(shape, dtype, device)? * std)?)
        };
        match self {
            Self::Zeros => constant(0.0),
            Self::Ones => constant(1.0),
            Self::Const(value) => constant(value),
            Self::Uniform { bound } => uniform(stream, bound),
            Self::Between { low, high } => stream.uniform_tensor(shape, low, high, dtype, device),
            Self::Normal { std } => normal(stream, std),
            Self::NormalAround { mean, std } => Ok((normal(stream, std)? + mean)?),
            Self::KaimingUniform => uniform(stream, 1.0 / (fans(shape).0 as f64).sqrt()),
            Self::Recurrent { hidden } => uniform(stream, 1.0 / (hidden.max(1) as f64).sqrt()),
            Self::BiasFor { fan_in } => uniform(stream, 1.0 / (fan_in.max(1) as f64).sqrt()),
            Self::XavierNormal { gain } => {
                let (inputs, outputs) = fans(shape);
                normal(stream, gain * (2.0 / (inputs + outputs) as f64).sqrt())
            }
            Self::Orthogonal { gain } => orthogonal(shape, gain, stream, dtype, device),
        }
    }
}

/// Rows that are made orthogonal to all before them by two matrix products, and then among themselves one by one.
const BLOCK: usize = 32;

/// Gram-Schmidt, twice for accuracy, on the rows of a normal matrix (or of its transpose when it is tall): in f64. That is the Q of the QR
/// decomposition whose R has a positive diagonal.
fn orthogonal(
    shape: &[usize],
    gain: f64,
    stream: &mut Stream,
    dtype: DType,
    device: &Device,
) -> Result<Tensor> {
    let (rows, columns) = (shape.first().copied().unwrap_or(1), fans(shape).0);
    let (short, long) = (rows.min(columns), rows.max(columns));
    let mut basis: Vec<f64> = Vec::with_capacity(short * long);
    while basis.len() < short * long {
        let block = BLOCK.min(short - basis.len() / long);
        let drawn = stream.normal_tensor(block * long, DType::F64, &Device::Cpu)?;
        let mut drawn: Vec<f64> = drawn.to_vec1()?;
        for _ in 0..2 {
            remove_along(&mut drawn, &basis, long);
        }
        let first = basis.len();
        for row in drawn.chunks_exact_mut(long) {
            for _ in 0..2 {
                for done in basis[first..].chunks_exact(long) {
                    let along: f64 = row.iter().zip(done).map(|(a, b)| a * b).sum();
                    row.iter_mut().zip(done).for_each(|(a, b)| *a -= along * b);
                }
            }
            let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
            // A row that lies among those before it, which does not happen, is drawn again.
            if length > 1e-8 {
                basis.extend(row.iter().map(|x| x / length));
            }
        }
    }
    let matrix = Tensor::from_vec(basis, (short, long), device)?;
    let matrix = if rows <= columns { matrix } else { matrix.t()?.contiguous()? };
    Ok((matrix.reshape(shape)? * gain)?.to_dtype(dtype)?)
}

/// Takes from each row its part along orthonormal ones.
fn remove_along(rows: &mut [f64], basis: &[f64], long: usize) {
    let (n, m) = (rows.len() / long, basis.len() / long);
    let basis = Matrix::new(basis, m, long);
    let along = matmul(&[(Matrix::new(rows, n, long), basis.t())], 1.0);
    let parts = matmul(&[(Matrix::new(&along, n, m), basis)], 1.0);
    rows.iter_mut().zip(&parts).for_each(|(a, b)| *a -= b);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;

    #[test]
    fn orthogonal_rows_or_columns_have_length_gain() {
        for shape in [[4, 6], [6, 4], [100, 40]] {
            let init = Init::Orthogonal { gain: 2.0 };
            let w = init.draw(&shape, &mut Rng::new(3).stream("w"), DType::F64, &Device::Cpu).unwrap();
            let gram =
                if shape[0] < shape[1] { w.matmul(&w.t().unwrap()) } else { w.t().unwrap().matmul(&w) };
            for (i, row) in gram.unwrap().to_vec2::<f64>().unwrap().iter().enumerate() {
                for (j, x) in row.iter().enumerate() {
                    assert!((x - if i == j { 4.0 } else { 0.0 }).abs() < 1e-12, "{i} {j} {x}");
                }
            }
        }
    }

    #[test]
    fn standard_deviations_follow_the_fans() {
        let std_of = |init: Init, shape: &[usize]| {
            let t = init.draw(shape, &mut Rng::new(1).stream("w"), DType::F64, &Device::Cpu).unwrap();
            t.sqr().unwrap().mean_all().unwrap().to_scalar::<f64>().unwrap().sqrt()
        };
        assert!((std_of(Init::Normal { std: 0.5 }, &[64, 32]) - 0.5).abs() < 0.02);
        let bound = 1.0 / (32.0f64 * 9.0).sqrt();
        assert!((std_of(Init::KaimingUniform, &[64, 32, 3, 3]) - bound / 3f64.sqrt()).abs() < 1e-3);
        let between = Init::Between { low: 1.0, high: 3.0 };
        assert!((std_of(between, &[64, 64]) - (13.0f64 / 3.0).sqrt()).abs() < 0.02);
        assert!((std_of(Init::XavierNormal { gain: 1.0 }, &[64, 64]) - (1.0f64 / 64.0).sqrt()).abs() < 4e-3);
    }
}
