//! Tensor operations that candle lacks or does slowly, each with its gradient.
//!
//! | module | what | derivatives |
//! |---|---|---|
//! | [`conv`] | convolution in 1 to 3 dimensions, transposed convolution, gradient of the weight | any order |
//! | [`linear`] | affine map of the last axis | any order |
//! | [`batch_norm`] | normalisation by batch or running statistics, with a fused activation | two orders |
//! | [`norm`] | instance, layer, pixel and conditional batch norm, with a fused activation | two orders |
//! | [`attention`] | softmax of the last axis, scaled dot-product attention | two orders |
//! | [`activation`] | ReLU, leaky ReLU, tanh, sigmoid | two orders |
//! | [`gates`] | the pointwise parts of LSTM, GRU and ConvGRU cells | one order |
//! | [`blend`] | a foreground over a background through a mask | one order |
//! | [`difference`] | sums of absolute or squared differences | one order |
//! | [`pool`] | average and maximum pooling in 1 to 3 dimensions | any order |
//! | [`upsample`] | nearest and linear resizing in 1 to 3 dimensions | any order |
//! | [`fold`] | frames as rows, clips or time steps | any order |
//! | [`spectral_norm`] | a weight divided by its largest singular value | one order |
//! | [`channel`] | scale, shift and sums per channel | any order |
//! | [`noise`] | Gaussian noise added to a tensor | any order |
//! | [`rows`] | rows of one tensor taken, or added to several rows of another | any order |
//! | [`svc`] | singular value clipping | none |
//! | [`warp`] | an image moved along a flow | one order |
//! | [`pad`] | padding by the mirror image | any order |
//! | [`segments`] | means over the pixels of a segment | any order |
//! | [`labels`] | maps of classes and instances as inputs | none |
//!
//! All of them take f32 and f64 tensors on the CPU, convolutions bf16 too. Work is cut into pieces that depend on the shapes alone and is added up in a fixed
//! order, so a result is the same to the last bit whatever the number of threads.

pub mod activation;
mod activation_sum;
pub mod attention;
mod axes;
pub mod batch_norm;
pub mod blend;
pub mod channel;
pub mod conv;
pub mod difference;
pub mod fold;
pub mod gates;
pub(crate) mod in_place;
mod kernel;
pub mod labels;
pub mod linear;
mod matmul;
pub mod noise;
pub mod norm;
pub(crate) mod op;
pub mod pad;
pub mod pool;
pub(crate) mod real;
mod reduce;
mod resample;
pub mod rows;
pub mod segments;
mod softmax;
pub mod spectral_norm;
pub mod svc;
mod threads;
pub mod upsample;
pub mod warp;

pub use activation::Activation;
#[cfg(any(test, feature = "testing"))]
pub use kernel::{Instructions, limit_instructions};
pub(crate) use matmul::{Matrix, matmul};
