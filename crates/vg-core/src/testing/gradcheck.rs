//! Gradients against finite differences.

use candle_core::{DType, Tensor, Var};

use crate::{Error, Result, Rng};

/// Step of the central differences.
const STEP: f64 = 1e-5;
/// Largest accepted difference, relative to the larger of 1 and the gradient.
const TOLERANCE: f64 = 1e-6;

/// Checks the gradients of `f` with respect to every input.
///
/// The result of `f` is reduced to one number with fixed random weights; its gradient must agree with central differences in every
/// element of every input, to 1e-6 of the larger of 1 and the gradient. Inputs should keep away from kinks by more than 1e-5.
///
/// # Errors
/// [`Error::Unsupported`] with the input, element and both values where they disagree or a gradient is missing; errors of `f`.
pub fn gradcheck(f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor]) -> Result<()> {
    let vars = inputs
        .iter()
        .map(|t| Ok(Var::from_tensor(&t.to_dtype(DType::F64)?.copy()?)?))
        .collect::<Result<Vec<Var>>>()?;
    let tracked: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let out = f(&tracked)?;
    let weights = Rng::new(17).stream("projection").normal_tensor(out.shape(), DType::F64, out.device())?;
    let loss = |out: &Tensor| -> Result<Tensor> { Ok((out * &weights)?.sum_all()?) };
    let grads = loss(&out)?.backward()?;
    let mut report = Vec::new();
    for (i, var) in vars.iter().enumerate() {
        let Some(grad) = grads.get(var) else {
            report.push(format!("input {i}: no gradient"));
            continue;
        };
        let analytic: Vec<f64> = grad.flatten_all()?.to_vec1()?;
        let numeric = differences(&f, inputs, i, &loss)?;
        report.extend(compare(i, var.dims(), &analytic, &numeric));
    }
    if report.is_empty() { Ok(()) } else { Err(Error::Unsupported(report.join("\n"))) }
}

fn differences(
    f: &impl Fn(&[Tensor]) -> Result<Tensor>,
    inputs: &[Tensor],
    i: usize,
    loss: &impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Vec<f64>> {
    let values: Vec<f64> = inputs[i].to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
    let at = |element: usize, delta: f64| -> Result<f64> {
        let mut moved = values.clone();
        moved[element] += delta;
        let mut all: Vec<Tensor> =
            inputs.iter().map(|t| Ok(t.to_dtype(DType::F64)?)).collect::<Result<_>>()?;
        all[i] = Tensor::from_vec(moved, inputs[i].shape(), inputs[i].device())?;
        Ok(loss(&f(&all)?)?.to_scalar()?)
    };
    (0..values.len()).map(|e| Ok((at(e, STEP)? - at(e, -STEP)?) / (2.0 * STEP))).collect()
}

/// The worst element of an input, if it is too far off.
fn compare(i: usize, dims: &[usize], analytic: &[f64], numeric: &[f64]) -> Option<String> {
    if analytic.len() != numeric.len() {
        return Some(format!("input {i} {dims:?}: the gradient has {} elements", analytic.len()));
    }
    let error = |e: usize| {
        let off = (analytic[e] - numeric[e]).abs() / numeric[e].abs().max(1.0);
        if off.is_nan() { f64::INFINITY } else { off }
    };
    let bad = (0..numeric.len()).filter(|e| error(*e) > TOLERANCE).count();
    let worst = (0..numeric.len()).max_by(|a, b| error(*a).total_cmp(&error(*b)))?;
    (bad > 0).then(|| {
        format!(
            "input {i} {dims:?}: {bad} of {} elements disagree; worst at {worst}: gradient {}, differences {}",
            numeric.len(),
            analytic[worst],
            numeric[worst]
        )
    })
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn right_gradients_pass_and_wrong_ones_are_reported() {
        let x = Tensor::new(&[0.5f64, -1.5, 2.0], &Device::Cpu).unwrap();
        gradcheck(|t| Ok(t[0].sqr()?), std::slice::from_ref(&x)).unwrap();
        // Half of the graph is cut: the gradient is half of the true one.
        let wrong = gradcheck(|t| Ok((&t[0] * t[0].detach())?), std::slice::from_ref(&x));
        let message = wrong.unwrap_err().to_string();
        assert!(message.contains("input 0 [3]: 3 of 3 elements disagree"), "{message}");
        let none = gradcheck(|t| Ok(t[0].detach().sqr()?), &[x]).unwrap_err().to_string();
        assert!(none.contains("no gradient"), "{none}");
    }
}
