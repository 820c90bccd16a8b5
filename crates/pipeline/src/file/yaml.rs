//! Reading and writing YAML: the only file that names the YAML crates.
//!
//! Text becomes a tree of values with places, within limits that make hostile files cheap to
//! refuse. `serde-saphyr` itself stops at the first error and reports the enclosing mapping inside
//! tagged enums, so this reads the events of its parser, `granit`, and builds the tree itself.
//! Scalars follow the core schema of YAML 1.2 (`yes` and `on` are text). Writing is `serde_yaml`.

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::Number;
use serde_saphyr::granit_parser::{
    Event, Options, Parser, ScalarStyle, Span as EventSpan, StrInput, Tag, options,
};

use super::diagnostics::{Draft, Reporter};
use super::tree::{Entry, Node, Span, Value, shorten};

/// The largest file, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// The deepest nesting.
const MAX_DEPTH: usize = 64;
/// The most values in a file, aliases expanded.
const MAX_NODES: usize = 150_000;
/// The most keys in one map.
const MAX_KEYS: usize = 12_000;
/// The most `[` and `{` in a file: counting them costs nothing, reading them does.
const MAX_BRACKETS: usize = 100_000;
/// The most text that aliases may repeat, in bytes.
const MAX_REPEATED: usize = 4 << 20;
/// The key that merges other maps into its own.
const MERGE: &str = "<<";

/// `value` as YAML text, for files that Peregrine writes.
///
/// # Errors
/// When the value has no YAML form.
pub fn to_yaml<T: serde::Serialize + ?Sized>(value: &T) -> anyhow::Result<String> {
    Ok(serde_yaml::to_string(value)?)
}

/// Reads the text of source number `source`; `None` when a problem was reported that leaves
/// nothing to check.
pub(super) fn read(text: &str, source: u32, reporter: &mut Reporter) -> Option<Node> {
    let options = options! {
        emit_unresolved_aliases: true,
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH + 8,
        block_nesting_limit: MAX_DEPTH + 8,
        simple_key_max_lookahead: 1024
    };
    let mut brackets = text.bytes().enumerate().filter(|(_, byte)| matches!(byte, b'[' | b'{'));
    if let Some((at, _)) = brackets.nth(MAX_BRACKETS) {
        let span = Span { source, start: at as u32, end: at as u32 + 1 };
        reporter.report(Draft::new(span, format!("the file holds more than {MAX_BRACKETS} brackets")));
        return None;
    }
    let mut builder = Builder::new(text, source, options, reporter);
    match builder.document() {
        Ok(node) => node,
        Err(Stop(draft)) => {
            reporter.report(*draft);
            None
        }
    }
}

/// A problem after which the text makes no sense.
struct Stop(Box<Draft>);

/// A value that has an anchor.
struct Anchored {
    node: Rc<Node>,
    nodes: usize,
    bytes: usize,
    depth: usize,
}

/// Builds the tree from the parser's events.
struct Builder<'t, 'r> {
    parser: Parser<'t, StrInput<'t>>,
    reporter: &'r mut Reporter,
    text: &'t str,
    source: u32,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    bytes: usize,
    repeated: usize,
}

impl<'t, 'r> Builder<'t, 'r> {
    fn new(text: &'t str, source: u32, options: Options, reporter: &'r mut Reporter) -> Self {
        Self {
            parser: Parser::new_from_str_with_options(text, options),
            reporter,
            text,
            source,
            anchors: HashMap::new(),
            nodes: 0,
            bytes: 0,
            repeated: 0,
        }
    }

