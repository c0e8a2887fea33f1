//! How frames become a network's input, by names that stand in results.

use std::fmt;

use candle_core::Tensor;

use crate::resize::Resize;

/// How frames are brought to a network's size; none of the rules removes frequencies first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Frames as they are.
    None,
    /// To a square of this side.
    Square(Resize, usize),
    /// Until the shorter side has this length, the longer one rounded up, then the centre square.
    ShortSide(Resize, usize),
    /// Between black borders that make it square, then to a square of this side.
    PaddedSquare(Resize, usize),
    /// [TGAN's input](crate::network::c3d::Preparation::Tgan) of C3D.
    C3dTgan,
    /// [TGANv2's input](crate::network::c3d::Preparation::TganV2) of C3D.
    C3dTganV2,
}

impl Framing {
    /// Frames at the network's size, pixels on the scale that they had. The inputs of C3D subtract a mean that belongs to the network, so
    /// that they are its business: frames come back as they are.
    ///
    /// # Shapes
    /// - `x` `[..., H, W]`, f32 or u8; returns `[..., side, side]`, f32 where anything was resized
    ///
    /// # Errors
    /// As [`Resize::apply`].
    pub fn apply(self, x: &Tensor) -> vg_core::Result<Tensor> {
        match self {
            Self::None | Self::C3dTgan | Self::C3dTganV2 => Ok(x.clone()),
            Self::Square(rule, side) => rule.apply(x, (side, side)),
            Self::ShortSide(rule, side) => rule.short_side(x, side),
            Self::PaddedSquare(rule, side) => rule.padded_square(x, side),
        }
    }
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "none"),
            Self::Square(rule, side) => write!(f, "{}-{side}", rule.name()),
            Self::ShortSide(rule, side) => write!(f, "short-side-{}-{side}", rule.name()),
            Self::PaddedSquare(rule, side) => write!(f, "padded-square-{}-{side}", rule.name()),
            Self::C3dTgan => write!(f, "c3d-tgan"),
            Self::C3dTganV2 => write!(f, "c3d-tganv2"),
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn framing_resizes_and_cuts() {
        let x = Tensor::arange(0u32, 24, &Device::Cpu).unwrap().to_dtype(candle_core::DType::F32).unwrap();
        let x = x.reshape((1, 4, 6)).unwrap();
        let dims = |framing: Framing| framing.apply(&x).unwrap().dims().to_vec();
        assert_eq!(dims(Framing::None), [1, 4, 6]);
        assert_eq!(dims(Framing::Square(Resize::Tf1, 8)), [1, 8, 8]);
        let centre = Framing::ShortSide(Resize::HalfPixel, 4).apply(&x).unwrap();
        assert_eq!(centre.to_vec3::<f32>().unwrap()[0][0], [1.0, 2.0, 3.0, 4.0]);
        let padded = Framing::PaddedSquare(Resize::HalfPixel, 6).apply(&x).unwrap().to_vec3::<f32>().unwrap();
        assert_eq!([&padded[0][0], &padded[0][1]], [&[0.0; 6][..], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]]);
        assert_eq!(Framing::PaddedSquare(Resize::Tf1, 150).to_string(), "padded-square-tf1-150");
        assert_eq!(Framing::ShortSide(Resize::HalfPixel, 224).to_string(), "short-side-half-pixel-224");
        assert!(Framing::Square(Resize::Tf1, 8).apply(&Tensor::new(1f32, &Device::Cpu).unwrap()).is_err());
    }
}
