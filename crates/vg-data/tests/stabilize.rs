//! Videos to steady clips; nothing is done where ffmpeg is missing.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use vg_core::Error;
use vg_data::{
    Ffmpeg, FrameSize, Frames, OpenOptions, Progress, Silent, Split,
    cache::Recipe,
    folder, open,
    stabilize::{Method, Options, stabilize},
};

static GO: AtomicBool = AtomicBool::new(false);

fn options() -> Options<'static> {
    Options { size: 64, jobs: 2, ffmpeg: Ffmpeg::default(), stop: &GO, progress: Arc::new(Silent) }
}

/// `frames` frames of a picture that a shaky hand films: a window that wanders over a fractal.
fn film(path: &Path, frames: usize) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let shake = "crop=320:240:'160+8*sin(n*1.3)':'100+6*cos(n*2.1)'";
    let made = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-nostdin",
            "-y",
            "-f",
            "lavfi",
            "-i",
            "mandelbrot=s=640x480:r=25:start_scale=0.5,trim=end_frame=1",
        ])
        .args(["-vf", &format!("loop=loop=-1:size=1,{shake}"), "-frames:v", &frames.to_string()])
        .args(["-c:v", "mpeg4", "-q:v", "2"])
        .arg(path)
        .status();
    assert!(made.unwrap().success());
}

fn set(folder: &Path) -> [Recipe; 1] {
    [folder::recipe(folder, Split::Train, false).unwrap()]
}

fn clips(folder: &Path) -> Box<dyn vg_data::Dataset> {
    let size = FrameSize { height: 64, width: 64, channels: 3 };
    let options = OpenOptions { cache: folder.join("../cache"), size, ..OpenOptions::default() };
    open(&format!("strips:{}", folder.display()), &options).unwrap()
}

/// Mean absolute difference of neighbouring frames.
fn motion(clip: &Frames) -> f64 {
    let frames: Vec<&[u8]> = clip.iter().collect();
    let of = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>();
    let sum: f64 = frames.windows(2).map(|pair| of(pair[0], pair[1])).sum();
    sum / (clip.data.len() - frames[0].len()) as f64
}

#[test]
fn shaky_videos_become_steady_strips_that_open_as_a_set() {
    if !Ffmpeg::default().is_installed() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (place.path().join("in"), place.path().join("out"));
    film(&from.join("run/my clip.avi"), 2 + 32 + 20);
    film(&from.join("walk/b.mp4"), 2 + 32 + 15);
    film(&from.join("walk/short.avi"), 12);
    std::fs::write(from.join("walk/broken.mp4"), b"\0\0\0\x18ftypmp42 and then nothing").unwrap();
    let made = stabilize(&set(&from), &to, &options()).unwrap();
    assert_eq!((made.videos, made.before, made.clips, made.short), (3, 0, 3, 1));
    assert_eq!((made.broken.len(), made.broken[0].name.as_str()), (1, "walk/broken.mp4"));
    let list = std::fs::read_to_string(to.join("list.txt")).unwrap();
    assert_eq!(list, "run/my_clip.avi/000.jpg 1\nrun/my_clip.avi/001.jpg 1\nwalk/b.mp4/000.jpg 2\n");
    assert_eq!(image::image_dimensions(to.join("run/my_clip.avi/000.jpg")).unwrap(), (64, 64 * 32));
    assert_eq!(image::image_dimensions(to.join("run/my_clip.avi/001.jpg")).unwrap(), (64, 64 * 20));

    let steady = clips(&to);
    assert_eq!((steady.info().clips, steady.frames(1)), (3, 32));
    assert_eq!(steady.info().classes["class"], ["run", "walk"]);
    assert_eq!(steady.label(2, "class"), Some(1));
    if made.method == Method::Vidstab {
        let size = FrameSize { height: 64, width: 64, channels: 3 };
        let shaky = OpenOptions { cache: place.path().join("cache"), size, ..OpenOptions::default() };
        std::fs::remove_file(from.join("walk/broken.mp4")).unwrap();
        let shaky = open(&format!("folder:{}", from.display()), &shaky).unwrap();
        let whole: Vec<usize> = (0..32).collect();
        let before = motion(&shaky.read(0, &whole.iter().map(|n| n + 2).collect::<Vec<_>>(), size).unwrap());
        let after = motion(&steady.read(0, &whole, size).unwrap());
        assert!(after < before / 2.0, "mean change from frame to frame: {before} before, {after} after");
    }

    // Nothing is done again; a lost clip folder is.
    let first = std::fs::read(to.join("run/my_clip.avi/000.jpg")).unwrap();
    std::fs::remove_dir_all(to.join("run/my_clip.avi")).unwrap();
    let again = stabilize(&set(&from), &to, &Options { jobs: 1, ..options() }).unwrap();
    assert_eq!((again.videos, again.before, again.clips), (3, 2, 3));
    assert_eq!(std::fs::read(to.join("run/my_clip.avi/000.jpg")).unwrap(), first, "the same bits");
    assert_eq!(std::fs::read_to_string(to.join("list.txt")).unwrap(), list);
    let message = stabilize(&set(&from), &to, &Options { size: 32, ..options() }).unwrap_err().to_string();
    assert!(message.contains("name another folder"), "{message}");
    let hidden = std::fs::read_dir(&to).unwrap().map(|e| e.unwrap().file_name());
    assert!(hidden.into_iter().all(|name| !name.to_string_lossy().starts_with('.')));
}

