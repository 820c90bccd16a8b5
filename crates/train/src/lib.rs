//! Fitting networks to images: optimizers, schedules, losses, early stopping, exact resume.
//!
//! Does not define networks, batches or metrics; see the rooms models, augment and eval.

pub mod config;
pub mod early_stopping;
pub mod fit;
pub mod history;
pub mod loss;
pub mod optim;
mod plan;
pub mod resume;
mod run;
pub mod schedule;
mod stage;
pub mod transfer;

pub use config::TrainConfig;
pub use fit::{Data, FitError, Fitted, fit};
pub use history::{EpochRow, GroupRate, History, Summary};
pub use transfer::Transfer;
