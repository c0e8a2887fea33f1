//! Products of bf16 numbers with sums in f32.
//!
//! Both operands are made of pairs: 32 bits that hold two bf16 numbers which lie next to each other in the inner dimension. A step of a
//! product takes up to 16 pairs of 16 rows of A with as many rows of B, the shape of the tiles of Intel's AMX. B is read where it lies,
//! through offsets, as in the other kernels: vectors run along its columns.

#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "no such machine has a kernel yet"))]

#[cfg(target_arch = "x86_64")]
use std::sync::LazyLock;

#[cfg(target_arch = "x86_64")]
use super::x86::avx512_bf16;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use super::{Instructions, amx};

/// Rows of a tile of A, and pairs of a row.
pub(crate) const TILE: usize = 16;
/// Columns that are computed together.
pub(crate) const COLUMNS: usize = 2 * TILE;
/// Steps after which the sums are written back, so that the tiles of A stay in the first-level cache while all columns pass.
const DEPTH: usize = 16;

/// Operands of one call of a [`Tiles`]; all distances in elements.
pub(crate) struct PairArgs {
    pub a: *const u32,
    /// Between the rows of a tile, the tiles of successive steps, and the two tiles of a step.
    pub a_stride: usize,
    pub a_step: usize,
    pub a_tile: usize,
    pub b: *const u32,
    /// `depth` offsets into B.
    pub steps: *const u32,
    pub depth: usize,
    /// Rows of B in a step, 1 to [`TILE`].
    pub pairs: usize,
    pub b_stride: usize,
    pub c: *mut f32,
    pub c_stride: usize,
    pub accumulate: bool,
}

/// `C[r][j] (+)= sum over steps k and pairs i of A_k[r][i] . B[steps[k] + i * b_stride + j]` for one or two tiles of rows and
/// [`COLUMNS`] columns, where `.` is the sum of the two products of a pair.
///
/// # Safety
/// All elements named by the fields of [`PairArgs`] can be read, those of C also written; the CPU has the kernel's features, and
/// [`PairKernel::begin`] was called on this thread for this number of pairs.
pub(crate) type Tiles = unsafe fn(&PairArgs);

/// The kernels of one instruction set.
pub(crate) struct PairKernel {
    /// For one and two tiles of rows.
    pub tiles: [Tiles; 2],
    /// Prepares the thread for steps of so many pairs.
    pub begin: unsafe fn(usize),
    /// Gives back what [`PairKernel::begin`] took.
    pub end: unsafe fn(),
}

/// One product for [`PairKernel::multiply`]; see [`PairArgs`].
#[derive(Clone, Copy)]
pub(crate) struct PairProduct<'a> {
    pub a: &'a [u32],
    pub a_stride: usize,
    pub a_step: usize,
    pub a_tile: usize,
    /// Tiles of rows, 1 or 2.
    pub tiles: usize,
    pub b: &'a [u32],
    pub steps: &'a [u32],
    pub pairs: usize,
    pub b_stride: usize,
    /// Columns wanted; rounded up to whole [`COLUMNS`].
    pub columns: usize,
    pub c_stride: usize,
    pub accumulate: bool,
}

impl PairKernel {
    /// Adds a product to the rows of `c`, or overwrites them.
    ///
    /// # Panics
    /// When an offset leads out of `a` or `b`, or `c` is too short.
    pub(crate) fn multiply(&self, p: &PairProduct<'_>, c: &mut [f32]) {
        let columns = p.columns.next_multiple_of(COLUMNS);
        let Some(step) = p.steps.iter().max() else { return };
        assert!((1..=2).contains(&p.tiles) && (1..=TILE).contains(&p.pairs), "no such tile");
        let a_end =
            (p.tiles - 1) * p.a_tile + (p.steps.len() - 1) * p.a_step + (TILE - 1) * p.a_stride + p.pairs;
        assert!(a_end <= p.a.len(), "too few rows of A");
        let b_end = *step as usize + (p.pairs - 1) * p.b_stride + columns;
        assert!(b_end <= p.b.len(), "offsets lead out of the operand");
        assert!((p.tiles * TILE - 1) * p.c_stride + columns <= c.len(), "too few rows of C");
        // SAFETY: the kernel was chosen for this CPU, and `end` follows on the same thread.
        unsafe { (self.begin)(p.pairs) };
        for (k, steps) in p.steps.chunks(DEPTH).enumerate() {
            for at in (0..columns).step_by(COLUMNS) {
                // SAFETY: every tile of A, row of B and row of C that the kernel touches ends before the ends checked above.
                unsafe {
                    self.tiles[p.tiles - 1](&PairArgs {
                        a: p.a.as_ptr().add(k * DEPTH * p.a_step),
                        a_stride: p.a_stride,
                        a_step: p.a_step,
                        a_tile: p.a_tile,
                        b: p.b.as_ptr().add(at),
                        steps: steps.as_ptr(),
                        depth: steps.len(),
                        pairs: p.pairs,
                        b_stride: p.b_stride,
                        c: c.as_mut_ptr().add(at),
                        c_stride: p.c_stride,
                        accumulate: p.accumulate || k > 0,
                    });
                }
            }
        }
        // SAFETY: as for `begin`.
        unsafe { (self.end)() };
    }
}

/// Plain Rust, to test what surrounds the kernels on any machine and under Miri; nobody wants it otherwise.
#[cfg(any(test, feature = "testing"))]
mod portable {
    use super::{COLUMNS, PairArgs, PairKernel, TILE};

