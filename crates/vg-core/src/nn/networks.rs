//! The networks of a store, which are the first parts of its names, and how they lie in a checkpoint.

use std::collections::BTreeMap;

use super::ParamStore;
use crate::Result;
use crate::checkpoint::{CheckpointReader, CheckpointWriter};

impl ParamStore {
    /// Trainable scalars by network.
    pub fn parameters(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for (name, shape) in self.shapes() {
            *counts.entry(network(&name).to_owned()).or_default() += shape.iter().product::<usize>();
        }
        counts
    }

    /// Writes everything: the networks that only `training` needs, such as a discriminator, beside the optimizers' state; the others as
    /// the model that samples.
    ///
    /// # Errors
    /// As [`CheckpointWriter::model`].
    pub fn save(&self, to: &mut CheckpointWriter, training: &[&str]) -> Result<()> {
        self.tensors("").into_iter().try_for_each(|(name, tensor)| {
            if training.contains(&network(&name)) { to.train(name, &tensor) } else { to.model(name, &tensor) }
        })
    }

    /// Restores what [`save`](Self::save) wrote; nothing is changed on error.
    ///
    /// # Errors
    /// As [`restore`](Self::restore).
    pub fn load_from(&self, from: &CheckpointReader, training: &[&str]) -> Result<()> {
        let mut saved = from.model_tensors().clone();
        for network in training {
            let tensors = from.train_all(network).into_iter();
            saved.extend(tensors.map(|(name, tensor)| (format!("{network}.{name}"), tensor)));
        }
        self.restore(&saved, &from.path().display().to_string())
    }
}

fn network(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}