/// None of these characters is one of a filter, an address or a pattern of file names here.
#[cfg(unix)]
#[test]
fn odd_names_are_names() {
    if !Ffmpeg::default().is_installed() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let odd = place.path().join("it's: 100%d [a],b;c\\=d");
    let (from, to) = (odd.join("in"), odd.join("out"));
    film(&from.join("-x/o'b:c\\d, 50% [e];f.avi"), 34);
    let made = stabilize(&set(&from), &to, &options()).unwrap();
    assert_eq!((made.videos, made.clips, made.broken.len()), (1, 1, 0), "{made:?}");
    let list = std::fs::read_to_string(to.join("list.txt")).unwrap();
    assert_eq!(list, "-x/o'b:c\\d,_50%_[e];f.avi/000.jpg 1\n");
    assert_eq!(clips(&to).info().clips, 1);
}

#[test]
fn clips_with_a_cut_are_dropped() {
    if !Ffmpeg::default().is_installed() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (place.path().join("in"), place.path().join("out"));
    std::fs::create_dir(&from).unwrap();
    // Black, then white from the middle of the first clip on; 16 frames are left for the third.
    let picture = "color=black:s=64x48:r=25:d=0.72[a];color=white:s=64x48:r=25:d=2.56[b];[a][b]concat";
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", picture, "-c:v", "mpeg4"])
        .arg(from.join("a.avi"))
        .status();
    assert!(made.unwrap().success());
    let made = stabilize(&set(&from), &to, &options()).unwrap();
    assert_eq!((made.clips, made.videos), (2, 1));
    let list = std::fs::read_to_string(to.join("list.txt")).unwrap();
    assert_eq!(list, "a.avi/001.jpg\na.avi/002.jpg\n");
}

/// Stops the work when the first video is done.
struct StopAfterOne(&'static AtomicBool);

impl Progress for StopAfterOne {
    fn advance(&self, _: u64) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn stopped_work_is_listed_and_goes_on() {
    static STOP: AtomicBool = AtomicBool::new(false);
    if !Ffmpeg::default().is_installed() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (place.path().join("in"), place.path().join("out"));
    film(&from.join("a.avi"), 34);
    film(&from.join("b.avi"), 34);
    let stopping = Options { jobs: 1, stop: &STOP, progress: Arc::new(StopAfterOne(&STOP)), ..options() };
    let made = stabilize(&set(&from), &to, &stopping).unwrap();
    assert!(made.interrupted && made.clips == 1, "{made:?}");
    assert_eq!(std::fs::read_to_string(to.join("list.txt")).unwrap(), "a.avi/000.jpg\n");
    let made = stabilize(&set(&from), &to, &options()).unwrap();
    assert!(!made.interrupted && made.clips == 2 && made.before == 1, "{made:?}");
}

#[test]
fn mistakes_are_named() {
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (place.path().join("in"), place.path().join("out"));
    std::fs::create_dir(&from).unwrap();
    std::fs::write(from.join("a.avi"), b"RIFF\0\0\0\0AVI LIST").unwrap();
    let missing = Options { ffmpeg: Ffmpeg { program: PathBuf::from("no-such-ffmpeg") }, ..options() };
    let error = stabilize(&set(&from), &to, &missing).unwrap_err();
    assert!(
        matches!(&error, Error::Unsupported(_)) && error.to_string().contains("install ffmpeg"),
        "{error}"
    );
    let message = |options| stabilize(&set(&from), &to, &options).unwrap_err().to_string();
    assert!(message(Options { size: 2000, ..options() }).contains("16 to 1024"));
    assert!(!to.exists());
    if !Ffmpeg::default().is_installed() {
        return;
    }
    assert!(message(options()).contains("none of the 1 videos can be read: a.avi"), "{}", message(options()));
    std::fs::write(from.join("b c.avi"), b"RIFF\0\0\0\0AVI LIST").unwrap();
    std::fs::write(from.join("b_c.avi"), b"RIFF\0\0\0\0AVI LIST").unwrap();
    assert!(message(options()).contains("would both go to b_c.avi"));
}
