//! Points, directions and rigid motions in three dimensions; sines that are the same on every machine.

/// x to the right, y up, z ahead; metres.
pub(super) type Vec3 = [f32; 3];

pub(super) fn add(a: Vec3, b: Vec3) -> Vec3 {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub(super) fn sub(a: Vec3, b: Vec3) -> Vec3 {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub(super) fn scale(a: Vec3, by: f32) -> Vec3 {
    a.map(|v| v * by)
}

pub(super) fn dot(a: Vec3, b: Vec3) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// The direction of `a`, which is not zero.
pub(super) fn unit(a: Vec3) -> Vec3 {
    scale(a, 1.0 / dot(a, a).sqrt())
}

/// A rotation and a shift: where a part stands in the world.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pose {
    /// Images of the part's own axes, the columns of the rotation.
    pub axes: [Vec3; 3],
    /// Image of its origin.
    pub origin: Vec3,
}

impl Pose {
    /// Own axes as those of the world.
    pub(super) fn at(origin: Vec3) -> Self {
        Self { axes: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], origin }
    }

    /// Turned about the upright axis; a positive angle in radians turns what is ahead to the right.
    pub(super) fn turned(self, angle: f32) -> Self {
        let (s, c) = sin_cos(angle);
        self.then([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]])
    }

    /// Tilted about the axis to the right; a positive angle in radians turns what is ahead upwards.
    pub(super) fn tilted(self, angle: f32) -> Self {
        let (s, c) = sin_cos(angle);
        self.then([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])
    }

    /// First the rotation with the images `axes` of the axes, then this one.
    fn then(self, axes: [Vec3; 3]) -> Self {
        Self { axes: axes.map(|axis| self.turn(axis)), origin: self.origin }
    }

    /// A direction of the part in the world.
    pub(super) fn turn(&self, v: Vec3) -> Vec3 {
        let [x, y, z] = self.axes;
        add(add(scale(x, v[0]), scale(y, v[1])), scale(z, v[2]))
    }

    /// A direction of the world as the part sees it.
    pub(super) fn turn_back(&self, v: Vec3) -> Vec3 {
        self.axes.map(|axis| dot(axis, v))
    }

    /// A point of the part in the world.
    pub(super) fn place(&self, p: Vec3) -> Vec3 {
        add(self.turn(p), self.origin)
    }

    /// A point of the world in the part's own coordinates.
    pub(super) fn own(&self, p: Vec3) -> Vec3 {
        self.turn_back(sub(p, self.origin))
    }
}

/// Sine and cosine by polynomials of exact operations alone: the C library's differ in the last bit between systems.
pub(super) fn sin_cos(angle: f32) -> (f32, f32) {
    let quarter = std::f64::consts::FRAC_PI_2;
    let turns = (f64::from(angle) / quarter).round();
    let r = f64::from(angle) - turns * quarter;
    let q = r * r;
    let s = r * (1.0 - q / 6.0 * (1.0 - q / 20.0 * (1.0 - q / 42.0 * (1.0 - q / 72.0))));
    let c = 1.0 - q / 2.0 * (1.0 - q / 12.0 * (1.0 - q / 30.0 * (1.0 - q / 56.0 * (1.0 - q / 90.0))));
    let (s, c) = match turns as i64 & 3 {
        0 => (s, c),
        1 => (c, -s),
        2 => (-s, -c),
        _ => (-c, s),
    };
    (s as f32, c as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sines_are_sines() {
        for k in -100..100 {
            let angle = k as f32 * 0.137;
            let (s, c) = sin_cos(angle);
            assert!((s - angle.sin()).abs() < 1e-6 && (c - angle.cos()).abs() < 1e-6, "{angle}: {s} {c}");
        }
    }

    #[test]
    fn poses_go_there_and_back() {
        let pose = Pose::at([1.0, 2.0, 3.0]).turned(0.7).tilted(-0.3);
        let p = [0.4, -0.8, 2.5];
        let there_and_back = pose.own(pose.place(p));
        assert!((0..3).all(|k| (there_and_back[k] - p[k]).abs() < 1e-5), "{there_and_back:?}");
        // Ahead turns to the right and upwards.
        let right = Pose::at([0.0; 3]).turned(0.5).turn([0.0, 0.0, 1.0]);
        let up = Pose::at([0.0; 3]).tilted(0.5).turn([0.0, 0.0, 1.0]);
        assert!(right[0] > 0.4 && up[1] > 0.4, "{right:?} {up:?}");
    }
}
