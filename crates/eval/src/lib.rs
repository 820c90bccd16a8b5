//! Model and images to predictions, predictions to numbers.
//!
//! Does not train and does not draw: it says what a trained network thinks of a pack of images
//! ([`predict`](predict::predict)) and how good that is ([`Metrics::of`]).

pub mod embed;
pub mod evaluate;
pub mod metrics;
pub mod out_of_fold;
pub mod predict;
pub mod predictions;
pub mod weights;

pub use embed::Embed;
pub use evaluate::Evaluate;
pub use metrics::{
    BackgroundMetrics, ClassMetrics, ConfusedPair, Interval, Metrics, ReliabilityBin, SourceMetrics,
};
pub use out_of_fold::JoinFolds;
pub use predict::Predict;
pub use predictions::{Predictions, PredictionsError};
pub use weights::Weights;
