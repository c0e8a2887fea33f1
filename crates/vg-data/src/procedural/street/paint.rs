//! The colours of surfaces under the light of a clip.

use rayon::prelude::*;

use super::{
    raster::{Sight, Surface, View, footprint},
    scene::{DASHES, KERB, LINE, Light, Material, Part, WALL},
    texture::{band, grain, hash, mix, stripes},
    vector::{Vec3, dot, unit},
};

/// Samples of a pixel along each axis.
const SAMPLES: usize = 2;

/// A picture of `height` x `width` pixels at a time, RGB, row by row.
pub(super) fn picture(scene: &super::scene::Scene, time: f32, height: usize, width: usize) -> Vec<u8> {
    let (rows, columns) = (height * SAMPLES, width * SAMPLES);
    let view = View::new(scene, time, rows, columns);
    let sights = view.sights();
    let mut out = vec![0; height * width * 3];
    out.par_chunks_exact_mut(width * 3).enumerate().for_each(|(y, row)| {
        for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
            let mut sum = [0.0; 3];
            for (dy, dx) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let (sy, sx) = (y * SAMPLES + dy, x * SAMPLES + dx);
                let colour = colour(&view, sx, sy, sights[sy * columns + sx]);
                (0..3).for_each(|k| sum[k] += colour[k].clamp(0.0, 1.0));
            }
            pixel.iter_mut().zip(sum).for_each(|(byte, sum)| *byte = (sum * 255.0 / 4.0 + 0.5) as u8);
        }
    });
    out
}

/// A place on a surface as the patterns see it.
struct Spot {
    /// Own coordinates.
    p: Vec3,
    /// Own direction out of the surface.
    normal: Vec3,
    /// Own direction of the ray, one metre along the view.
    along: Vec3,
    depth: f32,
    focal: f32,
    seed: u32,
}

impl Spot {
    fn seen(&self, u: Vec3, v: Vec3) -> (f32, f32) {
        footprint(self.along, self.normal, self.depth, self.focal, u, v)
    }

    /// Coordinates along the two axes that the surface spans most, and what a pixel sees along each.
    fn plane(&self) -> (f32, f32, f32, f32) {
        let [x, y, z] = self.p;
        let [nx, ny, nz] = self.normal.map(f32::abs);
        let axes = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let (u, v, a, b) = if ny > nx.max(nz) {
            (x, z, axes[0], axes[2])
        } else if nx > nz {
            (z, y, axes[2], axes[1])
        } else {
            (x, y, axes[0], axes[1])
        };
        let (seen_u, seen_v) = self.seen(a, b);
        (u, v, seen_u, seen_v)
    }

    fn grain(&self, size: f32) -> f32 {
        let (u, v, seen_u, seen_v) = self.plane();
        grain(u, v, size, seen_u.max(seen_v), self.seed)
    }
}

fn colour(view: &View<'_>, x: usize, y: usize, sight: Sight) -> Vec3 {
    let (light, camera) = (&view.scene.light, &view.camera);
    let ray = camera.ray(x as f32, y as f32);
    let spot = |p: Vec3, normal: Vec3, along: Vec3, seed: u32| Spot {
        p,
        normal,
        along,
        depth: sight.depth,
        focal: camera.focal,
        seed,
    };
    let (albedo, normal) = match sight.surface {
        Surface::Sky => return sky(light, unit(ray), view.scene.ground.seed),
        Surface::Ground => {
            let up = [0.0, 1.0, 0.0];
            let spot = spot(view.point(ray, sight.depth), up, ray, view.scene.ground.seed);
            (ground(&view.scene.ground, &spot), up)
        }
        Surface::Part(number) => {
            let (part, pose) = (&view.scene.parts[number as usize], &view.poses[number as usize]);
            let own = pose.own(view.point(ray, sight.depth));
            let normal = part.solid.normal(own);
            (albedo(part, &spot(own, normal, pose.turn_back(ray), part.seed)), pose.turn(normal))
        }
    };
    let lit: Vec3 = std::array::from_fn(|k| {
        // Light comes from the sky above and, less, from the road below.
        let around = light.ambient[k] * (0.78 + 0.22 * normal[1]);
        albedo[k] * (around + light.sun_colour[k] * dot(normal, light.sun).max(0.0))
    });
    let distance = sight.depth * dot(ray, ray).sqrt();
    mix(lit, light.horizon, distance / (distance + 2.0 * light.haze))
}

