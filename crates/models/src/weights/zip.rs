//! The zip archives that `torch.save` writes: entries lie in them as they are, so nothing is
//! unpacked and no archive can grow in memory.
//!
//! Refuses to read compressed and encrypted entries and those whose checksum is not theirs, and
//! archives whose entries overlap or appear twice.

use std::collections::BTreeMap;
use std::ops::Range;

const MAX_ENTRIES: u64 = 100_000;

/// Where each entry's bytes lie in the file.
pub(super) type Entries = BTreeMap<String, Entry>;

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) range: Range<usize>,
    crc: u32,
    /// Neither compressed nor encrypted.
    plain: bool,
}

/// The archive's entries.
pub(super) fn entries(file: &[u8]) -> Result<Entries, String> {
    let (count, start) = directory(file)?;
    let mut entries = Entries::new();
    let mut at = start;
    for _ in 0..count {
        let (name, entry, next) = entry(file, at)?;
        at = next;
        if entries.insert(name.clone(), entry).is_some() {
            return Err(format!("`{}` is in the archive twice", name.escape_debug()));
        }
    }
    let mut ranges: Vec<&Range<usize>> = entries.values().map(|entry| &entry.range).collect();
    ranges.sort_by_key(|range| (range.start, range.end));
    if ranges.windows(2).any(|pair| pair[1].start < pair[0].end) {
        return Err("entries of the archive overlap".to_owned());
    }
    Ok(entries)
}

/// Checks that the entry is there as it is, and its CRC-32.
pub(super) fn intact(file: &[u8], name: &str, entry: &Entry) -> Result<(), String> {
    if !entry.plain {
        let name = name.escape_debug();
        return Err(format!("`{name}` is compressed or encrypted (torch.save stores entries as they are)"));
    }
    if crc32(&file[entry.range.clone()]) == entry.crc {
        Ok(())
    } else {
        Err(format!("the checksum of `{}` is not that of its bytes (download it again)", name.escape_debug()))
    }
}

fn number(file: &[u8], at: usize, bytes: usize) -> Result<u64, String> {
    let slice = at.checked_add(bytes).and_then(|end| file.get(at..end));
    let slice = slice.ok_or("the archive ends inside of an entry (download it again)")?;
    Ok(slice.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}

/// How many entries there are and where their list starts.
fn directory(file: &[u8]) -> Result<(u64, usize), String> {
    let tail = file.len().saturating_sub(65_557);
    let found = file[tail..].windows(4).rposition(|four| four == b"PK\x05\x06");
    let end = tail + found.ok_or("the archive has no end (a truncated download?)")?;
    if file.len() - end < 22 + number(file, end + 20, 2)? as usize {
        return Err("the archive's end is cut (a truncated download?)".to_owned());
    }
    let (mut count, mut start) = (number(file, end + 10, 2)?, number(file, end + 16, 4)?);
    if (count == 0xffff || start == 0xffff_ffff) && end >= 20 && file[end - 20..].starts_with(b"PK\x06\x07") {
        let at = usize::try_from(number(file, end - 12, 8)?).unwrap_or(usize::MAX);
        if !file.get(at..).is_some_and(|rest| rest.starts_with(b"PK\x06\x06")) {
            return Err("the archive's end is damaged".to_owned());
        }
        (count, start) = (number(file, at + 32, 8)?, number(file, at + 48, 8)?);
    }
    if count > MAX_ENTRIES {
        return Err(format!("the archive claims {count} entries (at most {MAX_ENTRIES})"));
    }
    Ok((count, usize::try_from(start).unwrap_or(usize::MAX)))
}

/// The entry listed at `at`, and where the next one is listed.
fn entry(file: &[u8], at: usize) -> Result<(String, Entry, usize), String> {
    if number(file, at, 4)? != 0x0201_4b50 {
        return Err("the archive's list of entries is damaged".to_owned());
    }
    let field = |offset: usize, bytes: usize| number(file, at + offset, bytes);
    let (flags, method, crc) = (field(8, 2)?, field(10, 2)?, field(16, 4)? as u32);
    let lengths = [field(28, 2)? as usize, field(30, 2)? as usize, field(32, 2)? as usize];
    let next = at + 46 + lengths.iter().sum::<usize>();
    if next > file.len() {
        return Err("the archive ends inside of its list of entries".to_owned());
    }
    let name = String::from_utf8_lossy(&file[at + 46..at + 46 + lengths[0]]).into_owned();
    let extra = &file[at + 46 + lengths[0]..at + 46 + lengths[0] + lengths[1]];
    let mut large = zip64(extra);
    let mut size = |offset: usize| -> Result<u64, String> {
        let value = field(offset, 4)?;
        if value == 0xffff_ffff {
            large.next().ok_or("an entry without a size".to_owned())
        } else {
            Ok(value)
        }
    };
    let (whole, stored, header) = (size(24)?, size(20)?, size(42)?);
    let plain = flags & 1 == 0 && method == 0 && whole == stored;
    let header = usize::try_from(header).unwrap_or(usize::MAX);
    if number(file, header, 4)? != 0x0403_4b50 {
        return Err(format!("`{}` is not where the archive says", name.escape_debug()));
    }
    let start = header + 30 + number(file, header + 26, 2)? as usize + number(file, header + 28, 2)? as usize;
    let end = usize::try_from(stored).ok().and_then(|stored| start.checked_add(stored));
    match end {
        Some(end) if end <= file.len() => Ok((name, Entry { range: start..end, crc, plain }, next)),
        _ => Err(format!("`{}` reaches beyond the archive (a truncated download?)", name.escape_debug())),
    }
}

/// The large numbers of an entry, in their order.
fn zip64(mut extra: &[u8]) -> impl Iterator<Item = u64> {
    let mut numbers = Vec::new();
    while let [a, b, c, d, rest @ ..] = extra {
        let (id, length) = (u16::from_le_bytes([*a, *b]), usize::from(u16::from_le_bytes([*c, *d])));
        let content = &rest[..length.min(rest.len())];
        if id == 1 {
            numbers = content
                .chunks_exact(8)
                .map(|n| n.iter().rev().fold(0, |v, &byte| v << 8 | u64::from(byte)))
                .collect();
            break;
        }
        extra = &rest[content.len()..];
    }
    numbers.into_iter()
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut table = [0_u32; 256];
    for (entry, byte) in table.iter_mut().zip(0_u32..) {
        *entry = (0..8).fold(byte, |crc, _| if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0xedb8_8320 });
    }
    !bytes.iter().fold(!0, |crc, &byte| crc >> 8 ^ table[(crc as u8 ^ byte) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn what_is_no_archive_is_an_error() {
        assert!(entries(b"").is_err());
        assert!(entries(b"PK\x03\x04").unwrap_err().contains("truncated"));
        assert!(entries(&[b"PK\x05\x06".as_slice(), &[255; 18]].concat()).is_err());
    }
}
