//! Stage `ingest`: lists the images of a source with their labels.
//!
//! Decodes no image: broken ones are `clean`'s business. Files are hashed by the engine already;
//! images inside of archives and tables are hashed here.

mod archive;
mod cifar;
mod csv;
mod idx;
mod image_folder;
mod parquet;
mod raw;
mod rows;
mod survey;
mod tar;
mod workplace;
mod zip;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use anyhow::{bail, ensure};
use peregrine_pipeline::{OptionalManyInput, Output, ParamProblem, Port, SourceFile, Stage, StageContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::escape;
use crate::fetch::Files;
use crate::manifest::{ImageRecord, Manifest, Split};

use workplace::Workplace;

pub use archive::ArchiveSource;
pub use cifar::{CifarBatch, CifarLabels, CifarSource};
pub use idx::{IdxPart, IdxSource};
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
    /// Images and labels in IDX files (MNIST, Fashion-MNIST, EMNIST), each part with its split.
    Idx(IdxSource),
    /// CIFAR-10 or CIFAR-100 in its binary form.
    Cifar(CifarSource),
    /// A tar archive, plain or compressed with gzip or Zstandard, with an image folder inside.
    Tar(ArchiveSource),
    /// A zip archive with an image folder inside.
    Zip(ArchiveSource),
}

/// Lists the images of a source, with labels, file hashes and, where the source has them, splits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ingest {
    /// Where the images come from.
    pub source: Source,
}

const FILES: OptionalManyInput<Files> =
    OptionalManyInput::new("files", "fetched files, which the source names as `files:NAME`");
const MANIFEST: Output<Manifest> = Output::new("manifest", "every image of the source");

impl Stage for Ingest {
    const KIND: &'static str = "ingest";
    /// 2: records have an offset and notes. 3: `.pgm`, `.ppm` and `.pnm` files are images.
    const VERSION: u32 = 3;
    const INPUTS: &'static [Port] = &[FILES.port()];
    const OUTPUTS: &'static [Port] = &[MANIFEST.port()];

    fn check(&self) -> Vec<ParamProblem> {
        match &self.source {
            Source::ImageFolder { root, .. } => image_folder::check(Path::new(root)),
            Source::Csv(table) => rows::check(table, csv::open),
            Source::Parquet(table) => rows::check(table, parquet::open),
            Source::Idx(source) => idx::check(source),
            Source::Cifar(source) => cifar::check(source),
            Source::Tar(source) => tar::check(source),
            Source::Zip(source) => zip::check(source),
        }
    }

    fn sources(&self) -> anyhow::Result<Vec<PathBuf>> {
        match &self.source {
            Source::ImageFolder { root, .. } => Ok(vec![PathBuf::from(root)]),
            Source::Csv(table) => rows::sources(table, csv::open),
            Source::Parquet(table) => rows::sources(table, parquet::open),
            Source::Idx(source) => Ok(idx::sources(source)),
            Source::Cifar(source) => Ok(cifar::sources(source)),
            Source::Tar(source) | Source::Zip(source) => {
                Ok(raw::on_disk(std::iter::once(source.path.as_str())))
            }
        }
    }

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        let fetched = cx.read_optional_many(&FILES)?.into_iter().map(|named| named.value).collect();
        let out = cx.output_dir(&MANIFEST)?;
        let mut workplace = Workplace::of(cx, fetched, &out, MANIFEST.name);
        let manifest = manifest(&self.source, &mut workplace)?;
        workplace.blob.finish()?;
        cx.progress(manifest.images.len() as u64, manifest.images.len() as u64, "images", "");
        cx.write(&MANIFEST, &manifest)
    }
}

/// The manifest of `source`, whose files are `files`. Sources whose images are no files of their
/// own and not readable where they lie (compressed archives, raw pixels) need the stage.
///
/// # Errors
/// When there are fewer than two classes, or the source contradicts itself.
pub fn ingest(source: &Source, files: &[SourceFile]) -> anyhow::Result<Manifest> {
    manifest(source, &mut Workplace::reading(files))
}

fn manifest(source: &Source, workplace: &mut Workplace<'_>) -> anyhow::Result<Manifest> {
    let found = match source {
        Source::ImageFolder { root, tag } => {
            image_folder::list(Path::new(root), tag.as_deref(), workplace.files)?
        }
        Source::Csv(table) => rows::list(table, csv::open, workplace)?,
        Source::Parquet(table) => rows::list(table, parquet::open, workplace)?,
        Source::Idx(source) => idx::list(source, workplace)?,
        Source::Cifar(source) => cifar::list(source, workplace)?,
        Source::Tar(source) => tar::list(source, workplace)?,
        Source::Zip(source) => zip::list(source, workplace)?,
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
    const EXTENSIONS: [&str; 15] = [
        "jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "gif", "tif", "tiff", "apng", "pgm",
        "ppm", "pnm",
    ];
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

/// Whether a part of `relative` begins with a dot.
fn is_hidden(relative: &Path) -> bool {
    relative
        .components()
        .any(|part| matches!(part, Component::Normal(name) if name.as_encoded_bytes().starts_with(b".")))
}
