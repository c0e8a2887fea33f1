//! One pass over clips for all metrics that look at the same thing.

use super::intake::{Intake, Side};
use super::stored::{Known, Numbers, RealStore};
use super::{MOST_PAIRS, Panel};
use crate::acd::average_content_distance;
use crate::bootstrap::{Bootstrap, Interval};
use crate::error::{Error, Result};
use crate::features::Features;
use crate::gaussian::Gaussian;
use crate::inception_score::MeanStd;
use crate::pixels::{Clip, Frames};
use crate::precision_recall::precision_recall;
use crate::protocol::{Measure, Protocol};
use crate::result::Measurement;
use crate::similarity::FiniteMean;
use crate::sliced_wasserstein::{PatchedImages, SlicedWasserstein};
use crate::{frechet, kernel, sanity};

/// What the metrics of a panel remember of the clips that they saw: no more than one of them asks for.
pub(super) struct Pass<'a> {
    panel: &'a Panel,
    intake: Intake<'a>,
    /// For Fréchet distances, real and generated.
    gaussians: Option<[Gaussian; 2]>,
    /// For what needs all feature vectors.
    features: Option<[Features; 2]>,
    /// For the sliced Wasserstein distance.
    images: [Option<PatchedImages>; 2],
    /// For pairs of generated clips.
    clips: Vec<Clip>,
    /// For means: of each metric and clip the values, one for each frame or one in all.
    values: Vec<Vec<Vec<f64>>>,
}

/// Kinds of statistics in a store.
const GAUSSIAN: &str = "gaussian";
const FEATURES: &str = "features";

/// What a metric needs to remember.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Gaussian,
    Features,
    Images,
    Clips,
    Values,
}

impl Need {
    fn of(measure: Measure) -> Self {
        match measure {
            Measure::Frechet(_) => Self::Gaussian,
            Measure::Kernel(_)
            | Measure::KernelSubsets { .. }
            | Measure::InceptionScore { .. }
            | Measure::Precision(_)
            | Measure::Recall(_) => Self::Features,
            Measure::SlicedWasserstein => Self::Images,
            Measure::MsSsim | Measure::Diversity => Self::Clips,
            Measure::Psnr(_)
            | Measure::Ssim(_)
            | Measure::Perceptual
            | Measure::AcdColour(_)
            | Measure::AcdEmbedding
            | Measure::Frozen
            | Measure::Motion => Self::Values,
        }
    }
}

impl<'a> Pass<'a> {
    pub(super) fn new(panel: &'a Panel) -> Result<Self> {
        let mut pass = Self {
            panel,
            intake: Intake::new(&panel.protocols, panel.seed),
            gaussians: None,
            features: None,
            images: [None, None],
            clips: Vec::new(),
            values: vec![Vec::new(); panel.protocols.len()],
        };
        let sides = [Side::Real, Side::Fake].map(Side::what);
        if pass.needs(Need::Gaussian) {
            let dim = panel.network()?.dim();
            pass.gaussians = Some([Gaussian::new(sides[0], dim)?, Gaussian::new(sides[1], dim)?]);
        }
        if pass.needs(Need::Features) {
            let dim = panel.network()?.dim();
            pass.features = Some([Features::new(sides[0], dim)?, Features::new(sides[1], dim)?]);
        }
        Ok(pass)
    }

    fn needs(&self, need: Need) -> bool {
        self.panel.protocols.iter().any(|p| Need::of(p.measure) == need)
    }

    /// Looks at the clips of a side, and checks that there were enough. No more are asked for than the protocols take.
    pub(super) fn side(&mut self, side: Side, clips: impl Iterator<Item = Result<Clip>>) -> Result<()> {
        for clip in clips.take(self.intake.most()) {
            let clip = self.intake.take(side, clip?)?;
            self.see(side, &clip.frames())?;
            if self.needs(Need::Clips) {
                self.clips.push(clip);
            }
        }
        self.intake.check(side)
    }

    /// The real side, from the store where it has it.
    pub(super) fn real(
        &mut self,
        store: Option<&RealStore>,
        clips: impl Iterator<Item = Result<Clip>>,
    ) -> Result<()> {
        let kind = if self.needs(Need::Features) { FEATURES } else { GAUSSIAN };
        let statistics = |p: &Protocol| matches!(Need::of(p.measure), Need::Gaussian | Need::Features);
        let Some(store) = store.filter(|_| self.panel.protocols.iter().all(|p| statistics(p))) else {
            return self.side(Side::Real, clips);
        };
        let known = store.read(self.panel, kind).or_else(|| store.read(self.panel, FEATURES));
        if let Some(known) = known {
            return self.resume(known);
        }
        self.side(Side::Real, clips)?;
        let numbers = match (&self.features, &self.gaussians) {
            (Some([real, _]), _) => Numbers::Features(real.clone()),
            (None, Some([real, _])) => Numbers::Gaussian(real.clone()),
            (None, None) => return Ok(()),
        };
        if let Some(dims) = self.intake.dims() {
            store.keep(self.panel, kind, &Known { clips: self.intake.count(Side::Real), dims, numbers });
        }
        Ok(())
    }

