//! The types in which operands and results of bf16 products are stored.

use candle_core::WithDType;
use half::bf16;

/// bf16 itself, or f32 that is rounded on the way in.
pub(in super::super) trait Element: WithDType {
    /// As bf16, rounded to nearest even.
    fn bits(self) -> u16;
    fn wide(self) -> f32;
    fn narrow(sum: f32) -> Self;

    /// Two neighbours of the inner dimension.
    #[inline(always)]
    fn pair(first: Self, second: Self) -> u32 {
        u32::from(first.bits()) | u32::from(second.bits()) << 16
    }
}

impl Element for bf16 {
    #[inline(always)]
    fn bits(self) -> u16 {
        self.to_bits()
    }

    #[inline(always)]
    fn wide(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    #[inline(always)]
    fn narrow(sum: f32) -> Self {
        Self::from_bits(sum.bits())
    }
}

impl Element for f32 {
    // Without a branch, so that loops over it become vector code; `half` branches on NaN.
    #[inline(always)]
    fn bits(self) -> u16 {
        let x = self.to_bits();
        let even = (x >> 16) & 1;
        let rounded = x.wrapping_add(0x7fff + even) >> 16;
        let nan = (x >> 16) | 0x40;
        (if x & 0x7fff_ffff > 0x7f80_0000 { nan } else { rounded }) as u16
    }

    #[inline(always)]
    fn wide(self) -> f32 {
        self
    }

    #[inline(always)]
    fn narrow(sum: f32) -> Self {
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_that_of_the_half_crate() {
        let mut x = 1u32;
        for _ in 0..100_000 {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = f32::from_bits(x);
            let want = bf16::from_f32(value);
            assert!(
                want.to_bits() == value.bits() || (want.is_nan() && bf16::from_bits(value.bits()).is_nan()),
                "{value}"
            );
        }
        for value in [
            0.0,
            -0.0,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::MAX,
            f32::MIN_POSITIVE,
            1.003_906_3,
            1.011_718_8,
        ] {
            assert_eq!(bf16::from_f32(value).to_bits(), value.bits(), "{value}");
        }
        assert!(bf16::from_bits(f32::NAN.bits()).is_nan());
    }
}
