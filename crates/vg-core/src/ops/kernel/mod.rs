//! The register-blocked matrix kernels under all convolutions, and on CPUs with AVX-512 under the matrix products ([`super::matmul`]).
//!
//! Nothing is rearranged into patches. One operand is read where it lies, through offsets: its element `(row r, inner index k)` is
//! `a[rows[r] + steps[k]]`, which describes the patches of any convolution in a padded block of its input. There are two kernels:
//!
//! | kernel | vectors run along | for |
//! |---|---|---|
//! | [`Tile`] | columns of a packed B (output channels), A is broadcast | almost all layers |
//! | [`Strip`] | consecutive elements of A (positions), B is broadcast | layers with few output channels |
//!
//! Products of bf16 have kernels of their own: [`pairs`].

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod blocked;
#[cfg(target_arch = "aarch64")]
mod neon;
pub(crate) mod pairs;
mod portable;
pub(crate) mod transpose;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU8, Ordering};

use super::real::Real;

/// Operands of one call of a [`Tile`] of `R` rows and `V` vectors.
pub(crate) struct TileArgs<T> {
    pub a: *const T,
    /// `R` offsets into A.
    pub rows: *const u32,
    /// `depth` further offsets into A.
    pub steps: *const u32,
    pub depth: usize,
    /// `depth` rows of `V` vectors.
    pub b: *const T,
    /// `R` rows of `V` vectors, `c_stride` elements apart.
    pub c: *mut T,
    pub c_stride: usize,
    /// Whether to add to C or overwrite it.
    pub accumulate: bool,
}

/// `C[r] (+)= sum over k of A[rows[r] + steps[k]] B[k]`.
///
/// # Safety
/// All elements named by the fields of [`TileArgs`] can be read, those of C also written; the CPU has the kernel's features.
pub(crate) type Tile<T> = unsafe fn(&TileArgs<T>);

/// Operands of one call of a [`Strip`] of `O` outputs and `P` vectors of positions.
pub(crate) struct StripArgs<T> {
    pub a: *const T,
    /// `depth` offsets into A.
    pub steps: *const u32,
    pub depth: usize,
    /// `depth` rows of weights, of which the first `O` of each are read.
    pub b: *const T,
    /// Elements between the rows of B.
    pub b_stride: usize,
    /// `O` rows of `P` vectors, `c_stride` elements apart.
    pub c: *mut T,
    pub c_stride: usize,
    /// Whether to add to C or overwrite it.
    pub accumulate: bool,
}

/// `C[o][p] (+)= sum over k of A[steps[k] + p] B[k][o]`.
///
/// # Safety
/// As for [`Tile`].
pub(crate) type Strip<T> = unsafe fn(&StripArgs<T>);

/// The kernels of one instruction set.
pub(crate) struct Kernel<T> {
    /// Elements of a vector.
    pub lanes: usize,
    /// `tiles[v - 1][r - 1]` has `v` vectors and `r` rows.
    pub tiles: Vec<Vec<Tile<T>>>,
    /// `strips[o - 1]` has `o` outputs and the number of vectors beside it.
    pub strips: Vec<(usize, Strip<T>)>,
    /// What the loops around the kernels may use.
    pub simd: Simd,
}

impl<T> Kernel<T> {
    /// Vectors per panel and panels for `columns` columns: as few panels as possible, of equal width.
    pub(crate) fn panels(&self, columns: usize) -> (usize, usize) {
        let vectors = columns.div_ceil(self.lanes).max(1);
        let panels = vectors.div_ceil(self.tiles.len());
        (vectors.div_ceil(panels), panels)
    }
}

/// Bytes of B that stay in the first-level cache while all rows pass over them.
const B_BYTES: usize = 24 * 1024;

/// One product for [`Kernel::multiply`].
pub(crate) struct Product<'a, T> {
    pub a: &'a [T],
    pub rows: &'a [u32],
    pub steps: &'a [u32],
    /// `steps.len()` rows of `vectors` vectors.
    pub b: &'a [T],
    pub vectors: usize,
    /// Elements between rows of C.
    pub c_stride: usize,
    pub accumulate: bool,
}

