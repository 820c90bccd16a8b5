//! Putting outputs into the cache: all or nothing.
//!
//! Write in `tmp/`, sync every file, write `stage.json` last, sync, rename, sync the folder above
//! (Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rayon::prelude::*;

use super::entry::{list_files, output_digest};
use super::{Cache, Check, Entry, FileEntry, Lookup, OutputEntry};
use crate::error::CacheError;
use crate::failpoint;
use crate::sources::KeptSource;
use crate::stage::Port;
use crate::stat::hash_file;

/// From this many files on the whole file system is synced once instead of every file.
const MANY: usize = 64;

/// A folder in `tmp/` in which one try of a stage leaves its outputs.
#[derive(Debug)]
pub(crate) struct Staged {
    pub dir: PathBuf,
}

impl Staged {
    /// An empty folder at `dir`.
    pub(crate) fn new(dir: PathBuf) -> Result<Self, CacheError> {
        failpoint::pass("before_tmp").map_err(CacheError::io("making", &dir))?;
        std::fs::create_dir_all(&dir).map_err(|error| disk_full(error, "making", &dir, None))?;
        Ok(Self { dir })
    }

    /// Hashes the outputs that `ports` declare and reads each back once.
    pub(crate) fn outputs(&self, ports: &[Port]) -> anyhow::Result<BTreeMap<String, OutputEntry>> {
        failpoint::pass("mid_write").with_context(|| format!("writing `{}`", self.dir.display()))?;
        let mut outputs = BTreeMap::new();
        for port in ports {
            let dir = self.dir.join(port.name);
            anyhow::ensure!(dir.is_dir(), "the stage did not write its output `{}`", port.name);
            let files = hash_files(&dir).with_context(|| format!("output `{}`", port.name))?;
            let count = (port.count)(&dir)
                .with_context(|| format!("output `{}` ({}) can't be read back", port.name, port.artifact))?;
            let output = OutputEntry {
                artifact: port.artifact.to_owned(),
                digest: output_digest(&files),
                bytes: files.iter().map(|file| file.bytes).sum(),
                count,
                files,
            };
            outputs.insert(port.name.to_owned(), output);
        }
        self.remove_undeclared(&outputs);
        Ok(outputs)
    }

    fn remove_undeclared(&self, outputs: &BTreeMap<String, OutputEntry>) {
        let Ok(entries) = std::fs::read_dir(&self.dir) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_str().is_none_or(|name| !outputs.contains_key(name)) {
                tracing::warn!(path = %entry.path().display(), "this is no output of the stage and is not kept");
                let path = entry.path();
                let _ = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
            }
        }
    }

    /// Writes the list of source files, and `stage.json` last; makes this folder the entry.
    pub(crate) fn commit(
        self,
        cache: &Cache,
        entry: &mut Entry,
        sources: &[KeptSource],
    ) -> anyhow::Result<()> {
        failpoint::pass("before_manifest")?;
        if !sources.is_empty() {
            let list = serde_json::to_vec(sources)?;
            let path = "sources.json".to_owned();
            write_synced(&self.dir.join(&path), &list)?;
            let digest = blake3::hash(&list).to_hex().to_string();
            entry.source_list = Some(FileEntry { path, bytes: list.len() as u64, digest });
        }
        write_synced(&self.dir.join("stage.json"), &entry.render()?)?;
        failpoint::pass("before_sync")
            .map_err(|e| disk_full(e, "syncing", &self.dir, Some(entry.bytes())))?;
        let mut files = Vec::new();
        for (port, output) in &entry.outputs {
            files.extend(output.files.iter().map(|file| self.dir.join(port).join(&file.path)));
        }
        sync_all(&self.dir, &files).map_err(|e| disk_full(e, "syncing", &self.dir, Some(entry.bytes())))?;
        self.publish(cache, entry)
    }

    /// Renames this folder to its place. What is there already is kept if it is the same and
    /// whole, because another run may be reading it; else it is moved away.
    fn publish(self, cache: &Cache, entry: &Entry) -> anyhow::Result<()> {
        let place = cache.home.place(&entry.kind, &entry.fingerprint);
        let parent = place.parent().unwrap_or(&place).to_owned();
        std::fs::create_dir_all(&parent).map_err(CacheError::io("making", &parent))?;
        if place.exists() {
            if let Lookup::Hit(there) = cache.lookup(&entry.kind, &entry.fingerprint, Check::Hash)
                && there.outputs == entry.outputs
            {
                return Ok(());
            }
            let old = self.dir.with_extension("old");
            std::fs::rename(&place, &old).map_err(CacheError::io("moving away", &place))?;
            let _ = std::fs::remove_dir_all(&old);
        }
        failpoint::pass("before_rename")?;
        std::fs::rename(&self.dir, &place).map_err(CacheError::io("renaming to", &place))?;
        failpoint::pass("after_rename")?;
        sync(&parent).map_err(CacheError::io("syncing", &parent))?;
        Ok(())
    }
}

fn hash_files(dir: &Path) -> anyhow::Result<Vec<FileEntry>> {
    let hash = |path: String| {
        let hashed = hash_file(&dir.join(&path)).with_context(|| format!("reading back `{path}`"))?;
        Ok(FileEntry { path, bytes: hashed.stamp.bytes, digest: hashed.digest })
    };
    list_files(dir)?.into_par_iter().map(hash).collect()
}

fn write_synced(path: &Path, content: &[u8]) -> Result<(), CacheError> {
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(|error| disk_full(error, "writing", path, Some(content.len() as u64)))
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn sync_all(dir: &Path, files: &[PathBuf]) -> io::Result<()> {
    if files.len() > MANY {
        return Ok(rustix::fs::syncfs(File::open(dir)?)?);
    }
    files.par_iter().try_for_each(|path| sync(path))?;
    let mut folders: Vec<&Path> =
        files.iter().flat_map(|file| file.ancestors().skip(1).take_while(|above| *above != dir)).collect();
    folders.sort_unstable();
    folders.dedup();
    folders.into_iter().try_for_each(sync)?;
    sync(dir)
}

/// The error for a failed write at `path`: says what is needed and free when the disk is full.
pub(crate) fn disk_full(
    error: io::Error,
    action: &'static str,
    path: &Path,
    needed: Option<u64>,
) -> CacheError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            CacheError::DiskFull { path: path.to_owned(), needed, free: free_bytes(path) }
        }
        _ => CacheError::io(action, path)(error),
    }
}

/// The bytes that are free where `path` is or will be.
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|above| above.exists())?;
    let stat = rustix::fs::statvfs(there).ok()?;
    Some(stat.f_bavail * stat.f_frsize)
}
