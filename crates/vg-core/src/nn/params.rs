//! Where layers get their parameters from: fresh and seeded, or loaded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use candle_core::{DType, Device, Tensor, Var};

use super::init::Init;
use crate::grad::replaying;
use crate::ops::conv::{Precision, forget};
use crate::{Error, Result, Rng};

/// All parameters and running statistics of a model by full name, such as `critic.c0.weight`.
///
/// Layers ask for theirs through a [`ParamSource`] while they are built; [`ParamStore::finish`] then says whether a loaded set
/// fitted. Clones share the same tensors.
#[derive(Clone)]
pub struct ParamStore {
    shared: Arc<Mutex<Shared>>,
    dtype: DType,
    device: Device,
    precision: Precision,
}

struct Shared {
    origin: Origin,
    vars: BTreeMap<String, Var>,
    buffers: BTreeMap<String, Var>,
    /// Of the variables.
    shapes: BTreeMap<String, Vec<usize>>,
    problems: Vec<String>,
}

enum Origin {
    /// Nothing but shapes.
    Counted,
    Fresh(Rng),
    Loaded {
        tensors: BTreeMap<String, Tensor>,
        what: String,
    },
}

impl ParamStore {
    /// Parameters drawn by their layers' initialisers, each from a stream of its own name: the order of construction does not matter.
    pub fn init(rng: Rng, dtype: DType, device: &Device) -> Self {
        Self::new(Origin::Fresh(rng), dtype, device)
    }

    /// Shapes alone, to count what a network of any size would have without its memory: [`shapes`](Self::shapes) and
    /// [`parameters`](Self::parameters) tell what its layers asked for. Layers get views of a single zero, with which a network cannot be
    /// run.
    pub fn counted() -> Self {
        Self::new(Origin::Counted, DType::F32, &Device::Cpu)
    }

    /// Parameters taken from `tensors`; `what` names them in messages.
    pub fn load(
        tensors: BTreeMap<String, Tensor>,
        what: impl Into<String>,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let convert = |(name, t): (String, Tensor)| Ok((name, t.to_device(device)?.to_dtype(dtype)?));
        let tensors = tensors.into_iter().map(convert).collect::<Result<_>>()?;
        Ok(Self::new(Origin::Loaded { tensors, what: what.into() }, dtype, device))
    }

    fn new(origin: Origin, dtype: DType, device: &Device) -> Self {
        let (vars, buffers, shapes, problems) = Default::default();
        let shared = Arc::new(Mutex::new(Shared { origin, vars, buffers, shapes, problems }));
        Self { shared, dtype, device: device.clone(), precision: Precision::Full }
    }

    /// With products of this precision in all convolutions that are made from its sources from now on, whatever their own settings say.
    /// Parameters, results, gradients, norms and optimizers keep their type: f32 weights need no master copies.
    pub fn precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The cursor at the root.
    pub fn source(&self) -> ParamSource {
        ParamSource { store: self.clone(), path: String::new() }
    }

    /// To be called after the last layer is built.
    ///
    /// # Errors
    /// [`Error::Weights`] that lists every missing, misshapen and unexpected tensor of a loaded set.
    pub fn finish(&self) -> Result<()> {
        let shared = self.lock();
        let Origin::Loaded { tensors, what } = &shared.origin else { return Ok(()) };
        let mut problems = shared.problems.clone();
        let known = |name: &String| shared.vars.contains_key(name) || shared.buffers.contains_key(name);
        problems.extend(tensors.keys().filter(|k| !known(k)).map(|k| format!("{k} is not in the model")));
        fitting(what, problems)
    }

    /// Trainable variables whose name starts with `prefix`, in order of their names.
    pub fn vars(&self, prefix: &str) -> Vec<(String, Var)> {
        matching(&self.lock().vars, prefix).collect()
    }

