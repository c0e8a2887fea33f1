//! Which clips, frames and mirrorings make up a batch.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use vg_core::{BatchSpec, Error, Result, Rng, SourceInfo};

use crate::dataset::{Dataset, Start};

/// Orders of the last few epochs that are kept; a batch touches two at most, prefetching one more.
const KEPT_ORDERS: usize = 4;

/// The draws of a loader; shared with its worker.
pub(super) struct Plan {
    dataset: Arc<dyn Dataset>,
    rng: Rng,
    /// Whether clips without room for the stride are left out.
    whole_stride: bool,
    eligible: Mutex<HashMap<usize, Arc<Vec<u32>>>>,
    orders: Mutex<Vec<Order>>,
    frame_ends: OnceLock<Vec<u64>>,
}

struct Order {
    epoch: u64,
    order: Arc<Vec<usize>>,
}

/// One clip of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Draw {
    /// Index in the data set.
    pub clip: usize,
    /// Frames in order.
    pub picks: Vec<usize>,
    /// Whether to mirror left-right.
    pub mirror: bool,
}

impl Plan {
    pub(super) fn new(dataset: Arc<dyn Dataset>, seed: u64) -> Self {
        Self {
            dataset,
            rng: Rng::new(seed).child("loader", 0),
            whole_stride: false,
            eligible: Mutex::default(),
            orders: Mutex::default(),
            frame_ends: OnceLock::new(),
        }
    }

    /// The same draws, of clips with room for the stride alone.
    pub(super) fn whole_stride(&self) -> Self {
        Self {
            dataset: Arc::clone(&self.dataset),
            rng: self.rng.clone(),
            whole_stride: true,
            eligible: Mutex::default(),
            orders: Mutex::default(),
            frame_ends: OnceLock::new(),
        }
    }

    pub(super) fn dataset(&self) -> &dyn Dataset {
        &*self.dataset
    }

    pub(super) fn info(&self) -> &SourceInfo {
        self.dataset.info()
    }

    /// Clips that are long enough.
    pub(super) fn eligible(&self, spec: &BatchSpec) -> Arc<Vec<u32>> {
        let frames = self.frames_needed(spec);
        let list = || {
            let clips = 0..self.info().clips as u32;
            Arc::new(clips.filter(|clip| self.dataset.frames(*clip as usize) >= frames).collect())
        };
        Arc::clone(lock(&self.eligible).entry(frames).or_insert_with(list))
    }

    fn frames_needed(&self, spec: &BatchSpec) -> usize {
        match self.whole_stride {
            true => spec.clip.frames.saturating_mul(spec.frame_stride),
            false => spec.clip.frames,
        }
    }

    /// The clips of the batch at `position`.
    ///
    /// # Errors
    /// [`Error::Data`] when no clip is long enough.
    pub(super) fn clips(&self, spec: &BatchSpec, position: u64) -> Result<Vec<Draw>> {
        let eligible = self.eligible(spec);
        if eligible.is_empty() {
            return Err(self.too_short(spec));
        }
        (position..position + spec.clips as u64).map(|draw| Ok(self.clip(spec, draw, &eligible))).collect()
    }

    fn clip(&self, spec: &BatchSpec, draw: u64, eligible: &[u32]) -> Draw {
        let clip = match self.dataset.hierarchy().filter(|_| !self.whole_stride) {
            Some(hierarchy) => {
                let mut stream = self.rng.child("draw", draw).stream("clip");
                hierarchy.draw(|n| stream.below(n), |clip| eligible.binary_search(&(clip as u32)).is_ok())
            }
            None => self.in_turn(draw, eligible),
        };
        let mut stream = self.rng.child("draw", draw).stream("crop");
        let below = |n| match self.dataset.start() {
            Start::Anywhere => stream.below(n),
            Start::First => 0,
        };
        let picks = crop(self.dataset.frames(clip), spec.clip.frames, spec.frame_stride, below);
        Draw { clip, picks, mirror: spec.flip && stream.below(2) == 1 }
    }

