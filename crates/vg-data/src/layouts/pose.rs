//! Bodies as coloured limbs out of OpenPose's files, and as DensePose's surface (vid2vid, official `data/pose_dataset.py`,
//! `data/keypoint2img.py`).

use std::path::Path;

use serde::Deserialize;
use vg_core::{Error, Result};

use super::{draw::line, pictures::Picture};

/// Half the width of a drawn limb, in pixels.
const PEN: f32 = 3.0;
/// Points of a body (BODY_25), of a hand and of a face.
const BODY: usize = 25;
const HAND: usize = 21;
const FACE: usize = 70;

/// Pairs of points of the body and the colour of the limb between them.
const LIMBS: [(usize, usize, [u8; 3]); 24] = [
    (17, 15, [153, 0, 153]),
    (15, 0, [153, 0, 102]),
    (0, 16, [102, 0, 153]),
    (16, 18, [51, 0, 153]),
    (0, 1, [153, 0, 51]),
    (1, 8, [153, 0, 0]),
    (1, 2, [153, 51, 0]),
    (2, 3, [153, 102, 0]),
    (3, 4, [153, 153, 0]),
    (1, 5, [102, 153, 0]),
    (5, 6, [51, 153, 0]),
    (6, 7, [0, 153, 0]),
    (8, 9, [0, 153, 51]),
    (9, 10, [0, 153, 102]),
    (10, 11, [0, 153, 153]),
    (8, 12, [0, 102, 153]),
    (12, 13, [0, 51, 153]),
    (13, 14, [0, 0, 153]),
    (11, 24, [0, 153, 153]),
    (11, 22, [0, 153, 153]),
    (22, 23, [0, 153, 153]),
    (14, 21, [0, 0, 153]),
    (14, 19, [0, 0, 153]),
    (19, 20, [0, 0, 153]),
];

/// The colour of each finger, whose points follow each other from the wrist.
const FINGERS: [[u8; 3]; 5] = [[204, 0, 0], [163, 204, 0], [0, 204, 82], [0, 82, 204], [163, 0, 204]];

/// Strokes of a face: first and last point, and whether they are joined.
const STROKES: [(usize, usize, bool); 9] = [
    (0, 16, false),
    (17, 21, false),
    (22, 26, false),
    (27, 30, false),
    (31, 35, false),
    (36, 41, true),
    (42, 47, true),
    (48, 59, true),
    (60, 67, true),
];

#[derive(Deserialize)]
struct Frame {
    people: Vec<Person>,
}

#[derive(Deserialize)]
struct Person {
    #[serde(default)]
    pose_keypoints_2d: Vec<f32>,
    #[serde(default)]
    face_keypoints_2d: Vec<f32>,
    #[serde(default)]
    hand_left_keypoints_2d: Vec<f32>,
    #[serde(default)]
    hand_right_keypoints_2d: Vec<f32>,
}

/// Points that were found with some confidence.
struct Points(Vec<Option<(f32, f32)>>);

impl Points {
    fn new(values: &[f32], count: usize, least: f32, what: &str, path: &Path) -> Result<Self> {
        if values.is_empty() {
            return Ok(Self(vec![None; count]));
        }
        if values.len() != 3 * count {
            let problem = format!(
                "{} numbers for the {what} of a person instead of {} (x, y, confidence)",
                values.len(),
                3 * count
            );
            return Err(Error::format(path, problem));
        }
        let point =
            |p: &[f32]| (p[2] > least && p[0].is_finite() && p[1].is_finite()).then_some((p[0], p[1]));
        Ok(Self(values.chunks_exact(3).map(point).collect()))
    }

    fn pair(&self, a: usize, b: usize) -> Option<((f32, f32), (f32, f32))> {
        Some((self.0[a]?, self.0[b]?))
    }
}

/// Draws the people of a file on black, at the size `(height, width)` of their frame.
///
/// # Errors
/// [`Error::Io`] for a file that cannot be read, [`Error::Format`] for one that is not OpenPose's.
pub(super) fn draw(path: &Path, (height, width): (usize, usize)) -> Result<Picture> {
    let text = std::fs::read(path).map_err(Error::io("reading", path))?;
    let frame: Frame = serde_json::from_slice(&text)
        .map_err(|e| Error::format(path, format!("not a file of OpenPose ({e})")))?;
    let mut picture = Picture::blank(height, width, 3);
    for person in &frame.people {
        let body = Points::new(&person.pose_keypoints_2d, BODY, 0.01, "body", path)?;
        for (a, b, colour) in LIMBS {
            if let Some((a, b)) = body.pair(a, b) {
                line(&mut picture, a, b, PEN, true, colour);
            }
        }
        for values in [&person.hand_left_keypoints_2d, &person.hand_right_keypoints_2d] {
            let hand = Points::new(values, HAND, 0.01, "hand", path)?;
            for (finger, colour) in FINGERS.into_iter().enumerate() {
                for joint in 0..4 {
                    let from = if joint == 0 { 0 } else { 4 * finger + joint };
                    if let Some((a, b)) = hand.pair(from, 4 * finger + joint + 1) {
                        line(&mut picture, a, b, 1.0, false, colour);
                    }
                }
            }
        }
        let face = Points::new(&person.face_keypoints_2d, FACE, 0.1, "face", path)?;
        for (first, last, joined) in STROKES {
            let along = (first..last).map(|k| (k, k + 1)).chain(joined.then_some((last, first)));
            for (a, b) in along.filter_map(|(a, b)| face.pair(a, b)) {
                line(&mut picture, a, b, 1.0, false, [255; 3]);
            }
        }
    }
    Ok(picture)
}

/// The value of a DensePose channel: the last one holds numbers of body parts, 0 to 24.
pub(super) fn dense(channel: usize, value: u8) -> f32 {
    if channel == 2 { f32::from(value) / 12.0 - 1.0 } else { f32::from(value) / 127.5 - 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn limbs_have_their_colours_and_unsure_points_are_left_out() {
        let mut values = vec![0.0; 75];
        values[..6].copy_from_slice(&[20.0, 10.0, 0.9, 20.0, 30.0, 0.9]);
        values[24..27].copy_from_slice(&[20.0, 60.0, 0.005]);
        let (_folder, path) = write(&format!("{{\"people\":[{{\"pose_keypoints_2d\":{values:?}}}]}}"));
        let picture = draw(&path, (80, 40)).unwrap();
        let at = |x: usize, y: usize| picture.data[(y * 40 + x) * 3..][..3].to_vec();
        assert_eq!(at(20, 20), [153, 0, 51]);
        assert_eq!((at(24, 20), at(25, 10), at(20, 50)), (vec![0; 3], vec![153, 0, 51], vec![0; 3]));
    }

    #[test]
    fn other_files_are_refused() {
        let message = |text: &str| {
            let (_folder, path) = write(text);
            draw(&path, (8, 8)).unwrap_err().to_string()
        };
        assert!(message("{}").contains("people"));
        assert!(message("{\"people\":[{\"pose_keypoints_2d\":[1,2,3]}]}").contains("3 numbers for the body"));
    }

    #[test]
    fn parts_of_the_body_reach_from_end_to_end() {
        assert_eq!([dense(2, 0), dense(2, 24), dense(2, 12), dense(0, 255)], [-1.0, 1.0, 0.0, 1.0]);
    }
}
