//! Figures out of layers, on a made-up package.

use std::path::Path;

use vg_data::{
    Dataset, FrameSize, OpenOptions, Split,
    maps::{MapKind, Values},
    open,
};

const SIZE: FrameSize = FrameSize { height: 96, width: 96, channels: 3 };

/// Each layer is a block of its colour, six pixels high, above that of the layer below; `swing` moves them.
fn package(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let order =
        (0..8).map(|d| format!("layer={d},main,feet,legs,hands,chest,head,off\n")).collect::<String>();
    std::fs::write(folder.join("engine-hero_layers.txt"), format!("# the first is at the back\n{order}"))
        .unwrap();
    let layers = ["feet", "legs", "hands", "chest", "head", "club", "buckler"];
    for body in ["female", "male"] {
        for (place, layer) in layers.into_iter().enumerate() {
            for number in 0..if place < 5 { 4 } else { 1 } {
                let name = if place < 5 { format!("n{number}_{layer}") } else { layer.to_owned() };
                let mut text = String::from("image=a.png\n");
                for (action, repeat, shift) in [("stance", "back_forth", 0), ("swing", "play_once", 4)] {
                    text += &format!("[{action}]\nframes=2\nduration=100ms\ntype={repeat}\n");
                    for (frame, direction) in (0..2).flat_map(|f| (0..8).map(move |d| (f, d))) {
                        let left = 5 - shift * frame;
                        text += &format!("frame={frame},{direction},0,0,10,6,{left},{}\n", 6 * place + 6);
                    }
                }
                std::fs::write(folder.join(format!("animations-avatar-{body}-{name}.txt")), text).unwrap();
                let alpha = if layer == "head" { 100 } else { 255 };
                let picture = image::RgbaImage::from_pixel(
                    12,
                    8,
                    image::Rgba([30 * place as u8, 200, 60 * number as u8, alpha]),
                );
                picture.save(folder.join(format!("images-avatar-{body}-{name}.png"))).unwrap();
            }
        }
    }
}

fn options(root: &Path, split: Split) -> OpenOptions {
    OpenOptions {
        root: root.to_path_buf(),
        cache: root.join("cache"),
        split,
        size: SIZE,
        clips: Some(40),
        ..OpenOptions::default()
    }
}

#[test]
fn layers_are_the_classes() {
    let root = tempfile::tempdir().unwrap();
    package(&root.path().join("sprites"));
    let set = open("sprites,frames=3", &options(root.path(), Split::Train)).unwrap();
    assert_eq!(set.info().classes["action"], ["stance", "swing"]);
    let clip = (0..40).find(|clip| set.label(*clip, "action") == Some(1)).unwrap();
    let frames = set.read(clip, &[0, 1, 2], SIZE).unwrap();
    let maps = set.read_maps(clip, &[0, 1, 2], SIZE, &[MapKind::Segmentation, MapKind::Instances]).unwrap();
    let Values::Ids(ids) = &maps[0].values else { panic!("floats") };
    assert_eq!(maps[0].values, maps[1].values);
    // Feet are six rows above 72, then legs and so on; a head that is hardly there is no class.
    for (rows, class) in [(66..72, 5), (60..66, 4), (54..60, 3), (48..54, 2), (42..48, 0)] {
        for y in rows {
            assert!((43..53).all(|x| ids[y * 96 + x] == class), "row {y}");
            assert_eq!(ids[y * 96 + 42], 0);
            // The blow goes to the right, and stays there.
            assert!(
                [1, 2]
                    .iter()
                    .all(|t| ids[(t * 96 + y) * 96 + 56] == class && ids[(t * 96 + y) * 96 + 46] == 0)
            );
        }
    }
    let pixel = |y: usize| frames.data[(y * 96 + 48) * 3];
    assert_eq!([pixel(70), pixel(64), pixel(50), pixel(5)], [0, 30, 90, 188]);
    // Head over background: 100 parts in 255 of 120 and the rest of 188.
    assert_eq!(pixel(44), 161);
}

#[test]
fn outfits_of_the_splits_differ() {
    let root = tempfile::tempdir().unwrap();
    package(&root.path().join("sprites"));
    // The blue values of the five layers of the body tell the outfit; the body is a label.
    let outfits = |split| {
        let set = open("sprites", &options(root.path(), split)).unwrap();
        let of = |clip: usize| {
            let frame = set.read(clip, &[0], SIZE).unwrap().data;
            let layers = [69, 63, 57, 51, 45].map(|y: usize| frame[(y * 96 + 46) * 3 + 2]);
            (set.label(clip, "body"), layers)
        };
        (0..40).map(of).collect::<std::collections::BTreeSet<_>>()
    };
    let (train, test) = (outfits(Split::Train), outfits(Split::Test));
    assert!(
        train.len() > 20 && test.len() > 10 && train.is_disjoint(&test),
        "{} {}",
        train.len(),
        test.len()
    );
}

#[test]
fn what_is_missing_is_named() {
    let root = tempfile::tempdir().unwrap();
    let message = || open("sprites", &options(root.path(), Split::Train)).err().unwrap().to_string();
    assert!(message().contains("cargo xtask download sprites"));
    let folder = root.path().join("sprites");
    package(&folder);
    for number in 0..4 {
        std::fs::remove_file(folder.join(format!("animations-avatar-male-n{number}_legs.txt"))).unwrap();
    }
    assert!(message().contains("no layer for legs of the male figures"), "{}", message());
    package(&folder);
    std::fs::write(folder.join("images-avatar-male-n0_legs.png"), "none").unwrap();
    let set = open("sprites", &options(root.path(), Split::Train)).unwrap();
    let error = (0..40).find_map(|clip| set.read(clip, &[0], SIZE).err()).unwrap().to_string();
    assert!(error.contains("n0_legs.png: not an image"), "{error}");
}
