//! What is wrong with a pipeline file: problems with their places, collected and shown together.
//!
//! Renders plain text; a terminal may draw the same data in colour.

use std::collections::HashSet;
use std::fmt;

use super::tree::Span;

/// More problems than this are counted, not kept: nobody reads them, and a hostile file could
/// make a million.
const KEPT: usize = 200;

/// The widest part of a source line that a snippet shows, in characters.
const SNIPPET_WIDTH: usize = 110;

/// A text that problems point into: the pipeline file, or one `--set`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// How it is called: the file's path, or `--set`.
    pub name: String,
    /// The text.
    pub text: String,
}

/// A stretch of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The source's position in [`FileErrors::sources`]; 0 is the file.
    pub source: usize,
    /// Where it begins, in bytes.
    pub offset: usize,
    /// How long it is, in bytes; may be 0.
    pub len: usize,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

/// Another place that a problem speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// What is there.
    pub message: String,
    /// Where.
    pub place: Place,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, as a lowercase fragment.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The path in the file: `stages.train.params.epochs`; empty where there is none.
    pub path: String,
    /// Where it is wrong.
    pub place: Place,
    /// Other places that the problem speaks of.
    pub related: Vec<Related>,
}

/// Everything that is wrong with a pipeline file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileErrors {
    sources: Vec<Source>,
    problems: Vec<Problem>,
    more: usize,
}

impl FileErrors {
    /// The problems, in the order of their places; never empty.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many further problems were found and not kept.
    pub fn more(&self) -> usize {
        self.more
    }

    /// The text of the pipeline file.
    pub fn source(&self) -> &str {
        self.sources.first().map_or("", |source| source.text.as_str())
    }

    /// The pipeline file, then each override.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The text that `place` points into.
    pub fn source_of(&self, place: &Place) -> &Source {
        static NOWHERE: Source = Source { name: String::new(), text: String::new() };
        self.sources.get(place.source).unwrap_or(&NOWHERE)
    }

    /// A single problem with the file as a whole, before there is a text to point into.
    pub(super) fn unreadable(name: &str, message: String, help: Option<String>) -> Self {
        let place = Place { source: 0, offset: 0, len: 0, line: 1, column: 1 };
        let problem = Problem { message, help, path: String::new(), place, related: Vec::new() };
        let source = Source { name: name.to_owned(), text: String::new() };
        Self { sources: vec![source], problems: vec![problem], more: 0 }
    }
}

impl std::error::Error for FileErrors {}

impl fmt::Display for FileErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "error: {}", problem.message)?;
            self.snippet(f, &problem.place, '^', "")?;
            for related in &problem.related {
                self.snippet(f, &related.place, '-', &related.message)?;
            }
            if let Some(help) = &problem.help {
                writeln!(f, "  = help: {help}")?;
            }
            writeln!(f)?;
        }
        let name = self.sources.first().map_or("", |source| source.name.as_str());
        match self.problems.len() + self.more {
            1 => write!(f, "1 problem in `{name}`; nothing was run"),
            n if self.more == 0 => write!(f, "{n} problems in `{name}`; nothing was run"),
            n => write!(
                f,
                "{n} problems in `{name}`, the first {} shown; nothing was run",
                self.problems.len()
            ),
        }
    }
}

impl FileErrors {
    /// The place's line with a mark below it.
    fn snippet(&self, f: &mut fmt::Formatter<'_>, place: &Place, mark: char, label: &str) -> fmt::Result {
        let source = self.source_of(place);
        if place.source == 0 {
            writeln!(f, "  --> {}:{}:{}", source.name, place.line, place.column)?;
        } else {
            writeln!(f, "  --> {}", source.name)?;
        }
        let line = source.text.lines().nth(place.line - 1).unwrap_or("");
        if line.trim().is_empty() {
            return Ok(());
        }
        let (shown, before, marked) = window(line, place);
        let number = if place.source == 0 { place.line.to_string() } else { String::new() };
        let gutter = " ".repeat(number.len());
        let wide: usize = shown.chars().skip(before).take(marked).map(columns).sum();
        let before: usize = shown.chars().take(before).map(columns).sum();
        let marks = mark.to_string().repeat(wide.max(1));
        let space = if label.is_empty() { "" } else { " " };
        writeln!(f, " {gutter} |")?;
        writeln!(f, " {number} | {shown}")?;
        writeln!(f, " {gutter} | {}{marks}{space}{label}", " ".repeat(before))
    }
}

