//! `peregrine diff`.

use crate::args::DiffArgs;
use crate::commands::Outcome;
use crate::exit_code::Exit;

/// Not written yet.
pub fn call(_args: &DiffArgs) -> Outcome {
    Ok(Exit::Done)
}
