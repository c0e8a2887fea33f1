//! Folders of frames with maps: what is read, and what is said about folders that are not laid out so.

use std::path::{Path, PathBuf};

use vg_core::{BatchSource, BatchSpec, ClipSpec, Pixels};
use vg_data::{
    Dataset, FrameSize, OpenOptions, Split,
    maps::{Map, MapKind, Values},
    open, source,
};

const SIZE: FrameSize = FrameSize { height: 16, width: 32, channels: 3 };

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("set")
    }

    fn options(&self) -> OpenOptions {
        OpenOptions { cache: self.0.path().join("cache"), size: SIZE, ..OpenOptions::default() }
    }

    fn open(&self, form: &str, options: &str) -> vg_core::Result<Box<dyn Dataset>> {
        open(&format!("{form}:{}{options}", self.root().display()), &self.options())
    }

    fn message(&self, form: &str, options: &str) -> String {
        self.open(form, options).err().map(|error| error.to_string()).unwrap_or_default()
    }

    fn grey(&self, path: &str, value: impl Fn(u32, u32) -> u8) {
        let picture = image::GrayImage::from_fn(64, 32, |x, y| image::Luma([value(x, y)]));
        save(&self.root().join(path), |path| picture.save(path).unwrap());
    }

    fn rgb(&self, path: &str, value: impl Fn(u32, u32) -> [u8; 3]) {
        let picture = image::RgbImage::from_fn(64, 32, |x, y| image::Rgb(value(x, y)));
        save(&self.root().join(path), |path| picture.save(path).unwrap());
    }

    fn text(&self, path: &str, text: &str) {
        save(&self.root().join(path), |path| std::fs::write(path, text).unwrap());
    }
}

fn save(path: &Path, write: impl FnOnce(&Path)) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    write(path);
}

/// Two sequences of three frames in the official layout: a bright square of class 26 moves over road.
fn cityscapes() -> Place {
    let place = Place::new();
    for sequence in ["a", "b"] {
        for frame in 0..3 {
            let square =
                move |x: u32, y: u32| (20 + 4 * frame..36 + 4 * frame).contains(&x) && (8..24).contains(&y);
            place.grey(&format!("train_A/{sequence}/l{frame}.png"), |x, y| if square(x, y) { 26 } else { 7 });
            place.rgb(&format!("train_B/{sequence}/f{frame}.png"), |x, y| {
                if square(x, y) { [200; 3] } else { [60, 80, 40] }
            });
            let ids = image::ImageBuffer::<image::Luma<u16>, Vec<u16>>::from_fn(64, 32, |x, y| {
                image::Luma([if square(x, y) { 26_001 } else { 7 }])
            });
            save(&place.root().join(format!("train_inst/{sequence}/i{frame}.png")), |path| {
                ids.save(path).unwrap()
            });
        }
    }
    place
}

fn ids(map: &Map) -> &[u32] {
    match &map.values {
        Values::Ids(ids) => ids,
        Values::Floats(_) => panic!("a map of floats"),
    }
}

fn floats(map: &Map) -> &[f32] {
    match &map.values {
        Values::Floats(floats) => floats,
        Values::Ids(_) => panic!("a map of numbers"),
    }
}

#[test]
fn labels_instances_and_frames_lie_on_each_other() {
    let place = cityscapes();
    let set = place.open("cityscapes", "").unwrap();
    assert_eq!((set.info().clips, set.frames(1)), (2, 3));
    assert_eq!(set.info().classes["segmentation"][26], "car");
    let frames = set.read(0, &[2], SIZE).unwrap();
    let maps = set.read_maps(0, &[2], SIZE, &[MapKind::Segmentation, MapKind::Instances]).unwrap();
    for (at, (class, instance)) in ids(&maps[0]).iter().zip(ids(&maps[1])).enumerate() {
        let (x, y) = (at % 32, at / 32);
        let square = (14..22).contains(&x) && (4..12).contains(&y);
        assert_eq!((*class, *instance), if square { (26, 26_001) } else { (7, 7) });
        assert_eq!(frames.data[at * 3] == 200, square, "{x} {y}");
    }
}

#[test]
fn batches_have_all_fields() {
    let place = cityscapes();
    let mut batches = source(place.open("cityscapes", ",flow=fast").unwrap(), 3);
    let clip = ClipSpec { frames: 3, height: 16, width: 32, channels: 3 };
    let maps = ["segmentation", "instances", "flow", "confidence", "flow-2"].map(str::to_owned).to_vec();
    let batch =
        batches.batch(&BatchSpec { maps, ..BatchSpec::clips(2, clip, Pixels::Symmetric) }, 0).unwrap();
    assert_eq!(batch.maps["instances"].dims(), [2, 1, 3, 16, 32]);
    assert_eq!(batch.maps["flow-2"].dims(), [2, 2, 1, 16, 32]);
}

