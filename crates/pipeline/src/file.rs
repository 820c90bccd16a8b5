//! Pipeline files: read once into a tree of values with places, checked by a walk that finds every
//! error, then turned into a [`Pipeline`].
//!
//! Does not run anything and does not know the cache. The file's keys are described in
//! `schema.rs`, which editors use; `when.rs` holds the language of conditions.

mod check;
mod diagnostics;
mod draft;
mod fields;
pub(crate) mod form;
mod interpolate;
mod kinds;
mod matrix;
mod order;
mod overrides;
mod plan;
mod suggest;
mod tree;
mod wire;
mod yaml;

use std::io::Read as _;
use std::path::Path;

use diagnostics::Reporter;
pub use diagnostics::{FileErrors, Place, Problem, Related, Source};
pub use yaml::to_yaml;

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
pub fn load(
    path: &Path,
    kinds: &'static [StageKind],
    overrides: &[Override],
) -> Result<Pipeline, FileErrors> {
    parse(&read(path)?, path, kinds, overrides)
}

/// Checks the `text` of a pipeline file; `path` names it in errors.
///
/// # Errors
/// Everything that is wrong with it, each with its place.
pub fn parse(
    text: &str,
    path: &Path,
    kinds: &'static [StageKind],
    overrides: &[Override],
) -> Result<Pipeline, FileErrors> {
    let name = path.display().to_string();
    if text.len() > yaml::MAX_BYTES {
        return Err(too_large(&name));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut sources = vec![Source { name, text: text.to_owned() }];
    sources.extend(overrides.iter().map(overrides::source));
    let mut reporter = Reporter::new(sources);
    let pipeline = plan::plan(text, path, kinds, overrides, &mut reporter);
    reporter.finish(pipeline)
}

/// The text of the file at `path`.
fn read(path: &Path) -> Result<String, FileErrors> {
    let name = path.display().to_string();
    let wrong =
        |message: String, help: Option<&str>| FileErrors::unreadable(&name, message, help.map(str::to_owned));
    let cannot = |error: &std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            let help =
                "paths are relative to the working directory; `peregrine init FOLDER` writes a pipeline";
            wrong(format!("there is no file `{name}`"), Some(help))
        }
        std::io::ErrorKind::IsADirectory => {
            wrong(format!("`{name}` is a folder"), Some("name the pipeline file in it"))
        }
        _ => wrong(format!("`{name}` can't be read: {error}"), None),
    };
    let file = std::fs::File::open(path).map_err(|error| cannot(&error))?;
    let metadata = file.metadata().map_err(|error| cannot(&error))?;
    if metadata.is_dir() {
        return Err(cannot(&std::io::ErrorKind::IsADirectory.into()));
    }
    let mut bytes = Vec::new();
    file.take(yaml::MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|error| cannot(&error))?;
    if bytes.len() > yaml::MAX_BYTES {
        return Err(too_large(&name));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let valid = String::from_utf8_lossy(&error.as_bytes()[..at]).into_owned();
        let mut reporter = Reporter::new(vec![Source { name: name.clone(), text: valid }]);
        let span = tree::Span { source: 0, start: at as u32, end: at as u32 };
        let message = format!("the file is not UTF-8: its byte {at} begins no character");
        let help = "save it as UTF-8 text".to_owned();
        reporter.report(diagnostics::Draft::new(span, message).help(help));
        match reporter.finish::<()>(None) {
            Err(errors) => errors,
            Ok(()) => wrong("the file is not UTF-8".to_owned(), None),
        }
    })
}

fn too_large(name: &str) -> FileErrors {
    let message = format!("the file is larger than {} KiB", yaml::MAX_BYTES / 1024);
    FileErrors::unreadable(
        name,
        message,
        Some("a pipeline file is a few kilobytes; is this the right one?".to_owned()),
    )
}
