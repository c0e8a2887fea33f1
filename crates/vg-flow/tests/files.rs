//! `.flo` files on disk.

use proptest::prelude::*;
use vg_flow::{Flow, FlowError, flo};

fn flows() -> impl Strategy<Value = Flow> {
    (1usize..9, 1usize..9).prop_flat_map(|(height, width)| {
        let values = prop::collection::vec(prop::num::f32::ANY, 2 * height * width);
        values.prop_map(move |data| Flow::new(height, width, data).unwrap())
    })
}

proptest! {
    #[test]
    fn a_flow_comes_back_as_it_was(flow in flows()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.flo");
        flo::write(&path, &flow).unwrap();
        let back = flo::read(&path).unwrap();
        prop_assert_eq!((back.height, back.width), (flow.height, flow.width));
        let bits = |flow: &Flow| flow.data.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&back), bits(&flow));
        // One file, no left-overs.
        prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), head in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.flo");
        let mut bytes = bytes;
        if head {
            bytes.splice(0..4.min(bytes.len()), *b"PIEH");
        }
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(flow) = flo::read(&path) {
            prop_assert_eq!(flo::to_bytes(&flow).unwrap(), bytes);
        }
    }
}

#[test]
fn errors_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.flo");
    let error = flo::read(&missing).unwrap_err();
    assert!(matches!(&error, FlowError::Io { action: "reading", .. }));
    assert!(error.to_string().contains("none.flo"), "{error}");
    let error = flo::write(folder.path().join("no folder/a.flo"), &Flow::zeros(1, 1)).unwrap_err();
    assert!(matches!(error, FlowError::Io { action: "writing", .. }));
    let path = folder.path().join("cut.flo");
    std::fs::write(&path, b"PIEH\x01\0\0\0\x01\0\0\0abc").unwrap();
    let error = flo::read(&path).unwrap_err().to_string();
    assert!(error.ends_with("cut.flo: 1 x 1 flows take 20 bytes, this file has 15"), "{error}");
    let bad = Flow { height: 2, width: 2, data: vec![0.0; 3] };
    assert!(
        flo::write(&path, &bad).unwrap_err().to_string().contains("expected 8 values for [2, 2, 2], got 3")
    );
    // The old file is untouched.
    assert_eq!(std::fs::read(&path).unwrap().len(), 15);
}
