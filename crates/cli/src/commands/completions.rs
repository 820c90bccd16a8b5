//! `peregrine completions SHELL`.

use clap::CommandFactory as _;

use crate::args::{Cli, CompletionsArgs};
use crate::commands::Outcome;
use crate::exit_code::Exit;
use crate::render::out;

/// Prints the completion script.
pub fn call(args: &CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "peregrine", &mut script);
    out::print(&String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}
