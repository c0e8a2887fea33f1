//! Kernels for AVX2 with FMA and for AVX-512.

/// Kernels of one element type: `rows` lists, for one, two, ... vectors, the heights of tiles; `strips` pairs of outputs and vectors.
/// Both are as many as the registers hold.
macro_rules! kernels {
    ($make:ident, $tile:ident, $strip:ident, $t:ty, $vector:ty, $features:literal, $lanes:literal, $simd:ident,
     tiles: [$($vectors:literal: [$($rows:literal)*])*], strips: [$($outputs:literal x $wide:literal)*],
     $zero:ident, $load:ident, $store:ident, $splat:ident, $fma:ident, $add:ident) => {
        /// # Safety
        /// See [`Tile`].
        #[target_feature(enable = $features)]
        unsafe fn $tile<const R: usize, const V: usize>(p: &TileArgs<$t>) {
            // SAFETY: the caller vouches for every element that is named by the fields of `TileArgs`, and nothing else is touched.
            unsafe {
                let mut rows = [p.a; R];
                for (r, row) in rows.iter_mut().enumerate() {
                    *row = p.a.add(*p.rows.add(r) as usize);
                }
                let mut sums = [[$zero(); V]; R];
                let mut b = p.b;
                for k in 0..p.depth {
                    let step = *p.steps.add(k) as usize;
                    let mut columns: [$vector; V] = [$zero(); V];
                    for (v, column) in columns.iter_mut().enumerate() {
                        *column = $load(b.add(v * $lanes));
                    }
                    for r in 0..R {
                        let factor = $splat(*rows[r].add(step));
                        for v in 0..V {
                            sums[r][v] = $fma(factor, columns[v], sums[r][v]);
                        }
                    }
                    b = b.add(V * $lanes);
                }
                for (r, sum) in sums.iter().enumerate() {
                    for (v, value) in sum.iter().enumerate() {
                        let at = p.c.add(r * p.c_stride + v * $lanes);
                        $store(at, if p.accumulate { $add($load(at), *value) } else { *value });
                    }
                }
            }
        }

        /// # Safety
        /// See [`Strip`].
        #[target_feature(enable = $features)]
        unsafe fn $strip<const O: usize, const P: usize>(p: &StripArgs<$t>) {
            // SAFETY: the caller vouches for every element that is named by the fields of `StripArgs`, and nothing else is touched.
            unsafe {
                let mut sums = [[$zero(); P]; O];
                let mut b = p.b;
                for k in 0..p.depth {
                    let a = p.a.add(*p.steps.add(k) as usize);
                    let mut positions: [$vector; P] = [$zero(); P];
                    for (v, position) in positions.iter_mut().enumerate() {
                        *position = $load(a.add(v * $lanes));
                    }
                    for o in 0..O {
                        let factor = $splat(*b.add(o));
                        for v in 0..P {
                            sums[o][v] = $fma(factor, positions[v], sums[o][v]);
                        }
                    }
                    b = b.add(p.b_stride);
                }
                for (o, sum) in sums.iter().enumerate() {
                    for (v, value) in sum.iter().enumerate() {
                        let at = p.c.add(o * p.c_stride + v * $lanes);
                        $store(at, if p.accumulate { $add($load(at), *value) } else { *value });
                    }
                }
            }
        }

        pub(in super::super) fn $make() -> Kernel<$t> {
            let tiles: Vec<Vec<Tile<$t>>> = vec![$(vec![$($tile::<$rows, $vectors>),*]),*];
            let strips: Vec<(usize, Strip<$t>)> = vec![$(($wide, $strip::<$outputs, $wide>)),*];
            Kernel { lanes: $lanes, tiles, strips, simd: Simd::$simd }
        }
    };
}

pub(super) mod avx2 {
    use std::arch::x86_64::*;

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
