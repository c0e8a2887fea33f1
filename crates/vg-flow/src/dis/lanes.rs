//! Eight numbers at a time, which the compiler keeps in vector registers.

use std::ops::{Add, Mul, Sub};

/// Eight numbers.
#[derive(Clone, Copy, Default)]
pub(super) struct Lanes(pub [f32; 8]);

impl Lanes {
    #[inline(always)]
    pub fn splat(x: f32) -> Self {
        Self([x; 8])
    }

    /// The first eight of a slice.
    #[inline(always)]
    pub fn load(from: &[f32]) -> Self {
        Self(*from.first_chunk().expect("a row of a patch has eight pixels"))
    }

    #[inline(always)]
    pub fn map(self, f: impl Fn(f32) -> f32) -> Self {
        let mut out = [0.0; 8];
        for (o, x) in out.iter_mut().zip(self.0) {
            *o = f(x);
        }
        Self(out)
    }

    #[inline(always)]
    fn with(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let mut out = [0.0; 8];
        for (o, (a, b)) in out.iter_mut().zip(self.0.into_iter().zip(other.0)) {
            *o = f(a, b);
        }
        Self(out)
    }
}

impl Add for Lanes {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.with(other, |a, b| a + b)
    }
}

impl Sub for Lanes {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.with(other, |a, b| a - b)
    }
}

impl Mul for Lanes {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.with(other, |a, b| a * b)
    }
}
