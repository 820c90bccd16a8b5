//! Checks params against their kind's JSON schema: a walk that finds every error with its place.
//!
//! serde would stop at the first error, and inside of tagged enums it knows no place.

use serde_json::Value as Json;

use super::diagnostics::{Draft, Reporter};
use super::form::{self, Choice, Form, Object, Range, Rest, Variant};
use super::suggest;
use super::tree::{Node, Span, Value, shorten};

/// Checks the params of one stage.
pub(super) struct Checker<'c> {
    /// The kind's schema.
    pub root: &'c Json,
    /// Whose params they are: "kind `train`".
    pub owner: &'c str,
    pub reporter: &'c mut Reporter,
}

impl Checker<'_> {
    /// Checks `node` against `schema`. `at` is where a missing key is reported, `path` the path in
    /// the file and `name` what messages call it.
    pub fn check(&mut self, node: &Node, at: Span, schema: &Json, path: &str, name: &str) {
        if matches!(node.value, Value::Reported) {
            return;
        }
        let root = self.root;
        let (form, nullable) = form::form(root, schema);
        if matches!(node.value, Value::Null) {
            if !nullable && !matches!(form, Form::Any) {
                let help = schema.get("default").filter(|default| !default.is_null());
                let help =
                    help.map(|default| format!("remove the key to use the default `{}`", brief(default)));
                self.mismatch(node, at, &form, path, name, help);
            }
            return;
        }
        match form {
            Form::Any => {}
            Form::Bool if matches!(node.value, Value::Bool(_)) => {}
            Form::Text if matches!(node.value, Value::Text(_)) => {}
            Form::Whole(range) => match &node.value {
                Value::Number(number) if !number.is_f64() => self.range(node, range, path, name),
                _ => self.mismatch(node, at, &form, path, name, None),
            },
            Form::Real(range) => match &node.value {
                Value::Number(_) => self.range(node, range, path, name),
                _ => self.mismatch(node, at, &form, path, name, None),
            },
            Form::Choice(ref choices) => match &node.value {
                Value::Text(text) => self.choice(node, text, choices, path, name),
                _ => self.mismatch(node, at, &form, path, name, None),
            },
            Form::List { item, heads, min, max } => match &node.value {
                Value::List(items) => {
                    self.length(node, items.len(), min, max, path, name);
                    for (i, node) in items.iter().enumerate() {
                        if let Some(schema) = heads.get(i).or(item) {
                            let (path, name) = (format!("{path}[{i}]"), format!("{name}[{i}]"));
                            self.check(node, node.span, schema, &path, &name);
                        }
                    }
                }
                _ => self.mismatch(node, at, &form, path, name, None),
            },
            Form::Object(ref object) => match &node.value {
                Value::Map(_) => self.object(node, at, object, path, name),
                _ => self.mismatch(node, at, &form, path, name, None),
            },
            Form::Tagged { tag, ref variants } => match &node.value {
                Value::Map(_) => self.tagged(node, at, tag, variants, path, name),
                _ => self.mismatch(node, at, &form, path, name, None),
            },
            Form::OneOf(alternatives) => self.one_of(node, at, &alternatives, path, name),
            Form::Bool | Form::Text => self.mismatch(node, at, &form, path, name, None),
        }
    }

    fn mismatch(
        &mut self,
        node: &Node,
        at: Span,
        form: &Form<'_>,
        path: &str,
        name: &str,
        help: Option<String>,
    ) {
        let span = if matches!(node.value, Value::Null) { at } else { node.span };
        let message = format!("`{name}` takes {}, not {}", expected(form), node.describe());
        let help = help.or_else(|| conversion(node, form, name));
        self.reporter.report(Draft::new(span, message).help(help).path(path));
    }

    fn range(&mut self, node: &Node, range: Range, path: &str, name: &str) {
        let Value::Number(number) = &node.value else { return };
        if !number.as_f64().is_some_and(|value| range.holds(value)) {
            let words = range.words().unwrap_or_default();
            let message = format!("`{name}` is {number}, out of its range ({words})");
            self.reporter.report(Draft::new(node.span, message).path(path));
        }
    }

    fn choice(&mut self, node: &Node, text: &str, choices: &[Choice<'_>], path: &str, name: &str) {
        if choices.iter().any(|choice| choice.word == text) {
            return;
        }
        let help = suggest::help(text, "choices", choices.iter().map(|choice| choice.word));
        let message = format!("`{name}` can't be `{}`", shorten(text));
        self.reporter.report(Draft::new(node.span, message).help(help).path(path));
    }

    fn length(
        &mut self,
        node: &Node,
        length: usize,
        min: Option<u64>,
        max: Option<u64>,
        path: &str,
        name: &str,
    ) {
        let length = length as u64;
        if min.is_some_and(|min| length < min) || max.is_some_and(|max| length > max) {
            let wanted = match (min, max) {
                (Some(min), Some(max)) if min == max => format!("{min}"),
                (Some(min), Some(max)) => format!("{min} to {max}"),
                (Some(min), None) => format!("at least {min}"),
                (_, max) => format!("at most {}", max.unwrap_or_default()),
            };
            let message = format!("`{name}` has {length} values, it takes {wanted}");
            self.reporter.report(Draft::new(node.span, message).path(path));
        }
    }

    fn object(&mut self, node: &Node, at: Span, object: &Object<'_>, path: &str, name: &str) {
        for entry in node.entries() {
            let path = format!("{path}.{}", entry.key);
            let below = below(name, &entry.key);
            let schema = object.properties.and_then(|properties| properties.get(&entry.key));
            match (schema, &object.rest) {
                (Some(schema), _) | (None, &Rest::Of(schema)) => {
                    self.check(&entry.node, entry.key_span, schema, &path, &below);
                }
                (None, Rest::Open) => {}
                (None, Rest::Closed) => {
                    let known = object.properties.into_iter().flat_map(|map| map.keys().map(String::as_str));
                    // A key of the file is not given twice; an override may mean one that is there.
                    let free = |known: &&str| entry.key_span.source > 0 || node.get(known).is_none();
                    let known: Vec<&str> = known.filter(free).collect();
                    let owner = if name == PARAMS { self.owner.to_owned() } else { format!("`{name}`") };
                    let what = if name == PARAMS { "param" } else { "key" };
                    let message = format!("{owner} has no {what} `{}`", shorten(&entry.key));
                    let help = suggest::help(&entry.key, &format!("further {what}s"), known.iter().copied());
                    self.reporter.report(Draft::new(entry.key_span, message).help(help).path(path));
                }
            }
        }
        for key in &object.required {
            if node.get(key).is_none() {
                let schema = object.properties.and_then(|properties| properties.get(*key));
                let help = schema.and_then(|schema| self.missing_help(schema, key));
                let owner = if name == PARAMS { self.owner.to_owned() } else { format!("`{name}`") };
                let what = if name == PARAMS { "the param" } else { "the key" };
                let message = format!("{what} `{key}` of {owner} is missing");
                let path = format!("{path}.{key}");
                self.reporter.report(Draft::new(at, message).help(help).path(path));
            }
        }
    }

    /// What a missing key is for, and what it can be.
    fn missing_help(&self, schema: &Json, key: &str) -> Option<String> {
        let (form, _) = form::form(self.root, schema);
        let doc = form::doc(self.root, schema).map(first_sentence);
        let takes = match form {
            Form::Tagged { tag, variants } => {
                let names: Vec<&str> = variants.iter().take(8).map(|variant| variant.name).collect();
                Some(format!("write `{key}: {{ {tag}: {} }}`", names.join(" | ")))
            }
            Form::Any => None,
            ref form => Some(format!("it takes {}", expected(form))),
        };
        match (doc, takes) {
            (Some(doc), Some(takes)) => Some(format!("{doc} ({takes})")),
            (doc, takes) => doc.or(takes),
        }
    }

    fn tagged(&mut self, node: &Node, at: Span, tag: &str, variants: &[Variant<'_>], path: &str, name: &str) {
        let names = variants.iter().map(|variant| variant.name);
        let Some(entry) = node.entry(tag) else {
            let help = suggest::help("", &format!("choices of `{tag}`"), names);
            let message = format!("`{name}` has no `{tag}`, which says what it is");
            self.reporter.report(Draft::new(at, message).help(help).path(path));
            return;
        };
        let path_of_tag = format!("{path}.{tag}");
        let text = match &entry.node.value {
            Value::Text(text) => text,
            Value::Reported => return,
            _ => {
                let message = format!("`{name}.{tag}` takes text, not {}", entry.node.describe());
                let help = suggest::help("", "choices", names);
                self.reporter.report(Draft::new(entry.node.span, message).help(help).path(path_of_tag));
                return;
            }
        };
        match variants.iter().find(|variant| variant.name == text) {
            Some(variant) => {
                let object = form::object(variant.schema);
                let shown = format!("{name} ({text})");
                self.object(node, at, &object, path, if object.properties.is_some() { &shown } else { name });
            }
            None => {
                let message = format!("`{name}.{tag}` can't be `{}`", shorten(text));
                let help = suggest::help(text, "choices", names);
                self.reporter.report(Draft::new(entry.node.span, message).help(help).path(path_of_tag));
            }
        }
    }

    /// Accepts what one alternative accepts; else reports what the first fitting one says.
    fn one_of(&mut self, node: &Node, at: Span, alternatives: &[&Json], path: &str, name: &str) {
        for schema in alternatives {
            let mut trial = Reporter::new(Vec::new());
            let mut checker = Checker { root: self.root, owner: self.owner, reporter: &mut trial };
            checker.check(node, at, schema, path, name);
            if trial.count() == 0 {
                return;
            }
        }
        let forms: Vec<String> =
            alternatives.iter().map(|schema| expected(&form::form(self.root, schema).0)).collect();
        let message = format!("`{name}` takes {}, not {}", forms.join(" or "), node.describe());
        self.reporter.report(Draft::new(node.span, message).path(path));
    }
}

/// What the params themselves are called.
pub(super) const PARAMS: &str = "params";

/// The name of a key below `name`, as messages call it: params by their own name.
fn below(name: &str, key: &str) -> String {
    let name = name.split(" (").next().unwrap_or(name);
    if name == PARAMS { key.to_owned() } else { format!("{name}.{key}") }
}

/// What a form takes, in words.
fn expected(form: &Form<'_>) -> String {
    let ranged = |what: &str, range: &Range| match range.words() {
        Some(words) => format!("{what} ({words})"),
        None => what.to_owned(),
    };
    match form {
        Form::Any => "anything".to_owned(),
        Form::Bool => "`true` or `false`".to_owned(),
        Form::Text => "text".to_owned(),
        Form::Whole(range) => ranged("a whole number", range),
        Form::Real(range) => ranged("a number", range),
        Form::Choice(choices) => {
            let words: Vec<String> =
                choices.iter().take(12).map(|choice| format!("`{}`", choice.word)).collect();
            if choices.len() == 1 { words.concat() } else { format!("one of {}", words.join(", ")) }
        }
        Form::List { .. } => "a list".to_owned(),
        Form::Object(_) => "a map".to_owned(),
        Form::Tagged { tag, .. } => format!("a map with the key `{tag}`"),
        Form::OneOf(_) => "something else".to_owned(),
    }
}

/// How a value of the wrong type would be right.
fn conversion(node: &Node, form: &Form<'_>, name: &str) -> Option<String> {
    let key = name.rsplit('.').next().unwrap_or(name);
    match (&node.value, form) {
        (Value::Text(text), Form::Whole(_) | Form::Real(_)) => {
            let plain = text.replace(['_', ',', ' '], "");
            plain.parse::<f64>().ok().map(|_| format!("write `{plain}`, without quotes or separators"))
        }
        (Value::Text(text), Form::Bool) => match text.to_lowercase().as_str() {
            "yes" | "on" | "y" | "true" => Some("did you mean `true`?".to_owned()),
            "no" | "off" | "n" | "false" => Some("did you mean `false`?".to_owned()),
            _ => None,
        },
        (Value::Number(number), Form::Whole(_)) => {
            let value = number.as_f64()?;
            (value.fract() == 0.0 && value.abs() < 1e15).then(|| format!("write `{value:.0}`"))
        }
        (Value::Number(_) | Value::Bool(_), Form::Text | Form::Choice(_)) => {
            Some("write text that looks like something else in quotes".to_owned())
        }
        (Value::Text(text), Form::Tagged { tag, variants }) => {
            let near = suggest::closest(text, variants.iter().map(|variant| variant.name));
            let choice = near.or_else(|| variants.first().map(|variant| variant.name))?;
            Some(format!("write `{key}: {{ {tag}: {choice} }}`"))
        }
        (Value::List(_) | Value::Map(_) | Value::Null, _) => None,
        (_, Form::List { .. }) => Some(format!("write `{key}: [{}]`", shorten(&super::matrix::text(node)))),
        _ => None,
    }
}

/// JSON on one line, not too long.
pub(super) fn brief(json: &Json) -> String {
    match json {
        Json::String(text) => shorten(text),
        other => shorten(&other.to_string()),
    }
}

/// The first sentence of a doc comment, as a fragment.
fn first_sentence(doc: &str) -> String {
    let line = doc.split("\n\n").next().unwrap_or(doc).replace('\n', " ");
    let sentence = line.split(". ").next().unwrap_or(&line).trim_end_matches('.').to_owned();
    let mut chars = sentence.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => first.to_lowercase().chain(chars).collect(),
        _ => sentence,
    }
}
