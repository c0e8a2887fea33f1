//! Maxima, and the two linear maps that follow from the choice of elements.

use std::sync::{Arc, OnceLock};

use candle_core::{Shape, Tensor};

use super::super::op::{Gradients, Op, Operand, Output, unary};
use super::super::real::Real;
use super::super::threads::{CHUNK, Shared, filled, for_each, with_scratch};
use super::windows::Windows;
use crate::{Error, Result};

pub(super) fn apply(x: &Tensor, windows: Windows) -> Result<Tensor> {
    if windows.input.iter().product::<usize>() > u32::MAX as usize {
        return Err(Error::Unsupported("max pooling: a plane has more than 2^32 elements".to_owned()));
    }
    Ok(unary(x, Max { windows, winners: Arc::default() })?)
}

struct Max {
    windows: Windows,
    /// For each element of the result, where in its plane of the input it comes from.
    winners: Arc<OnceLock<Arc<[u32]>>>,
}

impl Op<1> for Max {
    const NAME: &'static str = "max_pool";

    fn run<T: Real>(&self, [x]: [Operand<'_, T>; 1]) -> Output<T> {
        let planes = x.dims()[..2].iter().product();
        let (y, winners) = maxima(&self.windows, planes, x.data);
        self.winners.get_or_init(|| winners.into());
        Ok((y, Shape::from(self.windows.output_shape(x.dims()))))
    }

    fn gradients(&self, [x]: [&Tensor; 1], y: &Tensor, grad: &Tensor) -> Gradients<1> {
        let winners = self
            .winners
            .get()
            .cloned()
            .ok_or_else(|| candle_core::Error::msg("max_pool ran backward first"))?;
        let route = Route { winners, many: x.shape().clone(), few: y.shape().clone() };
        Ok([Some(unary(grad, Scatter(route))?)])
    }
}

/// Elements per plane.
fn plane(shape: &Shape) -> usize {
    shape.dims()[2..].iter().product()
}

/// The way from each element of the smaller tensor to its element of the larger one.
#[derive(Clone)]
struct Route {
    winners: Arc<[u32]>,
    many: Shape,
    few: Shape,
}

/// Adds each element to the one it belongs to: the gradient of the maxima.
struct Scatter(Route);

impl Op<1> for Scatter {
    const NAME: &'static str = "max_pool gradient";

    fn run<T: Real>(&self, [g]: [Operand<'_, T>; 1]) -> Output<T> {
        let (many, few) = (plane(&self.0.many), plane(&self.0.few));
        let out = planes(self.0.many.elem_count(), many, |i, to: &mut [T]| {
            to.fill(T::nil());
            let at = i * few..(i + 1) * few;
            for (g, winner) in g.data[at.clone()].iter().zip(&self.0.winners[at]) {
                to[*winner as usize] += *g;
            }
        });
        Ok((out, self.0.many.clone()))
    }

    fn gradients(&self, [_x]: [&Tensor; 1], _y: &Tensor, grad: &Tensor) -> Gradients<1> {
        Ok([Some(unary(grad, Gather(self.0.clone()))?)])
    }
}

/// Reads the chosen elements; the adjoint of [`Scatter`].
struct Gather(Route);

impl Op<1> for Gather {
    const NAME: &'static str = "max_pool second gradient";

