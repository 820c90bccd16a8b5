//! `${vars.x}` and `${matrix.x}`: references to values inside of values.
//!
//! A scalar that is one reference takes the value with its type; inside longer text the value's
//! text is put in. `$${` stands for `${`. What is put in is never looked at again, so there is no
//! recursion, and nothing is ever handed to a shell.

use std::collections::HashMap;

use super::diagnostics::{Draft, Reporter};
use super::suggest;
use super::tree::{Entry, Node, Span, Value, shorten};

/// The most values and bytes of text that references may add to a file.
const MAX_ADDED: usize = 8 << 20;

/// What a text consists of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    /// Text, as it is.
    Text(&'t str),
    /// `$${`.
    Escape,
    /// `${name}`, with its place in the text.
    Reference { name: &'t str, at: usize, len: usize },
    /// `${` that is never closed.
    Open { at: usize },
}

/// Splits `text` at its references.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut from = 0;
    while let Some(found) = text[from..].find("${") {
        let at = from + found;
        if text[from..at].ends_with('$') {
            push_text(&mut pieces, &text[from..at - 1]);
            pieces.push(Piece::Escape);
            from = at + 2;
            continue;
        }
        push_text(&mut pieces, &text[from..at]);
        let Some(length) = text[at..].find('}') else {
            pieces.push(Piece::Open { at });
            return pieces;
        };
        pieces.push(Piece::Reference { name: text[at + 2..at + length].trim(), at, len: length + 1 });
        from = at + length + 1;
    }
    push_text(&mut pieces, &text[from..]);
    pieces
}

fn push_text<'t>(pieces: &mut Vec<Piece<'t>>, text: &'t str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
}

/// The values that references can name.
#[derive(Debug, Default)]
pub(super) struct Vars {
    values: HashMap<String, Node>,
    /// The names in the file's order, for messages.
    names: Vec<String>,
    added: usize,
}

/// Why a reference has no value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub message: String,
    pub help: Option<String>,
}

/// The axes of a matrix instance and their values.
pub(super) type Axes = [(String, Node)];

impl Vars {
    /// Reads the file's `vars`. Their own values are taken as they are.
    pub fn read(node: Option<&Node>, reporter: &mut Reporter) -> Self {
        let mut vars = Self::default();
        let Some(node) = node else { return vars };
        match &node.value {
            Value::Map(entries) => {
                for entry in entries {
                    let path = format!("vars.{}", entry.key);
                    vars.names.push(entry.key.clone());
                    vars.values.insert(entry.key.clone(), literal(&entry.node, &path, reporter));
                }
            }
            Value::Null | Value::Reported => {}
            _ => {
                let message = format!("`vars` takes a map of names and values, not {}", node.describe());
                reporter.report(Draft::new(node.span, message).path("vars"));
            }
        }
        vars
    }

    /// The value of the reference `name`.
    pub fn resolve<'v>(&'v self, name: &str, axes: &'v Axes) -> Result<&'v Node, Missing> {
        let missing = |message, help| Err(Missing { message, help });
        let (space, rest) = name.split_once('.').unwrap_or((name, ""));
        let mut parts = rest.split('.');
        let first = parts.next().unwrap_or("");
        let found = match space {
            "vars" => self.values.get(first),
            "matrix" => axes.iter().find(|(axis, _)| axis == first).map(|(_, node)| node),
            _ => {
                let help = if self.values.contains_key(name) {
                    format!("did you mean `${{vars.{name}}}`?")
                } else if axes.iter().any(|(axis, _)| axis == name) {
                    format!("did you mean `${{matrix.{name}}}`?")
                } else {
                    "write `${vars.name}` or `${matrix.axis}`; for a literal `${` write `$${`".to_owned()
                };
                return missing(format!("`${{{}}}` names nothing", shorten(name)), Some(help));
            }
        };
        let Some(mut node) = found else {
            let (what, help) = if space == "vars" {
                ("variable", suggest::help(first, "variables", self.names.iter().map(String::as_str)))
            } else {
                let axes = axes.iter().map(|(axis, _)| axis.as_str());
                ("matrix axis", suggest::help(first, "axes of this stage's matrix", axes))
            };
            return missing(format!("there is no {what} `{}`", shorten(first)), help);
        };
        for part in parts {
            node = match node.get(part) {
                Some(below) => below,
                None => {
                    let known = node.entries().iter().map(|entry| entry.key.as_str());
                    let help = suggest::help(part, "keys there", known);
                    return missing(format!("`{}` has no `{}`", shorten(name), shorten(part)), help);
                }
            };
        }
        Ok(node)
    }

    /// `node` with its references replaced.
    pub fn apply(&mut self, node: &Node, axes: &Axes, path: &str, reporter: &mut Reporter) -> Node {
        let value = match &node.value {
            Value::Text(text) if text.contains("${") => {
                return self.apply_text(node, text, axes, path, reporter);
            }
            Value::List(items) => Value::List(
                items
                    .iter()
                    .enumerate()
                    .map(|(i, item)| self.apply(item, axes, &format!("{path}[{i}]"), reporter))
                    .collect(),
            ),
            Value::Map(entries) => Value::Map(
                entries
                    .iter()
                    .map(|entry| Entry {
                        key: entry.key.clone(),
                        key_span: entry.key_span,
                        node: self.apply(&entry.node, axes, &format!("{path}.{}", entry.key), reporter),
                    })
                    .collect(),
            ),
            other => other.clone(),
        };
        Node { value, span: node.span }
    }

