//! The pinhole camera behind the windscreen.

use super::vector::{Pose, Vec3, add, scale};

/// Focal length by the height of the picture: 67 degrees wide for pictures twice as wide as high.
const FOCAL: f32 = 1.5;
/// Row of the horizon of a level camera, by the height.
const HORIZON: f32 = 0.45;
/// What is nearer than this, in metres along the view, is not seen.
pub(super) const NEAR: f32 = 0.2;

/// A camera for pictures of one size. Pixel (x, y) is centred on whole numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Camera {
    pub pose: Pose,
    /// In pixels.
    pub focal: f32,
    centre: (f32, f32),
}

/// Pixels `left..right` of the rows `top..bottom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub top: usize,
    pub bottom: usize,
    pub left: usize,
    pub right: usize,
}

impl Camera {
    pub(super) fn new(pose: Pose, height: usize, width: usize) -> Self {
        let (h, w) = (height as f32, width as f32);
        // Half pixels keep the pictures of other sizes the same view.
        Self { pose, focal: FOCAL * h, centre: (0.5 * w - 0.5, HORIZON * h - 0.5) }
    }

    /// Direction of the ray through a place in the picture, one metre along the view.
    pub(super) fn ray(&self, x: f32, y: f32) -> Vec3 {
        self.pose.turn([(x - self.centre.0) / self.focal, (self.centre.1 - y) / self.focal, 1.0])
    }

    /// Column, row and depth of a point of the world; none behind the camera.
    pub(super) fn project(&self, point: Vec3) -> Option<(f32, f32, f32)> {
        let [x, y, depth] = self.pose.own(point);
        (depth >= NEAR).then(|| {
            let by = self.focal / depth;
            (self.centre.0 + x * by, self.centre.1 - y * by, depth)
        })
    }

    /// Where a direction of the world meets the picture: a point at infinity.
    pub(super) fn project_direction(&self, direction: Vec3) -> Option<(f32, f32)> {
        let [x, y, z] = self.pose.turn_back(direction);
        (z > 1e-6).then(|| (self.centre.0 + x * self.focal / z, self.centre.1 - y * self.focal / z))
    }

    /// The pixels of a `height` x `width` picture that a box of a part can cover; none when it is out of sight.
    pub(super) fn window(
        &self,
        pose: &Pose,
        (low, high): (Vec3, Vec3),
        height: usize,
        width: usize,
    ) -> Option<Window> {
        let corner = |k: usize| {
            let own = [0, 1, 2].map(|axis| if k >> axis & 1 == 1 { high[axis] } else { low[axis] });
            self.pose.own(pose.place(own))
        };
        let corners: [Vec3; 8] = std::array::from_fn(corner);
        let mut range = Range { left: f32::MAX, right: f32::MIN, top: f32::MAX, bottom: f32::MIN };
        for (k, from) in corners.iter().enumerate() {
            if from[2] >= NEAR {
                range.cover(self, *from);
            }
            // Edges that come out from behind the camera are seen from the near plane on.
            for to in [1, 2, 4].map(|bit| corners[k ^ bit]) {
                if from[2] < NEAR && to[2] >= NEAR {
                    let part = (NEAR - from[2]) / (to[2] - from[2]);
                    let cut = add(scale(*from, 1.0 - part), scale(to, part));
                    range.cover(self, [cut[0], cut[1], NEAR]);
                }
            }
        }
        range.within(height, width)
    }
}

struct Range {
    left: f32,
    right: f32,
    top: f32,
    bottom: f32,
}

impl Range {
    fn cover(&mut self, camera: &Camera, [x, y, depth]: Vec3) {
        let by = camera.focal / depth;
        let (x, y) = (camera.centre.0 + x * by, camera.centre.1 - y * by);
        self.left = self.left.min(x);
        self.right = self.right.max(x);
        self.top = self.top.min(y);
        self.bottom = self.bottom.max(y);
    }

    fn within(&self, height: usize, width: usize) -> Option<Window> {
        let low = |v: f32| (v - 0.5).floor().max(0.0) as usize;
        let high = |v: f32, end: usize| ((v + 1.5).ceil().max(0.0) as usize).min(end);
        let window = Window {
            top: low(self.top),
            bottom: high(self.bottom, height),
            left: low(self.left),
            right: high(self.right, width),
        };
        (window.top < window.bottom && window.left < window.right).then_some(window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rays_meet_the_points_that_project_there() {
        let camera = Camera::new(Pose::at([1.0, 1.4, -3.0]).turned(0.2).tilted(-0.05), 64, 128);
        for (x, y) in [(0.0, 0.0), (63.5, 28.3), (127.0, 63.0)] {
            let point = add(camera.pose.origin, scale(camera.ray(x, y), 17.0));
            let (px, py, depth) = camera.project(point).unwrap();
            assert!((px - x).abs() < 1e-3 && (py - y).abs() < 1e-3 && (depth - 17.0).abs() < 1e-4);
            let (px, py) = camera.project_direction(camera.ray(x, y)).unwrap();
            assert!((px - x).abs() < 1e-3 && (py - y).abs() < 1e-3);
        }
        assert!(camera.project([1.0, 1.4, -4.0]).is_none());
    }

    #[test]
    fn windows_hold_what_is_seen_and_no_more() {
        let camera = Camera::new(Pose::at([0.0; 3]), 100, 200);
        let pose = Pose::at([0.0, 0.0, 10.0]);
        let window = |low, high| camera.window(&pose, (low, high), 100, 200);
        // One metre is 15 pixels there.
        let small = window([-1.0, -1.0, 0.0], [1.0, 1.0, 0.0]).unwrap();
        assert!((82..=85).contains(&small.left) && (115..=118).contains(&small.right), "{small:?}");
        assert!(window([-1.0, -1.0, -30.0], [1.0, 1.0, -20.0]).is_none(), "behind");
        assert!(window([90.0, 0.0, 0.0], [99.0, 1.0, 1.0]).is_none(), "beside");
        // A wall that begins behind the camera reaches the edge of the picture.
        let wall = window([2.0, -1.0, -20.0], [3.0, 3.0, 10.0]).unwrap();
        assert_eq!((wall.right, wall.top, wall.bottom), (200, 0, 100));
    }
}
