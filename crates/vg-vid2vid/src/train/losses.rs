//! The terms of all losses of a chunk.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::grad::join;
use vg_core::ops::warp::warp;

use super::{Carry, Chunk, Vid2vidTrainer};
use crate::discriminator::Discriminator;
use crate::generator::Generated;
use crate::layers::Run;
use crate::loss::{feature_matching, least_squares, masked_l1, perceptual, sum, zero};
use crate::source::{Square, face};
use crate::temporal::groups;

/// Pixels of flow that are 1 for a temporal discriminator (official code).
const FLOW_UNIT: f64 = 20.0;

/// Which networks are updated from a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Generators and encoder.
    Generator,
    /// Image and face discriminator.
    Image,
    /// The temporal discriminator of a scale.
    Temporal(usize),
}

impl Whose {
    /// Name of the total in logs.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Generator => "generator",
            Self::Image => "image_discriminator",
            Self::Temporal(scale) => {
                ["temporal_discriminator_0", "temporal_discriminator_1", "temporal_discriminator_2"][scale]
            }
        }
    }
}

/// A weighted term of a loss.
#[derive(Clone, Debug)]
pub struct Term {
    /// Name in logs.
    pub name: &'static str,
    /// Whose loss it is part of.
    pub whose: Whose,
    /// Its value, a scalar.
    pub value: Tensor,
}

/// Names of a discriminator's terms: real, fake, adversarial, feature matching.
type Names = [&'static str; 4];
const IMAGE: Names = ["image_real", "image_fake", "image_gan", "image_features"];
const FACE: Names = ["face_real", "face_fake", "face_gan", "face_features"];
const TEMPORAL: [Names; 3] = [
    ["temporal_real_0", "temporal_fake_0", "temporal_gan_0", "temporal_features_0"],
    ["temporal_real_1", "temporal_fake_1", "temporal_gan_1", "temporal_features_1"],
    ["temporal_real_2", "temporal_fake_2", "temporal_gan_2", "temporal_features_2"],
];

/// The sum of the terms of one loss; half of it for discriminators (official code).
pub(super) fn total(terms: &[Term], whose: Whose) -> Result<Tensor> {
    let own = terms.iter().filter(|term| term.whose == whose).map(|term| Ok(term.value.clone()));
    let total = sum(own)?;
    Ok(if whose == Whose::Generator { total } else { (total * 0.5)? })
}

/// Everything that is judged of a chunk.
pub(super) struct Judged<'a> {
    pub trainer: &'a Vid2vidTrainer,
    pub chunk: &'a Chunk,
    pub made: &'a [Generated],
    /// The frame before the first generated one.
    pub before: &'a Tensor,
    /// With the chunk's own frames at their ends.
    pub histories: &'a Carry,
}

/// Frames of a chunk as rows, the clips of a time step side by side.
struct Rows {
    source: Tensor,
    real: Tensor,
    fake: Tensor,
    raw: Tensor,
    confidence: Tensor,
}

