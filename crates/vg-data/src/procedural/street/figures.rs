//! Puts cars and people into a street.

use super::{
    chance::{between, chance, near, pick},
    layout::{BASE, Draft},
    scene::{Class, Drive, Ground, KERB, Material, Motion, WALL},
    solid::Solid,
    vector::{Pose, Vec3, scale},
};

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

impl Draft<'_> {
    pub(super) fn parked(&mut self, ground: &Ground) {
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
    pub(super) fn traffic(&mut self, drive: &Drive) {
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

    pub(super) fn walkers(&mut self, ground: &Ground) {
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
        let (rate, phase) = (pace * 5.5 / size, between(self.stream, 0.0, std::f32::consts::TAU));
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
