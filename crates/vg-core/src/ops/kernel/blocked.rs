//! The register-blocked kernels, written once for all instruction sets.

/// Kernels of one element type: `tiles` lists, for one, two, ... vectors, the heights of tiles; `strips` pairs of outputs and vectors.
/// Both are as many as the registers hold. Then the intrinsics: `zero()`, `load(pointer)`, `store(pointer, vector)`, `splat(element)`,
/// `fma(a, b, c)` for `a b + c`, `add(a, b)`.
macro_rules! kernels {
    ($make:ident, $tile:ident, $strip:ident, $t:ty, $vector:ty, $features:literal, $lanes:literal, $simd:ident,
     tiles: [$($vectors:literal: [$($rows:literal)*])*], strips: [$($outputs:literal x $wide:literal)*],
     $zero:ident, $load:ident, $store:ident, $splat:ident, $fma:ident, $add:ident) => {
        /// # Safety
        /// See [`Tile`]; the arguments describe `R` rows of `V` vectors.
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
        /// See [`Strip`]; the arguments describe `O` outputs and `P` vectors.
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
                    // Wrapping, because past the last row it may lie beyond the end of B by more than one element.
                    b = b.wrapping_add(p.b_stride);
                }
                for (o, sum) in sums.iter().enumerate() {
                    for (v, value) in sum.iter().enumerate() {
                        let at = p.c.add(o * p.c_stride + v * $lanes);
                        $store(at, if p.accumulate { $add($load(at), *value) } else { *value });
                    }
                }
            }
        }

        pub(in crate::ops::kernel) fn $make() -> Kernel<$t> {
            let tiles: Vec<Vec<Tile<$t>>> = vec![$(vec![$($tile::<$rows, $vectors>),*]),*];
            let strips: Vec<(usize, Strip<$t>)> = vec![$(($wide, $strip::<$outputs, $wide>)),*];
            Kernel { lanes: $lanes, tiles, strips, simd: Simd::$simd }
        }
    };
}
pub(super) use kernels;
