//! Clips that are parts of decoded files.

use std::ops::Range;

use sha2::{Digest, Sha256};
use vg_core::{Error, Result, SourceInfo};

use super::{Cut, stored::Stored};
use crate::{
    dataset::{Dataset, Hierarchy, Report, Skipped, Start},
    frames::{FrameSize, Frames},
    open::Split,
};

/// A data set of files whose clips are parts of them.
pub(super) struct Parts {
    stored: Stored,
    info: SourceInfo,
    /// The decoded file of each clip, and its frames there.
    parts: Vec<(usize, Range<usize>)>,
    hierarchy: Option<Hierarchy>,
    report: Report,
}

impl Parts {
    /// The clips that the recipe of `stored` cuts out; a segment that reaches past the end of its file ends there.
    ///
    /// # Errors
    /// [`Error::Format`] for a segment that begins past the end of its file, if strict; otherwise it is left out and named in the report.
    /// [`Error::Data`] when no clip is left.
    pub(super) fn of(stored: Stored) -> Result<Self> {
        let (mut parts, mut report) = (Vec::new(), stored.report().clone());
        let recipe = stored.recipe();
        for file in 0..stored.info().clips as usize {
            let (item, frames) = (stored.item(file), stored.frames(file));
            for range in ranges(&recipe.cut, recipe.split, item, frames) {
                let name = &recipe.items[item].name;
                if range.start < frames {
                    parts.push((file, range.start..range.end.min(frames)));
                    continue;
                }
                let problem = format!(
                    "its segment of frames {} to {} begins past the end, it has {frames} frames",
                    range.start + 1,
                    range.end
                );
                if stored.strict() {
                    return Err(Error::format(name, problem));
                }
                report.skipped.push(Skipped { name: name.clone(), problem });
            }
        }
        if parts.is_empty() {
            let first = report.skipped.first();
            let first = first.map_or(String::new(), |s| format!("; the first: {}: {}", s.name, s.problem));
            return Err(Error::Data(format!("{}: its files hold no clip{first}", recipe.name)));
        }
        let class = |file: usize| recipe.items[stored.item(file)].labels.first().copied().unwrap_or(0);
        let nested = recipe.nested && recipe.split == Split::Train;
        let hierarchy = nested.then(|| Hierarchy::new(parts.iter().map(|(file, _)| (class(*file), *file))));
        let info = SourceInfo {
            clips: parts.len() as u64,
            fingerprint: fingerprint(stored.info(), &parts, nested),
            ..stored.info().clone()
        };
        Ok(Self { stored, info, parts, hierarchy, report })
    }
}

/// The parts of a file of `frames` frames; both parts of [`Cut::Thirds`] have one at least, as files have two.
fn ranges(cut: &Cut, split: Split, item: usize, frames: usize) -> Vec<Range<usize>> {
    let third = 2 * frames / 3;
    let part = match (cut, split) {
        (Cut::Segments(segments), _) => return segments.get(item).cloned().unwrap_or_default(),
        (Cut::Whole, _) => 0..frames,
        (Cut::Thirds, Split::Train) => 0..third,
        (Cut::Thirds, Split::Test) => third..frames,
    };
    std::iter::once(part).collect()
}

fn fingerprint(info: &SourceInfo, parts: &[(usize, Range<usize>)], nested: bool) -> String {
    let mut hash = Sha256::new();
    for (file, range) in parts {
        hash.update(format!("{file} {} {}\n", range.start, range.end));
    }
    let digits = format!("{:x}", hash.finalize());
    format!("{}/{}{}", info.fingerprint, &digits[..8], if nested { "/nested" } else { "" })
}

impl Dataset for Parts {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn frames(&self, clip: usize) -> usize {
        self.parts.get(clip).map_or(0, |(_, range)| range.len())
    }

    fn label(&self, clip: usize, group: &str) -> Option<u32> {
        self.stored.label(self.parts.get(clip)?.0, group)
    }

    fn start(&self) -> Start {
        self.stored.start()
    }

    fn hierarchy(&self) -> Option<&Hierarchy> {
        self.hierarchy.as_ref()
    }

    fn read(&self, clip: usize, picks: &[usize], size: FrameSize) -> Result<Frames> {
        self.read_averaged(clip, picks, size, 1)
    }

    fn read_averaged(
        &self,
        clip: usize,
        picks: &[usize],
        size: FrameSize,
        averaged: usize,
    ) -> Result<Frames> {
        crate::procedural::check_picks(&self.info, self.frames(clip), clip, picks)?;
        let (file, range) = &self.parts[clip];
        let picks: Vec<usize> = picks.iter().map(|pick| range.start + pick).collect();
        self.stored.read_averaged(*file, &picks, size, averaged)
    }

    fn report(&self) -> &Report {
        &self.report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirds_are_the_first_two_and_the_last() {
        for frames in 2..200 {
            let train = ranges(&Cut::Thirds, Split::Train, 0, frames);
            let test = ranges(&Cut::Thirds, Split::Test, 0, frames);
            assert_eq!((train[0].start, train[0].end, test[0].end), (0, test[0].start, frames));
            assert_eq!(train[0].end, 2 * frames / 3);
            assert!(!train[0].is_empty() && !test[0].is_empty());
        }
    }
}
