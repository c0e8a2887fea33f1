//! Clips to feature vectors: a protocol's network, opened once.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use vg_core::nn::Mode;
use vg_core::ops::attention::softmax;

use crate::error::{Error, Result};
use crate::framing::Framing;
use crate::network::c3d::{self, C3d};
use crate::network::face::{self, FaceNet};
use crate::network::i3d::{self, I3d};
use crate::network::inception_v3::{self, InceptionV3};
use crate::network::lpips::{Lpips, Net};
use crate::network::procedural::{self, ProceduralNet};
use crate::pixels::Frames;
use crate::protocol::{Extractor, Protocol};
use crate::resize::Resize;
use crate::weights::{self, Weights};

/// Epsilon of batch norm in the ports of VideoGPT and TATS.
const PORTED_EPSILON: f64 = 1e-5;

/// The network of a protocol with its weights, and the protocol's way from clips to its input.
#[derive(Clone, Debug)]
pub struct FeatureNetwork {
    extractor: Extractor,
    kind: Arc<Kind>,
    framing: Framing,
    preparation: Preparation,
    sha256: String,
}

#[derive(Debug)]
enum Kind {
    I3d(I3d),
    C3d(C3d, c3d::Input),
    Inception(InceptionV3),
    Face(FaceNet),
    Lpips(Lpips),
    Procedural(ProceduralNet),
}

/// What is done with framed pixels: a consequence of the network and the framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preparation {
    I3d(Resize),
    C3d(c3d::Preparation),
    Inception(inception_v3::Preparation),
    Face,
    Lpips,
    Procedural,
}

impl Preparation {
    /// # Errors
    /// [`Error::Setting`] for a framing that the network cannot take, or would overrule.
    fn new(extractor: Extractor, framing: Framing) -> Result<Self> {
        use Framing::{PaddedSquare, ShortSide, Square};
        let (found, expected) = match extractor {
            Extractor::I3d | Extractor::I3dEpsilon1e5 => (
                match framing {
                    Square(rule, i3d::SIDE) | ShortSide(rule, i3d::SIDE) => Some(Self::I3d(rule)),
                    _ => None,
                },
                "frames of 224x224",
            ),
            Extractor::C3dUcf101 => (
                match framing {
                    Framing::C3dTgan => Some(Self::C3d(c3d::Preparation::Tgan)),
                    Framing::C3dTganV2 => Some(Self::C3d(c3d::Preparation::TganV2)),
                    _ => None,
                },
                "c3d-tgan or c3d-tganv2",
            ),
            Extractor::InceptionPool | Extractor::InceptionSoftmax => (
                match framing {
                    Square(Resize::Tf1, inception_v3::SIDE) => Some(inception_v3::Preparation::TensorFlow),
                    Square(Resize::HalfPixel, inception_v3::SIDE) => {
                        Some(inception_v3::Preparation::PytorchFid)
                    }
                    _ => None,
                }
                .map(Self::Inception),
                "tf1-299 or half-pixel-299",
            ),
            Extractor::FaceEmbedding => (
                (framing == PaddedSquare(Resize::Tf1, face::SIDE)).then_some(Self::Face),
                "padded-square-tf1-150",
            ),
            Extractor::LpipsAlex | Extractor::LpipsVgg | Extractor::StLpipsVgg => {
                ((framing == Framing::None).then_some(Self::Lpips), "none")
            }
            Extractor::VgFeatures | Extractor::VgSoftmax => (
                (framing == Square(Resize::HalfPixel, procedural::SIDE)).then_some(Self::Procedural),
                "half-pixel-64",
            ),
        };
        let got = || format!("{framing} for {extractor:?}");
        found.ok_or_else(|| Error::setting("resize rule", got(), expected))
    }
}

