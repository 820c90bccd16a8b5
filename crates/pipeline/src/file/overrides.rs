//! `--set path=value`: puts values of the command line into the file's tree before it is checked.
//!
//! A key that the file doesn't set is made, so that whatever a file could say can be said here;
//! where the kind has a default for a missing map, that default is what is changed.

use serde_json::Value as Json;

use super::diagnostics::{Draft, Reporter, Source};
use super::draft::{PIPELINE_KEYS, STAGE_KEYS};
use super::form::{self, Form};
use super::kinds::Kinds;
use super::suggest;
use super::tree::{Entry, Node, Span, Value, shorten};
use super::{Override, yaml};

/// The source that problems with `change` point into.
pub(super) fn source(change: &Override) -> Source {
    Source { name: "--set".to_owned(), text: change.to_string() }
}

/// Puts the value of `change`, whose source is number `source`, into the tree.
pub(super) fn apply(
    root: &mut Node,
    change: &Override,
    source: u32,
    kinds: &mut Kinds,
    reporter: &mut Reporter,
) {
    let path_len = change.path.join(".").len();
    let whole = Span { source, start: 0, end: (path_len + 1 + change.value.len()) as u32 };
    let before = reporter.count();
    // The value is read behind spaces, so that its places are those in `path=value`.
    let padded = format!("{}{}", " ".repeat(path_len + 1), change.value);
    let value = if change.value.trim().is_empty() {
        Some(Node { value: Value::Null, span: whole })
    } else {
        yaml::read(&padded, source, reporter)
    };
    let Some(value) = value else {
        if reporter.count() == before {
            reporter.report(Draft::new(whole, "this override has no value"));
        }
        return;
    };
    if reporter.count() > before || !is_known(root, change, source, reporter) {
        return;
    }
    let schema = params_schema(root, &change.path, kinds);
    if let Err(draft) = set(root, &change.path, 0, value, source, schema.as_deref()) {
        reporter.report(draft);
    }
}

/// Whether the parts of the path that don't depend on a kind exist.
fn is_known(root: &Node, change: &Override, source: u32, reporter: &mut Reporter) -> bool {
    let path: Vec<&str> = change.path.iter().map(String::as_str).collect();
    let mut unknown = |part: usize, message: String, help: Option<String>| {
        let span = part_span(&change.path, part, source);
        reporter.report(Draft::new(span, message).help(help).path(change.path.join(".")));
        false
    };
    let names = |node: Option<&Node>| -> Vec<String> {
        node.map(|node| node.entries().iter().map(|entry| entry.key.clone()).collect()).unwrap_or_default()
    };
    match path.as_slice() {
        [top, ..] if !PIPELINE_KEYS.contains(top) => {
            let help = suggest::help(top, "keys of a pipeline", PIPELINE_KEYS);
            unknown(0, format!("a pipeline has no key `{}`", shorten(top)), help)
        }
        ["vars", name, ..] if root.get("vars").and_then(|vars| vars.get(name)).is_none() => {
            let known = names(root.get("vars"));
            let help = suggest::help(name, "variables", known.iter().map(String::as_str));
            unknown(1, format!("there is no variable `{}` to override", shorten(name)), help)
        }
        ["stages", name, ..] if root.get("stages").and_then(|stages| stages.get(name)).is_none() => {
            let known = names(root.get("stages"));
            let help = suggest::help(name, "stages", known.iter().map(String::as_str));
            unknown(1, format!("there is no stage `{}` to override", shorten(name)), help)
        }
        ["stages", _, key, ..] if !STAGE_KEYS.contains(key) => {
            let help = suggest::help(key, "keys of a stage", STAGE_KEYS);
            let help =
                help.map(|help| format!("{help} (params are set by `stages.{}.params.{key}`)", path[1]));
            unknown(2, format!("a stage has no key `{}`", shorten(key)), help)
        }
        ["vars" | "stages"] | ["stages", _] => {
            unknown(0, "an override names a single value".to_owned(), Some("as in `seed=3`".to_owned()))
        }
        _ => true,
    }
}

/// The place of a part of the path.
fn part_span(path: &[String], part: usize, source: u32) -> Span {
    let start: usize = path[..part].iter().map(|part| part.len() + 1).sum();
    Span { source, start: start as u32, end: (start + path[part].len()) as u32 }
}

/// The schema of the params that the path leads into.
fn params_schema(root: &Node, path: &[String], kinds: &mut Kinds) -> Option<std::rc::Rc<Json>> {
    let [top, name, key, ..] = path else { return None };
    if top != "stages" || key != "params" {
        return None;
    }
    let stage = root.get("stages")?.get(name)?;
    let kind = match stage.get("kind").map(|node| &node.value) {
        Some(Value::Text(kind)) => kind.as_str(),
        _ => name,
    };
    let kind = kinds.find(kind)?;
    Some(kinds.schema(kind))
}

/// Sets the value at `path[depth..]` below `node`.
fn set(
    node: &mut Node,
    path: &[String],
    depth: usize,
    value: Node,
    source: u32,
    schema: Option<&Json>,
) -> Result<(), Draft> {
    let Some(key) = path.get(depth) else {
        *node = value;
        return Ok(());
    };
    let key_span = part_span(path, depth, source);
    if let Value::List(items) = &mut node.value {
        let count = items.len();
        let item = key.parse::<usize>().ok().and_then(|index| items.get_mut(index));
        let Some(item) = item else {
            let message = format!("`{}` is a list of {count}, it has no `{key}`", path[..depth].join("."));
            return Err(Draft::new(key_span, message).help("lists are counted from 0".to_owned()));
        };
        return set(item, path, depth + 1, value, source, schema);
    }
    if matches!(node.value, Value::Null) {
        *node = Node { value: Value::Map(Vec::new()), span: key_span };
    }
    let described = node.describe();
    let Value::Map(entries) = &mut node.value else {
        let message = format!("`{}` is {described}, it has no `{}`", path[..depth].join("."), shorten(key));
        return Err(Draft::new(key_span, message));
    };
    let at = entries.iter().position(|entry| entry.key == *key);
    let at = at.unwrap_or_else(|| {
        let node = start(path, depth, key_span, schema);
        entries.push(Entry { key: key.clone(), key_span, node });
        entries.len() - 1
    });
    if depth + 1 == path.len() {
        entries[at].key_span = key_span;
    }
    set(&mut entries[at].node, path, depth + 1, value, source, schema)
}

/// What a key that the file doesn't set starts from: its default where it is a map that the
/// override changes in part.
fn start(path: &[String], depth: usize, span: Span, schema: Option<&Json>) -> Node {
    let nothing = Node { value: Value::Null, span };
    let (Some(root), Some(next)) = (schema, path.get(depth + 1)) else { return nothing };
    // path[0..3] is `stages`, the stage, `params`.
    let Some(keys) = path.get(3..=depth) else { return nothing };
    let mut schema = root;
    for key in keys {
        let at = form::target(root, schema);
        match at.get("properties").and_then(|properties| properties.get(key)) {
            Some(below) => schema = below,
            None => return nothing,
        }
    }
    let Some(default) = schema.get("default").filter(|default| default.is_object()) else { return nothing };
    match form::form(root, schema).0 {
        // Another variant has other keys.
        Form::Tagged { tag, .. } if next == tag => nothing,
        _ => Node::from_json(default, span),
    }
}
