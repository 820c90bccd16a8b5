//! `peregrine runs`.

use crate::args::RunsArgs;
use crate::commands::Outcome;
use crate::exit_code::Exit;

/// Not written yet.
pub fn call(_args: &RunsArgs) -> Outcome {
    Ok(Exit::Done)
}
