//! All models. A ninth one is a line here and its dependency in `Cargo.toml`.

use candle_core::DType;
use vg_core::config::ConfigSource;
use vg_core::model::Entry;
use vg_core::testing::{Fixture, ParityReport, Tolerance};
use vg_core::{Error, Result};

/// A model and its comparison with golden files.
pub struct Registered {
    /// What the model crate exports.
    pub entry: Entry,
    /// Compares the model with a golden file.
    pub parity: fn(&Fixture, DType, Tolerance) -> Result<ParityReport>,
}

/// Every model of this build.
pub static MODELS: &[Registered] = &[
    #[cfg(feature = "tgan")]
    Registered { entry: vg_tgan::ENTRY, parity: vg_tgan::parity::run },
    #[cfg(feature = "vgan")]
    Registered { entry: vg_vgan::ENTRY, parity: vg_vgan::parity::run },
    #[cfg(feature = "mocogan")]
    Registered { entry: vg_mocogan::ENTRY, parity: vg_mocogan::parity::run },
    #[cfg(feature = "svg")]
    Registered { entry: vg_svg::ENTRY, parity: vg_svg::parity::run },
    #[cfg(feature = "vid2vid")]
    Registered { entry: vg_vid2vid::ENTRY, parity: vg_vid2vid::parity::run },
    #[cfg(feature = "videovae")]
    Registered { entry: vg_videovae::ENTRY, parity: vg_videovae::parity::run },
    #[cfg(feature = "dvdgan")]
    Registered { entry: vg_dvdgan::ENTRY, parity: vg_dvdgan::parity::run },
    #[cfg(feature = "swgan")]
    Registered { entry: vg_swgan::ENTRY, parity: vg_swgan::parity::run },
];

/// The model of a name.
///
/// # Errors
/// [`Error::Unknown`] with the nearest name.
pub fn find(name: &str) -> Result<&'static Registered> {
    MODELS
        .iter()
        .find(|m| m.entry.card.name == name)
        .ok_or_else(|| Error::unknown("model", name, MODELS.iter().map(|m| m.entry.card.name)))
}

impl Registered {
    /// Name on the command line.
    pub fn name(&self) -> &'static str {
        self.entry.card.name
    }

    /// Name of the preset that is used when none is given.
    pub fn default_preset(&self) -> &'static str {
        (self.entry.presets)().first().map_or("", |p| p.name)
    }

    /// The configuration of a preset.
    ///
    /// # Errors
    /// [`Error::Unknown`] that lists the presets.
    pub fn preset_config(&self, preset: &str) -> Result<serde_json::Value> {
        let source = ConfigSource { preset: Some(preset), ..Default::default() };
        Ok((self.entry.open)(&source)?.config())
    }
}
