//! A data set of files, decoded into caches.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::UNIX_EPOCH,
};

use sha2::{Digest, Sha256};
use vg_core::{Error, Result, SourceInfo};

use super::{Config, Recipe, VERSION, average::average, build::build, store::Store};
use crate::{
    dataset::{Dataset, Report, Skipped, Start},
    decode::{Fit, Origin},
    frames::{FrameSize, Frames},
};

/// Clips that were files; a cache is built for every frame size that is asked for.
pub(crate) struct Stored {
    info: SourceInfo,
    recipe: Recipe,
    config: Config,
    /// Index into the recipe's items and number of frames, by clip.
    clips: Vec<(usize, usize)>,
    report: Report,
    stores: Mutex<Stores>,
}

type Stores = HashMap<Form, Arc<Store>>;

/// What the frames of a store are: of a size, each pixel the mean of `averaged x averaged`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Form {
    pub size: FrameSize,
    pub averaged: usize,
}

impl Form {
    /// Frames that are decoded to their size.
    fn decoded(size: FrameSize) -> Self {
        Self { size, averaged: 1 }
    }
}

impl Stored {
    pub(super) fn open(recipe: Recipe, size: FrameSize, config: Config) -> Result<Self> {
        let store = Arc::new(open_or_build(&recipe, size, &config)?);
        let clips = store.clips().iter().map(|clip| (clip.item, clip.frames)).collect();
        let mut report = Report { skipped: recipe.skipped.clone(), short: store.short().to_vec() };
        report.skipped.extend_from_slice(store.skipped());
        if recipe.fill_classes {
            check_classes(&recipe, &store, &report)?;
        }
        let info = SourceInfo {
            name: recipe.name.clone(),
            clips: store.clips().len() as u64,
            classes: recipe.groups.iter().map(|g| (g.name.clone(), g.classes.clone())).collect(),
            fingerprint: fingerprint(&recipe, &store),
        };
        let stores = Mutex::new(HashMap::from([(Form::decoded(size), store)]));
        Ok(Self { info, recipe, config, clips, report, stores })
    }

    pub(super) fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Whether a broken file is an error.
    pub(super) fn strict(&self) -> bool {
        self.config.strict
    }

    /// Index of a clip's file among the items of the recipe.
    pub(super) fn item(&self, clip: usize) -> usize {
        self.clips[clip].0
    }

    fn store(&self, form: Form) -> Result<Arc<Store>> {
        self.made(&mut lock(&self.stores), form)
    }

    fn made(&self, stores: &mut Stores, form: Form) -> Result<Arc<Store>> {
        if let Some(store) = stores.get(&form) {
            return Ok(Arc::clone(store));
        }
        let store = match form.averaged {
            1 => open_or_build(&self.recipe, form.size, &self.config)?,
            _ => self.averaged(stores, form)?,
        };
        if !store.clips().iter().map(|clip| (clip.item, clip.frames)).eq(self.clips.iter().copied()) {
            return Err(Error::Data(format!(
                "{}: the files have changed since the data set was opened; start again",
                self.info.name
            )));
        }
        let store = Arc::new(store);
        stores.insert(form, Arc::clone(&store));
        Ok(store)
    }

    /// Opens a store of averages, or makes it from the one of whole frames, which is built again when it is damaged.
    fn averaged(&self, stores: &mut Stores, form: Form) -> Result<Store> {
        let (key, folder) = place(&self.recipe, form, &self.config)?;
        if let Ok(store) = Store::open(&folder, &key, form.size) {
            return Ok(store);
        }
        let whole = Form::decoded(form.size.enlarged(form.averaged));
        let make = |store: &Store| average(store, &key, form, &self.config.folder, &folder);
        let store = self.made(stores, whole)?;
        match make(&store) {
            Err(Error::Format { problem, .. }) => {
                self.config.progress.message(&format!("{problem}; it is built again"));
                self.forget(stores, whole)?;
                make(&*self.made(stores, whole)?)?;
            }
            other => other?,
        }
        Store::open(&folder, &key, form.size)
    }

    /// Forgets a damaged store and its folder, so that the next call builds it again.
    fn discard(&self, form: Form, damaged: &Arc<Store>) -> Result<()> {
        let mut stores = lock(&self.stores);
        // Another thread may have replaced it already.
        if stores.get(&form).is_some_and(|store| Arc::ptr_eq(store, damaged)) {
            self.forget(&mut stores, form)?;
        }
        Ok(())
    }

    fn forget(&self, stores: &mut Stores, form: Form) -> Result<()> {
        stores.remove(&form);
        let (_, folder) = place(&self.recipe, form, &self.config)?;
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(Error::io("removing the damaged cache", &folder))?;
        }
        Ok(())
    }

    fn pick(&self, store: &Store, clip: usize, picks: &[usize], size: FrameSize) -> Result<Frames> {
        let bytes = store.clip(clip)?;
        let frame = size.bytes();
        let data = picks.iter().flat_map(|pick| &bytes[pick * frame..(pick + 1) * frame]).copied().collect();
        Frames::from_bytes(picks.len(), size, data)
    }
}

