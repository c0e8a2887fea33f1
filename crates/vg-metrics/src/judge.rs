//! From a metric's name and clips to its value.

mod intake;

use std::path::Path;

use self::intake::{Intake, Side};
use crate::acd::average_content_distance;
use crate::bootstrap::Bootstrap;
use crate::error::{Error, Result};
use crate::extract::FeatureNetwork;
use crate::features::Features;
use crate::gaussian::Gaussian;
use crate::inception_score::MeanStd;
use crate::pixels::{Clip, Frames};
use crate::precision_recall::precision_recall;
use crate::protocol::{Input, Measure, Protocol};
use crate::registry::protocol;
use crate::result::Measurement;
use crate::similarity::FiniteMean;
use crate::sliced_wasserstein::SlicedWasserstein;
use crate::{frechet, kernel, sanity};

/// Most pairs of clips that `diversity` and `ms-ssim` look at.
const MOST_PAIRS: usize = 10_000;

/// A metric that is ready to measure: its protocol, its network opened once, and the seed of its random choices.
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
    network: Option<FeatureNetwork>,
    seed: u64,
}

impl Judge {
    /// The metric of that name, with weights from a folder, where `cargo xtask download` puts them.
    ///
    /// # Errors
    /// [`vg_core::Error::Unknown`] with the nearest name; as [`FeatureNetwork::open`].
    pub fn open(metric: &str, weights: impl AsRef<Path>) -> Result<Self> {
        let protocol = protocol(metric)?;
        Ok(Self { protocol, network: FeatureNetwork::open(protocol, weights)?, seed: 0 })
    }

