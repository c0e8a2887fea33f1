//! From the modules of a published network to tensors under our names.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use vg_core::{Error, Result};

use super::{File, Long, Value};
use crate::convert::Network;

/// Epsilon of a batch norm that does not say its own (Torch7's default).
const EPS: f64 = 1e-5;

/// Tensors of a published network under our names, such as `generator.fg.conv1.weight`: what `model.safetensors` holds.
///
/// # Errors
/// [`Error::Io`], [`Error::Format`] for a file that is no Torch7 file, [`Error::Weights`] that lists every module and tensor that is
/// missing.
pub fn read_network(path: &Path, network: Network, long: Long) -> Result<BTreeMap<String, Tensor>> {
    let file = File::open(path, long)?;
    let (mut tensors, mut problems) = (BTreeMap::new(), Vec::new());
    for (place, layer) in network.layers() {
        let Some(module) = file.module(place) else {
            problems.push(format!("module {place} ({layer}) is missing"));
            continue;
        };
        for (field, tensor) in file.parameters(module, layer)? {
            match tensor {
                Some(tensor) => drop(tensors.insert(format!("{}.{layer}.{field}", network.prefix()), tensor)),
                None => problems.push(format!("{field} of module {place} ({layer}) is missing")),
            }
        }
    }
    if problems.is_empty() {
        return Ok(tensors);
    }
    Err(Error::Weights { what: format!("the modules of {}", path.display()), problems: problems.join("; ") })
}

impl File {
    /// The module at a path such as `1.1.14`: places in the tables `modules`, counted from 1.
    fn module(&self, path: &str) -> Option<&Value> {
        let mut at = self.root();
        for index in path.split('.') {
            at = self.element(self.field(at, "modules")?, index.parse().ok()?)?;
        }
        Some(at)
    }

    /// The parameters of a module, `None` where one is missing.
    pub(super) fn parameters(
        &self,
        module: &Value,
        layer: &str,
    ) -> Result<Vec<(&'static str, Option<Tensor>)>> {
        let get = |field: &str| -> Result<Option<Tensor>> {
            let found = self.field(module, field);
            found.map(|v| self.tensor(v, &format!("{field} of {layer}"))).transpose()
        };
        let class = self.class(module).unwrap_or_default();
        if class.ends_with("BatchNormalization") {
            let var = match get("running_var")? {
                Some(var) => Some(var),
                None => get("running_std")?.map(|s| self.variance(module, &s)).transpose()?,
            };
            return Ok(vec![
                ("weight", get("weight")?),
                ("bias", get("bias")?),
                ("running_mean", get("running_mean")?),
                ("running_var", var),
            ]);
        }
        let weight = get("weight")?.map(|w| self.kernel(module, class, w)).transpose()?;
        Ok(vec![("weight", weight), ("bias", get("bias")?)])
    }

    /// Old versions keep `1 / sqrt(variance + eps)`.
    fn variance(&self, module: &Value, inverse_std: &Tensor) -> Result<Tensor> {
        let eps = self.number(module, "eps").unwrap_or(EPS);
        Ok((inverse_std.sqr()?.recip()? - eps)?)
    }

    /// A kernel in today's layout.
    fn kernel(&self, module: &Value, class: &str, weight: Tensor) -> Result<Tensor> {
        if class.ends_with("VolumetricFullConvolution") && self.field(module, "adjW").is_none() {
            // Older than the field: outputs came first.
            return Ok(weight.transpose(0, 1)?.contiguous()?);
        }
        let size = |name: &str| self.number(module, name).map(|n| n as usize);
        if let ([out, row], Some(h), Some(w)) = (weight.dims(), size("kH"), size("kW")) {
            // The variants that multiply matrices keep rows.
            let area = h.checked_mul(w).filter(|area| *area > 0 && row.is_multiple_of(*area));
            let area = area.ok_or_else(|| {
                let problem = format!("rows of {row} weights are not of kernels of {h}x{w}");
                Error::format(&self.path, problem)
            })?;
            return Ok(weight.reshape((*out, row / area, h, w))?);
        }
        Ok(weight)
    }

    fn number(&self, module: &Value, name: &str) -> Option<f64> {
        match self.field(module, name)? {
            Value::Number(n) => Some(*n),
            _ => None,
        }
    }
}