/// One product for [`Kernel::strips`].
#[derive(Clone, Copy)]
pub(crate) struct Strips<'a, T> {
    pub a: &'a [T],
    pub steps: &'a [u32],
    /// `steps.len()` rows of `outputs` weights.
    pub b: &'a [T],
    pub outputs: usize,
    /// Positions wanted.
    pub length: usize,
    /// Elements between the rows of C.
    pub c_stride: usize,
    pub accumulate: bool,
}

impl<T: Real> Kernel<T> {
    /// Adds a product to the rows of `c`, or overwrites them.
    ///
    /// # Panics
    /// When an offset leads out of `a`, or `b` or `c` is too short.
    pub(crate) fn multiply(&self, p: &Product<'_, T>, c: &mut [T]) {
        let width = p.vectors * self.lanes;
        let (Some(row), Some(step)) = (p.rows.iter().max(), p.steps.iter().max()) else { return };
        assert!((*row as usize + *step as usize) < p.a.len(), "offsets lead out of the operand");
        assert!(p.b.len() >= p.steps.len() * width, "too few rows of B");
        assert!(c.len() >= (p.rows.len() - 1) * p.c_stride + width, "too few rows of C");
        let tiles = &self.tiles[p.vectors - 1];
        let blocks = p.rows.len().div_ceil(tiles.len());
        let depth = B_BYTES / (width * size_of::<T>());
        for (k, steps) in p.steps.chunks(depth).enumerate() {
            for block in 0..blocks {
                // Blocks of nearly equal height: none is left with a row or two that would starve the kernel.
                let (from, to) = (block * p.rows.len() / blocks, (block + 1) * p.rows.len() / blocks);
                // SAFETY: as asserted above, every sum of two offsets is below the length of A, B has `width` elements for each step
                // (these start with step `k * depth`), and C has them for the last row and so for those up to `to`. The tile has
                // `to - from` rows, by its place in the table; the table was chosen for this CPU.
                unsafe {
                    tiles[to - from - 1](&TileArgs {
                        a: p.a.as_ptr(),
                        rows: p.rows.as_ptr().add(from),
                        steps: steps.as_ptr(),
                        depth: steps.len(),
                        b: p.b.as_ptr().add(k * depth * width),
                        c: c.as_mut_ptr().add(from * p.c_stride),
                        c_stride: p.c_stride,
                        accumulate: p.accumulate || k > 0,
                    });
                }
            }
        }
    }

    /// For each output `o` and the positions `at` in `0..length`, rounded up to whole strips:
    /// `c[o * c_stride + at] (+)= sum over k of a[steps[k] + at] b[k * outputs + o]`.
    ///
    /// # Panics
    /// When an offset leads out of `a`, or `b` or `c` is too short; see [`Kernel::strip_slack`].
    pub(crate) fn strips(&self, p: &Strips<'_, T>, c: &mut [T]) {
        let Strips { a, steps, b, outputs, length, c_stride, accumulate } = *p;
        let Some(step) = steps.iter().max() else { return };
        let padded = length + self.strip_slack();
        assert!(*step as usize + padded <= a.len(), "offsets lead out of the operand");
        assert!(b.len() >= steps.len() * outputs, "too few rows of B");
        assert!(padded <= c_stride && c.len() >= outputs * c_stride, "too few rows of C");
        let groups = outputs.div_ceil(self.strips.len());
        for group in 0..groups {
            let (from, to) = (group * outputs / groups, (group + 1) * outputs / groups);
            let (vectors, strip) = self.strips[to - from - 1];
            for at in (0..length).step_by(vectors * self.lanes) {
                // SAFETY: `at` is below the length and a strip no wider than the slack, so that it ends before `padded`: as asserted
                // above, it lies in A behind every offset and in each row of C. B has `outputs` elements for each step, of which these
                // are `from` to `to`. The strip has `to - from` outputs, by its place in the table; the table was chosen for this CPU.
                unsafe {
                    strip(&StripArgs {
                        a: a.as_ptr().add(at),
                        steps: steps.as_ptr(),
                        depth: steps.len(),
                        b: b.as_ptr().add(from),
                        b_stride: outputs,
                        c: c.as_mut_ptr().add(from * c_stride + at),
                        c_stride,
                        accumulate,
                    });
                }
            }
        }
    }

