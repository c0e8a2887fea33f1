//! The command line of the `vg` models: `cargo xtask train tgan`, and all the rest.
//!
//! This is the only crate that prints, reads arguments and knows all models; [`registry`] is the one place that names them.

mod allocator;
#[cfg(all(test, target_os = "linux"))]
mod allocator_tests;
mod clips;
mod commands;
mod console;
mod data;
mod failure;
mod interrupt;
mod machine;
mod palette;
mod registry;
mod report;
mod run;
mod threads;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = commands::Cli::parse();
    match cli.run() {
        Ok(done) => done.into(),
        Err(error) => {
            failure::print(&error);
            ExitCode::from(failure::ERROR)
        }
    }
}
