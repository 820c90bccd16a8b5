//! Nearest neighbours by exact search: every row is compared with every training row.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::distance;

/// Rows that are looked up together, while training rows pass by once.
const TOGETHER: usize = 16;

/// How much each neighbour's vote counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Votes {
    /// All alike.
    #[default]
    Uniform,
    /// By 1 / distance; where some are at distance 0, those alone.
    Distance,
}

/// The training rows as they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours {
    /// How many neighbours vote.
    pub k: usize,
    /// How much each vote counts.
    pub votes: Votes,
    /// `m × width` numbers.
    pub rows: Vec<f32>,
    /// The class of each row.
    pub labels: Vec<u32>,
}

impl Neighbours {
    /// The share of each class in the votes for each row, `n × classes`.
    pub fn shares(&self, values: &[f32], width: usize, classes: usize) -> Vec<f64> {
        let blocks = values.par_chunks(TOGETHER * width.max(1));
        blocks.flat_map_iter(|block| self.block(block, width, classes)).collect()
    }

    fn block(&self, block: &[f32], width: usize, classes: usize) -> Vec<f64> {
        let mut nearest: Vec<Vec<(f32, usize)>> =
            vec![Vec::with_capacity(self.k + 1); block.len() / width.max(1)];
        for (index, row) in self.rows.chunks_exact(width.max(1)).enumerate() {
            for (asked, nearest) in block.chunks_exact(width).zip(&mut nearest) {
                let apart = distance(asked, row);
                if nearest.len() < self.k || nearest.last().is_some_and(|(far, _)| apart < *far) {
                    let place = nearest.partition_point(|(other, _)| *other <= apart);
                    nearest.insert(place, (apart, index));
                    nearest.truncate(self.k);
                }
            }
        }
        nearest.iter().flat_map(|nearest| self.count(nearest, classes)).collect()
    }

    fn count(&self, nearest: &[(f32, usize)], classes: usize) -> Vec<f64> {
        let touching = nearest.first().is_some_and(|(apart, _)| *apart == 0.0);
        let mut shares = vec![0.0; classes];
        for &(apart, index) in nearest {
            let vote = match self.votes {
                Votes::Uniform => 1.0,
                Votes::Distance if touching => f64::from(u8::from(apart == 0.0)),
                Votes::Distance => 1.0 / f64::from(apart).sqrt(),
            };
            shares[self.labels[index] as usize] += vote;
        }
        let all: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= all);
        shares
    }
}
