//! Where clips come from: folders, data sets, models, and real clips that were spoilt on purpose.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use anyhow::Result;
use candle_core::DType;
use vg_core::sample::{Clips, SampleRequest, Sampler};
use vg_core::{BatchSource, BatchSpec, ClipSpec, Pixels};
use vg_data::decode::decode_whole;
use vg_data::{Frames, Loader, Progress, Split};
use vg_metrics::Clip;

use super::control::Control;
use crate::data::{Bar, DataChoice};
use crate::failure::Failure;

/// Clips that are drawn at once; this only bounds memory.
const AT_ONCE: usize = 16;

/// Clips one by one; asking again gives the same ones.
pub enum Set {
    Folder(Folder),
    Data(DataClips),
    Model(Generated),
}

impl Set {
    /// Number of clips.
    pub fn count(&self) -> usize {
        match self {
            Self::Folder(folder) => folder.clips.len(),
            Self::Data(data) => data.num,
            Self::Model(model) => model.num,
        }
    }

    /// For results.
    pub fn name(&self) -> String {
        match self {
            Self::Folder(folder) => folder.path.display().to_string(),
            Self::Data(data) => data.name(),
            Self::Model(model) => model.name.clone(),
        }
    }

    /// Names of the files, where clips are files.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        let items = match self {
            Self::Folder(folder) => folder.clips.as_slice(),
            _ => &[],
        };
        items.iter().map(|item| item.name.as_str())
    }

    /// All clips.
    pub fn clips<'a>(
        &'a self,
        bar: &'a Bar,
    ) -> Box<dyn ExactSizeIterator<Item = vg_metrics::Result<Clip>> + 'a> {
        let counted = |clip| {
            bar.advance(1);
            clip
        };
        match self {
            Self::Folder(folder) => Box::new(folder.clips.iter().map(move |item| counted(folder.read(item)))),
            Self::Data(data) => Box::new(Chunks::new(data.num, |start, n| data.chunk(start, n)).map(counted)),
            Self::Model(model) => {
                Box::new(Chunks::new(model.num, |start, n| model.chunk(start, n)).map(counted))
            }
        }
    }
}

/// Clips that are made a few at a time and handed out singly.
struct Chunks<F> {
    make: F,
    next: usize,
    total: usize,
    ready: std::vec::IntoIter<Clip>,
}

impl<F: FnMut(usize, usize) -> vg_metrics::Result<Vec<Clip>>> Chunks<F> {
    fn new(total: usize, make: F) -> Self {
        Self { make, next: 0, total, ready: Vec::new().into_iter() }
    }
}

impl<F: FnMut(usize, usize) -> vg_metrics::Result<Vec<Clip>>> Iterator for Chunks<F> {
    type Item = vg_metrics::Result<Clip>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.len() == 0 && self.next < self.total {
            let n = AT_ONCE.min(self.total - self.next);
            match (self.make)(self.next, n) {
                Ok(clips) => self.ready = clips.into_iter(),
                Err(error) => {
                    self.next = self.total;
                    return Some(Err(error));
                }
            }
            self.next += n;
        }
        self.ready.next().map(Ok)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.ready.len() + self.total - self.next;
        (left, Some(left))
    }
}

impl<F: FnMut(usize, usize) -> vg_metrics::Result<Vec<Clip>>> ExactSizeIterator for Chunks<F> {}

/// Files that are decoded one by one.
pub struct Folder {
    path: PathBuf,
    clips: Vec<vg_data::cache::Item>,
    frames: Option<usize>,
}

impl Folder {
    /// The first `num` clips of a folder, or all, and of each the first `frames` frames, or all.
    pub fn open(path: &Path, num: Option<usize>, frames: Option<usize>) -> Result<Self> {
        let mut clips = vg_data::folder::recipe(path, Split::Train, true)?.items;
        if let Some(num) = num {
            let (path, found) = (path.display(), clips.len());
            if found < num {
                return Err(Failure::new(format!("--num {num}: {path} has {found} clips")).into());
            }
            clips.truncate(num);
        }
        Ok(Self { path: path.to_path_buf(), clips, frames })
    }

