//! The tests of the whole: what a user does with `peregrine`, and the rules that hold over all
//! crates. One binary, so that it links once.

mod architecture;
mod auditing;
mod commands;
mod errors;
mod heads;
mod init;
mod interrupt;
mod json;
mod model_info;
mod reference_is_current;
mod stories;
mod support;
mod versions;
