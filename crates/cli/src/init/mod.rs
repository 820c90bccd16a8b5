//! What `peregrine init` does: looks at a folder of images (`look.rs`), chooses a recipe
//! (`recipe.rs`), writes it as a commented pipeline file (`yaml.rs`).

pub mod look;
pub mod recipe;
pub mod yaml;
