//! The reference of stage kinds, in Markdown, made from their ports and schemas.
//!
//! Every word of it comes from the code: the docs of params structs and their fields, of ports and
//! of variants.

use std::collections::HashSet;
use std::fmt::Write as _;

use serde_json::Value as Json;

use crate::file::form::{self, Form, Object, Rest, Variant};
use crate::stage::{Arity, Port, StageKind};

/// The reference of `kinds`: ports, params, defaults and ranges of each.
pub fn markdown(kinds: &[StageKind]) -> String {
    let mut out = "# Kinds of stages\n\n".to_owned();
    out.push_str(
        "What a stage of a pipeline can do: its inputs, its outputs and its params. \
         This page is made from the code (`peregrine stages`); don't edit it.\n\n",
    );
    out.push_str("| kind | reads | makes | |\n|---|---|---|---|\n");
    let schemas: Vec<Json> = kinds.iter().map(|kind| (kind.schema)().to_value()).collect();
    for (kind, schema) in kinds.iter().zip(&schemas) {
        let doc = schema.get("description").and_then(Json::as_str).map(first_sentence).unwrap_or_default();
        let names = |ports: &[Port]| {
            let names: Vec<String> = ports.iter().map(port_name).collect();
            if names.is_empty() { "–".to_owned() } else { names.join(", ") }
        };
        let _ = writeln!(
            out,
            "| [`{0}`](#{0}) | {1} | {2} | {3} |",
            kind.kind,
            names(kind.inputs),
            names(kind.outputs),
            cell(&doc)
        );
    }
    out.push_str("\nInputs in \\[brackets\\] may be left out; `…` takes a list.\n");
    for (kind, schema) in kinds.iter().zip(&schemas) {
        out.push_str(&section(kind, schema));
    }
    out
}

/// `name`, with brackets where it is optional and dots where it is a list.
fn port_name(port: &Port) -> String {
    match port.arity {
        Arity::One => port.name.to_owned(),
        Arity::Optional => format!("[{}]", port.name),
        Arity::Many => format!("{} …", port.name),
        Arity::OptionalMany => format!("[{} …]", port.name),
    }
}

/// The section of one kind.
fn section(kind: &StageKind, schema: &Json) -> String {
    let mut out = format!("\n## {}\n\n", kind.kind);
    if let Some(doc) = schema.get("description").and_then(Json::as_str) {
        let _ = writeln!(out, "{}\n", doc.trim());
    }
    ports(&mut out, "input", kind.inputs);
    ports(&mut out, "output", kind.outputs);
    let mut writer = Writer { root: schema, out, queue: Vec::new(), seen: HashSet::new() };
    writer.params();
    let mut out = writer.out;
    let uses: Vec<&str> = [
        (kind.uses.seed, "the seed"),
        (kind.uses.device, "the device"),
        (kind.uses.lineage, "the stages above it"),
    ]
    .into_iter()
    .filter_map(|(uses, what)| uses.then_some(what))
    .collect();
    let uses = match uses.as_slice() {
        [] => String::new(),
        [only] => format!(" Its outputs also depend on {only}."),
        [first, last] => format!(" Its outputs also depend on {first} and {last}."),
        _ => format!(" Its outputs also depend on {}.", uses.join(", ")),
    };
    let _ = writeln!(out, "Version {}.{uses}", kind.version);
    out
}

fn ports(out: &mut String, what: &str, ports: &[Port]) {
    if ports.is_empty() {
        return;
    }
    let _ = writeln!(out, "| {what} | type | |\n|---|---|---|");
    for port in ports {
        let kind = match port.arity {
            Arity::One => port.artifact.to_owned(),
            Arity::Optional => format!("{}, optional", port.artifact),
            Arity::Many => format!("list of {}", port.artifact),
            Arity::OptionalMany => format!("list of {}, optional", port.artifact),
        };
        let _ = writeln!(out, "| `{}` | {kind} | {} |", port.name, cell(port.doc));
    }
    out.push('\n');
}

/// A table that is still to be written: a title, its doc, and what it is of.
struct Pending<'s> {
    title: String,
    doc: Option<&'s str>,
    what: What<'s>,
}

