//! Real clips in place of a model's, spoilt in known ways: what a metric says of them shows what it sees.

use std::fmt::{self, Display, Formatter};

use clap::ValueEnum;
use vg_core::Rng;
use vg_data::Frames;

/// Standard deviation of the noise, in levels of 255.
const NOISE: f64 = 25.0;

/// How clips are spoilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Control {
    /// The same clips, as they are.
    Same,
    /// Other clips of the same data set, as they are.
    Half,
    /// The same clips with Gaussian noise, standard deviation 25 of 255.
    Noised,
    /// The first frame of each clip, repeated.
    Frozen,
    /// The frames of each clip in random order.
    Shuffled,
}

impl Display for Control {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Same => "the same clips",
            Self::Half => "the other half",
            Self::Noised => "noised",
            Self::Frozen => "frozen",
            Self::Shuffled => "shuffled in time",
        })
    }
}

impl Control {
    /// Clip number `index`, spoilt; the same for the same seed.
    pub fn apply(self, clip: Frames, seed: u64, index: usize) -> Frames {
        let mut stream = Rng::new(seed).child("control", index as u64).stream("draws");
        let size = clip.height * clip.width * clip.channels;
        let data = match self {
            Self::Same | Self::Half => clip.data,
            Self::Noised => {
                let noisy = |value: &u8| {
                    (f64::from(*value) + NOISE * stream.normal()).round().clamp(0.0, 255.0) as u8
                };
                clip.data.iter().map(noisy).collect()
            }
            Self::Frozen => clip.data[..size].repeat(clip.frames),
            Self::Shuffled => {
                let order = stream.permutation(clip.frames);
                order.into_iter().flat_map(|t| clip.data[t * size..(t + 1) * size].iter().copied()).collect()
            }
        };
        Frames { data, ..clip }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_control_does_what_its_name_says() {
        let data: Vec<u8> = (0..8u8).flat_map(|t| [30 * t; 4]).collect();
        let clip = Frames { frames: 8, height: 2, width: 2, channels: 1, data };
        let of = |control: Control| control.apply(clip.clone(), 3, 5).data;
        assert_eq!((of(Control::Same), of(Control::Half)), (clip.data.clone(), clip.data.clone()));
        assert_eq!(of(Control::Frozen), [0; 32]);
        let mut shuffled = of(Control::Shuffled);
        assert_ne!(shuffled, clip.data);
        assert!(shuffled.chunks(4).all(|frame| frame.iter().all(|v| *v == frame[0])), "frames stay whole");
        shuffled.sort_unstable();
        assert_eq!(shuffled, clip.data);
        let far = of(Control::Noised).iter().zip(&clip.data).filter(|(a, b)| a.abs_diff(**b) > 5).count();
        assert!(far > 10, "{far}");
        assert_eq!(of(Control::Noised), of(Control::Noised));
    }
}
