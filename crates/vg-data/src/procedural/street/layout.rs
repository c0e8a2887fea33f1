//! Draws a street with its houses, trees, lamps and signs.

use vg_core::rng::Stream;

use super::{
    chance::{between, chance, near, pick, seed},
    outlook::{drive, light},
    scene::{Class, Ground, KERB, Material, Motion, Part, Scene, WALL},
    solid::Solid,
    vector::{Pose, Vec3},
};

/// How far ahead of the last frame the street is built, in metres.
const AHEAD: f32 = 130.0;
/// How far behind the first.
const BEHIND: f32 = 8.0;
/// Instances of cars and people are `class * BASE + number`; other surfaces carry their class, as in Cityscapes.
pub(super) const BASE: u32 = 1000;

/// The street of one clip of `frames` frames.
pub(super) fn draw(stream: &mut Stream, frames: usize) -> Scene {
    let drive = drive(stream);
    let end = drive.travelled(frames as f32) + AHEAD;
    let light = light(stream);
    let ground = Ground {
        crossings: crossings(stream, end),
        asphalt: between(stream, 0.27, 0.42),
        seed: seed(stream),
    };
    let mut draft = Draft { stream, parts: Vec::new(), cars: 0, people: 0, end };
    draft.houses(&ground);
    draft.kerbside(&ground);
    draft.parked(&ground);
    draft.traffic(&drive);
    draft.walkers(&ground);
    Scene { parts: draft.parts, drive, light, ground }
}

fn crossings(stream: &mut Stream, end: f32) -> Vec<(f32, f32)> {
    let mut at = between(stream, 10.0, 60.0);
    let mut found = Vec::new();
    while at < end {
        found.push((at, between(stream, 9.0, 12.0)));
        at += between(stream, 45.0, 90.0);
    }
    found
}

const WALLS: [Vec3; 8] = [
    [0.72, 0.62, 0.48],
    [0.60, 0.36, 0.28],
    [0.78, 0.75, 0.68],
    [0.52, 0.50, 0.49],
    [0.66, 0.68, 0.58],
    [0.80, 0.70, 0.46],
    [0.46, 0.33, 0.27],
    [0.58, 0.64, 0.70],
];
const ROOFS: [Vec3; 3] = [[0.48, 0.24, 0.18], [0.30, 0.28, 0.28], [0.40, 0.32, 0.28]];
/// Faces and rims of boards: a warning, an order, a speed limit, parking.
const BOARDS: [(Vec3, Vec3); 4] = [
    ([0.95, 0.93, 0.88], [0.80, 0.08, 0.10]),
    ([0.10, 0.28, 0.68], [0.88, 0.90, 0.92]),
    ([0.80, 0.10, 0.12], [0.92, 0.90, 0.88]),
    ([0.92, 0.74, 0.12], [0.12, 0.12, 0.12]),
];

/// A street that is being put together.
pub(super) struct Draft<'a> {
    pub stream: &'a mut Stream,
    pub parts: Vec<Part>,
    /// Numbers of the next instances.
    pub cars: u32,
    pub people: u32,
    /// Where the street ends, in metres.
    pub end: f32,
}

