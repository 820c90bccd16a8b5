//! Which stages a selection means.

use crate::engine::{Reach, RunOptions, Selection};
use crate::error::RunError;
use crate::graph::Pipeline;

/// A selection, by position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// May run.
    pub selected: Vec<bool>,
    /// Selected, or above a selected one: is looked at.
    pub needed: Vec<bool>,
    /// Runs even when fresh.
    pub forced: Vec<bool>,
}

/// Finds the stages that `options` mean.
pub(crate) fn choose(pipeline: &Pipeline, options: &RunOptions) -> Result<Chosen, RunError> {
    let count = pipeline.stages.len();
    let (selected, forced) = match &options.selection {
        Selection::All => (vec![true; count], vec![options.force; count]),
        Selection::Stages { names, reach } => {
            let named = named(pipeline, names)?;
            let mut below = named.clone();
            spread_down(pipeline, &mut below);
            let selected = match reach {
                Reach::Only => named.clone(),
                Reach::From => below.clone(),
                Reach::WithUpstream => with_upstream(pipeline, named.clone()),
                Reach::Downstream => with_upstream(pipeline, below.clone()),
            };
            let forced = match reach {
                Reach::Only | Reach::WithUpstream => named,
                Reach::From | Reach::Downstream => below,
            };
            (selected, forced.into_iter().map(|stage| stage && options.force).collect())
        }
    };
    let needed = with_upstream(pipeline, selected.clone());
    Ok(Chosen { selected, needed, forced })
}

fn named(pipeline: &Pipeline, names: &[String]) -> Result<Vec<bool>, RunError> {
    let mut chosen = vec![false; pipeline.stages.len()];
    for name in names {
        let mut found = false;
        for (stage, node) in pipeline.stages.iter().enumerate() {
            if node.name == *name || node.base == *name {
                chosen[stage] = true;
                found = true;
            }
        }
        if !found {
            return Err(RunError::NoSuchStage { name: name.clone(), near: near(pipeline, name) });
        }
    }
    Ok(chosen)
}

fn with_upstream(pipeline: &Pipeline, mut chosen: Vec<bool>) -> Vec<bool> {
    for stage in (0..chosen.len()).rev() {
        if chosen[stage] {
            pipeline.upstream(stage).into_iter().for_each(|above| chosen[above] = true);
        }
    }
    chosen
}

fn spread_down(pipeline: &Pipeline, chosen: &mut [bool]) {
    for stage in 0..chosen.len() {
        chosen[stage] = chosen[stage] || pipeline.upstream(stage).into_iter().any(|above| chosen[above]);
    }
}

/// The names most like `name`.
fn near(pipeline: &Pipeline, name: &str) -> Vec<String> {
    let mut scored: Vec<(usize, &str)> = pipeline
        .stages
        .iter()
        .map(|node| (distance(name, &node.name), node.name.as_str()))
        .filter(|(distance, known)| *distance <= 1 + known.len().max(name.len()) / 3)
        .collect();
    scored.sort_unstable();
    scored.dedup();
    scored.into_iter().take(2).map(|(_, known)| known.to_owned()).collect()
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("train", "train"), 0);
    }
}
