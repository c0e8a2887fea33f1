//! Clips with parts, given frames, and networks that start from another run's.

mod program;

use program::Place;
use vg_data::decode::{Format, Origin, decode_whole};

#[test]
fn parts_lie_beside_the_clips() {
    let place = Place::new();
    place.good("train vgan --preset tiny --steps 1 --samples 1 --out run");
    place.good("sample run --num 2 --parts --out clips.gif");
    for name in [
        "clips.gif",
        "clips-mask.gif",
        "clips-foreground.gif",
        "clips-masked-foreground.gif",
        "clips-background.png",
    ] {
        assert!(place.join(name).is_file(), "{name}");
    }
    place.good("train tgan --preset tiny --steps 1 --samples 1 --out whole");
    place.error("sample whole --parts", &["--parts", "in one piece"]);
}

#[test]
fn given_frames_come_from_data() {
    let place = Place::new();
    let set = "--set variant=conditional --set clip.frames=16";
    place.good(&format!("train vgan --preset tiny {set} --steps 1 --samples 2 --out run"));
    assert!(place.join("run/samples.gif").is_file());
    place.error("sample run", &["1 given frames", "--data"]);
    place.good("sample run --data shapes --num 3 --out clips.png");
    place.good("train vgan --preset tiny --steps 1 --samples 0 --out free");
    place.error("sample free --data shapes", &["--data shapes", "noise alone"]);
}

#[test]
fn clips_go_on_from_several_given_frames() {
    let place = Place::new();
    place.good("train svg --preset tiny --steps 2 --samples 2 --out run");
    assert!(place.join("run/samples.gif").is_file());
    place.error("sample run", &["2 given frames", "--data"]);
    place.good("sample run --data shapes --num 3 --frames 7 --out clips.gif");
    place.error("sample run --data shapes --frames 2 --out none.gif", &["ask for at least 3"]);
}

#[test]
fn a_clip_goes_on_from_a_file() {
    let place = Place::new();
    place.good("train svg --preset tiny --steps 1 --samples 0 --out run");
    place.good("sample run --data shapes --num 1 --frames 8 --scale 1 --out clip.gif");
    let frames = |text: &str| place.good(&format!("sample run --context {text} --json"));
    place.good("sample run --context clip.gif --num 3 --frames 9 --out futures.gif");
    assert!(place.join("futures.gif").is_file());
    let whole = frames("clip.gif --num 1 --scale 1 --out whole.png");
    assert!(whole.stdout.contains("\"clips\":1"), "{}", whole.stdout);
    // A row for the clip itself, and one for its future; both begin with the same given frames.
    let sheet = Origin::File(place.join("whole.png"), Format::Png);
    let sheet = decode_whole(&sheet, 1).unwrap();
    let (side, line) = ((sheet.height - 1) / 2, sheet.width * sheet.channels);
    let given = |row: usize| -> Vec<&[u8]> {
        let lines = (row * (side + 1)..).take(side);
        lines.map(|y| &sheet.data[y * line..][..2 * side * sheet.channels]).collect()
    };
    assert_eq!(given(0), given(1));
    assert!(given(0)[0][..side * sheet.channels].iter().all(|v| *v == 255), "a border");
    place.error("sample run --context none.gif", &["none.gif"]);
    place.good("sample run --data shapes --num 1 --frames 3 --scale 1 --out sheet.png");
    place.error("sample run --context sheet.png", &["has 1 frames", "2 are needed"]);
    place.error("sample run --context clip.gif --data shapes", &["cannot be used with"]);
    place.good("train tgan --preset tiny --steps 1 --samples 0 --out gan");
    place.error("sample gan --context clip.gif", &["noise alone"]);
}

#[test]
fn a_classifier_starts_from_a_run() {
    let place = Place::new();
    place.good("train vgan --preset tiny --steps 1 --samples 0 --out gan");
    place.good("train vgan --preset tiny --set variant=classifier --from gan --steps 2 --out classifier");
    assert!(!place.join("classifier/samples.gif").exists(), "a classifier makes no clips");
    place.error("sample classifier", &["a classifier makes no clips"]);
    place.error("train vgan --preset tiny --from gan --steps 1 --out again", &["cannot start from"]);
    assert!(!place.join("again").exists(), "refused before there is a folder");
    place
        .error("train vgan --preset tiny --from nowhere --steps 1", &["nowhere", "no run and no checkpoint"]);
}

#[test]
fn data_have_the_classes_that_a_model_is_made_for() {
    let place = Place::new();
    for (model, key, count) in [
        ("mocogan", "categories.count", 1),
        ("mocogan", "categories.count", 6),
        ("vgan --set variant=classifier", "classifier.classes", 101),
    ] {
        let command = format!("train {model} --preset tiny --set {key}={count} --steps 1 --out run");
        let numbers = ["2 classes in \"class\"", &format!("made for {count}"), &format!("--set {key}=2")];
        place.error(&command, &numbers);
        assert!(!place.join("run").exists(), "refused before there is a folder");
    }
    // Without a class loss on real clips their labels are not looked at.
    place.good("train mocogan --preset tiny --set categories.count=6 --set train.class_loss=infogan --steps 1 --out run");
}

