//! Reads the keys of a pipeline and of its stages, matrix stages expanded, references replaced.
//!
//! Does not look at wires (`wire.rs`) or at what params mean (`check.rs`).

use std::time::Duration;

use super::diagnostics::{Draft as Report, Reporter};
use super::fields;
use super::interpolate::{Axes, Vars, size};
use super::kinds::Kinds;
use super::matrix::{self, Instance};
use super::suggest;
use super::tree::{Entry, Node, Span, Value, shorten};
use super::wire::Names;
use crate::graph::Resources;
use crate::stage::StageKind;

/// The keys of a pipeline.
pub(super) const PIPELINE_KEYS: [&str; 6] = ["name", "seed", "device", "templates", "vars", "stages"];

/// The keys of a stage.
pub(super) const STAGE_KEYS: [&str; 10] =
    ["kind", "inputs", "params", "matrix", "when", "frozen", "retries", "timeout", "resources", "seed"];

/// The most stages of a pipeline, matrices expanded.
const MAX_STAGES: usize = 12_000;
/// The longest name of a stage.
const LONGEST_NAME: usize = 100;
/// The most retries and job slots.
pub(crate) const MAX_RETRIES: u64 = 100;
pub(crate) const MAX_JOBS: u64 = 4096;

/// What a pipeline says of itself.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub name: Option<String>,
    pub seed: u64,
    pub device: Option<String>,
}

/// A stage whose keys are read.
pub(super) struct Stage {
    pub name: String,
    pub base: String,
    pub path: String,
    /// The place of its name.
    pub at: Span,
    pub axes: Vec<(String, Node)>,
    pub kind: &'static StageKind,
    pub params: Option<Entry>,
    pub inputs: Option<Entry>,
    pub when: Option<Node>,
    pub frozen: bool,
    pub retries: u32,
    pub timeout: Option<Duration>,
    pub resources: Resources,
    pub seed: Option<u64>,
}

/// Reads the file's own keys and its variables.
pub(super) fn head(root: &Node, reporter: &mut Reporter) -> (Head, Vars) {
    let mut head = Head::default();
    for entry in root.entries() {
        if !PIPELINE_KEYS.contains(&entry.key.as_str()) {
            let message = format!("a pipeline has no key `{}`", shorten(&entry.key));
            let help = suggest::help(&entry.key, "keys of a pipeline", PIPELINE_KEYS);
            reporter.report(Report::new(entry.key_span, message).help(help).path(&entry.key));
        }
    }
    let mut vars = Vars::read(root.get("vars"), reporter);
    for entry in root.entries() {
        let mut value = || Entry {
            node: vars.apply(&entry.node, &[], &entry.key, reporter),
            key: entry.key.clone(),
            key_span: entry.key_span,
        };
        match entry.key.as_str() {
            "name" => head.name = fields::text(&value(), "name", reporter),
            "seed" => head.seed = fields::whole(&value(), 0, u64::MAX, "seed", reporter).unwrap_or(0),
            "device" => head.device = device(&value(), "device", reporter),
            _ => {}
        }
    }
    (head, vars)
}

/// A device's name; `auto` is the same as none.
fn device(entry: &Entry, path: &str, reporter: &mut Reporter) -> Option<String> {
    fields::text(entry, path, reporter).filter(|device| device != "auto")
}

/// Reads the stages.
pub(super) fn stages(
    root: &Node,
    kinds: &mut Kinds,
    vars: &mut Vars,
    names: &mut Names,
    reporter: &mut Reporter,
) -> Vec<Stage> {
    let mut stages = Vec::new();
    let Some(entry) = root.entry("stages") else {
        let help = "as in `stages: { ingest: { params: { … } } }`".to_owned();
        reporter.report(Report::new(root.span, "the pipeline has no `stages`").help(help).path("stages"));
        return stages;
    };
    let entries = match &entry.node.value {
        Value::Map(entries) if !entries.is_empty() => entries,
        Value::Reported => return stages,
        Value::Map(_) | Value::Null => {
            reporter.report(Report::new(entry.key_span, "the pipeline has no stages").path("stages"));
            return stages;
        }
        _ => {
            let message = format!("`stages` takes a map of names and stages, not {}", entry.node.describe());
            reporter.report(Report::new(entry.node.span, message).path("stages"));
            return stages;
        }
    };
    for entry in entries {
        if stages.len() >= MAX_STAGES {
            let message = format!("the pipeline has more than {MAX_STAGES} stages");
            reporter.report(Report::new(entry.key_span, message));
            break;
        }
        stage(entry, kinds, vars, names, &mut stages, reporter);
    }
    stages
}