    /// Elements that a strip may touch behind the positions asked for.
    pub(crate) fn strip_slack(&self) -> usize {
        self.strips.iter().map(|(vectors, _)| vectors).max().map_or(0, |v| v * self.lanes)
    }
}

/// Instruction sets for which the loops around the kernels are compiled.
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
    /// AArch64 with NEON.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Simd {
    /// Whether it has wider vectors than the `gemm` crate uses.
    pub(crate) fn beats_gemm(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self == Self::Avx512;
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// The best of this CPU.
    pub(crate) fn detect() -> Self {
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
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            return Self::Neon;
        }
        Self::Baseline
    }

    /// Runs `f` compiled for these instructions: its loops, and all that is inlined into it, become vector code.
    #[inline(always)]
    pub(crate) fn run<R>(self, f: impl FnOnce() -> R) -> R {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        fn avx2<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
        fn avx512<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        match self {
            Self::Baseline => f(),
            // SAFETY: `detect` finds this variant, or the wider one, only on CPUs that have these features; `active` and the tables of
            // kernels that it chooses follow `detect`.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { avx2(f) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { avx512(f) },
            // Part of what the target guarantees.
            #[cfg(target_arch = "aarch64")]
            Self::Neon => f(),
        }
    }
}

/// The instruction sets that operations may use, widest last; see [`limit_instructions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "there are fewer kernels to choose from"))]
#[repr(u8)]
pub enum Instructions {
    /// No `std::arch`: what the compilation target guarantees.
    Portable,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512 and its extensions, without AMX.
    Avx512,
    /// All that this CPU has.
    Best,
}

static LIMIT: AtomicU8 = AtomicU8::new(Instructions::Best as u8);

/// Keeps the operations of this process from using wider instructions than these, to test or compare the kernels for them on one
/// machine. Only between operations, never during one.
#[cfg(any(test, feature = "testing"))]
pub fn limit_instructions(to: Instructions) {
    LIMIT.store(to as u8, Ordering::SeqCst);
}

fn limit() -> Instructions {
    let limit = LIMIT.load(Ordering::Relaxed);
    let all = [Instructions::Portable, Instructions::Avx2, Instructions::Avx512];
    all.into_iter().find(|i| *i as u8 == limit).unwrap_or(Instructions::Best)
}

/// The instruction set in use.
fn active() -> Simd {
    let best = Simd::detect();
    match limit() {
        Instructions::Portable => Simd::Baseline,
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 if best != Simd::Baseline => Simd::Avx2,
        _ => best,
    }
}

macro_rules! choose {
    ($name:ident, $t:ty, $doc:literal) => {
        #[doc = $doc]
        pub(crate) fn $name() -> &'static Kernel<$t> {
            static PORTABLE: LazyLock<Kernel<$t>> = LazyLock::new(portable::$name);
            #[cfg(target_arch = "x86_64")]
            static AVX2: LazyLock<Kernel<$t>> = LazyLock::new(x86::avx2::$name);
            #[cfg(target_arch = "x86_64")]
            static AVX512: LazyLock<Kernel<$t>> = LazyLock::new(x86::avx512::$name);
            #[cfg(target_arch = "aarch64")]
            static NEON: LazyLock<Kernel<$t>> = LazyLock::new(neon::$name);
            match active() {
                Simd::Baseline => &PORTABLE,
                #[cfg(target_arch = "x86_64")]
                Simd::Avx2 => &AVX2,
                #[cfg(target_arch = "x86_64")]
                Simd::Avx512 => &AVX512,
                #[cfg(target_arch = "aarch64")]
                Simd::Neon => &NEON,
            }
        }
    };
}
choose!(f32_kernel, f32, "Kernels for f32.");
choose!(f64_kernel, f64, "Kernels for f64.");

#[cfg(test)]
mod tests;
