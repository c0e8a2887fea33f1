//! Sets that a person fetches, and clips out of videos.

mod program;

use std::process::Command;

use program::Place;

/// A small GIF of `frames` grey frames.
fn gif(place: &Place, name: &str, frames: u8) {
    let path = place.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let palette: Vec<u8> = (0..=255).flat_map(|v| [v; 3]).collect();
    let mut encoder = gif::Encoder::new(std::fs::File::create(path).unwrap(), 20, 20, &palette).unwrap();
    for k in 0..frames {
        encoder.write_frame(&gif::Frame::from_indexed_pixels(20, 20, vec![k * 5; 400], None)).unwrap();
    }
}

#[test]
fn a_person_is_told_what_to_do_and_the_files_are_accepted() {
    let place = Place::new();
    let steps =
        ["terms: the owners give access", "1. read the licence", "layout of data/mug", "mug.ee.auth.gr"];
    place.error("download mug", &steps);
    assert!(place.names(".").is_empty(), "nothing is written");
    place.error("train tgan --preset tiny --data mug", &["has to be fetched by a person"]);
    let described = place.good("download mug --dry-run --json").stdout;
    assert!(Place::json(&described)[0]["manual"]["needs"].as_array().unwrap().len() == 6);
    for class in ["anger", "disgust", "fear", "happiness", "sadness", "surprise"] {
        gif(&place, &format!("mine/{class}/a.gif"), 18);
    }
    std::fs::rename(place.join("mine/fear"), place.join("mine/afraid")).unwrap();
    place.error("download mug --from mine", &["missing in", ": fear; expected is EXPRESSION/CLIP"]);
    gif(&place, "mine/fear/a.gif", 18);
    place.error("download mug --from mine", &["\"afraid\"", "expected"]);
    std::fs::remove_dir_all(place.join("mine/afraid")).unwrap();
    let accepted = place.good("download mug --from mine --json");
    assert!(
        accepted.stderr.contains("warning: mug: 6 train and 0 test clips; the paper has 1254"),
        "{accepted:?}"
    );
    assert_eq!(Place::json(&accepted.stdout)[0]["train"], 6);
    let listed = Place::json(&place.good("datasets --json").stdout);
    assert!(listed.iter().any(|set| set["name"] == "mug" && set["state"] == "downloaded"));
    let run = place.good("train tgan --preset tiny --samples 1 --steps 1 --data mug --out run");
    assert!(run.stderr.contains("mug (train), 6 clips"), "{run:?}");
    // Files in the set's own folder need no --from.
    std::fs::create_dir(place.join("data2")).unwrap();
    std::fs::rename(place.join("mine"), place.join("data2/mug")).unwrap();
    assert!(place.good("download mug --root data2").stdout.contains("6 train and 0 test"));
    place.error("download mug", &["anger is missing in"]);
}

#[test]
fn official_lists_are_the_splits_of_ucf101() {
    let place = Place::new();
    for name in ["Archery/v_Archery_g08_c01.avi", "Basketball/v_Basketball_g01_c01.avi"] {
        gif(&place, &format!("data/ucf101/UCF-101/{name}"), 18);
    }
    let lists = place.join("data/ucf101/ucfTrainTestlist");
    std::fs::create_dir(&lists).unwrap();
    let write = |name: &str, text: &str| std::fs::write(lists.join(name), text).unwrap();
    write("trainlist01.txt", "Archery/v_Archery_g08_c01.avi 1\r\n");
    write("testlist01.txt", "Basketball/v_Basketball_g01_c01.avi\r\n");
    place.error("download ucf101", &["classInd.txt is missing"]);
    write("classInd.txt", "1 Archery\r\n2 Basketball\r\n");
    let accepted = place.good("download ucf101");
    assert!(accepted.stdout.contains("1 train and 1 test clips"), "{accepted:?}");
    place.good("train tgan --preset tiny --samples 1 --steps 1 --data ucf101 --split test --out run");
    if Command::new("ffmpeg").arg("-version").output().is_err() {
        return;
    }
    // Sixteen frames are left of eighteen.
    let made = place.good("stabilize ucf101 data/vgan-ucf101 --size 32 --json");
    assert_eq!(Place::json(&made.stdout)[0]["clips"], 2);
    assert_eq!(
        place.text("data/vgan-ucf101/test.txt"),
        "test/Basketball/v_Basketball_g01_c01.avi/000.jpg 2\n"
    );
    assert!(place.good("download vgan-ucf101").stdout.contains("1 train and 1 test clips"));
    place.good("train tgan --preset tiny --samples 1 --steps 1 --data vgan-ucf101 --split test --out run2");
}

