//! Kernels in plain Rust, for machines without one of their own, and to check the others against.

use super::{Kernel, Simd, Strip, StripArgs, Tile, TileArgs};

/// `a * b + c`; in one instruction where every machine of the target has one.
macro_rules! fma {
    ($a:expr, $b:expr, $c:expr) => {
        if cfg!(target_arch = "aarch64") { $a.mul_add($b, $c) } else { $a * $b + $c }
    };
}

macro_rules! portable {
    ($make:ident, $tile:ident, $strip:ident, $t:ty, $lanes:literal) => {
        /// # Safety
        /// See [`Tile`]; the arguments describe `R` rows of one vector.
        unsafe fn $tile<const R: usize>(p: &TileArgs<$t>) {
            // SAFETY: the caller vouches for every element that is named by the fields of `TileArgs`, and nothing else is touched.
            unsafe {
                let mut sums = [[0.0; $lanes]; R];
                for k in 0..p.depth {
                    let row = &*p.b.add(k * $lanes).cast::<[$t; $lanes]>();
                    for (r, sum) in sums.iter_mut().enumerate() {
                        let factor = *p.a.add(*p.rows.add(r) as usize + *p.steps.add(k) as usize);
                        for (s, v) in sum.iter_mut().zip(row) {
                            *s = fma!(factor, *v, *s);
                        }
                    }
                }
                for (r, sum) in sums.iter().enumerate() {
                    let row = &mut *p.c.add(r * p.c_stride).cast::<[$t; $lanes]>();
                    for (c, s) in row.iter_mut().zip(sum) {
                        *c = if p.accumulate { *c + s } else { *s };
                    }
                }
            }
        }

        /// # Safety
        /// See [`Strip`]; the arguments describe `O` outputs and one vector.
        unsafe fn $strip<const O: usize>(p: &StripArgs<$t>) {
            // SAFETY: the caller vouches for every element that is named by the fields of `StripArgs`, and nothing else is touched.
            unsafe {
                let mut sums = [[0.0; $lanes]; O];
                for k in 0..p.depth {
                    let row = &*p.a.add(*p.steps.add(k) as usize).cast::<[$t; $lanes]>();
                    for (o, sum) in sums.iter_mut().enumerate() {
                        let factor = *p.b.add(k * p.b_stride + o);
                        for (s, v) in sum.iter_mut().zip(row) {
                            *s = fma!(factor, *v, *s);
                        }
                    }
                }
                for (o, sum) in sums.iter().enumerate() {
                    let row = &mut *p.c.add(o * p.c_stride).cast::<[$t; $lanes]>();
                    for (c, s) in row.iter_mut().zip(sum) {
                        *c = if p.accumulate { *c + s } else { *s };
                    }
                }
            }
        }

        pub(super) fn $make() -> Kernel<$t> {
            let tiles: Vec<Vec<Tile<$t>>> = vec![vec![$tile::<1>, $tile::<2>, $tile::<3>, $tile::<4>]];
            let strips: Vec<(usize, Strip<$t>)> =
                vec![(1, $strip::<1>), (1, $strip::<2>), (1, $strip::<3>), (1, $strip::<4>)];
            Kernel { lanes: $lanes, tiles, strips, simd: Simd::Baseline }
        }
    };
}

portable!(f32_kernel, tile_f32, strip_f32, f32, 8);
portable!(f64_kernel, tile_f64, strip_f64, f64, 4);
