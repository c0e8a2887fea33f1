//! Where the optical flow of a set comes from.

use std::{fmt, path::PathBuf};

use vg_flow::Dis;

/// A source of optical flow, the option `flow=` behind a set's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FlowMethod {
    /// Dense inverse search at the finest scale, OpenCV's preset `medium` with finest scale 0: for training data.
    #[default]
    Medium,
    /// Its preset `fast`.
    Fast,
    /// Its preset `ultrafast`.
    Ultrafast,
    /// No motion, for cameras that stand still.
    None,
    /// `.flo` files in a folder: a sub-folder for each clip, in it a file for each frame but the first, in the order of names.
    Folder(PathBuf),
}

impl FlowMethod {
    /// How methods are written.
    pub const USAGE: &str = "medium, fast, ultrafast, none or dir:PATH";

    /// The method of an option's value; none for other values.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "medium" => Self::Medium,
            "fast" => Self::Fast,
            "ultrafast" => Self::Ultrafast,
            "none" => Self::None,
            _ => Self::Folder(text.strip_prefix("dir:").filter(|path| !path.is_empty())?.into()),
        })
    }

    /// The search that computes it; none where nothing is computed.
    pub(super) fn dis(&self) -> Option<Dis> {
        match self {
            Self::Medium => Some(Dis::medium().finest_scale(0)),
            Self::Fast => Some(Dis::fast()),
            Self::Ultrafast => Some(Dis::ultrafast()),
            Self::None | Self::Folder(_) => None,
        }
    }
}

impl fmt::Display for FlowMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Medium => f.write_str("medium"),
            Self::Fast => f.write_str("fast"),
            Self::Ultrafast => f.write_str("ultrafast"),
            Self::None => f.write_str("none"),
            Self::Folder(path) => write!(f, "dir:{}", path.display()),
        }
    }
}
