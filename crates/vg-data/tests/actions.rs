//! KTH, Weizmann and MoCoGAN's strips of it, chairs: names, labels, splits, segments, mistakes.

use std::path::PathBuf;

use image::{ImageFormat, Rgb, RgbImage};
use vg_core::{Batch, BatchSource, BatchSpec, ClipSpec, Error, Pixels};
use vg_data::{
    Dataset, Ffmpeg, FrameSize, Frames, OpenOptions, Split, groups, manifest, manual, media, open, source,
};

const SIZE: FrameSize = FrameSize { height: 4, width: 4, channels: 1 };
const KTH: [&str; 6] = ["boxing", "handclapping", "handwaving", "jogging", "running", "walking"];

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn path(&self, name: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }
    fn text(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }
    /// A grey clip whose frame k is `k + value` everywhere.
    fn clip(&self, name: &str, frames: usize, value: u8) {
        let size = FrameSize { height: 4, width: 4, channels: 3 };
        let data = (0..frames).flat_map(|k| vec![k as u8 + value; size.bytes()]).collect();
        let gif = self.path("one.gif");
        media::write(&gif, &Frames::from_bytes(frames, size, data).unwrap(), 10.0).unwrap();
        std::fs::rename(gif, self.path(name)).unwrap();
    }
    fn strip(&self, name: &str, frames: u32) {
        let pixel = |x: u32, _| Rgb([(x / 4) as u8; 3]);
        RgbImage::from_fn(4 * frames, 4, pixel).save_with_format(self.path(name), ImageFormat::Png).unwrap();
    }
    fn options(&self, split: Split) -> OpenOptions {
        let (root, cache) = (self.path("data"), self.path("cache"));
        OpenOptions { root, cache, size: SIZE, split, ..OpenOptions::default() }
    }
    fn open(&self, name: &str, split: Split) -> Box<dyn Dataset> {
        open(name, &self.options(split)).unwrap()
    }
    fn message(&self, name: &str, split: Split) -> String {
        open(name, &self.options(split)).err().map(|e| e.to_string()).unwrap_or_default()
    }
    fn kth(&self) {
        for (i, action) in KTH.iter().enumerate() {
            for person in [1, 20, 21] {
                let name = format!("data/kth/{action}/person{person:02}_{action}_d1_uncomp.avi");
                self.clip(&name, 10 + i, 10 * i as u8);
            }
        }
    }
}

/// The value of every frame of a clip.
fn values(set: &dyn Dataset, clip: usize) -> Vec<u8> {
    let all: Vec<usize> = (0..set.frames(clip)).collect();
    set.read(clip, &all, SIZE).unwrap().iter().map(|frame| frame[5]).collect()
}

fn batch(set: Box<dyn Dataset>, clips: usize, frames: usize, labels: &[&str]) -> Batch {
    let clip = ClipSpec { frames, height: 4, width: 4, channels: 1 };
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    source(set, 5).batch(&BatchSpec { labels, ..BatchSpec::clips(clips, clip, Pixels::Unit) }, 0).unwrap()
}

#[test]
fn kth_is_split_by_persons_and_labelled_by_action() {
    let place = Place::new();
    place.kth();
    let (train, test) = (place.open("kth", Split::Train), place.open("kth", Split::Test));
    assert_eq!((train.info().clips, test.info().clips), (12, 6));
    assert_eq!(train.info().classes["class"], KTH);
    assert_eq!((0..6).map(|c| test.label(c, "class").unwrap()).collect::<Vec<_>>().len(), 6);
    for clip in 0..6 {
        let action = test.label(clip, "class").unwrap() as u8;
        assert_eq!(values(&*test, clip), (0..10 + action).map(|k| k + 10 * action).collect::<Vec<_>>());
    }
    let labels = batch(train, 8, 10, &["class"]);
    assert_eq!(labels.labels["class"].dims(), [8]);
}

