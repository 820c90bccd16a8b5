//! `matrix:`: one stage of the file becomes a stage for every combination of values.

use std::collections::HashMap;

use super::diagnostics::{Draft, Reporter};
use super::suggest;
use super::tree::{Node, Span, Value};

/// The most stages that one matrix may make.
const MAX_INSTANCES: usize = 10_000;
/// The key whose maps are added to the combinations of the axes.
const INCLUDE: &str = "include";

/// One combination.
#[derive(Debug, Clone)]
pub(super) struct Instance {
    /// `train@resnet-0.001`.
    pub name: String,
    /// The axes' values, in the file's order.
    pub axes: Vec<(String, Node)>,
}

/// The combinations of the matrix `node` of the stage called `base`; none when it was reported.
pub(super) fn expand(base: &str, node: &Node, path: &str, reporter: &mut Reporter) -> Vec<Instance> {
    let wrong = |reporter: &mut Reporter, span: Span, message: String, help: &str| {
        reporter.report(Draft::new(span, message).help(help.to_owned()).path(path));
        Vec::new()
    };
    let Value::Map(entries) = &node.value else {
        if matches!(node.value, Value::Reported) {
            return Vec::new();
        }
        let message = format!("`matrix` takes a map of axes and their values, not {}", node.describe());
        return wrong(reporter, node.span, message, "as in `matrix: { lr: [0.1, 0.01] }`");
    };
    let before = reporter.count();
    let mut rows: Vec<Vec<(String, Node)>> = Vec::new();
    let mut size = 1_usize;
    let mut axes = Vec::new();
    for entry in entries.iter().filter(|entry| entry.key != INCLUDE) {
        let values = axis_values(&entry.key, &entry.node, path, reporter);
        size = size.saturating_mul(values.len());
        axes.push((&entry.key, values));
    }
    if size > MAX_INSTANCES {
        let message = format!("this matrix has more than {MAX_INSTANCES} combinations");
        return wrong(reporter, node.span, message, "use fewer axes or values");
    }
    if reporter.count() > before {
        return Vec::new();
    }
    if !axes.is_empty() {
        rows.push(Vec::new());
        for (axis, values) in &axes {
            rows = rows
                .iter()
                .flat_map(|row| {
                    values.iter().map(move |value| {
                        let mut row = row.clone();
                        row.push(((*axis).clone(), value.clone()));
                        row
                    })
                })
                .collect();
        }
    }
    if let Some(include) = node.get(INCLUDE) {
        add_included(&mut rows, include, path, reporter);
    }
    if rows.is_empty() && reporter.count() == before {
        return wrong(
            reporter,
            node.span,
            "this matrix has no values".to_owned(),
            "remove it, or name an axis",
        );
    }
    named(base, rows, node.span, path, reporter)
}

/// The values of an axis: a list of scalars.
fn axis_values(axis: &str, node: &Node, path: &str, reporter: &mut Reporter) -> Vec<Node> {
    let path = format!("{path}.{axis}");
    let Value::List(items) = &node.value else {
        if !matches!(node.value, Value::Reported) {
            let message = format!("the axis `{axis}` takes a list of values, not {}", node.describe());
            reporter
                .report(Draft::new(node.span, message).help(format!("as in `{axis}: [1, 2]`")).path(path));
        }
        return Vec::new();
    };
    if items.is_empty() {
        reporter.report(Draft::new(node.span, format!("the axis `{axis}` has no values")).path(path));
        return Vec::new();
    }
    for item in items {
        if !is_scalar(item) {
            let message =
                format!("a value of a matrix is text, a number or true or false, not {}", item.describe());
            reporter.report(Draft::new(item.span, message).path(path.clone()));
        }
    }
    items.clone()
}

fn is_scalar(node: &Node) -> bool {
    matches!(node.value, Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Reported)
}

/// Adds the rows of `include`, which must have the same axes as the others.
fn add_included(rows: &mut Vec<Vec<(String, Node)>>, include: &Node, path: &str, reporter: &mut Reporter) {
    let path = format!("{path}.{INCLUDE}");
    let Value::List(items) = &include.value else {
        let message = format!("`include` takes a list of maps, not {}", include.describe());
        reporter.report(Draft::new(include.span, message).path(path));
        return;
    };
    for item in items {
        let mut row: Vec<(String, Node)> = Vec::new();
        for entry in item.entries() {
            if !is_scalar(&entry.node) {
                let message = format!(
                    "a value of a matrix is text, a number or true or false, not {}",
                    entry.node.describe()
                );
                reporter.report(Draft::new(entry.node.span, message).path(path.clone()));
            }
            row.push((entry.key.clone(), entry.node.clone()));
        }
        if row.is_empty() {
            let message = format!("a row of `include` is a map of axes and values, not {}", item.describe());
            reporter.report(Draft::new(item.span, message).path(path.clone()));
            continue;
        }
        let Some(first) = rows.first() else {
            rows.push(row);
            continue;
        };
        let known: Vec<&str> = first.iter().map(|(axis, _)| axis.as_str()).collect();
        if let Some(entry) = item.entries().iter().find(|entry| !known.contains(&entry.key.as_str())) {
            let help = suggest::help(&entry.key, "axes", known.iter().copied());
            let message = format!("the other rows have no axis `{}`", entry.key);
            reporter.report(Draft::new(entry.key_span, message).help(help).path(path.clone()));
        } else if let Some(axis) = known.iter().find(|axis| row.iter().all(|(name, _)| name != *axis)) {
            reporter.report(
                Draft::new(item.span, format!("the axis `{axis}` has no value in this row"))
                    .path(path.clone()),
            );
        } else {
            let at = |name: &str| known.iter().position(|axis| *axis == name);
            row.sort_by_key(|(name, _)| at(name));
            rows.push(row);
        }
    }
}

/// Gives every row its name; equal names are an error.
fn named(
    base: &str,
    rows: Vec<Vec<(String, Node)>>,
    span: Span,
    path: &str,
    reporter: &mut Reporter,
) -> Vec<Instance> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut instances = Vec::with_capacity(rows.len());
    for (i, axes) in rows.into_iter().enumerate() {
        let values: Vec<String> = axes.iter().map(|(_, node)| safe(&text(node))).collect();
        let name = format!("{base}@{}", values.join("-"));
        if let Some(first) = seen.insert(name.clone(), i) {
            let at = axes.last().map_or(span, |(_, node)| node.span);
            let message =
                format!("combinations {} and {} of this matrix both get the name `{name}`", first + 1, i + 1);
            let help = "make the values differ in letters, digits, `.` or `_`".to_owned();
            reporter.report(Draft::new(at, message).help(help).path(path));
            return Vec::new();
        }
        instances.push(Instance { name, axes });
    }
    instances
}

/// A scalar as text.
pub(super) fn text(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        _ => String::new(),
    }
}

/// `text` in the characters that the name of an instance may have.
pub(super) fn safe(text: &str) -> String {
    let safe: String = text
        .chars()
        .take(64)
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+') { c } else { '_' })
        .collect();
    if safe.is_empty() { "_".to_owned() } else { safe }
}