/// The part of `line` around `place`, how far in the mark begins, and how long it is; all in
/// characters, tabs and control characters shown as spaces.
fn window(line: &str, place: &Place) -> (String, usize, usize) {
    let chars: Vec<char> = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let begin = (place.column - 1).min(chars.len());
    let byte = line.char_indices().nth(begin).map_or(line.len(), |(at, _)| at);
    let end_byte = (byte + place.len).min(line.len());
    let marked = line.get(byte..end_byte).map_or(1, |text| text.chars().count());
    let first = if chars.len() <= SNIPPET_WIDTH { 0 } else { begin.saturating_sub(SNIPPET_WIDTH / 3) };
    let last = chars.len().min(first + SNIPPET_WIDTH);
    let mut shown: String = chars[first..last].iter().collect();
    let mut before = begin - first;
    if first > 0 {
        shown.insert(0, '…');
        before += 1;
    }
    if last < chars.len() {
        shown.push('…');
    }
    (shown, before, marked.min(last.saturating_sub(begin)).max(1))
}

/// How many columns of a terminal a character takes: two for those of East Asia and for pictures.
fn columns(c: char) -> usize {
    let wide = matches!(u32::from(c),
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f
        | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd);
    if wide { 2 } else { 1 }
}

/// Collects problems while a file is read and checked.
#[derive(Debug)]
pub(super) struct Reporter {
    sources: Vec<Source>,
    line_starts: Vec<Vec<usize>>,
    problems: Vec<Problem>,
    seen: HashSet<(usize, usize, String)>,
    more: usize,
}

/// A problem under way: see [`Reporter::report`].
#[derive(Debug)]
pub(super) struct Draft {
    message: String,
    span: Span,
    path: String,
    help: Option<String>,
    related: Vec<(Span, String)>,
}

impl Draft {
    /// A problem at `span`.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self { message: message.into(), span, path: String::new(), help: None, related: Vec::new() }
    }

    /// What to do about it.
    pub fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }

    /// Where it is in the file's tree.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Another place that it speaks of.
    pub fn related(mut self, span: Span, message: impl Into<String>) -> Self {
        self.related.push((span, message.into()));
        self
    }
}

impl Reporter {
    /// A reporter for the file and the overrides.
    pub fn new(sources: Vec<Source>) -> Self {
        let line_starts = sources
            .iter()
            .map(|source| {
                std::iter::once(0)
                    .chain(source.text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1))
                    .collect()
            })
            .collect();
        Self { sources, line_starts, problems: Vec::new(), seen: HashSet::new(), more: 0 }
    }

    /// The text of the source with number `source`.
    pub fn text(&self, source: u32) -> &str {
        self.sources.get(source as usize).map_or("", |source| source.text.as_str())
    }

    /// Adds a problem, once: the instances of a matrix stage tend to repeat it.
    pub fn report(&mut self, draft: Draft) {
        if self.problems.len() >= KEPT {
            self.more += 1;
            return;
        }
        let place = self.place(draft.span);
        if !self.seen.insert((place.source, place.offset, draft.message.clone())) {
            return;
        }
        let related = draft
            .related
            .into_iter()
            .map(|(span, message)| Related { message, place: self.place(span) })
            .collect();
        self.problems.push(Problem {
            message: draft.message,
            help: draft.help,
            path: draft.path,
            place,
            related,
        });
    }

    /// Whether this was reported already: the instances of a matrix stage say the same.
    pub fn knows(&self, span: Span, message: &str) -> bool {
        let place = self.place(span);
        self.is_full() || self.seen.contains(&(place.source, place.offset, message.to_owned()))
    }

    /// How many problems there are so far.
    pub fn count(&self) -> usize {
        self.problems.len() + self.more
    }

    /// Whether further problems are only counted.
    pub fn is_full(&self) -> bool {
        self.problems.len() >= KEPT
    }

    /// `value` if there was no problem, else the problems.
    pub fn finish<T>(mut self, value: Option<T>) -> Result<T, FileErrors> {
        match value {
            Some(value) if self.count() == 0 => Ok(value),
            _ => {
                if self.problems.is_empty() {
                    self.report(Draft::new(Span::default(), "the file could not be understood"));
                }
                self.problems.sort_by_key(|problem| (problem.place.source, problem.place.offset));
                Err(FileErrors { sources: self.sources, problems: self.problems, more: self.more })
            }
        }
    }

    /// Where `span` is, in lines and columns.
    pub fn place(&self, span: Span) -> Place {
        let source = span.source as usize;
        let text = self.text(span.source);
        let mut offset = (span.start as usize).min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let starts = self.line_starts.get(source).map_or(&[][..], Vec::as_slice);
        let line = starts.partition_point(|start| *start <= offset).max(1);
        let start = starts.get(line - 1).copied().unwrap_or(0);
        Place {
            source,
            offset,
            len: (span.end as usize).min(text.len()).saturating_sub(offset),
            line,
            column: text[start..offset].chars().count() + 1,
        }
    }
}