    /// Shapes of the trainable variables by name.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.lock().shapes.clone()
    }

    /// Running statistics whose name starts with `prefix`, in order of their names.
    pub fn buffers(&self, prefix: &str) -> Vec<(String, Var)> {
        matching(&self.lock().buffers, prefix).collect()
    }

    /// Current values of variables and running statistics whose name starts with `prefix`, outside of any graph.
    pub fn tensors(&self, prefix: &str) -> BTreeMap<String, Tensor> {
        let shared = self.lock();
        let both = matching(&shared.vars, prefix).chain(matching(&shared.buffers, prefix));
        both.map(|(name, var)| (name, var.as_detached_tensor())).collect()
    }

    /// Sets every variable and running statistic from `tensors`; `what` names them in messages. Nothing is changed on error.
    ///
    /// # Errors
    /// [`Error::Weights`] that lists every missing, misshapen and unexpected tensor.
    pub fn restore(&self, tensors: &BTreeMap<String, Tensor>, what: &str) -> Result<()> {
        let shared = self.lock();
        let slots: BTreeMap<&String, &Var> = shared.vars.iter().chain(&shared.buffers).collect();
        let mut problems: Vec<String> = slots
            .iter()
            .filter_map(|(name, var)| match tensors.get(*name) {
                Some(t) if t.dims() == var.dims() => None,
                Some(t) => Some(misshapen(name, t.dims(), var.dims())),
                None => Some(format!("{name} is missing")),
            })
            .collect();
        problems.extend(
            tensors.keys().filter(|k| !slots.contains_key(k)).map(|k| format!("{k} is not in the model")),
        );
        fitting(what, problems)?;
        forget();
        for (name, var) in slots {
            // A copy, because the tensor may be the variable's own, from `tensors`.
            var.set(&tensors[name].to_device(&self.device)?.to_dtype(self.dtype)?.copy()?)?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // A panic while the lock is held leaves maps that are still whole.
        self.shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The variable, and the tensor that a layer sees.
    fn make(&self, name: &str, shape: &[usize], init: Init, trainable: bool) -> Result<(Var, Tensor)> {
        let mut shared = self.lock();
        if shared.vars.contains_key(name) || shared.buffers.contains_key(name) {
            return Err(Error::Unsupported(format!("two layers ask for the parameter {name}")));
        }
        let fresh =
            |rng: &Rng| init.draw(shape, &mut rng.child(name, 0).stream("init"), self.dtype, &self.device);
        let (tensor, problem) = match &shared.origin {
            Origin::Counted => (Tensor::zeros((), self.dtype, &self.device)?, None),
            Origin::Fresh(rng) => (fresh(rng)?, None),
            Origin::Loaded { tensors, .. } => match tensors.get(name) {
                Some(t) if t.dims() == shape => (t.clone(), None),
                found => {
                    let problem =
                        found.map_or(format!("{name} is missing"), |t| misshapen(name, t.dims(), shape));
                    (Tensor::zeros(shape, self.dtype, &self.device)?, Some(problem))
                }
            },
        };
        shared.problems.extend(problem);
        let var = Var::from_tensor(&tensor)?;
        if trainable {
            shared.shapes.insert(name.to_owned(), shape.to_vec());
        }
        let seen = match shared.origin {
            Origin::Counted => var.as_detached_tensor().broadcast_as(shape)?,
            _ => var.as_tensor().clone(),
        };
        let map = if trainable { &mut shared.vars } else { &mut shared.buffers };
        map.insert(name.to_owned(), var.clone());
        Ok((var, seen))
    }
}

fn matching<'a>(map: &'a BTreeMap<String, Var>, prefix: &'a str) -> impl Iterator<Item = (String, Var)> + 'a {
    map.iter().filter(move |(k, _)| k.starts_with(prefix)).map(|(k, v)| (k.clone(), v.clone()))
}

fn misshapen(name: &str, got: &[usize], expected: &[usize]) -> String {
    format!("{name} is {got:?}, expected {expected:?}")
}

fn fitting(what: &str, problems: Vec<String>) -> Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    Err(Error::Weights { what: format!("the tensors of {what}"), problems: problems.join("; ") })
}

/// A place in a [`ParamStore`]; cheap to clone.
#[derive(Clone)]
pub struct ParamSource {
    store: ParamStore,
    path: String,
}

impl ParamSource {
    /// The place `name` below this one.
    pub fn pp(&self, name: impl std::fmt::Display) -> Self {
        Self { store: self.store.clone(), path: self.full(name) }
    }

    /// A trainable parameter of the given shape.
    ///
    /// A loaded set that lacks it or holds another shape is reported by [`ParamStore::finish`], together with all other problems.
    pub fn var(&self, name: &str, shape: &[usize], init: Init) -> Result<Tensor> {
        Ok(self.store.make(&self.full(name), shape, init, true)?.1)
    }

    /// A running statistic: saved with the parameters, never trained.
    pub fn buffer(&self, name: &str, shape: &[usize], value: f64) -> Result<Buffer> {
        self.drawn_buffer(name, shape, Init::Const(value))
    }

