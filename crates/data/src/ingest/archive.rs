//! What every archive is held to: which names, how many entries, how large, how dense.
//!
//! Nothing is ever unpacked under its own name, so that no archive can write anywhere; names are
//! refused all the same where they would, because such an archive is not what it says it is.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context as _, bail, ensure};
use peregrine_pipeline::ParamProblem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::workplace::{self, Workplace};
use super::{Found, has_image_extension, image_folder, is_hidden};
use crate::escape;
use crate::manifest::{ImageRecord, Split};

/// An archive with an image folder inside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveSource {
    /// The archive, relative to the working directory, or `files:NAME` for a file that comes in
    /// at the input `files`.
    pub path: String,
    /// The name of this data set in the manifest; the archive's name without its endings when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The most bytes that a compressed archive may unpack to, 1 to 16 TiB; 64 GiB unless said.
    #[serde(default = "max_unpacked_bytes")]
    #[schemars(range(min = 1, max = 17_592_186_044_416_u64))]
    pub max_unpacked_bytes: u64,
}

fn max_unpacked_bytes() -> u64 {
    64 << 30
}

/// What an archive may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The most entries.
    pub entries: u64,
    /// The most bytes that it may unpack to.
    pub unpacked: u64,
    /// How many bytes a compressed byte may become.
    pub ratio: u64,
    /// The most bytes of an image.
    pub image: u64,
}

/// The longest name in bytes.
const NAME: usize = 4096;
/// So many bytes come free before the ratio counts: small files of one colour are very dense.
const FREE: u64 = 1 << 20;

impl Limits {
    pub(super) fn of(source: &ArchiveSource) -> Self {
        Self {
            entries: 2_000_000,
            unpacked: source.max_unpacked_bytes,
            ratio: 200,
            image: crate::decode::MAX_BYTES,
        }
    }

    /// Refuses `unpacked` bytes out of `packed` ones.
    pub(super) fn check_size(&self, packed: u64, unpacked: u64) -> anyhow::Result<()> {
        ensure!(
            unpacked <= self.unpacked,
            "unpacks to more than {} bytes (raise `max_unpacked_bytes` if it may)",
            self.unpacked
        );
        ensure!(
            unpacked <= packed.saturating_mul(self.ratio).saturating_add(FREE),
            "unpacks to more than {} times its size (a decompression bomb?)",
            self.ratio
        );
        Ok(())
    }
}

/// An image in an archive.
#[derive(Debug)]
pub(super) struct Member {
    /// Its name, cleaned of `.` parts.
    pub name: PathBuf,
    /// Whether its bytes are in the archive as they are; else they were copied to the blob.
    pub inside: bool,
    /// Where its bytes begin.
    pub offset: u64,
    /// How many they are.
    pub bytes: u64,
    /// Their BLAKE3, in hex.
    pub digest: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
}

/// Looks at the name of every entry before anything else is done with it.
pub(super) struct Guard {
    pub limits: Limits,
    entries: u64,
    /// The hash of each name in small letters, with that of the name itself.
    names: HashMap<u128, (u64, Kind)>,
}

impl Guard {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, entries: 0, names: HashMap::new() }
    }

    /// Takes the next entry: its cleaned name if it is an image, or why it is refused.
    pub(super) fn admit(&mut self, name: &[u8], kind: Kind) -> anyhow::Result<Option<PathBuf>> {
        self.entries += 1;
        ensure!(self.entries <= self.limits.entries, "more than {} entries", self.limits.entries);
        let parts = parts(name).with_context(|| entry(name))?;
        if parts.is_empty() && kind == Kind::Folder {
            return Ok(None);
        }
        ensure!(!parts.is_empty(), "{}: its name is empty", entry(name));
        let mut path = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            if number > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(part);
            let last = number + 1 == parts.len();
            let own = if last { kind } else { Kind::Folder };
            self.remember(&path, own, last).with_context(|| entry(name))?;
        }
        let path = escape::from_bytes(path);
        Ok((kind == Kind::File && has_image_extension(&path) && !is_hidden(&path)).then_some(path))
    }

    /// Refuses a second file of a name, and names that some file systems take for the same.
    fn remember(&mut self, path: &[u8], kind: Kind, last: bool) -> anyhow::Result<()> {
        let hash = |bytes: &[u8]| u128::from_le_bytes(head(blake3::hash(bytes).as_bytes()));
        let small = match std::str::from_utf8(path) {
            Ok(text) => hash(text.to_lowercase().as_bytes()),
            Err(_) => hash(&path.to_ascii_lowercase()),
        };
        let exact = hash(path) as u64;
        let Some(&(before, other)) = self.names.get(&small) else {
            self.names.insert(small, (exact, kind));
            return Ok(());
        };
        ensure!(
            before == exact,
            "its name differs from another entry's in capital letters only (some file systems take them for one)"
        );
        ensure!(kind == other, "the name is that of a file and that of a folder");
        ensure!(kind == Kind::Folder || !last, "the archive has two files of this name");
        Ok(())
    }
}

fn head(bytes: &[u8; 32]) -> [u8; 16] {
    std::array::from_fn(|at| bytes[at])
}

