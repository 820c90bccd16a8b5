//! The registry of methods: how members become one prediction.
//!
//! Adding one is a file with its config and a line in each `match` here.

use peregrine_eval::Predictions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::average::Mean;
use crate::members::{EnsembleError, Members};
use crate::vote::HardVote;
use crate::weights::WeightedMean;

/// How members become one prediction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Method {
    /// Every member votes for its best class; the class with the most votes wins.
    HardVote(HardVote),
    /// The mean of the members' probabilities.
    Mean(Mean),
    /// A weighted mean of the members' probabilities, weights fitted on `val`.
    WeightedMean(WeightedMean),
}

impl Default for Method {
    fn default() -> Self {
        Self::WeightedMean(WeightedMean::default())
    }
}

/// What a method made of the members.
#[derive(Debug, Clone)]
pub struct Combined {
    /// One prediction per image.
    pub predictions: Predictions,
    /// The members' weights, summing to 1.
    pub weights: Vec<f64>,
    /// How the weights were fitted, for methods that fit any.
    pub fitted: Option<Fitted>,
}

/// How a fit of weights ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// Steps taken.
    pub iterations: u32,
    /// The log loss on `val` is at most this much above the lowest possible one.
    pub gap: f64,
}

impl Method {
    /// The method's name in pipeline files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::HardVote(_) => "hard_vote",
            Self::Mean(_) => "mean",
            Self::WeightedMean(_) => "weighted_mean",
        }
    }

    /// Combines `members`; `val` holds the same models' predictions on `val`.
    ///
    /// # Errors
    /// [`EnsembleError::NeedsVal`] when the method fits and there is no `val`.
    pub fn combine(&self, members: Members, val: Option<Members>) -> Result<Combined, EnsembleError> {
        match self {
            Self::HardVote(method) => Ok(method.combine(members)),
            Self::Mean(method) => Ok(method.combine(members)),
            Self::WeightedMean(method) => {
                let val = val.ok_or(EnsembleError::NeedsVal)?;
                Ok(method.combine(members, val))
            }
        }
    }

    /// The same combination with `weights` as found, on other images (to score it on `val`).
    pub fn apply(&self, members: Members, weights: &[f64]) -> Predictions {
        match self {
            Self::HardVote(method) => method.combine(members).predictions,
            Self::Mean(_) | Self::WeightedMean(_) => crate::average::mix(members, weights),
        }
    }
}
