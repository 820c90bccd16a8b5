//! Holds what a Parquet file claims about itself against what it has, before a reader takes memory
//! for the claim.
//!
//! Reads the footer and the head of every page of the wanted columns, and unpacks nothing.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, ensure};

use super::thrift::Value;

/// The largest footer, in bytes.
const FOOTER: u64 = 16 << 20;
/// The most rows.
pub(super) const ROWS: i64 = 10_000_000;
/// The most bytes that the wanted columns unpack to.
const UNPACKED: i64 = 1 << 30;
/// The most columns, those inside of others counted, and row groups.
const PARTS: usize = 100_000;
/// The largest head of a page, in bytes; it holds a few numbers, and maybe two values.
const PAGE_HEAD: usize = 1 << 20;
/// The number of the encoding in which a text goes on from the one before.
const DELTA_BYTE_ARRAY: i64 = 7;

/// What is claimed by the pages of all wanted columns together.
#[derive(Default)]
struct Sums {
    unpacked: i64,
    values: i64,
}

/// Refuses `file` when reading `wanted` of its columns would take more memory than it is worth.
///
/// # Errors
/// Saying what is too large, or contradicts itself.
pub(super) fn check(file: &File, wanted: &[&str]) -> anyhow::Result<()> {
    let length = file.metadata()?.len();
    let mut tail = [0; 8];
    file.read_exact_at(&mut tail, length.checked_sub(12).context("it is too short")? + 4)?;
    let size = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    ensure!(size <= length - 12, "its footer is to have {size} bytes, more than the file");
    ensure!(size <= FOOTER, "its footer has {size} bytes (the limit is {FOOTER})");
    let mut footer = vec![0; size as usize];
    file.read_exact_at(&mut footer, length - 8 - size)?;
    let (footer, _) = Value::read(&footer).context("its footer can't be read")?;
    let rows = footer.number(3).context("its footer has no number of rows")?;
    ensure!((0..=ROWS).contains(&rows), "it claims {rows} rows (the limit is {ROWS})");
    schema(&footer, rows)?;
    let groups = footer.list(4);
    ensure!(groups.len() <= PARTS, "it has {} groups of rows (the limit is {PARTS})", groups.len());
    let (mut counted, mut sums) = (0_i64, Sums::default());
    for group in groups {
        let count = group.number(3).context("a group of rows has no number of rows")?;
        ensure!((0..=rows - counted).contains(&count), "its groups have more rows than the {rows} it claims");
        counted += count;
        for chunk in group.list(1) {
            let meta = chunk.field(3).context("a column has no description")?;
            let name = meta.list(3).first().and_then(Value::text).unwrap_or_default();
            if wanted.contains(&name) {
                let checked = column(file, length - 8 - size, meta, count, &mut sums);
                checked.with_context(|| format!("its column `{}`", name.escape_debug()))?;
            }
        }
    }
    ensure!(counted == rows, "its groups have {counted} rows, not the {rows} it claims");
    Ok(())
}

/// Checks the columns' own sizes.
fn schema(footer: &Value<'_>, rows: i64) -> anyhow::Result<()> {
    let columns = footer.list(2);
    ensure!(!columns.is_empty() && columns.len() <= PARTS, "it has {} columns", columns.len());
    for column in columns {
        let length = column.number(2).unwrap_or(0);
        ensure!(
            length >= 0 && length.saturating_mul(rows.max(1)) <= UNPACKED,
            "its values of {length} bytes are too large"
        );
        let children = column.number(5).unwrap_or(0);
        let possible = (0..columns.len() as i64).contains(&children);
        ensure!(possible, "a column claims {children} columns inside of it, of {} in all", columns.len());
    }
    Ok(())
}

