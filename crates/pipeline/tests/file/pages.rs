//! What is made from kinds and pipelines: drawings, the schema, the reference.

use peregrine_pipeline::draw::{DrawFormat, draw};
use peregrine_pipeline::{reference, schema};
use serde_json::Value;

use crate::good::{SAMPLE, pipeline};
use crate::kinds::KINDS;

#[test]
fn the_graph_is_drawn_with_matrices_as_one_node() {
    let pipeline = pipeline(SAMPLE, &[]);
    insta::assert_snapshot!("graph_text", draw(&pipeline, DrawFormat::Text));
    insta::assert_snapshot!("graph_mermaid", draw(&pipeline, DrawFormat::Mermaid));
    insta::assert_snapshot!("graph_dot", draw(&pipeline, DrawFormat::Dot));
}

#[test]
fn the_reference_describes_every_kind_port_and_param() {
    let page = reference::markdown(KINDS);
    for kind in KINDS {
        assert!(page.contains(&format!("\n## {}\n", kind.kind)));
        for port in kind.inputs.iter().chain(kind.outputs) {
            assert!(page.contains(&format!("| `{}` |", port.name)), "{}", port.name);
        }
    }
    insta::assert_snapshot!("reference", page);
}

#[test]
fn the_schema_has_every_kind_and_no_dangling_reference() {
    let schema = schema::pipeline_schema(KINDS);
    let mut references = Vec::new();
    collect(&schema, &mut references);
    assert!(references.len() > 20);
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("local");
        assert!(schema.pointer(pointer).is_some(), "{reference}");
    }
    insta::assert_snapshot!("schema", serde_json::to_string_pretty(&schema).expect("json"));
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(target) if key == "$ref" => references.push(target.clone()),
                    _ => collect(value, references),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}