    /// The next event, without comments.
    fn next(&mut self) -> Result<(Event<'t>, Span), Stop> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                let span = self.span(&span);
                Ok((event, span))
            }
            Some(Err(error)) => {
                let at = error.marker().byte_offset().unwrap_or(0) as u32;
                Err(stop(syntax_error(self.text, at, &error.info(), self.source)))
            }
            None => Ok((Event::StreamEnd, Span { source: self.source, start: 0, end: 0 })),
        }
    }

    /// The event's span; collections begin at a point, which becomes one character.
    fn span(&self, span: &EventSpan) -> Span {
        let range = span.byte_range().unwrap_or(0..0);
        Span { source: self.source, start: range.start as u32, end: range.end.max(range.start) as u32 }
    }

    /// The single document.
    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::DocumentStart(..) if root.is_some() => {
                    return Err(stop(
                        Draft::new(span, "a second document begins here")
                            .help("keep one pipeline per file".to_owned()),
                    ));
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                other => {
                    let (node, _) = self.node(other, span, 0)?;
                    root = Some(node);
                }
            }
        }
    }

    /// The node that begins with `event`, and its depth.
    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<(Node, usize), Stop> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(stop(Draft::new(span, format!("the file holds more than {MAX_NODES} values"))));
        }
        if depth > MAX_DEPTH {
            return Err(stop(Draft::new(span, format!("nested more than {MAX_DEPTH} levels deep"))));
        }
        let (nodes_before, bytes_before) = (self.nodes - 1, self.bytes);
        let (node, below, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.bytes += text.len();
                (self.scalar(&text, style, tag.as_deref(), span), 0, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                let known = self.is_known_tag(tag.as_deref(), "seq", span);
                let (node, below) = self.list(span, depth)?;
                (if known { node } else { Node { value: Value::Reported, span } }, below, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                let known = self.is_known_tag(tag.as_deref(), "map", span);
                let (node, below) = self.map(span, depth)?;
                (if known { node } else { Node { value: Value::Reported, span } }, below, anchor)
            }
            Event::Alias(id) => {
                let (node, below) = self.alias(id, span, depth)?;
                (node, below, 0)
            }
            Event::UnresolvedAlias(name) => {
                let message = format!("there is no anchor `&{}` above this", shorten(&name));
                self.reporter.report(Draft::new(span, message));
                (Node { value: Value::Reported, span }, 0, 0)
            }
            _ => (Node { value: Value::Null, span }, 0, 0),
        };
        if anchor != 0 {
            let anchored = Anchored {
                node: Rc::new(node.clone()),
                nodes: self.nodes - nodes_before,
                bytes: self.bytes - bytes_before,
                depth: below,
            };
            // The copy kept for aliases counts like an alias does.
            self.repeat(anchored.nodes, anchored.bytes, span)?;
            self.anchors.insert(anchor, anchored);
        }
        Ok((node, below))
    }

    fn list(&mut self, start: Span, depth: usize) -> Result<(Node, usize), Stop> {
        let mut items = Vec::new();
        let mut deepest = 0;
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                let span = self.collection_span(start, span);
                return Ok((Node { value: Value::List(items), span }, deepest + 1));
            }
            let (node, below) = self.node(event, span, depth + 1)?;
            deepest = deepest.max(below);
            items.push(node);
        }
    }

    fn map(&mut self, start: Span, depth: usize) -> Result<(Node, usize), Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merges: Vec<Node> = Vec::new();
        let mut first: HashMap<String, Span> = HashMap::new();
        let mut deepest = 0;
        loop {
            let (event, key_span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                self.merge(&mut entries, merges, &mut first)?;
                let span = self.collection_span(start, key_span);
                return Ok((Node { value: Value::Map(entries), span }, deepest + 1));
            }
            let key = self.key(event, key_span, depth)?;
            let (event, span) = self.next()?;
            let (node, below) = self.node(event, span, depth + 1)?;
            deepest = deepest.max(below);
            let Some(key) = key else { continue };
            if key == MERGE {
                merges.push(node);
            } else if let Some(earlier) = first.get(&key) {
                let message = format!("the key `{}` stands here a second time", shorten(&key));
                self.reporter.report(
                    Draft::new(key_span, message)
                        .related(*earlier, "first here")
                        .help("rename or remove one of them".to_owned()),
                );
                if self.reporter.is_full() {
                    return Err(stop(Draft::new(key_span, "and so on")));
                }
            } else {
                if first.len() >= MAX_KEYS {
                    return Err(stop(Draft::new(key_span, format!("a map with more than {MAX_KEYS} keys"))));
                }
                first.insert(key.clone(), key_span);
                entries.push(Entry { key, key_span, node });
            }
        }
    }

    /// The key's text; `None` when it was reported.
    fn key(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Option<String>, Stop> {
        if let Event::Scalar(text, _, 0, None) = event {
            self.bytes += text.len();
            return Ok(Some(text.into_owned()));
        }
        let (node, _) = self.node(event, span, depth + 1)?;
        let key = match node.value {
            Value::Text(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(value) => Some(value.to_string()),
            _ => None,
        };
        if key.is_none() {
            self.reporter.report(Draft::new(span, "a key must be text"));
        }
        Ok(key)
    }

    /// Adds the keys of the maps behind `<<` that the map itself does not set.
    fn merge(
        &mut self,
        entries: &mut Vec<Entry>,
        merges: Vec<Node>,
        first: &mut HashMap<String, Span>,
    ) -> Result<(), Stop> {
        let mut sources = Vec::new();
        for node in merges {
            match node.value {
                Value::List(items) => sources.extend(items),
                _ => sources.push(node),
            }
        }
        for source in sources {
            match source.value {
                Value::Map(inherited) => {
                    for entry in inherited {
                        if first.len() >= MAX_KEYS {
                            let message = format!("a map with more than {MAX_KEYS} keys");
                            return Err(stop(Draft::new(source.span, message)));
                        }
                        if !first.contains_key(&entry.key) {
                            first.insert(entry.key.clone(), entry.key_span);
                            entries.push(entry);
                        }
                    }
                }
                Value::Reported => {}
                _ => self.reporter.report(
                    Draft::new(source.span, format!("`<<` takes a map, not {}", source.describe()))
                        .help("merge an anchored map: `<<: *base`".to_owned()),
                ),
            }
        }
        Ok(())
    }

    /// A copy of what the alias stands for.
    fn alias(&mut self, id: usize, span: Span, depth: usize) -> Result<(Node, usize), Stop> {
        let Some(anchored) = self.anchors.get(&id) else {
            return Err(stop(Draft::new(span, "this alias stands inside of what it names")));
        };
        let (node, nodes, bytes, below) =
            (Rc::clone(&anchored.node), anchored.nodes, anchored.bytes, anchored.depth);
        if depth + below > MAX_DEPTH {
            return Err(stop(Draft::new(span, format!("nested more than {MAX_DEPTH} levels deep"))));
        }
        self.nodes += nodes;
        self.bytes += bytes;
        self.repeat(nodes, bytes, span)?;
        Ok((Node::clone(&node), below))
    }

    /// Counts values and text that exist once more than they are written.
    fn repeat(&mut self, nodes: usize, bytes: usize, span: Span) -> Result<(), Stop> {
        self.repeated = self.repeated.saturating_add(bytes).saturating_add(nodes * 16);
        if self.nodes > MAX_NODES || self.repeated > MAX_REPEATED {
            let draft = Draft::new(span, "the aliases of this file expand to too much");
            return Err(stop(draft.help("name less by `&` and `*`, or split the file".to_owned())));
        }
        Ok(())
    }

    /// From the collection's first byte to its last that is not white space.
    fn collection_span(&self, start: Span, end: Span) -> Span {
        let last = (end.end as usize).min(self.text.len());
        let first = start.start as usize;
        let length = self.text.get(first..last).map_or(0, |text| text.trim_end().len());
        Span { source: self.source, start: start.start, end: (first + length) as u32 }
    }

    /// Whether a collection has no tag but its own; else that is reported.
    fn is_known_tag(&mut self, tag: Option<&Tag>, own: &str, span: Span) -> bool {
        match tag {
            Some(tag) if !tag.is_yaml_core_schema_tag(own) => {
                self.unknown_tag(tag, span);
                false
            }
            _ => true,
        }
    }

    fn unknown_tag(&mut self, tag: &Tag, span: Span) {
        let message = format!("the tag `{}` means nothing here", shorten(&tag.original()));
        self.reporter.report(Draft::new(span, message).help("remove it".to_owned()));
    }

    /// A scalar by the core schema.
    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Node {
        let tagged = match tag {
            None => None,
            Some(tag) => match tag.core_suffix() {
                Some(suffix @ ("str" | "null" | "bool" | "int" | "float")) => Some(suffix.to_owned()),
                _ => {
                    self.unknown_tag(tag, span);
                    return Node { value: Value::Reported, span };
                }
            },
        };
        let value = match tagged.as_deref() {
            Some("str") => Value::Text(text.to_owned()),
            None if style != ScalarStyle::Plain => Value::Text(text.to_owned()),
            _ => plain(text).unwrap_or_else(|message| {
                self.reporter.report(Draft::new(span, message));
                Value::Reported
            }),
        };
        Node { value, span }
    }
}

fn stop(draft: Draft) -> Stop {
    Stop(Box::new(draft))
}

/// What the parser says, or something better for what YAML's own messages explain badly.
fn syntax_error(text: &str, at: u32, info: &str, source: u32) -> Draft {
    let span = Span { source, start: at, end: at.saturating_add(1) };
    let (before, after) = text.split_at_checked(at as usize).unwrap_or((text, ""));
    if before.ends_with('$') && after.starts_with('{') {
        let name = after.split('}').next().unwrap_or("").trim_start_matches('{');
        let end = at.saturating_add(name.len() as u32 + 2);
        return Draft::new(
            Span { source, start: at - 1, end },
            "a reference inside of `{ }` or `[ ]` needs quotes",
        )
        .help(format!("write '${{{}}}'", shorten(name)));
    }
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next().unwrap_or("");
    let above = text[..line_start].lines().next_back().unwrap_or("");
    let opened = |line: &str| line.matches(['{', '[']).count() > line.matches(['}', ']']).count();
    let help = if line.trim_start_matches(' ').starts_with('\t') {
        "indent with spaces, not with tabs"
    } else if opened(line) || opened(above) {
        "close every `{` and `[`"
    } else {
        "look at the indentation and the colons of this line and the one before"
    };
    Draft::new(span, format!("this is not YAML: {info}")).help(help.to_owned())
}

/// A plain scalar by the core schema of YAML 1.2.
fn plain(text: &str) -> Result<Value, String> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ if text.starts_with(['+', '-', '.']) || text.starts_with(|c: char| c.is_ascii_digit()) => {
            number(text)?
        }
        _ => Value::Text(text.to_owned()),
    })
}

/// A number, or text that begins like one.
fn number(text: &str) -> Result<Value, String> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok().map(Number::from);
    let number = if matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return Err(format!("`{text}` is not a finite number"));
    } else if let Some(hex) = text.strip_prefix("0x") {
        radix(hex, 16)
    } else if let Some(octal) = text.strip_prefix("0o") {
        radix(octal, 8)
    } else if !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit()) {
        let text = text.strip_prefix('+').unwrap_or(text);
        let whole = text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from));
        Some(whole.map_err(|_| format!("the whole number `{}` is too large", shorten(text)))?)
    } else if is_float(unsigned) {
        let value: f64 = text.parse().map_err(|_| format!("`{}` is not a number", shorten(text)))?;
        Some(Number::from_f64(value).ok_or_else(|| format!("the number `{}` is too large", shorten(text)))?)
    } else {
        None
    };
    Ok(number.map_or_else(|| Value::Text(text.to_owned()), Value::Number))
}

/// `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_float(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}
