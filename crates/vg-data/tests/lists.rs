//! Kinetics-600 and UCF-101: official lists, labels, splits, missing videos, mistakes.

use std::path::PathBuf;

use vg_data::{Dataset, FrameSize, Frames, OpenOptions, Split, manifest, manual, media, open};

const SIZE: FrameSize = FrameSize { height: 4, width: 4, channels: 1 };
const HEAD: &str = "label,youtube_id,time_start,time_end,split\n";

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
    /// A grey clip of six frames, frame k of which is `k + value` everywhere; the name may have any ending.
    fn clip(&self, name: &str, value: u8) {
        let size = FrameSize { height: 4, width: 4, channels: 3 };
        let data = (0..6).flat_map(|k| vec![k + value; size.bytes()]).collect();
        let gif = self.path("one.gif");
        media::write(&gif, &Frames::from_bytes(6, size, data).unwrap(), 10.0).unwrap();
        std::fs::rename(gif, self.path(name)).unwrap();
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
    /// Videos by class, by part and flat, one of which is missing, one broken.
    fn kinetics(&self) {
        let train = "surfing water,s-1,3,13,train\nabseiling,a_1,0,10,train\n\"yoga, slow\",y1,5,15,train\nabseiling,gone,1,11,train\nabseiling,torn,1,11,train\n";
        self.text("data/kinetics600/train.csv", &format!("{HEAD}{train}"));
        self.text(
            "data/kinetics600/val.csv",
            &format!("{HEAD}zumba,z1,2,12,validate\nabseiling,a_2,2,12,val\n"),
        );
        self.text("data/kinetics600/test.csv", &format!("{HEAD}surfing water,t1,2,12,test\n"));
        self.clip("data/kinetics600/surfing water/s-1_000003_000013.mp4", 10);
        self.clip("data/kinetics600/a_1_000000_000010.mp4", 20);
        self.clip("data/kinetics600/train/y1.mp4", 30);
        self.clip("data/kinetics600/val/a_2_000002_000012.webm", 40);
        self.clip("data/kinetics600/t1_000002_000012.mp4", 50);
        self.clip("data/kinetics600/no-such-row_000002_000012.mp4", 60);
        self.text("data/kinetics600/torn_000001_000011.mp4", "not a video");
    }
}

fn values(set: &dyn Dataset, clip: usize) -> Vec<u8> {
    let all: Vec<usize> = (0..set.frames(clip)).collect();
    set.read(clip, &all, SIZE).unwrap().iter().map(|frame| frame[5]).collect()
}

#[test]
fn lists_of_kinetics_find_their_videos_wherever_they_lie() {
    let place = Place::new();
    place.kinetics();
    let train = place.open("kinetics600", Split::Train);
    // The classes of all lists, in the order of the alphabet, also those without a video.
    let classes = ["abseiling", "surfing water", "yoga, slow", "zumba"];
    assert_eq!(train.info().classes["class"], classes);
    let labels: Vec<_> = (0..3).map(|clip| (values(&*train, clip)[0], train.label(clip, "class"))).collect();
    assert_eq!(labels, [(10, Some(1)), (20, Some(0)), (30, Some(2))], "in the order of the list");
    let skipped: Vec<_> = train.report().skipped.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(skipped, ["gone_000001_000011", "torn_000001_000011.mp4"]);
    assert!(train.report().skipped[0].problem.contains("there is no such file"));

    let test = place.open("kinetics600", Split::Test);
    assert_eq!((test.info().clips, test.label(0, "class"), values(&*test, 0)[0]), (1, Some(0), 40));
    assert_eq!(test.info().classes["class"], classes);
    let official = place.open("kinetics600,test-list,stride=2", Split::Test);
    assert_eq!((values(&*official, 0), official.label(0, "class")), (vec![50, 52, 54], Some(1)));

    let manifest = manifest::find("kinetics600", None).unwrap();
    let accepted = manual::accept(&manifest, None, &place.path("data")).unwrap();
    assert_eq!((accepted.train, accepted.test), (3, 1));
}

#[test]
fn mistakes_in_kinetics_are_named() {
    let place = Place::new();
    place.text("data/kinetics600/x.txt", "");
    assert!(place.message("kinetics600", Split::Train).contains("train.csv is missing"));
    place.kinetics();
    let strict = OpenOptions { strict: true, ..place.options(Split::Train) };
    let text = open("kinetics600", &strict).err().unwrap().to_string();
    assert!(text.contains("torn_000001_000011.mp4") || text.contains("missing or broken"), "{text}");
    place.text("data/kinetics600/train.csv", "id,label\nx,y\n");
    assert!(place.message("kinetics600", Split::Train).contains("expected is label,youtube_id"));
    place.text("data/kinetics600/train.csv", &format!("{HEAD}abseiling,nowhere,1,11,train\n"));
    let text = place.message("kinetics600", Split::Train);
    assert!(text.contains("1 of the 1 videos") && text.contains("LABEL/nowhere_000001_000011.mp4"), "{text}");
    place.text("data/kinetics600/train.csv", &format!("{HEAD}abseiling,a_1,0,10,test\n"));
    assert!(place.message("kinetics600", Split::Train).contains("no row of the split train"));
    place.text("data/kinetics600/train.csv", &format!("{HEAD},a_1,0,10,train\n"));
    assert!(place.message("kinetics600", Split::Train).contains("has no label"));
    std::fs::remove_file(place.path("data/kinetics600/val.csv")).unwrap();
    assert!(place.message("kinetics600", Split::Test).contains("validate.csv or val.csv"));
}

#[test]
fn ucf101_has_three_official_splits_with_labels() {
    let place = Place::new();
    let name = |class: &str, group: u8| format!("{class}/v_{class}_g0{group}_c01.avi");
    for (k, class) in ["Archery", "Surfing"].iter().enumerate() {
        for group in 1..4 {
            place.clip(&format!("data/ucf101/UCF-101/{}", name(class, group)), 10 * k as u8 + group);
        }
    }
    let lists = "data/ucf101/ucfTrainTestlist";
    place.text(&format!("{lists}/classInd.txt"), "1 Archery\n2 Surfing\n");
    let write = |split: u8| {
        let others: Vec<u8> = (1..4).filter(|group| *group != split).collect();
        let train: String = others
            .iter()
            .flat_map(|g| [format!("{} 1\n", name("Archery", *g)), format!("{} 2\n", name("Surfing", *g))])
            .collect();
        place.text(&format!("{lists}/trainlist0{split}.txt"), &train);
        let test = format!("{}\n{}\n", name("Archery", split), name("Surfing", split));
        place.text(&format!("{lists}/testlist0{split}.txt"), &test);
    };
    write(1);
    write(3);
    for (set, split) in [("ucf101", 1), ("ucf101,split=1", 1), ("ucf101,split=3", 3)] {
        let (train, test) = (place.open(set, Split::Train), place.open(set, Split::Test));
        assert_eq!((train.info().clips, test.info().clips), (4, 2), "{set}");
        assert_eq!(train.info().classes["class"], ["Archery", "Surfing"]);
        let of = |clip: usize| (values(&*test, clip)[0], test.label(clip, "class"));
        assert_eq!([of(0), of(1)], [(split, Some(0)), (10 + split, Some(1))], "{set}");
    }
    let fingerprint = |set: &str| place.open(set, Split::Test).info().fingerprint.clone();
    assert_ne!(fingerprint("ucf101"), fingerprint("ucf101,split=3"));
    let text = place.message("ucf101,split=2", Split::Test);
    assert!(text.contains("testlist02.txt is missing in"), "{text}");
}
