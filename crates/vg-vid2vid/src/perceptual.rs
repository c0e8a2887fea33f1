//! VGG-19 up to relu5_1, whose features the perceptual distance compares.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::nn::{Conv2d, ConvConfig, Mode, ParamSource};
use vg_core::ops::Activation;
use vg_core::ops::pool::{PoolParams, avg_pool, max_pool};

/// Convolutions of each stage.
const CONVS: [usize; 5] = [2, 2, 4, 4, 1];
/// Channels of each stage as published.
pub const WIDTHS: [usize; 5] = [64, 128, 256, 512, 512];
/// Widest image that is looked at as it is (official code).
const WIDEST: usize = 1024;

/// The network with constant weights, under torchvision's names `features.N`. Images go in as they are, on [-1, 1], as in the official code.
#[derive(Clone, Debug)]
pub struct Vgg {
    stages: Vec<Vec<Conv2d>>,
}

impl Vgg {
    /// The network over the parameters of `source`; `widths` are the stages' channels.
    ///
    /// # Errors
    /// [`vg_core::Error::Weights`] when a name is taken.
    pub fn new(source: &ParamSource, widths: &[usize; 5]) -> Result<Self> {
        let source = source.pp("features");
        let (mut number, mut inputs) = (0, 3);
        let mut stages = Vec::with_capacity(CONVS.len());
        for (stage, (convs, outputs)) in CONVS.iter().zip(widths).enumerate() {
            // Pools and ReLUs have numbers of their own.
            number += usize::from(stage > 0);
            let mut made = Vec::with_capacity(*convs);
            for _ in 0..*convs {
                made.push(Conv2d::new(inputs, *outputs, ConvConfig::new(3).padding(1), &source.pp(number))?);
                inputs = *outputs;
                number += 2;
            }
            stages.push(made);
        }
        Ok(Self { stages })
    }

    /// The first ReLU's output of each stage of images `[N, 3, H, W]`; images wider than 1024 are halved first.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] for images of fewer than 16 rows or columns.
    pub fn forward(&self, images: &Tensor) -> Result<Vec<Tensor>> {
        let mut x = images.clone();
        while x.dim(3)? > WIDEST {
            x = avg_pool(&x, &PoolParams::uniform(2, 2))?;
        }
        let mode = Mode::TRAIN.frozen();
        let mut taps = Vec::with_capacity(self.stages.len());
        for (stage, convs) in self.stages.iter().enumerate() {
            if stage > 0 {
                x = max_pool(&x, &PoolParams::uniform(2, 2))?;
            }
            for (k, conv) in convs.iter().enumerate() {
                x = conv.forward_with(&x, Activation::Relu, mode)?;
                if k == 0 {
                    taps.push(x.clone());
                }
            }
        }
        Ok(taps)
    }
}
