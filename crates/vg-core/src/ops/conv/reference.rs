//! The three operations as plain loops over their definition, to check the fast ones against.

use candle_core::{DType, Tensor};

use super::ConvParams;
use super::geometry::Geometry;
use crate::Result;

/// [`conv`](super::conv) in f64, by its definition.
///
/// # Errors
/// As the fast one.
pub fn conv(input: &Tensor, weight: &Tensor, params: &ConvParams) -> Result<Tensor> {
    let g = Geometry::forward(input.dims(), weight.dims(), params)?;
    run(&g, input, weight, g.output_shape(), |i, w, o| (i, w, o))
}

/// [`conv_transpose`](super::conv_transpose) in f64, by its definition.
///
/// # Errors
/// As the fast one.
pub fn conv_transpose(
    input: &Tensor,
    weight: &Tensor,
    params: &ConvParams,
    output_padding: [usize; 3],
) -> Result<Tensor> {
    let g = Geometry::transposed(input.dims(), weight.dims(), params, output_padding)?;
    run(&g, input, weight, g.input_shape(), |i, w, o| (o, w, i))
}

/// [`conv_weight_grad`](super::conv_weight_grad) in f64, by its definition.
///
/// # Errors
/// As the fast one.
pub fn conv_weight_grad(
    input: &Tensor,
    grad: &Tensor,
    kernel: &[usize],
    params: &ConvParams,
) -> Result<Tensor> {
    let g = Geometry::weight_grad(input.dims(), grad.dims(), kernel, params)?;
    run(&g, input, grad, g.weight_shape(), |i, w, o| (i, o, w))
}

/// Sums products; `roles` turns (input, weight, output) elements into (first operand, second operand, result).
fn run(
    g: &Geometry,
    first: &Tensor,
    second: &Tensor,
    shape: Vec<usize>,
    roles: impl Fn(usize, usize, usize) -> (usize, usize, usize),
) -> Result<Tensor> {
    let values = |t: &Tensor| -> Result<Vec<f64>> { Ok(t.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?) };
    let (a, b) = (values(first)?, values(second)?);
    let mut out = vec![0.0; shape.iter().product()];
    for_each_product(g, |i, w, o| {
        let (a_at, b_at, at) = roles(i, w, o);
        out[at] += a[a_at] * b[b_at];
    });
    Ok(Tensor::from_vec(out, shape, first.device())?)
}

/// Calls `f(input element, weight element, output element)` for every product of the convolution.
fn for_each_product(g: &Geometry, mut f: impl FnMut(usize, usize, usize)) {
    let (c_in, c_out) = (g.c_in / g.groups, g.c_out / g.groups);
    for b in 0..g.batch {
        for co in 0..g.c_out {
            for ci in 0..c_in {
                for o in every(g.output) {
                    for k in every(g.kernel) {
                        let at = |a: usize| {
                            let padded = o[a] * g.stride[a] + k[a] * g.dilation[a];
                            padded.checked_sub(g.padding[a]).filter(|i| *i < g.input[a])
                        };
                        let (Some(z), Some(y), Some(x)) = (at(0), at(1), at(2)) else { continue };
                        let channel = b * g.c_in + co / c_out * c_in + ci;
                        f(
                            channel * volume(g.input) + flat(g.input, [z, y, x]),
                            (co * c_in + ci) * volume(g.kernel) + flat(g.kernel, k),
                            (b * g.c_out + co) * volume(g.output) + flat(g.output, o),
                        );
                    }
                }
            }
        }
    }
}

fn volume(size: [usize; 3]) -> usize {
    size.iter().product()
}

fn flat(size: [usize; 3], at: [usize; 3]) -> usize {
    (at[0] * size[1] + at[1]) * size[2] + at[2]
}

fn every(size: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    (0..volume(size)).map(move |i| [i / (size[1] * size[2]), i / size[2] % size[1], i % size[2]])
}
