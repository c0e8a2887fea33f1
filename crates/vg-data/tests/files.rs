//! Sets made of files: formats, broken files, caches, the emoji rules.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use vg_core::{BatchSource, BatchSpec, ClipSpec, Error, Pixels};
use vg_data::{Dataset, Ffmpeg, FrameSize, Frames, OpenOptions, Progress, Split, media, open, source};

const RGB: FrameSize = FrameSize { height: 8, width: 8, channels: 3 };

/// Frames of few colours, so that GIF holds them exactly.
fn clip(frames: usize, value: u8) -> Frames {
    let data = (0..frames * RGB.bytes()).map(|i| value.wrapping_add(((i / 24) % 16) as u8 * 3)).collect();
    Frames::from_bytes(frames, RGB, data).unwrap()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    fn put(&self, name: &str, clip: &Frames) {
        media::write(&self.path(name), clip, 10.0).unwrap();
    }
    fn put_bytes(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    fn images(&self, name: &str, clip: &Frames) {
        for (i, frame) in clip.iter().enumerate() {
            let one = Frames::from_bytes(1, clip.size(), frame.to_vec()).unwrap();
            self.put(&format!("{name}/frame_{}.png", i + 1), &one);
        }
    }
    fn options(&self) -> OpenOptions {
        OpenOptions { cache: self.path("cache"), size: RGB, ..OpenOptions::default() }
    }
    fn open(&self, options: &OpenOptions) -> vg_core::Result<Box<dyn Dataset>> {
        open(&format!("folder:{}", self.path("clips").display()), options)
    }
}

fn all(set: &dyn Dataset, clip: usize) -> Frames {
    set.read(clip, &(0..set.frames(clip)).collect::<Vec<_>>(), RGB).unwrap()
}

#[derive(Default)]
struct Messages(Mutex<Vec<String>>);

impl Progress for Messages {
    fn message(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

#[test]
fn every_format_is_read_by_content_and_classes_are_folders() {
    let folder = Folder::new();
    folder.put("clips/b/one.gif", &clip(5, 10));
    folder.put("clips/a/two.apng", &clip(6, 20));
    std::fs::rename(folder.path("clips/a/two.apng"), folder.path("clips/a/two.jpg")).unwrap();
    folder.images("clips/a/seq", &clip(12, 30));
    folder.put_bytes("clips/a/notes.txt", b"no clip");
    folder.put_bytes("clips/c/grey.y4m", b"YUV4MPEG2 W1 H1 Cmono\nFRAME\n\x10FRAME\n\xeb");
    let set = folder.open(&folder.options()).unwrap();
    assert_eq!(set.info().clips, 4);
    assert_eq!(set.info().classes["class"], ["a", "b", "c"]);
    // Names in order: a/seq, a/two.jpg, b/one.gif, c/grey.y4m.
    assert_eq!((0..4).map(|c| set.label(c, "class").unwrap()).collect::<Vec<_>>(), [0, 0, 1, 2]);
    assert_eq!(all(&*set, 0), clip(12, 30));
    assert_eq!(all(&*set, 1), clip(6, 20));
    assert_eq!(all(&*set, 2), clip(5, 10));
    assert_eq!((all(&*set, 3).frame(0).unwrap()[0], all(&*set, 3).frame(1).unwrap()[5]), (0, 255));
    assert!(set.report().skipped.is_empty());
    let spec = BatchSpec {
        labels: vec!["class".to_owned()],
        ..BatchSpec::clips(6, ClipSpec { frames: 5, height: 8, width: 8, channels: 3 }, Pixels::Unit)
    };
    let mut loader = source(set, 0);
    assert_eq!(loader.excluded(&spec), 1);
    assert_eq!(loader.batch(&spec, 0).unwrap().clips.dims(), [6, 3, 5, 8, 8]);
}

#[test]
fn broken_files_are_named_and_left_out_or_an_error() {
    let folder = Folder::new();
    folder.put("clips/good.gif", &clip(4, 1));
    folder.put("clips/cut.gif", &clip(40, 99));
    let whole = std::fs::read(folder.path("clips/cut.gif")).unwrap();
    folder.put_bytes("clips/cut.gif", &whole[..whole.len() / 2]);
    folder.put_bytes("clips/empty.webp", b"");
    folder.put_bytes("clips/lie.mp4", b"<html>not found</html>");
    folder.put("clips/still.gif", &clip(1, 5));
    let set = folder.open(&folder.options()).unwrap();
    let names: Vec<&str> = set.report().skipped.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["empty.webp", "lie.mp4", "cut.gif", "still.gif"]);
    assert_eq!((set.info().clips, all(&*set, 0)), (1, clip(4, 1)));
    assert!(set.report().to_string().starts_with("4 files were left out\n  empty.webp: "));
    let strict = OpenOptions { strict: true, ..folder.options() };
    assert!(matches!(folder.open(&strict), Err(Error::Format { .. })));
    std::fs::remove_file(folder.path("clips/empty.webp")).unwrap();
    std::fs::remove_file(folder.path("clips/lie.mp4")).unwrap();
    assert!(matches!(folder.open(&strict), Err(Error::Format { .. })));
    std::fs::remove_file(folder.path("clips/cut.gif")).unwrap();
    std::fs::remove_file(folder.path("clips/still.gif")).unwrap();
    assert!(folder.open(&strict).is_ok());
}

#[test]
fn folders_without_clips_say_what_is_accepted() {
    let folder = Folder::new();
    let message = || folder.open(&folder.options()).err().unwrap().to_string();
    assert!(message().contains("clips"), "{}", message());
    folder.put_bytes("clips/readme.md", b"nothing");
    assert!(message().contains("no clips were found; accepted are GIF"), "{}", message());
    folder.put_bytes("clips/a.gif", b"GIF89a");
    assert!(message().contains("none of its 1 files is a clip"), "{}", message());
    let test = OpenOptions { split: Split::Test, ..folder.options() };
    assert!(folder.open(&test).err().unwrap().to_string().contains("no test split"));
}

#[test]
fn train_and_test_folders_are_the_splits() {
    let folder = Folder::new();
    folder.put("clips/train/x/a.gif", &clip(3, 1));
    folder.put("clips/test/x/b.gif", &clip(4, 2));
    let frames = |split| folder.open(&OpenOptions { split, ..folder.options() }).unwrap().frames(0);
    assert_eq!((frames(Split::Train), frames(Split::Test)), (3, 4));
}

#[test]
fn caches_serve_again_notice_changes_and_heal() {
    let folder = Folder::new();
    folder.put("clips/a.gif", &clip(4, 1));
    folder.put("clips/b.gif", &clip(5, 2));
    let messages = Arc::new(Messages::default());
    let options = OpenOptions { progress: messages.clone(), ..folder.options() };
    let fingerprint = folder.open(&options).unwrap().info().fingerprint.clone();
    let cache = std::fs::read_dir(folder.path("cache")).unwrap().next().unwrap().unwrap().path();
    let shard = std::fs::read_dir(&cache)
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().unwrap() == "bin")
        .unwrap();

    // Served again without decoding.
    let before = std::fs::metadata(&shard).unwrap().modified().unwrap();
    assert_eq!(folder.open(&options).unwrap().info().fingerprint, fingerprint);
    assert_eq!(std::fs::metadata(&shard).unwrap().modified().unwrap(), before);
    assert!(messages.0.lock().unwrap().is_empty());

    // A shard cut short, an index of another version, a flipped bit: built again.
    let bytes = std::fs::read(&shard).unwrap();
    std::fs::write(&shard, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(all(&*folder.open(&options).unwrap(), 1), clip(5, 2));
    assert!(messages.0.lock().unwrap().pop().unwrap().contains("instead of"));
    let index = cache.join("index.json");
    let text = std::fs::read_to_string(&index).unwrap();
    std::fs::write(&index, text.replace("vg-clips 1", "vg-clips 0")).unwrap();
    assert_eq!(all(&*folder.open(&options).unwrap(), 1), clip(5, 2));
    assert!(messages.0.lock().unwrap().pop().unwrap().contains("another version"));
    let shards: Vec<PathBuf> = std::fs::read_dir(&cache)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().unwrap() == "bin")
        .collect();
    for shard in &shards {
        let mut bytes = std::fs::read(shard).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(shard, bytes).unwrap();
    }
    let set = folder.open(&options).unwrap();
    assert_eq!((all(&*set, 0), all(&*set, 1)), (clip(4, 1), clip(5, 2)));
    assert!(messages.0.lock().unwrap().pop().unwrap().contains("damaged"));

    // Another size has its own cache; changed files make a new one.
    let small = FrameSize { height: 4, width: 4, channels: 1 };
    assert_eq!(set.read(1, &[4], small).unwrap().data.len(), 16);
    folder.put("clips/b.gif", &clip(6, 3));
    let changed = folder.open(&options).unwrap();
    assert_eq!(all(&*changed, 1), clip(6, 3));
    assert_ne!(changed.info().fingerprint, fingerprint);
    assert!(
        std::fs::read_dir(folder.path("cache")).unwrap().all(|e| !e
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with('.'))
    );
}

/// Frames below the full size of a growing model come from the decoded ones, not from the files.
#[test]
fn averages_are_made_once_from_the_decoded_frames() {
    let folder = Folder::new();
    // Left half 10, right half 21: averages of a whole row are 15.5, to even 16.
    let split = |frames: usize| {
        let size = FrameSize { height: 8, width: 8, channels: 1 };
        let data = (0..frames * 64).map(|i| if i % 8 < 4 { 10 } else { 21 }).collect();
        Frames::from_bytes(frames, size, data).unwrap()
    };
    folder.put("clips/a.gif", &split(3));
    folder.put("clips/b.gif", &split(5));
    let messages = Arc::new(Messages::default());
    let size = |side| FrameSize { height: side, width: side, channels: 1 };
    let options = OpenOptions { progress: messages.clone(), size: size(8), ..folder.options() };
    let set = folder.open(&options).unwrap();
    for (side, values) in [(2, vec![10, 21, 10, 21]), (1, vec![16])] {
        let frames = set.read_averaged(1, &[4, 0], size(side), 8 / side).unwrap();
        assert_eq!(frames.data, values.repeat(2), "{side}");
        assert_eq!(frames, set.read(1, &[4, 0], size(8)).unwrap().averaged(8 / side));
    }
    assert_eq!(set.read_averaged(0, &[2], size(8), 1).unwrap(), set.read(0, &[2], size(8)).unwrap());

    // Three caches; averages are not made again by another reader, and are of other content than frames decoded to their size.
    let caches = || std::fs::read_dir(folder.path("cache")).unwrap().map(|e| e.unwrap().path());
    let index = |side: usize| {
        caches()
            .find(|p| p.to_string_lossy().contains(&format!("-{side}x{side}x1-")))
            .unwrap()
            .join("index.json")
    };
    assert_eq!(caches().count(), 3);
    let made = std::fs::metadata(index(2)).unwrap().modified().unwrap();
    let again = folder.open(&options).unwrap();
    assert_eq!(again.read_averaged(0, &[0], size(2), 4).unwrap().data, [10, 21, 10, 21]);
    assert_eq!(std::fs::metadata(index(2)).unwrap().modified().unwrap(), made);

    // Damaged whole frames are decoded again before they are averaged.
    std::fs::remove_dir_all(index(2).parent().unwrap()).unwrap();
    for shard in std::fs::read_dir(index(8).parent().unwrap()).unwrap().map(|e| e.unwrap().path()) {
        if shard.extension().is_some_and(|e| e == "bin") {
            let mut bytes = std::fs::read(&shard).unwrap();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            std::fs::write(&shard, bytes).unwrap();
        }
    }
    let set = folder.open(&options).unwrap();
    assert_eq!(set.read_averaged(1, &[4], size(2), 4).unwrap().data, [10, 21, 10, 21]);
    assert!(messages.0.lock().unwrap().pop().unwrap().contains("damaged"));
}

#[test]
fn emoji_clips_keep_every_second_frame_and_split_by_glyph() {
    let folder = Folder::new();
    // The content decides: the files may be GIFs as long as they are decodable, so stills and clips are made as WebP stills and APNG.
    let webp = |name: &str, frames: usize| {
        let path = folder.path("emoji").join(format!("{name}.webp"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, animated_webp(frames)).unwrap();
    };
    for point in 0x1f600..0x1f630 {
        webp(&format!("{point:x}"), 7);
    }
    webp("1f44b-1f3fb", 5);
    webp("1f44c", 1);
    let options = |split| OpenOptions { root: folder.0.path().to_path_buf(), split, ..folder.options() };
    let train = open("emoji", &options(Split::Train)).unwrap();
    let test = open("emoji", &options(Split::Test)).unwrap();
    assert_eq!(train.info().clips + test.info().clips, 49);
    assert!(test.info().clips > 0 && train.info().clips > 30);
    assert!(
        (0..train.info().clips as usize).all(|c| train.frames(c) == 4 || train.label(c, "tone") == Some(1))
    );
    assert_eq!(train.info().classes["class"][train.label(5, "class").unwrap() as usize], "faces");
    assert!(train.report().skipped.is_empty());
    // Opaque red on an empty canvas: white around it.
    let frame = train.read(0, &[0], RGB).unwrap();
    assert_eq!(frame.data[..3], [255, 255, 255]);
    let missing = open("emoji", &OpenOptions { root: folder.path("nowhere"), ..folder.options() });
    assert!(missing.err().unwrap().to_string().contains("cargo xtask download emoji"));
}

/// A WebP animation of 8x8 transparent frames; a still for one frame.
fn animated_webp(frames: usize) -> Vec<u8> {
    let mut still = std::io::Cursor::new(Vec::new());
    let image = image::RgbaImage::from_pixel(8, 8, image::Rgba([255, 0, 0, 0]));
    image.write_to(&mut still, image::ImageFormat::WebP).unwrap();
    let still = still.into_inner();
    if frames == 1 {
        return still;
    }
    let chunk = |name: &[u8; 4], body: &[u8]| {
        let mut bytes = name.to_vec();
        bytes.extend((body.len() as u32).to_le_bytes());
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(2), 0);
        bytes
    };
    // Everything after RIFF, size and WEBP of a simple file is its one image chunk.
    let image_chunk = &still[12..];
    let mut body = b"WEBP".to_vec();
    body.extend(chunk(b"VP8X", &[0b0001_0010, 0, 0, 0, 7, 0, 0, 7, 0, 0]));
    body.extend(chunk(b"ANIM", &[0, 0, 0, 0, 0, 0]));
    for _ in 0..frames {
        let mut frame = vec![0, 0, 0, 0, 0, 0, 7, 0, 0, 7, 0, 0, 42, 0, 0, 0];
        frame.extend(image_chunk);
        body.extend(chunk(b"ANMF", &frame));
    }
    chunk(b"RIFF", &body)
}

#[test]
fn videos_come_through_ffmpeg_where_it_is_installed() {
    let folder = Folder::new();
    let missing =
        OpenOptions { ffmpeg: Ffmpeg { program: PathBuf::from("no-such-ffmpeg") }, ..folder.options() };
    folder.put_bytes("clips/a.avi", b"RIFF\0\0\0\0AVI LIST");
    let error = folder.open(&missing).err().unwrap();
    assert!(
        matches!(error, Error::Unsupported(_)) && error.to_string().contains("install ffmpeg"),
        "{error}"
    );
    if !Ffmpeg::default().is_installed() {
        return;
    }
    assert!(folder.open(&folder.options()).err().unwrap().to_string().contains("ffmpeg cannot handle it"));
    let avi = folder.path("clips/a.avi");
    let made = std::process::Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-nostdin",
            "-y",
            "-f",
            "lavfi",
            "-i",
            "color=c=red:s=64x48:r=10:d=2",
            "-c:v",
            "mpeg4",
            "-vtag",
            "XVID",
        ])
        .arg(&avi)
        .status();
    assert!(made.unwrap().success());
    let set = folder.open(&folder.options()).unwrap();
    assert_eq!(set.frames(0), 20);
    let pixel = &all(&*set, 0).data[..3];
    assert!(pixel[0] > 240 && pixel[1] < 15 && pixel[2] < 15, "{pixel:?}");
    round_trip_video(&folder.path("clips/a.mp4"), &folder);
}

fn round_trip_video(path: &Path, folder: &Folder) {
    let flat = Frames::from_bytes(6, RGB, vec![200; 6 * RGB.bytes()]).unwrap();
    media::write(path, &flat, 12.5).unwrap();
    let set = folder.open(&folder.options()).unwrap();
    assert_eq!((set.info().clips, set.frames(1)), (2, 6));
    assert!(all(&*set, 1).data.iter().all(|v| v.abs_diff(200) < 4));
}
