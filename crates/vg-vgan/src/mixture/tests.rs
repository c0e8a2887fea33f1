//! Tests of the density and of fitting it.

use vg_core::Rng;

use super::*;

fn settings(components: usize) -> config::Mixture {
    config::Mixture { components, codes: 1000, kmeans_iterations: 5, em_iterations: 30, seed: 1 }
}

/// 1000 codes around (-3, 0) and (5, 1), three to one, standard deviations 0.5 and 2.
fn codes() -> Vec<f64> {
    let mut stream = Rng::new(3).stream("codes");
    let one = |i: usize, stream: &mut Stream| {
        let (m, s) = if i.is_multiple_of(4) { ([5.0, 1.0], 2.0) } else { ([-3.0, 0.0], 0.5) };
        m.map(|m| m + s * stream.normal())
    };
    (0..1000).flat_map(|i| one(i, &mut stream)).collect()
}

fn fitted(components: usize) -> Mixture {
    Mixture::fit(&codes(), 2, &settings(components))
}

#[test]
fn two_gaussians_are_found_again() {
    let m = fitted(2);
    let (small, large) = if m.weights[0] < m.weights[1] { (0, 1) } else { (1, 0) };
    assert!((m.weights[small] - 0.25).abs() < 0.01, "{m:?}");
    for (k, mean, std) in [(small, [5.0, 1.0], 2.0), (large, [-3.0, 0.0], 0.5)] {
        let (means, vars) = (m.row(&m.means, k), m.row(&m.vars, k));
        for ((got, var), want) in means.iter().zip(vars).zip(mean) {
            // Three standard errors of a mean over 250 codes.
            assert!((got - want).abs() < 0.4, "{m:?}");
            assert!((var.sqrt() / std - 1.0).abs() < 0.15, "{m:?}");
        }
    }
}

#[test]
fn em_never_lowers_the_likelihood_and_seeds_decide() {
    let codes = codes();
    let after = |n: usize| {
        let settings = config::Mixture { em_iterations: n, ..settings(5) };
        Mixture::fit(&codes, 2, &settings).log_likelihood(&codes)
    };
    let values: Vec<f64> = [0, 1, 3, 10].map(after).into();
    assert!(values.windows(2).all(|w| w[1] >= w[0] - 1e-9), "{values:?}");
    assert_eq!(fitted(5), fitted(5));
    let other = Mixture::fit(&codes, 2, &config::Mixture { seed: 2, ..settings(5) });
    assert_ne!(fitted(5), other);
}

#[test]
fn draws_have_the_moments_of_the_codes() {
    let (m, codes) = (fitted(3), codes());
    let mut stream = Rng::new(8).stream("draw");
    let draws: Vec<f64> = (0..4000).flat_map(|_| m.draw(&mut stream)).collect();
    for d in 0..2 {
        let mean = |v: &[f64]| v.iter().skip(d).step_by(2).sum::<f64>() / (v.len() / 2) as f64;
        assert!((mean(&draws) - mean(&codes)).abs() < 0.2);
    }
}

#[test]
fn few_codes_leave_components_without_weight() {
    let mut stream = Rng::new(1).stream("fit");
    let m = Mixture::fit(&[1.0, 2.0, 1.0, 2.0], 2, &settings(4));
    assert!((m.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    assert!(m.draw(&mut stream).iter().all(|x| x.is_finite()));
    assert_eq!(Mixture::fit(&[], 2, &settings(4)), Mixture::standard(4, 2));
}

#[test]
fn tensors_survive_and_their_problems_are_named() {
    let m = fitted(3);
    let mut tensors = m.tensors().unwrap();
    let mut again = tensors.clone();
    assert_eq!(Mixture::take(&mut again, &settings(3), 2, "w").unwrap(), m);
    assert!(again.is_empty());
    tensors.remove("mixture.means");
    tensors.insert("mixture.vars".into(), Tensor::zeros((3, 5), DType::F64, &Device::Cpu).unwrap());
    let text = Mixture::take(&mut tensors, &settings(3), 2, "w").unwrap_err().to_string();
    assert!(text.contains("mixture.means is missing") && text.contains("mixture.vars is [3, 5]"), "{text}");
}

/// Densities far below the smallest number.
#[test]
fn many_dimensions_do_not_underflow() {
    let dim = 2000;
    let two = |m: f64| vec![m; dim];
    let m = Mixture {
        dim,
        weights: vec![0.5, 0.5],
        means: [two(-1.0), two(1.0)].concat(),
        vars: vec![0.01; 2 * dim],
    };
    let (shares, log_density) = m.shares(&two(3.0));
    // 2000 * -(2^2 / 0.01 + ln(2 pi 0.01)) / 2 + ln 0.5.
    let want = -1000.0 * (400.0 + (std::f64::consts::TAU * 0.01).ln()) + 0.5f64.ln();
    assert!((log_density - want).abs() < 1e-6, "{log_density} {want}");
    assert_eq!(shares, [0.0, 1.0]);
    let (shares, _) = m.shares(&two(1e200));
    assert_eq!(shares.iter().sum::<f64>(), 1.0);
    let mut stream = Rng::new(5).stream("wide");
    let codes: Vec<f64> = (0..20 * dim).map(|_| stream.normal()).collect();
    let fitted = Mixture::fit(&codes, dim, &settings(3));
    assert!(fitted.log_likelihood(&codes).is_finite());
    assert!(fitted.vars.iter().chain(&fitted.means).all(|x| x.is_finite()));
}
