//! Where numbers come from: every stage with a place on the page to which its numbers lead.

use std::collections::BTreeMap;

use peregrine_pipeline::{Lineage, LineageStage};
use serde::Serialize;

use crate::text::short;

/// A stage as a number names it: its place on the page, its name, the head of its fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The id of its row in the table of stages.
    pub anchor: String,
    /// Its name.
    pub stage: String,
    /// The first digits of its fingerprint.
    pub short: String,
}

/// Every stage that the report speaks of, in topological order.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The pipeline's name.
    pub pipeline: String,
    /// The stages above the report, then those that only an input names.
    pub stages: Vec<LineageStage>,
    position: BTreeMap<String, usize>,
}

impl Sources {
    /// The stages of `lineage`, and of `inputs` (name and fingerprint) those it lacks.
    pub fn new<'a>(lineage: &Lineage, inputs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut sources = Self { pipeline: lineage.pipeline.clone(), ..Self::default() };
        for stage in &lineage.stages {
            sources.push(stage.clone());
        }
        for (name, fingerprint) in inputs {
            if !sources.position.contains_key(name) {
                sources.push(LineageStage {
                    name: name.to_owned(),
                    kind: "unknown".to_owned(),
                    fingerprint: fingerprint.to_owned(),
                    params: serde_json::Value::Null,
                    inputs: Vec::new(),
                    seconds: f64::NAN,
                    counts: BTreeMap::new(),
                });
            }
        }
        sources
    }

    fn push(&mut self, stage: LineageStage) {
        self.position.insert(stage.name.clone(), self.stages.len());
        self.stages.push(stage);
    }

    /// The position of the stage called `name`.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.position.get(name).copied()
    }

    /// The stage called `name`.
    pub fn stage(&self, name: &str) -> Option<&LineageStage> {
        self.position(name).map(|at| &self.stages[at])
    }

    /// The stages that the one called `name` reads from.
    pub fn inputs(&self, name: &str) -> &[String] {
        self.stage(name).map_or(&[], |stage| stage.inputs.as_slice())
    }

    /// The id of the row of the stage at `position`.
    pub fn anchor(position: usize) -> String {
        format!("stage-{position}")
    }

    /// The link to the stage called `name`.
    pub fn link(&self, name: &str) -> Link {
        let at = self.position(name);
        Link {
            anchor: at.map_or_else(|| "provenance".to_owned(), Self::anchor),
            stage: name.to_owned(),
            short: at.map_or_else(String::new, |at| short(&self.stages[at].fingerprint)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_outside_the_lineage_still_has_a_row() {
        let sources = Sources::new(&Lineage::default(), [("evaluate", "0123456789ab"), ("evaluate", "x")]);
        assert_eq!(sources.stages.len(), 1);
        let link = sources.link("evaluate");
        assert_eq!((link.anchor.as_str(), link.short.as_str()), ("stage-0", "01234567"));
        assert_eq!(sources.link("nobody").anchor, "provenance");
    }
}