/// How messages call an entry.
pub(super) fn entry(name: &[u8]) -> String {
    let text = escape::to_text(&escape::from_bytes(name[..name.len().min(NAME)].to_vec()));
    let short: String = text.chars().take(200).collect();
    format!("entry `{short}{}`", if short.len() < text.len() { "…" } else { "" })
}

/// The parts of a name without `.`, or why no file may be called so.
fn parts(name: &[u8]) -> anyhow::Result<Vec<&[u8]>> {
    ensure!(name.len() <= NAME, "its name has {} bytes (the limit is {NAME})", name.len());
    ensure!(!name.contains(&0), "its name has a zero byte");
    ensure!(!name.contains(&b'\\'), "its name has a backslash");
    ensure!(!name.starts_with(b"/"), "its name is an absolute path");
    let drive = name.len() >= 2 && name[0].is_ascii_alphabetic() && name[1] == b':';
    ensure!(!drive, "its name begins with a drive");
    let parts: Vec<&[u8]> =
        name.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    ensure!(!parts.contains(&b"..".as_slice()), "its name leads out of the archive (`..`)");
    Ok(parts)
}

/// Counts what is read through it.
pub(super) struct Counting<R> {
    pub inner: R,
    pub count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.set(self.count.get() + read as u64);
        Ok(read)
    }
}

/// Unpacked bytes, within limits.
pub(super) struct Bounded<R> {
    pub inner: R,
    /// How many packed bytes were read.
    pub packed: Rc<Cell<u64>>,
    pub unpacked: u64,
    pub limits: Limits,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.unpacked += read as u64;
        self.limits.check_size(self.packed.get(), self.unpacked).map_err(io::Error::other)?;
        Ok(read)
    }
}

/// What is wrong with the archive, before anything runs; `wrong` looks at its first bytes.
pub(super) fn check(
    source: &ArchiveSource,
    wrong: impl Fn(&mut std::fs::File) -> anyhow::Result<()>,
) -> Vec<ParamProblem> {
    let mut problems = Vec::new();
    if !(1..=1 << 44).contains(&source.max_unpacked_bytes) {
        problems.push(ParamProblem::new(
            "source.max_unpacked_bytes",
            "is out of range (1 to 17592186044416, 16 TiB)",
        ));
    }
    let opened = workplace::open_now(&source.path);
    let result = opened.and_then(|file| file.map_or(Ok(()), |mut file| wrong(&mut file)));
    problems.extend(result.err().map(|error| ParamProblem::new("source.path", format!("{error:#}"))));
    problems
}

/// Lays out the images of an archive as an image folder, without a folder that holds them all.
pub(super) fn arrange(
    source: &ArchiveSource,
    members: Vec<Member>,
    workplace: &Workplace<'_>,
) -> anyhow::Result<Vec<Found>> {
    if members.is_empty() {
        bail!("`{}` holds no images (archives inside of it are not opened)", source.path);
    }
    let archive = escape::to_text(&workplace.find(&source.path)?);
    let tag = source.tag.clone().unwrap_or_else(|| stem(&source.path));
    let strip = leading_folder(&members);
    let place = |member: Member| {
        let relative: PathBuf = member.name.components().skip(usize::from(strip)).collect();
        let record = ImageRecord {
            id: super::id(&relative),
            path: if member.inside { archive.clone() } else { workplace.blob.path() },
            offset: Some(member.offset),
            digest: member.digest,
            bytes: member.bytes,
            source: tag.clone(),
            ..ImageRecord::default()
        };
        (relative, record)
    };
    Ok(image_folder::arrange(members.into_iter().map(place).collect()))
}

/// Whether all images lie in one folder that is neither a class nor a split.
fn leading_folder(members: &[Member]) -> bool {
    let top = |member: &Member| member.name.components().next().map(|part| part.as_os_str().to_owned());
    let first = members.first().and_then(top);
    let is_split = |name: &std::ffi::OsString| Split::from_name(&name.to_string_lossy()).is_some();
    members.iter().all(|member| member.name.components().count() > 2 && top(member) == first)
        && !first.as_ref().is_some_and(is_split)
}

/// The archive's name without folders and endings.
fn stem(path: &str) -> String {
    let path = path.strip_prefix(workplace::FILES).unwrap_or(path);
    let name = Path::new(path).file_name().map_or_else(String::new, |name| escape::to_text(Path::new(name)));
    let mut stem = name.as_str();
    for ending in [".gz", ".zst", ".tgz", ".tzst", ".tar", ".zip"] {
        stem = stem.strip_suffix(ending).filter(|stem| !stem.is_empty()).unwrap_or(stem);
    }
    stem.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_counted() {
        let limits = Limits { entries: 2, unpacked: 9, ratio: 200, image: 9 };
        let mut guard = Guard::new(limits);
        assert!(guard.admit(b"a/1.png", Kind::File).is_ok());
        assert!(guard.admit(b"a", Kind::Folder).is_ok());
        assert!(
            guard.admit(b"a/2.png", Kind::File).is_err_and(|error| error.to_string().contains("more than 2"))
        );
    }

    #[test]
    fn an_archive_is_called_by_its_name_without_endings() {
        for path in ["x/pets.tar.gz", "pets.zip", "files:pets.tgz", "pets", "a/pets.tar.zst"] {
            assert_eq!(stem(path), "pets");
        }
    }
}
