//! The table of stages to which every number leads.

use serde::Serialize;

use crate::sources::{Link, Sources};
use crate::text::{holds, seconds};

/// One stage.
#[derive(Debug, Clone, Serialize)]
pub struct StageRow {
    /// Its place.
    pub link: Link,
    /// Its kind.
    pub kind: String,
    /// Its whole fingerprint.
    pub fingerprint: String,
    /// How long it took.
    pub seconds: String,
    /// What its outputs hold: `manifest 1 484 images`.
    pub holds: Vec<String>,
    /// The stages it reads from.
    pub inputs: Vec<Link>,
    /// Its params as indented JSON; none when it has none.
    pub params: Option<String>,
}

/// A row for each stage.
pub fn provenance(sources: &Sources) -> Vec<StageRow> {
    let row = |stage: &peregrine_pipeline::LineageStage| {
        let empty = stage.params.as_object().map_or(stage.params.is_null(), serde_json::Map::is_empty);
        StageRow {
            link: sources.link(&stage.name),
            kind: stage.kind.clone(),
            fingerprint: stage.fingerprint.clone(),
            seconds: seconds(stage.seconds),
            holds: stage.counts.iter().map(|(port, count)| format!("{port}: {}", holds(count))).collect(),
            inputs: stage.inputs.iter().map(|name| sources.link(name)).collect(),
            params: (!empty).then(|| serde_json::to_string_pretty(&stage.params).unwrap_or_default()),
        }
    };
    sources.stages.iter().map(row).collect()
}
