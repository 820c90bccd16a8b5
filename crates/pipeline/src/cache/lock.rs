//! OS locks: one a cache entry, so that two runs make it once, and one for the whole home, so
//! that `gc` waits for runs.
//!
//! The system frees them when a process dies, however it dies. What is written in a lock file is
//! for people and never decides anything.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
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
        let path = home.root.join("use.lock");
        let file = open(&path)?;
        file.lock_shared().map_err(CacheError::io("locking", &path))?;
        Ok(Self { _file: file })
    }

    /// For `gc`: fails while a run uses the cache.
    pub(crate) fn alone(home: &Home) -> Result<Self, CacheError> {
        let path = home.root.join("use.lock");
        let file = open(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(CacheError::Busy { holder: "a run".to_owned() }),
            Err(TryLockError::Error(error)) => Err(CacheError::io("locking", &path)(error)),
        }
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
        let mut lock = open(&lock_path)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => CacheError::Busy { holder: holder(&mut lock) },
            TryLockError::Error(error) => CacheError::io("locking", &lock_path)(error),
        })?;
        sign(&mut lock);
        std::fs::create_dir_all(&dir).map_err(CacheError::io("making", &dir))?;
        Ok(Self { dir, lock_path, _lock: lock })
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
        // Between the making of the lock file and its locking the file looks dead; a sweep then
        // takes the lock, and the owner sees `Busy` only if it asks in that instant, so new files
        // are left alone for a while.
        if is_young(&lock_path) {
            continue;
        }
        let dead = match File::options().write(true).open(&lock_path) {
            Ok(lock) => lock.try_lock().is_ok(),
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

fn is_young(path: &Path) -> bool {
    let modified = std::fs::metadata(path).and_then(|meta| meta.modified());
    let age = modified.ok().and_then(|time| time.elapsed().ok());
    age.is_some_and(|age| age < std::time::Duration::from_millis(500))
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
