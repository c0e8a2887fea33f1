//! The sliced Wasserstein auto-encoder (specification, section 7).

mod decoder;
mod encoder;
pub mod marginals;
pub mod transport;

pub use decoder::Decoder;
pub use encoder::Encoder;

/// Pixels of the images per pixel that the encoder sees, and per position of the decoder's first map.
const SHRINK: usize = 8;
