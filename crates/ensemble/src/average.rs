//! The mean of the members' probabilities (soft voting).

use peregrine_eval::Predictions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::members::Members;
use crate::method::Combined;

/// The mean of the members' probabilities, each member counting the same.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mean {}

impl Mean {
    /// Averages `members`.
    pub fn combine(&self, members: Members) -> Combined {
        let weights = equal(members.len());
        Combined { predictions: mix(members, &weights), weights, fitted: None }
    }
}

/// `m` equal weights that sum to 1.
pub fn equal(m: usize) -> Vec<f64> {
    vec![1.0 / m as f64; m]
}

/// The weighted mean of the members' probabilities, summed in double precision.
pub fn mix(members: Members, weights: &[f64]) -> Predictions {
    let (n, k) = (members.images(), members.classes());
    let mut probabilities = Vec::with_capacity(n * k);
    let mut row = vec![0.0_f64; k];
    for i in 0..n {
        row.fill(0.0);
        for (j, weight) in weights.iter().enumerate() {
            for (sum, &p) in row.iter_mut().zip(members.row(j, i)) {
                *sum += weight * f64::from(p);
            }
        }
        probabilities.extend(row.iter().map(|&p| p as f32));
    }
    members.combined(probabilities)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::tests::{close, member};

    #[test]
    fn the_mean_of_two_members_is_the_hand_computed_one() {
        let all = [
            member("a", &[0, 1], &[&[0.9, 0.1], &[0.6, 0.4]]),
            member("b", &[0, 1], &[&[0.5, 0.5], &[0.1, 0.9]]),
        ];
        let combined = Mean {}.combine(Members::check(&all, "predictions").unwrap());
        close(&combined.predictions.probabilities, &[0.7, 0.3, 0.35, 0.65]);
        assert_eq!(combined.weights, [0.5, 0.5]);
    }

    #[test]
    fn the_mean_of_one_member_is_that_member() {
        let all = [member("a", &[0], &[&[0.25, 0.75]])];
        let combined = Mean {}.combine(Members::check(&all, "predictions").unwrap());
        assert_eq!(combined.predictions.probabilities, all[0].value.probabilities);
    }
}
