//! From names and clips to values.

mod support;

use vg_metrics::{Clip, Error, Input, Judge, Measurement, Panel, RealStore, Result, protocol};

const NOWHERE: &str = "folder/without/weights";

/// A moving pattern, another one for each number.
fn clip(set: &str, number: usize, dims: [usize; 4]) -> Result<Clip> {
    let [frames, height, width, channels] = dims;
    let count = frames * height * width * channels;
    let pixel = |i: usize| {
        let (c, x, y) = (i % channels, i / channels % width, i / channels / width % height);
        let t = i / channels / width / height;
        ((x * (3 + number) + y * (5 + 2 * number) + 7 * t * (number + 1) + 40 * c) % 256) as u8
    };
    Clip::new(format!("{set} {number}"), (0..count).map(pixel).collect(), dims)
}

fn clips(set: &str, numbers: std::ops::Range<usize>, dims: [usize; 4]) -> impl Iterator<Item = Result<Clip>> {
    numbers.map(move |number| clip(set, number, dims))
}

fn compare(metric: &str, real: std::ops::Range<usize>, fake: std::ops::Range<usize>) -> Result<Measurement> {
    let dims = [6, 32, 32, 3];
    Judge::open(metric, NOWHERE)?.compare(clips("real", real, dims), clips("fake", fake, dims))
}

fn score(metric: &str, count: usize, dims: [usize; 4]) -> Result<Measurement> {
    Judge::open(metric, NOWHERE)?.score(clips("fake", 0..count, dims))
}

#[test]
fn pairs_are_averaged_over_frames() {
    for metric in ["psnr", "psnr-svg", "ssim-finn", "ssim-svg", "ssim-skimage", "ssim-tf", "ssim-cv2"] {
        let result = compare(metric, 0..3, 1..4).unwrap();
        let mean = |k: usize| -> f64 {
            let (a, b) = (clip("a", k, [6, 32, 32, 3]).unwrap(), clip("b", k + 1, [6, 32, 32, 3]).unwrap());
            let values = match protocol(metric).unwrap().measure {
                vg_metrics::Measure::Psnr(psnr) => psnr.of_clips(&a.frames(), &b.frames()),
                vg_metrics::Measure::Ssim(ssim) => ssim.of_clips(&a.frames(), &b.frames()),
                other => panic!("{other:?}"),
            };
            values.unwrap().iter().sum::<f64>() / 6.0
        };
        let want = (mean(0) + mean(1) + mean(2)) / 3.0;
        assert!((result.value.unwrap() - want).abs() < 1e-9, "{metric}");
        let interval = result.interval.unwrap();
        assert!(interval.low <= want && want <= interval.high, "{metric} {interval:?}");
        assert_eq!((result.num_real, result.num_fake, result.clip), (3, 3, [6, 32, 32]));
    }
    let equal = compare("psnr", 0..2, 0..2).unwrap();
    assert_eq!((equal.value, equal.infinite), (None, 12));
    let error = compare("psnr", 0..3, 0..2).unwrap_err().to_string();
    assert!(
        error.contains("clips of the fake set for those of the real set: 2 given, at least 3"),
        "{error}"
    );
}

#[test]
fn sets_are_compared_and_a_set_is_no_distance_from_itself() {
    assert_eq!(compare("swd", 0..4, 0..4).unwrap().value, Some(0.0));
    let other = compare("swd", 0..4, 4..8).unwrap();
    assert!(other.value.unwrap() > 1.0, "{other:?}");
    assert_eq!(other.parts.len(), 2, "levels of 32 and 16 pixels");
    assert_eq!(other.clip, [1, 32, 32], "one frame is looked at");
    assert_eq!(compare("swd", 0..4, 4..8).unwrap(), other);
}

#[test]
fn generated_clips_are_scored_alone() {
    let dims = [6, 32, 32, 3];
    for metric in ["acd-c", "acd-c-shapes", "motion", "diversity"] {
        let result = score(metric, 3, dims).unwrap();
        assert!(result.value.unwrap() > 0.0, "{metric}");
        assert_eq!((result.num_real, result.num_fake), (0, 3), "{metric}");
    }
    assert_eq!(score("frozen", 3, dims).unwrap().value, Some(0.0));
    let alike = score("ms-ssim", 3, dims).unwrap().value.unwrap();
    assert!((-1.0..1.0).contains(&alike), "{alike}");
}