#[test]
fn videos_become_a_set_of_strips() {
    let place = Place::new();
    place.error("stabilize nowhere out", &["neither a folder nor the name of a set"]);
    place.error("stabilize shapes out", &["no set of videos"]);
    gif(&place, "videos/a/one.gif", 34);
    gif(&place, "videos/b/two.gif", 25);
    place.error("stabilize videos videos/out", &["lies in videos"]);
    place.error("stabilize videos out --ffmpeg no-such-ffmpeg", &["no-such-ffmpeg", "install ffmpeg"]);
    assert!(!place.join("out").exists());
    if Command::new("ffmpeg").arg("-version").output().is_err() {
        return;
    }
    std::fs::write(place.join("videos/a/broken.mp4"), b"\0\0\0\x18ftypmp42").unwrap();
    let made = place.good("stabilize videos out --size 16");
    assert!(made.stdout.contains("2 clips of 2 videos") && made.stdout.contains("1 broken"), "{made:?}");
    assert!(made.stderr.contains("a/broken.mp4"), "{made:?}");
    assert_eq!(place.text("out/list.txt"), "a/one.gif/000.jpg 1\nb/two.gif/000.jpg 2\n");
    let run = place.good("train tgan --preset tiny --samples 1 --steps 1 --data strips:out --out run");
    assert!(run.stderr.contains("2 clips"), "{run:?}");
    place.good("train --resume run --steps 2");
}

#[test]
fn sets_are_described_with_their_options_splits_and_labels() {
    let place = Place::new();
    let kth = place.good("datasets kth").stdout;
    assert!(kth.contains("a person fetches it") && kth.contains("1. download the six archives"), "{kth}");
    for action in ["boxing", "walking"] {
        gif(&place, &format!("data/kth/person01_{action}_d1.gif"), 18);
    }
    let kth = place.good("datasets kth").stdout;
    assert!(kth.contains("kth: 2 train clips, no test clips") && kth.contains("person21_boxing_d1"), "{kth}");
    assert!(kth.contains("class, 6 classes: boxing, handclapping"), "{kth}");
    let digits = Place::json(&place.good("datasets digits,digits=1 --json").stdout);
    assert_eq!(digits[0]["parts"]["groups"]["class"].as_array().unwrap().len(), 10);
    assert_eq!(digits[0]["parts"]["test"], 1000);
    place.error("datasets digits,digits=7", &["a number of 1 to 4"]);
    place.error("datasets kht", &["there is no data set \"kht\"", "did you mean \"kth\"?"]);
    place.error("download mnist,digits=1", &["has no options", "cargo xtask download mnist"]);
    let train = "train tgan --preset tiny --samples 1 --steps 1";
    place.error(&format!("{train} --data mnist"), &["cargo xtask download mnist"]);
    place.error(&format!("{train} --data shapes,digits=1"), &["no options"]);
    // The record keeps the options: a resumed run opens the same set.
    let run = place.good(&format!("{train} --data digits,digits=1,bounce=mirror --out run"));
    assert!(run.stderr.contains("drawn in code, as MNIST is not there"), "{run:?}");
    place.good("train --resume run --steps 2");
    assert!(place.text("run/run.json").contains("digits,digits=1,bounce=mirror"));
}
