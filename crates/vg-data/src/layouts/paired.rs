//! A data set of sequences in parallel folders.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::UNIX_EPOCH,
};

use sha2::{Digest, Sha256};
use vg_core::{Error, Result, SourceInfo};

use super::{
    Layout, conditions, labels,
    pictures::{Numbers, Picture, same_size},
    sequences::{self, Sequence, Stream},
};
use crate::{
    dataset::{Dataset, Report, Skipped},
    frames::{FrameSize, Frames},
    maps::{self, Map, MapKind, Values, store::Store},
    open::{OpenOptions, Split},
    progress::Progress,
};

/// The set; frames and maps are kept at every size that is asked for.
pub(super) struct Paired {
    info: SourceInfo,
    layout: Layout,
    sequences: Vec<Sequence>,
    /// Index of each clip among the sequences, broken ones left out.
    clips: Vec<usize>,
    classes: usize,
    report: Report,
    options: Kept,
    stores: Mutex<HashMap<(What, FrameSize), Arc<Store>>>,
}

/// Of the options, what is needed later.
struct Kept {
    cache: PathBuf,
    split: Split,
    strict: bool,
    stretch: bool,
    void: Option<usize>,
    progress: Arc<dyn Progress>,
    /// Tells files, their lengths and times of change apart.
    content: String,
}

/// What a store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    Frames,
    Labels,
    Instances,
    Conditions,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Frames => "frames",
            Self::Labels => "segmentation",
            Self::Instances => "instances",
            Self::Conditions => "conditions",
        }
    }
}

impl Paired {
    pub(super) fn open(name: &str, layout: Layout, folder: &Path, options: &OpenOptions) -> Result<Self> {
        let all = sequences::find(folder, options.split, layout.places())?;
        let (sequences, short): (Vec<Sequence>, Vec<Sequence>) =
            all.into_iter().partition(|s| s.frames() >= 2);
        let of_short =
            |s: Sequence| Skipped { name: s.name, problem: "one frame; a clip has 2 or more".to_owned() };
        let names = match layout {
            Layout::Cityscapes | Layout::Maps => labels::names(name, layout, folder, options)?,
            Layout::Face | Layout::Pose => Vec::new(),
        };
        if let Some(void) = options.void.filter(|void| *void >= names.len().max(1)) {
            return Err(Error::Data(format!("{name}: void={void} is none of the {} classes", names.len())));
        }
        let (content, names_and_lengths) = content(&sequences)?;
        let fingerprint = format!("{}-1/{}/{names_and_lengths}", layout.name(), options.split);
        let mut set = Self {
            info: SourceInfo { name: name.to_owned(), clips: 0, classes: BTreeMap::new(), fingerprint },
            layout,
            clips: (0..sequences.len()).collect(),
            sequences,
            classes: names.len(),
            report: Report { short: short.into_iter().map(of_short).collect(), ..Report::default() },
            options: Kept {
                cache: options.cache.clone(),
                split: options.split,
                strict: options.strict,
                stretch: options.stretch,
                void: options.void,
                progress: Arc::clone(&options.progress),
                content,
            },
            stores: Mutex::default(),
        };
        if !names.is_empty() {
            set.info.classes.insert("segmentation".to_owned(), names);
        }
        set.leave_out_broken(options.size)?;
        set.info.clips = set.clips.len() as u64;
        Ok(set)
    }

    /// Decodes all frames and labels; sequences with broken files are left out and named, or an error if strict.
    fn leave_out_broken(&mut self, size: FrameSize) -> Result<()> {
        for what in [What::Frames, What::Labels, What::Instances, What::Conditions] {
            if what != What::Frames && !self.has(what) {
                continue;
            }
            let (store, broken) = self.fill(what, size, !self.options.strict)?;
            self.clips.retain(|clip| !broken.iter().any(|(other, _)| other == clip));
            let named = |(clip, problem): (usize, String)| Skipped {
                name: self.sequences[clip].name.clone(),
                problem,
            };
            self.report.skipped.extend(broken.into_iter().map(named));
            let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
            stores.insert((what, FrameSize { channels: 3, ..size }), Arc::new(store));
        }
        if self.clips.is_empty() {
            let first = self.report.skipped.first().or(self.report.short.first());
            let first = first.map_or(String::new(), |s| format!("; the first: {}: {}", s.name, s.problem));
            return Err(Error::Data(format!(
                "{}: none of its {} sequences is a clip{first}",
                self.info.name,
                self.sequences.len() + self.report.short.len()
            )));
        }
        Ok(())
    }

    /// Whether the folders hold it.
    fn has(&self, what: What) -> bool {
        let there = |stream| self.sequences.first().is_some_and(|s| !s.of(stream).is_empty());
        match what {
            What::Frames => there(Stream::Frames),
            What::Labels => there(Stream::Labels),
            What::Instances => there(Stream::Instances),
            What::Conditions => self.channels() > 0,
        }
    }

    /// Channels of the conditions, 0 without any.
    fn channels(&self) -> usize {
        self.sequences.first().map_or(0, conditions::channels)
    }

    /// Bytes of a pixel.
    fn pixel_bytes(&self, what: What) -> usize {
        match what {
            What::Frames => 3,
            What::Labels => 1,
            What::Instances => 4,
            What::Conditions => self.channels(),
        }
    }

