//! Frames as rows: their order in memory, norms with statistics a frame, and recurrent cells that run over them.

use candle_core::{DType, Device, Tensor, Var};
use vg_core::Rng;
use vg_core::grad::{Tape, backward, join};
use vg_core::nn::{ConvGru2dCell, ConvGruConfig, FrameNorm, FrameNormConfig, Init, Mode, ParamStore};
use vg_core::ops::Activation;
use vg_core::ops::fold::{fold_frames, swap_rows, unfold_frames};
use vg_core::ops::norm::{frame_batch_norm_eval, frame_batch_norm_train};
use vg_core::ops::rows::take_rows;
use vg_core::testing::{assert_close, gradcheck::gradcheck};

fn random(name: &str, shape: &[usize]) -> Tensor {
    Rng::new(1).stream(name).uniform_tensor(shape, -1.0, 1.0, DType::F64, &Device::Cpu).unwrap()
}

fn store(seed: u64) -> ParamStore {
    ParamStore::init(Rng::new(seed), DType::F64, &Device::Cpu)
}

#[test]
fn frames_fold_unfold_and_swap() {
    let clips = random("x", &[2, 3, 4, 5, 2]);
    let rows = fold_frames(&clips).unwrap();
    let want = clips.permute((0, 2, 1, 3, 4)).unwrap().contiguous().unwrap().reshape((8, 3, 5, 2)).unwrap();
    assert_close("rows", &rows, &want, 0.0, 0.0);
    assert_close("clips", &unfold_frames(&rows, 4).unwrap(), &clips, 0.0, 0.0);
    let steps = swap_rows(&rows, 2).unwrap();
    for (clip, frame) in [(0, 0), (1, 0), (0, 3), (1, 2)] {
        assert_close(
            "step",
            &steps.get(frame * 2 + clip).unwrap(),
            &rows.get(clip * 4 + frame).unwrap(),
            0.0,
            0.0,
        );
    }
    assert_close("back", &swap_rows(&steps, 4).unwrap(), &rows, 0.0, 0.0);
    assert_eq!(swap_rows(&rows, 1).unwrap().id(), rows.id());
    gradcheck(|t| Ok(fold_frames(&t[0])?.sqr()?), std::slice::from_ref(&clips)).unwrap();
    gradcheck(|t| Ok(unfold_frames(&t[0], 4)?.sqr()?), std::slice::from_ref(&rows)).unwrap();
    gradcheck(|t| Ok(swap_rows(&t[0], 2)?.sqr()?), std::slice::from_ref(&rows)).unwrap();
    let many = random("y", &[3, 70, 300, 2]);
    assert_close("many", &unfold_frames(&fold_frames(&many).unwrap(), 300).unwrap(), &many, 0.0, 0.0);
    assert!(fold_frames(&random("z", &[2, 3])).unwrap_err().to_string().contains("[B, C, T, ...]"));
    assert!(unfold_frames(&rows, 3).unwrap_err().to_string().contains("[B * 3, C, ...]"));
    assert!(swap_rows(&rows, 3).unwrap_err().to_string().contains("[3 * N, ...]"));
}

#[test]
fn rows_are_taken_by_number() {
    let rows = random("x", &[4, 3, 2]);
    let of = [2, 0, 0, 3, 2];
    let index = Tensor::new(&of.map(|k| k as u32), &Device::Cpu).unwrap();
    assert_close("rows", &take_rows(&rows, &of).unwrap(), &rows.index_select(&index, 0).unwrap(), 0.0, 0.0);
    gradcheck(|t| Ok(take_rows(&t[0], &of)?.sqr()?), std::slice::from_ref(&rows)).unwrap();
    assert!(take_rows(&rows, &[4]).unwrap_err().to_string().contains("below 4"));
}

