//! Pipeline files: read once into a tree of values with places, checked by a walk that finds every
//! error, then turned into a [`Pipeline`].
//!
//! Does not run anything and does not know the cache. The file's keys are described in
//! `schema.rs`, which editors use; `when.rs` holds the language of conditions.

mod diagnostics;
mod tree;

use std::path::Path;

pub use diagnostics::{FileErrors, Place, Problem, Related, Source};

use crate::graph::Pipeline;
use crate::stage::StageKind;

/// A value given on the command line in place of the file's: `stages.train.params.epochs=2`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The path in the file, split at its dots.
    pub path: Vec<String>,
    /// The value, as YAML.
    pub value: String,
}

/// An override that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an override (write `path.to.key=value`, as in `stages.train.params.epochs=2`)")]
pub struct OverrideError(String);

impl Override {
    /// Reads `path=value`.
    ///
    /// # Errors
    /// When there is no `=`, or a part of the path is empty.
    pub fn parse(text: &str) -> Result<Self, OverrideError> {
        let wrong = || OverrideError(text.to_owned());
        let (path, value) = text.split_once('=').ok_or_else(wrong)?;
        let path: Vec<String> = path.trim().split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err(wrong());
        }
        Ok(Self { path, value: value.to_owned() })
    }
}

impl std::str::FromStr for Override {
    type Err = OverrideError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl std::fmt::Display for Override {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.path.join("."), self.value)
    }
}

/// Reads and checks the pipeline file at `path`.
///
/// # Errors
/// Everything that is wrong with it, each with its place.
pub fn load(path: &Path, kinds: &'static [StageKind], overrides: &[Override]) -> Result<Pipeline, FileErrors> {
    parse("", path, kinds, overrides)
}

/// Checks the `text` of a pipeline file; `path` names it in errors.
///
/// # Errors
/// Everything that is wrong with it, each with its place.
pub fn parse(
    _text: &str,
    path: &Path,
    _kinds: &'static [StageKind],
    _overrides: &[Override],
) -> Result<Pipeline, FileErrors> {
    let name = path.display().to_string();
    Err(FileErrors::unreadable(&name, "reading pipeline files is not finished".to_owned(), None))
}

/// `value` as YAML text, for files that Peregrine writes.
///
/// # Errors
/// When the value has no YAML form.
pub fn to_yaml<T: serde::Serialize + ?Sized>(value: &T) -> anyhow::Result<String> {
    Ok(serde_yaml::to_string(value)?)
}
