//! Images listed in a table, whatever file the table is in.
//!
//! Does not open the table: `csv.rs` and `parquet.rs` do.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use peregrine_pipeline::{ParamProblem, SourceFile};
use polars::prelude::{DataFrame, DataType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::workplace::{Workplace, comes_in};
use super::{Found, plain, record, source_tag};
use crate::manifest::Split;

/// A table with one row for each image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableSource {
    /// The table's file, relative to the working directory, or `files:NAME` for a file that comes in
    /// at the input `files`.
    pub path: String,
    /// The folder that the paths in the table are relative to; the table's own folder when
    /// absent. A table that comes in at `files` needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The column with the path of the image.
    #[serde(default = "path_column")]
    pub path_column: String,
    /// The column with the class names.
    #[serde(default = "label_column")]
    pub label_column: String,
    /// The column with `train`, `val` or `test`; no split is given when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split_column: Option<String>,
    /// The column whose value images of one split share; no groups when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_column: Option<String>,
    /// The column with how much an image counts in the loss, at least 0; all 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_column: Option<String>,
    /// The column with the name of the data set that an image is from; `tag` where it is absent
    /// or a cell is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_column: Option<String>,
    /// The name of this data set in the manifest; the root folder's own name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

fn path_column() -> String {
    "path".to_owned()
}

fn label_column() -> String {
    "label".to_owned()
}

/// The most bytes of text in one column.
const TEXT: usize = 1 << 30;

/// A table whose columns may have any type.
pub(super) struct Table {
    /// The names of all columns.
    pub names: Vec<String>,
    /// The wanted columns at least.
    pub frame: DataFrame,
}

/// Opens a table's file: where it lies, how the user calls it, and the columns that are wanted.
pub(super) type Open = fn(&Path, &str, &[&str]) -> anyhow::Result<Table>;

/// The table's rows as text.
struct Rows {
    root: PathBuf,
    tag: String,
    paths: Vec<String>,
    labels: Vec<String>,
    splits: Vec<Option<String>>,
    groups: Vec<Option<String>>,
    weights: Vec<Option<String>>,
    sources: Vec<Option<String>>,
}

/// What is wrong, with the param that is to blame.
struct Wrong {
    param: &'static str,
    error: anyhow::Error,
}

fn blame(param: &'static str) -> impl Fn(anyhow::Error) -> Wrong {
    move |error| Wrong { param, error }
}

/// Refuses what is no file with bytes, before a reader of tables sees it.
pub(super) fn check_file(path: &Path, shown: &str) -> anyhow::Result<()> {
    let metadata = std::fs::metadata(path).with_context(|| format!("file `{shown}` can't be read"))?;
    ensure!(metadata.is_file(), "`{shown}` is a folder, not a file");
    ensure!(metadata.len() > 0, "file `{shown}` is empty");
    Ok(())
}

fn cells(table: &Table, column: &str, file: &str) -> anyhow::Result<Vec<Option<String>>> {
    let names = || table.names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let Ok(found) = table.frame.column(column) else {
        bail!("file `{file}` has no column `{column}` (it has {})", names());
    };
    let cells = found.cast(&DataType::String);
    let cells = cells.with_context(|| format!("column `{column}` of `{file}` is no text or number"))?;
    let cells = cells.str()?;
    let (rows, own) = (table.frame.height(), cells.len());
    ensure!(own == rows, "column `{column}` of `{file}` has {own} cells, but the table has {rows} rows");
    // A table holds a text once that many of its rows show.
    let text = cells.iter().flatten().fold(0_usize, |sum, text| sum.saturating_add(text.len()));
    ensure!(text <= TEXT, "column `{column}` of `{file}` has {text} bytes of text (the limit is {TEXT})");
    Ok(cells.iter().map(|text| text.map(str::to_owned)).collect())
}

fn full(table: &Table, column: &str, file: &str) -> anyhow::Result<Vec<String>> {
    let cells = cells(table, column, file)?;
    let filled = cells.into_iter().enumerate().map(|(row, cell)| {
        cell.filter(|cell| !cell.is_empty())
            .with_context(|| format!("row {} of `{file}` has no `{column}`", row + 1))
    });
    filled.collect()
}

impl TableSource {
    /// The columns that are named.
    fn wanted(&self) -> Vec<&str> {
        let optional = [&self.split_column, &self.group_column, &self.weight_column, &self.source_column];
        let always = [self.path_column.as_str(), self.label_column.as_str()];
        always.into_iter().chain(optional.into_iter().flatten().map(String::as_str)).collect()
    }
}

/// Reads the table of `source`, which lies in the file `at`.
fn read(source: &TableSource, at: &Path, open: Open) -> Result<Rows, Wrong> {
    let path = &source.path;
    let table = open(at, path, &source.wanted()).map_err(blame("source.path"))?;
    let own_folder = || Path::new(path).parent().unwrap_or(Path::new("")).to_path_buf();
    let root = source.root.as_ref().map_or_else(own_folder, PathBuf::from);
    let optional = |column: &Option<String>| match column {
        Some(column) => cells(&table, column, path),
        None => Ok(vec![None; table.frame.height()]),
    };
    Ok(Rows {
        tag: source_tag(source.tag.as_deref(), &plain(&root)),
        paths: full(&table, &source.path_column, path).map_err(blame("source.path_column"))?,
        labels: full(&table, &source.label_column, path).map_err(blame("source.label_column"))?,
        splits: optional(&source.split_column).map_err(blame("source.split_column"))?,
        groups: optional(&source.group_column).map_err(blame("source.group_column"))?,
        weights: optional(&source.weight_column).map_err(blame("source.weight_column"))?,
        sources: optional(&source.source_column).map_err(blame("source.source_column"))?,
        root,
    })
}

/// What is wrong with the table, before anything runs.
pub(super) fn check(source: &TableSource, open: Open) -> Vec<ParamProblem> {
    if let Some(root) = &source.root
        && !Path::new(root).is_dir()
    {
        let message = format!("folder `{root}` doesn't exist (paths are relative to the working directory)");
        return vec![ParamProblem::new("source.root", message)];
    }
    if comes_in(&source.path) {
        let missing =
            || ParamProblem::new("source.root", "is missing (a table that comes in at `files` needs it)");
        return source.root.is_none().then(missing).into_iter().collect();
    }
    let rows = match read(source, Path::new(&source.path), open) {
        Ok(rows) => rows,
        Err(Wrong { param, error }) => return vec![ParamProblem::new(param, format!("{error:#}"))],
    };
    let mut problems = Vec::new();
    let missing: Vec<usize> = (0..rows.paths.len()).filter(|&row| !rows.file(row).is_file()).collect();
    if let Some(&first) = missing.first() {
        let others = missing.len() - 1;
        let more = if others > 0 { format!(", and {others} more are missing") } else { String::new() };
        let (path, row) = (rows.file(first), first + 1);
        problems.push(ParamProblem::new(
            "source.path",
            format!(
                "row {row} names the file `{}`, which doesn't exist{more} (is `root` right?)",
                path.display()
            ),
        ));
    }
    let first = rows.labels.first();
    if rows.labels.iter().all(|label| Some(label) == first) {
        let message = match first {
            None => "the table has no rows".to_owned(),
            Some(label) => {
                format!("all rows have the label `{label}` (a classifier needs at least two classes)")
            }
        };
        problems.push(ParamProblem::new("source.label_column", message));
    }
    for (param, error) in
        [("source.split_column", rows.split().err()), ("source.weight_column", rows.weight().err())]
    {
        problems.extend(error.map(|error| ParamProblem::new(param, format!("{error:#}"))));
    }
    problems
}

/// The table and the files it names; all of the root folder while the table isn't there yet.
pub(super) fn sources(source: &TableSource, open: Open) -> anyhow::Result<Vec<PathBuf>> {
    if comes_in(&source.path) {
        return Ok(source.root.iter().map(PathBuf::from).collect());
    }
    let rows = read(source, Path::new(&source.path), open).map_err(|wrong| wrong.error)?;
    let mut files: Vec<PathBuf> = (0..rows.paths.len()).map(|row| rows.file(row)).collect();
    files.push(PathBuf::from(&source.path));
    files.sort_unstable();
    files.dedup();
    Ok(files)
}

/// The images that the table names.
pub(super) fn list(
    source: &TableSource,
    open: Open,
    workplace: &Workplace<'_>,
) -> anyhow::Result<Vec<Found>> {
    let rows = read(source, &workplace.find(&source.path)?, open).map_err(|wrong| wrong.error)?;
    let known: HashMap<PathBuf, &SourceFile> =
        workplace.files.iter().map(|file| (plain(&file.path), file)).collect();
    let splits = rows.split()?;
    let weights = rows.weight()?;
    let found = (0..rows.paths.len()).map(|row| {
        let path = rows.file(row);
        let file = known.get(&plain(&path)).with_context(|| {
            format!("row {} names the file `{}`, which doesn't exist", row + 1, path.display())
        })?;
        let relative = plain(Path::new(&rows.paths[row]));
        let mut record = record(&rows.root, &relative, file, &rows.tag);
        record.predefined = splits[row];
        record.group = rows.groups[row].clone().filter(|group| !group.is_empty());
        record.weight = weights[row];
        if let Some(source) = rows.sources[row].as_ref().filter(|source| !source.is_empty()) {
            record.source.clone_from(source);
        }
        Ok(Found { class: rows.labels[row].clone(), record })
    });
    found.collect()
}

impl Rows {
    fn file(&self, row: usize) -> PathBuf {
        self.root.join(plain(Path::new(&self.paths[row])))
    }

    fn split(&self) -> anyhow::Result<Vec<Option<Split>>> {
        let read = |(row, cell): (usize, &Option<String>)| match cell.as_deref() {
            None | Some("") => Ok(None),
            Some(word) => Split::from_name(word).map(Some).with_context(|| {
                format!("row {} has the split `{word}` (write train, val or test)", row + 1)
            }),
        };
        self.splits.iter().enumerate().map(read).collect()
    }

    fn weight(&self) -> anyhow::Result<Vec<f32>> {
        let read = |(row, cell): (usize, &Option<String>)| match cell.as_deref() {
            None | Some("") => Ok(1.0),
            Some(word) => {
                let weight = word.trim().parse::<f32>().ok();
                weight.filter(|weight| weight.is_finite() && *weight >= 0.0).with_context(|| {
                    format!("row {} has the weight `{word}` (write a number, at least 0)", row + 1)
                })
            }
        };
        self.weights.iter().enumerate().map(read).collect()
    }
}
