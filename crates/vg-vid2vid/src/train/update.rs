//! One update: a chunk of frames, all losses, then all networks.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::grad::backward;
use vg_core::optim::step_all;

use super::losses::{Judged, Term, Whose, total};
use super::{Chunk, Vid2vidTrainer};
use crate::config::Config;
use crate::layers::Run;
use crate::networks::lead_in;
use crate::rollout::{Options, Past, Rollout, rollout};

/// What a sequence hands from one chunk to the next, outside of any graph.
#[derive(Clone, Debug, Default)]
pub struct Carry {
    /// The last generated frames of every level; empty at the start.
    pub past: Past,
    /// The last real frames that were generated too.
    pub real: Vec<Tensor>,
    /// Their generated counterparts.
    pub fake: Vec<Tensor>,
    /// Their reference flows.
    pub flow: Vec<Tensor>,
}

/// Losses of an update before it, and what comes next.
pub struct Outcome {
    /// All terms, weighted.
    pub terms: Vec<Term>,
    /// The sums that networks are updated from.
    pub totals: Vec<(Whose, Tensor)>,
    /// The generated frames.
    pub made: Rollout,
    /// For the next chunk.
    pub carry: Carry,
}

/// Frames that are kept of a history: those of the temporal discriminator that looks back furthest, but its last.
pub(super) fn kept(config: &Config) -> usize {
    let d = &config.discriminator;
    d.temporal_scales.checked_sub(1).map_or(0, |last| config.stride(last) * (d.frames - 1))
}

/// The last `keep` of a history, outside of any graph.
fn tail(history: &[Tensor], keep: usize) -> Vec<Tensor> {
    history[history.len().saturating_sub(keep)..].iter().map(Tensor::detach).collect()
}

impl Vid2vidTrainer {
    /// One complete update. All losses are taken before the first network changes.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] when sizes do not fit, and those of the backward passes.
    pub fn train(&mut self, chunk: &Chunk, carry: &Carry) -> Result<Outcome> {
        let outcome = self.losses(chunk, carry)?;
        let grads = outcome.totals.iter().map(|(_, total)| backward(total)).collect::<Result<Vec<_>>>()?;
        for ((whose, _), grads) in outcome.totals.iter().zip(&grads) {
            let group = match whose {
                Whose::Generator => &mut self.generator_params,
                Whose::Image => &mut self.image_params,
                Whose::Temporal(scale) => &mut self.temporal_params[*scale],
            };
            step_all([(group, grads)])?;
        }
        Ok(outcome)
    }

    /// The losses of a chunk; nothing is updated but running statistics.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] when sizes do not fit.
    pub fn losses(&self, chunk: &Chunk, carry: &Carry) -> Result<Outcome> {
        let (config, past) = (&self.config, self.config.past());
        let first = carry.past.is_empty();
        let before = if first { lead_in(&chunk.frames[..past], config)? } else { carry.past.clone() };
        let options = Options {
            raw_only: first && config.starts_from_nothing(),
            backprop: self.plan().backprop(),
            finest_only: self.plan().fixes_coarse(),
        };
        let maps = self.makers.with_features(&chunk.source, &chunk.frames, &chunk.instances, Run::TRAIN)?;
        let made = rollout(&self.makers.generators, config, &maps, &before, options, Run::TRAIN)?;

        let fake: Vec<Tensor> = made.finest.iter().map(|f| f.frame.clone()).collect();
        // The frame before the first: in the first chunk the real one.
        let last = if first { &chunk.frames[past - 1] } else { &carry.past[0][past - 1] };
        let real = &chunk.frames[past..];
        let histories = Carry {
            past: Past::default(),
            real: [&carry.real[..], real].concat(),
            fake: [&carry.fake[..], &fake].concat(),
            flow: [&carry.flow[..], &chunk.flow].concat(),
        };
        let judged = Judged { trainer: self, chunk, made: &made.finest, before: last, histories: &histories };
        let terms = judged.terms()?;
        let mut totals = vec![
            (Whose::Generator, total(&terms, Whose::Generator)?),
            (Whose::Image, total(&terms, Whose::Image)?),
        ];
        for scale in 0..config.discriminator.temporal_scales {
            if terms.iter().any(|term| term.whose == Whose::Temporal(scale)) {
                totals.push((Whose::Temporal(scale), total(&terms, Whose::Temporal(scale))?));
            }
        }
        let keep = kept(config);
        let carry = Carry {
            past: made.past.clone(),
            real: tail(&histories.real, keep),
            fake: tail(&histories.fake, keep),
            flow: tail(&histories.flow, config.discriminator.frames - 1),
        };
        Ok(Outcome { terms, totals, made, carry })
    }

    /// Sets learning rates, and starts Adam afresh when the coarse generators join in.
    pub(crate) fn apply_plan(&mut self) -> Result<()> {
        let (rates, fixed) = (self.plan().rates(), self.plan().fixes_coarse());
        self.generator_params.set_lr(rates.generators);
        self.image_params.set_lr(rates.images);
        self.temporal_params.iter_mut().for_each(|group| group.set_lr(rates.temporal));
        if self.progress.fixed && !fixed {
            self.generator_params.reset()?;
        }
        self.progress.fixed = fixed;
        Ok(())
    }
}
