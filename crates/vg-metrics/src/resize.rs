//! Resizing of frames by the rules that the networks' references use; none of them antialiases.
//!
//! Which rule a metric takes is part of its protocol: on a patterned clip the rules move I3D's logits by a tenth of their norm.

use candle_core::{DType, Tensor};
use vg_core::{Error, Result};

use crate::separable::{self, Axis};

/// Where the value of an output position lies in the input, and how values between positions are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resize {
    /// `i * in / out`, linear: `resize_bilinear` of TensorFlow 1.
    Tf1,
    /// `(i + 1/2) * in / out - 1/2`, linear: TensorFlow 2, OpenCV, PyTorch with `align_corners=False`.
    HalfPixel,
    /// `i * (in - 1) / (out - 1)`, linear: Chainer, PyTorch with `align_corners=True`.
    AlignCorners,
    /// As [`HalfPixel`](Self::HalfPixel) with OpenCV's cubic kernel (a = -0.75) and repeated edges.
    Bicubic,
}

impl Resize {
    /// All rules.
    pub const ALL: [Self; 4] = [Self::Tf1, Self::HalfPixel, Self::AlignCorners, Self::Bicubic];

    /// The name in results: `tf1`, `half-pixel`, `align-corners`, `bicubic`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tf1 => "tf1",
            Self::HalfPixel => "half-pixel",
            Self::AlignCorners => "align-corners",
            Self::Bicubic => "bicubic",
        }
    }

    /// Frames at the size `(height, width)`; other axes, time among them, stay as they are.
    ///
    /// # Shapes
    /// - `x` `[..., H, W]`, f32 or u8
    /// - returns `[..., height, width]`, f32
    ///
    /// # Errors
    /// [`Error::Shape`] for fewer than two axes or an empty side, [`Error::Unsupported`] for other element types.
    pub fn apply(self, x: &Tensor, (height, width): (usize, usize)) -> Result<Tensor> {
        let [.., h, w] = x.dims() else {
            return Err(Error::shape("frames to resize", "[..., H, W]", x.dims()));
        };
        let (h, w) = (*h, *w);
        if h == 0 || w == 0 || height == 0 || width == 0 {
            return Err(Error::shape("frames to resize", "sides of at least 1, before and after", x.dims()));
        }
        if !matches!(x.dtype(), DType::F32 | DType::U8) {
            let problem = format!("frames to resize must be f32 or u8, not {:?}", x.dtype());
            return Err(Error::Unsupported(problem));
        }
        let x = x.to_dtype(DType::F32)?;
        if (h, w) == (height, width) {
            return Ok(x);
        }
        separable::apply(&x, &self.axis(h, height), &self.axis(w, width))
    }

    /// The input positions and weights of every output position.
    fn axis(self, input: usize, output: usize) -> Axis {
        let mut axis = Axis::new(input, if self == Self::Bicubic { 4 } else { 2 });
        for i in 0..output {
            let place = self.place(i, input, output);
            match self {
                Self::Bicubic => {
                    let before = place.floor();
                    for (k, weight) in cubic(place - before).into_iter().enumerate() {
                        let at = (before as isize + k as isize - 1).clamp(0, input as isize - 1);
                        axis.push(at as usize, weight);
                    }
                }
                _ => {
                    let before = (place as usize).min(input - 1);
                    let weight = place - before as f32;
                    axis.push(before, 1.0 - weight);
                    axis.push((before + 1).min(input - 1), weight);
                }
            }
        }
        axis
    }

    /// In f32, as the references have it: which neighbours are taken depends on the rounding.
    fn place(self, i: usize, input: usize, output: usize) -> f32 {
        let (n, i) = (input as f32, i as f32);
        let scale = n / output as f32;
        match self {
            Self::Tf1 => i * scale,
            Self::HalfPixel => ((i + 0.5) * scale - 0.5).max(0.0),
            Self::Bicubic => (i + 0.5) * scale - 0.5,
            Self::AlignCorners if output == 1 => 0.0,
            Self::AlignCorners => i * ((n - 1.0) / (output as f32 - 1.0)),
        }
    }
}

/// Weights of the four values around a place, `t` behind the second.
fn cubic(t: f32) -> [f32; 4] {
    const A: f32 = -0.75;
    let near = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f32| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn row(rule: Resize, values: &[f32], size: usize) -> Vec<f32> {
        let x = Tensor::from_slice(values, (1, values.len()), &Device::Cpu).unwrap();
        rule.apply(&x, (1, size)).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn each_rule_gives_its_values() {
        let expected: [(_, [f32; 8]); 3] = [
            (Resize::Tf1, [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 30.0]),
            (Resize::HalfPixel, [0.0, 2.5, 7.5, 12.5, 17.5, 22.5, 27.5, 30.0]),
            (Resize::AlignCorners, [0.0, 4.286, 8.571, 12.857, 17.143, 21.429, 25.714, 30.0]),
        ];
        for (rule, values) in expected {
            let got = row(rule, &[0.0, 10.0, 20.0, 30.0], 8);
            assert!(got.iter().zip(values).all(|(a, b)| (a - b).abs() < 6e-4), "{rule:?} {got:?}");
        }
    }

    #[test]
    fn a_cubic_keeps_constants_and_passes_through_the_values() {
        assert!(row(Resize::Bicubic, &[7.0; 5], 9).iter().all(|v| (v - 7.0).abs() < 1e-5));
        let values = [3.0, -1.0, 4.0];
        let got = row(Resize::Bicubic, &values, 9);
        assert!([1, 4, 7].iter().zip(values).all(|(i, v)| (got[*i] - v).abs() < 1e-5), "{got:?}");
    }

    #[test]
    fn bytes_are_read_and_other_axes_stay() {
        let x = Tensor::from_slice(&[0_u8, 255, 10, 20, 30, 40, 50, 60], (2, 1, 2, 2), &Device::Cpu).unwrap();
        let y = Resize::HalfPixel.apply(&x, (1, 1)).unwrap();
        assert_eq!(y.dims(), [2, 1, 1, 1]);
        assert_eq!(y.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [71.25, 45.0]);
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let x = Tensor::zeros((3, 0, 4), DType::F32, &Device::Cpu).unwrap();
        assert!(Resize::Tf1.apply(&x, (2, 2)).unwrap_err().to_string().contains("at least 1"));
        let x = Tensor::zeros((3, 4), DType::F64, &Device::Cpu).unwrap();
        assert!(Resize::Tf1.apply(&x, (2, 2)).unwrap_err().to_string().contains("F64"));
    }
}
