//! The tests of the whole: what a user does with `peregrine`, and the rules that hold over all
//! crates. One binary, so that it links once.

mod architecture;
mod heads;
mod support;
