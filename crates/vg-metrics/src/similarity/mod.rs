//! Similarity of two frames: PSNR, SSIM and MS-SSIM, every variant under its own name. All sums are in f64.

mod clips;
mod finite;
mod ms_ssim;
mod psnr;
mod ssim;

pub use finite::FiniteMean;
pub use ms_ssim::ms_ssim;
pub use psnr::Psnr;
pub use ssim::{Ssim, SsimMaps, Window};