#[test]
fn numbers_that_differ_are_named_with_both_folders() {
    let place = cityscapes();
    std::fs::remove_file(place.root().join("train_A/b/l1.png")).unwrap();
    let text = place.message("cityscapes", "");
    assert!(text.contains("train_A/b has 2 files") && text.contains("train_B/b has 3"), "{text}");
    std::fs::remove_dir_all(place.root().join("train_A/b")).unwrap();
    let text = place.message("cityscapes", "");
    assert!(text.contains("train_A has 1 sequences") && text.contains("train_B has 2"), "{text}");
    std::fs::remove_dir_all(place.root().join("train_A")).unwrap();
    let text = place.message("cityscapes", "");
    assert!(text.contains("train_A or seg_maps") && text.contains("train split"), "{text}");
    let test = OpenOptions { split: Split::Test, ..place.options() };
    let name = format!("cityscapes:{}", place.root().display());
    assert!(open(&name, &test).err().unwrap().to_string().contains("test_B"));
    assert!(place.message("cityscapes", "-gone").contains("there is no folder"));
}

#[test]
fn unknown_ids_are_named_or_mapped() {
    let place = cityscapes();
    place.grey("train_A/a/l1.png", |x, y| if (x, y) == (5, 9) { 255 } else { 7 });
    let strict = OpenOptions { strict: true, ..place.options() };
    let name = format!("cityscapes:{}", place.root().display());
    let text = open(&name, &strict).err().unwrap().to_string();
    assert!(text.contains("l1.png: label id 255 at column 5, row 9") && text.contains("void=ID"), "{text}");
    // Otherwise the sequence is left out and named.
    let set = place.open("cityscapes", "").unwrap();
    assert_eq!((set.info().clips, set.report().skipped.len()), (1, 1));
    assert!(set.report().skipped[0].name == "a" && set.report().skipped[0].problem.contains("255"));
    let set = place.open("cityscapes", ",void=0").unwrap();
    let full = FrameSize { height: 32, width: 64, channels: 3 };
    let map = set.read_maps(0, &[1], full, &[MapKind::Segmentation]).unwrap();
    assert_eq!((set.info().clips, ids(&map[0])[9 * 64 + 5]), (2, 0));
    assert!(place.message("cityscapes", ",void=35").contains("none of the 35 classes"));
}

#[test]
fn a_broken_frame_in_the_middle_is_named() {
    let place = cityscapes();
    place.text("train_B/a/f1.png", "no picture");
    let strict = OpenOptions { strict: true, ..place.options() };
    let name = format!("cityscapes:{}", place.root().display());
    let text = open(&name, &strict).err().unwrap().to_string();
    assert!(text.contains("train_B/a/f1.png: damaged"), "{text}");
    let set = place.open("cityscapes", "").unwrap();
    assert_eq!(set.info().clips, 1);
    assert!(set.report().skipped[0].problem.contains("f1.png"), "{:?}", set.report());
    place.text("train_B/b/f2.png", "no picture");
    assert!(place.message("cityscapes", "").contains("none of its 2 sequences is a clip"));
}

#[test]
fn maps_of_another_size_or_with_colours_are_refused() {
    let place = cityscapes();
    let small = image::GrayImage::new(32, 32);
    small.save(place.root().join("train_inst/a/i0.png")).unwrap();
    place.rgb("train_A/b/l0.png", |_, _| [7; 3]);
    let text = place.message("cityscapes", "");
    assert!(text.contains("none of its 2 sequences"), "{text}");
    std::fs::remove_dir_all(place.root().join("train_A/b")).unwrap();
    std::fs::remove_dir_all(place.root().join("train_B/b")).unwrap();
    std::fs::remove_dir_all(place.root().join("train_inst/b")).unwrap();
    let text = place.message("cityscapes", "");
    assert!(text.contains("32x32 pixels, but its frame") && text.contains("64x32"), "{text}");
}

