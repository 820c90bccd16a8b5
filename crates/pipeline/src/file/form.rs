//! What a JSON schema made by schemars allows, in the forms that stage params take.

use serde_json::{Map, Value as Json};

/// What a schema allows.
#[derive(Debug)]
pub(crate) enum Form<'s> {
    /// Anything.
    Any,
    /// `true` or `false`.
    Bool,
    /// Text.
    Text,
    /// A whole number.
    Whole(Range),
    /// A number.
    Real(Range),
    /// One of some words.
    Choice(Vec<Choice<'s>>),
    /// A list.
    List { item: Option<&'s Json>, heads: &'s [Json], min: Option<u64>, max: Option<u64> },
    /// A map with known keys.
    Object(Object<'s>),
    /// A map whose key `tag` decides which other keys it has.
    Tagged { tag: &'s str, variants: Vec<Variant<'s>> },
    /// One of several forms.
    OneOf(Vec<&'s Json>),
}

/// A word and what it means.
#[derive(Debug)]
pub(crate) struct Choice<'s> {
    pub word: &'s str,
    pub doc: Option<&'s str>,
}

/// A variant of a tagged map.
#[derive(Debug)]
pub(crate) struct Variant<'s> {
    pub name: &'s str,
    pub doc: Option<&'s str>,
    pub schema: &'s Json,
}

/// A map's keys.
#[derive(Debug)]
pub(crate) struct Object<'s> {
    pub properties: Option<&'s Map<String, Json>>,
    pub required: Vec<&'s str>,
    pub rest: Rest<'s>,
}

/// What other keys a map may have.
#[derive(Debug)]
pub(crate) enum Rest<'s> {
    /// None.
    Closed,
    /// Any.
    Open,
    /// Any, with values of this form.
    Of(&'s Json),
}

/// The bounds of a number.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Range {
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub above: Option<f64>,
    pub below: Option<f64>,
}

/// Follows `$ref`s from `schema`.
pub(crate) fn target<'s>(root: &'s Json, schema: &'s Json) -> &'s Json {
    let mut schema = schema;
    for _ in 0..32 {
        let Some(name) = schema.get("$ref").and_then(Json::as_str) else { break };
        let found = name.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        let Some(found) = found else { break };
        schema = found;
    }
    schema
}

/// The description at `schema`, or at what it refers to.
pub(crate) fn doc<'s>(root: &'s Json, schema: &'s Json) -> Option<&'s str> {
    schema.get("description").or_else(|| target(root, schema).get("description")).and_then(Json::as_str)
}

fn is_null(schema: &Json) -> bool {
    schema.get("type").and_then(Json::as_str) == Some("null")
}

/// What `schema` allows, and whether it also allows nothing.
pub(crate) fn form<'s>(root: &'s Json, schema: &'s Json) -> (Form<'s>, bool) {
    let schema = target(root, schema);
    if let Some(all) = schema.get("allOf").and_then(Json::as_array)
        && let [only] = all.as_slice()
    {
        return form(root, only);
    }
    let alternatives = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Json::as_array);
    if let Some(alternatives) = alternatives {
        let nullable = alternatives.iter().any(is_null);
        let rest: Vec<&Json> = alternatives.iter().filter(|schema| !is_null(schema)).collect();
        if let [only] = rest.as_slice() {
            let (form, below) = form(root, only);
            return (form, nullable || below);
        }
        return (alternatives_form(root, rest), nullable);
    }
    single(schema)
}

fn alternatives_form<'s>(root: &'s Json, rest: Vec<&'s Json>) -> Form<'s> {
    let mut words = Vec::new();
    for schema in &rest {
        if !push_words(schema, &mut words) {
            words.clear();
            break;
        }
    }
    if !words.is_empty() {
        return Form::Choice(words);
    }
    let tag = rest.first().and_then(|schema| {
        let properties = target(root, schema).get("properties")?.as_object()?;
        properties.iter().find(|(_, schema)| schema.get("const").is_some()).map(|(name, _)| name)
    });
    if let Some(tag) = tag {
        let variants: Option<Vec<Variant<'_>>> = rest
            .iter()
            .map(|schema| {
                let at = target(root, schema);
                let name = at.get("properties")?.get(tag)?.get("const")?.as_str()?;
                Some(Variant { name, doc: doc(root, schema), schema: at })
            })
            .collect();
        if let Some(variants) = variants {
            return Form::Tagged { tag, variants };
        }
    }
    Form::OneOf(rest)
}

/// Adds the words of a schema that allows only words.
fn push_words<'s>(schema: &'s Json, words: &mut Vec<Choice<'s>>) -> bool {
    let doc = schema.get("description").and_then(Json::as_str);
    if let Some(word) = schema.get("const").and_then(Json::as_str) {
        words.push(Choice { word, doc });
        return true;
    }
    // Choices that are not all words (`auto`, 1, 3) are left to the kind's own reading.
    let words_only = |list: &&Vec<Json>| list.iter().all(|choice| choice.is_string() || choice.is_null());
    let Some(list) = schema.get("enum").and_then(Json::as_array).filter(words_only) else { return false };
    words.extend(list.iter().filter_map(Json::as_str).map(|word| Choice { word, doc: None }));
    true
}

