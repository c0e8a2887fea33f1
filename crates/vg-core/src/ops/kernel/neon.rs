//! Kernels for NEON, which every AArch64 machine has: 32 registers of 128 bits, of which the sums take up to 24.

use std::arch::aarch64::*;

use super::blocked::kernels;
use super::{Kernel, Simd, Strip, StripArgs, Tile, TileArgs};

kernels!(
    f32_kernel, tile_f32, strip_f32, f32, float32x4_t, "neon", 4, Neon,
    tiles: [
        1: [1 2 3 4 5 6 7 8 9 10 11 12 13 14]
        2: [1 2 3 4 5 6 7 8 9 10 11 12]
        3: [1 2 3 4 5 6 7 8]
        4: [1 2 3 4 5 6]
    ],
    strips: [1 x 8 2 x 8 3 x 6 4 x 5],
    zero_f32, vld1q_f32, vst1q_f32, vdupq_n_f32, fma_f32, vaddq_f32
);
kernels!(
    f64_kernel, tile_f64, strip_f64, f64, float64x2_t, "neon", 2, Neon,
    tiles: [
        1: [1 2 3 4 5 6 7 8 9 10 11 12 13 14]
        2: [1 2 3 4 5 6 7 8 9 10 11 12]
        3: [1 2 3 4 5 6 7 8]
        4: [1 2 3 4 5 6]
    ],
    strips: [1 x 8 2 x 8 3 x 6 4 x 5],
    zero_f64, vld1q_f64, vst1q_f64, vdupq_n_f64, fma_f64, vaddq_f64
);

#[inline]
#[target_feature(enable = "neon")]
fn zero_f32() -> float32x4_t {
    vdupq_n_f32(0.0)
}

#[inline]
#[target_feature(enable = "neon")]
fn zero_f64() -> float64x2_t {
    vdupq_n_f64(0.0)
}

/// `a * b + c`: the intrinsic takes the summand first.
#[inline]
#[target_feature(enable = "neon")]
fn fma_f32(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
    vfmaq_f32(c, a, b)
}

/// As [`fma_f32`].
#[inline]
#[target_feature(enable = "neon")]
fn fma_f64(a: float64x2_t, b: float64x2_t, c: float64x2_t) -> float64x2_t {
    vfmaq_f64(c, a, b)
}
