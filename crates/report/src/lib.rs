//! The report of a pipeline as one offline HTML file and as Markdown, and the regression gate.
//!
//! Measures nothing itself: every number comes from an artifact of another room and leads, on the
//! page, to the stage and fingerprint that made it. Everything that names classes or files is
//! somebody else's text and is treated as such (`text.rs`).

pub mod artifact;
pub mod contenders;
pub mod html;
pub mod markdown;
pub mod material;
pub mod page;
pub mod pictures;
pub mod regression;
pub mod review;
pub mod sections;
pub mod sources;
pub mod stage;
pub mod svg;
pub mod text;

#[cfg(test)]
mod fixture;

pub use artifact::Document;
pub use material::Material;
pub use page::{Options, Page};
pub use regression::{Baseline, Direction, Expectation, Regression, Verdict, baseline_from};
pub use review::Review;
pub use stage::Report;