/// The form of a schema without alternatives.
fn single(schema: &Json) -> (Form<'_>, bool) {
    let mut nullable = false;
    let mut kind = "";
    match schema.get("type") {
        Some(Json::String(name)) => kind = name,
        Some(Json::Array(names)) => {
            for name in names.iter().filter_map(Json::as_str) {
                if name == "null" {
                    nullable = true;
                } else if kind.is_empty() {
                    kind = name;
                } else {
                    return (Form::Any, true);
                }
            }
        }
        _ => {}
    }
    let mut words = Vec::new();
    if push_words(schema, &mut words) {
        nullable |=
            schema.get("enum").and_then(Json::as_array).is_some_and(|list| list.contains(&Json::Null));
        return (Form::Choice(words), nullable);
    }
    let form = match kind {
        "boolean" => Form::Bool,
        "string" => Form::Text,
        "integer" => Form::Whole(range(schema)),
        "number" => Form::Real(range(schema)),
        "array" => Form::List {
            item: schema.get("items"),
            heads: schema.get("prefixItems").and_then(Json::as_array).map_or(&[], Vec::as_slice),
            min: schema.get("minItems").and_then(Json::as_u64),
            max: schema.get("maxItems").and_then(Json::as_u64),
        },
        "object" => Form::Object(object(schema)),
        "null" => return (Form::Any, true),
        _ => return (Form::Any, true),
    };
    (form, nullable)
}

/// The keys of a map's schema.
pub(crate) fn object(schema: &Json) -> Object<'_> {
    let required = schema.get("required").and_then(Json::as_array);
    Object {
        properties: schema.get("properties").and_then(Json::as_object),
        required: required.map(|names| names.iter().filter_map(Json::as_str).collect()).unwrap_or_default(),
        rest: match schema.get("additionalProperties") {
            Some(Json::Bool(false)) => Rest::Closed,
            None | Some(Json::Bool(true)) => Rest::Open,
            Some(other) => Rest::Of(other),
        },
    }
}

/// The bounds of a number's schema, those of its Rust type included.
fn range(schema: &Json) -> Range {
    let number = |key: &str| schema.get(key).and_then(Json::as_f64);
    let (low, high) = match schema.get("format").and_then(Json::as_str) {
        Some("uint8") => (Some(0.0), Some(f64::from(u8::MAX))),
        Some("uint16") => (Some(0.0), Some(f64::from(u16::MAX))),
        Some("uint32") => (Some(0.0), Some(f64::from(u32::MAX))),
        Some("uint64" | "uint") => (Some(0.0), None),
        Some("int8") => (Some(f64::from(i8::MIN)), Some(f64::from(i8::MAX))),
        Some("int16") => (Some(f64::from(i16::MIN)), Some(f64::from(i16::MAX))),
        Some("int32") => (Some(f64::from(i32::MIN)), Some(f64::from(i32::MAX))),
        _ => (None, None),
    };
    Range {
        min: number("minimum").or(low),
        max: number("maximum").or(high),
        above: number("exclusiveMinimum"),
        below: number("exclusiveMaximum"),
    }
}

impl Range {
    /// Whether `value` lies within.
    pub fn holds(&self, value: f64) -> bool {
        self.min.is_none_or(|min| value >= min)
            && self.max.is_none_or(|max| value <= max)
            && self.above.is_none_or(|above| value > above)
            && self.below.is_none_or(|below| value < below)
    }

    /// The bounds in words: `from 0 to 1`; none when there are none.
    pub fn words(&self) -> Option<String> {
        let number = |value: f64| {
            if value != 0.0 && value.abs() < 1e-4 { format!("{value:e}") } else { value.to_string() }
        };
        // The ends of a Rust type are no range that anyone chose.
        let max = self.max.filter(|max| *max != f64::from(u32::MAX) && *max != f64::from(i32::MAX));
        let [min, max, above, below] = [self.min, max, self.above, self.below].map(|bound| bound.map(number));
        Some(match (min, max, above, below) {
            (Some(min), Some(max), _, _) => format!("from {min} to {max}"),
            (Some(min), None, _, Some(below)) => format!("from {min} to below {below}"),
            (Some(min), None, _, None) => format!("at least {min}"),
            (None, Some(max), Some(above), _) => format!("above {above}, at most {max}"),
            (None, Some(max), None, _) => format!("at most {max}"),
            (None, None, Some(above), Some(below)) => format!("above {above} and below {below}"),
            (None, None, Some(above), None) => format!("above {above}"),
            (None, None, None, Some(below)) => format!("below {below}"),
            (None, None, None, None) => return None,
        })
    }
}
