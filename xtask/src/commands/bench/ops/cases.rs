//! The operations that are timed: layers of the eight models at their real sizes.

use serde::Serialize;

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Conv,
    ConvTranspose,
    /// Batch norm in training mode and leaky ReLU with slope 0.2.
    NormLeakyRelu,
}

/// Which part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pass {
    Forward,
    InputGrad,
    WeightGrad,
    /// Forward and all gradients.
    Training,
}

impl Pass {
    pub fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::InputGrad => "input gradient",
            Self::WeightGrad => "weight gradient",
            Self::Training => "forward + backward",
        }
    }
}

/// One operation; both sides fill its tensors with numbers of their own.
#[derive(Clone, Debug, Serialize)]
pub struct Case {
    pub name: &'static str,
    pub kind: Kind,
    pub pass: Pass,
    pub input: &'static [usize],
    pub weight: &'static [usize],
    pub stride: usize,
    pub padding: usize,
}

struct Layer(&'static str, Kind, &'static [usize], &'static [usize], usize, usize);

#[rustfmt::skip]
const LAYERS: &[Layer] = &[
    Layer("conv2d 64->128 k4s2 32x32 n32", Kind::Conv, &[32, 64, 32, 32], &[128, 64, 4, 4], 2, 1),
    Layer("conv3d 64->128 k4s2 16x32x32 n8", Kind::Conv, &[8, 64, 16, 32, 32], &[128, 64, 4, 4, 4], 2, 1),
    Layer("conv3d 128->256 k4s2 8x16x16 n8", Kind::Conv, &[8, 128, 8, 16, 16], &[256, 128, 4, 4, 4], 2, 1),
    Layer("conv2d 128->128 k3s1 32x32 n16", Kind::Conv, &[16, 128, 32, 32], &[128, 128, 3, 3], 1, 1),
    Layer("conv3d 64->64 k3s1 12x32x32 n2", Kind::Conv, &[2, 64, 12, 32, 32], &[64, 64, 3, 3, 3], 1, 1),
    Layer("conv3d 3->64 k4s2 16x64x64 n8", Kind::Conv, &[8, 3, 16, 64, 64], &[64, 3, 4, 4, 4], 2, 1),
    Layer("convT2d 256->128 k4s2 8x8 n128", Kind::ConvTranspose, &[128, 256, 8, 8], &[256, 128, 4, 4], 2, 1),
    Layer("convT3d 256->128 k4s2 4x8x8 n8", Kind::ConvTranspose, &[8, 256, 4, 8, 8], &[256, 128, 4, 4, 4], 2, 1),
    Layer("convT3d 128->64 k4s2 8x16x16 n8", Kind::ConvTranspose, &[8, 128, 8, 16, 16], &[128, 64, 4, 4, 4], 2, 1),
    Layer("convT3d 64->3 k4s2 16x32x32 n8", Kind::ConvTranspose, &[8, 64, 16, 32, 32], &[64, 3, 4, 4, 4], 2, 1),
    Layer("convT2d 100->512 k4s1 1x1 n128", Kind::ConvTranspose, &[128, 100, 1, 1], &[100, 512, 4, 4], 1, 0),
];

const NORMS: &[Layer] =
    &[Layer("batch norm + leaky 8x64x16x32x32", Kind::NormLeakyRelu, &[8, 64, 16, 32, 32], &[64], 1, 0)];

/// The same layer at several sizes, to see that its cost grows as its arithmetic does; timed when the filter asks for them.
#[rustfmt::skip]
const SCALING: &[Layer] = &[
    Layer("scaling conv3d 64->64 k3s1, 1 clip of 12x32x32", Kind::Conv, &[1, 64, 12, 32, 32], &[64, 64, 3, 3, 3], 1, 1),
    Layer("scaling conv3d 64->64 k3s1, 2 clips of 12x32x32", Kind::Conv, &[2, 64, 12, 32, 32], &[64, 64, 3, 3, 3], 1, 1),
    Layer("scaling conv3d 64->64 k3s1, 4 clips of 12x32x32", Kind::Conv, &[4, 64, 12, 32, 32], &[64, 64, 3, 3, 3], 1, 1),
    Layer("scaling conv3d 64->64 k3s1, 2 clips of 6x32x32", Kind::Conv, &[2, 64, 6, 32, 32], &[64, 64, 3, 3, 3], 1, 1),
    Layer("scaling conv3d 64->64 k3s1, 2 clips of 24x32x32", Kind::Conv, &[2, 64, 24, 32, 32], &[64, 64, 3, 3, 3], 1, 1),
    Layer("scaling conv3d 64->64 k3s1, 2 clips of 12x16x16", Kind::Conv, &[2, 64, 12, 16, 16], &[64, 64, 3, 3, 3], 1, 1),
    Layer("scaling conv3d 64->64 k3s1, 2 clips of 12x64x64", Kind::Conv, &[2, 64, 12, 64, 64], &[64, 64, 3, 3, 3], 1, 1),
];

/// All cases whose name contains `filter`.
pub fn cases(filter: Option<&str>) -> Vec<Case> {
    let passes = |layer: &'static Layer| {
        let passes: &[Pass] = match layer.1 {
            Kind::NormLeakyRelu => &[Pass::Training],
            _ => &[Pass::Forward, Pass::InputGrad, Pass::WeightGrad],
        };
        let Layer(name, kind, input, weight, stride, padding) = *layer;
        passes.iter().map(move |pass| Case { name, kind, pass: *pass, input, weight, stride, padding })
    };
    let scaling = if filter.is_some_and(|f| f.contains("scaling")) { SCALING } else { &[] };
    let all = LAYERS.iter().chain(NORMS).chain(scaling).flat_map(passes);
    all.filter(|case| filter.is_none_or(|wanted| case.name.contains(wanted))).collect()
}

impl Case {
    /// Floating-point operations of a convolution: every element of the weight meets every position of the smaller of the two
    /// volumes, padding included.
    pub fn operations(&self) -> Option<f64> {
        let positions = |axis: usize| match self.kind {
            Kind::ConvTranspose => self.input[axis],
            _ => (self.input[axis] + 2 * self.padding - self.weight[axis]) / self.stride + 1,
        };
        let dense: usize = match self.kind {
            Kind::NormLeakyRelu => return None,
            _ => (2..self.input.len()).map(positions).product(),
        };
        Some(2.0 * (self.input[0] * dense * self.weight.iter().product::<usize>()) as f64)
    }
}