/// VideoVAE: two stages, attributes by name, optional given frames, and scores.
#[test]
fn clips_are_asked_for_by_attributes_and_scored() {
    let place = Place::new();
    let train = "train videovae --preset tiny --samples 2";
    let first = place.good(&format!("{train} --set variant=classifier --steps 2 --out stage-1")).stderr;
    assert!(!first.contains("--from"), "{first}");
    let alone = place.good(&format!("{train} --steps 1 --out alone")).stderr;
    assert!(alone.contains("these are random") && alone.contains("--from RUN"), "{alone}");
    let both = place.good(&format!("{train} --from stage-1 --steps 2 --out run")).stderr;
    assert!(!both.contains("these are random"), "{both}");
    place.error(
        &format!("{train} --set attributes.classes=[3,2] --steps 1 --out bad"),
        &["attributes.classes=[2,2]"],
    );

    place.good("sample run --num 2 --class 1 --attribute kind=0 --switch 1:0 --switch 2:kind=1 --out a.gif");
    place.good("sample run --num 2 --data shapes --split test --given 2 --frames 5 --out b.gif");
    place.error("sample run --attribute kidn=0", &["did you mean \"kind\""]);
    place.error("sample run --attribute kind=2", &["no class 2 of \"kind\""]);
    place.error("sample run --switch 1:0 --switch 1:class=1", &["two changes at frame 1"]);
    place.error("sample run --data shapes --given 3", &["fewer than the 3 given ones"]);
    place.error("sample run --given 1", &["--given", "--data SET"]);
    place.error("sample stage-1", &["tells what clips show"]);

    let eval = "eval run --data shapes --metrics attributes --num 4";
    for given in ["", " --given 1"] {
        let text = place.good(&format!("{eval} --classifier stage-1 --json{given}")).stdout;
        let rows: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
        assert_eq!(rows.len(), 2, "the bound and the model: {text}");
        for row in rows {
            let score = row["i_score"].as_f64().expect("a number");
            assert!((1.0..=4.0).contains(&score) && row["accuracy"]["kind"].is_number(), "{row}");
        }
    }
    let bound = place.good("eval --control same --data shapes --split test --metrics attributes --num 4 --classifier stage-1").stdout;
    assert!(bound.contains("accuracy class") && bound.contains("I-score"), "{bound}");
    place.error(eval, &["--classifier", "evaluation-classifier"]);
    place.error("eval run --metrics attributes --classifier stage-1", &["--data"]);
    place.error("eval run --data shapes --metrics attributes,motion --classifier stage-1", &["alone"]);
    place.error("eval run --data shapes --metrics motion --classifier stage-1", &["--metrics attributes"]);
    place.good("train tgan --preset tiny --steps 1 --samples 0 --out gan");
    place.error("eval gan --data shapes --metrics attributes --classifier stage-1", &["cannot be asked for"]);
    place.error(&format!("{eval} --classifier gan"), &["tells no attributes"]);
}

/// DVD-GAN: classes of two groups, narrow noise, other lengths, and the form that continues given frames.
#[test]
fn noise_is_narrowed_and_clips_go_on() {
    let place = Place::new();
    let groups = "--set classes.groups=[\"motion\",\"colour\"] --set classes.counts=[2,8]";
    place.good(&format!("train dvdgan --preset tiny {groups} --samples 2 --steps 2 --out run"));
    place.error(
        &format!("train dvdgan --preset tiny {groups} --set classes.counts=[2,7] --steps 1 --out bad"),
        &["8 classes in \"colour\"", "--set classes.counts=[2,8]"],
    );
    place.good("sample run --num 2 --class 1 --attribute colour=3 --sigma 0.44 --out a.gif");
    place.good("sample run --num 2 --truncation 0.5 --frames 8 --out b.gif");
    place.good("sample run --grid noise=2,class=3 --out c.gif");
    place.error("sample run --sigma 0.5 --truncation 0.5", &["cannot be used with"]);
    place.error("sample run --sigma=-1", &["0 to 10"]);
    place.error("sample run --truncation 11", &["0 to 10"]);
    place.error("sample run --attribute colour=8", &["no class 8 of \"colour\""]);
    place.good("train tgan --preset tiny --steps 1 --samples 0 --out other");
    place.error("sample other --sigma 0.5", &["one way"]);

    let given =
        "--set clip.given=2 --set classes.groups=[] --set classes.counts=[] --set sample.standing_batches=0";
    place.good(&format!("train dvdgan --preset tiny {given} --samples 2 --steps 2 --out fp"));
    place.error("sample fp", &["2 given frames", "--data"]);
    place.good("sample fp --data shapes --split test --num 2 --out d.gif");
    place.good("sample fp --context a.gif --num 3 --out e.gif");
}
