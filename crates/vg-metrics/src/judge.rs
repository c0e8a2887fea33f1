//! From a metric's name and clips to its value.

mod intake;
mod pass;
mod stored;

use std::path::Path;

use self::intake::Side;
use self::pass::Pass;
pub use self::stored::RealStore;
use crate::error::{Error, Result};
use crate::extract::FeatureNetwork;
use crate::pixels::Clip;
use crate::protocol::{Input, Protocol};
use crate::registry::protocol;
use crate::result::Measurement;

/// Most pairs of clips that `diversity` and `ms-ssim` look at.
const MOST_PAIRS: usize = 10_000;

/// A metric that is ready to measure: its protocol, its network opened once, and the seed of its random choices. [`Panel`] measures
/// several metrics in one pass.
///
/// Clips come one by one and are let go as soon as they are looked at; `diversity` and `ms-ssim` alone keep them. The i-th clips of both
/// sides have their random frames at the same places, so that a set has distance 0 from itself.
///
/// ```
/// use vg_metrics::{Clip, Judge};
///
/// let clip = |k: u8| Clip::new(format!("clip {k}"), vec![10 * k; 4 * 16 * 16 * 3], [4, 16, 16, 3]);
/// let psnr = Judge::open("psnr", "data/cache/networks")?; // no network, so the folder may be absent
/// let result = psnr.compare((0..8).map(clip), (1..9).map(clip))?;
/// assert!((result.value.unwrap() - 20.0 * 25.5f64.log10()).abs() < 1e-9);
/// assert_eq!((result.num_real, result.num_fake, result.clip), (8, 8, [4, 16, 16]));
///
/// let frozen = Judge::open("frozen", "data/cache/networks")?.score((0..8).map(clip))?;
/// assert_eq!(frozen.value, Some(1.0));
/// # Ok::<(), vg_metrics::Error>(())
/// ```
#[derive(Debug)]
pub struct Judge {
    protocol: &'static Protocol,
    panel: Panel,
}

impl Judge {
    /// The metric of that name, with weights from a folder, where `cargo xtask download` puts them.
    ///
    /// # Errors
    /// [`vg_core::Error::Unknown`] with the nearest name; as [`FeatureNetwork::open`].
    pub fn open(metric: &str, weights: impl AsRef<Path>) -> Result<Self> {
        let protocol = protocol(metric)?;
        let network = FeatureNetwork::open(protocol, weights)?;
        Ok(Self { protocol, panel: Panel { protocols: vec![protocol], network, seed: 0 } })
    }

    /// The same with another seed than 0.
    pub fn seed(self, seed: u64) -> Self {
        Self { panel: self.panel.seed(seed), ..self }
    }

    /// What is measured.
    pub fn protocol(&self) -> &'static Protocol {
        self.protocol
    }

    /// Measures generated clips against real ones, or predicted clips against the true ones in the same order.
    ///
    /// # Errors
    /// Those of the clips; [`Error::Shape`] with names for clips of another size or length than the first, [`Error::TooFew`] for too few
    /// clips or frames, [`Error::Setting`] for a metric of generated clips alone, [`Error::NotFinite`] for features that overflow.
    pub fn compare(
        &self,
        real: impl IntoIterator<Item = Result<Clip>>,
        fake: impl IntoIterator<Item = Result<Clip>>,
    ) -> Result<Measurement> {
        only(self.panel.compare(real, fake)?)
    }

    /// Measures generated clips alone.
    ///
    /// # Errors
    /// As [`compare`](Self::compare); [`Error::Setting`] for a metric that needs real clips.
    pub fn score(&self, fake: impl IntoIterator<Item = Result<Clip>>) -> Result<Measurement> {
        only(self.panel.score(fake)?)
    }
}

/// The one result of a panel with one metric.
fn only(results: Vec<Measurement>) -> Result<Measurement> {
    results.into_iter().next().ok_or_else(|| Error::setting("metrics", "none", "1 or more"))
}

/// Metrics that look at the same frames of the same clips through the same network: they share one pass, in which each clip is asked for
/// once and its features are computed once. Values are those of each metric alone.
///
/// ```
/// use vg_metrics::{Clip, Panel};
///
/// let clip = |k: u8| Clip::new(format!("clip {k}"), vec![10 * k; 4 * 16 * 16 * 3], [4, 16, 16, 3]);
/// let panels = Panel::open_all(&["psnr", "motion", "ssim-finn"], "data/cache/networks")?;
/// assert_eq!(panels[0].names(), ["psnr", "ssim-finn"]);
/// let results = panels[0].compare((0..8).map(clip), (1..9).map(clip))?;
/// assert_eq!(results[1].metric, "ssim-finn");
/// # Ok::<(), vg_metrics::Error>(())
/// ```
#[derive(Debug)]
pub struct Panel {
    /// At least one.
    protocols: Vec<&'static Protocol>,
    network: Option<FeatureNetwork>,
    seed: u64,
}