    /// Frames, height and width of the first clip.
    pub fn size(&self) -> Result<[usize; 3]> {
        let none = || Failure::new(format!("{} has no clips", self.path.display()));
        let clip = self.read(self.clips.first().ok_or_else(none)?)?;
        let [t, h, w, _] = clip.frames().dims();
        Ok([t, h, w])
    }

    fn read(&self, item: &vg_data::cache::Item) -> vg_metrics::Result<Clip> {
        let most = self.frames.unwrap_or(usize::MAX);
        let clip = clip(self.path.join(&item.name).display().to_string(), decode_whole(&item.origin, most)?)?;
        // A clip that is too short is named by its window.
        if most < usize::MAX { clip.every(1, most) } else { Ok(clip) }
    }
}

/// Clips of a data set in a seeded order, each once.
pub struct DataClips {
    choice: DataChoice,
    loader: RefCell<Loader>,
    clip: ClipSpec,
    stride: usize,
    first: usize,
    num: usize,
    control: Option<(Control, u64)>,
}

/// What is taken from a data set.
#[derive(Clone, Copy, Debug)]
pub struct Selection {
    /// Size of the clips.
    pub clip: ClipSpec,
    /// Distance between frames in the source.
    pub stride: usize,
    /// Seed of the order and of the places in time.
    pub seed: u64,
    /// Number of clips; as many as there are up to this, when `all`.
    pub num: usize,
    /// Whether fewer are fine.
    pub all: bool,
}

impl DataClips {
    /// The first clips of the seeded order.
    pub fn open(choice: &DataChoice, selection: Selection, control: Option<Control>) -> Result<Self> {
        let Selection { clip, stride, seed, num, all } = selection;
        let loader = vg_data::source(choice.open(clip.into())?, seed).with_whole_stride();
        let mut data = Self {
            choice: choice.clone(),
            loader: RefCell::new(loader),
            clip,
            stride,
            first: 0,
            num,
            control: control.map(|c| (c, seed)),
        };
        let there = {
            let loader = data.loader.borrow();
            (loader.info().clips - loader.excluded(&data.spec(1))) as usize
        };
        let sets = if control == Some(Control::Half) { 2 } else { 1 };
        if all {
            data.num = num.min(there / sets);
        }
        if data.num == 0 || data.num * sets > there {
            let (set, frames) = (&data.choice.name, clip.frames.saturating_mul(stride));
            let wanted = data.num.max(1) * sets;
            let text =
                format!("{set} has {there} clips of at least {frames} frames, and {wanted} are needed");
            let hint = "lower --num, --frames or --stride, or take the other --split";
            return Err(Failure::new(text).hint(hint).into());
        }
        if control == Some(Control::Half) {
            data.first = data.num;
        }
        Ok(data)
    }

    fn spec(&self, clips: usize) -> BatchSpec {
        BatchSpec { frame_stride: self.stride, ..BatchSpec::clips(clips, self.clip, Pixels::Symmetric) }
    }

    /// What decides the pixels of the first `num` clips, for a store of statistics.
    pub fn description(&self, num: usize) -> String {
        let fingerprint = self.loader.borrow().info().fingerprint.clone();
        let ClipSpec { frames, height, width, channels } = self.clip;
        format!("{} ({fingerprint}), {num} clips of {frames}x{height}x{width}x{channels}", self.name())
    }

    fn name(&self) -> String {
        let stride = if self.stride == 1 { String::new() } else { format!(", every {}. frame", self.stride) };
        let control = self.control.map(|(control, _)| format!(", {control}")).unwrap_or_default();
        format!("{} ({}{stride}{control})", self.choice.name, self.choice.split)
    }

    fn chunk(&self, start: usize, clips: usize) -> vg_metrics::Result<Vec<Clip>> {
        let position = self.first + start;
        let batch = self.loader.borrow_mut().batch(&self.spec(clips), position as u64)?;
        let frames = Frames::from_tensor(&batch.clips, Pixels::Symmetric)?;
        let named = frames.into_iter().enumerate().map(|(i, frames)| {
            let frames = match self.control {
                Some((control, seed)) => control.apply(frames, seed, position + i),
                None => frames,
            };
            clip(format!("clip {} of {}", position + i, self.choice.name), frames)
        });
        named.collect()
    }
}