#[test]
fn counts_are_checked_before_a_clip_is_asked_for() {
    let never = |count: usize| (0..count).map(|_| -> Result<Clip> { panic!("a clip was asked for") });
    let judge = |metric| Judge::open(metric, NOWHERE).unwrap();
    for metric in ["psnr", "ssim-finn", "swd"] {
        let error = judge(metric).compare(never(5), never(4)).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("{metric}: clips of the fake set for those of the real set: 4 given, at least 5 needed")
        );
    }
    let error = judge("diversity").score(never(1)).unwrap_err().to_string();
    assert_eq!(error, "diversity: clips of the fake set: 1 given, at least 2 needed");
    // Of a filtered iterator only the most is known.
    let error = judge("diversity").score(never(1).filter(|_| true)).unwrap_err().to_string();
    assert!(error.contains("1 given"), "{error}");
}

#[test]
fn metrics_share_a_pass_and_keep_their_values() {
    let names = ["psnr", "motion", "ssim-finn", "diversity", "frozen", "swd", "psnr", "acd-c", "ms-ssim"];
    let panels = Panel::open_all(&names, NOWHERE).unwrap();
    let groups: Vec<Vec<&str>> = panels.iter().map(Panel::names).collect();
    let expected =
        [&["psnr", "ssim-finn"][..], &["motion", "diversity", "frozen", "acd-c", "ms-ssim"], &["swd"]];
    assert_eq!(groups, expected);
    let dims = [6, 32, 32, 3];
    let asked = std::cell::Cell::new(0);
    let counted = |set| clips(set, 0..3, dims).inspect(|_| asked.set(asked.get() + 1));
    for panel in panels {
        asked.set(0);
        let panel = panel.seed(3);
        let results = match panel.input() {
            Input::OneSet => panel.score(counted("fake")),
            _ => panel.compare(clips("real", 3..6, dims), counted("fake")),
        };
        assert_eq!(asked.get(), 3, "each clip is asked for once");
        for result in results.unwrap() {
            let judge = Judge::open(&result.metric, NOWHERE).unwrap().seed(3);
            let alone = match judge.protocol().input {
                Input::OneSet => judge.score(clips("fake", 0..3, dims)),
                _ => judge.compare(clips("real", 3..6, dims), clips("fake", 0..3, dims)),
            };
            assert_eq!(result, alone.unwrap());
        }
    }
    let mixed = Panel::open_all(&["acd-c", "motion"], NOWHERE).unwrap();
    let error = mixed[0].score(clips("fake", 0..2, [1, 32, 32, 3])).unwrap_err().to_string();
    assert!(error.contains("frames of clip fake 0: 1 given, at least 2"), "{error}");
}

#[test]
fn what_does_not_fit_is_named() {
    let dims = [6, 32, 32, 3];
    let mixed = clips("fake", 0..2, dims).chain(clips("long", 2..3, [7, 32, 32, 3]));
    let error = Judge::open("motion", NOWHERE).unwrap().score(mixed).unwrap_err();
    let want = "clip long 2: expected 6 x 32 x 32 x 3 [T, H, W, C] as clip fake 0, got [7, 32, 32, 3]";
    assert_eq!(error.to_string(), want);
    let error = score("motion", 3, [1, 32, 32, 3]).unwrap_err();
    assert_eq!(error.to_string(), "motion: frames of clip fake 0: 1 given, at least 2 needed");
    let error = score("diversity", 1, dims).unwrap_err().to_string();
    assert_eq!(error, "diversity: clips of the fake set: 1 given, at least 2 needed");
    assert!(matches!(score("frozen", 0, dims), Err(Error::TooFew { .. })));
    assert!(matches!(compare("psnr", 0..0, 0..0), Err(Error::TooFew { .. })));
    assert!(matches!(compare("swd", 0..0, 0..2), Err(Error::TooFew { .. })));
    assert!(score("psnr", 2, dims).unwrap_err().to_string().contains("real and generated clips for psnr"));
    assert!(compare("motion", 0..2, 0..2).unwrap_err().to_string().contains("generated clips alone"));
    let broken = [clip("fake", 0, dims), Err(Error::shape("clip broken", "frames", &[0]))];
    assert!(
        Judge::open("motion", NOWHERE).unwrap().score(broken).unwrap_err().to_string().contains("broken")
    );
    let open = |metric| Judge::open(metric, NOWHERE).unwrap_err().to_string();
    for metric in ["fvd", "fvd2048_16f", "fvd-videogpt", "kvd", "precision"] {
        assert!(open(metric).contains("`cargo xtask download i3d`"), "{metric}: {}", open(metric));
    }
    assert!(open("st-lpips").contains("`cargo xtask download st-lpips`"));
    assert!(open("fdv").contains("did you mean \"fvd\"?"));
}

