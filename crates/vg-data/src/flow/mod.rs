//! Optical flow of sets that do not know theirs: computed once for a set and a size, and kept beside its decoded clips.
//!
//! Flow between frames k apart is searched for between these frames themselves. It is kept in half precision, [`Store`] files whose key
//! is the set's fingerprint, the size, the method and k. Where it can be trusted is told from the frames, as vid2vid does: where the
//! earlier frame, brought onto the later one by the flow, has its colour.

mod folder;
mod method;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use half::f16;
use vg_core::{Error, Pixels, Result, SourceInfo};
use vg_flow::{CONFIDENCE_LIMIT, Flow, Gray, Picture};

use self::folder::Folder;
pub use self::method::FlowMethod;
use crate::{
    dataset::{Dataset, Hierarchy, Report, Start},
    frames::{FrameSize, Frames, decode_table, scatter_planes},
    maps::{Map, MapKind, store::Store},
    progress::Progress,
};

/// Version of what is computed; another one has other files.
const VERSION: u32 = 1;

/// A set with flow.
pub(crate) struct WithFlow {
    inner: Box<dyn Dataset>,
    method: FlowMethod,
    folder: Option<Folder>,
    cache: PathBuf,
    progress: Arc<dyn Progress>,
    stores: Mutex<HashMap<(FrameSize, usize), Arc<Store>>>,
}

impl WithFlow {
    /// The set with flow by a method, kept below `cache`.
    ///
    /// # Errors
    /// [`Error::Data`] when a folder of flow files does not fit the set.
    pub(crate) fn new(
        inner: Box<dyn Dataset>,
        method: FlowMethod,
        cache: PathBuf,
        progress: Arc<dyn Progress>,
    ) -> Result<Self> {
        let folder = match &method {
            FlowMethod::Folder(path) => Some(Folder::open(path, &*inner)?),
            _ => None,
        };
        Ok(Self { inner, method, folder, cache, progress, stores: Mutex::default() })
    }

    /// Backward flows of the frames `picks[gap..]` towards those `gap` places before.
    fn flows(&self, clip: usize, picks: &[usize], size: FrameSize, gap: usize) -> Result<Vec<Flow>> {
        let pairs = picks.iter().zip(picks.get(gap..).unwrap_or_default());
        pairs.map(|(before, now)| self.flow(clip, *before, *now, size)).collect()
    }

    fn flow(&self, clip: usize, before: usize, now: usize, size: FrameSize) -> Result<Flow> {
        let (height, width) = (size.height, size.width);
        let Some(apart) = now.checked_sub(before) else {
            return Err(Error::Data(format!(
                "{}: flow is kept towards earlier frames, not from frame {now} to frame {before}",
                self.inner.info().name
            )));
        };
        if self.method == FlowMethod::None || apart == 0 {
            return Ok(Flow::zeros(height, width));
        }
        if let Some(folder) = &self.folder {
            return folder.flow(clip, before, now, (height, width));
        }
        let store = self.store(size, apart)?;
        let make = || self.compute(clip, size, apart);
        let kept = store.read_or_make(clip, &[before], &*self.progress, make)?.concat();
        let value = |bytes: &[u8]| f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
        Flow::new(height, width, kept.chunks_exact(2).map(value).collect()).map_err(|e| self.error(&e))
    }

    /// The flows of the whole set between frames so far apart, computed if they are not kept yet.
    fn store(&self, size: FrameSize, apart: usize) -> Result<Arc<Store>> {
        let size = FrameSize { channels: 3, ..size };
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = stores.get(&(size, apart)) {
            return Ok(Arc::clone(store));
        }
        let info = self.inner.info();
        let FrameSize { height, width, .. } = size;
        let name = info.name.split(',').next().unwrap_or_default();
        let label = format!("{name}-flow-{}-{apart}-{height}x{width}", self.method);
        let content = format!("{VERSION} {} {label}", info.fingerprint);
        let store = Store::new(&self.cache, &label, &content, 2 * 2 * height * width);
        let frames = |clip: usize| self.inner.frames(clip).saturating_sub(apart);
        let clips: Vec<(usize, usize)> = (0..info.clips as usize)
            .map(|clip| (clip, frames(clip)))
            .filter(|(_, frames)| *frames > 0)
            .collect();
        let what =
            format!("optical flow ({}) of {name}, {width}x{height}, {apart} frames apart", self.method);
        store.fill(&what, &clips, false, &*self.progress, |clip| self.compute(clip, size, apart))?;
        let store = Arc::new(store);
        stores.insert((size, apart), Arc::clone(&store));
        Ok(store)
    }

