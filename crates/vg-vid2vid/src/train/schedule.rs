//! Lengths of sequences and learning rates by the epoch.

use crate::config::Config;

/// First and second decay of Adam with two rates (official code, `TTUR`).
const TWO_RATES: [f64; 2] = [0.0, 0.9];

/// What holds after a number of epochs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan<'a> {
    config: &'a Config,
    epochs: u64,
}

/// Learning rates by what they are of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rates {
    pub generators: f64,
    pub images: f64,
    pub temporal: f64,
}

impl<'a> Plan<'a> {
    pub(super) fn new(config: &'a Config, epochs: u64) -> Self {
        Self { config, epochs }
    }

    /// Times that sequences have grown.
    fn growths(self) -> u32 {
        self.epochs.checked_div(self.config.train.grow_every).map_or(0, |times| times.min(31) as u32)
    }

    /// Frames of a sequence that are generated.
    fn frames(self) -> usize {
        let t = &self.config.train;
        t.frames.saturating_mul(1 << self.growths()).min(t.longest)
    }

    /// Frames of an update.
    pub(super) fn chunk(self) -> usize {
        self.frames().min(self.config.train.chunk)
    }

    /// Updates of a sequence.
    pub(super) fn chunks(self) -> usize {
        self.frames() / self.chunk()
    }

    /// Steps after which gradients stop going back in time.
    pub(super) fn backprop(self) -> usize {
        let (chunk, most) = (self.chunk(), self.config.train.backprop_frames);
        // Sequences that never grow are as long as they get.
        let grown = if self.config.train.grow_every == 0 { usize::MAX } else { 1 << self.growths() };
        let now = most.min(grown).min(chunk);
        chunk / chunk.div_ceil(now)
    }

    /// Whether the coarse generators stay as they are.
    pub(super) fn fixes_coarse(self) -> bool {
        self.config.generator.scales > 1 && self.epochs < self.config.train.fix_coarse_epochs
    }

    /// Adam's decays of generators and image discriminators.
    pub(super) fn betas(self) -> [[f64; 2]; 2] {
        let t = &self.config.train;
        [if t.two_rates { TWO_RATES } else { [t.beta1, t.beta2] }; 2]
    }

    /// Share of the learning rate: 1, then a straight line that would be 0 behind the last epoch. It stays at its last value from there on.
    fn share(self) -> f64 {
        let t = &self.config.train;
        let past = self.epochs.saturating_sub(t.constant_epochs).min(t.decay_epochs.saturating_sub(1));
        1.0 - past as f64 / t.decay_epochs.max(1) as f64
    }

    /// Learning rates.
    pub(super) fn rates(self) -> Rates {
        let (t, share) = (&self.config.train, self.share());
        let (official, falling) = (t.official_rates, share < 1.0);
        let two = t.two_rates && !(official && falling);
        let (slow, fast) = if two { (0.5, 2.0) } else { (1.0, 1.0) };
        let temporal = if official { t.lr } else { t.lr * share };
        Rates { generators: t.lr * share * slow, images: t.lr * share * fast, temporal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vg_core::config::ModelConfig;

    fn config(change: impl FnOnce(&mut Config)) -> Config {
        let mut config = Config::preset("paper-512").unwrap();
        change(&mut config);
        config
    }

    /// Specification, section 11; epochs are counted from 1 there.
    #[test]
    fn rates_fall_from_the_twelfth_epoch_on() {
        let c = config(|_| ());
        let rate = |epoch: u64| Plan::new(&c, epoch - 1).rates();
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        for (epoch, want) in [(1, 2e-4), (11, 2e-4), (12, 1.8e-4), (20, 2e-5), (30, 2e-5)] {
            near(rate(epoch).generators, want);
            near(rate(epoch).temporal, want);
        }
        let c = config(|c| (c.train.two_rates, c.train.official_rates) = (true, true));
        let before = Plan::new(&c, 0).rates();
        assert_eq!(before, Rates { generators: 1e-4, images: 4e-4, temporal: 2e-4 });
        let after = Plan::new(&c, 11).rates();
        near(after.images, 1.8e-4);
        near(after.temporal, 2e-4);
    }

    /// Specification, section 4.6 and 11: frames of an update and updates of a sequence.
    #[test]
    fn sequences_grow_to_the_longest() {
        let plans = |c: &Config, epochs: [u64; 4]| {
            epochs.map(|epoch| (Plan::new(c, epoch - 1).chunk(), Plan::new(c, epoch - 1).chunks()))
        };
        let c = config(|_| ());
        assert_eq!(plans(&c, [1, 6, 11, 16]), [(6, 1), (12, 1), (12, 2), (12, 2)]);
        let c = config(|c| (c.train.frames, c.train.chunk, c.train.grow_every) = (4, 4, 2));
        assert_eq!(plans(&c, [1, 3, 5, 7]), [(4, 1), (4, 2), (4, 4), (4, 7)]);
    }

    #[test]
    fn gradients_reach_back_further_as_sequences_grow() {
        let c = config(|c| (c.train.backprop_frames, c.train.chunk) = (4, 6));
        let found = [0, 5, 10, 15].map(|epochs| Plan::new(&c, epochs).backprop());
        assert_eq!(found, [1, 2, 3, 3]);
    }
}
