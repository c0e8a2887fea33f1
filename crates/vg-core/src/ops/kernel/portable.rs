//! Kernels in plain Rust, for machines without one of their own.

use super::{DEPTH, Kernel, Simd, Tile};

macro_rules! portable {
    ($tile:ident, $make:ident, $t:ty, $width:literal) => {
        unsafe fn $tile<const ROWS: usize>(
            depth: usize,
            a: *const $t,
            b: *const $t,
            c: *mut $t,
            accumulate: bool,
        ) {
            let mut sums = [[0.0; $width]; ROWS];
            for k in 0..depth {
                // SAFETY: the caller guarantees `depth * width` elements of B.
                let row = unsafe { &*b.add(k * $width).cast::<[$t; $width]>() };
                for (r, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: the caller guarantees rows of A at distance DEPTH.
                    let factor = unsafe { *a.add(r * DEPTH + k) };
                    for (s, v) in sum.iter_mut().zip(row) {
                        *s += factor * v;
                    }
                }
            }
            // SAFETY: the caller guarantees a tile of ROWS x width.
            let tile = unsafe { &mut *c.cast::<[[$t; $width]; ROWS]>() };
            for (t, s) in tile.as_flattened_mut().iter_mut().zip(sums.as_flattened()) {
                *t = if accumulate { *t + s } else { *s };
            }
        }

        pub(super) fn $make() -> Kernel<$t> {
            let tiles: Vec<Tile<$t>> = vec![$tile::<1>, $tile::<2>, $tile::<3>, $tile::<4>];
            Kernel { rows: tiles.len(), width: $width, tiles, simd: Simd::Baseline }
        }
    };
}

portable!(tile_f32, f32_kernel, f32, 8);
portable!(tile_f64, f64_kernel, f64, 4);
