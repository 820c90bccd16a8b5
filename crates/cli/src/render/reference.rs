//! One kind of stage for the terminal: its ports and params, from its schema.
//! (`pipeline::reference` writes the same as Markdown.)

use peregrine_pipeline::{Arity, Port, StageKind};
use serde_json::{Map, Value};

use super::style::{Style, Tone};
use super::table::{Cell, table};

/// The reference of one kind.
pub fn kind(kind: &StageKind, style: Style) -> String {
    let schema = (kind.schema)().to_value();
    let writer = Writer { root: &schema, style };
    let mut out = format!("{}\n\n", style.paint(Tone::Strong, kind.kind));
    out.push_str(&wrapped(text(&schema, "description"), "  "));
    let ports = [("inputs", kind.inputs), ("outputs", kind.outputs)];
    for (title, ports) in ports.into_iter().filter(|(_, ports)| !ports.is_empty()) {
        out.push_str(&format!("\n{}\n", style.paint(Tone::Strong, title)));
        out.push_str(&table(style, "  ", &[], &ports.iter().map(port).collect::<Vec<_>>()));
    }
    out.push_str(&format!("\n{}\n", style.paint(Tone::Strong, "params")));
    let before = out.len();
    writer.fields(&schema, "  ", 0, &mut out);
    if out.len() == before {
        out.push_str("  none\n");
    }
    out
}

fn port(port: &Port) -> Vec<Cell> {
    let name = match port.arity {
        Arity::One => port.name.to_owned(),
        Arity::Optional => format!("[{}]", port.name),
        Arity::Many => format!("{}…", port.name),
        Arity::OptionalMany => format!("[{}…]", port.name),
    };
    vec![Cell::new(name), Cell::toned(Tone::Quiet, port.artifact), Cell::new(port.doc)]
}

struct Writer<'a> {
    root: &'a Value,
    style: Style,
}

impl Writer<'_> {
    /// A line and a sentence for each field of an object.
    fn fields(&self, object: &Value, indent: &str, depth: usize, out: &mut String) {
        let object = self.resolved(object);
        let Some(fields) = object.get("properties").and_then(Value::as_object) else { return };
        for (name, field) in fields {
            if field.get("const").is_some() {
                continue;
            }
            let target = self.resolved(field);
            let mut line = format!("{indent}{}  {}", self.style.paint(Tone::Strong, name), self.form(field));
            if let Some(default) = field.get("default").filter(|value| is_short(value)) {
                line.push_str(&format!(", default {default}"));
            }
            out.push_str(&line);
            out.push('\n');
            let doc = text(field, "description");
            let doc = if doc.is_empty() { text(target, "description") } else { doc };
            out.push_str(&wrapped(doc, &format!("{indent}    ")));
            if depth < 4 {
                self.inside(target, &format!("{indent}    "), depth + 1, out);
            }
        }
    }

    /// What a field consists of: variants, fields, items.
    fn inside(&self, schema: &Value, indent: &str, depth: usize, out: &mut String) {
        if let Some(items) = schema.get("items") {
            return self.inside(self.resolved(items), indent, depth, out);
        }
        let mut before: Vec<(String, &Value)> = Vec::new();
        for variant in variants(schema) {
            let variant = self.resolved(variant);
            let Some(name) = tag(variant) else {
                if variant.get("properties").is_some() {
                    self.fields(variant, indent, depth, out);
                }
                continue;
            };
            out.push_str(&format!("{indent}{}\n", self.style.paint(Tone::Notice, &format!("name: {name}"))));
            out.push_str(&wrapped(text(variant, "description"), &format!("{indent}    ")));
            match before.iter().find(|(_, other)| same_keys(other, variant)) {
                Some((first, _)) => out.push_str(&format!("{indent}    params as `{first}`\n")),
                None => {
                    self.fields(variant, &format!("{indent}    "), depth + 1, out);
                    before.push((name, variant));
                }
            }
        }
        if variants(schema).is_empty() {
            self.fields(schema, indent, depth, out);
        }
    }

    /// The form of a value in a few words: `integer from 1 to 9`, `one of a, b`.
    fn form(&self, schema: &Value) -> String {
        let schema = self.resolved(schema);
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return one_of(values.iter().filter(|value| !value.is_null()));
        }
        let all = variants(schema);
        if !all.is_empty() {
            let consts: Vec<&Value> = all.iter().filter_map(|variant| variant.get("const")).collect();
            if consts.len() == all.len() {
                return one_of(consts.into_iter());
            }
            let names: Vec<String> = all.iter().filter_map(|v| tag(self.resolved(v))).collect();
            if names.len() == all.len() {
                return format!("one of {}", names.join(", "));
            }
            let forms: Vec<String> =
                all.iter().filter(|v| !is_null(v)).map(|variant| self.form(variant)).collect();
            let optional = if all.iter().any(|variant| is_null(variant)) { ", or null" } else { "" };
            return format!("{}{optional}", forms.join(" or "));
        }
        let names: Vec<&str> = match schema.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => return "any value".to_owned(),
        };
        let optional = if names.contains(&"null") { ", or null" } else { "" };
        let forms: Vec<String> =
            names.iter().filter(|name| **name != "null").map(|name| self.plain(name, schema)).collect();
        format!("{}{optional}", forms.join(" or "))
    }

    /// The form of a value of the JSON type `name`.
    fn plain(&self, name: &str, schema: &Value) -> String {
        match (name, schema.get("items")) {
            ("array", Some(items)) => format!("list of {}", self.form(items)),
            ("array", None) => "list".to_owned(),
            ("object", _) => "mapping".to_owned(),
            ("boolean", _) => "true or false".to_owned(),
            (name, _) => format!("{name}{}", range(schema)),
        }
    }

    fn resolved<'b>(&'b self, schema: &'b Value) -> &'b Value {
        let mut schema = schema;
        for _ in 0..8 {
            let target = schema
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|path| self.root.pointer(path.trim_start_matches('#')));
            match target {
                Some(target) => schema = target,
                None => break,
            }
        }
        schema
    }
}

