//! `cargo xtask models`.

use anyhow::Result;
use serde::Serialize;
use vg_core::config::ConfigSource;
use vg_core::model::Init;

use crate::console;
use crate::failure::Done;
use crate::registry::{MODELS, Registered};

/// The preset whose networks are built to count parameters; others may take seconds.
const CHEAP: &str = "tiny";

/// List the models with their papers and presets
///
/// The first preset of a model is the one that `train` uses when none is named.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask models\n  cargo xtask models --json")]
pub struct Args {
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    title: &'static str,
    paper: &'static str,
    year: u16,
    presets: Vec<Preset>,
}

#[derive(Serialize)]
struct Preset {
    name: &'static str,
    source: &'static str,
    /// Trainable scalars; counted for the smallest preset only.
    parameters: Option<usize>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    for model in MODELS {
        let row = row(model)?;
        if args.json {
            console::json(&row)?;
        } else {
            print(&row)?;
        }
    }
    Ok(Done::Good)
}

fn row(model: &Registered) -> Result<Row> {
    let presets = (model.entry.presets)().into_iter().map(|p| {
        let parameters = if p.name == CHEAP { Some(parameters(model, p.name)?) } else { None };
        Ok(Preset { name: p.name, source: p.source, parameters })
    });
    let card = model.entry.card;
    Ok(Row {
        name: card.name,
        title: card.title,
        paper: card.paper,
        year: card.year,
        presets: presets.collect::<Result<_>>()?,
    })
}

fn parameters(model: &Registered, preset: &str) -> Result<usize> {
    let source = ConfigSource { preset: Some(preset), ..Default::default() };
    let trainer = (model.entry.open)(&source)?.trainer(&Init::cpu(0))?;
    Ok(trainer.parameters().values().sum())
}

fn print(row: &Row) -> Result<()> {
    console::result(format!("{}  {} ({}, {})", row.name, row.title, row.paper, row.year))?;
    let width = row.presets.iter().map(|p| p.name.len()).max().unwrap_or(0);
    for preset in &row.presets {
        let count = preset.parameters.map(|n| format!(" ({n} parameters)")).unwrap_or_default();
        console::result(format!("    {:width$}  {}{count}", preset.name, preset.source))?;
    }
    Ok(())
}