/// Reads one entry of `stages`: one stage, or as many as its matrix has combinations.
fn stage(
    entry: &Entry,
    kinds: &mut Kinds,
    vars: &mut Vars,
    names: &mut Names,
    stages: &mut Vec<Stage>,
    reporter: &mut Reporter,
) {
    let path = format!("stages.{}", entry.key);
    check_name(entry, &path, reporter);
    match &entry.node.value {
        Value::Map(_) | Value::Null => {}
        Value::Reported => return names.add_broken(&entry.key),
        _ => {
            let message = format!("the stage `{}` takes a map, not {}", entry.key, entry.node.describe());
            reporter.report(Report::new(entry.node.span, message).path(&path));
            return names.add_broken(&entry.key);
        }
    }
    for key in entry.node.entries() {
        if !STAGE_KEYS.contains(&key.key.as_str()) {
            unknown_key(entry, key, kinds, &path, reporter);
        }
    }
    let matrix = entry.node.entry("matrix").filter(|matrix| !matches!(matrix.node.value, Value::Null));
    let Some(matrix) = matrix else {
        match one(entry, entry.key.clone(), &[], &path, kinds, vars, reporter) {
            Some(stage) => {
                names.add(&entry.key, stages.len());
                stages.push(stage);
            }
            None => names.add_broken(&entry.key),
        }
        return;
    };
    let path_of_matrix = format!("{path}.matrix");
    let node = vars.apply(&matrix.node, &[], &path_of_matrix, reporter);
    let instances = matrix::expand(&entry.key, &node, &path_of_matrix, reporter);
    if instances.is_empty() || stages.len() + instances.len() > MAX_STAGES {
        if !instances.is_empty() {
            let message = format!("the pipeline has more than {MAX_STAGES} stages");
            reporter.report(Report::new(entry.key_span, message));
        }
        return names.add_broken(&entry.key);
    }
    // What each instance copies: everything but the matrix.
    let cost = size(&entry.node).saturating_sub(size(&matrix.node));
    for Instance { name, axes } in instances {
        if !vars.spend(cost, entry.key_span, reporter) {
            return names.add_broken(&entry.key);
        }
        match one(entry, name.clone(), &axes, &path, kinds, vars, reporter) {
            Some(stage) => {
                names.add_instance(&entry.key, &name, stages.len());
                stages.push(stage);
            }
            None => return names.add_broken(&entry.key),
        }
    }
}

fn unknown_key(entry: &Entry, key: &Entry, kinds: &mut Kinds, path: &str, reporter: &mut Reporter) {
    let message = format!("the stage `{}` has no key `{}`", entry.key, shorten(&key.key));
    let mut help = suggest::help(&key.key, "keys of a stage", STAGE_KEYS);
    let kind = match entry.node.get("kind").map(|node| &node.value) {
        Some(Value::Text(kind)) => kind.as_str(),
        _ => &entry.key,
    };
    if let Some(kind) = kinds.find(kind) {
        let schema = kinds.schema(kind);
        if schema.get("properties").and_then(|properties| properties.get(&key.key)).is_some() {
            help = Some(format!("`{}` is a param: write it below `params`", key.key));
        } else if kind.input(&key.key).is_some() {
            help = Some(format!("`{}` is an input: write it below `inputs`", key.key));
        }
    }
    reporter.report(Report::new(key.key_span, message).help(help).path(format!("{path}.{}", key.key)));
}