    pub(super) const KERNEL: PairKernel =
        PairKernel { tiles: [tiles::<1>, tiles::<2>], begin: nothing_to_begin, end: nothing_to_end };

    unsafe fn nothing_to_begin(_: usize) {}
    unsafe fn nothing_to_end() {}

    /// # Safety
    /// See [`Tiles`](super::Tiles).
    unsafe fn tiles<const N: usize>(p: &PairArgs) {
        let wide = |bits: u32| [f32::from_bits(bits << 16), f32::from_bits(bits & 0xffff_0000)];
        for r in 0..N * TILE {
            // SAFETY: the caller vouches for every element that is named by the fields of `PairArgs`, and nothing else is touched.
            unsafe {
                let a = p.a.add(r / TILE * p.a_tile + r % TILE * p.a_stride);
                let c = &mut *p.c.add(r * p.c_stride).cast::<[f32; COLUMNS]>();
                let mut sums = if p.accumulate { *c } else { [0.0; COLUMNS] };
                for k in 0..p.depth {
                    for i in 0..p.pairs {
                        let [first, second] = wide(*a.add(k * p.a_step + i));
                        let row =
                            &*p.b.add(*p.steps.add(k) as usize + i * p.b_stride).cast::<[u32; COLUMNS]>();
                        for (sum, pair) in sums.iter_mut().zip(row) {
                            let [x, y] = wide(*pair);
                            *sum += first * x + second * y;
                        }
                    }
                }
                *c = sums;
            }
        }
    }
}

/// The kernel of this CPU, if it multiplies bf16 faster than f32: AMX, or AVX-512 BF16 on AMD's processors (Intel's take twice as long
/// for its products as for those of f32). `limit_instructions` chooses others for tests.
pub(crate) fn pair_kernel() -> Option<&'static PairKernel> {
    #[cfg(any(test, feature = "testing"))]
    if super::limit() == super::Instructions::Portable {
        return Some(&portable::KERNEL);
    }
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    {
        static AMX: LazyLock<bool> = LazyLock::new(amx::available);
        let limit = super::limit();
        if limit >= Instructions::Best && *AMX {
            return Some(&amx::KERNEL);
        }
    }
    #[cfg(target_arch = "x86_64")]
    {
        static WORTH: LazyLock<[bool; 2]> =
            LazyLock::new(|| [avx512_bf16::available(), avx512_bf16::is_fast()]);
        let [available, fast] = *WORTH;
        let asked = super::limit() == super::Instructions::Avx512;
        if available && (asked || (fast && super::limit() == super::Instructions::Best)) {
            return Some(&avx512_bf16::KERNEL);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small integers, exact in bf16 and in every sum.
    fn numbers(n: usize, period: usize) -> Vec<u32> {
        let half = |i: usize| {
            u32::from(half::bf16::from_f32(((i * 37) % period) as f32 - (period / 2) as f32).to_bits())
        };
        (0..n).map(|i| half(2 * i) | half(2 * i + 1) << 16).collect()
    }

    fn products(x: u32, y: u32) -> f32 {
        let of = |bits: u32| half::bf16::from_bits(bits as u16).to_f32();
        of(x) * of(y) + of(x >> 16) * of(y >> 16)
    }

    fn agrees_with_loops(kernel: &PairKernel) {
        for (tiles, pairs, depth, columns) in
            [(1, 16, 1, 1), (2, 16, 35, 70), (2, 3, 5, 32), (1, 1, 2, 40), (2, 16, 16, 33)]
        {
            let (a_stride, b_stride) = (pairs + 2, columns + 37);
            let (a_tile, a_step) = (TILE * a_stride, 2 * TILE * a_stride);
            let a = numbers(depth * a_step, 13);
            let b = numbers(2 * depth + 16 * b_stride + 64, 11);
            let steps: Vec<u32> = (0..depth).map(|k| (k * 3 % (2 * depth)) as u32).collect();
            let c_stride = columns.next_multiple_of(COLUMNS) + 1;
            let mut c = vec![2.0; tiles * TILE * c_stride];
            let product = PairProduct {
                a: &a,
                a_stride,
                a_step,
                a_tile,
                tiles,
                b: &b,
                steps: &steps,
                pairs,
                b_stride,
                columns,
                c_stride,
                accumulate: true,
            };
            kernel.multiply(&product, &mut c);
            for r in 0..tiles * TILE {
                for j in 0..columns {
                    let start = r / TILE * a_tile + r % TILE * a_stride;
                    let step = |k: usize| -> f32 {
                        let from = start + k * a_step;
                        (0..pairs)
                            .map(|i| products(a[from + i], b[steps[k] as usize + i * b_stride + j]))
                            .sum()
                    };
                    let want = 2.0 + (0..depth).map(step).sum::<f32>();
                    assert_eq!(
                        c[r * c_stride + j],
                        want,
                        "row {r}, column {j}, {tiles} tiles, {pairs} pairs"
                    );
                }
            }
        }
    }

    #[test]
    fn kernels_for_pairs_agree_with_plain_loops() {
        agrees_with_loops(&portable::KERNEL);
        #[cfg(target_arch = "x86_64")]
        if avx512_bf16::available() {
            agrees_with_loops(&avx512_bf16::KERNEL);
        }
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if amx::available() {
            agrees_with_loops(&amx::KERNEL);
        }
    }
}
