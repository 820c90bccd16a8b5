//! `peregrine gc`.

use crate::args::GcArgs;
use crate::commands::Outcome;
use crate::exit_code::Exit;

/// Not written yet.
pub fn call(_args: &GcArgs) -> Outcome {
    Ok(Exit::Done)
}
