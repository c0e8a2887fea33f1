//! Kernels for AVX2 with FMA and for AVX-512, two vectors wide.

macro_rules! kernel {
    ($tile:ident, $make:ident, $t:ty, $features:literal, $lanes:literal, $simd:ident, [$($rows:literal)*],
     $zero:ident, $load:ident, $store:ident, $splat:ident, $fma:ident, $add:ident) => {
        /// # Safety
        /// See [`Tile`].
        #[target_feature(enable = $features)]
        unsafe fn $tile<const ROWS: usize>(depth: usize, a: *const $t, b: *const $t, c: *mut $t, accumulate: bool) {
            const WIDTH: usize = 2 * $lanes;
            let mut sums = [[$zero(); 2]; ROWS];
            for k in 0..depth {
                // SAFETY: the caller guarantees `depth * WIDTH` elements of B and rows of A at distance DEPTH.
                unsafe {
                    let left = $load(b.add(k * WIDTH));
                    let right = $load(b.add(k * WIDTH + $lanes));
                    for r in 0..ROWS {
                        let factor = $splat(*a.add(r * DEPTH + k));
                        sums[r][0] = $fma(factor, left, sums[r][0]);
                        sums[r][1] = $fma(factor, right, sums[r][1]);
                    }
                }
            }
            for (r, sum) in sums.iter().enumerate() {
                for (v, value) in sum.iter().enumerate() {
                    // SAFETY: the caller guarantees a tile of ROWS x WIDTH.
                    unsafe {
                        let at = c.add(r * WIDTH + v * $lanes);
                        $store(at, if accumulate { $add($load(at), *value) } else { *value });
                    }
                }
            }
        }

        pub(in super::super) fn $make() -> Kernel<$t> {
            let tiles: Vec<Tile<$t>> = vec![$($tile::<$rows>),*];
            Kernel { rows: tiles.len(), width: 2 * $lanes, tiles, simd: Simd::$simd }
        }
    };
}

pub(super) mod avx2 {
    use std::arch::x86_64::*;

    use super::super::{DEPTH, Kernel, Simd, Tile};

    kernel!(
        tile_f32, f32_kernel, f32, "avx2,fma", 8, Avx2, [1 2 3 4 5 6],
        _mm256_setzero_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_add_ps
    );
    kernel!(
        tile_f64, f64_kernel, f64, "avx2,fma", 4, Avx2, [1 2 3 4 5 6],
        _mm256_setzero_pd, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_set1_pd, _mm256_fmadd_pd, _mm256_add_pd
    );
}

pub(super) mod avx512 {
    use std::arch::x86_64::*;

    use super::super::{DEPTH, Kernel, Simd, Tile};

    kernel!(
        tile_f32, f32_kernel, f32, "avx512f", 16, Avx512, [1 2 3 4 5 6 7 8 9 10 11 12],
        _mm512_setzero_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_add_ps
    );
    kernel!(
        tile_f64, f64_kernel, f64, "avx512f", 8, Avx512, [1 2 3 4 5 6 7 8 9 10 11 12],
        _mm512_setzero_pd, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_set1_pd, _mm512_fmadd_pd, _mm512_add_pd
    );
}
