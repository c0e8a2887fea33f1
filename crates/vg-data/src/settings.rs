//! Options in the name of a data set: `NAME,OPTION,OPTION=VALUE`, such as `mnist,digits=1` or `bair,legacy-stretch`.

use vg_core::{Error, Result};

use crate::{
    dataset::Start, flow::FlowMethod, layouts::Layout, open::OpenOptions, procedural::digits::motion::Bounce,
};

/// Options of a set, for messages and listings: `(as written, what it does)`.
pub type Known = &'static [(&'static str, &'static str)];

const RANDOM_START: (&str, &str) =
    ("random-start", "shorter clips that begin at any frame, not at the first");
const DIGITS: Known = &[
    ("digits=N", "1 to 4 digits on the canvas instead of 2; one digit has labels class"),
    ("bounce=mirror", "digits that are reflected, SVG's deterministic variant"),
    ("frames=N", "frames of a clip instead of 30"),
    RANDOM_START,
    ("repeat", "the same training clips in every epoch, not new ones"),
];
const DRAWN: Known = &[
    DIGITS[0],
    DIGITS[1],
    DIGITS[2],
    DIGITS[3],
    DIGITS[4],
    ("drawn", "digits drawn in code even where MNIST is"),
];
const BAIR: Known = &[
    ("legacy-stretch", "each frame's contrast stretched, as official SVG checkpoints saw it"),
    RANDOM_START,
];
const WEIZMANN: Known = &[
    ("time-split", "the first two thirds of each video for training, the rest for testing"),
    ("no-skip", "nine actions, without skip, as MoCoGAN"),
];
const STRIPS: Known = &[WEIZMANN[0]];

const KINETICS: Known = &[
    ("stride=N", "every N-th frame alone, 1 to 16; DVD-GAN takes every other one"),
    ("test-list", "the official test list for testing, not that of validation"),
];
const UCF101: Known = &[("split=N", "the official split 1, 2 or 3 instead of the first")];

const STREET: Known = &[("frames=N", "frames of a clip instead of 30, 1 to 1,200")];

const FLOW: (&str, &str) = (
    "flow=METHOD",
    "optical flow by medium (the default), fast, ultrafast or none, or from .flo files: dir:PATH",
);
const SPRITES: Known = &[("frames=N", "frames of a clip instead of 16"), FLOW];
const STRETCH: (&str, &str) = ("stretch", "frames scaled as a whole, whatever their ratio, not cut");
const VOID: (&str, &str) = ("void=ID", "the class of pixels whose id is none");
const CITYSCAPES: Known = &[STRETCH, VOID, FLOW];
const MAPS: Known =
    &[("classes=N", "number of classes, where no classes.txt names them"), STRETCH, VOID, FLOW];
const CONDITIONS: Known = &[STRETCH, FLOW];

/// The options that the set `name` has; of a set with a path, what stands before it is enough.
pub fn known(name: &str) -> Known {
    match name.split(':').next().unwrap_or(name) {
        "sprites" => SPRITES,
        "cityscapes" => CITYSCAPES,
        "maps" => MAPS,
        "face" | "pose" => CONDITIONS,
        "street" => STREET,
        "digits" => DRAWN,
        "mnist" => DIGITS,
        "bair" => BAIR,
        "weizmann" => WEIZMANN,
        "weizmann-strips" => STRIPS,
        "kinetics600" => KINETICS,
        "ucf101" => UCF101,
        _ => &[],
    }
}

/// The name of a set without its options; a path after `folder:` or `strips:` has none. The path of a layout ends where options that it
/// has begin.
pub fn base(name: &str) -> &str {
    if Layout::parse(name).is_some() {
        let option = |text: &str| known(name).iter().any(|(usage, _)| key(usage) == key(text));
        let mut path = name;
        while let Some((shorter, _)) = path.rsplit_once(',').filter(|(_, last)| option(last)) {
            path = shorter;
        }
        return path;
    }
    match name.split_once(',') {
        Some((base, _)) if !base.contains(':') => base,
        _ => name,
    }
}

/// The key of an option.
fn key(option: &str) -> &str {
    option.split('=').next().unwrap_or(option)
}

/// `options` with those of `name`, and the name without them.
///
/// # Errors
/// [`Error::Unknown`] for an option that the set does not have, [`Error::Data`] for a value that it cannot have.
pub(crate) fn apply<'a>(name: &'a str, options: &OpenOptions) -> Result<(&'a str, OpenOptions)> {
    let base = base(name);
    let mut options = options.clone();
    for option in name[base.len()..].split(',').skip(1) {
        set(base, option, &mut options)?;
    }
    Ok((base, options))
}

