//! Which surface each pixel sees, and how far away it is.

use rayon::prelude::*;

use super::{
    camera::{Camera, NEAR, Window},
    scene::{Class, Scene},
    solid::Solid,
    vector::{Pose, Vec3, dot},
};

/// Rows that one task renders.
const BAND: usize = 16;

/// What a pixel sees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sight {
    pub surface: Surface,
    /// Metres along the view; of no meaning for the sky.
    pub depth: f32,
}

/// A surface that moves as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surface {
    Sky,
    Ground,
    /// Index among the parts of the scene.
    Part(u32),
}

/// All parts at one time, as a camera sees them.
pub(super) struct View<'a> {
    pub scene: &'a Scene,
    pub camera: Camera,
    pub poses: Vec<Pose>,
    height: usize,
    width: usize,
}

/// One part in sight: its body, and camera and rays in its own coordinates.
struct Seen {
    number: u32,
    solid: Solid,
    window: Window,
    from: Vec3,
    corner: Vec3,
    right: Vec3,
    down: Vec3,
}

impl<'a> View<'a> {
    pub(super) fn new(scene: &'a Scene, time: f32, height: usize, width: usize) -> Self {
        let camera = scene.drive.camera(time, height, width);
        let poses = scene.parts.iter().map(|part| part.pose(&scene.drive, time)).collect();
        Self { scene, camera, poses, height, width }
    }

    /// What all pixels see, row by row.
    pub(super) fn sights(&self) -> Vec<Sight> {
        let seen: Vec<Seen> = (0..self.poses.len()).filter_map(|number| self.seen(number)).collect();
        let mut sights =
            vec![Sight { surface: Surface::Sky, depth: f32::INFINITY }; self.height * self.width];
        sights.par_chunks_mut(BAND * self.width).enumerate().for_each(|(band, rows)| {
            let top = band * BAND;
            self.ground(top, rows);
            seen.iter().for_each(|part| part.draw(top, self.width, rows));
        });
        sights
    }

    /// The point of the world that a pixel sees; none for the sky.
    pub(super) fn point(&self, ray: Vec3, depth: f32) -> Vec3 {
        super::vector::add(self.camera.pose.origin, super::vector::scale(ray, depth))
    }

    /// Class and instance of what a pixel at `(x, y)` sees.
    pub(super) fn label(&self, x: usize, y: usize, sight: Sight) -> (Class, u32) {
        let plain = |class: Class| (class, class as u32);
        match sight.surface {
            Surface::Sky => plain(Class::Sky),
            Surface::Ground => {
                let [px, _, pz] = self.point(self.camera.ray(x as f32, y as f32), sight.depth);
                plain(self.scene.ground.class(px, pz))
            }
            Surface::Part(number) => {
                let part = &self.scene.parts[number as usize];
                (part.class, part.instance)
            }
        }
    }

    fn ground(&self, top: usize, rows: &mut [Sight]) {
        let height = self.camera.pose.origin[1];
        for (y, row) in rows.chunks_exact_mut(self.width).enumerate() {
            for (x, sight) in row.iter_mut().enumerate() {
                let ray = self.camera.ray(x as f32, (top + y) as f32);
                if ray[1] < 0.0 {
                    let depth = -height / ray[1];
                    if depth < FAR {
                        *sight = Sight { surface: Surface::Ground, depth };
                    }
                }
            }
        }
    }

    fn seen(&self, number: usize) -> Option<Seen> {
        let (part, pose) = (&self.scene.parts[number], &self.poses[number]);
        let window = self.camera.window(pose, part.solid.bounds(), self.height, self.width)?;
        let own = |v: Vec3| pose.turn_back(v);
        let corner = self.camera.ray(0.0, 0.0);
        let step = |to: Vec3| own(super::vector::sub(to, corner));
        Some(Seen {
            number: number as u32,
            solid: part.solid,
            window,
            from: pose.own(self.camera.pose.origin),
            corner: own(corner),
            right: step(self.camera.ray(1.0, 0.0)),
            down: step(self.camera.ray(0.0, 1.0)),
        })
    }
}

/// The ground ends here and the sky begins, in metres.
const FAR: f32 = 3000.0;

impl Seen {
    fn draw(&self, top: usize, width: usize, rows: &mut [Sight]) {
        let bottom = top + rows.len() / width;
        for y in self.window.top.max(top)..self.window.bottom.min(bottom) {
            let row = &mut rows[(y - top) * width..][..width];
            let left: Vec3 = std::array::from_fn(|k| self.corner[k] + y as f32 * self.down[k]);
            for (x, sight) in row.iter_mut().enumerate().take(self.window.right).skip(self.window.left) {
                let along: Vec3 = std::array::from_fn(|k| left[k] + x as f32 * self.right[k]);
                let Some(depth) = self.solid.hit(self.from, along) else { continue };
                if depth >= NEAR && depth < sight.depth {
                    *sight = Sight { surface: Surface::Part(self.number), depth };
                }
            }
        }
    }
}

/// Side, on a surface, of the square that a pixel sees, along the own directions `u` and `v` of the surface.
pub(super) fn footprint(along: Vec3, normal: Vec3, depth: f32, focal: f32, u: Vec3, v: Vec3) -> (f32, f32) {
    let facing = dot(along, normal).abs().max(0.02 * dot(along, along).sqrt());
    let straight = depth / focal;
    let slant = |axis: Vec3| {
        let slope = dot(along, axis) / facing;
        straight * (1.0 + slope * slope).sqrt()
    };
    (slant(u), slant(v))
}
