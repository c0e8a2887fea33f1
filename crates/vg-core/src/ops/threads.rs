//! Parallel loops over fixed pieces, and memory that threads write side by side.

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use super::real::Real;

/// Elements per piece of an elementwise loop: small enough for the second-level cache, large enough to hide scheduling.
pub(crate) const CHUNK: usize = 1 << 14;

/// Runs `f` for every index in `0..n`, in parallel where there is more than one.
pub(crate) fn for_each(n: usize, f: impl Fn(usize) + Sync + Send) {
    if n <= 1 {
        (0..n).for_each(f);
    } else {
        (0..n).into_par_iter().with_max_len(1).for_each(f);
    }
}

/// A buffer that tasks may share because each of them writes its own elements only. No element needs to have a value yet.
#[derive(Clone, Copy)]
pub(crate) struct Shared<T> {
    first: *mut T,
    len: usize,
}

// SAFETY: all that leaves a `Shared` is a raw pointer or comes from an `unsafe` function; whoever uses either vouches that no other
// task uses the same elements. The elements themselves move between threads, hence `T: Send`.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Pointer to `n` elements from `start` on.
    ///
    /// # Panics
    /// When they do not all lie in the buffer.
    #[inline(always)]
    pub(crate) fn at(self, start: usize, n: usize) -> *mut T {
        assert!(start <= self.len && n <= self.len - start, "elements beyond the end of a shared buffer");
        // SAFETY: `start` is at most the length, as just checked.
        unsafe { self.first.add(start) }
    }

    /// The elements of a range, each to be written before it is read.
    ///
    /// # Panics
    /// When they do not all lie in the buffer.
    ///
    /// # Safety
    /// The buffer is alive for `'a`, and only the caller uses these elements meanwhile.
    #[inline(always)]
    pub(crate) unsafe fn slice<'a>(self, range: Range<usize>) -> &'a mut [T] {
        let n = range.len();
        // SAFETY: `at` checks that the elements lie in the buffer; the rest is the caller's promise. The memory may never have been
        // written: elements are numbers, which any bits are, and are written before they are read, which Miri holds.
        unsafe { std::slice::from_raw_parts_mut(self.at(range.start, n), n) }
    }
}

/// A vector of `n` elements that `fill` writes in full through the shared pointer.
///
/// # Safety
/// `fill` must have written every element when it returns, each from one task only.
pub(crate) unsafe fn filled<T: Copy>(n: usize, fill: impl FnOnce(Shared<T>)) -> Vec<T> {
    let mut out: Vec<T> = Vec::with_capacity(n);
    fill(Shared { first: out.as_mut_ptr(), len: n });
    // SAFETY: `with_capacity` reserved n elements at least, and the caller promises that all n are written.
    unsafe { out.set_len(n) };
    out
}

/// `f` of each element.
pub(crate) fn map<T: Real>(x: &[T], f: impl Fn(T) -> T + Sync + Send) -> Vec<T> {
    build(x.len(), |start, out| {
        let end = start + out.len();
        for (o, v) in out.iter_mut().zip(&x[start..end]) {
            o.write(f(*v));
        }
    })
}

/// `f` of each pair of elements; both slices have the same length.
pub(crate) fn map2<T: Real>(x: &[T], y: &[T], f: impl Fn(T, T) -> T + Sync + Send) -> Vec<T> {
    build(x.len(), |start, out| {
        let end = start + out.len();
        for ((o, v), w) in out.iter_mut().zip(&x[start..end]).zip(&y[start..end]) {
            o.write(f(*v, *w));
        }
    })
}

fn build<T: Real>(n: usize, fill: impl Fn(usize, &mut [MaybeUninit<T>]) + Sync + Send) -> Vec<T> {
    let mut out: Vec<T> = Vec::with_capacity(n);
    let spare = &mut out.spare_capacity_mut()[..n];
    if n <= CHUNK {
        T::simd().run(
            #[inline(always)]
            || fill(0, spare),
        );
    } else {
        let each = |(i, chunk): (usize, &mut [_])| {
            T::simd().run(
                #[inline(always)]
                || fill(i * CHUNK, chunk),
            )
        };
        spare.par_chunks_mut(CHUNK).enumerate().for_each(each);
    }
    // SAFETY: `fill` was called for chunks that make up the first n elements. Both callers zip over their chunk and slices that they
    // cut to its length, and so write all of it.
    unsafe { out.set_len(n) };
    out
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

thread_local! {
    static SCRATCH: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// Hands `f` a buffer of `n` elements, aligned to 64 bytes, with arbitrary contents. Each thread keeps its buffer between calls,
/// because fresh pages cost more than the work done in them.
pub(crate) fn with_scratch<T: Real, R>(n: usize, f: impl FnOnce(&mut [T]) -> R) -> R {
    let lines = (n * size_of::<T>()).div_ceil(size_of::<Line>());
    // Taken out, so that a nested call gets a buffer of its own.
    let mut buffer = SCRATCH.take();
    if buffer.len() < lines {
        buffer.resize(lines, Line([0; 64]));
    }
    // SAFETY: the buffer has `lines` cache lines or more, rounded up from the bytes of n elements; they are initialised, aligned to
    // 64 bytes and borrowed by this call alone, and every bit pattern is a valid f32 or f64, the only types that are `Real`.
    let result = f(unsafe { std::slice::from_raw_parts_mut(buffer.as_mut_ptr().cast::<T>(), n) });
    SCRATCH.set(buffer);
    result
}

/// The same memory for pairs of bf16.
pub(crate) fn as_pairs(scratch: &mut [f32]) -> &mut [u32] {
    // SAFETY: both types have the same size and alignment, and every bit pattern is valid for both.
    unsafe { std::slice::from_raw_parts_mut(scratch.as_mut_ptr().cast(), scratch.len()) }
}
