//! Classes by their names, and clips class by class.

mod program;

use program::Place;

#[test]
fn classes_are_asked_for_by_name() {
    let place = Place::new();
    place.good("train mocogan --preset tiny --steps 1 --samples 2 --out run");
    let listed = place.good("sample run --list-classes").stdout;
    assert!(listed.contains("class, 2 classes") && listed.contains("   1  right-to-left"), "{listed}");
    let json = Place::json(&place.good("sample run --list-classes --json").stdout);
    assert_eq!(json[0]["classes"]["class"][0], "bottom-to-top");
    let sample = |arguments: &str, out: &str| {
        place.good(&format!("sample run --num 2 {arguments} --out {out}"));
        place.bytes(out)
    };
    let number = sample("--class 1", "a.gif");
    assert_eq!(sample("--class right-to-left", "b.gif"), number);
    assert_eq!(sample("--class RightToLeft", "c.gif"), number);
    assert_eq!(sample("--classes right-to-left", "d.gif"), number);
    assert_ne!(sample("--class bottom-to-top", "e.gif"), number);
    let hint = ["near it: \"right-to-left\"", "--list-classes"];
    place.error("sample run --class right-to-lift", &hint);

    // A checkpoint knows them, too; weights that come without names say so.
    place.good("sample run/checkpoints/step-000001 --class right-to-left --num 1 --out f.gif");
    std::fs::create_dir(place.join("bare")).unwrap();
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(place.join("run/checkpoints/step-000001").join(name), place.join("bare").join(name))
            .unwrap();
    }
    place.good("sample bare --class 1 --num 1 --out g.gif");
    place.error("sample bare --class right-to-left", &["do not know the names", "classes 0 to 1"]);
    place.error("sample bare --list-classes", &["does not know the names of its classes, 0 to 1"]);
    place.good("train tgan --preset tiny --steps 1 --samples 0 --out gan");
    place.error("sample gan --list-classes", &["without classes"]);
    place.error("sample gan --class red", &["without classes"]);
    place.error("sample gan --per-class 2", &["--per-class", "without classes"]);
}

#[test]
fn label_groups_and_switches_take_names() {
    let place = Place::new();
    place.good("train videovae --preset tiny --steps 1 --samples 1 --out run");
    let names =
        "--class right-to-left --attribute kind=square --switch 1:bottom-to-top --switch 2:kind=circle";
    place.good(&format!("sample run --num 2 {names} --out names.gif"));
    let numbers = "--class 1 --attribute kind=1 --switch 1:0 --switch 2:kind=0";
    place.good(&format!("sample run --num 2 {numbers} --out numbers.gif"));
    assert_eq!(place.bytes("names.gif"), place.bytes("numbers.gif"));
    place.error("sample run --attribute kind=squar", &["near it: \"square\""]);
    place.error("sample run --switch 1:kind=circel", &["near it: \"circle\""]);
}

#[test]
fn clips_class_by_class_have_their_names_beside_them() {
    let place = Place::new();
    place.good("train mocogan --preset tiny --steps 1 --samples 3 --out run");
    let page = place.text("run/report.html");
    for part in
        ["Class by class, step 1", "all 2 classes", "<th>bottom-to-top</th>", "<th>right-to-left</th>"]
    {
        assert!(page.contains(part), "{part} is not on the page");
    }
    assert_eq!(place.names("run/classes"), ["index.json", "row-00.gif", "row-01.gif"]);
    let made = place.good("sample run --per-class 3 --out rows.gif");
    for part in ["6 clips", "seeds 0 to 2", "row 2: class 1, right-to-left"] {
        assert!(made.stdout.contains(part), "{part}: {}", made.stdout);
    }
    assert!(place.text("rows.html").contains("<th>right-to-left</th>"));
    let json = Place::json(&place.good("sample run --per-class 1 --json --out few.png").stdout);
    assert_eq!(json[0]["rows"][0], "bottom-to-top");
    place.error("sample run --per-class 2 --class 1", &["cannot be used with"]);
    place.good("train tgan --preset tiny --steps 1 --samples 1 --out gan");
    assert!(!place.text("gan/report.html").contains("Class by class"));
}
