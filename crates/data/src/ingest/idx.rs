//! Images and labels in IDX files, the format of MNIST and its relatives.
//!
//! Reads bytes only: other element types are refused. One image is in memory at a time.

use std::io::Read;

use anyhow::{Context as _, bail, ensure};
use peregrine_pipeline::ParamProblem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Found;
use super::raw::{self, Raw, Shelf, at_end, fill, unpacked};
use super::workplace::{Workplace, open_now};
use crate::decode::MAX_PIXELS;
use crate::manifest::Split;

/// Pairs of IDX files.
///
/// ```yaml
/// source:
///   name: idx
///   parts:
///     - { images: data/raw/train-images-idx3-ubyte.gz, labels: data/raw/train-labels-idx1-ubyte.gz, split: train }
///     - { images: data/raw/t10k-images-idx3-ubyte.gz, labels: data/raw/t10k-labels-idx1-ubyte.gz, split: test }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdxSource {
    /// The pairs of files, at least one.
    pub parts: Vec<IdxPart>,
    /// The names of the classes 0, 1, 2, …; their numbers when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// The name of this data set in the manifest; that of the first file's folder when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// A file of images and the file of their labels; each may be compressed with gzip or Zstandard,
/// and `files:NAME` means a file that comes in at the input `files`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdxPart {
    /// The file of the images, relative to the working directory.
    pub images: String,
    /// The file of the labels, relative to the working directory.
    pub labels: String,
    /// The split that they are: `train`, `val` or `test`; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
}

/// What the head of a file of images says.
#[derive(Debug, Clone, Copy)]
struct Shape {
    count: u64,
    width: u32,
    height: u32,
    channels: u8,
}

impl Shape {
    fn bytes(self) -> usize {
        self.width as usize * self.height as usize * usize::from(self.channels)
    }
}

/// The sizes in the head of an IDX file.
fn sizes(reader: &mut impl Read, path: &str) -> anyhow::Result<Vec<u32>> {
    let mut magic = [0; 4];
    fill(reader, &mut magic, &format!("the head of `{path}`"))?;
    let [0, 0, kind, axes] = magic else {
        bail!("`{path}` is no IDX file (it begins with {magic:02x?}, not with two zero bytes)");
    };
    ensure!(kind == 8, "`{path}` holds elements of type {kind:#04x} (only bytes, 0x08, are read)");
    let mut sizes = vec![0; usize::from(axes) * 4];
    fill(reader, &mut sizes, &format!("the head of `{path}`"))?;
    Ok(sizes.chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]])).collect())
}

fn shape(reader: &mut impl Read, path: &str) -> anyhow::Result<Shape> {
    let (count, height, width, channels) = match *sizes(reader, path)?.as_slice() {
        [_] => bail!("`{path}` holds labels, not images (are `images` and `labels` swapped?)"),
        [count, height, width] => (count, height, width, 1),
        [count, height, width, channels @ (1 | 3)] => (count, height, width, channels as u8),
        ref sizes => bail!(
            "`{path}` holds no images: its sizes are {sizes:?} (count, height, width and maybe 1 or 3 channels are read)"
        ),
    };
    let pixels = u64::from(width) * u64::from(height);
    ensure!(pixels > 0, "the images of `{path}` are {width}×{height} pixels large");
    ensure!(
        pixels <= MAX_PIXELS,
        "the images of `{path}` are too large: {width}×{height} pixels (the limit is 50 million)"
    );
    Ok(Shape { count: u64::from(count), width, height, channels })
}

fn labels(mut reader: impl Read, path: &str) -> anyhow::Result<Vec<u8>> {
    let count = match *sizes(&mut reader, path)?.as_slice() {
        [count] => u64::from(count),
        ref sizes => bail!(
            "`{path}` holds no labels: it has {} sizes, not one (are `images` and `labels` swapped?)",
            sizes.len()
        ),
    };
    let mut labels = Vec::new();
    let read = reader.by_ref().take(count).read_to_end(&mut labels);
    read.with_context(|| format!("`{path}` can't be read"))?;
    ensure!(
        labels.len() as u64 == count,
        "`{path}` is cut short: it has {} of {count} labels (copy it again)",
        labels.len()
    );
    ensure!(at_end(&mut reader)?, "`{path}` has more than the {count} labels that its head says");
    Ok(labels)
}

fn check_counts(part: &IdxPart, shape: Shape, labels: &[u8]) -> anyhow::Result<()> {
    ensure!(
        shape.count == labels.len() as u64,
        "`{}` has {} images, but `{}` has {} labels (are they of the same split?)",
        part.images,
        shape.count,
        part.labels,
        labels.len()
    );
    Ok(())
}

