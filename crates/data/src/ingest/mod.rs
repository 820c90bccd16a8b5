//! Stage `ingest`: lists the images of a source with their labels.
//!
//! Opens no image and hashes nothing: the engine has hashed the source files already, and broken
//! images are `clean`'s business.

mod csv;
mod image_folder;
mod parquet;
mod rows;
mod survey;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use anyhow::{bail, ensure};
use peregrine_pipeline::{Output, ParamProblem, Port, SourceFile, Stage, StageContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::escape;
use crate::manifest::{ImageRecord, Manifest, Split};

pub use rows::TableSource;
pub use survey::{Survey, survey};

/// Where images and their labels come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// A folder that holds one folder of images (at any depth) for each class, or `train`, `val`
    /// and `test` folders that do.
    ImageFolder {
        /// The folder, relative to the working directory.
        root: String,
        /// The name of this data set in the manifest; the folder's own name when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tag: Option<String>,
    },
    /// A CSV table with one row for each image.
    Csv(TableSource),
    /// A Parquet table with one row for each image.
    Parquet(TableSource),
}

/// Lists the images of a source, with labels, file hashes and, where the source has them, splits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ingest {
    /// Where the images come from.
    pub source: Source,
}

const MANIFEST: Output<Manifest> = Output::new("manifest", "every image of the source");

impl Stage for Ingest {
    const KIND: &'static str = "ingest";
    /// 2: records have an offset and notes.
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] = &[];
    const OUTPUTS: &'static [Port] = &[MANIFEST.port()];

    fn check(&self) -> Vec<ParamProblem> {
        match &self.source {
            Source::ImageFolder { root, .. } => image_folder::check(Path::new(root)),
            Source::Csv(table) => rows::check(table, csv::open),
            Source::Parquet(table) => rows::check(table, parquet::open),
        }
    }

    fn sources(&self) -> anyhow::Result<Vec<PathBuf>> {
        match &self.source {
            Source::ImageFolder { root, .. } => Ok(vec![PathBuf::from(root)]),
            Source::Csv(table) => rows::sources(table, csv::open),
            Source::Parquet(table) => rows::sources(table, parquet::open),
        }
    }

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        let manifest = ingest(&self.source, &cx.sources)?;
        cx.progress(manifest.images.len() as u64, manifest.images.len() as u64, "images", "");
        cx.write(&MANIFEST, &manifest)
    }
}

/// The manifest of `source`, whose files are `files`.
///
/// # Errors
/// When there are fewer than two classes, or the source contradicts itself.
pub fn ingest(source: &Source, files: &[SourceFile]) -> anyhow::Result<Manifest> {
    let found = match source {
        Source::ImageFolder { root, tag } => image_folder::list(Path::new(root), tag.as_deref(), files)?,
        Source::Csv(table) => rows::list(table, csv::open, files)?,
        Source::Parquet(table) => rows::list(table, parquet::open, files)?,
    };
    let labels: BTreeSet<&str> = found.iter().map(|found| found.class.as_str()).collect();
    let classes: Vec<String> = labels.into_iter().map(str::to_owned).collect();
    ensure!(!found.is_empty(), "the source has no images");
    ensure!(
        classes.len() >= 2,
        "all images are of one class, `{}` (a classifier needs at least two)",
        classes.join("")
    );
    let numbers: BTreeMap<&str, u32> =
        classes.iter().enumerate().map(|(number, class)| (class.as_str(), number as u32)).collect();
    let record = |found: &Found| ImageRecord {
        label: numbers.get(found.class.as_str()).copied().unwrap_or_default(),
        ..found.record.clone()
    };
    let mut images: Vec<ImageRecord> = found.iter().map(record).collect();
    images.sort_by(|a, b| a.id.cmp(&b.id));
    if let Some(pair) = images.windows(2).find(|pair| pair[0].id == pair[1].id) {
        bail!("image `{}` occurs twice", pair[0].id);
    }
    Ok(Manifest { classes, split: Split::All, images })
}

/// An image and its class, before classes have numbers.
struct Found {
    class: String,
    record: ImageRecord,
}

/// A record of the file `relative` below `root`, still without a label.
fn record(root: &Path, relative: &Path, file: &SourceFile, tag: &str) -> ImageRecord {
    ImageRecord {
        id: id(relative),
        path: escape::to_text(&root.join(relative)),
        digest: file.digest.clone(),
        bytes: file.bytes,
        source: tag.to_owned(),
        ..ImageRecord::default()
    }
}

/// The name of a file below the root: its parts with `/` between them, escaped.
fn id(relative: &Path) -> String {
    let parts = relative.components().filter_map(|part| match part {
        Component::CurDir => None,
        part => Some(escape::to_text(Path::new(part.as_os_str()))),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// `path` without `.` parts, so that paths written differently compare equal.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

/// The data set's name: `tag`, or the last part of `root`.
fn source_tag(tag: Option<&str>, root: &Path) -> String {
    let own =
        || root.file_name().map_or_else(|| "images".to_owned(), |name| escape::to_text(Path::new(name)));
    tag.map_or_else(own, str::to_owned)
}

/// Whether a file called so is taken for an image.
fn has_image_extension(path: &Path) -> bool {
    const EXTENSIONS: [&str; 12] =
        ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "gif", "tif", "tiff", "apng"];
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

/// Whether a part of `relative` begins with a dot.
fn is_hidden(relative: &Path) -> bool {
    relative
        .components()
        .any(|part| matches!(part, Component::Normal(name) if name.as_encoded_bytes().starts_with(b".")))
}
