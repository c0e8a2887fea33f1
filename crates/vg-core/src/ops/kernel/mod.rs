//! The register-blocked matrix kernel under all convolutions.
//!
//! One call adds `A B` to a small tile of C, where A holds up to [`Kernel::rows`] rows, stored row by row with [`DEPTH`] elements
//! between rows, and B holds `depth` rows of [`Kernel::width`] elements, packed. Edges are padded by the packers, so the kernel
//! has no edge cases.

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::OnceLock;

/// Length of the pieces into which the inner dimension is cut; also the row stride of packed A.
pub(crate) const DEPTH: usize = 256;

/// Upper bound of [`Kernel::width`] over all machines.
pub(crate) const MAX_WIDTH: usize = 32;

/// `C (+)= A B` for a tile of fixed height.
///
/// `depth <= DEPTH` columns of A; `c` is a dense tile of `rows x width`; `accumulate` says whether to add to it or overwrite it.
///
/// # Safety
/// `a` is valid for reads of `(rows - 1) * DEPTH + depth` elements, `b` for `depth * width` and `c` for reads and writes of
/// `rows * width`; the CPU has the features that the kernel was compiled for.
pub(crate) type Tile<T> = unsafe fn(depth: usize, a: *const T, b: *const T, c: *mut T, accumulate: bool);

/// The kernels of one instruction set.
pub(crate) struct Kernel<T> {
    /// Most rows of a tile.
    pub rows: usize,
    /// Columns of a tile, a multiple of the vector length.
    pub width: usize,
    /// Kernels for 1, 2, ... `rows` rows.
    pub tiles: Vec<Tile<T>>,
    /// What the copying loops around the kernel may use.
    pub simd: Simd,
}

/// Instruction sets for which the packing loops are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Simd {
    /// What the compilation target guarantees.
    Baseline,
    /// x86-64 with AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// x86-64 with AVX-512 F, DQ, BW and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Simd {
    fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl");
            if avx512 {
                return Self::Avx512;
            }
            if avx2 {
                return Self::Avx2;
            }
        }
        Self::Baseline
    }
}

macro_rules! choose {
    ($name:ident, $t:ty, $doc:literal) => {
        #[doc = $doc]
        pub(crate) fn $name() -> &'static Kernel<$t> {
            static KERNEL: OnceLock<Kernel<$t>> = OnceLock::new();
            KERNEL.get_or_init(|| match Simd::detect() {
                Simd::Baseline => portable::$name(),
                #[cfg(target_arch = "x86_64")]
                Simd::Avx2 => x86::avx2::$name(),
                #[cfg(target_arch = "x86_64")]
                Simd::Avx512 => x86::avx512::$name(),
            })
        }
    };
}
choose!(f32_kernel, f32, "Kernels for f32.");
choose!(f64_kernel, f64, "Kernels for f64.");

#[cfg(test)]
mod tests {
    use super::super::real::Real;
    use super::*;

    fn agrees_with_loops<T: Real>(kernel: &Kernel<T>) {
        let a: Vec<T> = (0..kernel.rows * DEPTH).map(|i| T::of(((i * 37) % 19) as f64 - 9.0)).collect();
        let b: Vec<T> = (0..DEPTH * kernel.width).map(|i| T::of(((i * 53) % 23) as f64 - 11.0)).collect();
        for rows in 1..=kernel.rows {
            for depth in [0, 1, 7, DEPTH] {
                let mut c = vec![T::of(3.0); rows * kernel.width];
                // SAFETY: the buffers have the sizes that `Tile` asks for, and the kernel was chosen for this CPU.
                unsafe { kernel.tiles[rows - 1](depth, a.as_ptr(), b.as_ptr(), c.as_mut_ptr(), true) };
                for (i, got) in c.iter().enumerate() {
                    let (r, j) = (i / kernel.width, i % kernel.width);
                    let want: f64 = (0..depth)
                        .map(|k| a[r * DEPTH + k].to_f64() * b[k * kernel.width + j].to_f64())
                        .sum();
                    assert_eq!(got.to_f64(), want + 3.0, "row {r}, column {j} of {rows} rows, depth {depth}");
                }
            }
        }
    }

    // Small integers: every sum is exact, so the order of additions does not matter.
    #[test]
    fn every_kernel_of_this_cpu_agrees_with_plain_loops() {
        agrees_with_loops(&portable::f32_kernel());
        agrees_with_loops(&portable::f64_kernel());
        #[cfg(target_arch = "x86_64")]
        {
            let simd = Simd::detect();
            if simd != Simd::Baseline {
                agrees_with_loops(&x86::avx2::f32_kernel());
                agrees_with_loops(&x86::avx2::f64_kernel());
            }
            if simd == Simd::Avx512 {
                agrees_with_loops(&x86::avx512::f32_kernel());
                agrees_with_loops(&x86::avx512::f64_kernel());
            }
        }
    }
}
