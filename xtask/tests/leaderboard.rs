//! `leaderboard` among models of different kinds.

mod program;

use program::Place;

/// VGAN makes clips of one length alone, MoCoGAN learns every second frame, TGAN stretches its clips to the length that is asked for.
#[test]
fn models_of_all_kinds_stand_in_one_table() {
    let place = Place::new();
    let ended = place.good(
        "leaderboard tgan:tiny vgan:tiny mocogan:tiny --num 6 --metrics acd-c-shapes,motion --budget 2s \
         --set tgan.clip.bottom_width=2 --set vgan.clip.size=32 --set mocogan.categories.count=0 --set mocogan.discriminator.video=full \
         --set mocogan.train.class_loss=none --out board --json",
    );
    let lines = Place::json(&ended.stdout);
    assert_eq!(lines.len(), 8, "{ended:?}");
    for line in &lines {
        assert_eq!((&line["stride"], &line["clip"][0]), (&2.into(), &lines[0]["clip"][0]), "{line}");
    }
}

#[test]
fn what_cannot_be_measured_is_refused_before_anything_is_trained() {
    let place = Place::new();
    let call = "leaderboard tgan:tiny --budget 2s --out board";
    let mistakes = [
        ("--metrics fvd --num 4", "download i3d"),
        ("--metrics fvd2048_16f", "download i3d"),
        ("--metrics is-vg --num 3000000", "are needed"),
        ("--metrics psnr", "compares each clip with its true one"),
        ("--frames 4000 --metrics motion", "4000 frames"),
        ("--budget 0s", "expected 1ms to 366days"),
    ];
    for (arguments, part) in mistakes {
        let call = match arguments.starts_with("--budget") {
            true => format!("leaderboard tgan:tiny {arguments} --out board"),
            false => format!("{call} {arguments}"),
        };
        place.error(&call, &[part]);
        assert!(!place.join("board").exists(), "{arguments}");
    }
    place.error("leaderboard tgan:tiny mocogan:tiny --budget 2s", &["makes frames of"]);
}

#[test]
fn a_training_that_saved_nothing_makes_room() {
    let place = Place::new();
    let call = "leaderboard tgan:tiny --budget 1s --num 4 --metrics motion --out board";
    place.good(call);
    std::fs::remove_dir_all(place.join("board/tgan-tiny/checkpoints")).unwrap();
    place.good(call);
    assert!(!place.names("board/tgan-tiny/checkpoints").is_empty());
}
