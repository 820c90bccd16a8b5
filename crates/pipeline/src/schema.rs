//! The JSON schema of pipeline files, for editors: keys are completed and explained while typing.
//!
//! `peregrine` itself doesn't read it: `file.rs` checks more, and says it better.

use serde_json::{Map, Value, json};

use crate::stage::{Arity, Port, StageKind};

/// A value that is one reference.
const REFERENCE: &str = r"^\$\{ *(vars|matrix)\.[^}]+\}$";

/// The JSON schema of a whole pipeline file whose stages are of `kinds`.
///
/// Write it beside the files and name it in their first line:
/// `# yaml-language-server: $schema=pipeline.schema.json`.
pub fn pipeline_schema(kinds: &[StageKind]) -> Value {
    let mut definitions = Map::new();
    let mut rules = Vec::new();
    let mut by_name = Map::new();
    for kind in kinds {
        let name = kind.kind;
        let params = params(kind, &mut definitions);
        definitions.insert(format!("{name}.params"), params);
        definitions.insert(format!("{name}.inputs"), inputs(kind));
        let parts = json!({
            "properties": {
                "params": { "$ref": format!("#/$defs/{name}.params") },
                "inputs": { "$ref": format!("#/$defs/{name}.inputs") },
            }
        });
        rules.push(json!({
            "if": { "required": ["kind"], "properties": { "kind": { "const": name } } },
            "then": parts,
        }));
        // A stage without a kind is of the kind that it is named after.
        by_name.insert(
            name.to_owned(),
            json!({ "allOf": [
                { "$ref": "#/$defs/stage" },
                { "if": { "not": { "required": ["kind"] } }, "then": parts },
            ] }),
        );
    }
    definitions.insert("stage".to_owned(), stage(kinds, &rules));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Peregrine pipeline",
        "description": "Named stages and how they are wired; see pipelines/README.md for the kinds.",
        "type": "object",
        "required": ["stages"],
        "additionalProperties": false,
        "properties": {
            "name": text("The pipeline's name; the file's name when absent."),
            "seed": whole("The seed from which every stage's seed is derived.", 0),
            "device": device("What networks run on"),
            "templates": { "description": "A place for YAML anchors; ignored." },
            "vars": {
                "description": "Values that stages name as ${vars.name}.",
                "type": ["object", "null"],
            },
            "stages": {
                "description": "The stages by name, in any order.",
                "type": "object",
                "minProperties": 1,
                "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_-]*$" },
                "properties": by_name,
                "additionalProperties": { "$ref": "#/$defs/stage" },
            },
        },
        "$defs": definitions,
    })
}

fn text(doc: &str) -> Value {
    json!({ "description": doc, "type": "string" })
}

fn whole(doc: &str, least: u64) -> Value {
    or_reference(json!({ "description": doc, "type": "integer", "minimum": least }))
}

fn device(doc: &str) -> Value {
    json!({
        "description": format!("{doc}: auto, cpu, flex, libtorch, cuda:0, wgpu."),
        "type": "string",
        "examples": ["auto", "cpu", "flex", "libtorch", "cuda:0", "wgpu"],
    })
}

/// The keys that every stage has.
fn stage(kinds: &[StageKind], rules: &[Value]) -> Value {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.kind).collect();
    let scalar = json!({ "type": ["string", "number", "boolean"] });
    json!({
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": {
            "kind": {
                "description": "What the stage does; the stage's own name when absent.",
                "anyOf": [{ "enum": names }, { "type": "string", "pattern": REFERENCE }],
            },
            "inputs": { "description": "What each input port reads: stage.output.", "type": ["object", "null"] },
            "params": { "description": "The settings of the kind.", "type": ["object", "null"] },
            "matrix": {
                "description": "Axes and their values: a stage for every combination, whose values are ${matrix.axis}.",
                "type": ["object", "null"],
                "properties": {
                    "include": {
                        "description": "Further combinations, each with a value for every axis.",
                        "type": "array",
                        "items": { "type": "object", "additionalProperties": scalar },
                    }
                },
                "additionalProperties": or_reference(json!({ "type": "array", "minItems": 1, "items": scalar })),
            },
            "when": {
                "description": "Runs only if this holds: evaluate.metrics.top1 > 0.8 and not ${vars.fast}.",
                "type": ["string", "boolean", "null"],
            },
            "frozen": or_reference(json!({
                "description": "Never run; served from the cache even when stale.", "type": "boolean",
            })),
            "retries": whole("How often a failure is tried again, at most 100.", 0),
            "timeout": {
                "description": "How long it may take: 90s, 5m, 1h30m, or seconds.",
                "type": ["string", "number"],
            },
            "resources": {
                "description": "What the stage occupies while it runs.",
                "type": ["object", "null"],
                "additionalProperties": false,
                "properties": {
                    "jobs": whole("Job slots; capped at the run's --jobs.", 1),
                    "device": device("The device instead of the pipeline's"),
                },
            },
            "seed": whole("The stage's own seed instead of the pipeline's.", 0),
        },
        "allOf": rules,
    })
}