impl Judged<'_> {
    /// All terms.
    pub(super) fn terms(&self) -> Result<Vec<Term>> {
        let past = self.trainer.config.past();
        let of = |part: fn(&Generated) -> &Tensor| {
            join(&self.made.iter().map(|m| part(m).clone()).collect::<Vec<_>>())
        };
        let rows = Rows {
            source: join(&self.chunk.source[past..])?,
            real: join(&self.chunk.frames[past..])?,
            fake: of(|made| &made.frame)?,
            raw: of(|made| &made.raw)?,
            confidence: join(&self.chunk.confidence)?,
        };
        let mut terms = Vec::new();
        self.perceptual(&rows, &mut terms)?;
        self.images(&rows, &mut terms)?;
        self.flows(&rows, &mut terms)?;
        self.clips(&mut terms)?;
        Ok(terms)
    }

    fn perceptual(&self, rows: &Rows, terms: &mut Vec<Term>) -> Result<()> {
        let loss = &self.trainer.config.loss;
        let Some(vgg) = self.trainer.vgg.as_ref().filter(|_| loss.perceptual > 0.0) else { return Ok(()) };
        let real = vgg.forward(&rows.real)?;
        let images = if loss.raw { vec![&rows.fake, &rows.raw] } else { vec![&rows.fake] };
        let distances = images.into_iter().map(|image| perceptual(&vgg.forward(image)?, &real));
        let value = (sum(distances)? * loss.perceptual)?;
        terms.push(Term { name: "perceptual", whose: Whose::Generator, value });
        Ok(())
    }

    /// D_I on whole frames, D_f on faces.
    fn images(&self, rows: &Rows, terms: &mut Vec<Term>) -> Result<()> {
        let (config, judges) = (&self.trainer.config, &self.trainer.judges);
        let beside = |image: &Tensor| -> Result<Tensor> { Ok(Tensor::cat(&[&rows.source, image], 1)?) };
        let real = beside(&rows.real)?;
        let mut fakes = vec![beside(&rows.fake)?];
        if config.loss.raw {
            fakes.push(beside(&rows.raw)?);
        }
        terms.extend(self.adversarial(&judges.image, &real, &fakes, IMAGE, Whose::Image, 1.0)?);
        let Some(judge) = &judges.face else { return Ok(()) };
        if let Some(square) = face(&rows.source)? {
            let cut = |images: &Tensor| Square::of(square, images);
            let (real, fakes) = (cut(&real)?, [cut(&fakes[0])?]);
            terms.extend(self.adversarial(judge, &real, &fakes, FACE, Whose::Image, config.loss.face)?);
        }
        Ok(())
    }

    /// Flow, mask and what is moved by flows.
    fn flows(&self, rows: &Rows, terms: &mut Vec<Term>) -> Result<()> {
        let (config, past, trusted) = (&self.trainer.config, self.trainer.config.past(), &rows.confidence);
        let loss = &config.loss;
        let reference = join(&self.chunk.flow)?;
        let mut term = |name, weight: f64, value: &mut dyn FnMut() -> Result<Tensor>| -> Result<()> {
            if weight > 0.0 {
                terms.push(Term { name, whose: Whose::Generator, value: (value()? * weight)? });
            }
            Ok(())
        };
        term("output_warp", loss.output_warp, &mut || {
            let earlier = self.made[..self.made.len() - 1].iter().map(|made| made.frame.detach());
            let earlier: Vec<Tensor> = std::iter::once(self.before.detach()).chain(earlier).collect();
            masked_l1(&rows.fake, &warp(&join(&earlier)?, &reference)?, trusted)
        })?;
        let flow: Option<Vec<Tensor>> = self.made.iter().map(|made| made.flow.clone()).collect();
        let Some(flow) = flow.map(|flow| join(&flow)).transpose()? else { return Ok(()) };
        let finer = (1u64 << (config.generator.scales - 1)) as f64;
        term("flow", loss.flow / finer, &mut || masked_l1(&flow, &reference, trusted))?;
        term("warp", loss.warp, &mut || {
            let earlier = join(&self.chunk.frames[past - 1..self.chunk.frames.len() - 1])?;
            masked_l1(&warp(&earlier, &flow)?, &rows.real, trusted)
        })?;
        if config.starts_from_nothing() {
            let masks: Option<Vec<Tensor>> = self.made.iter().map(|made| made.mask.clone()).collect();
            if let Some(masks) = masks {
                term("mask", loss.mask, &mut || Ok((join(&masks)? * trusted)?.mean_all()?))?;
            }
        }
        Ok(())
    }

    /// D_V of every scale that has a whole group of frames.
    fn clips(&self, terms: &mut Vec<Term>) -> Result<()> {
        let (config, fresh) = (&self.trainer.config, self.made.len());
        let count = config.discriminator.frames;
        for (scale, judge) in self.trainer.judges.temporal.iter().enumerate() {
            let groups = groups(self.histories.real.len(), fresh, count, config.stride(scale));
            if groups.is_empty() {
                break;
            }
            let Some(flow) = self.flows_of(scale)? else { break };
            let beside = |history: &[Tensor]| -> Result<Tensor> {
                let of = |group: &Vec<usize>| {
                    let frames: Vec<&Tensor> = group.iter().map(|k| &history[*k]).collect();
                    Tensor::cat(&frames, 1)
                };
                let all: Vec<Tensor> = groups.iter().map(of).collect::<candle_core::Result<_>>()?;
                Ok(Tensor::cat(&[&join(&all)?, &flow], 1)?)
            };
            let (real, fake) = (beside(&self.histories.real)?, beside(&self.histories.fake)?);
            let (names, whose) = (TEMPORAL[scale], Whose::Temporal(scale));
            terms.extend(self.adversarial(judge, &real, &[fake], names, whose, 1.0)?);
        }
        Ok(())
    }

    /// Flows between the frames of all groups of a scale, `[groups * B, 2 (frames - 1), H, W]`, as its discriminator sees them.
    fn flows_of(&self, scale: usize) -> Result<Option<Tensor>> {
        let count = self.trainer.config.discriminator.frames;
        let flow = if scale == 0 {
            let history = &self.histories.flow;
            let of = |group: &Vec<usize>| {
                let flows: Vec<&Tensor> = group[1..].iter().map(|k| &history[*k]).collect();
                Tensor::cat(&flows, 1)
            };
            let all = groups(history.len(), self.made.len(), count, 1);
            let all: Vec<Tensor> = all.iter().map(of).collect::<candle_core::Result<_>>()?;
            Some(join(&all)?)
        } else {
            self.chunk.strided.get(&scale).cloned()
        };
        Ok(flow.map(|flow| flow / FLOW_UNIT).transpose()?)
    }

    /// The four terms of a discriminator. Real images pass once, though they count once a kind of generated images; passes are in the order of
    /// the official code as far as running statistics go.
    fn adversarial(
        &self,
        judge: &Discriminator,
        real: &Tensor,
        fakes: &[Tensor],
        names: Names,
        whose: Whose,
        weight: f64,
    ) -> Result<[Term; 4]> {
        let config = &self.trainer.config;
        let (layers, scales, run) = (config.discriminator.layers, config.discriminator.scales, Run::TRAIN);
        let real = judge.forward(real, run)?;
        let (mut on_fake, mut gan, mut features) = (Vec::new(), Vec::new(), Vec::new());
        for fake in fakes {
            on_fake.push(least_squares(&judge.forward(&fake.detach(), run)?, 0.0));
            let seen = judge.forward(fake, run.frozen())?;
            gan.push(least_squares(&seen, 1.0));
            if config.loss.feature_matching > 0.0 {
                features.push(feature_matching(&seen, &real, layers, scales));
            }
        }
        let kinds = fakes.len() as f64;
        let features = if features.is_empty() { zero(&real[0][0])? } else { sum(features)? };
        let values = [
            (whose, (least_squares(&real, 1.0)? * kinds)?),
            (whose, sum(on_fake)?),
            (Whose::Generator, (sum(gan)? * weight)?),
            (Whose::Generator, (features * (weight * config.loss.feature_matching))?),
        ];
        let mut named = names.into_iter();
        Ok(values.map(|(whose, value)| Term { name: named.next().unwrap_or_default(), whose, value }))
    }
}
