//! Where clips come from: folders, data sets, models, and real clips that were spoilt on purpose.

mod data;
mod folder;
mod model;

use vg_data::{Frames, Progress};
use vg_metrics::Clip;

pub use self::data::{DataClips, Selection};
pub use self::folder::Folder;
pub use self::model::Generated;
use crate::data::Bar;

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

/// Bytes in three channels.
fn clip(name: String, frames: Frames) -> vg_metrics::Result<Clip> {
    let frames = frames.with_channels(3);
    let dims = [frames.frames, frames.height, frames.width, frames.channels];
    Clip::new(name, frames.data, dims)
}
