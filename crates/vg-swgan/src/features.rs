//! What both critics have in common.

use candle_core::Tensor;
use vg_core::Result;

/// A critic below its dual blocks: a map from clips or images to features, and the adjoint of its derivative, written as a forward pass of
/// operations that have gradients. A penalty on the gradient for the pixels is then an ordinary loss.
pub trait Features {
    /// What a pass leaves for its adjoint.
    type Pass;

    /// Features `[B, r]` of clips or images.
    ///
    /// # Errors
    /// [`vg_core::Error::Tensor`] and [`vg_core::Error::Shape`] for inputs of another size.
    fn forward(&self, x: &Tensor) -> Result<(Tensor, Self::Pass)>;

    /// From the gradient of the features `[B, r]` that of the pass's input, of its shape.
    ///
    /// # Errors
    /// As [`Features::forward`].
    fn adjoint(&self, pass: &Self::Pass, grad: &Tensor) -> Result<Tensor>;
}