/// On a tape, too, where the gradients of the parts are views.
#[test]
fn joined_tensors_get_their_gradients() {
    let parts = [random("a", &[2, 3]), random("b", &[1, 3]), random("c", &[3, 3])];
    gradcheck(|t| Ok(join(t)?.sqr()?), &parts).unwrap();
    let vars = parts.each_ref().map(|t| Var::from_tensor(t).unwrap());
    let _tape = Tape::start();
    let relu = |v: &Var| Activation::Relu.apply(v.as_tensor()).unwrap();
    let all = join(&[relu(&vars[0]), parts[1].clone(), relu(&vars[2])]).unwrap();
    let loss = take_rows(&all, &[0, 2, 4, 4]).unwrap().sum_all().unwrap();
    let grads = backward(&loss).unwrap();
    let grad = |k: usize| grads.get(vars[k].as_tensor()).unwrap().to_vec2::<f64>().unwrap();
    let positive = |k: usize, row: usize, times: f64| -> Vec<f64> {
        let row = parts[k].get(row).unwrap().to_vec1::<f64>().unwrap();
        row.iter().map(|x| if *x > 0.0 { times } else { 0.0 }).collect()
    };
    assert_eq!(grad(0), [positive(0, 0, 1.0), vec![0.0; 3]]);
    assert_eq!(grad(2), [vec![0.0; 3], positive(2, 1, 2.0), vec![0.0; 3]]);
    assert!(grads.get(vars[1].as_tensor()).is_none());
}

/// Specification of DVD-GAN, section 10.4.
#[test]
fn statistics_are_those_of_a_frame() {
    let x =
        Tensor::new(&[1f64, 2.0, 3.0, 4.0, 5.0, 6.0], &Device::Cpu).unwrap().reshape((6, 1, 1, 1)).unwrap();
    let (one, zero) = (
        Tensor::ones((6, 1), DType::F64, &Device::Cpu).unwrap(),
        x.reshape((6, 1)).unwrap().zeros_like().unwrap(),
    );
    let (y, stats) = frame_batch_norm_train(&x, 3, &one, &zero, 1e-5, Activation::Identity).unwrap();
    assert_eq!((&stats.mean[..], &stats.var[..]), (&[2.5, 3.5, 4.5][..], &[2.25; 3][..]));
    let y: Vec<f64> = y.flatten_all().unwrap().to_vec1().unwrap();
    assert!(
        y.iter().zip([-1.0, -1.0, -1.0, 1.0, 1.0, 1.0]).all(|(y, s)| (y - 0.9999977778 * s).abs() < 1e-9),
        "{y:?}"
    );
}

#[test]
fn norms_of_frames_have_gradients_and_agree_with_given_statistics() {
    for inner in [&[3, 2][..], &[9, 8]] {
        let x = random("x", &[&[6, 2], inner].concat());
        let (scale, shift) = (random("scale", &[6, 2]), random("shift", &[6, 2]));
        let of = |t: &[Tensor]| frame_batch_norm_train(&t[0], 3, &t[1], &t[2], 1e-5, Activation::Identity);
        let all = [x, scale, shift];
        gradcheck(|t| Ok(of(t)?.0), &all).unwrap();
        let (y, stats) = of(&all).unwrap();
        let given = |v: &[f64]| Tensor::from_vec(v.to_vec(), (3, 2), &Device::Cpu).unwrap();
        let (mean, var) = (given(&stats.mean), given(&stats.var));
        let eval = |t: &[Tensor]| {
            frame_batch_norm_eval(&t[0], &t[1], &t[2], &mean, &var, 1e-5, Activation::Identity)
        };
        assert_close("given", &eval(&all).unwrap(), &y, 1e-12, 1e-12);
        gradcheck(eval, &all).unwrap();
        let text = of(&[random("x", &[5, 2, 3]), random("s", &[5, 2]), random("s", &[5, 2])]).unwrap_err();
        assert!(text.to_string().contains("[B * 3, C, ...]"), "{text}");
    }
}

