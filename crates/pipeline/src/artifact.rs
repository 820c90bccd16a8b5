//! What flows between stages: typed values saved as folders of files.
//!
//! Does not know where the folders are (see `cache.rs`) nor what a value means.

use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A value at a port, saved as a folder of files.
///
/// What [`save`](Artifact::save) writes must be a function of the value alone: no clock, host,
/// user, absolute path or thread count, because the folder's digest decides whether the stages
/// behind it run again.
pub trait Artifact: Sized + Send + 'static {
    /// The type's name in pipeline files and error messages, in snake case: `manifest`.
    const TYPE: &'static str;

    /// Writes the value into the empty folder `dir`.
    ///
    /// # Errors
    /// When a file can't be written.
    fn save(&self, dir: &Path) -> anyhow::Result<()>;

    /// Reads the value back from `dir`.
    ///
    /// # Errors
    /// When a file is missing or isn't what `save` writes.
    fn load(dir: &Path) -> anyhow::Result<Self>;

    /// A rendering for people, for `peregrine show`: a few lines or a small table.
    fn text(&self) -> String;

    /// A rendering for programs, for `peregrine show --json` and for `when:` conditions.
    ///
    /// # Errors
    /// When the value has no JSON form (a number that is not finite, say).
    fn json(&self) -> anyhow::Result<serde_json::Value>;

    /// The rows of a table-like value, for `peregrine show --csv`.
    fn table(&self) -> Option<Table> {
        None
    }

    /// How many of what the value holds; lets `why` say "3 images fewer".
    fn count(&self) -> Option<Count> {
        None
    }
}

/// How many of what an artifact holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// How many.
    pub number: u64,
    /// Of what, in the plural: `images`.
    pub unit: String,
}

impl Count {
    /// `number` of `unit` (plural).
    pub fn new(number: usize, unit: &str) -> Self {
        Self { number: number as u64, unit: unit.to_owned() }
    }
}

/// A table of text cells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// The column names.
    pub columns: Vec<String>,
    /// The rows; each as long as `columns`.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// The table as RFC 4180 CSV with `\n` line ends and a header.
    pub fn to_csv(&self) -> String {
        let mut out = String::new();
        for row in std::iter::once(&self.columns).chain(&self.rows) {
            for (i, cell) in row.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                if cell.contains([',', '"', '\n', '\r']) {
                    let _ = write!(out, "\"{}\"", cell.replace('"', "\"\""));
                } else {
                    out.push_str(cell);
                }
            }
            out.push('\n');
        }
        out
    }
}

/// The three ways in which an artifact is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON value.
    Json,
    /// Comma-separated, where the artifact is a table.
    Csv,
}

/// Loads the artifact in `dir` as a `T` and renders it.
///
/// # Errors
/// When it can't be loaded, or has no such form.
pub fn view<T: Artifact>(dir: &Path, format: Format) -> anyhow::Result<String> {
    let value = T::load(dir)?;
    match format {
        Format::Text => Ok(value.text()),
        Format::Json => Ok(serde_json::to_string_pretty(&value.json()?)?),
        Format::Csv => match value.table() {
            Some(table) => Ok(table.to_csv()),
            None => anyhow::bail!("`{}` is not a table (use --json)", T::TYPE),
        },
    }
}

/// Loads the artifact in `dir` as a `T` and counts what it holds.
///
/// # Errors
/// When it can't be loaded.
pub fn count<T: Artifact>(dir: &Path) -> anyhow::Result<Option<Count>> {
    Ok(T::load(dir)?.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_with_commas_quotes_and_newlines_are_quoted() {
        let table = Table {
            columns: vec!["id".into(), "label".into()],
            rows: vec![vec!["a,b".into(), "say \"hi\"\n".into()]],
        };
        assert_eq!(table.to_csv(), "id,label\n\"a,b\",\"say \"\"hi\"\"\n\"\n");
    }
}
