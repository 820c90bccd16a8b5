//! Hashing everything: what `peregrine verify` does.

use rayon::prelude::*;

use super::{Cache, Check, Entry, UseLock};
use crate::error::CacheError;

/// What a look at every byte of the cache found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// How many entries there are.
    pub entries: usize,
    /// How many files the whole ones hold.
    pub files: usize,
    /// How many bytes the whole ones hold.
    pub bytes: u64,
    /// The damaged ones, sorted by kind and fingerprint.
    pub damaged: Vec<Damage>,
}

/// A damaged entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Its kind.
    pub kind: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// What is damaged.
    pub detail: String,
    /// Whether it was removed.
    pub removed: bool,
}

impl Cache {
    /// The kind and fingerprint of every folder in the cache, sorted.
    pub(crate) fn entries(&self) -> Vec<(String, String)> {
        let names = |path: &std::path::Path| -> Vec<String> {
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
        };
        let cache = self.home.cache();
        let mut all: Vec<_> = names(&cache)
            .into_iter()
            .flat_map(|kind| names(&cache.join(&kind)).into_iter().map(move |name| (kind.clone(), name)))
            .collect();
        all.sort_unstable();
        all
    }

    /// Hashes every file of every entry; removes the damaged entries if asked to.
    pub(crate) fn verify(&self, remove: bool) -> Result<VerifyReport, CacheError> {
        if !self.home.root.exists() {
            return Ok(VerifyReport::default());
        }
        let _lock = if remove { UseLock::alone(&self.home)? } else { UseLock::shared(&self.home)? };
        let looked: Vec<_> = self
            .entries()
            .into_par_iter()
            .map(|(kind, fingerprint)| {
                let dir = self.home.entry(&kind, &fingerprint);
                let found = Entry::read(&dir).and_then(|entry| match entry {
                    Some(entry) if entry.kind == kind && entry.fingerprint == fingerprint => {
                        entry.check(&dir, Check::Hash, &self.stat).map(|()| entry)
                    }
                    _ => Err("`stage.json` belongs to another entry".to_owned()),
                });
                (kind, fingerprint, found)
            })
            .collect();
        let mut report = VerifyReport { entries: looked.len(), ..VerifyReport::default() };
        for (kind, fingerprint, found) in looked {
            match found {
                Ok(entry) => {
                    report.files += entry.outputs.values().map(|output| output.files.len()).sum::<usize>();
                    report.bytes += entry.bytes();
                }
                Err(detail) => {
                    let dir = self.home.entry(&kind, &fingerprint);
                    let removed = remove && std::fs::remove_dir_all(dir).is_ok();
                    report.damaged.push(Damage { kind, fingerprint, detail, removed });
                }
            }
        }
        Ok(report)
    }
}
