//! Operations on images with flows, labels and instances, against numbers of the specification and finite differences.

use candle_core::{DType, Device, Tensor};
use vg_core::Rng;
use vg_core::grad::backward;
use vg_core::ops::labels::{instance_edges, one_hot};
use vg_core::ops::pad::reflection_pad;
use vg_core::ops::pool::{PoolParams, avg_pool};
use vg_core::ops::segments::Segments;
use vg_core::ops::warp::warp;
use vg_core::testing::{assert_close, gradcheck::gradcheck};

fn tensor(values: &[f64], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
}

fn counting(shape: &[usize]) -> Tensor {
    let n = shape.iter().product::<usize>();
    tensor(&(0..n).map(|k| k as f64).collect::<Vec<_>>(), shape)
}

fn random(name: &str, shape: &[usize], bound: f64) -> Tensor {
    Rng::new(1).stream(name).uniform_tensor(shape, -bound, bound, DType::F64, &Device::Cpu).unwrap()
}

/// `(u, v)` everywhere on a 4x6 image.
fn even(u: f64, v: f64) -> Tensor {
    tensor(&[[u; 24], [v; 24]].concat(), &[1, 2, 4, 6])
}

#[test]
fn warp_of_an_integer_flow_shifts_and_repeats_the_border() {
    let image = counting(&[1, 1, 4, 6]);
    assert_close("identity", &warp(&image, &even(0.0, 0.0)).unwrap(), &image, 0.0, 0.0);
    let row = |first: f64| [first, first + 1.0, first + 2.0, first + 3.0, first + 3.0, first + 3.0];
    let want = tensor(&[row(2.0), row(2.0), row(8.0), row(14.0)].concat(), &[1, 1, 4, 6]);
    assert_close("shift", &warp(&image, &even(2.0, -1.0)).unwrap(), &want, 0.0, 0.0);
    let row = |first: f64| [0.0, 1.0, 2.0, 3.0, 4.0, 4.5].map(|k| first + k);
    let want = tensor(&[row(2.0), row(8.0), row(14.0), row(18.5)].concat(), &[1, 1, 4, 6]);
    assert_close("between", &warp(&image, &even(0.5, 0.25)).unwrap(), &want, 1e-12, 0.0);
}