fn sky(light: &Light, direction: Vec3, seed: u32) -> Vec3 {
    let up = direction[1].max(0.0);
    let clear = mix(light.horizon, light.zenith, (2.2 * up).min(1.0));
    // Clouds on a plane high above.
    let (x, z) = (direction[0] / (up + 0.18), direction[2] / (up + 0.18));
    let cover = (grain(x, z, 0.9, 0.0, seed ^ 77) + 1.5 * light.clouds - 0.75).clamp(0.0, 1.0);
    let white = mix(light.horizon, [0.97, 0.97, 0.97], 0.6);
    mix(clear, white, cover * (4.0 * up).min(1.0))
}

fn ground(ground: &super::scene::Ground, spot: &Spot) -> Vec3 {
    let [x, _, z] = spot.p;
    let (seen_x, seen_z) = spot.seen([1.0, 0.0, 0.0], [0.0, 0.0, 1.0]);
    let seen = seen_x.max(seen_z);
    let rough = grain(x, z, 1.6, seen, spot.seed);
    let asphalt = [1.0, 1.0, 1.03].map(|v| v * ground.asphalt * (1.0 + 0.22 * rough));
    let slabs = stripes(x, 0.75, 0.05, seen_x).max(stripes(z, 0.75, 0.05, seen_z));
    let flags = mix([0.60, 0.57, 0.54], [0.40, 0.38, 0.37], 0.7 * slabs).map(|v| v * (1.0 + 0.12 * rough));
    let grass = [0.26, 0.36, 0.15].map(|v| v * (1.0 + 0.35 * rough));
    let side = x.abs();
    if let Some((into, width)) = ground.crossing(z).filter(|_| side > KERB) {
        return mix(flags, asphalt, band(into, 1.5, width - 1.5, seen_z));
    }
    if side > WALL {
        return grass;
    }
    // The kerb is a light stone edge.
    let kerb = band(side, KERB, KERB + 0.16, seen_x);
    let floor = mix(asphalt, flags, band(side, KERB, 99.0, seen_x));
    let floor = mix(floor, [0.70, 0.69, 0.67], kerb);
    let paint = [0.90, 0.90, 0.87].map(|v| v * (1.0 + 0.08 * rough));
    mix(floor, paint, painted(ground, x, z, seen_x, seen_z))
}

/// Share of paint in what a pixel sees of the road.
fn painted(ground: &super::scene::Ground, x: f32, z: f32, seen_x: f32, seen_z: f32) -> f32 {
    if ground.crossing(z).is_some() {
        return 0.0;
    }
    if let Some(into) = ground.zebra(z) {
        let ends = band(into, 0.0, 2.8, seen_z);
        return ends * stripes(x, 1.0, 0.5, seen_x) * band(x, -5.2, 5.2, seen_x);
    }
    let line = |at: f32| band(x - at, -LINE / 2.0, LINE / 2.0, seen_x);
    (line(0.0) * stripes(z, DASHES.0, DASHES.1, seen_z)).max(line(3.45)).max(line(-3.45))
}