    fn fill(&self, what: What, size: FrameSize, lenient: bool) -> Result<(Store, Vec<(usize, String)>)> {
        let (height, width) = (size.height, size.width);
        if height == 0 || width == 0 {
            return Err(Error::Data(format!("{}: frames of {size} cannot be made", self.info.name)));
        }
        let Kept { cache, split, stretch, void, progress, content, .. } = &self.options;
        let label = format!("{}-{split}-{}-{height}x{width}", self.layout.name(), what.name());
        let told = format!("1 {content} {label} {stretch} {void:?} {}", self.classes);
        let store = Store::new(cache, &label, &told, height * width * self.pixel_bytes(what));
        let clips: Vec<(usize, usize)> =
            self.clips.iter().map(|clip| (*clip, self.sequences[*clip].frames())).collect();
        let work = format!("decoding {} {split}: {}", self.info.name, what.name());
        let broken = store
            .fill(&work, &clips, lenient, &**progress, |clip| self.decode(what, clip, (height, width)))?;
        Ok((store, broken))
    }

    fn store(&self, what: What, size: FrameSize) -> Result<Arc<Store>> {
        let key = (what, FrameSize { channels: 3, ..size });
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = stores.get(&key) {
            return Ok(Arc::clone(store));
        }
        let store = Arc::new(self.fill(what, size, false)?.0);
        stores.insert(key, Arc::clone(&store));
        Ok(store)
    }

    /// All frames of a sequence, as bytes at a size.
    fn decode(&self, what: What, sequence: usize, to: (usize, usize)) -> Result<Vec<Vec<u8>>> {
        let sequence = &self.sequences[sequence];
        let stretch = self.options.stretch;
        let frames = sequence.of(Stream::Frames);
        let window = conditions::window(sequence)?;
        let each = |(k, frame): (usize, &PathBuf)| match what {
            What::Frames => {
                let whole = Picture::read(frame)?;
                let kept = window.map(|window| whole.cut_of(window, frame)).transpose()?;
                Ok(kept.unwrap_or(whole).smooth(to, stretch))
            }
            What::Conditions => conditions::draw(sequence, k, window, to, stretch),
            What::Labels => {
                let path = &sequence.of(Stream::Labels)[k];
                let numbers = labels::read(path, frame, self.classes, self.options.void)?;
                Ok(numbers.nearest(to, stretch).into_iter().map(|id| id as u8).collect())
            }
            What::Instances => {
                let path = &sequence.of(Stream::Instances)[k];
                let numbers = Numbers::read(path)?;
                same_size(path, (numbers.height, numbers.width), frame)?;
                Ok(numbers.nearest(to, stretch).into_iter().flat_map(u32::to_le_bytes).collect())
            }
        };
        frames.iter().enumerate().map(each).collect()
    }

    fn bytes(&self, what: What, clip: usize, picks: &[usize], size: FrameSize) -> Result<Vec<Vec<u8>>> {
        crate::procedural::check_picks(&self.info, self.frames(clip), clip, picks)?;
        let store = self.store(what, size)?;
        let sequence = self.clips[clip];
        let make = || self.decode(what, sequence, (size.height, size.width));
        store.read_or_make(sequence, picks, &*self.options.progress, make)
    }
}

impl Dataset for Paired {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn frames(&self, clip: usize) -> usize {
        self.clips.get(clip).map_or(0, |sequence| self.sequences[*sequence].frames())
    }

    fn label(&self, _clip: usize, _group: &str) -> Option<u32> {
        None
    }

    fn read(&self, clip: usize, picks: &[usize], size: FrameSize) -> Result<Frames> {
        let data = self.bytes(What::Frames, clip, picks, size)?.concat();
        let rgb = FrameSize { channels: 3, ..size };
        Ok(Frames::from_bytes(picks.len(), rgb, data)?.with_channels(size.channels))
    }

    fn has_map(&self, kind: MapKind) -> bool {
        match kind {
            MapKind::Segmentation => self.has(What::Labels),
            MapKind::Instances => self.has(What::Instances),
            MapKind::Conditions => self.has(What::Conditions),
            MapKind::Flow(_) | MapKind::Confidence(_) => false,
        }
    }

    fn read_maps(
        &self,
        clip: usize,
        picks: &[usize],
        size: FrameSize,
        kinds: &[MapKind],
    ) -> Result<Vec<Map>> {
        let numbers = |what: What| -> Result<Map> {
            let bytes = self.bytes(what, clip, picks, size)?.concat();
            let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |n, b| n << 8 | u32::from(*b));
            let ids = bytes.chunks_exact(self.pixel_bytes(what)).map(number).collect();
            Map::new(1, picks.len(), size, Values::Ids(ids))
        };
        let read = |kind: &MapKind| match kind {
            MapKind::Segmentation if self.has_map(*kind) => numbers(What::Labels),
            MapKind::Instances if self.has_map(*kind) => numbers(What::Instances),
            MapKind::Conditions if self.has_map(*kind) => {
                let frames = self.bytes(What::Conditions, clip, picks, size)?;
                let planes = |frame: &Vec<u8>| conditions::planes(&self.sequences[self.clips[clip]], frame);
                Map::of_frames(self.channels(), size, &frames.iter().map(planes).collect::<Vec<_>>())
            }
            _ => Err(maps::none(&self.info.name, &[*kind])),
        };
        kinds.iter().map(read).collect()
    }

    fn report(&self) -> &Report {
        &self.report
    }
}

/// What tells the files apart from others: with their places and times of change, and without.
fn content(sequences: &[Sequence]) -> Result<(String, String)> {
    let (mut exact, mut portable) = (Sha256::new(), Sha256::new());
    for sequence in sequences {
        portable.update(format!("{}\n", sequence.name));
        for path in sequence.files.values().flatten() {
            let meta = path.metadata().map_err(Error::io("reading", path))?;
            let changed =
                meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
            exact.update(format!("{}\n{} {}\n", path.display(), meta.len(), changed.as_nanos()));
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            portable.update(format!("{name} {}\n", meta.len()));
        }
    }
    let digits = |hash: Sha256| format!("{:x}", hash.finalize())[..16].to_owned();
    Ok((digits(exact), digits(portable)))
}
