//! The metrics by name.

use crate::acd::Colour;
use crate::error::Result;
use crate::framing::Framing;
use crate::gaussian::Divisor;
use crate::inception_score::InceptionScore;
use crate::kernel::Estimator;
use crate::precision_recall::NEIGHBOURS;
use crate::protocol::{Better, Clips, Extractor, FrameRule, Input, Measure, Protocol};
use crate::resize::Resize;
use crate::similarity::{Psnr, Ssim};

/// All metrics.
pub static PROTOCOLS: &[Protocol] = &[
    FVD,
    Protocol { name: "fvd2048_16f", title: "FVD of StyleGAN-V, 16 frames", ..STYLEGAN_V },
    Protocol {
        name: "fvd2048_128f",
        title: "FVD of StyleGAN-V, 128 frames",
        frames: FrameRule::Window { count: 128, stride: 1 },
        ..STYLEGAN_V
    },
    Protocol {
        name: "fvd2048_128f_subsample8f",
        title: "FVD of StyleGAN-V, every 8th of 128 frames",
        frames: FrameRule::Window { count: 16, stride: 8 },
        ..STYLEGAN_V
    },
    Protocol {
        name: "fvd-videogpt",
        title: "FVD of VideoGPT (BatchNorm epsilon 1e-5, short side and centre crop)",
        network: Some(Extractor::I3dEpsilon1e5),
        resize: Framing::ShortSide(Resize::HalfPixel, 224),
        clips: Clips::First(256),
        frames: FrameRule::Window { count: 16, stride: 1 },
        source: "VideoGPT, its BAIR evaluation",
        ..FVD
    },
    Protocol {
        name: "fvd-vg",
        title: "Fréchet distance in this project's small network, for procedural clips",
        network: Some(Extractor::VgFeatures),
        resize: Framing::Square(Resize::HalfPixel, 64),
        source: "this project",
        ..FVD
    },
    Protocol {
        name: "kvd",
        title: "Kernel video distance",
        measure: Measure::Kernel(Estimator::Unbiased),
        source: "TATS's estimator, all clips at once, on the features of fvd",
        ..FVD
    },
    Protocol {
        name: "is-tgan",
        title: "Inception Score of TGAN",
        measure: Measure::InceptionScore { rule: InceptionScore::TGAN, runs: 1 },
        resize: Framing::C3dTgan,
        clips: Clips::First(10_000),
        source: "Saito et al. 2017, official code",
        ..VIDEO_IS
    },
    Protocol {
        name: "is-tganv2",
        title: "Inception Score of TGANv2, mean of ten runs",
        measure: Measure::InceptionScore { rule: InceptionScore::TGAN_V2, runs: 10 },
        source: "Saito et al. 2020, official code",
        ..VIDEO_IS
    },
    Protocol { name: "isv2048_ucf", title: "Inception Score of StyleGAN-V, ten parts", ..VIDEO_IS },
    Protocol {
        name: "is-vg",
        title: "Inception Score in this project's small network, for procedural clips",
        measure: Measure::InceptionScore { rule: InceptionScore::PLAIN, runs: 1 },
        network: Some(Extractor::VgSoftmax),
        resize: Framing::Square(Resize::HalfPixel, 64),
        clips: Clips::All,
        frames: FrameRule::All,
        source: "this project",
        ..VIDEO_IS
    },
    FID,
    Protocol {
        name: "fid-frames",
        title: "FID, all frames",
        frames: FrameRule::All,
        source: "Heusel et al. 2017; every frame of a clip",
        ..FID
    },
    Protocol {
        name: "kid",
        title: "KID, one random frame of each clip, 100 subsets of 1000",
        measure: Measure::KernelSubsets { count: 100, size: 1000 },
        source: "Bińkowski et al. 2018; subsets as in torch-fidelity, not times 1000",
        ..FID
    },
    Protocol {
        name: "is-image",
        title: "Inception Score of images, one random frame of each clip, ten parts",
        measure: Measure::InceptionScore { rule: InceptionScore::IMAGES, runs: 1 },
        network: Some(Extractor::InceptionSoftmax),
        input: Input::OneSet,
        better: Better::Higher,
        source: "Salimans et al. 2016",
        ..FID
    },
    PSNR,
    Protocol {
        name: "psnr-svg",
        title: "PSNR per channel",
        measure: Measure::Psnr(Psnr::Channel),
        source: "SVG, both of its functions",
        ..PSNR
    },
    ssim("ssim-finn", "SSIM, Gaussian window, range 1", Ssim::FINN, "Finn et al. 2016; finn_eval_seq of SVG"),
    ssim("ssim-tf", "SSIM, Gaussian window, range 1", Ssim::TF, "tf.image.ssim; SAVP"),
    ssim(
        "ssim-cv2",
        "SSIM, Gaussian window, range 1",
        Ssim::CV2,
        "the OpenCV versions; common_metrics_on_video_quality",
    ),
    ssim("ssim-svg", "SSIM, uniform window, range 2", Ssim::SVG, "eval_seq of SVG with scikit-image 0.14"),
    ssim("ssim-skimage", "SSIM, uniform window, range 1", Ssim::SKIMAGE, "scikit-image, range given"),
    lpips("lpips-alex", "LPIPS v0.1, AlexNet", Extractor::LpipsAlex, "Zhang et al. 2018"),
    lpips("lpips-vgg", "LPIPS v0.1, VGG16", Extractor::LpipsVgg, "Zhang et al. 2018"),
    lpips("st-lpips", "Shift-tolerant LPIPS, VGG16", Extractor::StLpipsVgg, "Ghildyal and Liu 2022"),
    ACD,
    Protocol {
        name: "acd-c-shapes",
        title: "Average content distance of the shape's colour (clips of shapes on black)",
        measure: Measure::AcdColour(Colour::Shape),
        ..ACD
    },
    Protocol {
        name: "acd-i",
        title: "Average content distance of face embeddings",
        measure: Measure::AcdEmbedding,
        network: Some(Extractor::FaceEmbedding),
        resize: Framing::PaddedSquare(Resize::Tf1, 150),
        source: "Tulyakov et al. 2018; embedding of face-api instead of OpenFace",
        ..ACD
    },
    Protocol {
        name: "swd",
        title: "Sliced Wasserstein distance, one random frame of each clip, times 1000",
        measure: Measure::SlicedWasserstein,
        network: None,
        resize: Framing::None,
        source: "Karras et al. 2018 (there 16 384 images)",
        ..FID
    },
    PRECISION,
    Protocol {
        name: "recall",
        title: "Recall of video features",
        measure: Measure::Recall(NEIGHBOURS),
        ..PRECISION
    },
    MOTION,
    Protocol {
        name: "frozen",
        title: "Share of frames that repeat the one before",
        measure: Measure::Frozen,
        better: Better::Lower,
        ..MOTION
    },
    Protocol {
        name: "diversity",
        title: "Mean distance between clips",
        measure: Measure::Diversity,
        ..MOTION
    },
    Protocol {
        name: "ms-ssim",
        title: "MS-SSIM between clips",
        measure: Measure::MsSsim,
        better: Better::Lower,
        source: "Karras et al. 2018",
        ..MOTION
    },
];

