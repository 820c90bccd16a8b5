//! `stage.json`: what an entry was made of and the digest of every file in it.
//!
//! The file is `{"seal":"<BLAKE3 of the rest>","entry":<the entry>}`, in exactly this layout, so
//! that any changed bit shows.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Check, SMALL};
use crate::artifact::Count;
use crate::fingerprint::{Encoder, Recipe};
use crate::stat::{StatCache, hash_file};

/// The number of the layout of `stage.json`.
const FORMAT: u32 = 1;
const HEAD: &str = "{\"seal\":\"";
const MIDDLE: &str = "\",\"entry\":";
const TAIL: &str = "}\n";

/// What a stage made, of what, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The number of this layout.
    pub format: u32,
    /// The stage that made it; others with the same fingerprint share it.
    pub stage: String,
    /// Its kind.
    pub kind: String,
    /// The fingerprint.
    pub fingerprint: String,
    /// What was hashed into the fingerprint, in clear.
    pub recipe: Recipe,
    /// The file beside this one that lists the source files, where there are any.
    pub source_list: Option<FileEntry>,
    /// The outputs by port.
    pub outputs: BTreeMap<String, OutputEntry>,
    /// How long the stage took.
    pub seconds: f64,
    /// The most memory that the process held while the stage ran, where the system tells; with
    /// several stages at a time it is theirs together.
    pub peak_memory_bytes: Option<u64>,
    /// The device as resolved; empty for stages that don't use one.
    pub device: String,
    /// The version of Peregrine.
    pub peregrine: String,
    /// When it was made, in UTC.
    pub made: String,
    /// The run that made it.
    pub run: String,
}

/// One output of an [`Entry`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputEntry {
    /// The artifact's type.
    pub artifact: String,
    /// The digest over all its files' paths and digests.
    pub digest: String,
    /// The bytes in all its files.
    pub bytes: u64,
    /// What it holds.
    pub count: Option<Count>,
    /// Its files, sorted by path.
    pub files: Vec<FileEntry>,
}

/// One file of an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// The path below the output's folder.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Its BLAKE3.
    pub digest: String,
}

impl Entry {
    pub(crate) const FORMAT: u32 = FORMAT;

    /// The bytes in all files.
    pub fn bytes(&self) -> u64 {
        self.outputs.values().map(|output| output.bytes).sum()
    }

    /// Reads `dir/stage.json`; `None` when there is no such file and nothing else either.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, String> {
        match std::fs::read(dir.join("stage.json")) {
            Ok(file) => Self::parse(&file).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if dir.exists() {
                    Err("`stage.json` is missing".to_owned())
                } else {
                    Ok(None)
                }
            }
            Err(error) => Err(format!("reading `stage.json`: {error}")),
        }
    }

    pub(crate) fn parse(file: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let body = unseal(file).ok_or("`stage.json` does not match its seal")?;
        let version: Version = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if version.format != FORMAT {
            return Err(format!(
                "`stage.json` has layout {} and this Peregrine reads {FORMAT} (update it, or let it make the outputs again)",
                version.format
            ));
        }
        serde_json::from_slice(body).map_err(|error| format!("`stage.json`: {error}"))
    }

    /// The content of `stage.json`.
    pub(crate) fn render(&self) -> serde_json::Result<Vec<u8>> {
        Ok(seal(&serde_json::to_vec_pretty(self)?))
    }

    /// Whether all outputs in `dir` are what they were; else what is not.
    pub(crate) fn check(&self, dir: &Path, check: Check, stat: &StatCache) -> Result<(), String> {
        self.source_list.iter().try_for_each(|file| file.check(dir, "", check, stat))?;
        self.outputs.iter().try_for_each(|(port, output)| output.check(&dir.join(port), port, check, stat))
    }
}