#[test]
fn real_networks_give_zero_for_equal_sets_and_more_for_others() {
    let Some(weights) = support::downloaded(vg_metrics::weights::Network::I3d) else { return };
    let source = weights.source();
    let folder = std::path::Path::new(&source).parent().unwrap();
    let judge = Judge::open("fvd", folder).unwrap();
    let dims = [9, 24, 32, 3];
    let measure = |fake| judge.compare(clips("real", 0..3, dims), clips("fake", fake, dims)).unwrap();
    let same = measure(0..3);
    assert!(same.value.unwrap().abs() < 1e-6, "{same:?}");
    assert_eq!(same.network_sha256.as_deref(), Some(weights.sha256()));
    let other = measure(3..6).value.unwrap();
    assert!(other > 1.0, "{other}");
    let short = judge.compare(clips("real", 0..3, [8, 24, 32, 3]), clips("fake", 0..3, dims));
    assert_eq!(short.unwrap_err().to_string(), "fvd: frames of clip real 0: 8 given, at least 9 needed");
}

#[test]
fn a_folder_that_cannot_be_written_costs_no_result() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("a file");
    std::fs::write(&file, "in the way").unwrap();
    let panels = Panel::open_all(&["fvd-vg"], "nowhere").unwrap();
    let side = |set| clips(set, 0..4, [4, 16, 16, 3]);
    let store = RealStore::new(file.join("metrics"), "clips of a test");
    let results = panels[0].compare_stored(&store, side("real"), side("fake")).unwrap();
    assert_eq!(results, panels[0].compare(side("real"), side("fake")).unwrap());
    assert!(store.unkept().unwrap().contains("making the folder"), "{:?}", store.unkept());
}

#[test]
fn statistics_of_a_real_set_are_kept_and_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let dims = [4, 16, 16, 3];
    let panels = Panel::open_all(&["fvd-vg"], NOWHERE).unwrap();
    let store = RealStore::new(folder.path().join("made"), "patterns 0 to 5");
    let fake = || clips("fake", 4..9, dims);
    let of = |store: &RealStore, real: Vec<Result<Clip>>| panels[0].compare_stored(store, real, fake());
    let never = || (0..6).map(|_| Err(Error::from(vg_core::Error::Data("asked for".into())))).collect();
    let plain = panels[0].compare(clips("real", 0..6, dims), fake()).unwrap();
    assert_eq!(of(&store, clips("real", 0..6, dims).collect()).unwrap(), plain);
    // Now the real clips are not looked at.
    assert_eq!(of(&store, never()).unwrap(), plain);
    let other = RealStore::new(folder.path().join("made"), "patterns 0 to 6");
    assert!(of(&other, never()).unwrap_err().to_string().contains("asked for"));
    // Another seed is another set where frames are drawn; here it is kept apart all the same.
    let seeded: Vec<Panel> =
        Panel::open_all(&["fvd-vg"], NOWHERE).unwrap().into_iter().map(|p| p.seed(1)).collect();
    assert!(seeded[0].compare_stored(&store, never(), fake()).is_err());
    // Clips of another size are refused as if the real ones had been seen.
    let wide = panels[0].compare_stored(&store, never(), clips("fake", 0..5, [4, 16, 20, 3])).unwrap_err();
    assert!(wide.to_string().contains("16"), "{wide}");
    // Damage is no disaster: the clips are looked at again.
    let file = std::fs::read_dir(folder.path().join("made")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert!(of(&store, never()).is_err());
    assert_eq!(of(&store, clips("real", 0..6, dims).collect()).unwrap(), plain);
    assert_eq!(of(&store, never()).unwrap(), plain);
}