const FVD: Protocol = Protocol {
    name: "fvd",
    title: "Fréchet video distance",
    measure: Measure::Frechet(Divisor::NMinusOne),
    network: Some(Extractor::I3d),
    resize: Framing::Square(Resize::Tf1, 224),
    input: Input::TwoSets,
    clips: Clips::All,
    frames: FrameRule::All,
    better: Better::Lower,
    source: "Unterthiner et al. 2018; google-research frechet_video_distance",
};

const STYLEGAN_V: Protocol = Protocol {
    measure: Measure::Frechet(Divisor::N),
    resize: Framing::Square(Resize::HalfPixel, 224),
    clips: Clips::First(2048),
    frames: FrameRule::Window { count: 16, stride: 1 },
    source: "Skorokhodov et al. 2022, official code",
    ..FVD
};

/// StyleGAN-V's, which runs TGANv2's network.
const VIDEO_IS: Protocol = Protocol {
    measure: Measure::InceptionScore { rule: InceptionScore::STYLEGAN_V, runs: 1 },
    network: Some(Extractor::C3dUcf101),
    resize: Framing::C3dTganV2,
    input: Input::OneSet,
    better: Better::Higher,
    ..STYLEGAN_V
};

const FID: Protocol = Protocol {
    name: "fid",
    title: "FID, one random frame of each clip",
    network: Some(Extractor::InceptionPool),
    resize: Framing::Square(Resize::Tf1, 299),
    frames: FrameRule::One,
    source: "Heusel et al. 2017",
    ..FVD
};

const PSNR: Protocol = Protocol {
    name: "psnr",
    title: "PSNR over the whole frame",
    measure: Measure::Psnr(Psnr::Frame),
    network: None,
    resize: Framing::None,
    input: Input::Pairs,
    better: Better::Higher,
    source: "tf.image.psnr; SAVP",
    ..FVD
};

const fn ssim(name: &'static str, title: &'static str, variant: Ssim, source: &'static str) -> Protocol {
    Protocol { name, title, measure: Measure::Ssim(variant), source, ..PSNR }
}

const fn lpips(
    name: &'static str,
    title: &'static str,
    network: Extractor,
    source: &'static str,
) -> Protocol {
    let (measure, better) = (Measure::Perceptual, Better::Lower);
    Protocol { name, title, measure, network: Some(network), better, source, ..PSNR }
}

