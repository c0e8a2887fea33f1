//! Layers over [`ops`](crate::ops), with PyTorch's weight layouts and names.

mod batch_norm;
mod conv;
mod frame_norm;
pub mod init;
mod linear;
mod mode;
mod networks;
mod params;
mod recurrent;
mod spectral;

pub use batch_norm::{BatchNorm, BatchNormConfig};
pub use conv::{
    Conv, Conv1d, Conv2d, Conv3d, ConvConfig, ConvTranspose, ConvTranspose1d, ConvTranspose2d,
    ConvTranspose3d,
};
pub use frame_norm::{FrameNorm, FrameNormConfig};
pub use init::Init;
pub use linear::{Linear, LinearConfig};
pub use mode::{Mode, NormStats, Weights};
pub use params::{Buffer, ParamSource, ParamStore};
pub use recurrent::{
    ConvGru2dCell, ConvGruConfig, ConvGruWeights, CutLstm, GruCell, LstmCell, LstmState, RecurrentConfig,
};
pub use spectral::{SpectralConv, SpectralEmbedding, SpectralLinear, SpectralNorm};
