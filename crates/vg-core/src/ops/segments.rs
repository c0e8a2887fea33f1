//! Means over the pixels of a segment, such as an instance of an image.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Tensor};
use rayon::prelude::*;

use super::op::{Gradients, Op, Operand, Output, unary};
use super::real::Real;
use crate::{Error, Result};

/// Which pixels of which image belong together.
#[derive(Clone, Debug)]
pub struct Segments(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    /// Height and width.
    size: [usize; 2],
    images: Vec<Image>,
}

/// The segments of one image, numbered in the order of their ids.
#[derive(Debug)]
struct Image {
    ids: Vec<i64>,
    counts: Vec<usize>,
    /// Segment of each pixel.
    of: Vec<u32>,
}

impl Segments {
    /// The segments of a map of ids: pixels with one id in one image.
    ///
    /// # Shapes
    /// - `ids` `[N, H, W]` of whole numbers, in any type
    ///
    /// # Errors
    /// [`Error::Shape`] for another rank, [`Error::Data`] for numbers that are not whole.
    pub fn new(ids: &Tensor) -> Result<Self> {
        let (images, height, width) = match *ids.dims() {
            [n, h, w] => (n, h, w),
            ref dims => return Err(Error::shape("segment ids", "[N, H, W]", dims)),
        };
        let values: Vec<f64> = ids.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
        let plane = height * width;
        let images = (0..images).map(|n| Image::new(&values[n * plane..][..plane])).collect::<Result<_>>()?;
        Ok(Self(Arc::new(Parts { size: [height, width], images })))
    }

    /// Ids of the segments of an image, ascending, each with its number of pixels.
    pub fn sizes(&self, image: usize) -> impl Iterator<Item = (i64, usize)> {
        let image = &self.0.images[image];
        image.ids.iter().copied().zip(image.counts.iter().copied())
    }

    /// Every value replaced by the mean over the pixels of its segment, each channel for itself. Sums are in f64, in the order of pixels.
    /// Differentiable to any order: means of means are the means.
    ///
    /// # Shapes
    /// - `x` `[N, C, H, W]`; the same is returned
    ///
    /// # Errors
    /// [`Error::Shape`] when images or sizes differ from those of the ids.
    pub fn mean(&self, x: &Tensor) -> Result<Tensor> {
        let ([h, w], n) = (self.0.size, self.0.images.len());
        match *x.dims() {
            [found, _, height, width] if [found, height, width] == [n, h, w] => {
                Ok(unary(x, Mean(self.0.clone()))?)
            }
            ref dims => Err(Error::shape("features of segments", format!("[{n}, C, {h}, {w}]"), dims)),
        }
    }

    /// The means themselves: of each segment of image `image` by its id, of each channel of `x` `[N, C, H, W]`.
    ///
    /// # Errors
    /// As [`mean`](Self::mean).
    pub fn means(&self, x: &Tensor, image: usize) -> Result<BTreeMap<i64, Vec<f64>>> {
        let painted = self.mean(x)?.get(image)?.to_dtype(DType::F64)?.flatten_from(1)?.to_vec2::<f64>()?;
        let image = &self.0.images[image];
        let mut found = BTreeMap::new();
        for (pixel, segment) in image.of.iter().enumerate() {
            let id = image.ids[*segment as usize];
            found.entry(id).or_insert_with(|| painted.iter().map(|channel| channel[pixel]).collect());
        }
        Ok(found)
    }
}

impl Image {
    fn new(values: &[f64]) -> Result<Self> {
        if let Some(odd) = values.iter().find(|v| v.fract() != 0.0 || v.abs() > (1u64 << 53) as f64) {
            return Err(Error::Data(format!("segment ids must be whole numbers, and one is {odd}")));
        }
        let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
        values.iter().for_each(|v| *counts.entry(*v as i64).or_default() += 1);
        let ids: Vec<i64> = counts.keys().copied().collect();
        let number: BTreeMap<i64, u32> = ids.iter().copied().zip(0..).collect();
        let of = values.iter().map(|v| number[&(*v as i64)]).collect();
        Ok(Self { counts: counts.into_values().collect(), ids, of })
    }
}

/// The projection onto maps that are constant on every segment; its own transpose.
struct Mean(Arc<Parts>);

impl Op<1> for Mean {
    const NAME: &'static str = "means of segments";

    fn run<T: Real>(&self, [x]: [Operand<'_, T>; 1]) -> Output<T> {
        let plane = self.0.size.iter().product::<usize>();
        let channels = x.dims()[1];
        let mut out = vec![T::nil(); x.data.len()];
        out.par_chunks_mut(plane.max(1)).enumerate().for_each(|(k, out)| {
            let image = &self.0.images[k / channels];
            let mut sums = vec![0.0f64; image.counts.len()];
            for (segment, value) in image.of.iter().zip(&x.data[k * plane..][..plane]) {
                sums[*segment as usize] += value.to_f64();
            }
            let means: Vec<T> = sums.iter().zip(&image.counts).map(|(s, n)| T::of(s / *n as f64)).collect();
            out.iter_mut().zip(&image.of).for_each(|(o, segment)| *o = means[*segment as usize]);
        });
        Ok((out, x.shape.clone()))
    }

    fn gradients(&self, [_]: [&Tensor; 1], _y: &Tensor, grad: &Tensor) -> Gradients<1> {
        Ok([Some(unary(grad, Self(self.0.clone()))?)])
    }
}
