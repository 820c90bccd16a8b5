//! The cache: `.peregrine/cache-v1/<kind>/<fingerprint>/` holds a stage's outputs, one folder a
//! port, and `stage.json`, which says what they were made of and the digest of every file.
//!
//! Promises:
//! - An entry appears whole or not at all: it is written in `tmp/`, synced, renamed, and the
//!   folder above is synced.
//! - What is damaged is never served: it counts as missing, with a warning, and is made again.
//!   `stage.json` is sealed by a digest of itself and is checked at every look; so are the
//!   folders' listings, every file up to [`SMALL`], and larger files that the file system says
//!   were written since they were last hashed (length, mtime, ctime, inode: see `stat.rs`).
//!   Before a running stage reads an artifact, or `show` prints it, all its files are hashed,
//!   whatever the file system says; `verify` does so for all entries.
//! - Nothing in it has to be deleted by hand, whatever a crash left behind.
//!
//! It does not know why a stage has to run (`dirty.rs`), nor which one does (`plan.rs`).

mod commit;
mod earlier;
mod entry;
mod gc;
mod lock;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use commit::{Staged, disk_full, free_bytes};
pub use entry::{Entry, FileEntry, OutputEntry};
pub use gc::{Collected, GcOptions, GcReport};
pub(crate) use lock::{EntryLock, OwnedTmp, Taken, UseLock, sweep_tmp};
pub use verify::{Damage, VerifyReport};

use crate::error::CacheError;
use crate::stat::StatCache;

/// Files up to this size are hashed at every look.
pub const SMALL: u64 = 4 << 20;

/// The home folder and what is where in it.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    /// What is read.
    pub root: PathBuf,
    /// Where things are written: the same, or a scratch folder when that can't be written.
    pub writes: PathBuf,
}

impl Home {
    /// The folder of all entries.
    pub(crate) fn cache(&self) -> PathBuf {
        self.root.join("cache-v1")
    }

    /// Where an entry is, if it is.
    pub(crate) fn entry(&self, kind: &str, fingerprint: &str) -> PathBuf {
        let own = self.place(kind, fingerprint);
        if self.root == self.writes || own.exists() { own } else { self.cache().join(kind).join(fingerprint) }
    }

    /// Where an entry is put.
    pub(crate) fn place(&self, kind: &str, fingerprint: &str) -> PathBuf {
        self.writes.join("cache-v1").join(kind).join(fingerprint)
    }

    pub(crate) fn resume(&self, kind: &str, fingerprint: &str) -> PathBuf {
        self.writes.join("resume").join(kind).join(fingerprint)
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.writes.join("tmp")
    }

    pub(crate) fn locks(&self) -> PathBuf {
        self.writes.join("locks")
    }

    pub(crate) fn runs(&self) -> PathBuf {
        self.writes.join("runs")
    }

    pub(crate) fn use_lock(&self) -> PathBuf {
        self.writes.join("use.lock")
    }

    /// Makes the folders, and a `.gitignore` so that nobody commits them.
    pub(crate) fn make(&self) -> Result<(), CacheError> {
        for dir in [self.writes.join("cache-v1"), self.tmp(), self.locks(), self.runs()] {
            std::fs::create_dir_all(&dir).map_err(CacheError::io("making", &dir))?;
        }
        let ignore = self.writes.join(".gitignore");
        if !ignore.exists() {
            std::fs::write(&ignore, "# Made by peregrine.\n*\n")
                .map_err(CacheError::io("writing", &ignore))?;
        }
        Ok(())
    }
}

/// How closely an entry's files are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// Large files that were not written since they were last hashed are believed.
    Believe,
    /// Every byte is hashed.
    Hash,
}

/// What a look into the cache finds.
#[derive(Debug, Clone)]
pub(crate) enum Lookup {
    Hit(Arc<Entry>),
    Missing,
    Damaged(String),
}

/// The entries in a home folder.
#[derive(Debug)]
pub(crate) struct Cache {
    pub home: Home,
    pub stat: StatCache,
}

impl Cache {
    /// The cache in `root`, which is written in `writes`.
    pub(crate) fn new(root: &Path, writes: &Path) -> Self {
        let stat = StatCache::open(root.join("stat-v1"), writes.join("stat-v1"));
        Self { home: Home { root: root.to_owned(), writes: writes.to_owned() }, stat }
    }

    /// The entry, if it is there and whole. A damaged one is warned of.
    pub(crate) fn lookup(&self, kind: &str, fingerprint: &str, check: Check) -> Lookup {
        let dir = self.home.entry(kind, fingerprint);
        let found = match Entry::read(&dir) {
            Ok(Some(entry)) if entry.kind != kind || entry.fingerprint != fingerprint => {
                Err("`stage.json` belongs to another entry".to_owned())
            }
            Ok(Some(entry)) => entry.check(&dir, check, &self.stat).map(|()| Lookup::Hit(Arc::new(entry))),
            Ok(None) => Ok(Lookup::Missing),
            Err(detail) => Err(detail),
        };
        found.unwrap_or_else(|detail| {
            tracing::warn!(kind, fingerprint, %detail, "a damaged cache entry is not used and will be made again");
            Lookup::Damaged(detail)
        })
    }

    /// The folder of an output.
    pub(crate) fn output(&self, entry: &Entry, port: &str) -> PathBuf {
        self.home.entry(&entry.kind, &entry.fingerprint).join(port)
    }
}

#[cfg(test)]
mod crash;
#[cfg(test)]
mod tests;
