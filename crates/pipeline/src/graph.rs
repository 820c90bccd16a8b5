//! The checked graph of a pipeline: stages in an order in which they can run, and their wires.
//!
//! Made by `file.rs` from YAML; knows nothing of files, positions or caches.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::stage::{PreparedStage, StageKind};
use crate::when::Condition;

/// A pipeline whose every key, param and wire was checked.
#[derive(Clone)]
pub struct Pipeline {
    /// Its name.
    pub name: String,
    /// The file it was read from.
    pub path: PathBuf,
    /// The seed from which every stage's seed is derived.
    pub seed: u64,
    /// The device that the file asks for; `None` means `auto`.
    pub device: Option<String>,
    /// The stages in topological order, ties in the file's order. Matrix stages are expanded.
    pub stages: Vec<StageNode>,
}

/// One stage of a checked pipeline.
#[derive(Clone)]
pub struct StageNode {
    /// Its name, unique in the pipeline: `train`, or `train@resnet-0.001` out of a matrix.
    pub name: String,
    /// The name in the file: `train` for every instance of a matrix.
    pub base: String,
    /// Its kind.
    pub kind: StageKind,
    /// The stage, ready to run.
    pub stage: Arc<dyn PreparedStage>,
    /// The params as resolved, defaults filled in.
    pub params: serde_json::Value,
    /// The connected input ports, in the order of the kind's ports.
    pub inputs: Vec<Wire>,
    /// Runs only if this holds.
    pub when: Option<Condition>,
    /// Never run; served from the cache even when stale.
    pub frozen: bool,
    /// How often a failure is tried again.
    pub retries: u32,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// What it occupies while it runs.
    pub resources: Resources,
    /// The stage's own seed instead of the pipeline's.
    pub seed: Option<u64>,
}

/// An input port and the outputs that feed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    /// The input port.
    pub port: &'static str,
    /// The outputs, in the file's order; a single one unless the port takes many.
    pub from: Vec<OutputRef>,
}

/// An output of an earlier stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OutputRef {
    /// The stage's position in [`Pipeline::stages`].
    pub stage: usize,
    /// The output port.
    pub port: &'static str,
}

/// What a stage occupies while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resources {
    /// Job slots; capped at the run's `--jobs`.
    pub jobs: usize,
    /// The device, instead of the pipeline's.
    pub device: Option<String>,
}

impl Default for Resources {
    fn default() -> Self {
        Self { jobs: 1, device: None }
    }
}

impl Pipeline {
    /// The position of the stage called `name`.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.stages.iter().position(|stage| stage.name == name)
    }

    /// The positions of the stages that must be settled before the one at `position`: those that
    /// feed it and those its condition looks at; sorted, each once.
    pub fn upstream(&self, position: usize) -> Vec<usize> {
        let stage = &self.stages[position];
        let wires = stage.inputs.iter().flat_map(|wire| wire.from.iter().map(|output| output.stage));
        let condition = stage.when.iter().flat_map(|when| when.outputs().map(|output| output.stage));
        let mut all: Vec<usize> = wires.chain(condition).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}