#[test]
fn segments_of_an_index_are_clips_drawn_by_action_video_and_segment() {
    let place = Place::new();
    place.kth();
    let mut index = String::from("some words first\n");
    for action in KTH {
        // The second segment reaches past the end of most videos and ends there; person 20 has one segment.
        index += &format!("person01_{action}_d1\t\tframes\t1-4, 5-12\nperson20_{action}_d1 frames 2-9\n");
        index += &format!("person21_{action}_d1 frames 1-3,4-6,7-9\n");
    }
    place.text("data/kth/00sequences.txt", &index);
    let (train, test) = (place.open("kth", Split::Train), place.open("kth", Split::Test));
    assert_eq!((train.info().clips, test.info().clips), (18, 18));
    assert_eq!(train.frames(0), 4);
    let boxing: Vec<Vec<u8>> =
        (0..18).filter(|c| train.label(*c, "class") == Some(0)).map(|c| values(&*train, c)).collect();
    assert_eq!(boxing, [(0..4).collect::<Vec<u8>>(), (4..10).collect(), (1..9).collect()]);
    assert_eq!(values(&*test, 1), [3, 4, 5]);
    assert_ne!(train.info().fingerprint, test.info().fingerprint);
    // Of eight frames there are: person 20 of every action, and the second segment of person 1 where the video has twelve frames.
    let drawn = batch(place.open("kth", Split::Train), 300, 8, &["class"]);
    let labels: Vec<u32> = drawn.labels["class"].to_vec1().unwrap();
    // Actions are drawn alike and short segments drawn again: half of an action's draws stay, or three quarters.
    let of = |class: u32| labels.iter().filter(|label| **label == class).count();
    let expected = [2.0, 2.0, 3.0, 3.0, 3.0, 3.0].map(|part| 300.0 * part / 16.0);
    for (class, expected) in (0..6).zip(expected) {
        let off = (of(class) as f64 - expected).abs();
        assert!(off < 4.0 * f64::sqrt(expected), "class {class}: {} for {expected}", of(class));
    }
    place.text("data/kth/00sequences.txt", &index.replace("1-4, 5-12", "1-4, 11-12"));
    let set = place.open("kth", Split::Train);
    let problem = &set.report().skipped[0];
    assert!(problem.problem.contains("frames 11 to 12 begins past the end, it has 10 frames"), "{problem:?}");
}

#[test]
fn mistakes_in_kth_are_named() {
    let place = Place::new();
    assert!(
        place
            .message("kth", Split::Train)
            .contains("a file such as person01_boxing_d1_uncomp.avi is missing")
    );
    assert!(place.message("kth", Split::Train).contains("download the six archives"));
    std::fs::create_dir_all(place.path("data/kth/boxing")).unwrap();
    assert!(place.message("kth", Split::Train).contains("has to be fetched by a person"));
    place.clip("data/kth/boxing/person01_boxing_d1_uncomp.avi", 9, 0);
    let message = place.message("kth", Split::Test);
    assert!(message.contains("no video of the test split") && message.contains("person21"), "{message}");
    place.text("data/kth/kth_indices.txt", "person01_boxing_d1 frames 1-95; 96\n");
    assert!(place.message("kth", Split::Train).contains("line 1"), "{}", place.message("kth", Split::Train));
    place.text("data/kth/kth_indices.txt", "person02_boxing_d1 frames 1-9\n");
    let strict = OpenOptions { strict: true, ..place.options(Split::Train) };
    let refused = open("kth", &strict).err().unwrap().to_string();
    assert!(refused.contains("there is no line for person01_boxing_d1"), "{refused}");
    place.text("data/kth/kth_indices.txt", "person01_boxing_d1 frames 1-9\n");
    place.clip("data/kth/person01_boxing_d1.gif", 9, 0);
    assert!(place.message("kth", Split::Train).contains("is there twice"));
    std::fs::remove_file(place.path("data/kth/person01_boxing_d1.gif")).unwrap();
    place.text("data/kth/person03_boxing_d1_uncomp.avi", "RIFF");
    let set = place.open("kth", Split::Train);
    assert_eq!((set.info().clips, set.report().skipped.len()), (1, 1));
    assert!(matches!(open("kth", &strict), Err(Error::Format { .. })));
}