#[test]
fn instances_that_are_missing_are_asked_for_in_vain() {
    let place = cityscapes();
    std::fs::remove_dir_all(place.root().join("train_inst")).unwrap();
    let mut batches = source(place.open("cityscapes", "").unwrap(), 0);
    let clip = ClipSpec { frames: 2, height: 16, width: 32, channels: 3 };
    let maps = vec!["instances".to_owned()];
    let error = batches.batch(&BatchSpec { maps, ..BatchSpec::clips(1, clip, Pixels::Unit) }, 0).unwrap_err();
    assert!(error.to_string().contains("no condition map \"instances\""), "{error}");
}

#[test]
fn a_folder_of_maps_needs_the_names_of_its_classes() {
    let place = Place::new();
    for split in ["train", "test"] {
        for frame in 0..2 {
            place.rgb(&format!("{split}/images/{frame}.png"), |x, _| [x as u8, 0, 0]);
            place.grey(&format!("{split}/maps/{frame}.png"), |x, _| u8::from(x > 31));
        }
    }
    let text = place.message("maps", "");
    assert!(text.contains("classes.txt") && text.contains("classes=N"), "{text}");
    assert_eq!(place.open("maps", ",classes=2").unwrap().info().clips, 1);
    place.text("classes.txt", "left\nright\n");
    let set = place.open("maps", "").unwrap();
    assert_eq!(set.info().classes["segmentation"], ["left", "right"]);
    let test = OpenOptions { split: Split::Test, ..place.options() };
    assert_eq!(open(&format!("maps:{}", place.root().display()), &test).unwrap().info().clips, 1);
    assert!(place.message("maps", ",flow=slow").contains("medium, fast, ultrafast"));
}

#[test]
fn faces_are_cut_out_and_drawn() {
    let place = Place::new();
    for frame in 0..2 {
        place.rgb(&format!("train_img/a/{frame}.png"), |x, y| [(x * 3) as u8, (y * 7) as u8, 90]);
        let point = |k: usize| {
            let turn = k as f32 / 68.0 * std::f32::consts::TAU;
            format!("{},{}\n", 32.0 + 5.0 * turn.cos(), 16.0 + 5.0 * turn.sin())
        };
        place.text(&format!("train_keypoints/a/{frame}.txt"), &(0..68).map(point).collect::<String>());
    }
    let set = place.open("face", "").unwrap();
    let square = FrameSize { height: 32, width: 32, channels: 3 };
    let map = &set.read_maps(0, &[0, 1], square, &[MapKind::Conditions]).unwrap()[0];
    assert_eq!((map.channels, map.frames), (15, 2));
    assert!(floats(map).iter().all(|v| (0.0..=1.0).contains(v)));
    let edges = &floats(map)[..2 * 32 * 32];
    assert!(edges.iter().filter(|v| **v > 0.5).count() > 40);
    // The square is 25 pixels wide, so its left side shows column 19.
    let red = set.read(0, &[0], square).unwrap().data[0];
    assert!((55..62).contains(&red), "{red}");
    place.text("train_keypoints/a/1.txt", "1,2\n");
    let text = place.message("face", "");
    assert!(text.contains("1 landmarks instead of 68"), "{text}");
}

#[test]
fn poses_come_from_one_folder_or_both() {
    let place = Place::new();
    for frame in 0..2 {
        place.rgb(&format!("images/a/{frame}.png"), |_, _| [9; 3]);
        place
            .rgb(&format!("pose_maps-densepose/a/{frame}.png"), |x, _| [255, 0, if x < 32 { 24 } else { 0 }]);
    }
    let conditions = |place: &Place| {
        let set = place.open("pose", "").unwrap();
        set.read_maps(0, &[0], SIZE, &[MapKind::Conditions]).unwrap().remove(0)
    };
    let dense = conditions(&place);
    assert_eq!(
        (dense.channels, floats(&dense)[0], floats(&dense)[2 * 512], floats(&dense)[2 * 512 + 31]),
        (3, 1.0, 1.0, -1.0)
    );
    for frame in 0..2 {
        let points: Vec<f32> = (0..75).map(|k| [30.0, 4.0 + k as f32 / 3.0, 1.0][k % 3]).collect();
        place.text(
            &format!("poses-openpose/a/{frame}.json"),
            &format!("{{\"people\":[{{\"pose_keypoints_2d\":{points:?}}}]}}"),
        );
    }
    let both = conditions(&place);
    assert_eq!((both.channels, floats(&both)[3 * 512]), (6, -1.0));
    assert!(floats(&both)[3 * 512..].iter().any(|v| (*v - 0.2).abs() < 1e-6));
    place.text("poses-openpose/a/1.json", "[1, 2]");
    assert!(place.message("pose", "").contains("not a file of OpenPose"));
}
