//! Hands a network its tensors, by name and shape.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Device, Tensor};
use vg_core::{Error, Result};

use super::conv::Conv;

/// Names and shapes of a network's tensors, in the order in which it asks for them.
pub type Layout = Vec<(String, Vec<usize>)>;

/// Problems that an error names one by one.
const NAMED: usize = 8;

/// Tensors by name; notes what was asked for and what does not fit, so that one error can name all of it.
pub(crate) struct Loader<'a> {
    /// None: the network is built without weights, to learn its layout.
    tensors: Option<&'a BTreeMap<String, Tensor>>,
    prefix: String,
    layout: Layout,
    problems: Vec<String>,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(tensors: &'a BTreeMap<String, Tensor>) -> Self {
        Self { tensors: Some(tensors), prefix: String::new(), layout: Layout::new(), problems: Vec::new() }
    }

    /// Only the tensors whose names begin with `prefix`, without it.
    pub(crate) fn below(tensors: &'a BTreeMap<String, Tensor>, prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), ..Self::new(tensors) }
    }

    /// The network that `build` makes of all tensors.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub(crate) fn load<N>(
        tensors: &'a BTreeMap<String, Tensor>,
        what: &str,
        build: impl FnOnce(&mut Self) -> Result<N>,
    ) -> Result<N> {
        let mut loader = Self::new(tensors);
        let network = build(&mut loader)?;
        loader.finish(what)?;
        Ok(network)
    }

    /// Names and shapes of what `build` asks for.
    pub(crate) fn layout_of<N>(build: impl FnOnce(&mut Loader<'_>) -> Result<N>) -> Result<Layout> {
        let mut loader =
            Loader { tensors: None, prefix: String::new(), layout: Layout::new(), problems: Vec::new() };
        build(&mut loader)?;
        Ok(loader.layout)
    }

    /// Whether tensors are really read.
    pub(crate) fn is_loading(&self) -> bool {
        self.tensors.is_some()
    }

    /// A tensor as f32. Where it is missing or has another shape, one without memory stands in and [`finish`](Self::finish) fails.
    pub(crate) fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.layout.push((name.to_owned(), shape.to_vec()));
        let full = format!("{}{name}", self.prefix);
        let stand_in = || Ok(Tensor::zeros(1, DType::F32, &Device::Cpu)?.broadcast_as(shape)?);
        let Some(tensors) = self.tensors else { return stand_in() };
        match tensors.get(&full) {
            None => self.problems.push(format!("{full} is missing")),
            Some(tensor) if tensor.dims() != shape => {
                self.problems.push(format!("{full} is {:?} instead of {shape:?}", tensor.dims()));
            }
            Some(tensor) => {
                let tensor = tensor.to_dtype(DType::F32)?.contiguous()?;
                if tensor.sum_all()?.to_scalar::<f32>()?.is_finite() {
                    return Ok(tensor);
                }
                self.problems.push(format!("{full} is not finite"));
            }
        }
        stand_in()
    }

    /// A convolution with bias, `NAME.weight` and `NAME.bias`.
    pub(crate) fn conv(&mut self, name: &str, shape: &[usize]) -> Result<Conv> {
        let weight = self.tensor(&format!("{name}.weight"), shape)?;
        let bias = self.tensor(&format!("{name}.bias"), &shape[..1])?;
        Ok(Conv::new(weight, bias))
    }

    /// The end of loading.
    ///
    /// # Errors
    /// [`Error::Weights`] that names everything missing, misshapen or not finite, with `what` as the source.
    pub(crate) fn finish(self, what: &str) -> Result<()> {
        if self.problems.is_empty() {
            return Ok(());
        }
        let named: Vec<&str> = self.problems.iter().take(NAMED).map(String::as_str).collect();
        let more = self.problems.len() - named.len();
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        Err(Error::Weights {
            what: format!("the tensors of {what}"),
            problems: format!("{}{more}", named.join("; ")),
        })
    }
}

/// Refuses tensors that are not exactly those of a layout, and finite.
///
/// # Errors
/// [`Error::Weights`] that names all that is missing, unexpected, misshapen or not finite, with `what` as the source.
pub(crate) fn check_layout(layout: &Layout, tensors: &BTreeMap<String, Tensor>, what: &str) -> Result<()> {
    let mut loader = Loader::new(tensors);
    for (name, shape) in layout {
        loader.tensor(name, shape)?;
    }
    let known: BTreeSet<&str> = layout.iter().map(|(name, _)| name.as_str()).collect();
    let unexpected = tensors.keys().filter(|name| !known.contains(name.as_str()));
    loader.problems.extend(unexpected.map(|name| format!("{name} is unexpected")));
    loader.finish(what)
}