/// Walks over the pages of a column in one group of `rows`; they lie before `end`.
fn column(file: &File, end: u64, meta: &Value<'_>, rows: i64, sums: &mut Sums) -> anyhow::Result<()> {
    let number = |field: i16| meta.number(field).context("its description lacks a number");
    let (values, packed, first) = (number(5)?, number(7)?, number(9)?);
    ensure!(values >= rows, "claims {values} values in {rows} rows");
    let begin = meta.number(11).unwrap_or(first);
    ensure!(begin <= first, "has its dictionary behind its values");
    let range = u64::try_from(begin).ok().zip(u64::try_from(packed).ok());
    let range = range.and_then(|(begin, packed)| Some((begin, begin.checked_add(packed)?)));
    let Some((mut at, stop)) = range.filter(|&(begin, stop)| begin >= 4 && stop <= end) else {
        anyhow::bail!("is to lie where the file has no data ({packed} bytes from {begin} on)");
    };
    let mut seen = 0_i64;
    // A reader stops at the last value, whatever lies behind it.
    while at < stop && seen < values {
        let (head, size) = page_head(file, at, stop)?;
        let packed = head.number(3).and_then(|packed| u64::try_from(packed).ok());
        let next = packed.and_then(|packed| (at + size).checked_add(packed)).filter(|&next| next <= stop);
        at = next.context("has a page that is larger than the column")?;
        seen += page(&head, sums)?;
        ensure!(seen <= values, "has more values in its pages than the {values} it claims");
    }
    ensure!(seen == values, "claims {values} values, and its pages have {seen}");
    Ok(())
}

/// The head of the page at `at`, and its size.
fn page_head(file: &File, at: u64, stop: u64) -> anyhow::Result<(Value<'static>, u64)> {
    let left = usize::try_from(stop - at).unwrap_or(usize::MAX);
    let mut last = None;
    for size in [512, PAGE_HEAD].map(|size| size.min(left)) {
        let mut bytes = vec![0; size];
        file.read_exact_at(&mut bytes, at)?;
        match Value::read(&bytes) {
            Ok((head, size)) => return Ok((numbers(&head), size as u64)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| anyhow::anyhow!("it is cut short")).context("has a damaged page"))
}

/// The numbers of a head alone, which need no bytes of the file.
fn numbers(value: &Value<'_>) -> Value<'static> {
    match value {
        Value::Number(kind, number) => Value::Number(*kind, *number),
        Value::Struct(fields) => {
            Value::Struct(fields.iter().map(|(number, value)| (*number, numbers(value))).collect())
        }
        _ => Value::Bytes(&[]),
    }
}

/// Adds up what a page claims; gives its number of values.
fn page(head: &Value<'_>, sums: &mut Sums) -> anyhow::Result<i64> {
    let unpacked = head.number(2).context("has a page without a size")?;
    ensure!(unpacked >= 0, "has a page of {unpacked} bytes");
    sums.unpacked += unpacked;
    ensure!(
        sums.unpacked <= UNPACKED,
        "unpacks to more than the {UNPACKED} bytes that a table of images may have"
    );
    if let Some(dictionary) = head.field(7) {
        let entries = dictionary.number(1).context("has a dictionary without a size")?;
        ensure!(
            (0..=unpacked).contains(&entries),
            "has a dictionary of {entries} values in {unpacked} bytes"
        );
        return Ok(0);
    }
    let (body, encoding) = match (head.field(5), head.field(8)) {
        (Some(body), _) => (body, body.number(2)),
        (None, Some(body)) => (body, body.number(4)),
        // An index, which no reader looks at.
        (None, None) => return Ok(0),
    };
    let values = body.number(1).context("has a page without a number of values")?;
    ensure!(values >= 0, "has a page of {values} values");
    sums.values = sums.values.saturating_add(values);
    ensure!(sums.values <= 8 * ROWS, "has more values than the limit of {}", 8 * ROWS);
    for field in [2, 3, 5, 6] {
        // Of the second kind of pages: empty cells, rows, and the bytes of two lists.
        let sound = head.field(8).is_none_or(|body| body.number(field).is_none_or(|number| number >= 0));
        ensure!(sound, "has a page with a negative size");
    }
    let grows = encoding == Some(DELTA_BYTE_ARRAY);
    ensure!(
        !grows || values.saturating_mul(unpacked) <= 4 * UNPACKED,
        "may unpack to far more than it has (write it without DELTA_BYTE_ARRAY)"
    );
    Ok(values)
}