fn albedo(part: &Part, spot: &Spot) -> Vec3 {
    match part.material {
        Material::Plain(colour) => colour.map(|v| v * (1.0 + 0.18 * spot.grain(0.35))),
        Material::Facade { .. } => facade(part, spot),
        Material::Roof(tiles) => {
            let (_, v, _, seen) = spot.plane();
            let rows = stripes(v, 0.5, 0.12, seen);
            tiles.map(|c| c * (1.0 - 0.3 * rows + 0.2 * spot.grain(1.1)))
        }
        Material::Leaves(green) => {
            let light = spot.grain(0.7);
            let share = [0.9, 1.0, 0.8];
            std::array::from_fn(|k| green[k] * (1.0 + 0.5 * share[k] * light))
        }
        Material::CarBody { paint, half_length } => car_body(paint, half_length, spot),
        Material::CarCabin { paint } => {
            let (u, v, seen_u, seen_v) = spot.plane();
            let glass = band(v, 0.06, 0.44, seen_v) * (1.0 - stripes(u + 0.05, 0.95, 0.1, seen_u));
            let roof = spot.normal[1] > 0.9;
            mix(paint, [0.10, 0.12, 0.15], if roof { 0.0 } else { 0.92 * glass })
        }
        Material::Shade => [0.10, 0.10, 0.11],
        Material::Board { face, rim } => {
            let [x, y, _] = spot.p;
            let inner = match part.solid {
                super::solid::Solid::Ellipsoid { radii } => (x * x + y * y).sqrt() < 0.72 * radii[0],
                super::solid::Solid::Block { foot, height, .. } => {
                    x.abs() < 0.8 * foot[0] && (y - height / 2.0).abs() < 0.4 * height
                }
                _ => true,
            };
            if inner { face } else { rim }
        }
    }
}

fn facade(part: &Part, spot: &Spot) -> Vec3 {
    let Material::Facade { wall, glass, bay, storey, shop } = part.material else { return [0.5; 3] };
    if spot.normal[1] > 0.5 {
        return wall;
    }
    let (u, v, seen_u, seen_v) = spot.plane();
    let plaster = wall.map(|c| c * (1.0 + 0.14 * spot.grain(2.2)));
    let ledge = stripes(v + 0.12, storey, 0.24, seen_v);
    let plaster = mix(plaster, wall.map(|c| (c * 1.18).min(1.0)), 0.8 * ledge);
    let ground_floor = v < storey && shop;
    let (wide, low, high) = if ground_floor { (0.84 * bay, 0.35, 0.8) } else { (0.5 * bay, 0.3, 0.52) };
    let across = stripes(u + 0.5 * wide, bay, wide, seen_u);
    let up = stripes(v - low * storey, storey, high * storey, seen_v);
    let frame_wide = wide + 0.18;
    let frame = stripes(u + 0.5 * frame_wide, bay, frame_wide, seen_u)
        * stripes(v - low * storey + 0.1, storey, high * storey + 0.2, seen_v);
    let cell = ((u / bay + 0.5).floor() as i32, (v / storey).floor() as i32);
    // Single windows are told apart while a pixel sees less than one.
    let single = (1.5 - seen_u.max(seen_v) / bay).clamp(0.0, 1.0);
    let shade = 1.0 + single * (1.1 * hash(cell.0, cell.1, part.seed) - 0.45);
    let plaster = mix(plaster, [0.86, 0.85, 0.82], 0.75 * frame);
    mix(plaster, glass.map(|c| c * shade), across * up)
}

fn car_body(paint: Vec3, half_length: f32, spot: &Spot) -> Vec3 {
    let [x, y, z] = spot.p;
    if spot.normal[1] > 0.7 {
        return paint;
    }
    let dark = [0.06, 0.06, 0.07];
    if spot.normal[0].abs() > 0.5 {
        // Wheels, whose centres are 0.1 m above the sill.
        let wheel = [-0.62, 0.62].iter().any(|at| {
            let (dz, dy) = (z - at * half_length, y - 0.1);
            dz * dz + dy * dy < 0.31 * 0.31
        });
        let hub = [-0.62, 0.62].iter().any(|at| {
            let (dz, dy) = (z - at * half_length, y - 0.1);
            dz * dz + dy * dy < 0.15 * 0.15
        });
        return if hub {
            [0.5, 0.5, 0.52]
        } else if wheel {
            dark
        } else {
            paint
        };
    }
    let front = spot.normal[2] > 0.0;
    let lamp = y > 0.32 && y < 0.52 && x.abs() > 0.48;
    match (lamp, front) {
        (true, true) => [0.95, 0.94, 0.85],
        (true, false) => [0.75, 0.06, 0.06],
        _ if x.abs() < 0.28 && y > 0.12 && y < 0.25 => [0.88, 0.88, 0.86],
        _ if y < 0.1 || (front && y > 0.34 && y < 0.48 && x.abs() < 0.4) => dark,
        _ => paint,
    }
}