fn set(name: &str, option: &str, options: &mut OpenOptions) -> Result<()> {
    let (key, value) = option.split_once('=').map_or((option, None), |(key, value)| (key, Some(value)));
    if known(name).is_empty() {
        return Err(Error::Data(format!(
            "{name}: this data set has no options, so {option:?} cannot be one"
        )));
    }
    let Some((usage, _)) = known(name).iter().find(|(known, _)| self::key(known) == key) else {
        return Err(Error::unknown(
            format!("option of the data set {name}"),
            option,
            known(name).iter().map(|(known, _)| *known),
        ));
    };
    if value.is_some() != usage.contains('=') {
        return Err(Error::Data(format!("{name}: the option is written `{usage}`, not `{option}`")));
    }
    match (key, value.unwrap_or_default()) {
        ("digits", value) => options.digits = number(name, option, value, 1..=4)?,
        ("frames", value) => options.frames = Some(number(name, option, value, 1..=100_000)?),
        ("bounce", "mirror") => options.bounce = Bounce::Mirror,
        ("bounce", "random") => options.bounce = Bounce::Random,
        ("bounce", _) => {
            return Err(Error::Data(format!("{name}: {option}: digits bounce `random` or `mirror`")));
        }
        ("repeat", _) => options.repeat = true,
        ("drawn", _) => options.drawn = true,
        ("legacy-stretch", _) => options.legacy_stretch = true,
        ("random-start", _) => options.start = Some(Start::Anywhere),
        ("stride", value) => options.keep_every = number(name, option, value, 1..=16)?,
        ("split", value) => options.official_split = number(name, option, value, 1..=3)?,
        ("stretch", _) => options.stretch = true,
        ("classes", value) => options.classes = Some(number(name, option, value, 1..=256)?),
        ("void", value) => options.void = Some(number(name, option, value, 0..=255)?),
        ("flow", value) => {
            options.flow = FlowMethod::parse(value)
                .ok_or_else(|| Error::Data(format!("{name}: {option}: flow is {}", FlowMethod::USAGE)))?;
        }
        ("test-list", _) => options.test_list = true,
        ("time-split", _) => options.time_split = true,
        ("no-skip", _) => options.skip_action = false,
        // Every key of a table has its arm above.
        _ => {}
    }
    Ok(())
}

fn number(name: &str, option: &str, value: &str, range: std::ops::RangeInclusive<usize>) -> Result<usize> {
    value.parse().ok().filter(|n| range.contains(n)).ok_or_else(|| {
        let (low, high) = range.into_inner();
        Error::Data(format!("{name}: {option}: expected a number of {low} to {high}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str) -> String {
        apply(name, &OpenOptions::default()).err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn options_follow_the_name() {
        let (base, options) =
            apply("mnist,digits=1,bounce=mirror,frames=15", &OpenOptions::default()).unwrap();
        assert_eq!((base, options.digits, options.bounce), ("mnist", 1, Bounce::Mirror));
        assert_eq!(options.frames, Some(15));
        let (base, options) = apply("bair,legacy-stretch,random-start", &OpenOptions::default()).unwrap();
        assert_eq!((base, options.legacy_stretch, options.start), ("bair", true, Some(Start::Anywhere)));
        let (_, options) = apply("weizmann,time-split,no-skip", &OpenOptions::default()).unwrap();
        assert!(options.time_split && !options.skip_action);
        assert_eq!(base_of("folder:a,b"), "folder:a,b");
    }

    fn base_of(name: &str) -> &str {
        apply(name, &OpenOptions::default()).unwrap().0
    }

    #[test]
    fn mistakes_are_named() {
        assert!(
            message("digits,digit=1").contains("did you mean \"digits=N\"?"),
            "{}",
            message("digits,digit=1")
        );
        assert!(message("digits,digits=5").contains("a number of 1 to 4"));
        assert!(message("digits,digits").contains("written `digits=N`"));
        assert!(message("bair,legacy-stretch=1").contains("written `legacy-stretch`"));
        assert!(message("mnist,bounce=up").contains("`random` or `mirror`"));
        assert!(message("mnist,drawn").contains("option of the data set mnist"));
        assert!(message("ucf101,split=4").contains("a number of 1 to 3"));
        assert!(message("kinetics600,stride").contains("written `stride=N`"));
        assert!(message("shapes,").contains("has no options"));
    }

    #[test]
    fn every_option_that_is_listed_is_known() {
        for set in
            ["street", "digits", "mnist", "bair", "weizmann", "weizmann-strips", "kinetics600", "ucf101"]
        {
            for (option, _) in known(set) {
                let text = format!("{set},{}", option.replace('N', "2"));
                let changed = apply(&text, &OpenOptions::default()).unwrap().1;
                let plain = OpenOptions::default();
                let differs =
                    (
                        changed.digits,
                        changed.frames,
                        changed.bounce,
                        changed.drawn,
                        changed.start,
                        changed.repeat,
                    ) != (plain.digits, plain.frames, plain.bounce, plain.drawn, plain.start, plain.repeat)
                        || (changed.legacy_stretch, changed.time_split, changed.skip_action)
                            != (plain.legacy_stretch, plain.time_split, plain.skip_action)
                        || (changed.keep_every, changed.official_split, changed.test_list)
                            != (plain.keep_every, plain.official_split, plain.test_list);
                // Two digits are the default.
                assert!(differs || option.contains("digits"), "{text} changes nothing");
            }
        }
    }
}