    fn apply_text(
        &mut self,
        node: &Node,
        text: &str,
        axes: &Axes,
        path: &str,
        reporter: &mut Reporter,
    ) -> Node {
        let reported = Node { value: Value::Reported, span: node.span };
        let pieces = pieces(text);
        if let [Piece::Reference { name, at, len }] = pieces[..] {
            let value = match self.resolve(name, axes) {
                Ok(found) => found.value.clone(),
                Err(missing) => {
                    report_missing(missing, inner_span(node, text, at, len, reporter), path, reporter);
                    return reported;
                }
            };
            let found = Node { value, span: node.span };
            return if self.spend(size(&found), node.span, reporter) { found } else { reported };
        }
        let mut out = String::with_capacity(text.len());
        let mut wrong = false;
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Escape => out.push_str("${"),
                Piece::Reference { name, at, len } => match self.text_of(name, axes) {
                    Ok(Some(text)) => out.push_str(&text),
                    Ok(None) => wrong = true,
                    Err(missing) => {
                        wrong = true;
                        report_missing(missing, inner_span(node, text, at, len, reporter), path, reporter);
                    }
                },
                Piece::Open { at } => {
                    wrong = true;
                    report_open(inner_span(node, text, at, text.len() - at, reporter), path, reporter);
                }
            }
            if out.len() > MAX_ADDED {
                break;
            }
        }
        let value = if wrong { Value::Reported } else { Value::Text(out) };
        let found = Node { value, span: node.span };
        if self.spend(size(&found), node.span, reporter) { found } else { reported }
    }

    /// The value of a reference as text; `None` when it was reported where it stands.
    pub fn text_of(&self, name: &str, axes: &Axes) -> Result<Option<String>, Missing> {
        let found = self.resolve(name, axes)?;
        match &found.value {
            Value::Text(text) => Ok(Some(text.clone())),
            Value::Number(number) => Ok(Some(number.to_string())),
            Value::Bool(value) => Ok(Some(value.to_string())),
            Value::Reported => Ok(None),
            Value::Null | Value::List(_) | Value::Map(_) => Err(Missing {
                message: format!("`${{{}}}` is {}, which can't stand inside of text", name, found.describe()),
                help: Some("let the reference be the whole value".to_owned()),
            }),
        }
    }

    /// Counts what references add; false when it is too much.
    pub fn spend(&mut self, size: usize, span: Span, reporter: &mut Reporter) -> bool {
        self.added = self.added.saturating_add(size);
        if self.added > MAX_ADDED {
            let draft = Draft::new(span, "the references of this file expand to too much");
            reporter.report(draft.help("make the values in `vars` or the matrix smaller".to_owned()));
        }
        self.added <= MAX_ADDED
    }
}

/// What a value costs: its text, and something for each part.
pub(super) fn size(node: &Node) -> usize {
    16 + match &node.value {
        Value::Text(text) => text.len(),
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|entry| entry.key.len() + size(&entry.node)).sum(),
        _ => 0,
    }
}

/// The place of a part of `node`'s text, where the text stands in the source as it is.
pub(super) fn inner_span(node: &Node, text: &str, at: usize, len: usize, reporter: &Reporter) -> Span {
    let Span { source, start, end } = node.span;
    let written = reporter.text(source).get(start as usize..end as usize).unwrap_or("");
    match written.find(text) {
        Some(before) => {
            let start = start + (before + at) as u32;
            Span { source, start, end: start + len as u32 }
        }
        None => node.span,
    }
}

pub(super) fn report_missing(missing: Missing, span: Span, path: &str, reporter: &mut Reporter) {
    reporter.report(Draft::new(span, missing.message).help(missing.help).path(path));
}

pub(super) fn report_open(span: Span, path: &str, reporter: &mut Reporter) {
    let draft = Draft::new(span, "`${` is not closed");
    reporter.report(draft.help("close it by `}`; for a literal `${` write `$${`".to_owned()).path(path));
}

/// A variable's own value: `$${` becomes `${`, and a reference is an error.
fn literal(node: &Node, path: &str, reporter: &mut Reporter) -> Node {
    let value = match &node.value {
        Value::Text(text) if text.contains("${") => {
            let mut out = String::with_capacity(text.len());
            for piece in pieces(text) {
                match piece {
                    Piece::Text(text) => out.push_str(text),
                    Piece::Escape => out.push_str("${"),
                    Piece::Reference { at, .. } | Piece::Open { at } => {
                        let span = inner_span(node, text, at, 2, reporter);
                        let draft = Draft::new(span, "a variable can't refer to another value");
                        reporter.report(
                            draft
                                .help("write the value out; for a literal `${` write `$${`".to_owned())
                                .path(path),
                        );
                        return Node { value: Value::Reported, span: node.span };
                    }
                }
            }
            Value::Text(out)
        }
        Value::List(items) => Value::List(items.iter().map(|item| literal(item, path, reporter)).collect()),
        Value::Map(entries) => Value::Map(
            entries
                .iter()
                .map(|entry| Entry {
                    node: literal(&entry.node, &format!("{path}.{}", entry.key), reporter),
                    key: entry.key.clone(),
                    key_span: entry.key_span,
                })
                .collect(),
        ),
        other => other.clone(),
    };
    Node { value, span: node.span }
}
