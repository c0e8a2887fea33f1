//! How well each point of one frame matches each point of another, at four sizes.

use candle_core::{DType, Tensor, WithDType};
use vg_core::Result;
use vg_core::ops::linear::linear;
use vg_core::ops::pool::{PoolParams, avg_pool};

/// Sizes of the second frame, each half of the one before.
const LEVELS: usize = 4;
/// Reach of a look-up in pixels of a level.
const RADIUS: i32 = 3;
const SIDE: usize = (2 * RADIUS + 1) as usize;
/// Values of a look-up.
pub(super) const CHANNELS: usize = LEVELS * SIDE * SIDE;

/// Products of the features of all pairs of points: `[B * h * w, 1, h / 2^l, w / 2^l]` at level `l`.
pub(super) struct Correlation {
    levels: Vec<Tensor>,
}

impl Correlation {
    /// From features `[B, C, h, w]` of both frames: their inner products divided by `sqrt(C)`, the second frame averaged over squares.
    pub fn new(from: &Tensor, to: &Tensor) -> Result<Self> {
        let (batch, channels, height, width) = from.dims4()?;
        // [B, h * w, C]
        let points = |x: &Tensor| x.flatten_from(2)?.transpose(1, 2)?.contiguous();
        let (from, to) = (points(from)?, points(to)?);
        let products: Vec<Tensor> =
            (0..batch).map(|b| linear(&from.get(b)?, &to.get(b)?, None)).collect::<Result<_>>()?;
        let shape = (batch * height * width, 1, height, width);
        let all = (Tensor::cat(&products, 0)?.reshape(shape)? / (channels as f64).sqrt())?;
        let mut levels = vec![all];
        for level in 1..LEVELS {
            levels.push(avg_pool(&levels[level - 1], &PoolParams::per_axis([2, 2]))?);
        }
        Ok(Self { levels })
    }

    /// The products around the points that a flow `[B, 2, h, w]` leads to: `[B, 196, h, w]`.
    ///
    /// Channel `49 l + 7 a + b` is the bilinear sample of level `l` at `point / 2^l + (a - 3, b - 3)`, x first; 0 outside.
    pub fn around(&self, flow: &Tensor) -> Result<Tensor> {
        match flow.dtype() {
            DType::F64 => self.sample::<f64>(flow),
            _ => self.sample::<f32>(flow),
        }
    }

    fn sample<T: WithDType>(&self, flow: &Tensor) -> Result<Tensor> {
        let (batch, _, height, width) = flow.dims4()?;
        let area = height * width;
        let flows = flow.flatten_all()?.to_vec1::<T>()?;
        let mut out = vec![T::zero(); batch * CHANNELS * area];
        for (l, level) in self.levels.iter().enumerate() {
            let (_, _, level_height, level_width) = level.dims4()?;
            let maps = level.flatten_all()?.to_vec1::<T>()?;
            let maps = maps.chunks_exact(level_height * level_width);
            for (point, map) in maps.enumerate() {
                let (b, i) = (point / area, point % area);
                let component = |c: usize| flows[(2 * b + c) * area + i].to_f64();
                let scale = f64::from(1u32 << l);
                let x = ((i % width) as f64 + component(0)) / scale;
                let y = ((i / width) as f64 + component(1)) / scale;
                let map = Map { values: map, height: level_height, width: level_width };
                for k in 0..SIDE * SIDE {
                    let (a, c) = ((k / SIDE) as i32 - RADIUS, (k % SIDE) as i32 - RADIUS);
                    let value = map.at(y + f64::from(c), x + f64::from(a));
                    out[((b * LEVELS + l) * SIDE * SIDE + k) * area + i] = T::from_f64(value);
                }
            }
        }
        Ok(Tensor::from_vec(out, (batch, CHANNELS, height, width), flow.device())?)
    }
}

/// The products of one point with a level of the other frame.
struct Map<'a, T> {
    values: &'a [T],
    height: usize,
    width: usize,
}

impl<T: WithDType> Map<'_, T> {
    /// Bilinear sample; 0 outside.
    fn at(&self, y: f64, x: f64) -> f64 {
        let (y0, x0) = (y.floor(), x.floor());
        let (fy, fx) = (y - y0, x - x0);
        let row = |y: f64| (1.0 - fx) * self.pixel(y, x0) + fx * self.pixel(y, x0 + 1.0);
        (1.0 - fy) * row(y0) + fy * row(y0 + 1.0)
    }

    fn pixel(&self, y: f64, x: f64) -> f64 {
        let inside = (0.0..self.height as f64).contains(&y) && (0.0..self.width as f64).contains(&x);
        if inside { self.values[y as usize * self.width + x as usize].to_f64() } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// Two channels, so that products are easy: the first frame has (1, 0) at one point, the second one's first channel is a ramp.
    #[test]
    fn products_around_a_point() {
        let (h, w) = (16, 16);
        let one =
            |f: &dyn Fn(usize, usize) -> f64| -> Vec<f64> { (0..h * w).map(|i| f(i / w, i % w)).collect() };
        let zero = one(&|_, _| 0.0);
        let spot = one(&|y, x| if (y, x) == (8, 6) { 1.0 } else { 0.0 });
        let ramp = one(&|y, x| (10 * y + x) as f64);
        let stack =
            |a: &[f64], b: &[f64]| Tensor::from_vec([a, b].concat(), (1, 2, h, w), &Device::Cpu).unwrap();
        let correlation = Correlation::new(&stack(&spot, &zero), &stack(&ramp, &zero)).unwrap();
        let mut flow = vec![0.0; 2 * h * w];
        (flow[8 * w + 6], flow[h * w + 8 * w + 6]) = (1.5, -2.0);
        let flow = Tensor::from_vec(flow, (1, 2, h, w), &Device::Cpu).unwrap();
        let found = correlation.around(&flow).unwrap();
        let at = |level: usize, a: usize, b: usize| {
            let channel = found.get(0).unwrap().get(49 * level + 7 * a + b).unwrap();
            channel.to_vec2::<f64>().unwrap()[8][6] * 2f64.sqrt()
        };
        let near = |got: f64, want: f64| assert!((got - want).abs() < 1e-9, "{got} {want}");
        // The point (7.5, 6): x offset first.
        near(at(0, 3, 3), 67.5);
        near(at(0, 4, 3), 68.5);
        near(at(0, 3, 5), 87.5);
        // Level 1: squares of four, at (3.75, 3): the mean of ramp over a square of (y, x) is 20 y + 2 x + 5.5.
        near(at(1, 3, 3), 60.0 + 7.5 + 5.5);
        near(at(1, 2, 4), 80.0 + 5.5 + 5.5);
        // Level 3: two columns, at (0.9375, 0.75); three to the right is outside.
        near(at(3, 6, 3), 0.0);
        // Other points of the first frame have no features.
        assert_eq!(found.get(0).unwrap().get(0).unwrap().to_vec2::<f64>().unwrap()[3][3], 0.0);
    }
}
