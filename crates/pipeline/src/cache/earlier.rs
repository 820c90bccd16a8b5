//! Earlier outputs of a kind, for stages that can go on from work already done.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::{Cache, Check, Entry};

/// How many earlier entries a stage is offered.
const MOST: usize = 6;

impl Cache {
    /// The folders of the output `port` of whole entries of `kind`, those that `stage` made first,
    /// then the newest first. An entry is hashed when the iterator comes to it; damaged ones are
    /// left out.
    pub(crate) fn earlier(
        self: &Arc<Self>,
        kind: &str,
        port: &str,
        stage: &str,
    ) -> impl Iterator<Item = PathBuf> + use<> {
        let folder = self.home.cache().join(kind);
        let names = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut found: Vec<(bool, SystemTime, PathBuf, Entry)> = names
            .filter_map(|name| {
                let dir = name.path();
                let entry = Entry::read(&dir).ok()??;
                let made = std::fs::metadata(dir.join("stage.json")).and_then(|meta| meta.modified()).ok()?;
                (entry.kind == kind && entry.outputs.contains_key(port))
                    .then(|| (entry.stage == stage, made, dir, entry))
            })
            .collect();
        found.sort_by(|a, b| (b.0, b.1, &b.2).cmp(&(a.0, a.1, &a.2)));
        let (cache, port) = (Arc::clone(self), port.to_owned());
        found.into_iter().take(MOST).filter_map(move |(_, _, dir, entry)| {
            let output = entry.outputs.get(&port)?;
            let dir = dir.join(&port);
            output.check(&dir, &port, Check::Hash, &cache.stat).is_ok().then_some(dir)
        })
    }
}
