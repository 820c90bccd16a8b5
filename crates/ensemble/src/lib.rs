//! Several models' predictions combined into one: voting, averaging, weighting.
//!
//! Works on predictions alone: it loads no checkpoint and looks at no image. What is fitted (the
//! weights of [`weights`]) takes predictions on `val`, and refuses any other split.

pub mod average;
pub mod diversity;
pub mod ensemble_weights;
pub mod members;
pub mod method;
pub mod stage;
pub mod vote;
pub mod weights;

pub use ensemble_weights::{EnsembleWeights, ValScores};
pub use members::EnsembleError;
pub use method::Method;
pub use stage::Ensemble;