    /// The same with initial values that are drawn, such as the vector of a power iteration.
    pub fn drawn_buffer(&self, name: &str, shape: &[usize], init: Init) -> Result<Buffer> {
        Ok(Buffer(self.store.make(&self.full(name), shape, init, false)?.0))
    }

    /// Of the products of convolutions that are made here; see [`ParamStore::precision`].
    pub fn precision(&self) -> Precision {
        self.store.precision
    }

    /// Full name of this place, empty at the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    fn full(&self, name: impl std::fmt::Display) -> String {
        if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) }
    }
}

/// A running statistic; layers change it through a shared reference, and it never has a gradient.
#[derive(Clone, Debug)]
pub struct Buffer(Var);

impl Buffer {
    /// The current value, outside of any graph. It shares the buffer's memory: a later [`Buffer::set`] shows in it.
    pub fn get(&self) -> Tensor {
        self.0.as_detached_tensor()
    }

    /// Replaces the value; other precisions are converted.
    ///
    /// # Errors
    /// [`Error::Tensor`] when the shapes differ; [`Error::Unsupported`] while a part of a step is
    /// [run again](crate::grad::recompute) for its gradients, which must not move a statistic a second time.
    pub fn set(&self, value: &Tensor) -> Result<()> {
        if replaying() {
            return Err(Error::Unsupported(
                "a running statistic would be moved again by a recomputation; run its layer in the mode that the recomputed function is given".into(),
            ));
        }
        Ok(self.0.set(&value.detach().to_dtype(self.0.dtype())?)?)
    }

    /// All elements, in f64.
    pub fn to_vec(&self) -> Result<Vec<f64>> {
        Ok(self.get().to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(store: &ParamStore) -> Result<()> {
        let layer = store.source().pp("net").pp("conv");
        layer.var("weight", &[2, 3], Init::Uniform { bound: 0.1 })?;
        layer.var("bias", &[2], Init::Zeros)?;
        layer.buffer("running_var", &[2], 1.0)?;
        store.finish()
    }

    #[test]
    fn fresh_values_depend_on_seed_and_name_alone() {
        let make = |seed| {
            let store = ParamStore::init(Rng::new(seed), DType::F64, &Device::Cpu);
            build(&store).unwrap();
            store.tensors("net.conv.weight")["net.conv.weight"]
                .flatten_all()
                .unwrap()
                .to_vec1::<f64>()
                .unwrap()
        };
        assert_eq!(make(1), make(1));
        assert_ne!(make(1), make(2));
        assert!(make(1).iter().all(|x| x.abs() <= 0.1));
    }

    /// More numbers than any machine holds.
    #[test]
    fn shapes_are_counted_without_memory() {
        let store = ParamStore::counted();
        let layer = store.source().pp("net").pp("huge");
        let weight = layer.var("weight", &[1 << 24, 1 << 24], Init::Orthogonal { gain: 1.0 }).unwrap();
        layer.buffer("running_var", &[1 << 40], 1.0).unwrap();
        store.finish().unwrap();
        assert_eq!(weight.dims(), [1 << 24, 1 << 24]);
        assert_eq!(store.shapes()["net.huge.weight"], [1 << 24, 1 << 24]);
        assert_eq!(store.parameters()["net"], 1 << 48);
    }

    #[test]
    fn every_problem_of_a_loaded_set_is_named() {
        let t = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let tensors = BTreeMap::from([("net.conv.weight".into(), t(&[3, 2])), ("other".into(), t(&[1]))]);
        let store = ParamStore::load(tensors, "a file", DType::F32, &Device::Cpu).unwrap();
        let text = build(&store).unwrap_err().to_string();
        for part in [
            "weight is [3, 2], expected [2, 3]",
            "bias is missing",
            "running_var is missing",
            "other is not in the model",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn restoring_a_misfit_changes_nothing() {
        let store = ParamStore::init(Rng::new(1), DType::F32, &Device::Cpu);
        build(&store).unwrap();
        let mut saved = store.tensors("");
        saved.insert("net.conv.weight".into(), Tensor::ones((2, 3), DType::F32, &Device::Cpu).unwrap());
        store.restore(&saved, "a checkpoint").unwrap();
        saved.insert("net.conv.weight".into(), Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap());
        saved.remove("net.conv.bias");
        assert!(store.restore(&saved, "a checkpoint").unwrap_err().to_string().contains("bias is missing"));
        let weight = &store.tensors("")["net.conv.weight"];
        assert_eq!(weight.sum_all().unwrap().to_scalar::<f32>().unwrap(), 6.0);
    }
}
