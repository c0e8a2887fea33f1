//! Loops compiled for wider vectors than the crate's target has.
//!
//! The vectors are wider, the arithmetic is the same: no multiplication is fused with an addition and no sum is reordered, so the result has
//! the same bits on every CPU.

/// A loop over pixels. `run` and all that it calls must be `#[inline(always)]`, or it is compiled for the crate's target alone.
pub(crate) trait Kernel {
    fn run(self);
}

/// Runs a kernel with the widest vectors that this CPU has.
pub(crate) fn run(kernel: impl Kernel) {
    #[cfg(test)]
    if PORTABLE.get() {
        return kernel.run();
    }
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the CPU has AVX2, the one feature that the function is compiled for.
        return unsafe { with_avx2(kernel) };
    }
    kernel.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2(kernel: impl Kernel) {
    kernel.run();
}

#[cfg(test)]
thread_local! {
    /// Whether kernels of this thread run as on a CPU without wider vectors.
    pub(crate) static PORTABLE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}
