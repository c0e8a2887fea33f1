//! Clips that go through the networks together.

use candle_core::Tensor;
use vg_core::{Error, Result};

use crate::config::SampleNorm;

/// Clips of a group. Single ones would stream all weights through the caches each, which takes twice the time; a group that is not full
/// is filled up, because sums are rounded otherwise for another number of clips.
const AT_ONCE: usize = 8;

/// Rows of a batch, a group each.
pub(crate) struct Groups(Vec<Rows>);

/// The rows `start..end`, the last one again and again up to `size` of them.
pub(crate) struct Rows {
    start: usize,
    end: usize,
    size: usize,
}

impl Groups {
    /// Groups of one size for running statistics, under which a clip does not feel the others; all `clips` in one group for batch
    /// statistics.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for batch statistics of a single clip: the encoder's last layer has one number a clip and channel.
    pub(crate) fn of(norm: SampleNorm, clips: usize) -> Result<Self> {
        let size = match norm {
            SampleNorm::Running => AT_ONCE,
            SampleNorm::Batch if clips < 2 => {
                let problem = "batch statistics (`sample.norm = \"batch\"`) need at least 2 clips together; ask for more, or set it to \"running\"";
                return Err(Error::Unsupported(problem.into()));
            }
            SampleNorm::Batch => clips,
        };
        let group = |start| Rows { start, end: clips.min(start + size), size };
        Ok(Self((0..clips).step_by(size).map(group).collect()))
    }

    /// The results `[size, ...]` of all groups, joined to `[clips, ...]`.
    ///
    /// # Errors
    /// Those of `make`.
    pub(crate) fn map(&self, make: impl Fn(&Rows) -> Result<Tensor>) -> Result<Tensor> {
        let rows = |rows: &Rows| Ok(make(rows)?.detach().narrow(0, 0, rows.end - rows.start)?);
        Ok(Tensor::cat(&self.0.iter().map(rows).collect::<Result<Vec<_>>>()?, 0)?)
    }
}

impl Rows {
    /// The group's part of a tensor whose axis `axis` counts clips.
    ///
    /// # Errors
    /// [`Error::Tensor`] when there are fewer clips.
    pub(crate) fn take(&self, all: &Tensor, axis: usize) -> Result<Tensor> {
        let rows: Vec<u32> = (0..self.size).map(|k| (self.start + k).min(self.end - 1) as u32).collect();
        Ok(all.contiguous()?.index_select(&Tensor::new(rows, all.device())?, axis)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn groups_are_filled_up_with_their_last_clip() {
        let all = Tensor::arange(0f32, 10.0, &Device::Cpu).unwrap();
        let groups = Groups::of(SampleNorm::Running, 10).unwrap();
        let taken = |k: usize| groups.0[k].take(&all, 0).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(groups.0.len(), 2);
        assert_eq!(taken(0), (0..8).map(|k| k as f32).collect::<Vec<_>>());
        assert_eq!(taken(1), [8.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0]);
        let whole = groups.map(|rows| rows.take(&all, 0)).unwrap();
        assert_eq!(whole.to_vec1::<f32>().unwrap(), all.to_vec1::<f32>().unwrap());
        let together = Groups::of(SampleNorm::Batch, 10).unwrap();
        assert_eq!((together.0.len(), together.0[0].size), (1, 10));
    }
}
