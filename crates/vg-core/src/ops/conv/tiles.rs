//! Products of packed panels, tile by tile.

use super::super::kernel::{DEPTH, Kernel};

/// Row blocks of nearly equal height: no block is left with a row or two that would starve the kernel.
fn blocks(rows: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let n = rows.div_ceil(most);
    (0..n).map(move |i| {
        let (start, end) = (i * rows / n, (i + 1) * rows / n);
        (start, end - start)
    })
}

/// `result (+)= A B` with A as `rows` rows at distance [`DEPTH`], B as panels of `depth x width`, and the result as
/// `[panel][row][width]`.
pub(super) fn multiply<T: Copy>(
    kernel: &Kernel<T>,
    rows: usize,
    depth: usize,
    a: &[T],
    b: &[T],
    result: &mut [T],
    accumulate: bool,
) {
    let panels = result.len() / (rows * kernel.width);
    assert!(depth > 0 && depth <= DEPTH && a.len() >= (rows - 1) * DEPTH + depth);
    assert!(b.len() >= panels * depth * kernel.width && result.len() >= panels * rows * kernel.width);
    for (panel, tile) in result.chunks_exact_mut(rows * kernel.width).enumerate() {
        for (start, height) in blocks(rows, kernel.rows) {
            // SAFETY: the sizes were checked above, and the kernel was chosen for this CPU.
            unsafe {
                kernel.tiles[height - 1](
                    depth,
                    a.as_ptr().add(start * DEPTH),
                    b.as_ptr().add(panel * depth * kernel.width),
                    tile.as_mut_ptr().add(start * kernel.width),
                    accumulate,
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn blocks_are_balanced_and_cover_all_rows() {
        let all: Vec<_> = super::blocks(64, 12).collect();
        assert_eq!(all.iter().map(|b| b.1).sum::<usize>(), 64);
        assert!(all.iter().all(|b| b.1 == 10 || b.1 == 11), "{all:?}");
        assert_eq!(super::blocks(3, 12).collect::<Vec<_>>(), [(0, 3)]);
    }
}
