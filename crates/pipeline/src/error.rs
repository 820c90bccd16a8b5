//! What can go wrong around stages: with the cache, with a selection, in a stage.
//!
//! Errors of pipeline files are in `file.rs`.

use std::path::{Path, PathBuf};

/// The cache can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A file operation failed.
    #[error("{action} `{}`: {source}{}", path.display(), hint(source))]
    Io {
        /// What was tried: `writing`.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no room.
    #[error(
        "the disk is full: writing `{}`{}{} (free some space, or run `peregrine gc`)",
        path.display(), space(" needs ", *needed), space(", free are ", *free)
    )]
    DiskFull {
        /// What was being written.
        path: PathBuf,
        /// Bytes that it needs, where known.
        needed: Option<u64>,
        /// Bytes that are free, where known.
        free: Option<u64>,
    },
    /// Something else uses the cache.
    #[error("the cache is in use by {holder} (try again when it has ended)")]
    Busy {
        /// Who: `pid 4711 since …`.
        holder: String,
    },
    /// No such run.
    #[error("no run is called `{id}` (see `peregrine runs`)")]
    NoSuchRun {
        /// What was asked for.
        id: String,
    },
    /// A prefix that several runs share.
    #[error("`{id}` could be {} (write more of it)", either(candidates))]
    AmbiguousRun {
        /// What was asked for.
        id: String,
        /// The runs that begin so.
        candidates: Vec<String>,
    },
}

impl CacheError {
    /// For `map_err`: `action` on `path` failed.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// A run, or a question about a pipeline, can't be answered.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The cache can't be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// No stage has that name.
    #[error("no stage is called `{name}`{}", did_you_mean(near))]
    NoSuchStage {
        /// What was asked for.
        name: String,
        /// Names like it.
        near: Vec<String>,
    },
    /// The stage has no such output.
    #[error("stage `{stage}` has no output `{port}` (it has {})", quoted(ports))]
    NoSuchPort {
        /// The stage.
        stage: String,
        /// What was asked for.
        port: String,
        /// The outputs that it has.
        ports: Vec<String>,
    },
    /// The artifact asked for was not made yet.
    #[error("`{stage}.{port}` is not in the cache: {why} (run the stage first)")]
    NotMade {
        /// The stage.
        stage: String,
        /// The port.
        port: String,
        /// What keeps it from being there.
        why: String,
    },
    /// A selection leaves out stages that it needs.
    #[error("{} not up to date, and the selection leaves {} out (run without --only or --from)",
        are(missing), if missing.len() == 1 { "it" } else { "them" })]
    UpstreamNotCached {
        /// The stages that would have to run.
        missing: Vec<String>,
    },
    /// The executor itself failed.
    #[error("the executor failed: {0}")]
    Executor(String),
}

/// How a stage failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageError {
    /// The stage.
    pub stage: String,
    /// What went wrong: the error and its causes, outermost first, each once.
    pub message: String,
    /// How it failed.
    pub how: Failure,
}

/// The ways in which a stage fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It returned an error.
    Error,
    /// It panicked.
    Panic,
    /// It took longer than its `timeout`.
    TimedOut,
    /// It is a gate, and it said no.
    Gate,
}

impl std::fmt::Display for StageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.how {
            Failure::Panic => write!(f, "panicked: {}", self.message),
            Failure::Error | Failure::TimedOut | Failure::Gate => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for StageError {}

/// `bytes` for people: `1.5 GiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// `` `a`, `b` and `c` ``.
pub(crate) fn quoted(names: &[String]) -> String {
    joined(names, "and")
}

/// `` `a`, `b` or `c` ``.
pub(crate) fn either(names: &[String]) -> String {
    joined(names, "or")
}

fn joined(names: &[String], word: &str) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        None => "none".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} {word} {last}", rest.join(", ")),
    }
}

fn space(words: &str, count: Option<u64>) -> String {
    count.map_or_else(String::new, |count| format!("{words}{}", bytes(count)))
}

fn are(names: &[String]) -> String {
    format!("{} {}", quoted(names), if names.len() == 1 { "is" } else { "are" })
}

fn did_you_mean(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!(" (did you mean {}?)", either(near)) }
}

fn hint(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::PermissionDenied => {
            " (is it another user's? PEREGRINE_HOME says where the cache is)"
        }
        std::io::ErrorKind::ReadOnlyFilesystem => " (PEREGRINE_HOME says where the cache is)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_lists_read_well() {
        assert_eq!(bytes(900), "900 B");
        assert_eq!(bytes(3 << 29), "1.5 GiB");
        assert_eq!(quoted(&["a".into(), "b".into(), "c".into()]), "`a`, `b` and `c`");
        assert_eq!(did_you_mean(&["a".into(), "b".into()]), " (did you mean `a` or `b`?)");
        let error = RunError::UpstreamNotCached { missing: vec!["clean".into()] };
        assert_eq!(
            error.to_string(),
            "`clean` is not up to date, and the selection leaves it out (run without --only or --from)"
        );
    }
}
