//! Images in a zip archive, stored or deflated.
//!
//! Refuses encryption, links, other methods, entries that overlap, and archives whose two lists of
//! entries differ.

use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};

use anyhow::{Context as _, bail, ensure};
use zip::{CompressionMethod, ZipArchive};

use super::Found;
use super::archive::{self, ArchiveSource, Guard, Kind, Limits, Member, entry};
use super::workplace::{self, Workplace};

/// What is wrong, before anything runs.
pub(super) fn check(source: &ArchiveSource) -> Vec<peregrine_pipeline::ParamProblem> {
    archive::check(source, |file| {
        let mut mark = [0; 4];
        let read = file.read_exact(&mut mark);
        let known = read.is_ok() && matches!(mark, [b'P', b'K', 3, 4] | [b'P', b'K', 5, 6]);
        ensure!(known, "`{}` is no zip archive (it doesn't begin with `PK`)", source.path);
        Ok(())
    })
}

/// The images in the archive.
pub(super) fn list(source: &ArchiveSource, workplace: &mut Workplace<'_>) -> anyhow::Result<Vec<Found>> {
    let members = read(source, workplace).with_context(|| format!("archive `{}` is refused", source.path))?;
    archive::arrange(source, members, workplace)
}

fn read(source: &ArchiveSource, workplace: &mut Workplace<'_>) -> anyhow::Result<Vec<Member>> {
    let limits = Limits::of(source);
    let mut file = workplace.open(&source.path)?;
    let mut archive = ZipArchive::new(BufReader::new(file.try_clone()?)).map_err(|error| plain(&error))?;
    ensure!(archive.len() as u64 <= limits.entries, "more than {} entries", limits.entries);
    if archive.has_duplicate_names() {
        let name = second(&mut file, archive.central_directory_start())?;
        bail!("{}: the archive has two files of this name", entry(&name));
    }
    let wanted = look(&mut archive, limits)?;
    archive.validate_header_consistency().map_err(|error| plain(&error))?;
    let mut members = Vec::with_capacity(wanted.len());
    for (index, name) in &wanted {
        let mut reader = archive.by_index(*index).map_err(|error| plain(&error))?;
        let raw = reader.name_raw().to_vec();
        let (bytes, start) = (reader.size(), reader.data_start());
        let stored = start.filter(|_| reader.compression() == CompressionMethod::Stored);
        let taken = match stored {
            Some(offset) => workplace::digest(&mut reader, bytes, |_| Ok(())).map(|digest| (offset, digest)),
            None => workplace.blob.copy(&mut reader, bytes),
        };
        let (offset, digest) = taken.with_context(|| entry(&raw))?;
        // Only at its end is an entry held to its checksum.
        let more = reader.read(&mut [0]).with_context(|| entry(&raw))?;
        ensure!(more == 0, "{}: it has more than the {bytes} bytes that it says", entry(&raw));
        members.push(Member { name: name.clone(), inside: stored.is_some(), offset, bytes, digest });
        workplace.step(members.len() as u64, wanted.len() as u64)?;
    }
    Ok(members)
}

fn plain(error: &zip::result::ZipError) -> anyhow::Error {
    let text: String = error.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    anyhow::anyhow!("{text}")
}

/// The images among the entries; every entry is looked at, none is unpacked.
fn look(
    archive: &mut ZipArchive<BufReader<File>>,
    limits: Limits,
) -> anyhow::Result<Vec<(usize, std::path::PathBuf)>> {
    let mut guard = Guard::new(limits);
    let mut wanted = Vec::new();
    let (mut packed, mut unpacked) = (0_u64, 0_u64);
    for index in 0..archive.len() {
        let file = archive.by_index_raw(index).map_err(|error| plain(&error))?;
        let name = file.name_raw().to_vec();
        let folder = name.ends_with(b"/");
        let path = guard.admit(&name, if folder { Kind::Folder } else { Kind::File })?;
        let wrong = || -> anyhow::Result<()> {
            let mode = file.unix_mode().map_or(0, |mode| mode & 0o170_000);
            ensure!(mode != 0o120_000, "it is a symbolic link");
            ensure!(matches!(mode, 0 | 0o100_000 | 0o040_000), "it is no file and no folder (mode {mode:o})");
            ensure!(!file.encrypted(), "it is encrypted (unpack the archive with its password)");
            let method = file.compression();
            let known = [CompressionMethod::Stored, CompressionMethod::Deflated].contains(&method);
            ensure!(known, "it is compressed with {method} (only stored and deflated ones are read)");
            ensure!(!folder || file.size() == 0, "it is a folder with content");
            let equal = method != CompressionMethod::Stored || file.size() == file.compressed_size();
            ensure!(equal, "it is stored, but its two sizes differ");
            ensure!(
                path.is_none() || file.size() <= limits.image,
                "it has {} bytes (the limit for an image is {})",
                file.size(),
                limits.image
            );
            limits.check_size(file.compressed_size(), file.size())
        };
        wrong().with_context(|| entry(&name))?;
        packed = packed.saturating_add(file.compressed_size());
        unpacked = unpacked.saturating_add(file.size());
        wanted.extend(path.map(|path| (index, path)));
    }
    limits.check_size(packed, unpacked)?;
    Ok(wanted)
}

/// The first name that the list of entries at `start` has a second time.
fn second(file: &mut File, start: u64) -> anyhow::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(start))?;
    let mut list = BufReader::new(file);
    let mut seen = std::collections::HashSet::new();
    let mut head = [0; 46];
    loop {
        list.read_exact(&mut head)?;
        let length = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
        ensure!(head.starts_with(b"PK\x01\x02"), "two files have the same name");
        let mut name = vec![0; length(28)];
        list.read_exact(&mut name)?;
        list.seek_relative((length(30) + length(32)) as i64)?;
        if !seen.insert(blake3::hash(&name)) {
            return Ok(name);
        }
    }
}
