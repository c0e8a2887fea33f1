//! Which frames the temporal discriminators see.

/// Groups of `count` positions, `stride` apart, in a history of `length` frames of which the last `fresh` are new: those that end 0, `count`,
/// `2 count`, ... frames before the newest, newest group first. Nothing without a complete group.
///
/// Source: official code, `get_skipped_frames`.
pub fn groups(length: usize, fresh: usize, count: usize, stride: usize) -> Vec<Vec<usize>> {
    let span = stride * (count - 1);
    let ends = (0..length.saturating_sub(span).min(fresh)).step_by(count);
    ends.map(|back| (0..count).map(|k| length - 1 - back - span + k * stride).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frames of a sequence that the groups of a chunk are, where `length` frames are kept of it.
    fn of(seen: usize, kept: usize, fresh: usize, stride: usize) -> Vec<Vec<usize>> {
        let length = seen.min(kept + fresh);
        let shift = |k: usize| k + seen - length;
        groups(length, fresh, 3, stride).into_iter().map(|g| g.into_iter().map(shift).collect()).collect()
    }

    /// Specification, section 11: three frames a group, two scales, four frames a chunk.
    #[test]
    fn groups_of_the_specification() {
        assert_eq!(of(4, 6, 4, 1), [[1, 2, 3]]);
        assert!(of(4, 6, 4, 3).is_empty());
        assert_eq!(of(8, 6, 4, 1), [[5, 6, 7], [2, 3, 4]]);
        assert_eq!(of(8, 6, 4, 3), [[1, 4, 7]]);
        assert_eq!(of(12, 6, 4, 1), [[9, 10, 11], [6, 7, 8]]);
        assert_eq!(of(12, 6, 4, 3), [[5, 8, 11], [2, 5, 8]]);
        // One frame a chunk.
        assert!(of(2, 6, 1, 1).is_empty());
        assert_eq!(of(3, 6, 1, 1), [[0, 1, 2]]);
        assert!(of(6, 6, 1, 3).is_empty());
        assert_eq!(of(7, 6, 1, 3), [[0, 3, 6]]);
        // The third scale starts in the chunk of frames 16 to 19.
        assert!(of(16, 18, 4, 9).is_empty());
        assert_eq!(of(20, 18, 4, 9), [[1, 10, 19]]);
    }
}
