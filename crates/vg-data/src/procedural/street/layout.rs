//! Draws a street: houses, trees, lamps, signs, cars, people, the light and the way of the camera.

use vg_core::rng::Stream;

use super::{
    scene::{Class, Drive, Ground, KERB, Light, Material, Motion, Part, Scene, WALL},
    solid::Solid,
    vector::{Pose, Vec3, scale, unit},
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

fn between(stream: &mut Stream, low: f32, high: f32) -> f32 {
    stream.uniform(f64::from(low), f64::from(high)) as f32
}

fn chance(stream: &mut Stream, percent: usize) -> bool {
    stream.below(100) < percent
}

fn pick<T: Copy>(stream: &mut Stream, from: &[T]) -> T {
    from[stream.below(from.len())]
}

fn seed(stream: &mut Stream) -> u32 {
    stream.below(1 << 30) as u32
}

/// A colour near another.
fn near(stream: &mut Stream, colour: Vec3, by: f32) -> Vec3 {
    let light = between(stream, 1.0 - by, 1.0 + by);
    colour.map(|v| (v * light * between(stream, 1.0 - by / 3.0, 1.0 + by / 3.0)).clamp(0.02, 0.98))
}

fn drive(stream: &mut Stream) -> Drive {
    let speed = if chance(stream, 8) { 0.0 } else { between(stream, 0.2, 0.8) };
    let bends = chance(stream, 35);
    let side = if chance(stream, 50) { 1.0 } else { -1.0 };
    Drive {
        speed,
        turn: between(stream, 0.0, 0.07),
        rate: between(stream, 0.08, 0.25),
        phase: between(stream, 0.0, 6.28),
        bend: if bends { side * between(stream, 0.004, 0.012) } else { 0.0 },
        bend_frames: between(stream, 15.0, 35.0),
        lane: between(stream, 1.45, 2.0),
        drift: if chance(stream, 25) { between(stream, -0.9, 0.9) } else { 0.0 },
        height: between(stream, 1.3, 1.75),
    }
}

fn light(stream: &mut Stream) -> Light {
    let towards =
        |stream: &mut Stream, up: f32| unit([between(stream, -1.0, 1.0), up, between(stream, -1.0, 0.6)]);
    match stream.below(4) {
        0 | 1 => Light {
            sun: towards(stream, 0.9),
            sun_colour: scale([0.62, 0.58, 0.50], between(stream, 0.85, 1.15)),
            ambient: scale([0.48, 0.52, 0.60], between(stream, 0.9, 1.1)),
            zenith: [0.25, 0.45, 0.80],
            horizon: [0.76, 0.85, 0.94],
            clouds: between(stream, 0.0, 0.7),
            haze: between(stream, 150.0, 400.0),
        },
        2 => Light {
            sun: [0.0, 1.0, 0.0],
            sun_colour: [0.16, 0.16, 0.16],
            ambient: scale([0.66, 0.67, 0.69], between(stream, 0.75, 1.1)),
            zenith: [0.66, 0.69, 0.73],
            horizon: [0.80, 0.81, 0.82],
            clouds: between(stream, 0.6, 1.0),
            haze: between(stream, 60.0, 160.0),
        },
        _ => Light {
            sun: towards(stream, 0.25),
            sun_colour: scale([0.66, 0.44, 0.24], between(stream, 0.8, 1.1)),
            ambient: scale([0.42, 0.40, 0.48], between(stream, 0.85, 1.15)),
            zenith: [0.25, 0.30, 0.52],
            horizon: [0.94, 0.68, 0.46],
            clouds: between(stream, 0.0, 0.5),
            haze: between(stream, 120.0, 300.0),
        },
    }
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
const PAINTS: [Vec3; 8] = [
    [0.82, 0.82, 0.82],
    [0.13, 0.13, 0.15],
    [0.50, 0.52, 0.54],
    [0.64, 0.10, 0.10],
    [0.12, 0.22, 0.52],
    [0.14, 0.34, 0.24],
    [0.74, 0.68, 0.52],
    [0.78, 0.52, 0.10],
];
const CLOTHES: [Vec3; 7] = [
    [0.15, 0.18, 0.30],
    [0.55, 0.13, 0.15],
    [0.75, 0.72, 0.66],
    [0.20, 0.36, 0.26],
    [0.28, 0.26, 0.25],
    [0.72, 0.55, 0.16],
    [0.30, 0.42, 0.62],
];
const SKINS: [Vec3; 4] = [[0.87, 0.68, 0.56], [0.70, 0.50, 0.38], [0.48, 0.32, 0.24], [0.34, 0.22, 0.17]];
const HAIR: [Vec3; 4] = [[0.12, 0.09, 0.07], [0.36, 0.22, 0.12], [0.72, 0.58, 0.34], [0.45, 0.44, 0.43]];
/// Faces and rims of boards: a warning, an order, a speed limit, parking.
const BOARDS: [(Vec3, Vec3); 4] = [
    ([0.95, 0.93, 0.88], [0.80, 0.08, 0.10]),
    ([0.10, 0.28, 0.68], [0.88, 0.90, 0.92]),
    ([0.80, 0.10, 0.12], [0.92, 0.90, 0.88]),
    ([0.92, 0.74, 0.12], [0.12, 0.12, 0.12]),
];

struct Draft<'a> {
    stream: &'a mut Stream,
    parts: Vec<Part>,
    cars: u32,
    people: u32,
    end: f32,
}

impl Draft<'_> {
    fn still(&mut self, solid: Solid, at: Vec3, class: Class, material: Material) {
        self.put(solid, Pose::at(at), class, class as u32, material, Motion::Still);
    }

    fn put(
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

    fn parked(&mut self, ground: &Ground) {
        let full = self.stream.below(75);
        for side in [-1.0, 1.0] {
            let mut z = between(self.stream, 2.0, 10.0);
            while z < self.end {
                let clear = (-4..=4).all(|k| {
                    let near = z + k as f32;
                    ground.crossing(near).is_none() && ground.zebra(near).is_none()
                });
                if clear && chance(self.stream, full) {
                    self.car([side * 4.65, 0.0, z], side < 0.0, Motion::Still);
                }
                z += between(self.stream, 5.2, 7.0);
            }
        }
    }

    /// Oncoming cars, and often one ahead.
    fn traffic(&mut self, drive: &Drive) {
        let mut z = between(self.stream, 10.0, 45.0);
        let speed = -between(self.stream, 0.25, 0.7);
        while z < 2.0 * self.end {
            self.car([-1.75, 0.0, z], true, Motion::Straight([0.0, 0.0, speed]));
            z += between(self.stream, 14.0, 60.0);
        }
        if chance(self.stream, 55) {
            let ahead = between(self.stream, 11.0, 26.0);
            let swing = between(self.stream, -3.0, 3.0);
            let motion =
                if drive.speed > 0.0 { Motion::Ahead { swing } } else { Motion::Straight([0.0, 0.0, 0.3]) };
            self.car([1.75, 0.0, ahead], false, motion);
        }
    }

    /// A car whose middle is at `at`; one that is turned shows its front.
    fn car(&mut self, at: Vec3, turned: bool, motion: Motion) {
        if self.cars >= BASE {
            return;
        }
        let instance = Class::Car as u32 * BASE + self.cars;
        self.cars += 1;
        let base = pick(self.stream, &PAINTS);
        let paint = near(self.stream, base, 0.12);
        let long = between(self.stream, 1.95, 2.3);
        let (wide, belt) = (between(self.stream, 0.84, 0.93), between(self.stream, 0.86, 1.0));
        let van = chance(self.stream, 15);
        let roof = if van { between(self.stream, 0.9, 1.1) } else { between(self.stream, 0.52, 0.62) };
        let (back, front) = if van { (0.92, 0.8) } else { (between(self.stream, 0.55, 0.75), 0.42) };
        let home = |y: f32, ahead: f32| {
            let pose = Pose::at([at[0], at[1] + y, at[2] + if turned { -ahead } else { ahead }]);
            if turned { pose.turned(std::f32::consts::PI) } else { pose }
        };
        let shade = Solid::Disc { radii: [wide * 1.12, long * 1.06] };
        self.put(shade, home(0.012, 0.0), Class::Road, Class::Road as u32, Material::Shade, motion);
        let body = Solid::Block { foot: [wide, long], top: [wide * 0.97, long * 0.97], height: belt - 0.2 };
        self.put(
            body,
            home(0.2, 0.0),
            Class::Car,
            instance,
            Material::CarBody { paint, half_length: long },
            motion,
        );
        let cabin = Solid::Block {
            foot: [wide * 0.94, long * (back + front) / 2.0],
            top: [wide * 0.76, long * (back + front) / 2.0 * if van { 0.9 } else { 0.66 }],
            height: roof,
        };
        let middle = -long * (back - front) / 2.0;
        self.put(cabin, home(belt, middle), Class::Car, instance, Material::CarCabin { paint }, motion);
    }

    fn walkers(&mut self, ground: &Ground) {
        let crowd = 4 + self.stream.below(14);
        for _ in 0..crowd {
            let side = if chance(self.stream, 50) { 1.0 } else { -1.0 };
            let x = side * between(self.stream, KERB + 1.1, WALL - 0.5);
            let z = between(self.stream, 4.0, self.end * 0.6);
            let pace = between(self.stream, 0.05, 0.09) * if chance(self.stream, 50) { 1.0 } else { -1.0 };
            let pace = if chance(self.stream, 20) { 0.0 } else { pace };
            self.person([x, 0.0, z], [0.0, 0.0, pace]);
        }
        for (begin, _) in ground.crossings.iter().take(2) {
            if chance(self.stream, 60) {
                let side = if chance(self.stream, 50) { 1.0 } else { -1.0 };
                let from = side * between(self.stream, 1.0, KERB);
                let pace = -side * between(self.stream, 0.05, 0.09);
                let z = begin - between(self.stream, 1.8, 3.4);
                self.person([from, 0.0, z], [pace, 0.0, 0.0]);
            }
        }
    }

    fn person(&mut self, at: Vec3, speed: Vec3) {
        let instance = Class::Person as u32 * BASE + self.people;
        self.people += 1;
        let size = between(self.stream, 0.88, 1.1);
        let (coat, legs) = (pick(self.stream, &CLOTHES), pick(self.stream, &CLOTHES));
        let (coat, legs) = (near(self.stream, coat, 0.2), near(self.stream, legs, 0.2));
        let (skin, hair) = (pick(self.stream, &SKINS), pick(self.stream, &HAIR));
        // Walking ahead is along z; who walks across is turned.
        let heading = match speed {
            [x, _, _] if x > 0.0 => std::f32::consts::FRAC_PI_2,
            [x, _, _] if x < 0.0 => -std::f32::consts::FRAC_PI_2,
            [_, _, z] if z < 0.0 => std::f32::consts::PI,
            _ => 0.0,
        };
        let pace = speed[0].abs().max(speed[2].abs());
        let (rate, phase) = (pace * 5.5 / size, between(self.stream, 0.0, 6.28));
        let swing = if pace > 0.0 { 0.42 } else { 0.0 };
        let mut add = |solid: Solid, own: Vec3, colour: Vec3, angle: f32, hangs: bool| {
            let home = Pose::at(at).turned(heading);
            let home = Pose { origin: home.place(scale(own, size)), ..home };
            let home = if hangs { home.tilted(std::f32::consts::PI) } else { home };
            let motion = Motion::Limb { speed, rate, phase, angle: angle * swing };
            self.put(solid, home, Class::Person, instance, Material::Plain(colour), motion);
        };
        let oval = |x: f32, y: f32, z: f32| Solid::Ellipsoid { radii: scale([x, y, z], size) };
        add(oval(0.21, 0.34, 0.14), [0.0, 1.18, 0.0], coat, 0.0, false);
        add(oval(0.10, 0.13, 0.11), [0.0, 1.64, 0.02], skin, 0.0, false);
        add(oval(0.105, 0.10, 0.11), [0.0, 1.71, -0.02], hair, 0.0, false);
        let limb = |thick: f32, length: f32| {
            let (w, end) = (thick * size, thick * size * 0.7);
            Solid::Block { foot: [w, w], top: [end, end], height: length * size }
        };
        for (x, sign) in [(-0.1, 1.0), (0.1, -1.0)] {
            add(limb(0.1, 0.9), [x, 0.9, 0.0], legs, 0.5 * sign, true);
            add(limb(0.06, 0.66), [x * 2.4, 1.42, 0.0], coat, -0.6 * sign, true);
        }
    }
}
