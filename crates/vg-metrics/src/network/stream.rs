//! Features of any number of items in bounded memory.

use candle_core::Tensor;
use vg_core::{Error, Result};

/// Features of items that arrive one by one, as rows of f32, in their order.
///
/// `items` yields tensors without a batch axis, of one shape; `features` maps a batch `[n, ...]` of at most `batch` of them to
/// `[n, d]`. The networks look at one clip at a time whatever the batch, so 1 to 4 is enough. After an error the stream ends.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use vg_metrics::network::stream;
///
/// let clips = (0..5).map(|k| Ok(Tensor::full(k as f32, (3, 2), &Device::Cpu)?));
/// let means = stream(clips, 2, |batch| Ok(batch.mean(2)?));
/// let rows = means.collect::<vg_core::Result<Vec<_>>>()?;
/// assert_eq!(rows[4], [4.0, 4.0, 4.0]);
/// # Ok::<(), vg_core::Error>(())
/// ```
///
/// # Errors
/// Those of the items and of `features`, and [`Error::Shape`] for an item of another shape than the first.
pub fn stream<I, F>(items: I, batch: usize, features: F) -> impl Iterator<Item = Result<Vec<f32>>>
where
    I: IntoIterator<Item = Result<Tensor>>,
    F: FnMut(&Tensor) -> Result<Tensor>,
{
    Stream {
        items: items.into_iter(),
        batch: batch.max(1),
        features,
        shape: None,
        ready: Vec::new(),
        ended: false,
    }
}

struct Stream<I, F> {
    items: I,
    batch: usize,
    features: F,
    shape: Option<Vec<usize>>,
    /// Rows that were computed and not yet taken, the next one last.
    ready: Vec<Vec<f32>>,
    ended: bool,
}

impl<I, F> Stream<I, F>
where
    I: Iterator<Item = Result<Tensor>>,
    F: FnMut(&Tensor) -> Result<Tensor>,
{
    fn refill(&mut self) -> Result<()> {
        // A batch may be any number; a stream may be shorter.
        let mut waiting = Vec::new();
        while waiting.len() < self.batch {
            let Some(item) = self.items.next() else {
                self.ended = true;
                break;
            };
            let item = item?;
            let shape = self.shape.get_or_insert_with(|| item.dims().to_vec());
            if item.dims() != shape.as_slice() {
                return Err(Error::shape(
                    "an item of a stream",
                    format!("{shape:?} as the first"),
                    item.dims(),
                ));
            }
            waiting.push(item);
        }
        if !waiting.is_empty() {
            let rows = (self.features)(&Tensor::stack(&waiting, 0)?)?;
            if rows.dims().first() != Some(&waiting.len()) {
                return Err(Error::shape("features", format!("[{}, d]", waiting.len()), rows.dims()));
            }
            self.ready = rows.flatten_from(1)?.to_vec2()?;
            self.ready.reverse();
        }
        Ok(())
    }
}

impl<I, F> Iterator for Stream<I, F>
where
    I: Iterator<Item = Result<Tensor>>,
    F: FnMut(&Tensor) -> Result<Tensor>,
{
    type Item = Result<Vec<f32>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty()
            && !self.ended
            && let Err(error) = self.refill()
        {
            self.ended = true;
            return Some(Err(error));
        }
        self.ready.pop().map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    fn item(size: usize) -> Result<Tensor> {
        Ok(Tensor::ones(size, DType::F32, &Device::Cpu)?)
    }

    #[test]
    fn batches_are_no_larger_than_asked_and_errors_end_the_stream() {
        let mut sizes = Vec::new();
        let count = stream((0..7).map(|_| item(2)), 3, |x| {
            sizes.push(x.dims()[0]);
            Ok(x.clone())
        })
        .map(Result::unwrap)
        .count();
        assert_eq!((count, sizes), (7, vec![3, 3, 1]));
        let mut mixed = stream([item(2), item(3), item(2)], 1, |x| Ok(x.clone()));
        assert!(mixed.next().unwrap().is_ok());
        let message = mixed.next().unwrap().unwrap_err().to_string();
        assert!(message.contains("[2] as the first"), "{message}");
        assert!(mixed.next().is_none());
        assert_eq!(stream([item(2), item(2)], usize::MAX, |x| Ok(x.clone())).count(), 2);
        assert!(stream(std::iter::empty(), 4, |x| Ok(x.clone())).next().is_none());
    }
}
