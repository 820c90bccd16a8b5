//! Why a stage has to run: every difference between what made its newest outputs and what it
//! would be made of now, each with old and new.
//!
//! Does not decide freshness (the fingerprint does); it explains.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::artifact::Count;

/// One reason for which a stage has to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum DirtyReason {
    /// The pipeline has never run this stage.
    NeverRun,
    /// It was asked for.
    Forced,
    /// The outputs are not in the cache any more.
    EntryMissing,
    /// The outputs in the cache are damaged.
    EntryDamaged {
        /// What is damaged.
        detail: String,
    },
    /// A param changed, appeared or went.
    Param {
        /// Its path: `optimizer.lr`.
        path: String,
        /// The value then; `None` when there was none.
        old: Option<Value>,
        /// The value now; `None` when there is none.
        new: Option<Value>,
    },
    /// An input's content changed, or what is wired to the port did.
    Input {
        /// The input port.
        port: String,
        /// The stages whose outputs it took then.
        old_made_by: Vec<String>,
        /// The stages whose outputs it takes now.
        made_by: Vec<String>,
        /// What it held then, where known.
        old_count: Option<Count>,
        /// What it holds now, where known.
        new_count: Option<Count>,
    },
    /// Files outside the cache changed.
    Sources {
        /// The first few, `+` before an added, `-` before a removed and `~` before a changed one.
        names: Vec<String>,
        /// How many were added.
        added: usize,
        /// How many were removed.
        removed: usize,
        /// How many were changed.
        changed: usize,
    },
    /// The kind's code changed.
    Version {
        /// The version then.
        old: u32,
        /// The version now.
        new: u32,
    },
    /// The stage is of another kind now.
    Kind {
        /// The kind then.
        old: String,
        /// The kind now.
        new: String,
    },
    /// The seed changed.
    Seed {
        /// The derived seed then.
        old: Option<u64>,
        /// The derived seed now.
        new: Option<u64>,
    },
    /// The device changed.
    Device {
        /// The backend then.
        old: Option<String>,
        /// The backend now.
        new: Option<String>,
    },
    /// A stage above changed in a way that the stage's lineage shows.
    Lineage {
        /// The stages that are new, gone or different.
        stages: Vec<String>,
    },
    /// Stages above have to run first; this one runs only if their outputs change.
    Upstream {
        /// The nearest of them.
        stages: Vec<String>,
    },
}

impl std::fmt::Display for DirtyReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}
