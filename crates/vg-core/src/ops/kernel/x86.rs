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
