//! Kernels for AVX2 with FMA and for AVX-512.

pub(super) mod avx2 {
    use std::arch::x86_64::*;

    use super::super::blocked::kernels;
    use super::super::{Kernel, Simd, Strip, StripArgs, Tile, TileArgs};

    kernels!(
        f32_kernel, tile_f32, strip_f32, f32, __m256, "avx2,fma", 8, Avx2,
        tiles: [1: [1 2 3 4 5 6 7 8 9 10] 2: [1 2 3 4 5 6] 3: [1 2 3 4]], strips: [1 x 6 2 x 4 3 x 4 4 x 3],
        _mm256_setzero_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_add_ps
    );
    kernels!(
        f64_kernel, tile_f64, strip_f64, f64, __m256d, "avx2,fma", 4, Avx2,
        tiles: [1: [1 2 3 4 5 6 7 8] 2: [1 2 3 4 5 6]], strips: [1 x 6 2 x 4 3 x 4 4 x 3],
        _mm256_setzero_pd, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_set1_pd, _mm256_fmadd_pd, _mm256_add_pd
    );
}

pub(super) mod avx512 {
    use std::arch::x86_64::*;

    use super::super::blocked::kernels;
    use super::super::{Kernel, Simd, Strip, StripArgs, Tile, TileArgs};

    kernels!(
        f32_kernel, tile_f32, strip_f32, f32, __m512, "avx512f", 16, Avx512,
        tiles: [
            1: [1 2 3 4 5 6 7 8 9 10 11 12 13 14]
            2: [1 2 3 4 5 6 7 8 9 10 11 12]
            3: [1 2 3 4 5 6 7 8]
            4: [1 2 3 4 5 6]
        ],
        strips: [1 x 8 2 x 8 3 x 8 4 x 6 5 x 4 6 x 4],
        _mm512_setzero_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_add_ps
    );
    kernels!(
        f64_kernel, tile_f64, strip_f64, f64, __m512d, "avx512f", 8, Avx512,
        tiles: [1: [1 2 3 4 5 6 7 8 9 10 11 12] 2: [1 2 3 4 5 6 7 8 9 10 11 12]], strips: [1 x 8 2 x 8 3 x 8 4 x 6],
        _mm512_setzero_pd, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_set1_pd, _mm512_fmadd_pd, _mm512_add_pd
    );
}

/// Products of bf16 pairs with AVX-512 BF16.
pub(super) mod avx512_bf16 {
    use std::arch::x86_64::*;

    use super::super::pairs::{PairArgs, PairKernel, TILE};

    pub(in super::super) const KERNEL: PairKernel =
        PairKernel { tiles: [tiles::<1>, tiles::<2>], begin: nothing_to_begin, end: nothing_to_end };

    pub(in super::super) fn available() -> bool {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")
    }

    /// Whether a product of pairs takes no longer than one of f32, as on AMD's processors and not on Intel's.
    pub(in super::super) fn is_fast() -> bool {
        let vendor = __cpuid(0);
        [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).concat() == b"AuthenticAMD"
    }

    unsafe fn nothing_to_begin(_: usize) {}
    unsafe fn nothing_to_end() {}

    /// Rows whose sums are held in registers, two vectors each.
    const ROWS: usize = 8;

    /// # Safety
    /// See [`Tiles`](super::super::pairs::Tiles).
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn tiles<const N: usize>(p: &PairArgs) {
        for first in (0..N * TILE).step_by(ROWS) {
            let start = first / TILE * p.a_tile + first % TILE * p.a_stride;
            // SAFETY: the caller vouches for every element that is named by the fields of `PairArgs`, and nothing else is touched.
            unsafe {
                let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
                for k in 0..p.depth {
                    let a = p.a.add(start + k * p.a_step);
                    let b = p.b.add(*p.steps.add(k) as usize);
                    for i in 0..p.pairs {
                        let row = b.add(i * p.b_stride);
                        let columns = [
                            bf16(_mm512_loadu_epi32(row.cast())),
                            bf16(_mm512_loadu_epi32(row.add(16).cast())),
                        ];
                        for (r, sum) in sums.iter_mut().enumerate() {
                            let factor = bf16(_mm512_set1_epi32(*a.add(r * p.a_stride + i) as i32));
                            sum[0] = _mm512_dpbf16_ps(sum[0], factor, columns[0]);
                            sum[1] = _mm512_dpbf16_ps(sum[1], factor, columns[1]);
                        }
                    }
                }
                for (r, sum) in sums.iter().enumerate() {
                    for (v, value) in sum.iter().enumerate() {
                        let at = p.c.add((first + r) * p.c_stride + 16 * v);
                        _mm512_storeu_ps(
                            at,
                            if p.accumulate { _mm512_add_ps(_mm512_loadu_ps(at), *value) } else { *value },
                        );
                    }
                }
            }
        }
    }

    /// The same bits as pairs of bf16.
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn bf16(bits: __m512i) -> __m512bh {
        // SAFETY: both types are 64 bytes of which every pattern is valid.
        unsafe { std::mem::transmute(bits) }
    }
}