    fn resume(&mut self, known: Known) -> Result<()> {
        self.intake.resume(Side::Real, known.clips, known.dims)?;
        if let Some([real, _]) = &mut self.gaussians {
            *real = match &known.numbers {
                Numbers::Gaussian(gaussian) => gaussian.clone(),
                Numbers::Features(features) => Gaussian::of(features),
            };
        }
        if let (Some([real, _]), Numbers::Features(features)) = (&mut self.features, known.numbers) {
            *real = features;
        }
        self.intake.check(Side::Real)
    }

    fn see(&mut self, side: Side, clip: &Frames<'_>) -> Result<()> {
        let embeds = self.panel.protocols.iter().any(|p| p.measure == Measure::AcdEmbedding);
        let mut rows = Vec::new();
        if embeds || self.gaussians.is_some() || self.features.is_some() {
            rows = self.panel.network()?.features(clip)?;
        }
        if let Some(sides) = &mut self.gaussians {
            sides[side as usize].push(&rows)?;
        }
        if let Some(sides) = &mut self.features {
            sides[side as usize].push(&rows)?;
        }
        if self.needs(Need::Images) {
            let image = clip.image(0, 255.0);
            let slices = self.slices();
            let set = match &mut self.images[side as usize] {
                Some(set) => set,
                none => none.insert(slices.images(side.what(), image.dims())?),
            };
            set.push(&image)?;
        }
        for (protocol, values) in self.panel.protocols.iter().zip(&mut self.values) {
            if Need::of(protocol.measure) == Need::Values {
                values.push(vec![self.panel.of_clip(protocol, clip, &rows)?]);
            }
        }
        Ok(())
    }

    fn slices(&self) -> SlicedWasserstein {
        SlicedWasserstein::progan(self.panel.seed)
    }

    /// Looks at true and predicted clips, one to one.
    pub(super) fn pairs(
        &mut self,
        mut truth: impl Iterator<Item = Result<Clip>>,
        mut predicted: impl Iterator<Item = Result<Clip>>,
    ) -> Result<()> {
        for pair in 0.. {
            let (a, b) = match (truth.next().transpose()?, predicted.next().transpose()?) {
                (Some(a), Some(b)) => (a, b),
                (None, None) => break,
                (a, _) => {
                    let [real, fake] = if a.is_some() { [pair + 1, pair] } else { [pair, pair + 1] };
                    return self.panel.check_counts(Some(real), fake);
                }
            };
            let (a, b) = (self.intake.take(Side::Real, a)?, self.intake.take(Side::Fake, b)?);
            for (protocol, values) in self.panel.protocols.iter().zip(&mut self.values) {
                values.push(self.panel.of_pair(protocol, &a.frames(), &b.frames())?);
            }
        }
        self.intake.check(Side::Real)?;
        self.intake.check(Side::Fake)
    }

    /// The result of each metric, in the panel's order.
    pub(super) fn results(&self) -> Result<Vec<Measurement>> {
        let protocols = self.panel.protocols.iter().zip(&self.values);
        protocols.map(|(protocol, values)| Ok(self.complete(self.result(protocol, values)?))).collect()
    }

    fn complete(&self, result: Measurement) -> Measurement {
        Measurement {
            num_real: self.intake.count(Side::Real),
            num_fake: self.intake.count(Side::Fake),
            clip: self.intake.clip(),
            network_sha256: self.panel.network.as_ref().map(|n| n.sha256().to_owned()),
            seed: self.panel.seed,
            ..result
        }
    }

    fn result(&self, protocol: &Protocol, values: &[Vec<f64>]) -> Result<Measurement> {
        let new = |value| Measurement::new(protocol, value);
        match protocol.measure {
            Measure::Frechet(divisor) => {
                let [real, fake] = self.gaussians.as_ref().ok_or_else(|| unexpected(protocol))?;
                Ok(new(frechet::distance(real, fake, divisor)?.value()))
            }
            Measure::SlicedWasserstein => {
                let [Some(real), Some(fake)] = &self.images else { return Err(unexpected(protocol)) };
                let levels = self.slices().distance(real, fake)?;
                Ok(Measurement { parts: levels.levels.clone(), ..new(levels.mean()) })
            }
            Measure::Diversity | Measure::MsSsim => {
                let views: Vec<Frames<'_>> = self.clips.iter().map(Clip::frames).collect();
                let seed = self.panel.seed;
                Ok(new(match protocol.measure {
                    Measure::Diversity => sanity::diversity(&views, MOST_PAIRS, seed)?,
                    _ => sanity::pairwise_ms_ssim(&views, MOST_PAIRS, seed)?,
                }))
            }
            measure if Need::of(measure) == Need::Values => self.mean(protocol, values),
            _ => self.of_features(protocol),
        }
    }

