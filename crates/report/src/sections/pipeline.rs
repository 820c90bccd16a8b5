//! The pipeline's picture.

use serde::Serialize;

use crate::sources::Sources;
use crate::svg::dag::{Node, dag};
use crate::text::{holds, seconds, short};

/// The picture and its caption.
#[derive(Debug, Clone, Serialize)]
pub struct PipelineView {
    /// The layered DAG.
    pub svg: String,
    /// How many stages.
    pub stages: usize,
    /// How long all stages together took when they ran.
    pub seconds: String,
    /// The groups of kinds that occur, for the legend: class and words.
    pub legend: Vec<(&'static str, &'static str)>,
}

const GROUPS: [(&str, &str); 5] = [
    ("data", "data"),
    ("augment", "augmentation"),
    ("train", "training"),
    ("eval", "predictions and metrics"),
    ("ensemble", "ensemble"),
];

fn group(kind: &str) -> &'static str {
    match kind {
        "augment" => "augment",
        "train" | "tune" | "soup" | "prune" | "quantize" | "distill" => "train",
        "predict" | "evaluate" | "calibrate" | "explain" => "eval",
        "ensemble" => "ensemble",
        _ => "data",
    }
}

/// The picture of the stages above the report.
pub fn pipeline(sources: &Sources) -> Option<PipelineView> {
    if sources.stages.is_empty() {
        return None;
    }
    let node = |(i, stage): (usize, &peregrine_pipeline::LineageStage)| {
        let inputs = stage.inputs.iter().filter_map(|name| sources.position(name)).collect();
        let took =
            if stage.seconds.is_finite() { format!(" · {}", seconds(stage.seconds)) } else { String::new() };
        let mut lines = vec![format!("{}{took}", stage.kind)];
        lines.extend(stage.counts.values().max_by_key(|count| count.number).map(holds));
        lines.push(short(&stage.fingerprint));
        Node {
            name: stage.name.clone(),
            lines,
            class: group(&stage.kind),
            anchor: Sources::anchor(i),
            inputs,
        }
    };
    let nodes: Vec<Node> = sources.stages.iter().enumerate().map(node).collect();
    let total: f64 = sources.stages.iter().map(|stage| stage.seconds).filter(|s| s.is_finite()).sum();
    let legend =
        GROUPS.into_iter().filter(|(class, _)| nodes.iter().any(|node| node.class == *class)).collect();
    Some(PipelineView {
        svg: dag(&format!("the stages of pipeline {}", sources.pipeline), &nodes),
        stages: nodes.len(),
        seconds: seconds(total),
        legend,
    })
}
