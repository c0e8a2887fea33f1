//! The classes of a model.

use anyhow::Result;
use serde_json::json;
use vg_core::checkpoint::Weights;
use vg_core::sample::Sampler;

use super::Args;
use crate::console;
use crate::failure::{Done, Failure};

/// Prints label groups, and in them a line a class.
pub(super) fn print(args: &Args, weights: &Weights, sampler: &dyn Sampler) -> Result<Done> {
    let (names, count) = (weights.classes(), sampler.spec().classes);
    if names.is_empty() {
        let text = match count {
            0 => "this model was trained without classes".to_owned(),
            _ => format!("{} does not know the names of its classes, 0 to {}", args.source, count - 1),
        };
        return Err(Failure::new(text).hint("names come with runs on data with labels").into());
    }
    if args.json {
        let groups: serde_json::Map<String, serde_json::Value> =
            names.groups().map(|(group, names)| (group.to_owned(), json!(names))).collect();
        console::json(&json!({ "weights": weights.source(), "classes": groups }))?;
        return Ok(Done::Good);
    }
    for (group, names) in names.groups() {
        console::result(format!("{group}, {} classes", names.len()))?;
        for (class, name) in names.iter().enumerate() {
            console::result(format!("  {class:>4}  {name}"))?;
        }
    }
    Ok(Done::Good)
}