impl Panel {
    /// The metrics of these names in as few panels as they need, in the order of their first names; a name given twice counts once. Each
    /// network is opened once.
    ///
    /// # Errors
    /// As [`Judge::open`].
    pub fn open_all(metrics: &[impl AsRef<str>], weights: impl AsRef<Path>) -> Result<Vec<Self>> {
        let protocols = metrics.iter().map(|name| protocol(name.as_ref())).collect::<Result<Vec<_>>>()?;
        let mut panels: Vec<Self> = Vec::new();
        for protocol in protocols {
            if let Some(panel) = panels.iter_mut().find(|panel| shares_pass(panel.protocols[0], protocol)) {
                if !panel.protocols.contains(&protocol) {
                    panel.protocols.push(protocol);
                }
                continue;
            }
            let open = panels.iter().filter_map(|panel| panel.network.as_ref());
            let network = match open.into_iter().find(|network| Some(network.extractor()) == protocol.network)
            {
                Some(network) => Some(network.for_protocol(protocol)?),
                None => FeatureNetwork::open(protocol, &weights)?,
            };
            panels.push(Self { protocols: vec![protocol], network, seed: 0 });
        }
        Ok(panels)
    }

    /// The same with another seed than 0.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The metrics' names, in the order of the results.
    pub fn names(&self) -> Vec<&'static str> {
        self.protocols.iter().map(|p| p.name).collect()
    }

    /// What all of them look at.
    pub fn input(&self) -> Input {
        self.protocols[0].input
    }

    /// Clips of each side that are looked at, where the protocols fix it.
    pub fn clips_taken(&self) -> Option<usize> {
        self.protocols[0].clips_taken()
    }

    /// Checks numbers of clips that are known beforehand, for every metric: [`Protocol::check_counts`].
    ///
    /// # Errors
    /// [`Error::TooFew`].
    pub fn check_counts(&self, real: Option<usize>, fake: usize) -> Result<()> {
        self.protocols.iter().try_for_each(|protocol| protocol.check_counts(real, fake))
    }

    /// All metrics of generated clips against real ones, or of predicted clips against the true ones in the same order.
    ///
    /// # Errors
    /// As [`Judge::compare`].
    pub fn compare(
        &self,
        real: impl IntoIterator<Item = Result<Clip>>,
        fake: impl IntoIterator<Item = Result<Clip>>,
    ) -> Result<Vec<Measurement>> {
        self.compare_with(None, real, fake)
    }

    /// The same with statistics of the real set from a store, where it has them; the real clips are not asked for then. Otherwise they
    /// are put there.
    ///
    /// # Errors
    /// As [`compare`](Self::compare). A store that cannot be written is none: [`RealStore::unkept`] says why.
    pub fn compare_stored(
        &self,
        store: &RealStore,
        real: impl IntoIterator<Item = Result<Clip>>,
        fake: impl IntoIterator<Item = Result<Clip>>,
    ) -> Result<Vec<Measurement>> {
        self.compare_with(Some(store), real, fake)
    }

    fn compare_with(
        &self,
        store: Option<&RealStore>,
        real: impl IntoIterator<Item = Result<Clip>>,
        fake: impl IntoIterator<Item = Result<Clip>>,
    ) -> Result<Vec<Measurement>> {
        if self.input() == Input::OneSet {
            return Err(Error::setting("input of the metric", "two sets", "generated clips alone"));
        }
        let (real, fake) = (real.into_iter(), fake.into_iter());
        self.check_hints(Some(real.size_hint()), fake.size_hint())?;
        let mut pass = Pass::new(self)?;
        if self.input() == Input::Pairs {
            pass.pairs(real, fake)?;
        } else {
            pass.real(store, real)?;
            pass.side(Side::Fake, fake)?;
        }
        pass.results()
    }

    /// All metrics of generated clips alone.
    ///
    /// # Errors
    /// As [`Judge::score`].
    pub fn score(&self, fake: impl IntoIterator<Item = Result<Clip>>) -> Result<Vec<Measurement>> {
        if self.input() != Input::OneSet {
            let expected = format!("real and generated clips for {}", self.names().join(", "));
            return Err(Error::setting("input of the metric", "generated clips alone", expected));
        }
        let fake = fake.into_iter();
        self.check_hints(None, fake.size_hint())?;
        let mut pass = Pass::new(self)?;
        pass.side(Side::Fake, fake)?;
        pass.results()
    }

    fn network(&self) -> Result<&FeatureNetwork> {
        let missing = || Error::setting("network of the metric", "none", "one that gives features");
        self.network.as_ref().ok_or_else(missing)
    }

    /// Refuses iterators that end too early, if they say so, before the first clip is asked for.
    fn check_hints(&self, real: Option<(usize, Option<usize>)>, fake: (usize, Option<usize>)) -> Result<()> {
        let exact = |(least, most)| Some(least) == most;
        if real.is_none_or(exact) && exact(fake) {
            return self.check_counts(real.map(|(count, _)| count), fake.0);
        }
        let sides = [("real", real), ("fake", Some(fake))];
        for (name, most) in sides.into_iter().filter_map(|(name, hint)| Some((name, hint?.1?))) {
            self.protocols.iter().try_for_each(|p| p.check_set(name, most, usize::MAX))?;
        }
        Ok(())
    }
}

/// Whether two metrics look at the same.
fn shares_pass(a: &Protocol, b: &Protocol) -> bool {
    let key = |p: &Protocol| (p.input, p.network, p.resize, p.frames, p.clips_taken());
    key(a) == key(b)
}
