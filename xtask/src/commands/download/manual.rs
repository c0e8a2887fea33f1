//! Sets that a person fetches: what to do, and whether the files are as they should be.

use anyhow::Result;
use serde_json::json;
use vg_data::fetch::is_present;
use vg_data::manifest::Manifest;
use vg_data::manual::{Accepted, accept, instructions};

use super::Args;
use crate::console;
use crate::failure::{Done, Failure};

/// Runs the command for such a set.
pub fn run(args: &Args, manifest: &Manifest) -> Result<Done> {
    let own = args.root.join(&manifest.name);
    let absent = args.from.is_none() && !is_present(manifest, &args.root);
    if args.dry_run {
        if args.json {
            let manual = serde_json::to_value(&manifest.manual)?;
            console::json(
                &json!({ "set": args.set, "outcome": "dry-run", "folder": own, "manual": manual }),
            )?;
        } else {
            console::result(instructions(manifest, &own))?;
            console::result("dry run: nothing is written")?;
        }
        return Ok(Done::Good);
    }
    if absent && !own.exists() {
        return Err(Failure::new(instructions(manifest, &own)).into());
    }
    report(args, manifest, &accept(manifest, args.from.as_deref(), &args.root)?)
}

fn report(args: &Args, manifest: &Manifest, accepted: &Accepted) -> Result<Done> {
    let Accepted { folder, train, test } = accepted;
    let expected = manifest.expected;
    let known = (expected.train, expected.test) != (0, 0);
    if known && (expected.train, expected.test) != (*train, *test) {
        console::warn(format!(
            "{}: {train} train and {test} test clips; the paper has {} and {}",
            manifest.name, expected.train, expected.test
        ));
    }
    if args.json {
        console::json(&json!({
            "set": args.set, "outcome": "present", "folder": folder, "train": train, "test": test,
        }))?;
    } else {
        console::result(format!(
            "{} is in {}: {train} train and {test} test clips",
            manifest.name,
            folder.display()
        ))?;
    }
    Ok(Done::Good)
}