    /// Metrics that need all feature vectors.
    fn of_features(&self, protocol: &Protocol) -> Result<Measurement> {
        let [real, fake] = self.features.as_ref().ok_or_else(|| unexpected(protocol))?;
        let new = |value| Measurement::new(protocol, value);
        match protocol.measure {
            Measure::Kernel(estimator) => Ok(new(kernel::discrepancy(real, fake, estimator)?)),
            Measure::KernelSubsets { count, size } => {
                let subsets = kernel::over_subsets(real, fake, count, size, self.panel.seed)?;
                Ok(Measurement { std: Some(subsets.std()), ..new(subsets.mean()) })
            }
            Measure::Precision(k) => Ok(new(precision_recall(real, fake, k)?.precision)),
            Measure::Recall(k) => Ok(new(precision_recall(real, fake, k)?.recall)),
            Measure::InceptionScore { rule, runs } => {
                let per_run = fake.len() / runs.max(1);
                let run = |i: usize| {
                    let indices: Vec<usize> = (i * per_run..(i + 1) * per_run).collect();
                    rule.value(&fake.select(&indices))
                };
                let scores = (0..runs).map(run).collect::<Result<Vec<_>>>()?;
                let means: Vec<f64> = scores.iter().map(|s| s.mean).collect();
                let over_runs = MeanStd::of(&means);
                let std = if runs == 1 { scores[0].std } else { over_runs.std };
                Ok(Measurement { std: Some(std), parts: means, ..new(over_runs.mean) })
            }
            _ => Err(unexpected(protocol)),
        }
    }

    /// The mean of all finite values, with its interval over clips.
    fn mean(&self, protocol: &Protocol, clips: &[Vec<f64>]) -> Result<Measurement> {
        let all = FiniteMean::of(clips.iter().flatten().copied());
        let result = Measurement::new(protocol, all.mean.unwrap_or(f64::INFINITY));
        Ok(Measurement { infinite: all.infinite, interval: interval(clips, self.panel.seed)?, ..result })
    }
}

/// The interval of the mean of all finite values when clips are drawn again, where at least two clips have such values. As in the mean
/// itself, a clip counts by their number.
fn interval(clips: &[Vec<f64>], seed: u64) -> Result<Option<Interval>> {
    let sum = |clip: &Vec<f64>| {
        let mean = FiniteMean::of(clip.iter().copied());
        Some((mean.mean? * mean.finite as f64, mean.finite as f64))
    };
    let sums: Vec<(f64, f64)> = clips.iter().filter_map(sum).collect();
    if sums.len() < 2 {
        return Ok(None);
    }
    let drawn = |indices: &[usize]| {
        let (sum, count) = indices.iter().fold((0.0, 0.0), |(s, n), i| (s + sums[*i].0, n + sums[*i].1));
        Ok(sum / count)
    };
    Bootstrap::new(seed).interval(sums.len(), drawn).map(Some)
}

impl Panel {
    /// A metric that is a mean over clips; `rows` are the clip's feature vectors, where the metric looks at them.
    fn of_clip(&self, protocol: &Protocol, clip: &Frames<'_>, rows: &[f32]) -> Result<f64> {
        match protocol.measure {
            Measure::AcdColour(colour) => colour.distance(clip),
            Measure::AcdEmbedding => {
                average_content_distance(&Features::from_rows(clip.name(), self.network()?.dim(), rows)?)
            }
            Measure::Frozen => sanity::frozen_ratio(clip),
            Measure::Motion => sanity::motion_energy(clip),
            _ => Err(unexpected(protocol)),
        }
    }

    /// One value a frame.
    fn of_pair(&self, protocol: &Protocol, truth: &Frames<'_>, predicted: &Frames<'_>) -> Result<Vec<f64>> {
        match protocol.measure {
            Measure::Psnr(psnr) => psnr.of_clips(truth, predicted),
            Measure::Ssim(ssim) => ssim.of_clips(truth, predicted),
            Measure::Perceptual => self.network()?.distances(truth, predicted),
            _ => Err(unexpected(protocol)),
        }
    }
}

/// A registry entry whose measure does not fit its input.
fn unexpected(protocol: &Protocol) -> Error {
    let measure = format!("{:?}", protocol.measure);
    Error::setting("measure of the metric", measure, "one that fits the metric's input")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_count_by_their_finite_frames() {
        // Of the first clip nine frames have 10 dB, of the second one frame 30 dB and the others are equal.
        let mut second = vec![f64::INFINITY; 8];
        second.push(30.0);
        let clips = [vec![10.0; 9], second];
        let got = interval(&clips, 0).unwrap().unwrap();
        // The mean is 12, that of two equal clips 10 or 30.
        assert_eq!((got.low, got.high), (10.0, 30.0));
        // Of many such pairs it lies around 12, and not around 20, the mean of the clips' means.
        let many: Vec<Vec<f64>> = (0..40).flat_map(|_| clips.clone()).collect();
        let got = interval(&many, 0).unwrap().unwrap();
        assert!(got.low < 12.0 && 12.0 < got.high && got.high < 13.5, "{got:?}");
        assert_eq!(interval(&clips[..1], 0).unwrap(), None);
        assert_eq!(interval(&[vec![f64::INFINITY], vec![1.0]], 0).unwrap(), None);
    }
}