fn check_labels(part: &IdxPart, labels: &[u8], classes: usize) -> anyhow::Result<()> {
    match labels.iter().position(|&label| usize::from(label) >= classes) {
        Some(at) => bail!(
            "label {at} of `{}` is {}, but there are {classes} classes (name them all in `classes`)",
            part.labels,
            labels[at]
        ),
        None => Ok(()),
    }
}

/// What is wrong, before anything runs.
pub(super) fn check(source: &IdxSource) -> Vec<ParamProblem> {
    let classes = source.classes.as_deref();
    let splits = source.parts.iter().enumerate();
    let splits = splits.map(|(number, part)| (format!("source.parts[{number}].split"), part.split));
    let mut problems = raw::problems(classes, splits);
    if source.parts.is_empty() {
        problems
            .push(ParamProblem::new("source.parts", "is empty (name a file of images and one of labels)"));
    }
    for (number, part) in source.parts.iter().enumerate() {
        if let Err((key, error)) = check_part(part, classes) {
            problems.push(ParamProblem::new(format!("source.parts[{number}].{key}"), format!("{error:#}")));
        }
    }
    problems
}

fn check_part(part: &IdxPart, classes: Option<&[String]>) -> Result<(), (&'static str, anyhow::Error)> {
    let images = open_now(&part.images).map_err(|error| ("images", error))?;
    let stored = open_now(&part.labels).map_err(|error| ("labels", error))?;
    let shape = match images {
        Some(file) => Some(check_images(file, &part.images).map_err(|error| ("images", error))?),
        None => None,
    };
    let Some(file) = stored else { return Ok(()) };
    let checked = || -> anyhow::Result<()> {
        let labels = labels(unpacked(file)?, &part.labels)?;
        shape.map_or(Ok(()), |shape| check_counts(part, shape, &labels))?;
        classes.map_or(Ok(()), |classes| check_labels(part, &labels, classes.len()))
    };
    checked().map_err(|error| ("labels", error))
}

/// The shape in a file's head; a file that isn't compressed must have as many bytes as it says.
fn check_images(file: std::fs::File, path: &str) -> anyhow::Result<Shape> {
    let length = file.metadata()?.len();
    let mut first = [0; 1];
    std::os::unix::fs::FileExt::read_at(&file, &mut first, 0)?;
    let mut reader = unpacked(file)?;
    let shape = shape(&mut reader, path)?;
    if first == [0] {
        let head = if shape.channels == 1 { 16 } else { 20 };
        let expected = head + shape.count * shape.bytes() as u64;
        ensure!(
            length >= expected,
            "`{path}` is cut short: it has {length} bytes, and {} images of {}×{} need {expected} (copy it again)",
            shape.count,
            shape.width,
            shape.height
        );
    }
    Ok(shape)
}

/// The files on the disk.
pub(super) fn sources(source: &IdxSource) -> Vec<std::path::PathBuf> {
    raw::on_disk(source.parts.iter().flat_map(|part| [part.images.as_str(), part.labels.as_str()]))
}

/// The images of all parts.
pub(super) fn list(source: &IdxSource, workplace: &mut Workplace<'_>) -> anyhow::Result<Vec<Found>> {
    let read = |part: &IdxPart| labels(unpacked(workplace.open(&part.labels)?)?, &part.labels);
    let labels: Vec<Vec<u8>> = source.parts.iter().map(read).collect::<Result<_, _>>()?;
    let highest = labels.iter().flatten().max().map_or(0, |&label| usize::from(label));
    let classes = source.classes.clone().unwrap_or_else(|| raw::numbers(highest + 1));
    let first = source.parts.first().map_or("", |part| part.images.as_str());
    let mut shelf = Shelf::new(source.tag.as_deref(), first, "idx");
    let total = labels.iter().map(|labels| labels.len() as u64).sum();
    let mut found = Vec::new();
    for (part, labels) in source.parts.iter().zip(&labels) {
        let path = &part.images;
        let mut reader = unpacked(workplace.open(path)?)?;
        let shape = shape(&mut reader, path)?;
        check_counts(part, shape, labels)?;
        check_labels(part, labels, classes.len())?;
        let mut pixels = vec![0; shape.bytes()];
        for (number, &label) in labels.iter().enumerate() {
            fill(&mut reader, &mut pixels, &format!("image {number} of `{path}`"))?;
            let raw =
                Raw { width: shape.width, height: shape.height, channels: shape.channels, pixels: &pixels };
            found.push(shelf.put(&classes[usize::from(label)], part.split, &raw, workplace)?);
            workplace.step(found.len() as u64, total)?;
        }
        ensure!(at_end(&mut reader)?, "`{path}` has more than the {} images that its head says", shape.count);
    }
    Ok(found)
}