impl FeatureNetwork {
    /// Opens the network of a protocol, if it has one, with the weights in `folder`, where `cargo xtask download` puts them.
    ///
    /// # Errors
    /// [`vg_core::Error::Data`] that names the command when weights are missing, [`vg_core::Error::Format`] and
    /// [`vg_core::Error::Weights`] for damaged ones, [`Error::Setting`] for a resize rule that the network does not go with.
    pub fn open(protocol: &Protocol, folder: impl AsRef<Path>) -> Result<Option<Self>> {
        let Some(extractor) = protocol.network else { return Ok(None) };
        let preparation = Preparation::new(extractor, protocol.resize)?;
        let framing = protocol.resize;
        let Some(names) = extractor.weights() else {
            let (net, sha256) = ProceduralNet::shipped()?;
            return Ok(Some(Self {
                extractor,
                kind: Arc::new(Kind::Procedural(net)),
                framing,
                preparation,
                sha256,
            }));
        };
        let open = |name| weights::open(name, folder.as_ref());
        let files = names.iter().map(|name| open(*name)).collect::<vg_core::Result<Vec<_>>>()?;
        let sums: Vec<&str> = files.iter().map(Weights::sha256).collect();
        let (kind, sha256) = (Arc::new(kind(extractor, &files)?), sums.join("+"));
        Ok(Some(Self { extractor, kind, framing, preparation, sha256 }))
    }

    /// The same network for another protocol that has it.
    pub(crate) fn for_protocol(&self, protocol: &Protocol) -> Result<Self> {
        let preparation = Preparation::new(self.extractor, protocol.resize)?;
        Ok(Self { framing: protocol.resize, preparation, ..self.clone() })
    }

    pub(crate) fn extractor(&self) -> Extractor {
        self.extractor
    }

    /// SHA-256 of the weights in hexadecimal; those of several files are joined by `+`.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Numbers in a feature vector.
    pub fn dim(&self) -> usize {
        match self.extractor {
            Extractor::C3dUcf101 => c3d::Config::default().classes,
            Extractor::InceptionPool => 2048,
            Extractor::InceptionSoftmax => inception_v3::Config::default().classes,
            Extractor::FaceEmbedding => face::DIMENSIONS,
            Extractor::LpipsAlex | Extractor::LpipsVgg | Extractor::StLpipsVgg => 1,
            Extractor::VgFeatures => procedural::FEATURES,
            Extractor::VgSoftmax => procedural::CLASSES,
            _ => i3d::Config::default().classes,
        }
    }

    /// The feature vectors of a clip, `[n, dim]` in C order: one for networks of clips, one a frame for networks of images. A grey clip is
    /// taken for one with three equal channels.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] for clips that are too short or have two channels; [`Error::Setting`] for LPIPS, which compares.
    pub fn features(&self, clip: &Frames<'_>) -> Result<Vec<f32>> {
        let x = frames_first(clip)?;
        let clip_of_channels = || x.permute((1, 0, 2, 3))?.contiguous()?.unsqueeze(0);
        let rows = match (&*self.kind, self.preparation) {
            (Kind::I3d(net), Preparation::I3d(rule)) => {
                let framed = self.framing.apply(&clip_of_channels()?)?;
                net.features(&I3d::prepare(&framed, rule)?)?.logits
            }
            (Kind::C3d(net, input), Preparation::C3d(rule)) => {
                softmax(&net.features(&input.prepare(&clip_of_channels()?, rule)?)?.logits)?
            }
            (Kind::Inception(net), Preparation::Inception(rule)) => {
                let found = net.features(&InceptionV3::prepare(&self.framing.apply(&x)?, rule)?)?;
                if self.extractor == Extractor::InceptionPool { found.pool } else { softmax(&found.logits)? }
            }
            (Kind::Procedural(net), Preparation::Procedural) => {
                let framed = self.framing.apply(&clip_of_channels()?)?.to_dtype(DType::F32)?;
                let outputs = net.forward(&framed.affine(2.0 / 255.0, -1.0)?, Mode::EVAL)?;
                if self.extractor == Extractor::VgFeatures {
                    outputs.features
                } else {
                    softmax(&outputs.logits)?
                }
            }
            (Kind::Face(net), Preparation::Face) => net.embed(&self.framing.apply(&x)?)?,
            (Kind::Lpips(_), _) => {
                return Err(Error::setting("network of features", "LPIPS", "one that looks at single clips"));
            }
            (_, other) => {
                return Err(Error::setting(
                    "preparation of frames",
                    format!("{other:?}"),
                    "the network's own",
                ));
            }
        };
        Ok(rows.flatten_all()?.to_vec1()?)
    }