impl Draft<'_> {
    fn still(&mut self, solid: Solid, at: Vec3, class: Class, material: Material) {
        self.put(solid, Pose::at(at), class, class as u32, material, Motion::Still);
    }

    pub(super) fn put(
        &mut self,
        solid: Solid,
        home: Pose,
        class: Class,
        instance: u32,
        material: Material,
        motion: Motion,
    ) {
        let seed = seed(self.stream);
        self.parts.push(Part { solid, material, class, instance, seed, home, motion });
    }

    /// Rows of houses on both sides, open at side streets, with a house at the far end of each.
    fn houses(&mut self, ground: &Ground) {
        for side in [-1.0, 1.0] {
            let mut z = -BEHIND - between(self.stream, 0.0, 8.0);
            while z < self.end {
                let length = between(self.stream, 7.0, 16.0);
                let next = ground.crossings.iter().find(|(begin, width)| *begin + width > z);
                match next {
                    Some((begin, width)) if z >= *begin => {
                        self.house(side * (WALL + 34.0), begin + width / 2.0, 20.0);
                        z = begin + width;
                    }
                    Some((begin, _)) if begin - z < length + 4.0 => {
                        let rest = begin - z;
                        self.house(side * (WALL + 5.5), z + rest / 2.0, rest);
                        z = *begin;
                    }
                    _ if chance(self.stream, 10) => {
                        self.garden(side, z, length);
                        z += length;
                    }
                    _ => {
                        self.house(side * (WALL + 5.5), z + length / 2.0, length);
                        z += length;
                    }
                }
            }
        }
    }

    fn house(&mut self, x: f32, z: f32, length: f32) {
        let storey = between(self.stream, 2.8, 3.5);
        let height = storey * (2 + self.stream.below(5)) as f32 + 0.4;
        let base = pick(self.stream, &WALLS);
        let wall = near(self.stream, base, 0.18);
        let glass = near(self.stream, [0.22, 0.27, 0.33], 0.35);
        let bay = length / (length / between(self.stream, 1.7, 3.0)).round().max(1.0);
        let (half, deep) = (length / 2.0, 5.0 - between(self.stream, 0.0, 0.5));
        let shop = chance(self.stream, 35);
        let material = Material::Facade { wall, glass, bay, storey, shop };
        let block = Solid::Block { foot: [deep, half], top: [deep, half], height };
        self.still(block, [x, 0.0, z], Class::Building, material);
        let flat = chance(self.stream, 40);
        let (lean, rise) = if flat { (0.1, 0.35) } else { (deep - 0.4, between(self.stream, 1.5, 3.2)) };
        let base = pick(self.stream, &ROOFS);
        let tiles = near(self.stream, base, 0.2);
        let roof = Solid::Block { foot: [deep + 0.25, half], top: [deep - lean, half - 0.1], height: rise };
        self.still(roof, [x, height, z], Class::Building, Material::Roof(tiles));
    }

    /// A hedge with trees behind it, in place of a house.
    fn garden(&mut self, side: f32, z: f32, length: f32) {
        let green = near(self.stream, [0.20, 0.32, 0.13], 0.25);
        let (half, height) = (length / 2.0, between(self.stream, 1.0, 1.8));
        let hedge = Solid::Block { foot: [0.5, half], top: [0.42, half], height };
        self.still(hedge, [side * (WALL + 0.8), 0.0, z + half], Class::Vegetation, Material::Leaves(green));
        for k in 0..3 {
            let at = z + length * (k as f32 + 0.5) / 3.0;
            let x = side * (WALL + between(self.stream, 2.5, 7.0));
            self.tree(x, at, [1.2, 1.5, 1.05][k]);
        }
    }

    fn tree(&mut self, x: f32, z: f32, size: f32) {
        let bark = near(self.stream, [0.30, 0.23, 0.17], 0.2);
        let stem = between(self.stream, 1.9, 2.6) * size;
        let pipe = Solid::Pipe { radius: 0.13 * size, height: stem + 1.0 };
        self.still(pipe, [x, 0.0, z], Class::Vegetation, Material::Plain(bark));
        let base = pick(
            self.stream,
            &[[0.22, 0.38, 0.13], [0.32, 0.42, 0.15], [0.16, 0.30, 0.14], [0.52, 0.38, 0.12]],
        );
        let green = near(self.stream, base, 0.2);
        let crown = between(self.stream, 1.1, 1.6) * size;
        for k in 0..4 {
            let off = if k == 0 { 0.0 } else { 0.65 * crown };
            let at = [
                x + between(self.stream, -off - 0.01, off + 0.01),
                stem + crown * 0.75 + between(self.stream, -0.3, 0.7) * off,
                z + between(self.stream, -off - 0.01, off + 0.01),
            ];
            let r = crown * if k == 0 { 1.0 } else { between(self.stream, 0.6, 0.8) };
            let solid = Solid::Ellipsoid { radii: [r, r * between(self.stream, 0.8, 1.1), r] };
            self.still(solid, at, Class::Vegetation, Material::Leaves(green));
        }
    }

    /// Trees, lamps and signs between road and pavement.
    fn kerbside(&mut self, ground: &Ground) {
        let leafy = 10 + self.stream.below(60);
        for side in [-1.0, 1.0] {
            let mut z = between(self.stream, -4.0, 6.0);
            while z < self.end {
                let x = side * (KERB + 0.55);
                let clear = ground.crossing(z).is_none() && ground.zebra(z).is_none();
                match self.stream.below(100) {
                    _ if !clear => {}
                    n if n < leafy => {
                        let size = between(self.stream, 0.85, 1.3);
                        self.tree(x, z, size);
                    }
                    n if n < leafy + 15 => self.lamp(x, z, side),
                    n if n < leafy + 30 => self.sign(x, z),
                    _ => {}
                }
                z += between(self.stream, 4.0, 8.0);
            }
            for (begin, _) in &ground.crossings {
                self.sign(side * (KERB + 0.5), begin - 0.6);
            }
        }
    }

    fn lamp(&mut self, x: f32, z: f32, side: f32) {
        let grey = near(self.stream, [0.36, 0.38, 0.38], 0.25);
        let height = between(self.stream, 5.5, 7.5);
        self.still(Solid::Pipe { radius: 0.09, height }, [x, 0.0, z], Class::Pole, Material::Plain(grey));
        let arm = Solid::Block { foot: [0.75, 0.09], top: [0.75, 0.06], height: 0.14 };
        self.still(arm, [x - side * 0.7, height, z], Class::Pole, Material::Plain(grey));
    }

    fn sign(&mut self, x: f32, z: f32) {
        let height = between(self.stream, 2.1, 2.9);
        let pipe = Solid::Pipe { radius: 0.05, height };
        self.still(pipe, [x, 0.0, z], Class::Pole, Material::Plain([0.55, 0.56, 0.57]));
        let (face, rim) = pick(self.stream, &BOARDS);
        let half = between(self.stream, 0.32, 0.48);
        let board = if chance(self.stream, 50) {
            Solid::Ellipsoid { radii: [half, half, 0.03] }
        } else {
            Solid::Block { foot: [half, 0.03], top: [half, 0.03], height: 2.0 * half }
        };
        let foot = if matches!(board, Solid::Ellipsoid { .. }) { height } else { height - half };
        self.still(board, [x, foot, z - 0.09], Class::TrafficSign, Material::Board { face, rim });
    }
}