enum What<'s> {
    Keys(Object<'s>, Option<&'s str>),
    Variants(&'s str, Vec<Variant<'s>>),
    Choices(Vec<form::Choice<'s>>),
}

/// Writes the params of one kind: a table, then a table for each struct and enum within.
struct Writer<'s> {
    root: &'s Json,
    out: String,
    queue: Vec<Pending<'s>>,
    seen: HashSet<String>,
}

impl<'s> Writer<'s> {
    fn params(&mut self) {
        match form::form(self.root, self.root).0 {
            Form::Object(object) if object.properties.is_some_and(|keys| !keys.is_empty()) => {
                self.keys("param", &object, None);
            }
            Form::Tagged { tag, variants } => self.variants(tag, variants),
            _ => self.out.push_str("No params.\n\n"),
        }
        let mut next = 0;
        while next < self.queue.len() {
            let pending = std::mem::replace(
                &mut self.queue[next],
                Pending { title: String::new(), doc: None, what: What::Choices(Vec::new()) },
            );
            next += 1;
            let _ = writeln!(
                self.out,
                "{}{}\n",
                pending.title,
                pending.doc.map(|doc| format!(": {}", sentence(doc))).unwrap_or_default()
            );
            match pending.what {
                What::Keys(object, tag) => self.keys("key", &object, tag),
                What::Variants(tag, variants) => self.variants(tag, variants),
                What::Choices(choices) => self.choices(&choices),
            }
        }
    }

    /// The table of a map's keys; the key `tag` says only which variant it is.
    fn keys(&mut self, what: &str, object: &Object<'s>, tag: Option<&str>) {
        let _ = writeln!(self.out, "| {what} | type | default | |\n|---|---|---|---|");
        for (name, schema) in object.properties.into_iter().flatten() {
            if tag == Some(name.as_str()) {
                continue;
            }
            let kind = self.kind_of(name, schema);
            let default = match schema.get("default") {
                Some(Json::Null) | None if !object.required.contains(&name.as_str()) => "–".to_owned(),
                Some(default) => code(&inline(default)),
                None => "**required**".to_owned(),
            };
            let doc = form::doc(self.root, schema).map(sentence).unwrap_or_default();
            let _ = writeln!(self.out, "| `{name}` | {kind} | {default} | {} |", cell(&doc));
        }
        self.out.push('\n');
    }

    fn variants(&mut self, tag: &'s str, variants: Vec<Variant<'s>>) {
        let _ = writeln!(self.out, "| `{tag}` | | keys |\n|---|---|---|");
        // Variants whose keys are the same in every word share one table.
        let mut tables: Vec<(Vec<&str>, Object<'s>)> = Vec::new();
        for variant in variants {
            let object = form::object(variant.schema);
            let keys: Vec<String> = keys_but(tag, &object).map(|(key, _)| format!("`{key}`")).collect();
            let alike = |other: &Object<'s>| {
                keys_but(tag, other).eq(keys_but(tag, &object)) && other.required == object.required
            };
            let doc = variant.doc.map(sentence).unwrap_or_default();
            let listed = match tables.iter_mut().find(|(_, other)| alike(other)) {
                _ if keys.is_empty() => "–".to_owned(),
                Some((names, _)) => {
                    names.push(variant.name);
                    format!("as `{}`", names[0])
                }
                None => {
                    tables.push((vec![variant.name], object));
                    keys.join(", ")
                }
            };
            let _ = writeln!(self.out, "| `{}` | {} | {listed} |", variant.name, cell(&doc));
        }
        self.out.push('\n');
        for (names, object) in tables {
            let _ = writeln!(self.out, "`{tag}: {}`\n", names.join("`, `"));
            self.keys("key", &object, Some(tag));
        }
    }