impl OutputEntry {
    /// Whether the output in `dir` is what it was; else what is not.
    pub(crate) fn check(&self, dir: &Path, port: &str, check: Check, stat: &StatCache) -> Result<(), String> {
        let found = list_files(dir).map_err(|error| format!("listing `{port}`: {error}"))?;
        let expected: BTreeSet<&str> = self.files.iter().map(|file| file.path.as_str()).collect();
        if let Some(extra) = found.iter().find(|path| !expected.contains(path.as_str())) {
            return Err(format!("`{port}/{extra}` does not belong there"));
        }
        let examine = |file: &FileEntry| file.check(dir, port, check, stat);
        if self.files.len() == 1 {
            return self.files.iter().try_for_each(examine);
        }
        self.files.par_iter().try_for_each(examine)
    }
}

impl FileEntry {
    fn check(&self, dir: &Path, port: &str, check: Check, stat: &StatCache) -> Result<(), String> {
        let path = dir.join(&self.path);
        let name = || if port.is_empty() { self.path.clone() } else { format!("{port}/{}", self.path) };
        let meta = std::fs::symlink_metadata(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => format!("`{}` is missing", name()),
            _ => format!("`{}`: {error}", name()),
        })?;
        if !meta.is_file() {
            return Err(format!("`{}` is not a file any more", name()));
        }
        if meta.len() != self.bytes {
            return Err(format!("`{}` has {} bytes instead of {}", name(), meta.len(), self.bytes));
        }
        let hashed =
            if check == Check::Hash || self.bytes <= SMALL { hash_file(&path) } else { stat.digest(&path) };
        match hashed {
            Ok(hashed) if hashed.digest == self.digest => Ok(()),
            Ok(_) => Err(format!("`{}` has other content than it was made with", name())),
            Err(error) => Err(format!("`{}`: {error}", name())),
        }
    }
}

/// The digest of an output with these files.
pub(crate) fn output_digest(files: &[FileEntry]) -> String {
    let mut hash = Encoder::new("peregrine output 1");
    hash.number(files.len() as u64);
    for file in files {
        hash.text(&file.path);
        hash.number(file.bytes);
        hash.text(&file.digest);
    }
    hash.finish()
}

/// The files below `dir`, '/'-separated and sorted. Anything but files and folders is an error.
pub(crate) fn list_files(dir: &Path) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    collect(dir, "", &mut files)?;
    files.sort_unstable();
    Ok(files)
}

fn collect(dir: &Path, prefix: &str, files: &mut Vec<String>) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            let shown = String::from_utf8_lossy(name.as_bytes());
            return Err(io::Error::other(format!("the name `{prefix}{shown}` is not UTF-8")));
        };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(&entry.path(), &format!("{prefix}{name}/"), files)?;
        } else if kind.is_file() {
            files.push(format!("{prefix}{name}"));
        } else {
            return Err(io::Error::other(format!("`{prefix}{name}` is neither a file nor a folder")));
        }
    }
    Ok(())
}

fn seal(body: &[u8]) -> Vec<u8> {
    let seal = blake3::hash(body).to_hex();
    [HEAD.as_bytes(), seal.as_bytes(), MIDDLE.as_bytes(), body, TAIL.as_bytes()].concat()
}

fn unseal(file: &[u8]) -> Option<&[u8]> {
    let (seal, rest) = file.strip_prefix(HEAD.as_bytes())?.split_at_checked(64)?;
    let body = rest.strip_prefix(MIDDLE.as_bytes())?.strip_suffix(TAIL.as_bytes())?;
    (blake3::hash(body).to_hex().as_bytes() == seal).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_and_any_cut_breaks_the_seal() {
        let whole = seal(b"{\"format\": 1}");
        assert_eq!(unseal(&whole).unwrap(), b"{\"format\": 1}");
        for at in 0..whole.len() {
            assert!(unseal(&whole[..at]).is_none());
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                assert!(unseal(&flipped).is_none(), "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn a_later_layout_says_what_to_do() {
        let error = Entry::parse(&seal(b"{\"format\": 2, \"what\": \"ever\"}")).unwrap_err();
        assert_eq!(
            error,
            "`stage.json` has layout 2 and this Peregrine reads 1 (update it, or let it make the outputs again)"
        );
    }
}
