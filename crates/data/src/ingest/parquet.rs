//! Opens a Parquet file as a table.
//!
//! What the columns mean is `rows.rs`'s business.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use anyhow::{Context as _, ensure};
use polars::prelude::{DataFrame, ParquetReader, SerReader as _};

use super::rows::check_file;

/// The first and the last four bytes of a Parquet file.
const MAGIC: &[u8; 4] = b"PAR1";

/// The table in the Parquet file `path`.
pub(super) fn open(path: &str) -> anyhow::Result<DataFrame> {
    check_file(path)?;
    let mut file = File::open(path).with_context(|| format!("file `{path}` can't be read"))?;
    let mut mark = [0; 4];
    let begins = file.read_exact(&mut mark).is_ok() && mark == *MAGIC;
    ensure!(begins, "file `{path}` is no Parquet file (it doesn't begin with `PAR1`)");
    let ends = file.seek(SeekFrom::End(-4)).is_ok() && file.read_exact(&mut mark).is_ok() && mark == *MAGIC;
    ensure!(ends, "file `{path}` is cut short (a Parquet file ends with `PAR1`; copy it again)");
    file.rewind()?;
    // The reader's own checks are not complete: it panics on some files that lie about themselves.
    let read = std::panic::catch_unwind(move || ParquetReader::new(file).finish());
    let read =
        read.map_err(|_| anyhow::anyhow!("file `{path}` is damaged (its pages contradict its head)"))?;
    read.with_context(|| format!("file `{path}` is no Parquet table"))
}