    fn choices(&mut self, choices: &[form::Choice<'_>]) {
        self.out.push_str("| choice | |\n|---|---|\n");
        for choice in choices {
            let doc = choice.doc.map(sentence).unwrap_or_default();
            let _ = writeln!(self.out, "| `{}` | {} |", choice.word, cell(&doc));
        }
        self.out.push('\n');
    }

    /// What a key takes, in words; what needs a table of its own is put in the queue.
    fn kind_of(&mut self, name: &str, schema: &'s Json) -> String {
        let (form, nullable) = form::form(self.root, schema);
        let words = match form {
            Form::Any => "anything".to_owned(),
            Form::Bool => "true or false".to_owned(),
            Form::Text => "text".to_owned(),
            Form::Whole(range) => {
                range.words().map_or("whole number".to_owned(), |words| format!("whole number, {words}"))
            }
            Form::Real(range) => {
                range.words().map_or("number".to_owned(), |words| format!("number, {words}"))
            }
            Form::Choice(choices) => {
                if choices.iter().any(|choice| choice.doc.is_some()) {
                    self.later(name, schema, What::Choices(choices), "one of [these]")
                } else {
                    choices.iter().map(|choice| format!("`{}`", choice.word)).collect::<Vec<_>>().join(" or ")
                }
            }
            Form::List { item, heads, min, max } => {
                let each = item.or(heads.first()).map(|item| self.kind_of(name, item)).unwrap_or_default();
                match (min, max) {
                    (Some(min), Some(max)) if min == max => format!("list of {min}: {each}"),
                    _ => format!("list: {each}"),
                }
            }
            Form::Object(object) => match (&object.properties, &object.rest) {
                (Some(_), _) => self.later(name, schema, What::Keys(object, None), "map, see"),
                (None, Rest::Of(value)) => format!("map of names to {}", self.kind_of(name, value)),
                (None, _) => "map".to_owned(),
            },
            Form::Tagged { tag, variants } => {
                let text = format!("map with `{tag}`, see");
                self.later(name, schema, What::Variants(tag, variants), &text)
            }
            Form::OneOf(schemas) => {
                let all: Vec<String> = schemas.into_iter().map(|schema| self.kind_of(name, schema)).collect();
                all.join(" or ")
            }
        };
        if nullable && words != "anything" { format!("{words}; or nothing") } else { words }
    }

    /// Puts a table in the queue, once for each type, and says where it is.
    fn later(&mut self, name: &str, schema: &'s Json, what: What<'s>, text: &str) -> String {
        let reference = reference(schema);
        let title = reference.map_or_else(|| name.to_owned(), words);
        let text = text.replace("[these]", "the choices of").trim_end().to_owned();
        if self.seen.insert(title.clone()) {
            let doc = form::target(self.root, schema).get("description").and_then(Json::as_str);
            self.queue.push(Pending { title: format!("**{title}**"), doc, what });
        }
        format!("{text} *{title}*")
    }
}

/// The keys of a variant, without the one that says which it is.
fn keys_but<'s>(tag: &str, object: &Object<'s>) -> impl Iterator<Item = (&'s String, &'s Json)> {
    object.properties.into_iter().flatten().filter(move |(key, _)| *key != tag)
}

/// The name of the type that `schema` refers to, through `anyOf` with null as well.
fn reference(schema: &Json) -> Option<&str> {
    if let Some(name) = schema.get("$ref").and_then(Json::as_str) {
        return name.rsplit('/').next();
    }
    let any = schema.get("anyOf").or_else(|| schema.get("allOf")).and_then(Json::as_array)?;
    any.iter().find_map(reference)
}

/// `ImageFolder` as `image folder`.
fn words(name: &str) -> String {
    let mut words = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words
}

/// A default on one line, as YAML would have it.
fn inline(json: &Json) -> String {
    match json {
        Json::String(text) if text.is_empty() => "''".to_owned(),
        Json::String(text) => text.clone(),
        Json::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Json::Object(map) => {
            let entries: Vec<String> =
                map.iter().map(|(key, value)| format!("{key}: {}", inline(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

/// Text that can stand in a cell.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

/// A doc comment's first paragraph on one line.
fn sentence(doc: &str) -> String {
    doc.split("\n\n").next().unwrap_or(doc).replace('\n', " ").trim().to_owned()
}

fn first_sentence(doc: &str) -> String {
    let line = sentence(doc);
    match line.find(". ") {
        Some(end) => line[..=end].to_owned(),
        None => line,
    }
}
