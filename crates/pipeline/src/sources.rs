//! Files outside the cache: listed, hashed, and watched for changes while a stage reads them.
//!
//! Does not decide what a stage reads ([`Stage::sources`](crate::Stage::sources) does).

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::context::SourceFile;
use crate::fingerprint::{Encoder, SourcesRecipe};
use crate::stat::{Stamp, StatCache};

/// The source files of a stage as they were when it was planned.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// Sorted by path.
    pub files: Arc<Vec<SourceFile>>,
    /// What the file system said of each when it was hashed.
    stamps: Arc<Vec<Stamp>>,
    roots: Vec<PathBuf>,
}

/// A source file as it is kept beside a recipe: paths that are not UTF-8 lose what is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptSource {
    pub path: String,
    pub bytes: u64,
    pub digest: String,
}

impl Sources {
    /// Lists and hashes `roots`.
    pub(crate) fn read(roots: Vec<PathBuf>, stat: &StatCache) -> Result<Self, SourceError> {
        let paths = list(&roots)?;
        let read: Vec<(SourceFile, Stamp)> = paths
            .into_par_iter()
            .map(|path| {
                let hashed =
                    stat.digest(&path).map_err(|source| SourceError { path: path.clone(), source })?;
                Ok((SourceFile { path, bytes: hashed.stamp.bytes, digest: hashed.digest }, hashed.stamp))
            })
            .collect::<Result<_, SourceError>>()?;
        let (files, stamps) = read.into_iter().unzip();
        Ok(Self { files: Arc::new(files), stamps: Arc::new(stamps), roots })
    }

    /// The list in short.
    pub(crate) fn recipe(&self) -> SourcesRecipe {
        let mut hash = Encoder::new("peregrine sources 1");
        hash.number(self.files.len() as u64);
        for file in self.files.iter() {
            hash.bytes(file.path.as_os_str().as_bytes());
            hash.number(file.bytes);
            hash.text(&file.digest);
        }
        SourcesRecipe {
            digest: hash.finish(),
            files: self.files.len() as u64,
            bytes: self.files.iter().map(|file| file.bytes).sum(),
        }
    }

    /// The list as it is kept.
    pub(crate) fn kept(&self) -> Vec<KeptSource> {
        let keep = |file: &SourceFile| KeptSource {
            path: file.path.to_string_lossy().into_owned(),
            bytes: file.bytes,
            digest: file.digest.clone(),
        };
        self.files.iter().map(keep).collect()
    }

    /// The first file that is not what it was when it was hashed: changed, gone or new.
    pub(crate) fn changed(&self) -> Option<PathBuf> {
        let now = match list(&self.roots) {
            Ok(now) => now,
            Err(error) => return Some(error.path),
        };
        let differs = |(path, (file, stamp)): &(&PathBuf, (&SourceFile, &Stamp))| {
            **path != file.path || Stamp::of(path).ok().as_ref() != Some(*stamp)
        };
        let known = self.files.iter().zip(self.stamps.iter());
        if let Some((path, _)) = now.iter().zip(known).find(differs) {
            return Some(path.clone());
        }
        let longer = if now.len() > self.files.len() { now.get(self.files.len()) } else { None };
        longer.cloned().or_else(|| self.files.get(now.len()).map(|file| file.path.clone()))
    }
}

/// A source file that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("reading source `{}`: {source}", path.display())]
pub(crate) struct SourceError {
    pub path: PathBuf,
    pub source: std::io::Error,
}

/// Folders that are no data wherever they lie: what Peregrine itself writes while stages run, and
/// what git does.
const NO_DATA: [&str; 2] = [".peregrine", ".git"];

/// The files at and below `roots`, each once, sorted by path, without those in folders of
/// [`NO_DATA`]. Links are followed; a folder that holds itself through a link is an error.
pub(crate) fn list(roots: &[PathBuf]) -> Result<Vec<PathBuf>, SourceError> {
    let mut files = Vec::new();
    for root in roots {
        let meta = std::fs::metadata(root).map_err(|source| SourceError { path: root.clone(), source })?;
        if meta.is_dir() {
            walk(root, &mut Vec::new(), &mut files)?;
        } else {
            files.push(root.clone());
        }
    }
    files.sort_unstable_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    files.dedup();
    Ok(files)
}

fn walk(dir: &Path, above: &mut Vec<PathBuf>, files: &mut Vec<PathBuf>) -> Result<(), SourceError> {
    let fail = |source| SourceError { path: dir.to_owned(), source };
    let mut linked = Vec::new();
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let kind = entry.file_type().map_err(fail)?;
        if kind.is_dir() {
            if NO_DATA.iter().all(|name| entry.file_name() != *name) {
                folders.push(entry.path());
            }
        } else if kind.is_symlink() {
            linked.push(entry.path());
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    for path in linked {
        let meta = std::fs::metadata(&path).map_err(|source| SourceError { path: path.clone(), source })?;
        if meta.is_dir() {
            folders.push(path);
        } else if meta.is_file() {
            files.push(path);
        }
    }
    if folders.is_empty() {
        return Ok(());
    }
    let real = std::fs::canonicalize(dir).map_err(fail)?;
    if above.contains(&real) {
        return Err(fail(std::io::Error::other("the folder holds itself through a link")));
    }
    above.push(real);
    for folder in folders {
        walk(&folder, above, files)?;
    }
    above.pop();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(home: &Path) -> StatCache {
        StatCache::open(home.join("stat"), home.join("stat"))
    }

    #[test]
    fn files_are_listed_sorted_and_once() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("b/c")).unwrap();
        for name in ["z.txt", "b/c/1.txt", "b/2.txt", "a.txt"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        let listed = list(&[dir.path().to_owned(), dir.path().join("a.txt")]).unwrap();
        let names: Vec<_> =
            listed.iter().map(|path| path.strip_prefix(dir.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.txt", "b/2.txt", "b/c/1.txt", "z.txt"]);
    }

    #[test]
    fn what_peregrine_and_git_write_is_no_data() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".peregrine/locks/1", "a/.git/HEAD", "a/.hidden/1.png", "a/2.png"] {
            std::fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        let listed = list(&[dir.path().to_owned()]).unwrap();
        assert_eq!(listed, [dir.path().join("a/.hidden/1.png"), dir.path().join("a/2.png")]);
    }

    #[test]
    fn a_folder_that_holds_itself_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::os::unix::fs::symlink("..", dir.path().join("a/up")).unwrap();
        let error = list(&[dir.path().to_owned()]).unwrap_err();
        assert!(error.to_string().contains("holds itself"), "{error}");
    }

    #[test]
    fn an_edit_an_addition_and_a_removal_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir(&root).unwrap();
        for name in ["a", "b", "c"] {
            std::fs::write(root.join(name), name).unwrap();
        }
        let read = || Sources::read(vec![root.clone()], &stat(dir.path())).unwrap();
        let before = read();
        assert_eq!(before.changed(), None);
        std::fs::write(root.join("b"), "B").unwrap();
        assert_eq!(before.changed(), Some(root.join("b")));
        assert_ne!(read().recipe().digest, before.recipe().digest);
        let before = read();
        std::fs::write(root.join("d"), "d").unwrap();
        assert_eq!(before.changed(), Some(root.join("d")));
        let before = read();
        std::fs::remove_file(root.join("d")).unwrap();
        assert_eq!(before.changed(), Some(root.join("d")));
    }
}
