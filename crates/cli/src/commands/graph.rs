//! `peregrine graph FILE`.

use peregrine_pipeline::draw::{DrawFormat, draw};
use serde_json::{Value, json};

use crate::args::{GraphArgs, GraphFormat};
use crate::commands::{Outcome, load};
use crate::exit_code::Exit;
use crate::render::out;
use crate::render::style::tame;

/// Draws the graph.
pub fn call(args: &GraphArgs) -> Outcome {
    let pipeline = load(&args.pipeline)?;
    if args.pipeline.json {
        let stages: Vec<Value> = pipeline
            .stages
            .iter()
            .map(|stage| {
                let inputs: serde_json::Map<String, Value> = stage
                    .inputs
                    .iter()
                    .map(|wire| {
                        let from: Vec<String> = wire
                            .from
                            .iter()
                            .map(|output| format!("{}.{}", pipeline.stages[output.stage].name, output.port))
                            .collect();
                        (wire.port.to_owned(), json!(from))
                    })
                    .collect();
                json!({ "stage": stage.name, "kind": stage.kind.kind, "inputs": inputs })
            })
            .collect();
        let value = json!({ "pipeline": pipeline.name, "stages": stages });
        out::print(&serde_json::to_string_pretty(&value).map_err(anyhow::Error::from)?);
        return Ok(Exit::Done);
    }
    let format = match args.format {
        GraphFormat::Text => DrawFormat::Text,
        GraphFormat::Mermaid => DrawFormat::Mermaid,
        GraphFormat::Dot => DrawFormat::Dot,
    };
    out::print(&tame(&draw(&pipeline, format)));
    Ok(Exit::Done)
}
