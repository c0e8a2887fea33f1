//! What stands and moves in a street, and the light on it.

use super::{
    camera::Camera,
    solid::Solid,
    vector::{Pose, Vec3, sin_cos},
};

/// Classes of the maps, by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// Index 0.
    Sky,
    /// Index 1, the carriageway.
    Road,
    /// Index 2, paint on the road.
    LaneMarking,
    /// Index 3.
    Pavement,
    /// Index 4.
    Building,
    /// Index 5: trees, hedges and grass.
    Vegetation,
    /// Index 6.
    Car,
    /// Index 7.
    Person,
    /// Index 8.
    Pole,
    /// Index 9.
    TrafficSign,
}

/// Names of the classes in the order of their indices.
pub const CLASSES: [&str; 10] = [
    "sky",
    "road",
    "lane-marking",
    "pavement",
    "building",
    "vegetation",
    "car",
    "person",
    "pole",
    "traffic-sign",
];

/// How a surface looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Material {
    /// One colour with a little grain.
    Plain(Vec3),
    /// Walls with windows of the given widths and distances.
    Facade { wall: Vec3, glass: Vec3, bay: f32, storey: f32, shop: bool },
    /// Tiles.
    Roof(Vec3),
    /// Leaves.
    Leaves(Vec3),
    /// The lower half of a car: wheels, lights, number plate.
    CarBody { paint: Vec3, half_length: f32 },
    /// Its upper half: windows.
    CarCabin { paint: Vec3 },
    /// What a car darkens below itself.
    Shade,
    /// A board with a rim.
    Board { face: Vec3, rim: Vec3 },
}

/// A body with its place in the scene.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub solid: Solid,
    pub material: Material,
    pub class: Class,
    /// Value of the map of instances.
    pub instance: u32,
    /// Of its pattern.
    pub seed: u32,
    /// Where it stands in frame 0, before a limb is swung.
    pub home: Pose,
    pub motion: Motion,
}

/// How a part moves; times are in frames.
#[derive(Clone, Copy, Debug)]
pub(super) enum Motion {
    /// It stands.
    Still,
    /// Metres a frame.
    Straight(Vec3),
    /// With the camera's distance along the street, but for a slow swing of so many metres.
    Ahead { swing: f32 },
    /// Straight on, swinging about its origin: radians a frame, phase, and widest angle.
    Limb { speed: Vec3, rate: f32, phase: f32, angle: f32 },
}

/// The way of the camera; metres and radians by frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drive {
    pub speed: f32,
    /// Widest turn of the view, how quickly it turns, and where in the turn frame 0 is.
    pub turn: f32,
    pub rate: f32,
    pub phase: f32,
    /// Turn that goes on, a frame, and the frame at which it ends.
    pub bend: f32,
    pub bend_frames: f32,
    /// Place across the street at frame 0 and metres of the change of lane.
    pub lane: f32,
    pub drift: f32,
    /// Height above the road.
    pub height: f32,
}

/// The light on a clip.
#[derive(Clone, Copy, Debug)]
pub(super) struct Light {
    /// Towards the sun, of length one.
    pub sun: Vec3,
    pub sun_colour: Vec3,
    pub ambient: Vec3,
    pub zenith: Vec3,
    pub horizon: Vec3,
    /// Cover of clouds, 0 to 1.
    pub clouds: f32,
    /// Metres at which two thirds of the colour have turned to that of the horizon.
    pub haze: f32,
}

/// Where side streets cut through, and the colour of the road.
#[derive(Clone, Debug)]
pub(super) struct Ground {
    /// Begin of each side street along the street, and its width.
    pub crossings: Vec<(f32, f32)>,
    pub asphalt: f32,
    pub seed: u32,
}

/// One clip.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub parts: Vec<Part>,
    pub drive: Drive,
    pub light: Light,
    pub ground: Ground,
}

/// Half the width of the carriageway in metres.
pub(super) const KERB: f32 = 5.7;
/// Where the pavement ends.
pub(super) const WALL: f32 = 9.2;

impl Drive {
    /// Metres along the street.
    pub(super) fn travelled(&self, time: f32) -> f32 {
        self.speed * time
    }

    pub(super) fn pose(&self, time: f32) -> Pose {
        let (wave, _) = sin_cos(self.rate * time + self.phase);
        let (nod, _) = sin_cos(0.71 * time + self.phase);
        let yaw = self.turn * wave + self.bend * time.min(self.bend_frames);
        let across = self.lane + self.drift * ease(time / 40.0);
        Pose::at([across, self.height, self.travelled(time)]).turned(yaw).tilted(0.002 * nod)
    }

    pub(super) fn camera(&self, time: f32, height: usize, width: usize) -> Camera {
        Camera::new(self.pose(time), height, width)
    }
}

/// From 0 to 1 without a jerk.
fn ease(t: f32) -> f32 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

impl Part {
    /// Where it is at a time.
    pub(super) fn pose(&self, drive: &Drive, time: f32) -> Pose {
        let moved = |by: Vec3| Pose { origin: super::vector::add(self.home.origin, by), ..self.home };
        match self.motion {
            Motion::Still => self.home,
            Motion::Straight(speed) => moved(speed.map(|v| v * time)),
            Motion::Ahead { swing } => {
                moved([0.0, 0.0, drive.travelled(time) + swing * sin_cos(0.09 * time).0])
            }
            Motion::Limb { speed, rate, phase, angle } => {
                moved(speed.map(|v| v * time)).tilted(angle * sin_cos(rate * time + phase).0)
            }
        }
    }
}

impl Ground {
    /// The class of a place on the ground.
    pub(super) fn class(&self, x: f32, z: f32) -> Class {
        let side = x.abs();
        match self.crossing(z) {
            Some((into, width)) if side > KERB => {
                let kerb = into < 1.5 || into > width - 1.5;
                if kerb { Class::Pavement } else { Class::Road }
            }
            crossing => match side {
                _ if side > WALL => Class::Vegetation,
                _ if side > KERB => Class::Pavement,
                _ if crossing.is_none() && self.painted(x, z) => Class::LaneMarking,
                _ => Class::Road,
            },
        }
    }

    /// How far into a side street, and its width.
    pub(super) fn crossing(&self, z: f32) -> Option<(f32, f32)> {
        self.crossings
            .iter()
            .map(|(begin, width)| (z - begin, *width))
            .find(|(into, width)| (0.0..*width).contains(into))
    }

    /// Metres to the stripes for people in front of a side street, from their near end; none away from them.
    pub(super) fn zebra(&self, z: f32) -> Option<f32> {
        self.crossings.iter().map(|(begin, _)| z - (begin - 4.0)).find(|into| (0.0..2.8).contains(into))
    }

    fn painted(&self, x: f32, z: f32) -> bool {
        if self.zebra(z).is_some() {
            return x.abs() < 5.2 && x.rem_euclid(1.0) < 0.5;
        }
        let line = |at: f32| (x - at).abs() < LINE / 2.0;
        line(0.0) && z.rem_euclid(DASHES.0) < DASHES.1 || line(3.45) || line(-3.45)
    }
}

/// Width of a painted line.
pub(super) const LINE: f32 = 0.18;
/// Period of the dashes in the middle, and their length.
pub(super) const DASHES: (f32, f32) = (6.0, 3.0);