#[test]
fn kth_videos_are_scaled_whole_through_ffmpeg() {
    if !Ffmpeg::default().is_installed() {
        return;
    }
    let place = Place::new();
    // The outer eighths of the width are white; a crop to the middle would lose them.
    let size = FrameSize { height: 120, width: 160, channels: 3 };
    let pixel = |i: usize| if (20..140).contains(&(i / 3 % 160)) { 0 } else { 255 };
    let data: Vec<u8> = (0..6 * size.bytes()).map(pixel).collect();
    let source_clip = Frames::from_bytes(6, size, data).unwrap();
    let video = place.path("one.mp4");
    media::write(&video, &source_clip, 25.0).unwrap();
    std::fs::rename(video, place.path("data/kth/person02_walking_d2_uncomp.avi")).unwrap();
    let set = place.open("kth", Split::Train);
    let wide = FrameSize { height: 64, width: 64, channels: 1 };
    let frame = set.read(0, &[0], wide).unwrap();
    assert_eq!(set.frames(0), 6);
    assert!(frame.data[2] > 230 && frame.data[61] > 230 && frame.data[32] < 25, "{:?}", &frame.data[..64]);
}

const ACTIONS: [&str; 10] =
    ["bend", "jack", "jump", "pjump", "run", "side", "skip", "walk", "wave1", "wave2"];

#[test]
fn weizmann_has_ten_actions_nine_persons_and_a_split_in_time() {
    let place = Place::new();
    for (i, action) in ACTIONS.iter().enumerate() {
        place.clip(&format!("data/weizmann/{action}/daria_{action}.avi"), 30 + i, 0);
    }
    place.clip("data/weizmann/run/lena_run1.avi", 31, 0);
    place.clip("data/weizmann/run/lena_run2.avi", 32, 0);
    place.text("data/weizmann/notes.txt", "no clip");
    place.clip("data/weizmann/misnamed.gif", 9, 0);
    let set = place.open("weizmann", Split::Train);
    assert_eq!((set.info().clips, &set.info().classes["class"][..]), (12, &ACTIONS.map(str::to_owned)[..]));
    assert_eq!(
        (set.info().classes["identity"].len(), set.info().classes["identity"][5].as_str()),
        (9, "lena")
    );
    assert_eq!((set.label(5, "class"), set.label(5, "identity")), (Some(4), Some(5)));
    assert!(set.report().skipped[0].problem.contains("PERSON_ACTION"));
    let message = place.message("weizmann", Split::Test);
    assert!(message.contains("no test split") && message.contains("weizmann,time-split"), "{message}");
    let [train, test] = [Split::Train, Split::Test].map(|split| place.open("weizmann,time-split", split));
    for clip in 0..12 {
        let (first, rest, whole) = (values(&*train, clip), values(&*test, clip), values(&*set, clip));
        assert_eq!(first.len(), 2 * whole.len() / 3);
        assert_eq!([first, rest].concat(), whole);
        assert_eq!(train.label(clip, "identity"), test.label(clip, "identity"));
    }
    let labelled = batch(train, 6, 10, &["class", "identity"]);
    assert_eq!(
        (labelled.label("class").unwrap().dims(), labelled.label("identity").unwrap().dims()),
        (&[6][..], &[6][..])
    );
    let nine = place.open("weizmann,no-skip", Split::Train);
    assert_eq!((nine.info().clips, nine.info().classes["class"].len()), (11, 9));
    assert_eq!(nine.info().classes["class"][nine.label(8, "class").unwrap() as usize], "walk");
    std::fs::remove_dir_all(place.path("data/weizmann/skip")).unwrap();
    assert!(place.message("weizmann", Split::Train).contains("no video of the action skip"));
    assert!(place.message("weizmann", Split::Train).contains("weizmann,no-skip"));
    std::fs::remove_dir_all(place.path("data/weizmann/jack")).unwrap();
    assert!(place.message("weizmann,no-skip", Split::Train).contains("daria_jack.avi"));
    assert!(place.message("weizmann,split", Split::Train).contains("time-split"));
}

#[test]
fn weizmann_videos_may_lie_flat() {
    let place = Place::new();
    ACTIONS.iter().for_each(|action| place.clip(&format!("data/weizmann/ido_{action}.avi"), 12, 0));
    assert_eq!(place.open("weizmann", Split::Train).label(9, "identity"), Some(3));
}

