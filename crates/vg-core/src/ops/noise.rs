//! Gaussian noise added to a tensor, drawn where it is added: the noise itself is never a tensor.

use std::f32::consts::TAU;

use candle_core::Tensor;
use rand_core::RngCore;
use rayon::prelude::*;

use super::op::{Gradients, Op, Operand, Output, unary};
use super::real::Real;
use super::threads::CHUNK;
use crate::{Result, Rng};

/// `x + sigma * n` with standard normal `n` of the shape of `x`, for f32 and f64 tensors of any shape.
///
/// The numbers are a function of `rng`, of the place of an element and of the number of elements, of f32 precision for both types, with
/// absolute values up to 5.77. They are not those of [`Stream::normal`](crate::rng::Stream::normal), which takes ten times as long.
///
/// # Errors
/// [`Error::Tensor`](crate::Error::Tensor) for other element types.
pub fn add_noise(x: &Tensor, sigma: f64, rng: &Rng) -> Result<Tensor> {
    Ok(unary(x, AddNoise { sigma, rng: rng.clone() })?)
}

struct AddNoise {
    sigma: f64,
    rng: Rng,
}

impl Op<1> for AddNoise {
    const NAME: &'static str = "noise";

    fn run<T: Real>(&self, [x]: [Operand<'_, T>; 1]) -> Output<T> {
        let mut out = x.data.to_vec();
        out.par_chunks_mut(CHUNK).enumerate().for_each(|(block, values)| {
            let noise = Block::draw(&self.rng, block as u64, values.len());
            let sigma = T::of(self.sigma);
            for (value, n) in values.iter_mut().zip(&noise.0) {
                *value += sigma * T::of(f64::from(*n));
            }
        });
        Ok((out, x.shape.clone()))
    }

    fn gradients(&self, [_x]: [&Tensor; 1], _res: &Tensor, grad: &Tensor) -> Gradients<1> {
        Ok([Some(grad.clone())])
    }
}

/// Standard normal numbers, in pairs by Box and Muller: the first half of a block holds the cosines, the second the sines.
struct Block(Vec<f32>);

impl Block {
    fn draw(rng: &Rng, block: u64, n: usize) -> Self {
        let half = n.div_ceil(2);
        let mut bytes = vec![0u8; 8 * half];
        rng.bits(block).fill_bytes(&mut bytes);
        let mut numbers = vec![0f32; 2 * half];
        let (words, _) = bytes.as_chunks::<4>();
        let (radii, angles) = words.split_at(half);
        let (cosines, sines) = numbers.split_at_mut(half);
        f32::simd().run(
            #[inline(always)]
            || {
                for (((radius, angle), cosine), sine) in radii.iter().zip(angles).zip(cosines).zip(sines) {
                    let (r, (s, c)) = (radius_of(*radius), turn(*angle));
                    (*cosine, *sine) = (r * c, r * s);
                }
            },
        );
        Self(numbers)
    }
}

/// Bits of a random word that are used: all that an f32 can hold.
const BITS: u32 = 24;

/// `sqrt(-2 ln u)` for u uniform in (0, 1].
#[inline(always)]
fn radius_of(word: [u8; 4]) -> f32 {
    let u = ((u32::from_le_bytes(word) >> (32 - BITS)) + 1) as f32 * (1.0 / (1 << BITS) as f32);
    // Of u = 1 the logarithm may be a rounding error above 0.
    Real::sqrt((-2.0 * ln(u)).max(0.0))
}

/// Sine and cosine of an angle that is uniform on the circle.
#[inline(always)]
fn turn(word: [u8; 4]) -> (f32, f32) {
    let at = u32::from_le_bytes(word) >> (32 - BITS);
    // The nearest quarter turn, and what is left: within an eighth of a turn.
    let quarter = (at + (1 << (BITS - 3))) >> (BITS - 2);
    let rest = at as i32 - (quarter << (BITS - 2)) as i32;
    let x = rest as f32 * (TAU / (1 << BITS) as f32);
    let z = x * x;
    // Cephes' `sinf` and `cosf` on [-pi/4, pi/4].
    let sine = ((-1.951_529_6e-4 * z + 8.332_161e-3) * z - 1.666_665_5e-1) * z * x + x;
    let cosine = ((2.443_315_7e-5 * z - 1.388_731_6e-3) * z + 4.166_664_6e-2) * z * z - 0.5 * z + 1.0;
    let (s, c) = if quarter & 1 == 0 { (sine, cosine) } else { (cosine, sine) };
    let signed = |negative: bool, v: f32| if negative { -v } else { v };
    (signed(quarter & 2 != 0, s), signed((quarter + 1) & 2 != 0, c))
}

/// Natural logarithm of a normal number in (0, 1], by the polynomial of Cephes (`logf`): vectorises, unlike libm's.
#[inline(always)]
fn ln(u: f32) -> f32 {
    const POLYNOMIAL: [f32; 9] = [
        3.333_333e-1,
        -2.499_999_4e-1,
        2.000_071_4e-1,
        -1.666_805_7e-1,
        1.424_932_3e-1,
        -1.242_014_1e-1,
        1.167_699_9e-1,
        -1.151_461e-1,
        7.037_683_6e-2,
    ];
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let bits = u.to_bits();
    // u = m 2^e with m in [1/2, 1), then in [sqrt(1/2), sqrt(2)).
    let e = (bits >> 23) as i32 - 126;
    let m = f32::from_bits((bits & 0x007f_ffff) | 0x3f00_0000);
    let low = m < std::f32::consts::FRAC_1_SQRT_2;
    let e = (if low { e - 1 } else { e }) as f32;
    let x = if low { m + m - 1.0 } else { m - 1.0 };
    let p = POLYNOMIAL.iter().rev().fold(0.0, |sum, c| sum * x + c);
    let y = p * (x * x * x) + e * LN_2_LOW - 0.5 * (x * x);
    x + y + e * LN_2_HIGH
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    fn noise(n: usize, seed: u64) -> Vec<f64> {
        let zeros = Tensor::zeros(n, DType::F64, &Device::Cpu).unwrap();
        add_noise(&zeros, 1.0, &Rng::new(seed)).unwrap().to_vec1().unwrap()
    }

    #[test]
    fn radii_and_turns_are_those_of_the_library() {
        let largest = (1u32 << BITS) - 1;
        for i in (0..=largest).step_by(997).chain([1, largest - 1, largest]) {
            let word = (i << (32 - BITS)).to_le_bytes();
            let u = f64::from(i + 1) / f64::from(1 << BITS);
            let want = (-2.0 * u.ln()).sqrt();
            assert!((f64::from(radius_of(word)) - want).abs() < 1e-6 * want.max(0.1), "radius of {u}");
            let angle = f64::from(i) / f64::from(1 << BITS) * std::f64::consts::TAU;
            let (s, c) = turn(word);
            assert!((f64::from(s) - angle.sin()).abs() < 3e-7, "sine of {angle}");
            assert!((f64::from(c) - angle.cos()).abs() < 3e-7, "cosine of {angle}");
        }
    }

    #[test]
    fn moments_and_tails_are_those_of_a_normal_distribution() {
        let n = 60 * CHUNK + 11;
        let draws = noise(n, 3);
        let mean_of = |f: &dyn Fn(f64) -> f64| draws.iter().map(|x| f(*x)).sum::<f64>() / n as f64;
        // Five standard errors of each moment.
        for (power, want, spread) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0f64)] {
            let got = mean_of(&|x| x.powi(power));
            assert!((got - want).abs() < 5.0 * (spread / n as f64).sqrt(), "moment {power}: {got}");
        }
        let beyond_2 = mean_of(&|x| f64::from(u8::from(x.abs() > 2.0)));
        assert!((beyond_2 - 0.0455).abs() < 1.1e-3, "{beyond_2}");
        // Neighbours, partners of a pair, and neighbouring blocks.
        for lag in [1, CHUNK / 2, CHUNK] {
            let product = draws.iter().zip(&draws[lag..]).map(|(a, b)| a * b).sum::<f64>() / n as f64;
            assert!(product.abs() < 5.0 / (n as f64).sqrt(), "lag {lag}: {product}");
        }
    }

    #[test]
    fn numbers_depend_on_seed_and_place_alone() {
        let (long, short) = (noise(2 * CHUNK + 2, 5), noise(CHUNK, 5));
        assert_eq!(long[..CHUNK], short);
        assert_ne!(noise(8, 5), noise(8, 6));
        let single = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(single.install(|| noise(2 * CHUNK + 2, 5)), long);
    }

    #[test]
    fn sigma_scales_the_noise_and_gradients_pass_through() {
        let x = candle_core::Var::new(&[1f32, -2.0, 3.0], &Device::Cpu).unwrap();
        let y = add_noise(x.as_tensor(), 0.5, &Rng::new(1)).unwrap();
        let n = noise(3, 1);
        let got = y.to_vec1::<f32>().unwrap();
        for ((got, x), n) in got.iter().zip([1f64, -2.0, 3.0]).zip(n) {
            assert!((f64::from(*got) - x - 0.5 * n).abs() < 1e-6);
        }
        let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let want: Vec<f32> = got.iter().map(|y| 2.0 * y).collect();
        assert_eq!(grads.get(x.as_tensor()).unwrap().to_vec1::<f32>().unwrap(), want);
    }
}
