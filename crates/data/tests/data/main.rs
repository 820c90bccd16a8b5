//! The room's stages on files: real ones of the repository, and ones made here.
#![allow(clippy::unwrap_used)]

mod balancing;
mod deciding;
mod decoding;
mod fixtures;
mod folding;
mod ingesting;
mod labels;
mod packing;
mod planted;
mod reusing;
mod scoring;
mod sources;
mod splitting;
