//! Paths of a 32-pixel digit on a 64-pixel canvas.

/// First position past the wall; 32 = 64 - 32.
const WALL: i64 = 32;

/// What happens at a wall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bounce {
    /// The official stochastic set: away from the wall at a random speed, the other component redrawn too.
    #[default]
    Random,
    /// The deterministic variant: the component that hit changes its sign.
    Mirror,
}

/// The integer in `low..high` of the next number of a tape.
pub fn integer(tape: &mut impl FnMut() -> f64, low: i64, high: i64) -> i64 {
    low + (tape() * (high - low) as f64) as i64
}

/// Corners `(x, y)` of a digit in each frame, all in 0..=31. Draws x, y, dx, dy, then what bounces need: for a hit in y before one
/// in x, first the component that hit, then the other.
pub fn path(tape: &mut impl FnMut() -> f64, frames: usize, bounce: Bounce) -> Vec<(usize, usize)> {
    walk(tape, frames, bounce).into_iter().map(|place| place.corner).collect()
}

/// Where a digit is in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// `(x, y)`, both in 0..=31.
    pub corner: (usize, usize),
    /// Whether it has just hit a wall: its speed is a new one from here on.
    pub hit: bool,
}

/// [`path`] with its hits.
pub fn walk(tape: &mut impl FnMut() -> f64, frames: usize, bounce: Bounce) -> Vec<Place> {
    let mut state = State {
        x: integer(tape, 0, WALL),
        y: integer(tape, 0, WALL),
        dx: integer(tape, -4, 5),
        dy: integer(tape, -4, 5),
    };
    (0..frames)
        .map(|_| {
            let hit = [state.x, state.y].iter().any(|at| !(0..WALL).contains(at));
            state.bounce(tape, bounce);
            let corner = (state.x as usize, state.y as usize);
            state.x += state.dx;
            state.y += state.dy;
            Place { corner, hit }
        })
        .collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    x: i64,
    y: i64,
    dx: i64,
    dy: i64,
}

impl State {
    fn bounce(&mut self, tape: &mut impl FnMut() -> f64, bounce: Bounce) {
        hit(tape, bounce, &mut self.y, &mut self.dy, &mut self.dx);
        // A corner hit redraws dy once more here; the official code does so too.
        hit(tape, bounce, &mut self.x, &mut self.dx, &mut self.dy);
    }
}

/// Handles one axis: `at` and its speed `along`, and the speed `across`.
fn hit(tape: &mut impl FnMut() -> f64, bounce: Bounce, at: &mut i64, along: &mut i64, across: &mut i64) {
    let (place, low, high) = match *at {
        ..0 => (0, 1, 5),
        WALL.. => (WALL - 1, -4, 0),
        _ => return,
    };
    *at = place;
    match bounce {
        Bounce::Mirror => *along = -*along,
        Bounce::Random => {
            *along = integer(tape, low, high);
            *across = integer(tape, -4, 5);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A tape of numbers that give chosen integers: `(value, low, high)`.
    fn tape(integers: &[(i64, i64, i64)]) -> impl FnMut() -> f64 {
        let numbers: Vec<f64> =
            integers.iter().map(|(v, low, high)| ((v - low) as f64 + 0.5) / (high - low) as f64).collect();
        let mut numbers = numbers.into_iter();
        move || numbers.next().expect("the path must not draw more than the tape holds")
    }

    #[test]
    fn bounces_draw_the_hit_component_first() {
        // Up against the top in frame 2 with dy 3, dx -2; against the left wall in frame 4 with dx 4, dy 0.
        let mut draws = tape(&[
            (3, 0, 32),
            (1, 0, 32),
            (0, -4, 5),
            (-2, -4, 5),
            (3, 1, 5),
            (-2, -4, 5),
            (4, 1, 5),
            (0, -4, 5),
        ]);
        let corners = path(&mut draws, 6, Bounce::Random);
        assert_eq!(corners, [(3, 1), (3, 0), (1, 3), (0, 6), (4, 6), (8, 6)]);
    }

    #[test]
    fn a_corner_redraws_y_after_x() {
        let mut draws = tape(&[
            (31, 0, 32),
            (31, 0, 32),
            (1, -4, 5),
            (1, -4, 5),
            (-4, -4, 0),
            (2, -4, 5),
            (-1, -4, 0),
            (3, -4, 5),
            (-2, -4, 0),
            (0, -4, 5),
        ]);
        // After the corner the digit moves by dx = -1, dy = 3: out of the canvas again, so y is hit once more.
        let corners = path(&mut draws, 4, Bounce::Random);
        assert_eq!(corners, [(31, 31), (31, 31), (30, 31), (30, 29)]);
    }

    #[test]
    fn deterministic_digits_reflect() {
        let mut draws = tape(&[(28, 0, 32), (3, 0, 32), (4, -4, 5), (-3, -4, 5)]);
        let corners = path(&mut draws, 14, Bounce::Mirror);
        let expected = [
            (28, 3),
            (31, 0),
            (27, 0),
            (23, 3),
            (19, 6),
            (15, 9),
            (11, 12),
            (7, 15),
            (3, 18),
            (0, 21),
            (4, 24),
            (8, 27),
            (12, 30),
            (16, 31),
        ];
        assert_eq!(corners, expected);
    }

    proptest! {
        #[test]
        fn corners_stay_on_the_canvas(numbers in prop::collection::vec(0.0..1.0f64, 200), mirror: bool) {
            let mut numbers = numbers.into_iter().cycle();
            let bounce = if mirror { Bounce::Mirror } else { Bounce::Random };
            for (x, y) in path(&mut || numbers.next().unwrap_or(0.0), 40, bounce) {
                prop_assert!(x < 32 && y < 32);
            }
        }
    }
}
