//! The two number types of the CPU kernels.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, Layout, Result, Storage, Tensor, WithDType};

use super::kernel::{Kernel, Simd};

/// f32 or f64, with the matrix kernel that this machine runs fastest.
pub(crate) trait Real: WithDType + std::ops::Neg<Output = Self> {
    /// The register-blocked kernel, chosen once per process.
    fn kernel() -> &'static Kernel<Self>;
    /// The instructions that loops over this type may use.
    fn simd() -> Simd {
        Self::kernel().simd
    }
    /// Hyperbolic tangent, to a few units in the last place.
    fn tanh(self) -> Self;
    /// `1 / (1 + exp(-x))`, to a few units in the last place.
    fn sigmoid(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// All elements of a storage of this type.
    fn slice_mut(storage: &mut CpuStorage) -> Result<&mut [Self]>;
    /// `e` to the power of the number, to a few units in the last place; f32 results below 2.4e-38 are 0.
    fn exp(self) -> Self;
    /// Rounds to this type.
    fn of(value: f64) -> Self {
        Self::from_f64(value)
    }
    /// Zero.
    fn nil() -> Self {
        Self::from_f64(0.0)
    }
}

impl Real for f32 {
    fn kernel() -> &'static Kernel<Self> {
        super::kernel::f32_kernel()
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        // Rational approximation of degree 13/6 on [-7.9, 7.9] (the one of Eigen and XLA): vectorises, unlike libm's.
        const NUMERATOR: [f32; 7] = [
            4.893_524_6e-3,
            6.372_619_3e-4,
            1.485_722_4e-5,
            5.122_297_1e-8,
            -8.604_672e-11,
            2.000_188e-13,
            -2.760_768_5e-16,
        ];
        const DENOMINATOR: [f32; 4] = [4.893_525e-3, 2.268_434_6e-3, 1.185_347_1e-4, 1.198_258_4e-6];
        let x = self.clamp(-7.905_311, 7.905_311);
        let s = x * x;
        let p = NUMERATOR.iter().rev().fold(0.0, |sum, c| sum * s + c);
        let q = DENOMINATOR.iter().rev().fold(0.0, |sum, c| sum * s + c);
        x * p / q
    }

    #[inline(always)]
    fn sigmoid(self) -> Self {
        1.0 / (1.0 + Real::exp(-self))
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }

    fn slice_mut(storage: &mut CpuStorage) -> Result<&mut [Self]> {
        match storage {
            CpuStorage::F32(values) => Ok(values),
            other => Err(other_type::<Self>(other)),
        }
    }

    #[inline(always)]
    fn exp(self) -> Self {
        // 2^n e^r with |r| <= ln(2) / 2; e^r by the polynomial of Cephes (`expf`): vectorises, unlike libm's.
        const POLYNOMIAL: [f32; 6] =
            [0.5, 1.666_666_5e-1, 4.166_579_6e-2, 8.333_452e-3, 1.398_199_9e-3, 1.987_569_1e-4];
        const LN_2_HIGH: f32 = 0.693_359_4;
        const LN_2_LOW: f32 = -2.121_944_4e-4;
        // Added to a small number, leaves it rounded to whole ones in the lowest bits.
        const ROUND: f32 = 12_582_912.0;
        let x = self.clamp(-86.643, 88.722_83);
        let shifted = x * std::f32::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = x - n * LN_2_HIGH - n * LN_2_LOW;
        let p = POLYNOMIAL.iter().rev().fold(0.0, |sum, c| sum * r + c);
        let e = p * (r * r) + r + 1.0;
        // 2^(n - 1), because n may be 128 and 2^n then has no bits of its own.
        let half = f32::from_bits((shifted.to_bits() << 23).wrapping_add(126 << 23));
        let y = e * half * 2.0;
        let y = if self > 88.722_83 { f32::INFINITY } else { y };
        if self < -86.643 { 0.0 } else { y }
    }
}

impl Real for f64 {
    fn kernel() -> &'static Kernel<Self> {
        super::kernel::f64_kernel()
    }

    fn tanh(self) -> Self {
        f64::tanh(self)
    }

    fn sigmoid(self) -> Self {
        1.0 / (1.0 + (-self).exp())
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }

    fn slice_mut(storage: &mut CpuStorage) -> Result<&mut [Self]> {
        match storage {
            CpuStorage::F64(values) => Ok(values),
            other => Err(other_type::<Self>(other)),
        }
    }

    fn exp(self) -> Self {
        f64::exp(self)
    }
}

fn other_type<T: Real>(storage: &CpuStorage) -> candle_core::Error {
    candle_core::Error::UnexpectedDType {
        msg: "operand of a vg operation",
        expected: T::DTYPE,
        got: storage.dtype(),
    }
}

/// The elements of a contiguous operand.
pub(crate) fn slice<'a, T: WithDType>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    let data = T::cpu_storage_as_slice(storage)?;
    let (start, end) = layout
        .contiguous_offsets()
        .ok_or_else(|| candle_core::Error::msg("operand of a vg operation must be contiguous"))?;
    Ok(&data[start..end])
}

/// Hands `f` the elements of a contiguous tensor on the CPU.
pub(crate) fn with_slice<T: Real, R>(tensor: &Tensor, f: impl FnOnce(&[T]) -> Result<R>) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => f(slice(storage, layout)?),
        _ => Err(candle_core::Error::msg("expected a tensor on the CPU")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f32_tanh_is_close_over_its_whole_range() {
        for i in -40_000..=40_000 {
            let x = i as f32 * 5e-4;
            let (got, want) = (Real::tanh(x), f64::from(x).tanh());
            assert!(
                (f64::from(got) - want).abs() <= 4e-7 * want.abs().max(1e-3),
                "tanh({x}) = {got}, not {want}"
            );
        }
        assert_eq!(Real::tanh(0f32), 0.0);
        assert!(Real::tanh(f32::NAN).is_nan());
        assert!((Real::tanh(f32::INFINITY) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn f32_sigmoid_is_close_and_stays_within_its_range() {
        for i in -80_000..=80_000 {
            let x = i as f32 * 5e-4;
            let (got, want) = (Real::sigmoid(x), 1.0 / (1.0 + (-f64::from(x)).exp()));
            assert!((f64::from(got) - want).abs() <= 4e-7 * want + 1e-37, "sigmoid({x}) = {got}, not {want}");
            assert!((0.0..=1.0).contains(&got), "sigmoid({x}) = {got}");
        }
        assert_eq!(Real::sigmoid(0f32), 0.5);
        assert!(Real::sigmoid(f32::NAN).is_nan());
    }

    #[test]
    fn f32_exp_is_close_over_its_whole_range() {
        for i in -86_600..=88_700 {
            let x = i as f32 * 1e-3;
            let (got, want) = (Real::exp(x), f64::from(x).exp());
            assert!((f64::from(got) - want).abs() <= 3e-7 * want, "exp({x}) = {got}, not {want}");
        }
        assert_eq!((Real::exp(0f32), Real::exp(f32::NEG_INFINITY), Real::exp(-100f32)), (1.0, 0.0, 0.0));
        assert_eq!((Real::exp(f32::INFINITY), Real::exp(89f32)), (f32::INFINITY, f32::INFINITY));
        assert!(Real::exp(f32::NAN).is_nan());
    }
}
