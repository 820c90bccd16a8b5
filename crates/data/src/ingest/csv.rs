//! Opens a CSV file as a table of text.
//!
//! What the columns mean is `rows.rs`'s business.

use std::path::PathBuf;

use anyhow::Context as _;
use polars::prelude::{CsvReadOptions, CsvReader, DataFrame, SerReader as _};

use super::rows::check_file;

/// The table in the CSV file `path`, every column as text.
pub(super) fn open(path: &str) -> anyhow::Result<DataFrame> {
    check_file(path)?;
    CsvReadOptions::default()
        .with_has_header(true)
        .with_infer_schema_length(Some(0)) // Every column as text.
        .try_into_reader_with_file_path(Some(PathBuf::from(path)))
        .and_then(CsvReader::finish)
        .with_context(|| format!("file `{path}` is no CSV table"))
}
