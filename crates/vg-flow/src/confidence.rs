//! Where a flow can be trusted.

use crate::error::Result;
use crate::flow::{Flow, same_size};
use crate::picture::Picture;
use crate::warp::{Taps, warp};

/// vid2vid's limit of the squared colour difference, for pictures in [-1, 1].
pub const CONFIDENCE_LIMIT: f32 = 0.02;

/// 1 where the warped previous frame has the colour of the current one, else 0: `sum over channels (current - warp(previous, flow))^2 < limit`.
///
/// Source: vid2vid, official code `models/flownet.py`, function `compute_flow_and_conf`, with `limit` 0.02 ([`CONFIDENCE_LIMIT`]) for RGB in
/// [-1, 1].
///
/// # Shapes
/// - `current`, `previous` `[C, H, W]`; `flow` `[2, H, W]`, from the current frame to the previous one; returns `[H, W]`
///
/// # Errors
/// [`FlowError::Size`](crate::FlowError::Size) when sizes differ, [`FlowError::Length`](crate::FlowError::Length) when numbers of channels do.
pub fn confidence(
    current: &Picture<'_>,
    previous: &Picture<'_>,
    flow: &Flow,
    limit: f32,
) -> Result<Vec<f32>> {
    let size = (flow.height, flow.width);
    same_size("current frame", size, (current.height, current.width))?;
    let previous = Picture::new(current.channels, previous.height, previous.width, previous.data)?;
    let warped = warp(&previous, flow)?;
    let mut squares = vec![0f32; flow.height * flow.width];
    let planes = current.data.chunks_exact(squares.len().max(1));
    for (plane, warped) in planes.zip(warped.chunks_exact(squares.len().max(1))) {
        for ((sum, a), b) in squares.iter_mut().zip(plane).zip(warped) {
            *sum += (a - b) * (a - b);
        }
    }
    Ok(squares.into_iter().map(|s| if s < limit { 1.0 } else { 0.0 }).collect())
}

/// Length of the way there and back, in pixels: `|forward(p) + backward(p + forward(p))|`, which is 0 where two flows agree and large where
/// something is hidden in the other frame.
///
/// # Shapes
/// - `forward` `[2, H, W]` from frame a to b, `backward` `[2, H, W]` from b to a; returns `[H, W]` on the grid of a. `backward` is sampled
///   bilinearly, at the border for points that leave the frame.
///
/// # Errors
/// [`FlowError::Size`](crate::FlowError::Size) when the sizes differ.
pub fn round_trip(forward: &Flow, backward: &Flow) -> Result<Vec<f32>> {
    let (height, width) = (forward.height, forward.width);
    same_size("backward flow", (height, width), (backward.height, backward.width))?;
    let there = forward.u().iter().zip(forward.v()).enumerate();
    let error = |(i, (&u, &v)): (usize, (&f32, &f32))| {
        let taps = Taps::at((i / width) as f32 + v, (i % width) as f32 + u, height, width);
        (u + taps.take(backward.u())).hypot(v + taps.take(backward.v()))
    };
    Ok(there.map(error).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_decides() {
        let previous = [0.0, 0.1, 0.2, 0.3, 0.5, 0.5, 0.5, 0.5];
        // Moved by one to the left, the third pixel with another colour.
        let current = [0.1, 0.2, 0.5, 0.3, 0.5, 0.5, 0.5, 0.5];
        let (current, previous) =
            (Picture::new(2, 1, 4, &current).unwrap(), Picture::new(2, 1, 4, &previous).unwrap());
        let flow = Flow::from_fn(1, 4, |_, _| [1.0, 0.0]);
        assert_eq!(confidence(&current, &previous, &flow, CONFIDENCE_LIMIT).unwrap(), [1.0, 1.0, 0.0, 1.0]);
        assert_eq!(confidence(&current, &previous, &flow, 0.05).unwrap(), [1.0; 4]);
        // Differences of two channels add up: 0.12^2 < 0.02 < 2 * 0.12^2.
        let (a, b) = ([0.12, 0.12], [0.0, 0.0]);
        let still = Flow::zeros(1, 2);
        let one = |x| Picture::new(1, 1, 2, x).unwrap();
        assert_eq!(confidence(&one(&a), &one(&b), &still, CONFIDENCE_LIMIT).unwrap(), [1.0, 1.0]);
        let still = Flow::zeros(1, 1);
        let two = |x| Picture::new(2, 1, 1, x).unwrap();
        assert_eq!(confidence(&two(&a), &two(&b), &still, CONFIDENCE_LIMIT).unwrap(), [0.0]);
        assert!(confidence(&two(&a), &one(&b), &still, CONFIDENCE_LIMIT).is_err());
    }

    #[test]
    fn round_trips() {
        let there = Flow::from_fn(3, 4, |_, _| [1.0, -0.5]);
        let back = Flow::from_fn(3, 4, |_, _| [-1.0, 0.5]);
        assert!(round_trip(&there, &back).unwrap().iter().all(|e| *e == 0.0));
        // A backward flow that grows along x: at x + 1 it is x + 1.
        let back = Flow::from_fn(3, 4, |_, x| [x as f32 - 1.0, 0.5]);
        let errors = round_trip(&there, &back).unwrap();
        assert_eq!(errors[..4], [1.0, 2.0, 3.0, 3.0]);
        assert!(round_trip(&there, &Flow::zeros(4, 4)).is_err());
    }
}
