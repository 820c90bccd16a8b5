//! A person's decisions on single images: a CSV file that the review sheet writes, read before
//! anything runs and applied after all checks.
//!
//! Columns `id`, `action`, `label`, `note`, by name and in any order; the last two may be missing.
//! Every row says in full what becomes of its image, whatever checks said: `keep` it as it came in,
//! `drop` it, `relabel` it to the class `label`, or `downweight` it.

mod csv;

use std::collections::HashMap;
use std::path::Path;

use anyhow::bail;
use peregrine_pipeline::ParamProblem;
use serde::{Deserialize, Serialize};

use super::check::Action;
use crate::manifest::Manifest;

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The image's id.
    pub id: String,
    /// What becomes of it.
    pub action: Action,
    /// The class it belongs to; for `relabel` only.
    pub label: Option<String>,
    /// Why; for people.
    pub note: String,
    /// The line of the file on which the row begins, from 1.
    #[serde(skip)]
    pub line: usize,
}

/// The rows of an overrides file, at most one for each image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// The file, as errors name it.
    pub file: String,
    /// The rows, in the file's order.
    pub decisions: Vec<Decision>,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{file}:{line}`: {message}")]
pub struct Wrong {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it, and what to do.
    pub message: String,
}

/// How many wrong lines are told of.
const TOLD: usize = 12;
/// The largest file that is read, in bytes: enough for a million rows.
const MOST_BYTES: u64 = 256 << 20;

impl Overrides {
    /// Reads the file `path`.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the lines.
    pub fn read(path: &str) -> Result<Self, Vec<String>> {
        let text = text(path).map_err(|error| vec![error.to_string()])?;
        Self::parse(path, &text).map_err(|wrong| wrong.iter().map(Wrong::to_string).collect())
    }

    /// Reads `text`, which is what the file called `file` holds.
    ///
    /// # Errors
    /// Every wrong line.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Wrong>> {
        let wrong = |line: usize, message: String| Wrong { file: file.to_owned(), line, message };
        let mut rows =
            csv::rows(text).map_err(|(line, message)| vec![wrong(line, message.to_owned())])?.into_iter();
        let Some((line, head)) = rows.next() else {
            return Err(vec![wrong(
                1,
                "the file is empty (its first line is `id,action,label,note`)".into(),
            )]);
        };
        let columns = Columns::of(&head).map_err(|message| vec![wrong(line, message)])?;
        let (mut decisions, mut problems) = (Vec::<Decision>::new(), Vec::new());
        let mut first: HashMap<String, usize> = HashMap::new();
        for (line, cells) in rows {
            let decision = match columns.decision(line, &cells) {
                Ok(decision) => decision,
                Err(message) => {
                    problems.push(wrong(line, message));
                    continue;
                }
            };
            match first.get(&decision.id).map(|&at| &decisions[at]) {
                None => {
                    first.insert(decision.id.clone(), decisions.len());
                    decisions.push(decision);
                }
                Some(other) if (other.action, &other.label) == (decision.action, &decision.label) => {}
                Some(other) => problems.push(wrong(
                    line,
                    format!(
                        "`{}` is decided otherwise on line {} (delete one of the two lines)",
                        decision.id, other.line
                    ),
                )),
            }
        }
        if problems.is_empty() { Ok(Self { file: file.to_owned(), decisions }) } else { Err(problems) }
    }

    /// The rows that name an image of `manifest`, with its index; and the ids that no image has.
    ///
    /// # Errors
    /// When a row names a class that the manifest doesn't have.
    pub(super) fn resolve<'a>(&'a self, manifest: &Manifest) -> anyhow::Result<Resolved<'a>> {
        let labels: HashMap<&str, u32> =
            manifest.classes.iter().zip(0..).map(|(class, label)| (class.as_str(), label)).collect();
        let mut unknown_classes = Vec::new();
        let mut wanted = HashMap::new();
        for decision in &self.decisions {
            let label = decision.label.as_deref().map(|class| (class, labels.get(class).copied()));
            if let Some((class, None)) = label {
                let shown = format!("`{}:{}`: there is no class `{class}`", self.file, decision.line);
                unknown_classes.push(shown);
            }
            wanted.insert(decision.id.as_str(), (decision, label.and_then(|(_, label)| label)));
        }
        if !unknown_classes.is_empty() {
            let (more, shown) =
                (unknown_classes.len().saturating_sub(TOLD), unknown_classes.iter().take(TOLD));
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            let shown = shown.map(String::as_str).collect::<Vec<_>>().join("; ");
            bail!("{shown}{more} (the classes are {})", quoted_list(&manifest.classes));
        }
        let images = manifest.images.iter().enumerate();
        let found = images
            .filter_map(|(index, image)| {
                let (decision, label) = wanted.remove(image.id.as_str())?;
                Some(Verdict { index, decision, label })
            })
            .collect();
        let unknown = self.decisions.iter().filter(|decision| wanted.contains_key(decision.id.as_str()));
        Ok(Resolved { found, unknown: unknown.collect() })
    }
}

/// The first few `names`, each in backticks.
fn quoted_list<T: AsRef<str>>(names: &[T]) -> String {
    let shown: Vec<String> = names.iter().take(TOLD).map(|name| format!("`{}`", name.as_ref())).collect();
    let more = names.len().saturating_sub(TOLD);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

/// A row that names an image of the manifest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verdict<'a> {
    pub index: usize,
    pub decision: &'a Decision,
    /// The label that the row names.
    pub label: Option<u32>,
}

/// The rows, matched to the images of a manifest.
#[derive(Debug, Clone, Default)]
pub(super) struct Resolved<'a> {
    /// In the order of the images.
    pub found: Vec<Verdict<'a>>,
    /// In the order of the file.
    pub unknown: Vec<&'a Decision>,
}

/// What was done about the rows of an overrides file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overruled {
    /// The rows that were carried out, in the order of the images.
    pub decisions: Vec<Decision>,
    /// How many of them say otherwise than every check that flagged the image, or decide on an image
    /// that no check flagged.
    pub changed: u64,
    /// The rows that can't be carried out, because their image is unreadable: it stays removed.
    pub unreadable: Vec<Decision>,
    /// The rows that name no image.
    pub unknown: Vec<Decision>,
}

impl Overruled {
    /// How many rows say `action`.
    pub fn count(&self, action: Action) -> usize {
        self.decisions.iter().filter(|decision| decision.action == action).count()
    }

    /// Warns of the rows that did nothing.
    pub(super) fn warn(&self, file: &str) {
        let ids =
            |rows: &[Decision]| quoted_list(&rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>());
        if !self.unknown.is_empty() {
            let (count, examples) = (self.unknown.len(), ids(&self.unknown));
            tracing::warn!(
                "{count} of the rows of `{file}` name no image that came in (ids are as `peregrine show` prints \
                 them): {examples}"
            );
        }
        if !self.unreadable.is_empty() {
            let examples = ids(&self.unreadable);
            tracing::warn!("`{file}` keeps images that can't be read, which stay removed: {examples}");
        }
    }
}

/// What is wrong with the param `overrides`, before anything runs.
pub(super) fn check(path: &str) -> Vec<ParamProblem> {
    let Err(wrong) = Overrides::read(path) else { return Vec::new() };
    let more = wrong.len().saturating_sub(TOLD);
    let mut problems: Vec<ParamProblem> =
        wrong.into_iter().take(TOLD).map(|message| ParamProblem::new("overrides", message)).collect();
    if more > 0 {
        problems.push(ParamProblem::new("overrides", format!("and {more} more wrong lines in `{path}`")));
    }
    problems
}

fn text(path: &str) -> anyhow::Result<String> {
    let metadata = match std::fs::metadata(Path::new(path)) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(
            "file `{path}` doesn't exist (paths are relative to the working directory; the review sheet's \
             \"Download overrides.csv\" writes such a file)"
        ),
        Err(error) => bail!("file `{path}` can't be read: {error}"),
    };
    if !metadata.is_file() {
        bail!("`{path}` is no file (name a CSV file with the columns id, action, label, note)");
    }
    if metadata.len() > MOST_BYTES {
        bail!("`{path}` is too large for a file of decisions: {} bytes", metadata.len());
    }
    let bytes =
        std::fs::read(path).map_err(|error| anyhow::anyhow!("file `{path}` can't be read: {error}"))?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + valid.iter().filter(|&&byte| byte == b'\n').count();
            bail!("`{path}:{line}`: this is no UTF-8 text (save the file as CSV in UTF-8)")
        }
    }
}

/// Where each column is.
struct Columns {
    id: usize,
    action: usize,
    label: Option<usize>,
    note: Option<usize>,
    count: usize,
}

impl Columns {
    fn of(head: &[String]) -> Result<Self, String> {
        let names: Vec<String> = head.iter().map(|name| name.trim().to_ascii_lowercase()).collect();
        let at = |wanted: &str| names.iter().position(|name| name == wanted);
        if names.len() == 1 && names[0].contains([';', '\t']) {
            return Err("columns are not separated by commas (save the file as comma-separated CSV)".into());
        }
        for (position, name) in names.iter().enumerate() {
            if !["id", "action", "label", "note"].contains(&name.as_str()) {
                return Err(format!("there is no column `{name}` (the columns are id, action, label, note)"));
            }
            if at(name) != Some(position) {
                return Err(format!("column `{name}` occurs twice"));
            }
        }
        let needed = |wanted: &str| {
            at(wanted).ok_or_else(|| {
                format!("column `{wanted}` is missing (the first line is `id,action,label,note`)")
            })
        };
        Ok(Self {
            id: needed("id")?,
            action: needed("action")?,
            label: at("label"),
            note: at("note"),
            count: names.len(),
        })
    }

    fn decision(&self, line: usize, cells: &[String]) -> Result<Decision, String> {
        let cell = |at: Option<usize>| at.and_then(|at| cells.get(at)).map_or("", String::as_str);
        if cells.len() > self.count {
            return Err(format!(
                "{} cells in {} columns (put quotes around text with commas)",
                cells.len(),
                self.count
            ));
        }
        let (id, word) = (plain(cell(Some(self.id))), cell(Some(self.action)).trim());
        if id.is_empty() {
            return Err("the row names no image (`id` is empty)".to_owned());
        }
        let Some(action) = Action::from_name(word) else {
            return Err(format!("there is no action `{word}` (write keep, drop, relabel or downweight)"));
        };
        let label = Some(plain(cell(self.label))).filter(|label| !label.is_empty());
        match (action, &label) {
            (Action::Relabel, None) => Err("`relabel` needs a class in the column `label`".to_owned()),
            (Action::Relabel, Some(_)) | (_, None) => {
                Ok(Decision { id, action, label, note: plain(cell(self.note)), line })
            }
            (_, Some(label)) => Err(format!(
                "`{word}` takes no label, but this row has `{label}` (write `relabel`, or leave `label` empty)"
            )),
        }
    }
}

/// Text as a CSV cell that no spreadsheet takes for a formula: an apostrophe stands before a first
/// character that would make it one. [`plain`] takes it away again.
pub fn inert_cell(text: &str) -> String {
    if acts(text) { format!("'{text}") } else { text.to_owned() }
}

fn plain(cell: &str) -> String {
    cell.strip_prefix('\'').filter(|rest| acts(rest)).unwrap_or(cell).to_owned()
}

fn acts(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '\''])
}

#[cfg(test)]
#[path = "overrides/tests.rs"]
mod tests;