    /// Each clip once an epoch.
    fn in_turn(&self, draw: u64, eligible: &[u32]) -> usize {
        let n = eligible.len() as u64;
        let (epoch, place) = (draw / n, (draw % n) as usize);
        let clip = eligible[self.order(epoch, eligible.len())[place]] as usize;
        if self.dataset.endless() { clip + epoch as usize * self.info().clips as usize } else { clip }
    }

    /// Single frames of the batch at `position`, uniform over all frames of all clips.
    pub(super) fn images(&self, spec: &BatchSpec, position: u64) -> Vec<Draw> {
        let ends = self.frame_ends.get_or_init(|| self.count_frames());
        let total = ends.last().copied().unwrap_or(0);
        let mut stream = self.rng.child("images", position).stream("picks");
        (0..spec.images)
            .map(|_| {
                let frame = stream.below(total as usize) as u64;
                let clip = ends.partition_point(|end| *end <= frame);
                let first = if clip == 0 { 0 } else { ends[clip - 1] };
                Draw {
                    clip,
                    picks: vec![(frame - first) as usize],
                    mirror: spec.flip && stream.below(2) == 1,
                }
            })
            .collect()
    }

    fn count_frames(&self) -> Vec<u64> {
        let lengths = (0..self.info().clips as usize).map(|clip| self.dataset.frames(clip) as u64);
        lengths
            .scan(0, |end, frames| {
                *end += frames;
                Some(*end)
            })
            .collect()
    }

    fn order(&self, epoch: u64, clips: usize) -> Arc<Vec<usize>> {
        let mut orders = lock(&self.orders);
        if let Some(known) = orders.iter().find(|o| o.epoch == epoch && o.order.len() == clips) {
            return Arc::clone(&known.order);
        }
        let order = Arc::new(self.rng.child("epoch", epoch).stream("order").permutation(clips));
        if orders.len() == KEPT_ORDERS {
            orders.remove(0);
        }
        orders.push(Order { epoch, order: Arc::clone(&order) });
        order
    }

    fn too_short(&self, spec: &BatchSpec) -> Error {
        let clips = self.info().clips as usize;
        let longest = (0..clips).map(|clip| self.dataset.frames(clip)).max().unwrap_or(0);
        Error::Data(format!(
            "{}: clips of {} frames were asked for, but the longest of its {clips} clips has {longest}",
            self.info().name,
            self.frames_needed(spec)
        ))
    }
}