/// The input ports of a kind.
fn inputs(kind: &StageKind) -> Value {
    let output = json!({ "type": "string", "pattern": r"\.[A-Za-z0-9_]+$|^\$\{" });
    let port = |port: &Port| {
        let mut schema = match port.arity {
            Arity::One | Arity::Optional => output.clone(),
            Arity::Many | Arity::OptionalMany => {
                json!({ "anyOf": [output, { "type": "array", "items": output }] })
            }
        };
        if let Some(map) = schema.as_object_mut() {
            let many = matches!(port.arity, Arity::Many | Arity::OptionalMany);
            let list = if many { "a list of " } else { "" };
            map.insert("description".to_owned(), json!(format!("{} ({list}{}).", port.doc, port.artifact)));
        }
        (port.name.to_owned(), schema)
    };
    let required: Vec<&str> = kind
        .inputs
        .iter()
        .filter(|port| matches!(port.arity, Arity::One | Arity::Many))
        .map(|port| port.name)
        .collect();
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": kind.inputs.iter().map(port).collect::<Map<_, _>>(),
    })
}

/// The params of a kind; what they refer to moves to `definitions` under names of its own.
fn params(kind: &StageKind, definitions: &mut Map<String, Value>) -> Value {
    let mut schema = (kind.schema)().to_value();
    let own = schema.as_object_mut().and_then(|map| {
        map.remove("$schema");
        map.remove("$defs")
    });
    if let Some(Value::Object(own)) = own {
        for (name, mut definition) in own {
            adapt(&mut definition, kind.kind);
            definitions.insert(format!("{}.{name}", kind.kind), definition);
        }
    }
    adapt(&mut schema, kind.kind);
    schema
}

/// Points `$ref`s to the moved definitions and lets references stand for scalars.
fn adapt(schema: &mut Value, kind: &str) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| adapt(item, kind)),
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match value {
                    Value::String(target) if key == "$ref" => {
                        if let Some(name) = target.strip_prefix("#/$defs/") {
                            *target = format!("#/$defs/{kind}.{name}");
                        }
                    }
                    // Values, not schemas.
                    _ if matches!(key.as_str(), "default" | "enum" | "const" | "examples" | "required") => {}
                    _ => adapt(value, kind),
                }
            }
            if takes_reference(map) {
                *schema = or_reference(schema.take());
            }
        }
        _ => {}
    }
}

/// Whether a schema is of a scalar that text doesn't already fit.
fn takes_reference(map: &Map<String, Value>) -> bool {
    let scalar = |name: &Value| matches!(name.as_str(), Some("integer" | "number" | "boolean"));
    let is_choice = map.get("type") == Some(&json!("string")) && map.contains_key("enum");
    is_choice
        || match map.get("type") {
            Some(Value::Array(names)) => names.iter().any(scalar),
            Some(name) => scalar(name),
            None => false,
        }
}

/// `schema`, or a reference; what describes it stays outside.
fn or_reference(mut schema: Value) -> Value {
    let mut outer = Map::new();
    if let Some(map) = schema.as_object_mut() {
        for key in ["description", "default", "title"] {
            if let Some(value) = map.shift_remove(key) {
                outer.insert(key.to_owned(), value);
            }
        }
    }
    outer.insert("anyOf".to_owned(), json!([schema, { "type": "string", "pattern": REFERENCE }]));
    Value::Object(outer)
}