    /// The same with another seed than 0.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// What is measured.
    pub fn protocol(&self) -> &'static Protocol {
        self.protocol
    }

    /// Measures generated clips against real ones, or predicted clips against the true ones in the same order.
    ///
    /// # Errors
    /// Those of the clips; [`Error::Shape`] with names for clips of another size or length than the first, [`Error::TooFew`] for too few
    /// clips or frames, [`Error::Setting`] for a metric of generated clips alone.
    pub fn compare(
        &self,
        real: impl IntoIterator<Item = Result<Clip>>,
        fake: impl IntoIterator<Item = Result<Clip>>,
    ) -> Result<Measurement> {
        let (real, fake) = (real.into_iter(), fake.into_iter());
        let mut intake = Intake::new(self.protocol, self.seed);
        if self.protocol.input != Input::OneSet {
            check_hints(self.protocol, Some(real.size_hint()), fake.size_hint())?;
        }
        let result = match self.protocol.input {
            Input::Pairs => self.pairs(&mut intake, real, fake),
            Input::TwoSets => self.sets(&mut intake, real, fake),
            Input::OneSet => Err(Error::setting("input of the metric", "two sets", "generated clips alone")),
        }?;
        Ok(self.complete(result, &intake))
    }

    /// Measures generated clips alone.
    ///
    /// # Errors
    /// As [`compare`](Self::compare); [`Error::Setting`] for a metric that needs real clips.
    pub fn score(&self, fake: impl IntoIterator<Item = Result<Clip>>) -> Result<Measurement> {
        if self.protocol.input != Input::OneSet {
            let expected = format!("real and generated clips for {}", self.protocol.name);
            return Err(Error::setting("input of the metric", "generated clips alone", expected));
        }
        let fake = fake.into_iter();
        check_hints(self.protocol, None, fake.size_hint())?;
        let mut intake = Intake::new(self.protocol, self.seed);
        let result = self.one(&mut intake, fake)?;
        Ok(self.complete(result, &intake))
    }

    fn complete(&self, result: Measurement, intake: &Intake) -> Measurement {
        Measurement {
            num_real: intake.count(Side::Real),
            num_fake: intake.count(Side::Fake),
            clip: intake.clip(),
            network_sha256: self.network.as_ref().map(|n| n.sha256().to_owned()),
            seed: self.seed,
            ..result
        }
    }

    fn sets(
        &self,
        intake: &mut Intake,
        real: impl IntoIterator<Item = Result<Clip>>,
        fake: impl IntoIterator<Item = Result<Clip>>,
    ) -> Result<Measurement> {
        let new = |value| Measurement::new(self.protocol, value);
        match self.protocol.measure {
            Measure::Frechet(divisor) => {
                let real = self.gaussian(intake, Side::Real, real)?;
                let fake = self.gaussian(intake, Side::Fake, fake)?;
                Ok(new(frechet::distance(&real, &fake, divisor)?.value()))
            }
            Measure::SlicedWasserstein => {
                let plan = SlicedWasserstein::progan(self.seed);
                let mut images = |side: Side, clips| {
                    let mut set = None;
                    intake.each(side, clips, |clip| {
                        let image = clip.image(0, 255.0);
                        let set = match &mut set {
                            Some(set) => set,
                            None => set.insert(plan.images(side.what(), image.dims())?),
                        };
                        set.push(&image)
                    })?;
                    set.ok_or_else(|| too_few(side))
                };
                let real = images(Side::Real, boxed(real))?;
                let fake = images(Side::Fake, boxed(fake))?;
                let levels = plan.distance(&real, &fake)?;
                Ok(Measurement { parts: levels.levels.clone(), ..new(levels.mean()) })
            }
            measure => {
                let real = self.features(intake, Side::Real, real)?;
                let fake = self.features(intake, Side::Fake, fake)?;
                self.of_features(measure, &real, &fake)
            }
        }
    }

    /// Metrics that need all feature vectors of two sets.
    fn of_features(&self, measure: Measure, real: &Features, fake: &Features) -> Result<Measurement> {
        let new = |value| Measurement::new(self.protocol, value);
        match measure {
            Measure::Kernel(estimator) => Ok(new(kernel::discrepancy(real, fake, estimator)?)),
            Measure::KernelSubsets { count, size } => {
                let subsets = kernel::over_subsets(real, fake, count, size, self.seed)?;
                Ok(Measurement { std: Some(subsets.std()), ..new(subsets.mean()) })
            }
            Measure::Precision(k) => Ok(new(precision_recall(real, fake, k)?.precision)),
            Measure::Recall(k) => Ok(new(precision_recall(real, fake, k)?.recall)),
            other => Err(unexpected(other)),
        }
    }

    fn pairs(
        &self,
        intake: &mut Intake,
        truth: impl IntoIterator<Item = Result<Clip>>,
        predicted: impl IntoIterator<Item = Result<Clip>>,
    ) -> Result<Measurement> {
        let (mut truth, mut predicted) = (truth.into_iter(), predicted.into_iter());
        let mut values = Vec::new();
        loop {
            let (a, b) = match (truth.next().transpose()?, predicted.next().transpose()?) {
                (Some(a), Some(b)) => (a, b),
                (None, None) => break,
                (a, _) => {
                    let clips = values.len();
                    let (longer, shorter) = match a {
                        Some(_) => (Side::Real, Side::Fake),
                        None => (Side::Fake, Side::Real),
                    };
                    let what = format!(
                        "{}: clips of {} for those of {}",
                        self.protocol.name,
                        shorter.what(),
                        longer.what()
                    );
                    return Err(Error::TooFew { what, got: clips, needed: clips + 1 });
                }
            };
            let (a, b) = (intake.take(Side::Real, a)?, intake.take(Side::Fake, b)?);
            values.push(self.of_pair(&a.frames(), &b.frames())?);
        }
        intake.check()?;
        let all = FiniteMean::of(values.iter().flatten().copied());
        let clips: Vec<f64> = values.into_iter().filter_map(|v: Vec<f64>| FiniteMean::of(v).mean).collect();
        let result = Measurement::new(self.protocol, all.mean.unwrap_or(f64::INFINITY));
        Ok(Measurement { infinite: all.infinite, ..self.with_interval(result, &clips)? })
    }

    /// One value a frame.
    fn of_pair(&self, truth: &Frames<'_>, predicted: &Frames<'_>) -> Result<Vec<f64>> {
        match self.protocol.measure {
            Measure::Psnr(psnr) => psnr.of_clips(truth, predicted),
            Measure::Ssim(ssim) => ssim.of_clips(truth, predicted),
            Measure::Perceptual => self.network()?.distances(truth, predicted),
            other => Err(unexpected(other)),
        }
    }

    fn one(&self, intake: &mut Intake, clips: impl IntoIterator<Item = Result<Clip>>) -> Result<Measurement> {
        let new = |value| Measurement::new(self.protocol, value);
        match self.protocol.measure {
            Measure::InceptionScore { rule, runs } => {
                let rows = self.features(intake, Side::Fake, clips)?;
                let per_run = rows.len() / runs.max(1);
                let run = |i: usize| {
                    let indices: Vec<usize> = (i * per_run..(i + 1) * per_run).collect();
                    rule.value(&rows.select(&indices))
                };
                let scores = (0..runs).map(run).collect::<Result<Vec<_>>>()?;
                let means: Vec<f64> = scores.iter().map(|s| s.mean).collect();
                let over_runs = MeanStd::of(&means);
                let std = if runs == 1 { scores[0].std } else { over_runs.std };
                Ok(Measurement { std: Some(std), parts: means, ..new(over_runs.mean) })
            }
            Measure::Diversity | Measure::MsSsim => {
                let mut kept = Vec::new();
                intake.each_owned(Side::Fake, clips, |clip| {
                    kept.push(clip);
                    Ok(())
                })?;
                let views: Vec<Frames<'_>> = kept.iter().map(Clip::frames).collect();
                let value = match self.protocol.measure {
                    Measure::Diversity => sanity::diversity(&views, MOST_PAIRS, self.seed)?,
                    _ => sanity::pairwise_ms_ssim(&views, MOST_PAIRS, self.seed)?,
                };
                Ok(new(value))
            }
            _ => {
                let mut values = Vec::new();
                intake.each(Side::Fake, clips, |clip| {
                    values.push(self.of_clip(clip)?);
                    Ok(())
                })?;
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                self.with_interval(new(mean), &values)
            }
        }
    }

    /// Metrics that are means over clips.
    fn of_clip(&self, clip: &Frames<'_>) -> Result<f64> {
        match self.protocol.measure {
            Measure::AcdColour(colour) => colour.distance(clip),
            Measure::AcdEmbedding => {
                let network = self.network()?;
                let rows = network.features(clip)?;
                average_content_distance(&Features::from_rows(clip.name(), network.dim(), &rows)?)
            }
            Measure::Frozen => sanity::frozen_ratio(clip),
            Measure::Motion => sanity::motion_energy(clip),
            other => Err(unexpected(other)),
        }
    }

    fn gaussian(
        &self,
        intake: &mut Intake,
        side: Side,
        clips: impl IntoIterator<Item = Result<Clip>>,
    ) -> Result<Gaussian> {
        let network = self.network()?;
        let mut gaussian = Gaussian::new(side.what(), network.dim())?;
        intake.each(side, clips, |clip| gaussian.push(&network.features(clip)?))?;
        Ok(gaussian)
    }

    fn features(
        &self,
        intake: &mut Intake,
        side: Side,
        clips: impl IntoIterator<Item = Result<Clip>>,
    ) -> Result<Features> {
        let network = self.network()?;
        let mut features = Features::new(side.what(), network.dim())?;
        intake.each(side, clips, |clip| features.push(&network.features(clip)?))?;
        Ok(features)
    }

    fn network(&self) -> Result<&FeatureNetwork> {
        let missing = || Error::setting("network of the metric", "none", "one that gives features");
        self.network.as_ref().ok_or_else(missing)
    }

    /// With the interval of a mean over clips, where there are at least two.
    fn with_interval(&self, result: Measurement, clips: &[f64]) -> Result<Measurement> {
        if clips.len() < 2 {
            return Ok(result);
        }
        Ok(Measurement { interval: Some(Bootstrap::new(self.seed).of_mean(clips)?), ..result })
    }
}

/// Refuses iterators that end too early, if they say so, before the first clip is asked for.
fn check_hints(
    protocol: &Protocol,
    real: Option<(usize, Option<usize>)>,
    fake: (usize, Option<usize>),
) -> Result<()> {
    let exact = |(least, most)| Some(least) == most;
    if real.is_none_or(exact) && exact(fake) {
        return protocol.check_counts(real.map(|(count, _)| count), fake.0);
    }
    let sides = [("real", real), ("fake", Some(fake))];
    for (name, most) in sides.into_iter().filter_map(|(name, hint)| Some((name, hint?.1?))) {
        protocol.check_set(name, most, usize::MAX)?;
    }
    Ok(())
}

/// One type for the iterators of both sides.
fn boxed<'a>(
    clips: impl IntoIterator<Item = Result<Clip>> + 'a,
) -> Box<dyn Iterator<Item = Result<Clip>> + 'a> {
    Box::new(clips.into_iter())
}

fn too_few(side: Side) -> Error {
    Error::TooFew { what: side.what().to_owned(), got: 0, needed: 1 }
}

/// A registry entry whose measure does not fit its input.
fn unexpected(measure: Measure) -> Error {
    Error::setting("measure of the metric", format!("{measure:?}"), "one that fits the metric's input")
}