fn variants(schema: &Value) -> Vec<&Value> {
    ["oneOf", "anyOf"].iter().filter_map(|key| schema.get(key).and_then(Value::as_array)).flatten().collect()
}

fn tag(variant: &Value) -> Option<String> {
    let name: &Map<String, Value> = variant.pointer("/properties/name")?.as_object()?;
    Some(name.get("const")?.as_str()?.to_owned())
}

/// Whether two variants differ in their names alone, and have keys at all.
fn same_keys(a: &Value, b: &Value) -> bool {
    let keys = |variant: &Value| {
        let mut keys = variant.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        keys.remove("name");
        keys
    };
    let own = keys(a);
    !own.is_empty() && own == keys(b)
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").is_some_and(|name| name == "null")
}

fn is_short(value: &Value) -> bool {
    value.to_string().len() <= 60
}

fn one_of<'a>(values: impl Iterator<Item = &'a Value>) -> String {
    let names: Vec<String> =
        values.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect();
    format!("one of {}", names.join(", "))
}

fn range(schema: &Value) -> String {
    let bound = |inclusive: &str, exclusive: &str| {
        let plain = schema.get(inclusive).map(|value| (value, ""));
        plain.or_else(|| schema.get(exclusive).map(|value| (value, " (not itself)")))
    };
    let number = |(value, note): (&Value, &str)| match value.as_f64() {
        Some(number) => format!("{number}{note}"),
        None => format!("{value}{note}"),
    };
    match (bound("minimum", "exclusiveMinimum"), bound("maximum", "exclusiveMaximum")) {
        (Some(low), Some(high)) => format!(" from {} to {}", number(low), number(high)),
        (Some(low), None) => format!(" of at least {}", number(low)),
        (None, Some(high)) => format!(" of at most {}", number(high)),
        (None, None) => String::new(),
    }
}

fn text<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// `text` in lines of at most 96 columns.
fn wrapped(text: &str, indent: &str) -> String {
    let mut out = String::new();
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        let mut line = indent.to_owned();
        for word in paragraph.split_whitespace() {
            if line.len() > indent.len() {
                if line.chars().count() + 1 + word.chars().count() > 96 {
                    out.push_str(&line);
                    out.push('\n');
                    line = indent.to_owned();
                } else {
                    line.push(' ');
                }
            }
            line.push_str(word);
        }
        out.push_str(&line);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn variants_with_the_same_keys_are_explained_once() {
        let variant = |name: &str, least: u32| {
            json!({ "description": format!("Of {name}."), "properties": {
                "name": { "const": name },
                "width": { "type": "integer", "minimum": least, "description": "Channels." },
            } })
        };
        let root = json!({ "properties": { "model": {
            "oneOf": [variant("a18", 1), variant("a34", 1), variant("b", 2)],
        } } });
        let mut out = String::new();
        Writer { root: &root, style: Style::plain() }.fields(&root, "", 0, &mut out);
        assert_eq!(out.matches("Channels.").count(), 2, "{out}");
        assert!(out.contains("name: a34\n        Of a34.\n        params as `a18`\n"), "{out}");
    }

    #[test]
    fn forms_read_as_words() {
        let root = json!({ "$defs": { "A": { "type": "integer", "minimum": 1, "maximum": 9 } } });
        let writer = Writer { root: &root, style: Style::plain() };
        assert_eq!(writer.form(&json!({ "$ref": "#/$defs/A" })), "integer from 1 to 9");
        assert_eq!(writer.form(&json!({ "enum": ["a", "b"] })), "one of a, b");
        assert_eq!(writer.form(&json!({ "type": ["number", "null"] })), "number, or null");
        assert_eq!(
            writer.form(&json!({ "anyOf": [{ "$ref": "#/$defs/A" }, { "type": "null" }] })),
            "integer from 1 to 9, or null"
        );
        assert_eq!(writer.form(&json!({ "type": "array", "items": { "type": "string" } })), "list of string");
    }
}
