//! Networks whose features the metrics compare, in inference on the CPU.
//!
//! | module | what | input |
//! |---|---|---|
//! | [`i3d`] | I3D, Kinetics-400 logits: FVD | `[N, 3, T, 224, 224]` in [-1, 1] |
//! | [`c3d`] | C3D for UCF-101: Inception Score of videos | `[N, 3, 16, 112, 112]`, BGR without the mean |
//! | [`inception_v3`] | Inception-v3 of 2015-12-05: FID, KID, Inception Score of images | `[N, 3, 299, 299]` in [-1, 1] |
//! | [`vgg`] | VGG16 and VGG19: perceptual losses, precision and recall | `[N, 3, H, W]`, standardised |
//! | [`alexnet`] | the convolutions of AlexNet | `[N, 3, H, W]`, standardised |
//! | [`lpips`] | LPIPS and its shift-tolerant variant | pairs `[N, 3, H, W]` in [-1, 1] |
//! | [`procedural`] | this project's small classifier, weights included | `[N, 3, T, 64, 64]` in [-1, 1] |
//! | [`face`] | embeddings of faces: ACD-I | `[N, 3, H, W]` in [0, 255] |
//!
//! Each takes tensors by name, as [`weights::open`](crate::weights::open) reads them, and puts batch norm into the weights of the
//! convolution before it. Each has a `prepare` that maps pixels to its input by the rules of its reference.

pub mod alexnet;
pub mod c3d;
mod conv;
pub mod face;
pub mod i3d;
pub mod inception_v3;
mod input;
mod linear;
mod loader;
pub mod lpips;
pub mod procedural;
mod same;
mod stream;
mod trunk;
pub mod vgg;

pub use loader::Layout;
pub(crate) use loader::check_layout;
pub use stream::stream;
