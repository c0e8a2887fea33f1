//! The traits between a model crate and the programs that use it.

use candle_core::{DType, Device};
use serde::{Deserialize, Serialize};

use crate::checkpoint::Weights;
use crate::config::{ConfigSource, ModelConfig, resolve};
use crate::sample::Sampler;
use crate::train::Trainer;
use crate::{Error, Result};

/// What a model is.
#[derive(Clone, Copy, Debug)]
pub struct Card {
    /// Name on the command line, such as `tgan`.
    pub name: &'static str,
    /// Title of the paper.
    pub title: &'static str,
    /// Where the paper is, such as `arXiv:1611.06624`.
    pub paper: &'static str,
    /// Year of publication.
    pub year: u16,
}

/// How a model comes to life.
#[derive(Clone, Debug)]
pub struct Init {
    /// Where its tensors live.
    pub device: Device,
    /// Precision of weights and arithmetic: f32, or f64 for parity and gradient checks.
    pub dtype: DType,
    /// Seed of the initial weights and of everything a trainer draws.
    pub seed: u64,
}

impl Init {
    /// f32 on the CPU.
    pub fn cpu(seed: u64) -> Self {
        Self { device: Device::Cpu, dtype: DType::F32, seed }
    }
}

/// A paper's model: its configuration, and how to train and sample it.
pub trait Model: 'static {
    /// What it is.
    const CARD: Card;
    /// Typed configuration with presets.
    type Config: ModelConfig;
    /// All networks and optimizers.
    type Trainer: Trainer + 'static;
    /// The networks that sampling needs.
    type Sampler: Sampler + 'static;

    /// Networks with fresh weights.
    ///
    /// # Errors
    /// [`Error::Config`] for a configuration that does not make sense.
    fn trainer(config: &Self::Config, init: &Init) -> Result<Self::Trainer>;

    /// Networks with given weights.
    ///
    /// # Errors
    /// [`Error::Weights`] that lists every missing, unexpected or misshapen tensor.
    fn sampler(config: &Self::Config, weights: &Weights, init: &Init) -> Result<Self::Sampler>;
}

/// Contents of `config.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConfigFile<C> {
    /// Name of the model.
    pub model: String,
    /// Its resolved configuration.
    pub config: C,
}

/// The configuration stored beside weights.
///
/// # Errors
/// [`Error::Config`] when the file belongs to another model or does not fit its configuration.
pub fn config_of<M: Model>(weights: &Weights) -> Result<M::Config> {
    let file = parse_config_file(weights.config())?;
    if file.model != M::CARD.name {
        let problem = format!("the weights are of {}, not of {}", file.model, M::CARD.name);
        return Err(Error::config("model", problem));
    }
    let json = file.config.to_string();
    resolve::<M::Config>(&ConfigSource { json: Some(&json), ..Default::default() })
}

/// Reads the text of a `config.json` of any model.
///
/// # Errors
/// [`Error::Config`] when it is not of the form `{"model": ..., "config": {...}}`.
pub fn parse_config_file(text: &str) -> Result<ConfigFile<serde_json::Value>> {
    serde_json::from_str(text)
        .map_err(|e| Error::config("config.json", format!("expected {{\"model\", \"config\"}}: {e}")))
}

/// A model with its configuration resolved and its types erased; made by [`Entry::of`], never by hand.
pub trait Experiment {
    /// What the model is.
    fn card(&self) -> Card;
    /// The resolved configuration.
    fn config(&self) -> serde_json::Value;
    /// Text for `config.json`.
    fn config_file(&self) -> String {
        let file = ConfigFile { model: self.card().name.to_owned(), config: self.config() };
        serde_json::to_string_pretty(&file).expect("plain data with string keys")
    }
    /// See [`Model::trainer`].
    fn trainer(&self, init: &Init) -> Result<Box<dyn Trainer>>;
    /// See [`Model::sampler`].
    fn sampler(&self, weights: &Weights, init: &Init) -> Result<Box<dyn Sampler>>;
}

/// Name and origin of a preset.
#[derive(Clone, Copy, Debug)]
pub struct PresetInfo {
    /// Name on the command line.
    pub name: &'static str,
    /// Where its numbers come from.
    pub source: &'static str,
}

/// What a program needs to know of a model crate.
#[derive(Clone, Copy)]
pub struct Entry {
    /// What the model is.
    pub card: Card,
    /// Its presets, the main one first.
    pub presets: fn() -> Vec<PresetInfo>,
    /// Resolves a configuration.
    pub open: fn(&ConfigSource<'_>) -> Result<Box<dyn Experiment>>,
}

impl Entry {
    /// The entry of a model.
    pub const fn of<M: Model>() -> Self {
        Self { card: M::CARD, presets: presets_of::<M>, open: open_as::<M> }
    }
}

fn presets_of<M: Model>() -> Vec<PresetInfo> {
    M::Config::PRESETS.iter().map(|p| PresetInfo { name: p.name, source: p.source }).collect()
}

fn open_as<M: Model>(source: &ConfigSource<'_>) -> Result<Box<dyn Experiment>> {
    Ok(Box::new(Opened::<M>(resolve(source)?)))
}

struct Opened<M: Model>(M::Config);

impl<M: Model> Experiment for Opened<M> {
    fn card(&self) -> Card {
        M::CARD
    }

    fn config(&self) -> serde_json::Value {
        serde_json::to_value(&self.0).expect("a configuration is plain data with string keys")
    }

    fn trainer(&self, init: &Init) -> Result<Box<dyn Trainer>> {
        Ok(Box::new(M::trainer(&self.0, init)?))
    }

    fn sampler(&self, weights: &Weights, init: &Init) -> Result<Box<dyn Sampler>> {
        Ok(Box::new(M::sampler(&self.0, weights, init)?))
    }
}