/// A scale from the condition: 1 and more, one a clip; running statistics by their share.
#[test]
fn conditions_scale_and_shift_clips() {
    let config = FrameNormConfig {
        frames: 3,
        condition: 4,
        eps: 1e-5,
        weight_init: Init::Orthogonal { gain: 1.0 },
        spectral_eps: 1e-12,
    };
    for condition in [4, 0] {
        let store = store(3);
        let norm = FrameNorm::new(2, &FrameNormConfig { condition, ..config }, &store.source()).unwrap();
        let (x, c) = (random("x", &[6, 2, 2, 2]), random("c", &[2, 4]));
        let y = norm.forward(&x, &c, Activation::Relu, Mode::TRAIN, 1.0).unwrap();
        let names: Vec<String> = store.shapes().into_keys().collect();
        let wanted: &[&str] = if condition > 0 { &["bias.weight", "gain.weight"] } else { &["bias", "gain"] };
        assert_eq!(names, wanted);
        // Unbiased variances are stored, biased ones normalise.
        let mean = norm.mean().get();
        let frame = x.reshape((2, 3, 2, 4)).unwrap().transpose(2, 3).unwrap().transpose(0, 1).unwrap();
        let frame = frame.contiguous().unwrap().reshape((3, 2, 4, 2)).unwrap();
        assert_close("mean", &mean, &frame.mean((1, 2)).unwrap(), 1e-12, 1e-12);
        let stored = norm.var().to_vec().unwrap();
        let eval = norm.forward(&x, &c, Activation::Relu, Mode::EVAL, 1.0).unwrap();
        norm.var().set(&(norm.var().get() * (7.0 / 8.0)).unwrap()).unwrap();
        let biased = norm.forward(&x, &c, Activation::Relu, Mode::EVAL, 1.0).unwrap();
        assert_close("biased", &biased, &y, 1e-9, 1e-9);
        assert!((&eval - &y).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f64>().unwrap() > 1e-4);
        norm.forward(&x, &c, Activation::Relu, Mode::TRAIN, 0.25).unwrap();
        for (new, old) in norm.var().to_vec().unwrap().iter().zip(&stored) {
            assert!((new - old * (0.75 * 7.0 / 8.0 + 0.25)).abs() < 1e-12);
        }
    }
}

/// All frames at once are the steps one by one, on a tape and without.
#[test]
fn cells_run_over_rows_as_over_frames() {
    let store = store(5);
    let cell = ConvGru2dCell::new(3, 2, ConvGruConfig::default(), &store.source()).unwrap();
    let (x, h) = (random("x", &[8, 3, 3, 4]), random("h", &[2, 2, 3, 4]));
    let frames: Vec<Tensor> = (0..4).map(|t| x.narrow(0, 2 * t, 2).unwrap()).collect();
    let zero = h.zeros_like().unwrap();
    for (state, start) in [(Some(&h), &h), (None, &zero)] {
        let weights = cell.weights(Mode::EVAL).unwrap();
        let want = Tensor::cat(&weights.sequence(&frames, start).unwrap(), 0).unwrap();
        assert_close("frames", &weights.run(&x, 4, false, state).unwrap(), &want, 1e-13, 1e-13);
        let still = vec![frames[0].clone(); 4];
        let want = Tensor::cat(&weights.sequence(&still, start).unwrap(), 0).unwrap();
        assert_close("still", &weights.run(&frames[0], 4, true, state).unwrap(), &want, 1e-13, 1e-13);
        let run = |t: &[Tensor]| cell.weights(Mode::TRAIN)?.run(&t[0], 4, false, t.get(1));
        let given = if state.is_some() { vec![x.clone(), h.clone()] } else { vec![x.clone()] };
        gradcheck(run, &given).unwrap();
        let grads = |taped: bool| {
            let _tape = taped.then(Tape::start);
            let loss = cell.weights(Mode::TRAIN).unwrap().run(&x, 4, false, state).unwrap();
            let loss = loss.sqr().unwrap().sum_all().unwrap();
            let grads = backward(&loss).unwrap();
            let of = |(_, var): (String, Var)| grads.get(var.as_tensor()).unwrap().clone();
            store.vars("").into_iter().map(of).collect::<Vec<_>>()
        };
        for (a, b) in grads(true).iter().zip(&grads(false)) {
            assert_close("gradient on a tape", a, b, 1e-12, 1e-12);
        }
    }
    let error = cell.weights(Mode::EVAL).unwrap().run(&x, 3, false, None).unwrap_err();
    assert!(error.to_string().contains("[3 * B, I, H, W]"), "{error}");
}
