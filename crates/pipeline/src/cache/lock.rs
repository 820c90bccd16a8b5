//! OS locks: one a cache entry, so that two runs make it once, and one for the whole home, so
//! that `gc` waits for runs.
//!
//! The system frees them when a process dies, however it dies. What is written in a lock file is
//! for people and never decides anything.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::Home;
use crate::error::CacheError;
use crate::record;

/// The right to make one entry; held until dropped.
#[derive(Debug)]
pub(crate) struct EntryLock {
    _file: File,
}

/// Who holds a lock, in words.
pub(crate) type Holder = String;

/// What asking for a lock gives.
#[derive(Debug)]
pub(crate) enum Taken<T> {
    Mine(T),
    By(Holder),
}

impl EntryLock {
    /// Takes the entry's lock if nobody holds it.
    pub(crate) fn take(home: &Home, kind: &str, fingerprint: &str) -> Result<Taken<Self>, CacheError> {
        let path = home.locks().join(format!("{kind}-{fingerprint}"));
        let mut file = open(&path)?;
        match file.try_lock() {
            Ok(()) => {
                sign(&mut file);
                Ok(Taken::Mine(Self { _file: file }))
            }
            Err(TryLockError::WouldBlock) => Ok(Taken::By(holder(&mut file))),
            Err(TryLockError::Error(error)) => Err(CacheError::io("locking", &path)(error)),
        }
    }
}

/// The right to read entries, shared by runs, or to remove some, held alone by `gc`.
#[derive(Debug)]
pub(crate) struct UseLock {
    _file: File,
}

impl UseLock {
    /// For a run: waits while `gc` removes.
    pub(crate) fn shared(home: &Home) -> Result<Self, CacheError> {
        let path = home.use_lock();
        let file = open(&path)?;
        file.lock_shared().map_err(CacheError::io("locking", &path))?;
        Ok(Self { _file: file })
    }

    /// For `gc`: fails while a run uses the cache. Waits a moment first: a process that is being
    /// started holds copies of its parent's locks until its program begins.
    pub(crate) fn alone(home: &Home) -> Result<Self, CacheError> {
        let path = home.use_lock();
        let file = open(&path)?;
        for _ in 0..20 {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) => std::thread::sleep(std::time::Duration::from_millis(10)),
                Err(TryLockError::Error(error)) => return Err(CacheError::io("locking", &path)(error)),
            }
        }
        Err(CacheError::Busy { holder: "a run".to_owned() })
    }
}

/// A folder in `tmp/` of a living process: a lock file beside it is held as long as it lives.
#[derive(Debug)]
pub(crate) struct OwnedTmp {
    pub dir: std::path::PathBuf,
    lock_path: std::path::PathBuf,
    _lock: File,
}

impl OwnedTmp {
    pub(crate) fn new(home: &Home, name: &str) -> Result<Self, CacheError> {
        let dir = home.tmp().join(name);
        let lock_path = home.tmp().join(format!("{name}.lock"));
        let mut lock = Self::lock(&lock_path)?;
        sign(&mut lock);
        std::fs::create_dir_all(&dir).map_err(CacheError::io("making", &dir))?;
        Ok(Self { dir, lock_path, _lock: lock })
    }

    /// Makes and locks the file. A sweep may take it for a dead process's between the two and
    /// remove it; then it is made again.
    fn lock(path: &Path) -> Result<File, CacheError> {
        for _ in 0..200 {
            let mut lock = open(path)?;
            match lock.try_lock() {
                Ok(()) if is_at(&lock, path) => return Ok(lock),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    tracing::debug!(path = %path.display(), holder = %holder(&mut lock), "the folder is being swept");
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                Err(TryLockError::Error(error)) => return Err(CacheError::io("locking", path)(error)),
            }
        }
        Err(CacheError::Busy { holder: "a run with the same id".to_owned() })
    }
}

impl Drop for OwnedTmp {
    fn drop(&mut self) {
        // What can't be removed now is removed by the next run or by `gc`.
        if std::fs::remove_dir_all(&self.dir).is_ok() {
            let _ = std::fs::remove_file(&self.lock_path);
        }
    }
}

/// Removes what dead processes left in `tmp/`; gives the number of folders removed.
pub(crate) fn sweep_tmp(home: &Home) -> usize {
    let Ok(entries) = std::fs::read_dir(home.tmp()) else { return 0 };
    let mut removed = 0;
    for path in entries.flatten().map(|entry| entry.path()) {
        let is_lock = path.extension().is_some_and(|extension| extension == "lock");
        let lock_path = if is_lock { path.clone() } else { path.with_extension("lock") };
        // Held while the folder is removed, so that its name can't be taken meanwhile.
        let lock = File::options().write(true).open(&lock_path);
        let dead = match &lock {
            Ok(lock) => lock.try_lock().is_ok() && is_at(lock, &lock_path),
            Err(_) => !lock_path.exists(),
        };
        if dead {
            let dir = lock_path.with_extension("");
            if dir.is_dir() && std::fs::remove_dir_all(&dir).is_ok() {
                removed += 1;
            }
            if !is_lock && path.is_file() && std::fs::remove_file(&path).is_ok() {
                removed += 1;
            }
            let _ = std::fs::remove_file(&lock_path);
        }
    }
    removed
}

/// Whether `file` is what `path` names, and was not removed or replaced.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

fn open(path: &Path) -> Result<File, CacheError> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(CacheError::io("opening", path))
}

/// Writes who holds the lock. Nothing depends on it, so no error matters.
fn sign(file: &mut File) {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let text = format!("pid {} on {} since {}", std::process::id(), host.trim(), record::utc_now());
    let _ = file.set_len(0).and_then(|()| file.write_all(text.as_bytes()));
}

fn holder(file: &mut File) -> Holder {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    if read.is_err() || text.is_empty() { "another run".to_owned() } else { text }
}
