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
        let (h, w) = sides(x)?;
        self.spans(x, Span::whole(h, height), Span::whole(w, width))
    }

    /// The middle square of the frames after their shorter side was brought to the length `side` and the longer one, in proportion and
    /// rounded up. Only what is kept is computed, so that the size of the input's longer side does not matter.
    ///
    /// # Shapes
    /// - `x` `[..., H, W]`, f32 or u8
    /// - returns `[..., side, side]`, f32
    ///
    /// # Errors
    /// As [`apply`](Self::apply); [`Error::Shape`] for frames of a size beyond all bounds.
    pub fn short_side(self, x: &Tensor, side: usize) -> Result<Tensor> {
        let (h, w) = sides(x)?;
        let short = h.min(w);
        let span = |n: usize| {
            let size = n.checked_mul(side).map(|n| n.div_ceil(short));
            let size = size.ok_or_else(|| Error::shape("frames to resize", "sides that exist", x.dims()))?;
            Ok::<_, Error>(Span { size, from: (size - side) / 2, keep: side, ..Span::whole(n, size) })
        };
        self.spans(x, span(h)?, span(w)?)
    }

    /// Frames between zeros that make them square, one more behind where the number is odd, at the size `side`. The square itself is not
    /// built, so that the size of the frames' longer side does not matter.
    ///
    /// # Shapes
    /// - `x` `[..., H, W]`, f32 or u8
    /// - returns `[..., side, side]`, f32
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn padded_square(self, x: &Tensor, side: usize) -> Result<Tensor> {
        let (h, w) = sides(x)?;
        let span = |n: usize| {
            let zeros = h.max(w) - n;
            Span { before: zeros / 2, after: zeros.div_ceil(2), ..Span::whole(n, side) }
        };
        self.spans(x, span(h), span(w))
    }

    fn spans(self, x: &Tensor, rows: Span, columns: Span) -> Result<Tensor> {
        if rows.keep == 0 || columns.keep == 0 {
            return Err(Error::shape("frames to resize", "sides of at least 1, before and after", x.dims()));
        }
        if !matches!(x.dtype(), DType::F32 | DType::U8) {
            let problem = format!("frames to resize must be f32 or u8, not {:?}", x.dtype());
            return Err(Error::Unsupported(problem));
        }
        let x = x.to_dtype(DType::F32)?;
        if rows.is_identity() && columns.is_identity() {
            return Ok(x);
        }
        separable::apply(&x, &self.axis(rows), &self.axis(columns))
    }

    /// The input positions and weights of every output position.
    fn axis(self, span: Span) -> Axis {
        let Span { input, before: zeros, after, size, from, keep } = span;
        let padded = zeros + input + after;
        let mut axis = Axis::new(input, if self == Self::Bicubic { 4 } else { 2 });
        let mut push = |at: usize, weight: f32| {
            // A zero in front of or behind the input counts as nothing.
            match at.checked_sub(zeros).filter(|at| *at < input) {
                Some(at) => axis.push(at, weight),
                None => axis.push(0, 0.0),
            }
        };
        for i in from..from + keep {
            let place = self.place(i, padded, size);
            match self {
                Self::Bicubic => {
                    let before = place.floor();
                    for (k, weight) in cubic(place - before).into_iter().enumerate() {
                        let at = (before as isize + k as isize - 1).clamp(0, padded as isize - 1);
                        push(at as usize, weight);
                    }
                }
                _ => {
                    let before = (place as usize).min(padded - 1);
                    let weight = place - before as f32;
                    push(before, 1.0 - weight);
                    push((before + 1).min(padded - 1), weight);
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

/// Height and width, neither 0.
fn sides(x: &Tensor) -> Result<(usize, usize)> {
    match x.dims() {
        [.., h, w] if *h > 0 && *w > 0 => Ok((*h, *w)),
        dims => Err(Error::shape("frames to resize", "[..., H, W] with sides of at least 1", dims)),
    }
}

/// One axis of a resized frame: `input` positions between zeros, together resized to `size`, of which `keep` are kept.
#[derive(Clone, Copy)]
struct Span {
    input: usize,
    before: usize,
    after: usize,
    size: usize,
    from: usize,
    keep: usize,
}

impl Span {
    fn whole(input: usize, size: usize) -> Self {
        Self { input, before: 0, after: 0, size, from: 0, keep: size }
    }

    /// Whether the result is the input.
    fn is_identity(&self) -> bool {
        [self.before, self.after, self.from] == [0; 3] && [self.size, self.keep] == [self.input; 2]
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

    fn values(x: &Tensor) -> Vec<f32> {
        x.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn parts_of_a_frame_are_those_of_the_whole() {
        let x = Tensor::arange(0.0_f32, 70.0, &Device::Cpu).unwrap().reshape((2, 5, 7)).unwrap();
        for x in [x.clone(), x.transpose(1, 2).unwrap().contiguous().unwrap()] {
            let (h, w) = sides(&x).unwrap();
            for rule in Resize::ALL {
                let (tall, wide) = ((h * 8).div_ceil(5), (w * 8).div_ceil(5));
                let whole = rule.apply(&x, (tall, wide)).unwrap();
                let middle =
                    whole.narrow(1, (tall - 8) / 2, 8).unwrap().narrow(2, (wide - 8) / 2, 8).unwrap();
                assert_eq!(values(&rule.short_side(&x, 8).unwrap()), values(&middle), "{rule:?}");
                let (down, right) = (7 - h, 7 - w);
                let square = x.pad_with_zeros(1, down / 2, down.div_ceil(2)).unwrap();
                let square = square.pad_with_zeros(2, right / 2, right.div_ceil(2)).unwrap();
                let square = rule.apply(&square, (8, 8)).unwrap();
                assert_eq!(values(&rule.padded_square(&x, 8).unwrap()), values(&square), "{rule:?}");
            }
        }
    }

    #[test]
    fn thin_frames_need_no_memory_for_what_is_cut_off() {
        // Resized whole they would have 22 million columns, or 100 000 rows.
        let thin = Tensor::ones((1, 100_000), DType::U8, &Device::Cpu).unwrap();
        assert_eq!(values(&Resize::HalfPixel.short_side(&thin, 224).unwrap()), [1.0; 224 * 224]);
        assert_eq!(Resize::Tf1.padded_square(&thin, 150).unwrap().dims(), [150, 150]);
        let endless = Tensor::ones((1, 1), DType::U8, &Device::Cpu).unwrap();
        let endless = endless.broadcast_as((1, usize::MAX)).unwrap();
        assert!(matches!(Resize::Tf1.short_side(&endless, 224), Err(Error::Shape { .. })));
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let x = Tensor::zeros((3, 0, 4), DType::F32, &Device::Cpu).unwrap();
        assert!(Resize::Tf1.apply(&x, (2, 2)).unwrap_err().to_string().contains("at least 1"));
        let x = Tensor::zeros((3, 4), DType::F64, &Device::Cpu).unwrap();
        assert!(Resize::Tf1.apply(&x, (2, 2)).unwrap_err().to_string().contains("F64"));
    }
}