#[test]
fn strips_tell_persons_by_their_numbers() {
    let place = Place::new();
    for number in 0..72_usize {
        let class = ["1", "0", "3", "4"][number % 8 / 2];
        place.strip(&format!("data/weizmann-strips/{class}/{number:08}.jpg"), 33 + number as u32 / 8);
    }
    let set = place.open("weizmann-strips", Split::Train);
    assert_eq!(set.info().classes["class"], ["wave1", "wave2", "jack", "bend"]);
    assert_eq!(set.info().clips, 72);
    let counts = |group: &str, n: u32| -> Vec<usize> {
        (0..n).map(|i| (0..72).filter(|c| set.label(*c, group) == Some(i)).count()).collect()
    };
    assert_eq!((counts("class", 4), counts("identity", 9)), (vec![18; 4], vec![8; 9]));
    let [train, test] =
        [Split::Train, Split::Test].map(|split| place.open("weizmann-strips,time-split", split));
    assert_eq!((values(&*train, 0), values(&*test, 0)), ((0..22).collect(), (22..33).collect()));
    // A copy in the wrong folder is left out.
    place.strip("data/weizmann-strips/0/00000000.jpg", 33);
    let set = place.open("weizmann-strips", Split::Train);
    assert!(set.report().skipped[0].problem.contains("shows wave2"), "{}", set.report());
    std::fs::remove_dir_all(place.path("data/weizmann-strips/4")).unwrap();
    assert!(place.message("weizmann-strips", Split::Train).contains("4 is missing"));
    std::fs::create_dir(place.path("data/weizmann-strips/4")).unwrap();
    assert!(place.message("weizmann-strips", Split::Train).contains("4: the class is empty"));
}

#[test]
fn chairs_turn_both_ways_at_two_elevations() {
    let place = Place::new();
    let view = |model: usize, elevation: u32, azimuth: u32| {
        let name = format!(
            "data/chairs/rendered_chairs/m{model}/renders/image_{azimuth:03}_p{elevation:03}_t{:03}_r096.png",
            azimuth * 11
        );
        RgbImage::from_pixel(4, 4, Rgb([(azimuth + elevation) as u8; 3])).save(place.path(&name)).unwrap();
    };
    for model in 0..12 {
        (0..31)
            .for_each(|azimuth| [20, 30].into_iter().for_each(|elevation| view(model, elevation, azimuth)));
    }
    let (train, test) = (place.open("chairs", Split::Train), place.open("chairs", Split::Test));
    assert_eq!(train.info().clips + test.info().clips, 12 * 4);
    assert!(test.info().clips > 0);
    assert_eq!(
        (&train.info().classes["elevation"][..], train.info().classes["direction"].len()),
        (&["20".to_owned(), "30".to_owned()][..], 2)
    );
    let around: Vec<u8> = (0..46).map(|k| 20 + k % 31).collect();
    let clip =
        (0..4).find(|c| (train.label(*c, "elevation"), train.label(*c, "direction")) == (Some(0), Some(0)));
    assert_eq!(values(&*train, clip.unwrap()), around);
    let back =
        (0..4).find(|c| (train.label(*c, "elevation"), train.label(*c, "direction")) == (Some(1), Some(1)));
    assert_eq!(
        values(&*train, back.unwrap())[..33],
        (0..31).rev().chain([30, 29]).map(|k| k + 30).collect::<Vec<_>>()[..]
    );
    let labelled = batch(train, 4, 16, &["elevation", "direction"]);
    assert_eq!(labelled.label("direction").unwrap().dims(), [4]);
    std::fs::remove_dir_all(place.path("data/chairs")).unwrap();
    assert!(place.message("chairs", Split::Train).contains("rendered_chairs.tar"));
}

#[test]
fn folders_elsewhere_are_accepted_and_groups_are_listed() {
    let place = Place::new();
    place.kth();
    std::fs::rename(place.path("data/kth"), place.path("mine")).unwrap();
    let kth = manifest::find("kth", None).unwrap();
    let refused = manual::accept(&kth, Some(&place.path("data/none")), &place.path("data")).unwrap_err();
    assert!(refused.to_string().contains("person01_boxing_d1_uncomp.avi"), "{refused}");
    let accepted = manual::accept(&kth, Some(&place.path("mine")), &place.path("data")).unwrap();
    assert_eq!((accepted.train, accepted.test), (12, 6));
    let found = groups("kth", &place.options(Split::Train)).unwrap();
    assert_eq!((found.len(), found[0].name.as_str(), found[0].classes.len()), (1, "class", 6));
    let digits = groups("digits,digits=1,drawn", &place.options(Split::Train)).unwrap();
    assert_eq!((digits[0].name.as_str(), digits[0].classes.len()), ("class", 10));
}
