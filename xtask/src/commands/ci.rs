//! `cargo xtask ci`.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::console;
use crate::failure::{Done, Failure};

/// Everything that must pass before a change is merged
///
/// Runs format check, lints, tests with doc tests, and the documentation, all in the same profile so that nothing is built twice.
/// Stops at the first failure. Help texts, licences and the arrows between crates are among the tests.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask ci\n  cargo xtask ci --list")]
pub struct Args {
    /// Print the commands instead of running them
    #[arg(long)]
    list: bool,
}

struct Check {
    title: &'static str,
    arguments: &'static [&'static str],
    variable: Option<(&'static str, &'static str)>,
}

const CHECKS: &[Check] = &[
    Check { title: "format", arguments: &["fmt", "--all", "--", "--check"], variable: None },
    Check {
        title: "lints",
        arguments: &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
        variable: None,
    },
    Check { title: "tests", arguments: &["test", "--workspace"], variable: None },
    Check {
        title: "documentation",
        arguments: &["doc", "--workspace", "--no-deps"],
        variable: Some(("RUSTDOCFLAGS", "-D warnings")),
    },
];

impl Check {
    fn text(&self) -> String {
        let variable = self.variable.map(|(k, v)| format!("{k}=\"{v}\" ")).unwrap_or_default();
        format!("{variable}cargo {}", self.arguments.join(" "))
    }

    fn passes(&self, root: &Path) -> Result<bool> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(self.arguments).envs(self.variable).current_dir(root);
        let status = command
            .status()
            .map_err(|e| Failure::new(format!("`{}` cannot be started", self.text())).because(e))?;
        Ok(status.success())
    }
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    for check in CHECKS {
        if args.list {
            console::result(format!("{:14} {}", check.title, check.text()))?;
            continue;
        }
        console::note(format!("== {}: {}", check.title, check.text()));
        let started = Instant::now();
        if !check.passes(root)? {
            return Err(Failure::new(format!("{} failed: `{}`", check.title, check.text())).into());
        }
        console::note(format!("== {}: {:.1} s", check.title, started.elapsed().as_secs_f64()));
    }
    if !args.list {
        console::result("all checks pass")?;
    }
    Ok(Done::Good)
}
