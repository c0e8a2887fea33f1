//! Numbers that a step reports.

use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// A number that may still be on the device.
#[derive(Clone, Debug)]
enum Pending {
    Tensor(Tensor),
    Number(f64),
}

/// A number with its name, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar {
    /// Name, such as `critic`.
    pub name: &'static str,
    /// Value.
    pub value: f64,
    /// Whether a run must stop when it is not finite.
    pub is_loss: bool,
}

/// Collects the numbers of one step without waiting for the device.
#[derive(Debug, Default)]
pub struct StepLog(Vec<(&'static str, Pending, bool)>);

impl StepLog {
    /// Reports a loss, a tensor with one element. A run stops when it is not finite.
    pub fn loss(&mut self, name: &'static str, value: &Tensor) {
        self.0.push((name, Pending::Tensor(value.detach()), true));
    }

    /// Reports another number, a tensor with one element.
    pub fn tensor(&mut self, name: &'static str, value: &Tensor) {
        self.0.push((name, Pending::Tensor(value.detach()), false));
    }

    /// Reports another number.
    pub fn number(&mut self, name: &'static str, value: f64) {
        self.0.push((name, Pending::Number(value), false));
    }

    /// Brings all numbers to the CPU, in the order in which they were reported.
    pub fn read(&self) -> Result<Vec<Scalar>> {
        let value = |p: &Pending| -> Result<f64> {
            match p {
                Pending::Number(x) => Ok(*x),
                Pending::Tensor(t) => {
                    Ok(t.to_dtype(DType::F64)?.flatten_all()?.get(0)?.to_scalar::<f64>()?)
                }
            }
        };
        let scalar = |(name, p, is_loss): &(&'static str, Pending, bool)| -> Result<Scalar> {
            Ok(Scalar { name, value: value(p)?, is_loss: *is_loss })
        };
        self.0.iter().map(scalar).collect()
    }
}

/// Refuses losses that are NaN or infinite.
///
/// # Errors
/// [`Error::NonFinite`] with the name of the first.
pub(super) fn check_finite(scalars: &[Scalar], step: u64) -> Result<()> {
    match scalars.iter().find(|s| s.is_loss && !s.value.is_finite()) {
        Some(s) => Err(Error::NonFinite { loss: s.name.to_owned(), value: s.value, step }),
        None => Ok(()),
    }
}
