//! Opens a Parquet file as a table.
//!
//! What the columns mean is `rows.rs`'s business.

mod claims;
#[cfg(test)]
mod tests;
mod thrift;

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use anyhow::{Context as _, ensure};
use polars::prelude::{DataFrame, ParquetReader, PolarsResult, SerReader as _};

use super::rows::{Table, check_file};

/// The first and the last four bytes of a Parquet file.
const MAGIC: &[u8; 4] = b"PAR1";

/// Those of the columns `wanted` that the Parquet file `path` has, called `shown`.
pub(super) fn open(path: &Path, shown: &str, wanted: &[&str]) -> anyhow::Result<Table> {
    check_file(path, shown)?;
    let mut file = File::open(path).with_context(|| format!("file `{shown}` can't be read"))?;
    let mut mark = [0; 4];
    let begins = file.read_exact(&mut mark).is_ok() && mark == *MAGIC;
    ensure!(begins, "file `{shown}` is no Parquet file (it doesn't begin with `PAR1`)");
    let ends = file.seek(SeekFrom::End(-4)).is_ok() && file.read_exact(&mut mark).is_ok() && mark == *MAGIC;
    ensure!(ends, "file `{shown}` is cut short (a Parquet file ends with `PAR1`; copy it again)");
    file.rewind()?;
    claims::check(&file, wanted).with_context(|| format!("file `{shown}` is refused"))?;
    let columns = wanted.iter().map(|&column| column.to_owned()).collect();
    // The reader's own checks are not complete: it panics on some files that lie about themselves.
    let read = std::panic::catch_unwind(move || read(file, columns));
    let read =
        read.map_err(|_| anyhow::anyhow!("file `{shown}` is damaged (its pages contradict its head)"))?;
    let (names, frame) = read.with_context(|| format!("file `{shown}` is no Parquet table"))?;
    Ok(Table { names, frame })
}

/// The names of all columns of `file`, and those that are `wanted`.
fn read(file: File, mut wanted: Vec<String>) -> PolarsResult<(Vec<String>, DataFrame)> {
    let mut reader = ParquetReader::new(file);
    let names: Vec<String> = reader.schema()?.iter_names().map(ToString::to_string).collect();
    wanted.retain(|column| names.contains(column));
    wanted.sort_unstable();
    wanted.dedup();
    Ok((names, reader.with_columns(Some(wanted)).finish()?))
}