/// Frames of a crop from a clip of `length` frames, at least `frames` (MoCoGAN, official `data.py`).
///
/// With room for `frames * stride` frames the stride is kept and every start that fits into the reference's range is equally likely;
/// a clip with less room gives its first consecutive frames. Without a stride every valid start is equally likely.
fn crop(length: usize, frames: usize, stride: usize, mut below: impl FnMut(usize) -> usize) -> Vec<usize> {
    let (start, step) = if stride == 1 {
        (below(length - frames + 1), 1)
    } else if length >= frames * stride {
        (below(length - stride * (frames - 1)), stride)
    } else {
        (0, 1)
    };
    (0..frames).map(|k| start + k * step).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The guarded maps are caches whose entries are complete, so a panic elsewhere leaves them usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, prop_assert_eq, prop_assume, proptest};

    use super::*;

    fn starts(length: usize, frames: usize, stride: usize) -> (usize, usize) {
        let first = crop(length, frames, stride, |_| 0);
        let last = crop(length, frames, stride, |n| n - 1);
        assert!(first.iter().chain(&last).all(|f| *f < length));
        (first[0], last[0])
    }

    #[test]
    fn every_start_of_consecutive_frames_is_reached() {
        assert_eq!(starts(20, 16, 1), (0, 4));
        assert_eq!(starts(16, 16, 1), (0, 0));
    }

    #[test]
    fn stride_needs_room_for_frames_times_stride() {
        assert_eq!(starts(32, 16, 2), (0, 1));
        assert_eq!(crop(32, 16, 2, |_| 1)[15], 31);
        assert_eq!(starts(40, 16, 2), (0, 9));
        assert_eq!(starts(51, 16, 2), (0, 20));
        assert_eq!(crop(31, 16, 2, |n| n - 1), (0..16).collect::<Vec<_>>());
        assert_eq!(crop(16, 16, 2, |n| n - 1), (0..16).collect::<Vec<_>>());
        let every_second = |first: usize| (0..16).map(|k| first + 2 * k).collect::<Vec<_>>();
        assert_eq!([0, 1].map(|start| crop(32, 16, 2, |_| start)), [every_second(0), every_second(1)]);
    }

    #[test]
    fn a_strip_of_a_list_is_one_clip_from_its_first_frame_on() {
        assert_eq!(crop(32, 32, 1, |n| n - 1), (0..32).collect::<Vec<_>>());
    }

    #[test]
    fn all_starts_are_equally_likely() {
        let (mut stream, mut counts) = (Rng::new(3).stream("starts"), [0; 21]);
        for _ in 0..21_000 {
            counts[crop(51, 16, 2, |n| stream.below(n))[0]] += 1;
        }
        assert!(counts.iter().all(|n| (850..1150).contains(n)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn crops_are_the_rule_of_the_paper(length in 1usize..200, frames in 1usize..40, stride in 1usize..5, at in 0.0f64..1.0) {
            prop_assume!(length >= frames);
            let picks = crop(length, frames, stride, |n| ((at * n as f64) as usize).min(n - 1));
            let step = if length >= frames * stride { stride } else { 1 };
            prop_assert_eq!(picks.len(), frames);
            prop_assert!(picks.windows(2).all(|pair| pair[1] == pair[0] + step));
            prop_assert!(picks[frames - 1] < length);
            prop_assert!(length >= frames * stride || picks[0] == 0);
        }
    }

    /// Clips of 3, 1 and 2 frames.
    struct Lengths(SourceInfo);

    impl Dataset for Lengths {
        fn info(&self) -> &SourceInfo {
            &self.0
        }
        fn frames(&self, clip: usize) -> usize {
            [3, 1, 2][clip]
        }
        fn label(&self, _: usize, _: &str) -> Option<u32> {
            None
        }
        fn read(&self, _: usize, _: &[usize], _: crate::FrameSize) -> Result<crate::Frames> {
            Err(Error::Data("not asked for".to_owned()))
        }
    }

    /// MoCoGAN's own index reaches the first frame of all twice and the last never.
    #[test]
    fn every_frame_of_every_clip_is_equally_likely_as_an_image() {
        let info = SourceInfo {
            name: "lengths".to_owned(),
            clips: 3,
            classes: Default::default(),
            fingerprint: String::new(),
        };
        let plan = Plan::new(Arc::new(Lengths(info)), 5);
        let clip = vg_core::ClipSpec { frames: 1, height: 1, width: 1, channels: 1 };
        let spec = BatchSpec { images: 6000, ..BatchSpec::clips(1, clip, vg_core::Pixels::Unit) };
        let mut counts = HashMap::new();
        for draw in plan.images(&spec, 0) {
            *counts.entry((draw.clip, draw.picks[0])).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6, "{counts:?}");
        assert!(counts.values().all(|n| (870..1130).contains(n)), "{counts:?}");
    }

    #[test]
    fn clips_without_room_for_the_stride_can_be_left_out() {
        let info = SourceInfo {
            name: "lengths".to_owned(),
            clips: 3,
            classes: Default::default(),
            fingerprint: String::new(),
        };
        let plan = Plan::new(Arc::new(Lengths(info)), 5);
        let clip = vg_core::ClipSpec { frames: 1, height: 1, width: 1, channels: 1 };
        let spec = BatchSpec { frame_stride: 2, ..BatchSpec::clips(3, clip, vg_core::Pixels::Unit) };
        assert_eq!(*plan.eligible(&spec), [0, 1, 2]);
        let whole = plan.whole_stride();
        assert_eq!(*whole.eligible(&spec), [0, 2]);
        assert!(whole.clips(&spec, 0).unwrap().iter().all(|draw| draw.clip != 1));
        let long = BatchSpec { frame_stride: 4, ..spec };
        assert!(whole.clips(&long, 0).unwrap_err().to_string().contains("clips of 4 frames"));
    }
}