fn check_name(entry: &Entry, path: &str, reporter: &mut Reporter) {
    let name = &entry.key;
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if !first || !rest || name.len() > LONGEST_NAME {
        let message = format!("`{}` can't be the name of a stage", shorten(name));
        let help =
            format!("letters, digits, `_` and `-`, the first a letter; at most {LONGEST_NAME} characters");
        reporter.report(Report::new(entry.key_span, message).help(help).path(path));
    }
}

/// One stage, its references replaced; `None` when its kind is not known.
fn one(
    entry: &Entry,
    name: String,
    axes: &Axes,
    path: &str,
    kinds: &Kinds,
    vars: &mut Vars,
    reporter: &mut Reporter,
) -> Option<Stage> {
    let mut read = |key: &str, reporter: &mut Reporter| {
        let found = entry.node.entry(key)?;
        let node = vars.apply(&found.node, axes, &format!("{path}.{key}"), reporter);
        Some(Entry { key: key.to_owned(), key_span: found.key_span, node })
    };
    let below = |key: &str| format!("{path}.{key}");
    let kind = match read("kind", reporter) {
        Some(kind) => find_kind(&kind, kinds, &below("kind"), reporter),
        None => {
            let kind = kinds.find(&entry.key);
            if kind.is_none() {
                let message =
                    format!("there is no kind `{}`, and the stage names no other", shorten(&entry.key));
                let help = suggest::closest(&entry.key, kinds.names()).map_or_else(
                    || "add `kind:`, as in `kind: train` (see `peregrine stages`)".to_owned(),
                    |near| format!("did you mean `{near}`? (or add `kind:`)"),
                );
                reporter.report(Report::new(entry.key_span, message).help(help).path(path));
            }
            kind
        }
    };
    let frozen = read("frozen", reporter).and_then(|e| fields::flag(&e, &below("frozen"), reporter));
    let retries = read("retries", reporter)
        .and_then(|e| fields::whole(&e, 0, MAX_RETRIES, &below("retries"), reporter));
    let timeout = read("timeout", reporter).and_then(|e| fields::duration(&e, &below("timeout"), reporter));
    let seed = read("seed", reporter).and_then(|e| fields::whole(&e, 0, u64::MAX, &below("seed"), reporter));
    let resources = read("resources", reporter)
        .map(|entry| read_resources(&entry, &below("resources"), reporter))
        .unwrap_or_default();
    let (inputs, params) = (read("inputs", reporter), read("params", reporter));
    Some(Stage {
        name,
        base: entry.key.clone(),
        path: path.to_owned(),
        at: entry.key_span,
        axes: axes.to_vec(),
        kind: kind?,
        params,
        inputs,
        when: entry.node.get("when").cloned(),
        frozen: frozen.unwrap_or(false),
        retries: u32::try_from(retries.unwrap_or(0)).unwrap_or(u32::MAX),
        timeout,
        resources,
        seed,
    })
}

fn find_kind(
    entry: &Entry,
    kinds: &Kinds,
    path: &str,
    reporter: &mut Reporter,
) -> Option<&'static StageKind> {
    let name = fields::text(entry, path, reporter)?;
    let kind = kinds.find(&name);
    if kind.is_none() {
        let message = format!("there is no kind `{}`", shorten(&name));
        let help = suggest::help(&name, "kinds", kinds.names());
        reporter.report(Report::new(entry.node.span, message).help(help).path(path));
    }
    kind
}

fn read_resources(entry: &Entry, path: &str, reporter: &mut Reporter) -> Resources {
    let mut resources = Resources::default();
    let Some(map) = fields::map(entry, path, reporter) else { return resources };
    for entry in map.entries() {
        let path = format!("{path}.{}", entry.key);
        match entry.key.as_str() {
            "jobs" => {
                if let Some(jobs) = fields::whole(entry, 1, MAX_JOBS, &path, reporter) {
                    resources.jobs = usize::try_from(jobs).unwrap_or(1);
                }
            }
            "device" => resources.device = device(entry, &path, reporter),
            other => {
                let message = format!("`resources` has no key `{}`", shorten(other));
                let help = suggest::help(other, "keys of `resources`", ["jobs", "device"]);
                reporter.report(Report::new(entry.key_span, message).help(help).path(path));
            }
        }
    }
    resources
}