    /// All flows of a clip between frames so far apart, in half precision.
    fn compute(&self, clip: usize, size: FrameSize, apart: usize) -> Result<Vec<Vec<u8>>> {
        let Some(dis) = self.method.dis() else { return Ok(Vec::new()) };
        let picks: Vec<usize> = (0..self.inner.frames(clip)).collect();
        let frames = self.inner.read(clip, &picks, FrameSize { channels: 3, ..size })?;
        let grey = |frame: &[u8]| Gray::from_rgb(size.height, size.width, frame).map_err(|e| self.error(&e));
        let greys = frames.iter().map(grey).collect::<Result<Vec<_>>>()?;
        greys
            .iter()
            .zip(greys.get(apart..).unwrap_or_default())
            .map(|(before, now)| {
                let flow = dis.flow(now, before).map_err(|e| self.error(&e))?;
                Ok(flow.data.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect())
            })
            .collect()
    }

    /// Where flows can be trusted, one `[H, W]` a pair.
    fn confidence(&self, clip: usize, picks: &[usize], size: FrameSize, gap: usize) -> Result<Vec<Vec<f32>>> {
        let rgb = FrameSize { channels: 3, ..size };
        let frames = self.inner.read(clip, picks, rgb)?;
        let table = decode_table(Pixels::Symmetric);
        let planes = |frame: &[u8]| -> Result<Vec<f32>> {
            let mut out = vec![0.0; rgb.bytes()];
            scatter_planes(&Frames::from_bytes(1, rgb, frame.to_vec())?, &table, false, &mut out);
            Ok(out)
        };
        let pictures = frames.iter().map(planes).collect::<Result<Vec<_>>>()?;
        let flows = self.flows(clip, picks, size, gap)?;
        let pairs = pictures.iter().zip(pictures.get(gap..).unwrap_or_default()).zip(&flows);
        pairs
            .map(|((before, now), flow)| {
                let picture = |planes| Picture::new(3, size.height, size.width, planes);
                picture(now)
                    .and_then(|now| vg_flow::confidence(&now, &picture(before)?, flow, CONFIDENCE_LIMIT))
                    .map_err(|e| self.error(&e))
            })
            .collect()
    }

    fn error(&self, error: &vg_flow::FlowError) -> Error {
        Error::Data(format!("optical flow of {}: {error}", self.inner.info().name))
    }
}

impl Dataset for WithFlow {
    fn info(&self) -> &SourceInfo {
        self.inner.info()
    }
    fn frames(&self, clip: usize) -> usize {
        self.inner.frames(clip)
    }
    fn label(&self, clip: usize, group: &str) -> Option<u32> {
        self.inner.label(clip, group)
    }
    fn read(&self, clip: usize, picks: &[usize], size: FrameSize) -> Result<Frames> {
        self.inner.read(clip, picks, size)
    }
    fn has_map(&self, kind: MapKind) -> bool {
        matches!(kind, MapKind::Flow(_) | MapKind::Confidence(_)) || self.inner.has_map(kind)
    }
    fn read_maps(
        &self,
        clip: usize,
        picks: &[usize],
        size: FrameSize,
        kinds: &[MapKind],
    ) -> Result<Vec<Map>> {
        // Bounds are checked once for all kinds.
        crate::procedural::check_picks(self.info(), self.frames(clip), clip, picks)?;
        let own: Vec<MapKind> = kinds.iter().copied().filter(|kind| kind.gap() == 0).collect();
        let mut rest =
            if own.is_empty() { Vec::new() } else { self.inner.read_maps(clip, picks, size, &own)? }
                .into_iter();
        let missing = || Error::Data(format!("{}: a condition map is missing", self.info().name));
        let read = |kind: &MapKind| match *kind {
            MapKind::Flow(gap) => {
                let flows = self.flows(clip, picks, size, gap)?;
                let frames: Vec<Vec<f32>> = flows.into_iter().map(|flow| flow.data).collect();
                Map::of_frames(2, size, &frames)
            }
            MapKind::Confidence(gap) => Map::of_frames(1, size, &self.confidence(clip, picks, size, gap)?),
            _ => rest.next().ok_or_else(missing),
        };
        kinds.iter().map(read).collect()
    }
    fn start(&self) -> Start {
        self.inner.start()
    }
    fn endless(&self) -> bool {
        self.inner.endless()
    }
    fn turns(&self, clip: usize) -> Vec<usize> {
        self.inner.turns(clip)
    }
    fn hierarchy(&self) -> Option<&Hierarchy> {
        self.inner.hierarchy()
    }
    fn report(&self) -> &Report {
        self.inner.report()
    }
}
