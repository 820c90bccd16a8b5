//! Hard voting: each member has one vote.
//!
//! Ties are defined. The class with the most votes wins; among equals the one with the higher mean
//! probability; among those the one with the lower id. The probabilities that come out keep this
//! order: class c gets (votes(c) + mean probability(c)) / (members + 1). They sum to 1 because the
//! votes sum to the number of members and the means to 1, and a mean probability can lift no class
//! over one with a vote more: that would take a mean of 1, which comes with every vote.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::average::equal;
use crate::members::{Members, top};
use crate::method::Combined;

/// Each member has one vote. Ties go to the class with the higher mean probability, then to the
/// lower class id.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HardVote {}

impl HardVote {
    /// Counts the votes of `members`.
    pub fn combine(&self, members: Members) -> Combined {
        let (n, k) = (members.images(), members.classes());
        let mut probabilities = Vec::with_capacity(n * k);
        for i in 0..n {
            let tally = tally(members, i);
            let winner = winner(&tally);
            let start = probabilities.len();
            let all = members.len() as f64 + 1.0;
            probabilities.extend(tally.iter().map(|c| ((f64::from(c.votes) + c.mean) / all) as f32));
            settle(&mut probabilities[start..], winner);
        }
        let weights = equal(members.len());
        Combined { predictions: members.combined(probabilities), weights, fitted: None }
    }
}

/// What one class got.
struct Count {
    votes: u32,
    mean: f64,
}

fn tally(members: Members, i: usize) -> Vec<Count> {
    let mut tally: Vec<Count> = (0..members.classes()).map(|_| Count { votes: 0, mean: 0.0 }).collect();
    for j in 0..members.len() {
        let row = members.row(j, i);
        tally[top(row)].votes += 1;
        for (count, &p) in tally.iter_mut().zip(row) {
            count.mean += f64::from(p) / members.len() as f64;
        }
    }
    tally
}

fn winner(tally: &[Count]) -> usize {
    let mut best = 0;
    for (class, count) in tally.iter().enumerate() {
        let leader = &tally[best];
        if (count.votes, count.mean) > (leader.votes, leader.mean) {
            best = class;
        }
    }
    best
}

/// Lifts the winner by the smallest step where rounding to single precision hid its lead.
fn settle(row: &mut [f32], winner: usize) {
    let rounded = top(row);
    if rounded != winner {
        row[winner] = row[rounded].next_up();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::tests::{close, member};

    fn vote(rows: &[&[f32]]) -> Vec<f32> {
        let all: Vec<_> = rows.iter().map(|row| member("m", &[0], &[row])).collect();
        HardVote {}.combine(Members::check(&all, "predictions").unwrap()).predictions.probabilities
    }

    #[test]
    fn the_majority_wins_against_a_higher_mean() {
        let row = vote(&[&[0.51, 0.49], &[0.51, 0.49], &[0.0, 1.0]]);
        close(&row, &[(2.0 + 0.34) / 4.0, (1.0 + 0.66) / 4.0]);
        assert_eq!(top(&row), 0);
    }

    #[test]
    fn a_tie_goes_to_the_higher_mean_probability() {
        let row = vote(&[&[0.6, 0.4, 0.0], &[0.1, 0.9, 0.0]]);
        assert_eq!(top(&row), 1);
        close(&row, &[(1.0 + 0.35) / 3.0, (1.0 + 0.65) / 3.0, 0.0]);
    }

    #[test]
    fn a_tie_in_votes_and_mean_goes_to_the_lower_class() {
        assert_eq!(top(&vote(&[&[0.25, 0.75], &[0.75, 0.25]])), 0);
    }

    #[test]
    fn a_lead_below_single_precision_still_wins() {
        let a = 0.6_f32;
        let row = vote(&[&[a, 1.0 - a, 0.0], &[1.0 - a, a.next_up(), 0.0]]);
        assert_eq!(top(&row), 1);
    }

    #[test]
    fn probabilities_sum_to_one() {
        let row = vote(&[&[0.2, 0.5, 0.3], &[0.1, 0.1, 0.8], &[0.9, 0.05, 0.05]]);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }
}
