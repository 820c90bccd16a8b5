//! The room's stages on files: real ones of the repository, and ones made here.
#![allow(clippy::unwrap_used)]

mod agreeing;
mod balancing;
mod bombs;
mod bordering;
mod counts;
mod deciding;
mod decoding;
mod exact;
mod fetching;
mod finding;
mod fixtures;
mod folding;
mod glancing;
mod hostile;
mod ingesting;
mod labels;
mod large;
mod leaking;
mod merging;
mod packing;
mod plant;
mod planted;
mod quarantine;
mod reusing;
mod scoring;
mod sources;
mod splitting;
mod tables;
