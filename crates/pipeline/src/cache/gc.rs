//! Removing what is not needed any more: what `peregrine gc` does.
//!
//! It holds the home's lock alone, so nothing is removed under a run. What counts as the last use
//! of an entry is the newest run that made or served it, by the record of runs.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use super::{Cache, Entry, Lookup, UseLock, sweep_tmp};
use crate::error::CacheError;
use crate::record::{Ledger, RunRecord};

/// Which entries go. Damaged entries and what dead runs left behind always go; with no rule set,
/// nothing else does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcOptions {
    /// Those last used longer ago than this.
    pub older_than: Option<Duration>,
    /// The least recently used, until the rest is no larger than this.
    pub max_bytes: Option<u64>,
    /// Those that none of the last so many runs used.
    pub keep_runs: Option<usize>,
    /// Only say what would go.
    pub dry_run: bool,
}

/// What went.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GcReport {
    /// The entries that went, least recently used first.
    pub removed: Vec<Collected>,
    /// How many bytes they held.
    pub removed_bytes: u64,
    /// How many entries stay.
    pub kept: usize,
    /// How many bytes they hold.
    pub kept_bytes: u64,
    /// How many leftovers of dead runs went.
    pub leftovers: usize,
}

/// An entry that went.
#[derive(Debug, Clone, PartialEq)]
pub struct Collected {
    /// The stage that made it; empty when that can't be read any more.
    pub stage: String,
    /// Its kind.
    pub kind: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// The bytes that it held.
    pub bytes: u64,
    /// When it was last used, in UTC.
    pub last_used: String,
    /// Why it went.
    pub because: String,
}

impl Cache {
    /// Removes what `options` say.
    pub(crate) fn gc(&self, ledger: &Ledger, options: &GcOptions) -> Result<GcReport, CacheError> {
        if !self.home.root.exists() {
            return Ok(GcReport::default());
        }
        let _lock = UseLock::alone(&self.home)?;
        let runs = ledger.records();
        let mut report = GcReport::default();
        if !options.dry_run {
            report.leftovers = sweep_tmp(&self.home) + self.sweep_locks() + self.sweep_resume(options);
        }
        let mut entries = self.candidates(&runs);
        judge(&mut entries, &runs, options);
        for (entry, because) in entries {
            let Some(because) = because else {
                report.kept += 1;
                report.kept_bytes += entry.bytes;
                continue;
            };
            if !options.dry_run {
                self.remove(&entry)?;
            }
            report.removed_bytes += entry.bytes;
            report.removed.push(Collected { because, ..entry });
        }
        Ok(report)
    }

    /// All entries, least recently used first; damaged ones with a reason to go.
    fn candidates(&self, runs: &[RunRecord]) -> Vec<(Collected, Option<String>)> {
        let mut used: HashMap<&str, &str> = HashMap::new();
        for run in runs {
            for stage in run.stages.iter().filter(|stage| stage.status.is_usable()) {
                if let Some(fingerprint) = &stage.fingerprint {
                    let last = used.entry(fingerprint).or_default();
                    *last = (*last).max(run.started.as_str());
                }
            }
        }
        let mut all = Vec::new();
        for (kind, fingerprint) in self.entries() {
            let dir = self.home.entry(&kind, &fingerprint);
            let last_run = used.get(fingerprint.as_str()).copied().unwrap_or_default().to_owned();
            let (stage, bytes, made, because) = match Entry::read(&dir) {
                Ok(Some(entry)) => (entry.stage.clone(), entry.bytes(), entry.made, None),
                Ok(None) => continue,
                Err(detail) => (String::new(), 0, String::new(), Some(format!("damaged: {detail}"))),
            };
            let last_used = if last_run > made { last_run } else { made };
            let because_known = because.clone().unwrap_or_default();
            all.push((
                Collected { stage, kind, fingerprint, bytes, last_used, because: because_known },
                because,
            ));
        }
        all.sort_by(|(a, _), (b, _)| (&a.last_used, &a.fingerprint).cmp(&(&b.last_used, &b.fingerprint)));
        all
    }

    /// Moves the entry out of the cache first, so that a kill leaves no half of it.
    fn remove(&self, entry: &Collected) -> Result<(), CacheError> {
        let dir = self.home.entry(&entry.kind, &entry.fingerprint);
        let away = self.home.tmp().join(format!("gone-{}", entry.fingerprint));
        std::fs::create_dir_all(self.home.tmp()).map_err(CacheError::io("making", &self.home.tmp()))?;
        std::fs::rename(&dir, &away).map_err(CacheError::io("removing", &dir))?;
        let _ = std::fs::remove_dir_all(&away);
        if let Some(parent) = dir.parent() {
            // Only an empty one goes.
            let _ = std::fs::remove_dir(parent);
        }
        Ok(())
    }

    /// Removes lock files; no run holds any, because `gc` is alone.
    fn sweep_locks(&self) -> usize {
        let entries = std::fs::read_dir(self.home.locks()).into_iter().flatten().flatten();
        entries.for_each(|entry| drop(std::fs::remove_file(entry.path())));
        0
    }

    /// Removes the half-done work of stages whose outputs are in the cache by now, or that is
    /// older than the rule for entries.
    fn sweep_resume(&self, options: &GcOptions) -> usize {
        let mut removed = 0;
        let kinds = std::fs::read_dir(self.home.writes.join("resume")).into_iter().flatten().flatten();
        for kind in kinds {
            for place in std::fs::read_dir(kind.path()).into_iter().flatten().flatten() {
                let (kind, name) = (kind.file_name(), place.file_name());
                let (Some(kind), Some(name)) = (kind.to_str(), name.to_str()) else { continue };
                let done = matches!(self.lookup(kind, name, super::Check::Believe), Lookup::Hit(_));
                let modified = place.metadata().and_then(|meta| meta.modified());
                let age = modified.ok().and_then(|time| SystemTime::now().duration_since(time).ok());
                let old = options.older_than.zip(age).is_some_and(|(limit, age)| age > limit);
                if (done || old) && std::fs::remove_dir_all(place.path()).is_ok() {
                    removed += 1;
                }
            }
        }
        removed
    }
}

/// Gives entries a reason to go, least recently used first.
fn judge(entries: &mut [(Collected, Option<String>)], runs: &[RunRecord], options: &GcOptions) {
    if let Some(age) = options.older_than {
        let limit = crate::record::utc(SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH));
        for (entry, because) in entries.iter_mut().filter(|(entry, _)| entry.last_used < limit) {
            because.get_or_insert_with(|| format!("last used {}", entry.last_used));
        }
    }
    if let Some(keep) = options.keep_runs {
        let newest = runs.iter().rev().take(keep);
        let used: HashSet<&str> = newest
            .flat_map(|run| run.stages.iter().filter_map(|stage| stage.fingerprint.as_deref()))
            .collect();
        for (_, because) in entries.iter_mut().filter(|(entry, _)| !used.contains(entry.fingerprint.as_str()))
        {
            because.get_or_insert_with(|| format!("not used by the last {keep} runs"));
        }
    }
    if let Some(max) = options.max_bytes {
        let staying =
            |(entry, because): &(Collected, Option<String>)| if because.is_none() { entry.bytes } else { 0 };
        let mut total: u64 = entries.iter().map(staying).sum();
        for (entry, because) in entries.iter_mut().filter(|(_, because)| because.is_none()) {
            if total <= max {
                break;
            }
            total -= entry.bytes;
            *because = Some(format!("least recently used ({})", entry.last_used));
        }
    }
}