/// Clips that a model makes, one a seed.
pub struct Generated {
    sampler: Box<dyn Sampler>,
    name: String,
    num: usize,
    seed: u64,
    /// Frames that the model is asked for.
    asked: usize,
    /// Of these the first so many are taken, with a distance.
    taken: usize,
    every: usize,
    /// For models that continue clips.
    context: Option<DataClips>,
}

impl Generated {
    /// `num` clips with the seeds from `seed` on, of `frames` frames with `every - 1` left out between two.
    ///
    /// A model is never asked for fewer frames than it makes by itself: some make no others, some would make them faster.
    ///
    /// # Errors
    /// [`Failure`] for a model that makes no clips, or none of that length without more than is given here.
    pub fn new(
        sampler: Box<dyn Sampler>,
        name: String,
        num: usize,
        seed: u64,
        [frames, every]: [usize; 2],
        context: Option<DataClips>,
    ) -> Result<Self> {
        let spec = sampler.spec();
        if spec.max_frames == 0 {
            let text = format!("{name} makes no clips: it is a classifier");
            return Err(Failure::new(text).hint("give a run of a model that makes clips").into());
        }
        if !spec.maps.is_empty() {
            let text =
                format!("{name} needs condition maps ({}), which eval cannot give", spec.maps.join(", "));
            return Err(Failure::new(text)
                .hint("write its clips to a folder and give that with --fake")
                .into());
        }
        if spec.context_frames > 0 && context.is_none() {
            let text = format!("{name} continues clips of {} frames", spec.context_frames);
            return Err(Failure::new(text).hint("say which with --data SET").into());
        }
        if seed.checked_add(num as u64).is_none() {
            let text = format!("--seed {seed}: there are no {num} seeds from it on");
            return Err(Failure::new(text).hint("give a smaller --seed").into());
        }
        let asked = ((frames - 1) * every + 1).max(spec.clip.frames);
        SampleRequest { frames: Some(asked), ..SampleRequest::default() }.frames_for(&spec)?;
        Ok(Self { sampler, name, num, seed, asked, taken: frames, every, context })
    }

    fn chunk(&self, start: usize, clips: usize) -> vg_metrics::Result<Vec<Clip>> {
        let first = self.seed + start as u64;
        let request = SampleRequest {
            frames: Some(self.asked),
            context: self.context(start, clips)?,
            ..SampleRequest::seeds(first..first + clips as u64)
        };
        let made = self.sampler.sample(&request)?;
        self.check_finite(&made)?;
        let frames = Frames::from_tensor(&made.tensor, made.pixels)?;
        let named = frames.into_iter().zip(first..);
        named
            .map(|(frames, seed)| {
                let name = format!("clip of seed {seed} of {}", self.name);
                clip(name, frames)?.every(self.every, self.taken)
            })
            .collect()
    }

    /// A network that has diverged would otherwise count as one that makes black clips.
    fn check_finite(&self, made: &Clips) -> vg_metrics::Result<()> {
        let sum = made.tensor.sum_all().and_then(|sum| sum.to_dtype(DType::F64)?.to_scalar::<f64>());
        match sum.map_err(vg_core::Error::from)?.is_finite() {
            true => Ok(()),
            false => {
                Err(vg_metrics::Error::NotFinite { what: format!("a pixel in the clips of {}", self.name) })
            }
        }
    }

    /// Given frames, on the model's pixel scale.
    fn context(&self, start: usize, clips: usize) -> vg_metrics::Result<Option<candle_core::Tensor>> {
        let spec = self.sampler.spec();
        let Some(data) = self.context.as_ref().filter(|_| spec.context_frames > 0) else { return Ok(None) };
        let wanted = BatchSpec { pixels: spec.pixels, ..data.spec(clips) };
        let batch = data.loader.borrow_mut().batch(&wanted, start as u64)?;
        Ok(Some(batch.clips.narrow(2, 0, spec.context_frames).map_err(vg_core::Error::from)?))
    }
}

/// Bytes in three channels.
fn clip(name: String, frames: Frames) -> vg_metrics::Result<Clip> {
    let frames = frames.with_channels(3);
    let dims = [frames.frames, frames.height, frames.width, frames.channels];
    Clip::new(name, frames.data, dims)
}
