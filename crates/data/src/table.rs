//! Tables on disk: parquet files through polars' eager API.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context as _, ensure};
use polars::prelude::{Column, DataFrame, DataType, ParquetReader, ParquetWriter, SerReader as _};

/// Writes `columns` of `rows` rows to the parquet file `path`.
pub(crate) fn write(path: &Path, rows: usize, columns: Vec<Column>) -> anyhow::Result<()> {
    let mut frame = DataFrame::new(rows, columns)?;
    let file = File::create(path).with_context(|| format!("creating `{}`", path.display()))?;
    ParquetWriter::new(BufWriter::new(file))
        .with_row_group_size(Some(1 << 20))
        .finish(&mut frame)
        .with_context(|| format!("writing `{}`", path.display()))?;
    Ok(())
}

/// Reads the parquet file `path`.
pub(crate) fn read(path: &Path) -> anyhow::Result<DataFrame> {
    let file = File::open(path).with_context(|| format!("opening `{}`", path.display()))?;
    ParquetReader::new(file).finish().with_context(|| format!("reading `{}`", path.display()))
}

fn column<'a>(frame: &'a DataFrame, name: &str, dtype: &DataType) -> anyhow::Result<&'a Column> {
    let column = frame.column(name)?;
    ensure!(column.dtype() == dtype, "column `{name}` is {}, expected {dtype}", column.dtype());
    Ok(column)
}

/// The column `name` of text, without gaps.
pub(crate) fn texts(frame: &DataFrame, name: &str) -> anyhow::Result<Vec<String>> {
    optional_texts(frame, name)?
        .into_iter()
        .map(|text| text.with_context(|| format!("column `{name}` has an empty cell")))
        .collect()
}

/// The column `name` of text.
pub(crate) fn optional_texts(frame: &DataFrame, name: &str) -> anyhow::Result<Vec<Option<String>>> {
    let column = column(frame, name, &DataType::String)?;
    Ok(column.str()?.iter().map(|text| text.map(str::to_owned)).collect())
}

/// The column `name` of 32-bit floats with gaps.
pub(crate) fn optional_f32s(frame: &DataFrame, name: &str) -> anyhow::Result<Vec<Option<f32>>> {
    Ok(column(frame, name, &DataType::Float32)?.f32()?.iter().collect())
}

macro_rules! numbers {
    ($(#[$doc:meta] $name:ident: $method:ident, $dtype:ident, $t:ty;)*) => {$(
        #[$doc]
        pub(crate) fn $name(frame: &DataFrame, name: &str) -> anyhow::Result<Vec<$t>> {
            column(frame, name, &DataType::$dtype)?
                .$method()?
                .iter()
                .map(|value| value.with_context(|| format!("column `{name}` has an empty cell")))
                .collect()
        }
    )*};
}

numbers! {
    /// The column `name` of 32-bit counts.
    u32s: u32, UInt32, u32;
    /// The column `name` of 64-bit counts.
    u64s: u64, UInt64, u64;
    /// The column `name` of 32-bit floats.
    f32s: f32, Float32, f32;
    /// The column `name` of truth values.
    bools: bool, Boolean, bool;
}

/// Columns as they lie in a table, for readers that take one row after another out of all of them.
pub(crate) mod cells {
    use anyhow::ensure;
    use polars::prelude::{
        BooleanChunked, ChunkedArray, DataFrame, DataType, Float32Chunked, PolarsDataType, StringChunked,
        UInt32Chunked, UInt64Chunked,
    };

    macro_rules! cells {
        ($(#[$doc:meta] $name:ident: $method:ident, $dtype:ident, $t:ty;)*) => {$(
            #[$doc]
            pub(crate) fn $name<'a>(frame: &'a DataFrame, name: &str) -> anyhow::Result<&'a $t> {
                Ok(super::column(frame, name, &DataType::$dtype)?.$method()?)
            }
        )*};
    }

    cells! {
        /// The column `name` of text.
        texts: str, String, StringChunked;
        /// The column `name` of 32-bit counts.
        u32s: u32, UInt32, UInt32Chunked;
        /// The column `name` of 64-bit counts.
        u64s: u64, UInt64, UInt64Chunked;
        /// The column `name` of 32-bit floats.
        f32s: f32, Float32, Float32Chunked;
        /// The column `name` of truth values.
        bools: bool, Boolean, BooleanChunked;
    }

    /// `column`, which must have no gaps.
    pub(crate) fn full<T: PolarsDataType>(column: &ChunkedArray<T>) -> anyhow::Result<&ChunkedArray<T>> {
        ensure!(column.null_count() == 0, "column `{}` has an empty cell", column.name());
        Ok(column)
    }
}