    /// LPIPS of every frame of two clips.
    ///
    /// # Errors
    /// [`Error::Shape`] with the clips' names when sizes or lengths differ, [`Error::Setting`] for other networks.
    pub fn distances(&self, truth: &Frames<'_>, predicted: &Frames<'_>) -> Result<Vec<f64>> {
        let Kind::Lpips(net) = &*self.kind else {
            return Err(Error::setting("network of distances", format!("{:?}", self.extractor), "LPIPS"));
        };
        truth.expect_same(predicted)?;
        let symmetric = |clip| -> Result<Tensor> {
            Ok(frames_first(clip)?.to_dtype(DType::F32)?.affine(2.0 / 255.0, -1.0)?)
        };
        let distances: Vec<f32> = net.distance(&symmetric(truth)?, &symmetric(predicted)?)?.to_vec1()?;
        Ok(distances.into_iter().map(f64::from).collect())
    }
}

/// The network in `files`, which are those of [`Extractor::weights`] in that order.
fn kind(extractor: Extractor, files: &[Weights]) -> Result<Kind> {
    let [first, ..] = files else {
        return Err(Error::setting("network", format!("{extractor:?}"), "one with weights"));
    };
    let (tensors, what) = (first.tensors(), first.source());
    let pair = |net| match files {
        [trunk, heads] => Ok(Lpips::with_heads(net, trunk.tensors(), heads.tensors(), &what)?),
        _ => Err(Error::setting("files of LPIPS", files.len(), "2")),
    };
    Ok(match extractor {
        Extractor::I3d => Kind::I3d(I3d::new(tensors, i3d::Config::default(), &what)?),
        Extractor::I3dEpsilon1e5 => {
            let config = i3d::Config { eps: PORTED_EPSILON, ..i3d::Config::default() };
            Kind::I3d(I3d::new(tensors, config, &what)?)
        }
        Extractor::C3dUcf101 => {
            let mean = tensors.get("mean");
            let mean = mean.ok_or_else(|| vg_core::Error::format(&what, "the tensor mean is missing"))?;
            Kind::C3d(C3d::new(tensors, c3d::Config::default(), &what)?, c3d::Input::new(mean)?)
        }
        Extractor::InceptionPool | Extractor::InceptionSoftmax => {
            Kind::Inception(InceptionV3::new(tensors, inception_v3::Config::default(), &what)?)
        }
        Extractor::FaceEmbedding => Kind::Face(FaceNet::new(tensors, 32, &what)?),
        Extractor::LpipsAlex => Kind::Lpips(pair(Net::Alex)?),
        Extractor::LpipsVgg => Kind::Lpips(pair(Net::Vgg)?),
        Extractor::StLpipsVgg => Kind::Lpips(Lpips::shift_tolerant(Net::ShiftTolerantVgg, tensors, &what)?),
        Extractor::VgFeatures | Extractor::VgSoftmax => {
            return Err(Error::setting("network", format!("{extractor:?}"), "one with published weights"));
        }
    })
}

/// `[T, 3, H, W]` bytes; grey becomes three equal channels.
fn frames_first(clip: &Frames<'_>) -> Result<Tensor> {
    let [t, h, w, c] = clip.dims();
    let x = Tensor::from_slice(clip.pixels(), (t, h, w, c), &Device::Cpu)?.permute((0, 3, 1, 2))?;
    Ok(if c == 1 { x.repeat((1, 3, 1, 1))? } else { x.contiguous()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{PROTOCOLS, protocol};

    #[test]
    fn the_recorded_rule_is_the_one_that_is_used() {
        for protocol in PROTOCOLS {
            let Some(extractor) = protocol.network else {
                continue;
            };
            assert!(Preparation::new(extractor, protocol.resize).is_ok(), "{}", protocol.name);
        }
        let tf1 = |side| Framing::Square(Resize::Tf1, side);
        for (name, resize) in [
            ("fvd", Framing::None),
            ("fvd", tf1(112)),
            ("is-tgan", tf1(112)),
            ("is-tgan", Framing::None),
            ("fid", Framing::None),
            ("fid", tf1(224)),
            ("fid", Framing::Square(Resize::Bicubic, 299)),
            ("acd-i", Framing::None),
            ("lpips-alex", tf1(64)),
        ] {
            let other = Protocol { resize, ..*protocol(name).unwrap() };
            let error = FeatureNetwork::open(&other, "nowhere").unwrap_err();
            assert!(matches!(error, Error::Setting { .. }), "{name} with {resize}: {error}");
        }
        let pytorch = Preparation::new(Extractor::InceptionPool, Framing::Square(Resize::HalfPixel, 299));
        assert_eq!(pytorch.unwrap(), Preparation::Inception(inception_v3::Preparation::PytorchFid));
    }
}