#[test]
fn clamped_coordinates_have_no_gradient() {
    let image = counting(&[1, 1, 4, 6]);
    let grad = |u, v| {
        let flow = candle_core::Var::from_tensor(&even(u, v)).unwrap();
        let sum = warp(&image, flow.as_tensor()).unwrap().sum_all().unwrap();
        backward(&sum)
            .unwrap()
            .get(flow.as_tensor())
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f64>()
            .unwrap()
    };
    assert_eq!(grad(0.5, 0.0)[..6], [1.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
    let down = grad(0.0, 0.5);
    assert_eq!([0, 6, 12, 18].map(|k| down[24 + k]), [6.0, 6.0, 6.0, 0.0]);
    // PyTorch counts a coordinate on the border as clamped.
    assert_eq!(grad(0.0, 0.0)[..6], [0.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
}

#[test]
fn gradients_of_the_warp_hold() {
    let (image, flow) = (random("image", &[2, 3, 5, 7], 1.0), random("flow", &[2, 2, 5, 7], 2.3));
    gradcheck(|t| warp(&t[0], &t[1]), &[image, flow]).unwrap();
}

#[test]
fn a_warp_is_the_same_at_any_number_of_threads_and_close_in_f32() {
    let (image, flow) = (random("image", &[2, 3, 33, 47], 1.0), random("flow", &[2, 2, 33, 47], 9.0));
    let whole = warp(&image, &flow).unwrap();
    let single = |t: &Tensor| t.to_dtype(DType::F32).unwrap();
    assert_close("f32", &warp(&single(&image), &single(&flow)).unwrap(), &single(&whole), 1e-4, 1e-5);
}

#[test]
fn operands_of_a_warp_that_do_not_fit_are_named() {
    let (image, flow) = (random("image", &[2, 3, 5, 7], 1.0), random("flow", &[2, 2, 5, 6], 2.3));
    assert!(warp(&image, &flow).unwrap_err().to_string().contains("flow: expected [2, 2, 5, 7]"));
    let flow = random("flow", &[2, 2, 5, 7], 1.0).to_dtype(DType::F32).unwrap();
    assert!(warp(&image, &flow).unwrap_err().to_string().contains("to_dtype"));
}

#[test]
fn reflections_leave_the_border_out() {
    let y = reflection_pad(&counting(&[1, 1, 4, 4]), 3).unwrap();
    let rows: Vec<Vec<f64>> = y.get(0).unwrap().get(0).unwrap().to_vec2().unwrap();
    assert_eq!(rows[3], [3.0, 2.0, 1.0, 0.0, 1.0, 2.0, 3.0, 2.0, 1.0, 0.0]);
    assert_eq!(rows[0], [15.0, 14.0, 13.0, 12.0, 13.0, 14.0, 15.0, 14.0, 13.0, 12.0]);
    gradcheck(|t| reflection_pad(&t[0], 2), &[random("x", &[2, 2, 3, 5], 1.0)]).unwrap();
    assert!(reflection_pad(&counting(&[1, 1, 3, 4]), 3).unwrap_err().to_string().contains("H > 3"));
}

#[test]
fn means_of_segments_are_constant_in_each_and_their_own_projection() {
    let ids = Tensor::from_slice(&[7i64, 7, 26_001, 0, 7, 26_001, 1, 1, 1, 1, 1, 2], (2, 2, 3), &Device::Cpu)
        .unwrap();
    let segments = Segments::new(&ids).unwrap();
    assert_eq!(segments.sizes(0).collect::<Vec<_>>(), [(0, 1), (7, 3), (26_001, 2)]);
    let x = counting(&[2, 1, 2, 3]);
    let y = segments.mean(&x).unwrap();
    let (third, eighth) = (5.0 / 3.0, 8.0);
    let want = tensor(
        &[third, third, 3.5, 3.0, third, 3.5, eighth, eighth, eighth, eighth, eighth, 11.0],
        &[2, 1, 2, 3],
    );
    assert_close("means", &y, &want, 1e-14, 0.0);
    assert_close("again", &segments.mean(&y).unwrap(), &y, 1e-14, 0.0);
    assert_eq!(segments.means(&x, 1).unwrap()[&2], [11.0]);
    gradcheck(|t| segments.mean(&t[0]), &[random("x", &[2, 2, 2, 3], 1.0)]).unwrap();
    assert!(segments.mean(&counting(&[1, 1, 2, 3])).unwrap_err().to_string().contains("[2, C, 2, 3]"));
    assert!(Segments::new(&tensor(&[0.5; 4], &[1, 2, 2])).unwrap_err().to_string().contains("whole numbers"));
}

#[test]
fn labels_become_channels_and_strange_ones_are_named() {
    let labels = Tensor::from_slice(&[0u8, 2, 1, 0], (1, 2, 2), &Device::Cpu).unwrap();
    let want = tensor(&[1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0], &[1, 3, 2, 2]);
    assert_close("one-hot", &one_hot(&labels, 3, DType::F64).unwrap(), &want, 0.0, 0.0);
    let text = one_hot(&labels, 2, DType::F64).unwrap_err().to_string();
    assert!(text.contains("label 2 at row 0, column 1 of map 0") && text.contains("0 to 1"), "{text}");
    assert!(one_hot(&tensor(&[-1.0], &[1, 1, 1]), 2, DType::F64).is_err());
}

#[test]
fn edges_lie_on_both_sides_of_a_border_between_instances() {
    let ids = [
        [1.0, 1.0, 1.0, 1.0, 1.0],
        [1.0, 2.0, 2.0, 1.0, 1.0],
        [1.0, 2.0, 2.0, 1.0, 1.0],
        [1.0, 1.0, 1.0, 1.0, 3.0],
    ];
    let want = [
        [0.0, 1.0, 1.0, 0.0, 0.0],
        [1.0, 1.0, 1.0, 1.0, 0.0],
        [1.0, 1.0, 1.0, 1.0, 1.0],
        [0.0, 1.0, 1.0, 1.0, 1.0],
    ];
    let found = instance_edges(&tensor(&ids.concat(), &[1, 4, 5]), DType::F64).unwrap();
    assert_close("edges", &found, &tensor(&want.concat(), &[1, 1, 4, 5]), 0.0, 0.0);
}

/// The pyramid's pooling: the padding does not count.
#[test]
fn pyramids_average_what_lies_inside() {
    let params = PoolParams::uniform(3, 2).padding([1, 1]).count_include_pad(false);
    let y = avg_pool(&counting(&[1, 1, 4, 4]), &params).unwrap();
    assert_close("pooled", &y, &tensor(&[2.5, 4.0, 8.5, 10.0], &[1, 1, 2, 2]), 1e-14, 0.0);
}
