//! Frames one after the other, for clips without an end.

use std::collections::BTreeMap;

use candle_core::Tensor;

use crate::Result;

/// A request for frames from maps.
#[derive(Clone, Debug, Default)]
pub struct StreamRequest {
    /// Given frames `[1, C, context, H, W]`, for models that go on from some.
    pub context: Option<Tensor>,
}

/// A frame and what it was made of.
#[derive(Clone, Debug)]
pub struct StreamedFrame {
    /// `[1, C, H, W]`, f32 on the sampler's scale.
    pub frame: Tensor,
    /// By name: pictures on the sampler's scale, such as `raw` and `warped`; `mask` `[1, 1, H, W]` on [0, 1]; `flow` `[1, 2, H, W]` in pixels.
    pub parts: BTreeMap<&'static str, Tensor>,
}

/// Makes the frames of one clip; what it keeps between them does not grow.
pub trait FrameStream {
    /// The next frame from its maps `[1, C', H, W]` by name; `None` while these are the maps of given frames.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for maps of another size, [`Error::Data`](crate::Error::Data) for missing ones and for
    /// numbers that stand for nothing. The stream can go on with the next frame's maps.
    fn next(&mut self, maps: &BTreeMap<String, Tensor>) -> Result<Option<StreamedFrame>>;
}
