//! Size, length and pace that all models' clips have.

use anyhow::Result;

use super::Args;
use super::entrant::Entrant;
use crate::failure::Failure;

/// What all clips have in common.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    pub frames: usize,
    /// Distance between frames in the data set.
    pub stride: usize,
    /// Height and width.
    pub size: usize,
}

impl Format {
    /// The format that all models can be measured in.
    ///
    /// # Errors
    /// [`Failure`] for models of different sizes, and for a stride that is not a multiple of all of theirs.
    pub fn of(args: &Args, entrants: &[Entrant]) -> Result<Self> {
        let formats = entrants.iter().map(Entrant::format).collect::<Result<Vec<_>>>()?;
        let Some((first, _)) = formats.first() else { return Err(Failure::new("no models").into()) };
        for (entrant, (clip, _)) in entrants.iter().zip(&formats) {
            if (clip.height, clip.width) != (first.height, first.width) {
                let (a, b) = (&entrants[0].label, &entrant.label);
                let text = format!(
                    "{a} makes frames of {}x{}, {b} of {}x{}",
                    first.height, first.width, clip.height, clip.width
                );
                return Err(Failure::new(text)
                    .hint("choose presets of one size, or change it with --set")
                    .into());
            }
        }
        let stride =
            args.stride.map_or_else(|| formats.iter().map(|f| f.1).fold(1, common_multiple), |n| n as usize);
        for (entrant, (_, own)) in entrants.iter().zip(&formats) {
            if !stride.is_multiple_of(*own) {
                let text = format!("--stride {stride}: {} learns every {own}. frame", entrant.label);
                return Err(Failure::new(text).hint(format!("give a multiple of {own}")).into());
            }
        }
        let made = formats.iter().map(|(clip, own)| (clip.frames - 1) * own / stride + 1).min().unwrap_or(1);
        Ok(Self { frames: args.frames.map_or(made, |n| n as usize), stride, size: first.height })
    }
}

/// The least common multiple of two strides.
fn common_multiple(a: usize, b: usize) -> usize {
    (1..=b).map(|k| k * a).find(|n| n.is_multiple_of(b)).unwrap_or(a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_meet_at_their_common_multiple() {
        assert_eq!(
            [(1, 1), (1, 2), (2, 3), (4, 6), (6, 2)].map(|(a, b)| common_multiple(a, b)),
            [1, 2, 6, 12, 6]
        );
    }
}
