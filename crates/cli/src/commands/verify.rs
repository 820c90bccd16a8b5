//! `peregrine verify`.

use crate::args::VerifyArgs;
use crate::commands::Outcome;
use crate::exit_code::Exit;

/// Not written yet.
pub fn call(_args: &VerifyArgs) -> Outcome {
    Ok(Exit::Done)
}
