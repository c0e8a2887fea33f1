//! Files that were made to do harm: sizes that are negative, huge or overflow, and nesting that the stack cannot take.

use super::*;

#[test]
fn hostile_sizes_are_refused() {
    let refused = |w: &Writer| parse(&w.bytes).err().unwrap().to_string();
    let mut legacy = Writer::default();
    for _ in 0..1_000_000 {
        legacy.int(6).text("");
    }
    assert!(refused(&legacy).contains("nested"));
    assert!(refused(Writer::default().int(2).int(-1)).contains("string of -1"));
    assert!(refused(Writer::default().int(2).int(i32::MAX)).contains("bytes expected"));
    assert!(refused(Writer::default().start(3).int(-5)).contains("-5 entries"));
    let storage = |n: i64| {
        let mut w = Writer::default();
        w.class("torch.DoubleStorage").signed(&[n]);
        refused(&w)
    };
    assert!(storage(-1).contains("storage of -1"));
    assert!(storage(i64::MAX).contains("storage of"));
    assert!(storage(1 << 40).contains("bytes expected"));
    for rank in [-1, 17, i32::MAX] {
        assert!(refused(Writer::default().class("torch.FloatTensor").int(rank)).contains("axes"), "{rank}");
    }
}

#[test]
fn hostile_views_are_refused() {
    const HUGE: i64 = 1 << 40;
    for (sizes, strides, start) in [
        ([-1, 2, 2], [4, 2, 1], 1),
        ([i64::MIN; 3], [1; 3], 1),
        ([HUGE; 3], [0; 3], 1),
        ([HUGE, HUGE, 0], [0; 3], 1),
        ([0, HUGE, HUGE], [0; 3], 1),
        ([1, 1, 8], [0, 0, i64::MAX], 1),
        ([1, 1, 8], [0, 0, i64::MIN], 1),
        ([1, 1, 2], [0, 0, -1], 1),
        ([1, 1, 1], [1; 3], i64::MIN),
        ([1, 1, 2], [1; 3], i64::MAX),
        ([1, 1, 1], [1; 3], 0),
    ] {
        let mut w = Writer::default();
        w.class("torch.FloatTensor").int(3).signed(&sizes).signed(&strides).signed(&[start]);
        w.class("torch.FloatStorage").longs(&[8]).longs(&[0; 4]);
        let file = parse(&w.bytes).unwrap();
        let text = file.tensor(file.root(), "t").err().map(|e| e.to_string()).unwrap_or_default();
        assert!(text.contains("beyond its storage"), "{sizes:?} {strides:?} {start}: {text}");
    }
}

#[test]
fn kernels_that_do_not_fit_their_rows_are_refused() {
    for (h, w) in [(1e300, 1e300), (-4.0, 4.0), (f64::NAN, 4.0), (5.0, 1.0)] {
        let mut file = Writer::default();
        file.class("nn.SpatialConvolution").table(3).key("kH").number(h).key("kW").number(w);
        file.key("weight").tensor(&ramp(&[2, 12]), 1);
        let file = parse(&file.bytes).unwrap();
        let text = file.parameters(file.root(), "x").unwrap_err().to_string();
        assert!(text.contains("rows of 12 weights"), "{h}x{w}: {text}");
    }
}

/// Any byte of a sound file may be any other: the result is a network or an error.
#[test]
fn spoilt_bytes_never_panic() {
    let mut w = Writer::default();
    w.class("nn.SpatialConvolution").table(3).key("kH").number(2.0).key("kW").number(2.0);
    w.key("weight").tensor(&ramp(&[2, 4]), 1);
    for at in 0..w.bytes.len() {
        for value in [0, 1, 4, 6, 0x7f, 0x80, 0xff] {
            let mut bytes = w.bytes.clone();
            bytes[at] = value;
            if let Ok(file) = parse(&bytes) {
                let _ = file.parameters(file.root(), "x");
            }
        }
    }
}