impl Dataset for Stored {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn frames(&self, clip: usize) -> usize {
        self.clips.get(clip).map_or(0, |(_, frames)| *frames)
    }

    fn label(&self, clip: usize, group: &str) -> Option<u32> {
        let group = self.recipe.groups.iter().position(|g| g.name == group)?;
        self.recipe.items[self.clips.get(clip)?.0].labels.get(group).copied()
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
        let form = Form { size, averaged };
        let store = self.store(form)?;
        match self.pick(&store, clip, picks, size) {
            Err(Error::Format { problem, .. }) => {
                self.config.progress.message(&format!("{problem}; it is built again"));
                self.discard(form, &store)?;
                self.pick(&*self.store(form)?, clip, picks, size)
            }
            other => other,
        }
    }

    fn start(&self) -> Start {
        self.recipe.start
    }

    fn report(&self) -> &Report {
        &self.report
    }
}

fn open_or_build(recipe: &Recipe, size: FrameSize, config: &Config) -> Result<Store> {
    if size.bytes() == 0 || ![1, 3].contains(&size.channels) {
        return Err(Error::Data(format!("{}: frames of {size} cannot be made", recipe.name)));
    }
    let (key, folder) = place(recipe, Form::decoded(size), config)?;
    match Store::open(&folder, &key, size) {
        Ok(store) => {
            // A strict reader must not take over what a lenient one left out.
            match store.skipped().first() {
                Some(skipped) if config.strict => Err(Error::format(&skipped.name, skipped.problem.clone())),
                _ => Ok(store),
            }
        }
        Err(error) => {
            if folder.exists() {
                config.progress.message(&format!("{error}; the cache is built again"));
            }
            build(recipe, &key, size, config, &folder)?;
            Store::open(&folder, &key, size)
        }
    }
}

/// Refuses a class of which nothing is left.
fn check_classes(recipe: &Recipe, store: &Store, report: &Report) -> Result<()> {
    let Some(group) = recipe.groups.first() else { return Ok(()) };
    let label = |item: usize| recipe.items[item].labels.first().map(|label| *label as usize);
    let filled: HashSet<Option<usize>> = store.clips().iter().map(|clip| label(clip.item)).collect();
    let Some(empty) = (0..group.classes.len()).find(|class| !filled.contains(&Some(*class))) else {
        return Ok(());
    };
    let class = &group.classes[empty];
    let below = |s: &&Skipped| s.name.starts_with(&format!("{class}/"));
    let first = report.skipped.iter().chain(&report.short).find(below);
    let reason = first.map_or(String::new(), |s| format!(" ({}: {})", s.name, s.problem));
    Err(Error::Data(format!(
        "{}: class {class:?} is empty, all its files were left out{reason}; remove the folder or mend its files",
        recipe.name
    )))
}

/// Key and folder of a cache.
fn place(recipe: &Recipe, form: Form, config: &Config) -> Result<(String, PathBuf)> {
    let Form { size, averaged } = form;
    let mut hash = Sha256::new();
    let Recipe { name, split, keep_every, min_frames, .. } = recipe;
    hash.update(format!("{VERSION}\n{name}\n{split}\n{keep_every}\n{size}\n"));
    if let Some(Origin::Strip(_, length)) = recipe.items.first().map(|item| &item.origin) {
        hash.update(format!("strips {length:?} {min_frames}\n"));
    }
    if recipe.fit == Fit::Stretch {
        hash.update("stretched\n");
    }
    if averaged > 1 {
        hash.update(format!("averaged {averaged}\n"));
    }
    for path in recipe.items.iter().flat_map(|item| item.origin.files()) {
        let meta = path.metadata().map_err(Error::io("reading", path))?;
        let changed =
            meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        hash.update(format!("{}\n{} {}\n", path.display(), meta.len(), changed.as_nanos()));
    }
    let key = format!("{:x}", hash.finalize());
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let short: String = plain.chars().rev().take(40).collect::<Vec<_>>().into_iter().rev().collect();
    let folder = config.folder.join(format!("{}-{split}-{size}-{}", short.trim_matches('-'), &key[..16]));
    Ok((key, folder))
}

/// Of what the clips are, whatever the size, the place and the time of change of the files.
fn fingerprint(recipe: &Recipe, store: &Store) -> String {
    let mut hash = Sha256::new();
    for clip in store.clips() {
        let item = &recipe.items[clip.item];
        hash.update(format!("{}\n{:?} {} {}\n", item.name, item.labels, clip.frames, clip.source));
    }
    let mut digits = format!("{:x}", hash.finalize());
    digits.truncate(16);
    format!("{}-1/{}/{digits}", recipe.name.split(':').next().unwrap_or_default(), recipe.split)
}

fn lock(stores: &Mutex<Stores>) -> MutexGuard<'_, Stores> {
    stores.lock().unwrap_or_else(PoisonError::into_inner)
}
