//! Fitting networks to images: optimizers, schedules, losses, early stopping, exact resume.
//!
//! Does not define networks, batches or metrics; see the rooms models, augment and eval.

pub mod config;
pub mod early_stopping;
pub mod history;
pub mod loss;
pub mod optim;
pub mod resume;
pub mod schedule;

pub use config::TrainConfig;
pub use history::{EpochRow, History, Summary};
