//! What `street` promises: exact flow, valid maps, the same clips everywhere.

use super::*;
use super::{raster::Surface, vector::sub};

const SIZE: FrameSize = FrameSize { height: 64, width: 128, channels: 3 };

fn street() -> Street {
    Street::new(3, Split::Train, 50, FRAMES).unwrap()
}

fn seen(scene: &Scene, time: usize, size: FrameSize) -> Seen<'_> {
    let view = View::new(scene, time as f32, size.height, size.width);
    Seen { sights: view.sights(), view }
}

fn floats(map: &Map) -> &[f32] {
    match &map.values {
        Values::Floats(values) => values,
        Values::Ids(_) => panic!("a map of numbers"),
    }
}

fn ids(map: &Map) -> &[u32] {
    match &map.values {
        Values::Ids(values) => values,
        Values::Floats(_) => panic!("a map of floats"),
    }
}

/// A ray through the place that the flow tells meets the same point of the same body.
#[test]
fn flow_leads_to_the_same_point_of_the_same_surface() {
    let mut checked = 0;
    for clip in 0..6 {
        let scene = street().scene(clip);
        let (before, now) = (seen(&scene, 9, SIZE), seen(&scene, 12, SIZE));
        let pair = motion::pair(&now, &before, SIZE.height, SIZE.width);
        for (at, sight) in now.sights.iter().enumerate() {
            let Surface::Part(number) = sight.surface else { continue };
            if pair.confidence[at] == 0.0 {
                continue;
            }
            let (x, y) = ((at % SIZE.width) as f32, (at / SIZE.width) as f32);
            let (place, old) = (&now.view.poses[number as usize], &before.view.poses[number as usize]);
            let point = place.own(now.view.point(now.view.camera.ray(x, y), sight.depth));
            let (px, py) = (x + pair.flow[at], y + pair.flow[now.sights.len() + at]);
            let (from, along) =
                (old.own(before.view.camera.pose.origin), old.turn_back(before.view.camera.ray(px, py)));
            let Some(depth) = scene.parts[number as usize].solid.hit(from, along) else { continue };
            let met: [f32; 3] = std::array::from_fn(|k| from[k] + depth * along[k]);
            let off = sub(met, point).iter().map(|v| v * v).sum::<f32>().sqrt();
            // Thousandths of a pixel, seen on a surface that may be slanted.
            assert!(off < 1e-3 * depth, "clip {clip}, pixel {x} {y}: {off} m at {depth} m");
            checked += 1;
        }
    }
    assert!(checked > 10_000, "{checked}");
}

/// Mean difference of 8-bit values between a frame and another that is looked up with bilinear weights, where the flow is trusted.
fn warp_error(now: &[u8], before: &[u8], flow: &[f32], trusted: &[f32]) -> f64 {
    let (h, w) = (SIZE.height, SIZE.width);
    let (mut sum, mut count) = (0.0, 0.0);
    for at in (0..h * w).filter(|at| trusted[*at] == 1.0) {
        let x = ((at % w) as f32 + flow[at]).clamp(0.0, w as f32 - 1.0);
        let y = ((at / w) as f32 + flow[h * w + at]).clamp(0.0, h as f32 - 1.0);
        let (x0, y0) = (x.floor() as usize, y.floor() as usize);
        let (x1, y1) = ((x0 + 1).min(w - 1), (y0 + 1).min(h - 1));
        let (u, v) = (x - x0 as f32, y - y0 as f32);
        for c in 0..3 {
            let tap = |x: usize, y: usize| f32::from(before[(y * w + x) * 3 + c]);
            let top = tap(x0, y0) * (1.0 - u) + tap(x1, y0) * u;
            let low = tap(x0, y1) * (1.0 - u) + tap(x1, y1) * u;
            sum += f64::from((top * (1.0 - v) + low * v - f32::from(now[at * 3 + c])).abs());
            count += 1.0;
        }
    }
    sum / count
}

#[test]
fn a_frame_warped_by_the_flow_is_the_next_one() {
    let set = street();
    let (mut warped, mut still) = (0.0, 0.0);
    for clip in 0..8 {
        let frames = set.read(clip, &[10, 11], SIZE).unwrap();
        let maps = set.read_maps(clip, &[10, 11], SIZE, &[MapKind::Flow(1), MapKind::Confidence(1)]).unwrap();
        let (flow, trusted) = (floats(&maps[0]), floats(&maps[1]));
        let share = trusted.iter().sum::<f32>() / trusted.len() as f32;
        assert!(share > 0.6, "clip {clip}: {share}");
        let (before, now) = (frames.frame(0).unwrap(), frames.frame(1).unwrap());
        let error = warp_error(now, before, flow, trusted);
        // Of 255 levels: textures about as fine as a pixel are blurred by looking up between pixels.
        assert!(error < 5.0, "clip {clip}: {error}");
        warped += error;
        still += warp_error(now, before, &vec![0.0; flow.len()], trusted);
    }
    assert!(warped < 0.4 * still, "{warped} of {still}");
}