    fn run<T: Real>(&self, [v]: [Operand<'_, T>; 1]) -> Output<T> {
        let (many, few) = (plane(&self.0.many), plane(&self.0.few));
        let out = planes(self.0.few.elem_count(), few, |i, to: &mut [T]| {
            let v = &v.data[i * many..(i + 1) * many];
            for (t, winner) in to.iter_mut().zip(&self.0.winners[i * few..]) {
                *t = v[*winner as usize];
            }
        });
        Ok((out, self.0.few.clone()))
    }

    fn gradients(&self, [_x]: [&Tensor; 1], _y: &Tensor, grad: &Tensor) -> Gradients<1> {
        Ok([Some(unary(grad, Scatter(self.0.clone()))?)])
    }
}

/// `elements` values, written plane by plane: `write(i, plane i)` must fill its plane.
fn planes<T: Real>(elements: usize, plane: usize, write: impl Fn(usize, &mut [T]) + Sync + Send) -> Vec<T> {
    if elements == 0 {
        return Vec::new();
    }
    let (count, group) = (elements / plane, (CHUNK / plane).max(1));
    // SAFETY: the groups partition the planes; both callers fill every plane.
    unsafe {
        filled(elements, |out: Shared<T>| {
            for_each(count.div_ceil(group), |i| {
                for i in i * group..((i + 1) * group).min(count) {
                    // SAFETY: the plane belongs to this task alone.
                    write(i, out.slice(i * plane..(i + 1) * plane));
                }
            });
        })
    }
}

/// Outputs treated together: their best values and places stay in registers.
const LANES: usize = 16;

/// The maxima and their places.
fn maxima<T: Real>(windows: &Windows, planes: usize, x: &[T]) -> (Vec<T>, Vec<u32>) {
    let from: usize = windows.input.iter().product();
    let to: usize = windows.output.iter().product();
    let group = (CHUNK / from.max(to)).max(1);
    let width = padded_width(windows);
    let mut y = Vec::new();
    // SAFETY: the groups partition the planes, and each task fills both results for every plane of its own.
    let winners = unsafe {
        filled(planes * to, |winners: Shared<u32>| {
            y = filled(planes * to, |y: Shared<T>| {
                for_each(planes.div_ceil(group), |i| {
                    with_scratch(windows.input[0] * windows.input[1] * width, |padded: &mut [T]| {
                        T::simd().run(
                            #[inline(always)]
                            || {
                                for plane in i * group..((i + 1) * group).min(planes) {
                                    // SAFETY: the planes belong to this task alone.
                                    let at = plane * to..(plane + 1) * to;
                                    let (best, winner) = (y.slice(at.clone()), winners.slice(at));
                                    pad(windows, &x[plane * from..(plane + 1) * from], padded);
                                    plane_maxima(windows, padded, best, winner);
                                }
                            },
                        );
                    });
                });
            });
        })
    };
    (y, winners)
}

/// Elements of a padded row: room for whole groups of lanes.
fn padded_width(windows: &Windows) -> usize {
    let reach = windows.output[2].next_multiple_of(LANES) * windows.stride[2] + windows.kernel[2];
    reach.max(windows.padding[2] + windows.input[2])
}

/// Copies the rows of a plane with minus infinity around them, which wins against nothing.
#[inline(always)]
fn pad<T: Real>(windows: &Windows, x: &[T], padded: &mut [T]) {
    let (w_in, start) = (windows.input[2], windows.padding[2]);
    let lowest = T::of(f64::NEG_INFINITY);
    for (row, to) in x.chunks_exact(w_in).zip(padded.chunks_exact_mut(padded_width(windows))) {
        to[..start].fill(lowest);
        to[start..start + w_in].copy_from_slice(row);
        to[start + w_in..].fill(lowest);
    }
}

#[inline(always)]
fn plane_maxima<T: Real>(windows: &Windows, padded: &[T], best: &mut [T], winner: &mut [u32]) {
    let ([_, h_in, _], [_, h_out, w_out]) = (windows.input, windows.output);
    let rows = best.chunks_exact_mut(w_out).zip(winner.chunks_exact_mut(w_out));
    for (i, (best, winner)) in rows.enumerate() {
        let (frames, lines) = (windows.inside(0, i / h_out), windows.inside(1, i % h_out));
        let taps = frames.flat_map(|t| lines.clone().map(move |h| t * h_in + h));
        let groups = best.chunks_mut(LANES).zip(winner.chunks_mut(LANES));
        for (g, (best, winner)) in groups.enumerate() {
            group_maxima(windows, padded, g * LANES, taps.clone(), best, winner);
        }
    }
}

/// The maxima of neighbouring windows from window `from` on, which meet the input rows `rows`.
#[inline(always)]
fn group_maxima<T: Real>(
    windows: &Windows,
    padded: &[T],
    from: usize,
    rows: impl Iterator<Item = usize> + Clone,
    best: &mut [T],
    winner: &mut [u32],
) {
    let (stride, padding, w_in) = (windows.stride[2], windows.padding[2], windows.input[2]);
    let width = padded_width(windows);
    let first = rows.clone().next().unwrap_or(0) * w_in;
    let mut values = [T::of(f64::NEG_INFINITY); LANES];
    // Places relative to the start of each window in the first row; at first, the first element that is not padding.
    let mut places = [0u32; LANES];
    for (l, place) in places.iter_mut().enumerate() {
        *place = (first + padding.saturating_sub((from + l) * stride)) as u32;
    }
    for row in rows {
        for k in 0..windows.kernel[2] {
            let found = load(padded, row * width + from * stride + k, stride);
            let place = (row * w_in + k) as u32;
            for l in 0..LANES {
                // NaN, which alone differs from itself, wins against everything.
                #[allow(clippy::eq_op)]
                let wins = found[l] > values[l] || found[l] != found[l];
                values[l] = if wins { found[l] } else { values[l] };
                places[l] = if wins { place } else { places[l] };
            }
        }
    }
    for (l, (best, winner)) in best.iter_mut().zip(winner).enumerate() {
        // The sum is a place in the plane; only parts of it may wrap around.
        let start = ((from + l) * stride) as u32;
        (*best, *winner) = (values[l], places[l].wrapping_add(start).wrapping_sub(padding as u32));
    }
}

/// Elements `at`, `at + stride`, ...
#[inline(always)]
fn load<T: Real>(x: &[T], at: usize, stride: usize) -> [T; LANES] {
    let mut out = [T::nil(); LANES];
    match stride {
        1 => out.copy_from_slice(&x[at..at + LANES]),
        2 => {
            let x = &x[at..at + 2 * LANES];
            for l in 0..LANES {
                out[l] = x[2 * l];
            }
        }
        _ => {
            for (l, out) in out.iter_mut().enumerate() {
                *out = x[at + l * stride];
            }
        }
    }
    out
}
