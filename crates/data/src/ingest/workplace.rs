//! What a source may read, and the one file that it may write: the blob beside the manifest.
//!
//! Knows no format.

use std::fs::File;
use std::io::{BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use peregrine_pipeline::{SourceFile, StageContext};

use crate::escape;
use crate::fetch::Files;

/// How the path of a file begins that comes in at the input `files`.
pub(super) const FILES: &str = "files:";
/// The blob's name beside the manifest.
const BLOB: &str = "images.bin";

/// What a source may read, and where it may write.
pub(super) struct Workplace<'a> {
    /// The hashed files of the source.
    pub files: &'a [SourceFile],
    fetched: Vec<Files>,
    /// Where images go that are no files yet.
    pub blob: Blob,
    cx: Option<&'a StageContext>,
}

impl<'a> Workplace<'a> {
    /// Files that are there, and no place to write.
    pub(super) fn reading(files: &'a [SourceFile]) -> Self {
        Self { files, fetched: Vec::new(), blob: Blob::default(), cx: None }
    }

    /// The workplace of a stage whose manifest will be in `out`.
    pub(super) fn of(cx: &'a StageContext, fetched: Vec<Files>, out: &Path, port: &str) -> Self {
        let blob = Blob { write_to: out.join(BLOB), path: cx.entry.join(port).join(BLOB), ..Blob::default() };
        Self { files: &cx.sources, fetched, blob, cx: Some(cx) }
    }

    /// The file that `path` means.
    pub(super) fn find(&self, path: &str) -> anyhow::Result<PathBuf> {
        let Some(name) = path.strip_prefix(FILES) else { return Ok(PathBuf::from(path)) };
        let mut found = self.fetched.iter().filter_map(|files| files.path(name));
        let names = || {
            let names =
                self.fetched.iter().flat_map(|files| &files.files).map(|file| format!("`{}`", file.name));
            names.collect::<Vec<_>>().join(", ")
        };
        match (found.next(), found.next()) {
            (Some(file), None) => Ok(file),
            (Some(_), Some(_)) => bail!(
                "two files called `{name}` come in at the input `files` (give one of them another `file_name`)"
            ),
            (None, _) if self.fetched.is_empty() => {
                bail!(
                    "`{path}` is to come in at the input `files`, which is not connected (connect it to a `fetch`)"
                )
            }
            (None, _) => {
                bail!("no file called `{name}` comes in at the input `files` (there come {})", names())
            }
        }
    }

    /// Opens the file that `path` means.
    pub(super) fn open(&self, path: &str) -> anyhow::Result<File> {
        let file = self.find(path)?;
        File::open(&file).with_context(|| format!("opening `{}`", file.display()))
    }

    /// Says how far the source is, and stops when asked to.
    pub(super) fn step(&self, done: u64, total: u64) -> anyhow::Result<()> {
        if let Some(cx) = self.cx {
            if done.is_multiple_of(256) {
                cx.progress(done, total.max(done), "images", "");
            }
            cx.check_cancelled()?;
        }
        Ok(())
    }
}

/// Whether `path` comes in at the input `files` and is not on the disk yet.
pub(super) fn comes_in(path: &str) -> bool {
    path.starts_with(FILES)
}

/// Opens the file `path` before anything runs; none when it comes in later.
pub(super) fn open_now(path: &str) -> anyhow::Result<Option<File>> {
    if let Some(name) = path.strip_prefix(FILES) {
        ensure!(!name.is_empty(), "`{FILES}` needs the name of a file behind it (`files:images.tar.gz`)");
        return Ok(None);
    }
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("file `{path}` doesn't exist (paths are relative to the working directory)")
        }
        Err(error) => bail!("file `{path}` can't be read: {error}"),
    };
    ensure!(metadata.is_file(), "`{path}` is a folder, not a file");
    ensure!(metadata.len() > 0, "file `{path}` is empty");
    Ok(Some(File::open(path).with_context(|| format!("file `{path}` can't be read"))?))
}

/// The file beside the manifest in which images lie one behind another.
#[derive(Default)]
pub(super) struct Blob {
    write_to: PathBuf,
    path: PathBuf,
    file: Option<BufWriter<File>>,
    at: u64,
}

impl Blob {
    /// The blob's path for records.
    pub(super) fn path(&self) -> String {
        escape::to_text(&self.path)
    }

    /// Adds an image; gives where it begins.
    pub(super) fn push(&mut self, bytes: &[u8]) -> anyhow::Result<u64> {
        if self.file.is_none() {
            ensure!(!self.write_to.as_os_str().is_empty(), "this source is read by the stage `ingest` only");
            let file = File::create(&self.write_to);
            let file = file.with_context(|| format!("creating `{}`", self.write_to.display()))?;
            self.file = Some(BufWriter::with_capacity(1 << 18, file));
        }
        if let Some(file) = &mut self.file {
            file.write_all(bytes).with_context(|| format!("writing `{}`", self.write_to.display()))?;
        }
        let at = self.at;
        self.at += bytes.len() as u64;
        Ok(at)
    }

    /// Adds the `bytes` bytes that `from` has; gives where they begin, and their BLAKE3.
    pub(super) fn copy(&mut self, from: &mut impl Read, bytes: u64) -> anyhow::Result<(u64, String)> {
        let at = self.at;
        let digest = digest(from, bytes, |part| self.push(part).map(drop))?;
        Ok((at, digest))
    }

    /// Writes out what is still in memory.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        match self.file.take() {
            Some(mut file) => file.flush().with_context(|| format!("writing `{}`", self.write_to.display())),
            None => Ok(()),
        }
    }
}

/// The BLAKE3 of the next `bytes` bytes of `from`; `take` gets them part by part.
pub(super) fn digest(
    from: &mut impl Read,
    bytes: u64,
    mut take: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    let mut hash = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    let mut left = bytes;
    while left > 0 {
        let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = from.read(&mut buffer[..want])?;
        ensure!(read > 0, "cut short: {left} of its {bytes} bytes are missing");
        hash.update(&buffer[..read]);
        take(&buffer[..read])?;
        left -= read as u64;
    }
    Ok(hash.finalize().to_hex().to_string())
}