#[test]
fn ids_are_valid_and_every_class_is_seen() {
    let set = street();
    let mut counts = [0_usize; 10];
    for clip in 0..12 {
        let maps = set.read_maps(clip, &[0, 29], SIZE, &[MapKind::Segmentation, MapKind::Instances]).unwrap();
        for (class, instance) in ids(&maps[0]).iter().zip(ids(&maps[1])) {
            counts[*class as usize] += 1;
            let thing = [Class::Car as u32, Class::Person as u32].contains(class);
            let of = if *instance < layout::BASE { *instance } else { *instance / layout::BASE };
            assert!(of == *class && thing == (*instance >= layout::BASE), "{class} {instance}");
        }
    }
    let total: usize = counts.iter().sum();
    assert!(counts.iter().all(|n| *n > total / 4_000), "{counts:?}");
}

#[test]
fn flow_over_more_frames_is_between_frames_further_apart() {
    let set = street();
    let far = set.read_maps(1, &[4, 5, 6, 7], SIZE, &[MapKind::Flow(3)]).unwrap();
    let direct = set.read_maps(1, &[4, 7], SIZE, &[MapKind::Flow(1)]).unwrap();
    assert_eq!((far[0].frames, &far[0].values), (1, &direct[0].values));
}

#[test]
fn nothing_moves_between_a_frame_and_itself() {
    let maps = street().read_maps(2, &[8, 8], SIZE, &[MapKind::Flow(1), MapKind::Confidence(1)]).unwrap();
    assert!(floats(&maps[0]).iter().all(|v| v.abs() < 2e-3));
    let trusted = floats(&maps[1]);
    // Rounding of a hundredth of a pixel may look across a boundary.
    assert!(trusted.iter().sum::<f32>() > 0.995 * trusted.len() as f32);
}

#[test]
fn other_sizes_show_the_same_view() {
    let set = street();
    let large = FrameSize { height: 192, width: 384, channels: 3 };
    let [small, large] =
        [SIZE, large].map(|size| set.read_maps(4, &[3], size, &[MapKind::Segmentation]).unwrap());
    let (small, large) = (ids(&small[0]), ids(&large[0]));
    let same = (0..small.len()).filter(|at| small[*at] == large[(at / 128 * 3 + 1) * 384 + at % 128 * 3 + 1]);
    // Rounding tells which side of a boundary a pixel on it is on.
    assert!(same.count() + 4 > small.len());
}

/// Bit for bit on every machine: all arithmetic is of exact operations.
#[test]
fn clips_are_the_same_everywhere() {
    let set = street();
    let frames = set.read(0, &[0, 17], SIZE).unwrap();
    let maps = set.read_maps(0, &[0, 17], SIZE, &[MapKind::Instances]).unwrap();
    let bytes: Vec<u8> = ids(&maps[0]).iter().flat_map(|id| id.to_le_bytes()).collect();
    assert_eq!([crc32fast::hash(&frames.data), crc32fast::hash(&bytes)], [2_120_525_940, 1_568_330_753]);
}

#[test]
fn clips_depend_on_seed_split_and_number() {
    let make = |seed, split, clip| Street::new(seed, split, 9, 2).unwrap().read(clip, &[0], SIZE).unwrap();
    let one = make(1, Split::Train, 0);
    assert_eq!(one, make(1, Split::Train, 0));
    assert!(![make(2, Split::Train, 0), make(1, Split::Test, 0), make(1, Split::Train, 1)].contains(&one));
}

#[test]
fn what_cannot_be_made_is_refused() {
    assert!(Street::new(0, Split::Train, 1, 0).is_err() && Street::new(0, Split::Train, 0, 9).is_err());
    let set = street();
    let error = set.read(0, &[30], SIZE).unwrap_err().to_string();
    assert!(error.contains("frame 30"), "{error}");
    let tiny = FrameSize { height: 4, ..SIZE };
    assert!(set.read(0, &[0], tiny).unwrap_err().to_string().contains("8x8"));
    assert!(set.read_maps(0, &[0], SIZE, &[MapKind::Conditions]).is_err());
}
