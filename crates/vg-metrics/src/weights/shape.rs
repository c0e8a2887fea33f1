//! Shapes that a file of weights claims.

/// Most axes of a tensor: as many as numpy and torch allow.
pub(super) const RANK: usize = 64;

/// Number of elements; none where it overflows, or would but for an axis of length 0: strides do not know of that.
pub(super) fn elements(shape: &[usize]) -> Option<usize> {
    let others = shape.iter().try_fold(1_usize, |n, size| n.checked_mul((*size).max(1)))?;
    (shape.len() <= RANK).then_some(if shape.contains(&0) { 0 } else { others })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_tensors_do_not_hide_an_overflow() {
        assert_eq!(elements(&[]), Some(1));
        assert_eq!(elements(&[2, 3]), Some(6));
        assert_eq!(elements(&[usize::MAX, 0]), Some(0));
        assert_eq!(elements(&[0, usize::MAX, usize::MAX]), None);
        assert_eq!(elements(&[1; 65]), None);
    }
}
