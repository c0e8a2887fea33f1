//! The bodies that everything but ground and sky is made of, in their own coordinates.

use super::vector::{Vec3, dot, unit};

/// A body; the origin of upright ones is the middle of their foot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Solid {
    /// A box whose sides may lean in: half widths along x and z at the foot and at the top.
    Block { foot: [f32; 2], top: [f32; 2], height: f32 },
    /// Half axes about the origin.
    Ellipsoid { radii: Vec3 },
    /// An upright pipe without lids.
    Pipe { radius: f32, height: f32 },
    /// A flat ellipse on the ground.
    Disc { radii: [f32; 2] },
}

impl Solid {
    /// Lowest and highest own coordinates.
    pub(super) fn bounds(&self) -> (Vec3, Vec3) {
        match *self {
            Self::Block { foot, top, height } => {
                let (x, z) = (foot[0].max(top[0]), foot[1].max(top[1]));
                ([-x, 0.0, -z], [x, height, z])
            }
            Self::Ellipsoid { radii } => (radii.map(|r| -r), radii),
            Self::Pipe { radius, height } => ([-radius, 0.0, -radius], [radius, height, radius]),
            Self::Disc { radii: [x, z] } => ([-x, 0.0, -z], [x, 0.0, z]),
        }
    }

    /// How often `along` is gone from `from` until the body is met from outside; none when it is missed.
    pub(super) fn hit(&self, from: Vec3, along: Vec3) -> Option<f32> {
        match *self {
            Self::Block { .. } => self.enter(from, along),
            Self::Ellipsoid { radii } => {
                let (o, d): (Vec3, Vec3) = (
                    std::array::from_fn(|k| from[k] / radii[k]),
                    std::array::from_fn(|k| along[k] / radii[k]),
                );
                first_root(dot(d, d), dot(o, d), dot(o, o) - 1.0)
            }
            Self::Pipe { radius, height } => {
                let (o, d) = ([from[0], from[2]], [along[0], along[2]]);
                let plane = |a: [f32; 2], b: [f32; 2]| a[0] * b[0] + a[1] * b[1];
                let at = first_root(plane(d, d), plane(o, d), plane(o, o) - radius * radius)?;
                (0.0..=height).contains(&(from[1] + at * along[1])).then_some(at)
            }
            Self::Disc { radii } => {
                let at = -from[1] / along[1];
                let (x, z) = ((from[0] + at * along[0]) / radii[0], (from[2] + at * along[2]) / radii[1]);
                (along[1] < 0.0 && x * x + z * z <= 1.0).then_some(at)
            }
        }
    }

    /// Direction out of the surface at a point of it, of length one.
    pub(super) fn normal(&self, p: Vec3) -> Vec3 {
        match *self {
            Self::Block { .. } => {
                let distance = |(n, offset): &(Vec3, f32)| (offset - dot(*n, p)) / dot(*n, *n).sqrt();
                let nearest = self.sides().into_iter().min_by(|a, b| distance(a).total_cmp(&distance(b)));
                nearest.map_or([0.0, 1.0, 0.0], |(n, _)| unit(n))
            }
            Self::Ellipsoid { radii } => unit(std::array::from_fn(|k| p[k] / (radii[k] * radii[k]))),
            Self::Pipe { radius, .. } => [p[0] / radius, 0.0, p[2] / radius],
            Self::Disc { .. } => [0.0, 1.0, 0.0],
        }
    }

    /// Half spaces `n . p <= offset` of a block.
    fn sides(&self) -> [(Vec3, f32); 6] {
        let Self::Block { foot: [x, z], top: [tx, tz], height: h } = *self else {
            return [([0.0; 3], 0.0); 6];
        };
        [
            ([h, x - tx, 0.0], h * x),
            ([-h, x - tx, 0.0], h * x),
            ([0.0, z - tz, h], h * z),
            ([0.0, z - tz, -h], h * z),
            ([0.0, 1.0, 0.0], h),
            ([0.0, -1.0, 0.0], 0.0),
        ]
    }

    fn enter(&self, from: Vec3, along: Vec3) -> Option<f32> {
        let (mut enter, mut leave) = (f32::MIN, f32::MAX);
        for (n, offset) in self.sides() {
            let (gap, speed) = (offset - dot(n, from), dot(n, along));
            if speed < 0.0 {
                enter = enter.max(gap / speed);
            } else if speed > 0.0 {
                leave = leave.min(gap / speed);
            } else if gap < 0.0 {
                return None;
            }
        }
        (enter <= leave).then_some(enter)
    }
}

/// The smaller root of `a t^2 + 2 b t + c`.
fn first_root(a: f32, b: f32, c: f32) -> Option<f32> {
    let inner = b * b - a * c;
    (inner >= 0.0 && a > 0.0).then(|| (-b - inner.sqrt()) / a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_met_on_their_surface() {
        let along = [0.1, -0.2, 1.0];
        let cases = [
            (Solid::Block { foot: [1.0, 2.0], top: [1.0, 2.0], height: 3.0 }, [0.0, 2.0, -8.0], 6.0),
            (Solid::Ellipsoid { radii: [1.0, 1.0, 2.0] }, [-0.6, 1.2, -8.0], 6.0),
            (Solid::Pipe { radius: 2.0, height: 3.0 }, [-0.6, 2.0, -8.0], 6.0),
        ];
        for (solid, from, at) in cases {
            let hit = solid.hit(from, along).unwrap();
            assert!((hit - at).abs() < 1e-4, "{solid:?}: {hit}");
            let p: Vec3 = std::array::from_fn(|k| from[k] + hit * along[k]);
            let n = solid.normal(p);
            assert!((n[2] + 1.0).abs() < 1e-3, "{solid:?}: {n:?}");
            assert!(solid.hit(from, [1.0, 0.0, 0.01]).is_none(), "{solid:?}");
        }
    }

    #[test]
    fn blocks_lean_in() {
        let roof = Solid::Block { foot: [2.0, 2.0], top: [0.0, 2.0], height: 2.0 };
        // One metre up the side stands one metre in, and leans back by 45 degrees.
        let hit = roof.hit([-5.0, 1.0, 0.0], [1.0, 0.0, 0.0]).unwrap();
        assert!((hit - 4.0).abs() < 1e-5, "{hit}");
        let n = roof.normal([-1.0, 1.0, 0.0]);
        assert!((n[0] + n[1]).abs() < 1e-5 && n[1] > 0.7, "{n:?}");
    }
}
