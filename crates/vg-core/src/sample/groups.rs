//! Clips that go through networks together.

use candle_core::Tensor;

use crate::Result;

/// Rows of a batch, a group each.
///
/// Single clips would stream all weights through the caches each. Groups have one size, a last one that is not full is filled up, because
/// sums are rounded otherwise for another number of clips: so a clip is the same bit for bit in any company.
pub struct Groups(Vec<Rows>);

/// The rows `start..end`, the last one again and again up to `size` of them.
pub struct Rows {
    start: usize,
    end: usize,
    size: usize,
}

impl Groups {
    /// Groups of `size` (1 or more) of `clips` clips.
    pub fn new(size: usize, clips: usize) -> Self {
        let group = |start| Rows { start, end: clips.min(start + size), size };
        Self((0..clips).step_by(size.max(1)).map(group).collect())
    }

    /// The results `[size, ...]` of all groups, joined to `[clips, ...]`.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn map(&self, make: impl Fn(&Rows) -> Result<Tensor>) -> Result<Tensor> {
        let rows = |rows: &Rows| Ok(make(rows)?.detach().narrow(0, 0, rows.end - rows.start)?);
        Ok(Tensor::cat(&self.0.iter().map(rows).collect::<Result<Vec<_>>>()?, 0)?)
    }
}

impl Rows {
    /// The rows, by their numbers in the whole batch.
    pub fn indices(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.size).map(|k| (self.start + k).min(self.end - 1))
    }

    /// The group's part of a tensor whose axis `axis` counts clips.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) when there are fewer clips.
    pub fn take(&self, all: &Tensor, axis: usize) -> Result<Tensor> {
        let rows: Vec<u32> = self.indices().map(|row| row as u32).collect();
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
        let groups = Groups::new(8, 10);
        let taken = |k: usize| groups.0[k].take(&all, 0).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(groups.0.len(), 2);
        assert_eq!(taken(0), (0..8).map(|k| k as f32).collect::<Vec<_>>());
        assert_eq!(taken(1), [8.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0]);
        let whole = groups.map(|rows| rows.take(&all, 0)).unwrap();
        assert_eq!(whole.to_vec1::<f32>().unwrap(), all.to_vec1::<f32>().unwrap());
        let together = Groups::new(10, 10);
        assert_eq!((together.0.len(), together.0[0].size), (1, 10));
    }
}