const ACD: Protocol = Protocol {
    name: "acd-c",
    title: "Average content distance of the frames' mean colour",
    measure: Measure::AcdColour(Colour::Frame),
    network: None,
    resize: Framing::None,
    input: Input::OneSet,
    source: "Tulyakov et al. 2018; levels of 255",
    ..FVD
};

const PRECISION: Protocol = Protocol {
    name: "precision",
    title: "Precision of video features",
    measure: Measure::Precision(NEIGHBOURS),
    better: Better::Higher,
    source: "Kynkäänniemi et al. 2019, on the features of fvd",
    ..FVD
};

const MOTION: Protocol = Protocol {
    name: "motion",
    title: "Motion energy",
    measure: Measure::Motion,
    network: None,
    resize: Framing::None,
    input: Input::OneSet,
    better: Better::AsReal,
    source: "this project; compare with real clips",
    ..FVD
};

/// The metric of a name.
///
/// # Errors
/// [`vg_core::Error::Unknown`] with the nearest name.
pub fn protocol(name: &str) -> Result<&'static Protocol> {
    let found = PROTOCOLS.iter().find(|p| p.name == name);
    Ok(found.ok_or_else(|| vg_core::Error::unknown("metric", name, PROTOCOLS.iter().map(|p| p.name)))?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        let names: BTreeSet<&str> = PROTOCOLS.iter().map(|p| p.name).collect();
        assert_eq!(names.len(), PROTOCOLS.len());
        for p in PROTOCOLS {
            assert_eq!(protocol(p.name).unwrap(), p);
        }
        let error = protocol("fvd2048-16f").unwrap_err().to_string();
        assert!(error.contains("did you mean \"fvd2048_16f\"?"), "{error}");
    }

    #[test]
    fn names_fix_what_the_specification_says() {
        let fvd = protocol("fvd").unwrap();
        assert_eq!(
            (fvd.resize, fvd.divisor()),
            (Framing::Square(Resize::Tf1, 224), Some(Divisor::NMinusOne))
        );
        assert_eq!((fvd.clips, fvd.frames), (Clips::All, FrameRule::All));
        let stylegan = protocol("fvd2048_128f_subsample8f").unwrap();
        assert_eq!((stylegan.divisor(), stylegan.stride()), (Some(Divisor::N), 8));
        assert_eq!((stylegan.min_frames(), stylegan.resize), (121, Framing::Square(Resize::HalfPixel, 224)));
        assert_eq!(protocol("fvd-videogpt").unwrap().network, Some(Extractor::I3dEpsilon1e5));
        assert_eq!(protocol("is-tgan").unwrap().clips, Clips::First(10_000));
        assert_eq!(protocol("ssim-svg").unwrap().measure, Measure::Ssim(Ssim::SVG));
        assert_eq!(protocol("lpips-alex").unwrap().better, Better::Lower);
        assert_eq!(protocol("acd-i").unwrap().resize.to_string(), "padded-square-tf1-150");
    }

    #[test]
    fn sets_that_are_too_small_are_refused() {
        let refused = |name: &str, clips, frames| {
            protocol(name).unwrap().check_set("fake", clips, frames).unwrap_err().to_string()
        };
        let want = "fvd2048_16f: clips of the fake set: 256 given, at least 2048 needed";
        assert_eq!(refused("fvd2048_16f", 256, 16), want);
        let want = "fvd: frames in clips of the fake set: 8 given, at least 9 needed";
        assert_eq!(refused("fvd", 256, 8), want);
        assert!(refused("kid", 999, 16).contains("at least 1000"));
        assert!(refused("is-tganv2", 20_479, 16).contains("at least 20480"));
        assert!(refused("is-tgan", 9_999, 16).contains("at least 10000"));
        let counts = |name: &str, real, fake| {
            protocol(name).unwrap().check_counts(Some(real), fake).map_err(|e| e.to_string())
        };
        let want = "swd: clips of the real set for those of the fake set: 3 given, at least 4 needed";
        assert_eq!(counts("swd", 3, 4).unwrap_err(), want);
        assert!(
            counts("psnr", 4, 3).unwrap_err().contains("the fake set for those of the real set: 3 given")
        );
        assert!(counts("fvd", 1, 4).unwrap_err().contains("clips of the real set: 1 given"));
        assert!(counts("fvd", 3, 4).is_ok() && counts("swd", 4, 4).is_ok());
        assert!(refused("motion", 5, 1).contains("at least 2"));
        assert!(protocol("psnr").unwrap().check_set("fake", 1, 1).is_ok());
        assert!(protocol("fvd").unwrap().check_set("fake", 2, 9).is_ok());
    }
}
