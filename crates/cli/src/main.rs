//! The binary `peregrine`: reads the command line, calls the command, exits with its code.
//!
//! The only crate that knows every kind of stage, prints, and sets up tracing. `args.rs` is the
//! command line, `commands/` has a file for each command, `render/` how things look, `stages.rs`
//! the table of kinds.

mod args;
mod commands;
mod exit_code;
mod init;
mod logging;
mod render;
mod signals;
mod stages;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    logging::start(cli.verbose);
    commands::call(&cli.command).into()
}
