//! Inception Scores against golden values and the specification's numbers.

mod common;

use common::{close, entry, features, statistics};
use vg_metrics::inception_score::{Guard, InceptionScore, MeanStd};
use vg_metrics::{Error, Features};

const ROWS: [f64; 12] = [0.7, 0.2, 0.1, 0.1, 0.8, 0.1, 0.2, 0.2, 0.6, 0.25, 0.5, 0.25];

fn rows(values: &[f64], classes: usize) -> Features {
    Features::from_rows("fake clips", classes, values).unwrap()
}

#[test]
fn numbers_of_the_specification() {
    let probs = rows(&ROWS, 3);
    let score = |rule: InceptionScore| rule.value(&probs).unwrap();
    close("one part", score(InceptionScore::PLAIN).mean, 1.246733768078, 1e-12);
    let halves = InceptionScore { splits: 2, ..InceptionScore::PLAIN };
    let scores = halves.scores(&probs).unwrap();
    close("first half", scores[0], 1.249724573996, 1e-12);
    close("second half", scores[1], 1.074357203590, 1e-12);
    close("mean of halves", score(halves).mean, 1.162040888793, 1e-12);
    close("deviation of halves", score(halves).std, 0.087683685203, 1e-12);
    let tgan = InceptionScore { batch: 1, ..InceptionScore::TGAN };
    close("TGAN's guard", score(tgan).mean, 1.246733768078, 5e-13);

    let logits = [[2.0, 0.0, -1.0], [0.0, 3.0, 0.5], [1.0, 1.0, 1.0f64]];
    let softmax = logits.map(|row| {
        let sum: f64 = row.iter().map(|v| v.exp()).sum();
        row.map(|v| v.exp() / sum)
    });
    let got = InceptionScore::PLAIN.value(&rows(softmax.as_flattened(), 3)).unwrap();
    close("softmax", got.mean, 1.382205287252, 1e-12);

    let one_hot: Vec<f64> = (0..7 * 7).map(|i| if i % 8 == 0 { 1.0 } else { 0.0 }).collect();
    for rule in [InceptionScore::PLAIN, InceptionScore::TGAN_V2] {
        close("one class each", rule.value(&rows(&one_hot, 7)).unwrap().mean, 7.0, 1e-12);
    }
}

#[test]
fn golden_values() {
    let file = statistics();
    let probs = features(&file, "in.p");
    for (guard, name, splits) in [
        (Guard::None, "none", 1),
        (Guard::InsideLogarithms, "tgan", 1),
        (Guard::OnProbabilities, "tgan2", 1),
        (Guard::None, "none", 3),
    ] {
        let name = format!("out.inception.{name}.{splits}");
        let got = InceptionScore { guard, splits, ..InceptionScore::PLAIN }.scores(&probs).unwrap();
        got.iter().zip(entry(&file, &name).1).for_each(|(g, w)| close(&name, *g, w, 1e-12));
    }
}

#[test]
fn streaming_gives_the_same_bits_in_any_batches() {
    let file = statistics();
    let probs = features(&file, "in.p");
    for rule in [InceptionScore::PLAIN, InceptionScore::TGAN_V2] {
        let mut sums = rule.streaming("fake clips", probs.dim()).unwrap();
        for part in probs.values().chunks(3 * probs.dim()) {
            sums.push(part).unwrap();
        }
        assert_eq!(vec![sums.score().unwrap()], rule.scores(&probs).unwrap());
    }
    assert!(matches!(InceptionScore::STYLEGAN_V.streaming("x", 3), Err(Error::Setting { .. })));
    assert!(matches!(InceptionScore::PLAIN.streaming("x", 3).unwrap().score(), Err(Error::TooFew { .. })));
}

#[test]
fn variants_keep_their_rules() {
    // 100 samples: two whole batches of 48 count.
    let probs: Vec<f64> = (0..100).flat_map(|i| if i < 96 { [0.5, 0.5] } else { [1.0, 0.0] }).collect();
    let all = rows(&probs, 2);
    close("whole batches", InceptionScore::TGAN.value(&all).unwrap().mean, 1.0, 1e-12);
    assert!(InceptionScore::PLAIN.value(&all).unwrap().mean > 1.001);
    // Without the shuffle, the first nine parts score 1 exactly.
    let parts = |rule: InceptionScore| rule.scores(&all).unwrap().iter().filter(|s| **s > 1.0 + 1e-9).count();
    assert_eq!(parts(InceptionScore::IMAGES), 1);
    assert!(parts(InceptionScore::STYLEGAN_V) > 1);
    assert_eq!(MeanStd::of(&[1.0, 3.0]), MeanStd { mean: 2.0, std: 1.0 });
}

#[test]
fn rows_that_are_no_probabilities_are_named() {
    let error = |values: &[f64]| InceptionScore::PLAIN.value(&rows(values, 2)).unwrap_err().to_string();
    let want = "probabilities of fake clips, sample 1: value 0 is 3; expected a probability in [0, 1]";
    assert_eq!(error(&[0.5, 0.5, 3.0, -2.0]), want);
    assert!(error(&[0.5, 0.5, 0.4, 0.4]).contains("sample 1") && error(&[0.3, 0.3]).contains("sum 1"));
    assert_eq!(
        InceptionScore::TGAN.value(&rows(&ROWS, 3)).unwrap_err().to_string(),
        "samples of fake clips: 4 given, at least 48 needed"
    );
}
