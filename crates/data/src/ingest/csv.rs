//! Opens a CSV file as a table of text.
//!
//! What the columns mean is `rows.rs`'s business.

use std::path::Path;

use anyhow::Context as _;
use polars::prelude::{CsvReadOptions, CsvReader, SerReader as _};

use super::rows::{Table, check_file};

/// The table in the CSV file `path`, called `shown`, every column as text.
pub(super) fn open(path: &Path, shown: &str, _wanted: &[&str]) -> anyhow::Result<Table> {
    check_file(path, shown)?;
    let frame = CsvReadOptions::default()
        .with_has_header(true)
        .with_infer_schema_length(Some(0)) // Every column as text.
        .try_into_reader_with_file_path(Some(path.to_owned()))
        .and_then(CsvReader::finish)
        .with_context(|| format!("file `{shown}` is no CSV table"))?;
    let names = frame.get_column_names().into_iter().map(ToString::to_string).collect();
    Ok(Table { names, frame })
}
