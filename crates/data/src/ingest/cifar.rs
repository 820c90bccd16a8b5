//! CIFAR-10 and CIFAR-100 in their binary form.
//!
//! A record is one label byte (CIFAR-100: coarse, then fine) and 3,072 bytes: the red, green and
//! blue planes of 32×32 pixels.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use peregrine_pipeline::ParamProblem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Found;
use super::raw::{self, Raw, Shelf, fill, unpacked};
use super::workplace::{Workplace, comes_in, open_now};
use crate::manifest::Split;

const SIDE: u32 = 32;
const PLANE: usize = 1024;

/// Batches of CIFAR images.
///
/// ```yaml
/// source:
///   name: cifar
///   batches:
///     - { path: data/raw/cifar-10-batches-bin/data_batch_1.bin, split: train }
///     - { path: data/raw/cifar-10-batches-bin/test_batch.bin, split: test }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CifarSource {
    /// The files, at least one.
    pub batches: Vec<CifarBatch>,
    /// Which labels the files have, and which of them are the classes.
    #[serde(default)]
    pub labels: CifarLabels,
    /// The names of the classes 0, 1, 2, …. When absent, they are read from the file beside the
    /// first batch (`batches.meta.txt`, `fine_label_names.txt`, `coarse_label_names.txt`); where
    /// there is none, the numbers are the names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// The name of this data set in the manifest; that of the first file's folder when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// A file of images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CifarBatch {
    /// The file, relative to the working directory, or `files:NAME` for a file that comes in at
    /// the input `files`; it may be compressed with gzip or Zstandard.
    pub path: String,
    /// The split that it is: `train`, `val` or `test`; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
}

/// The labels in CIFAR files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CifarLabels {
    /// CIFAR-10: 10 classes.
    #[default]
    Ten,
    /// CIFAR-100: its 100 fine classes.
    Fine,
    /// CIFAR-100: its 20 coarse classes.
    Coarse,
}

impl CifarLabels {
    fn count(self) -> usize {
        match self {
            Self::Ten => 10,
            Self::Fine => 100,
            Self::Coarse => 20,
        }
    }

    /// How many label bytes a record begins with, and which of them counts.
    fn bytes(self) -> (usize, usize) {
        match self {
            Self::Ten => (1, 0),
            Self::Coarse => (2, 0),
            Self::Fine => (2, 1),
        }
    }

    fn record(self) -> u64 {
        (self.bytes().0 + 3 * PLANE) as u64
    }

    fn names_file(self) -> &'static str {
        match self {
            Self::Ten => "batches.meta.txt",
            Self::Fine => "fine_label_names.txt",
            Self::Coarse => "coarse_label_names.txt",
        }
    }

    fn check(self, label: u8, number: u64, path: &str) -> anyhow::Result<()> {
        let count = self.count();
        ensure!(
            usize::from(label) < count,
            "image {number} of `{path}` has the label {label}, but there are {count} classes (is `labels` right?)"
        );
        Ok(())
    }
}

impl CifarSource {
    /// The file with the class names, where there is one and they are not given.
    fn names_file(&self) -> Option<PathBuf> {
        let first = self.batches.first().filter(|batch| self.classes.is_none() && !comes_in(&batch.path))?;
        let file = Path::new(&first.path).parent()?.join(self.labels.names_file());
        file.is_file().then_some(file)
    }

    fn names(&self) -> anyhow::Result<Vec<String>> {
        let count = self.labels.count();
        let names = match (&self.classes, self.names_file()) {
            (Some(classes), _) => classes.clone(),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(&file);
                let text =
                    text.with_context(|| format!("reading the class names in `{}`", file.display()))?;
                let names: Vec<String> =
                    text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
                let sound = names.iter().all(|name| raw::is_name(name));
                ensure!(
                    sound,
                    "`{}` holds what is no class name (write the names in `classes`)",
                    file.display()
                );
                names
            }
            (None, None) => raw::numbers(count),
        };
        ensure!(names.len() == count, "there are {} class names, but {count} classes", names.len());
        Ok(names)
    }
}

/// What is wrong, before anything runs.
pub(super) fn check(source: &CifarSource) -> Vec<ParamProblem> {
    let splits = source.batches.iter().enumerate();
    let splits = splits.map(|(number, batch)| (format!("source.batches[{number}].split"), batch.split));
    let mut problems = raw::problems(source.classes.as_deref(), splits);
    if source.batches.is_empty() {
        problems.push(ParamProblem::new("source.batches", "is empty (name at least one file)"));
    }
    let names = source.names().err();
    problems.extend(names.map(|error| ParamProblem::new("source.classes", format!("{error:#}"))));
    for (number, batch) in source.batches.iter().enumerate() {
        let opened = open_now(&batch.path);
        let checked = opened
            .and_then(|file| file.map_or(Ok(()), |file| check_batch(&file, &batch.path, source.labels)));
        let problem =
            |error| ParamProblem::new(format!("source.batches[{number}].path"), format!("{error:#}"));
        problems.extend(checked.err().map(problem));
    }
    problems
}

/// Looks at the length of a file and at all of its labels, unless it is compressed.
fn check_batch(file: &File, path: &str, labels: CifarLabels) -> anyhow::Result<()> {
    let mut head = [0; 4];
    if file.read_at(&mut head, 0)? == 4
        && (head.starts_with(&[0x1f, 0x8b]) || head == [0x28, 0xb5, 0x2f, 0xfd])
    {
        return Ok(());
    }
    let (length, record) = (file.metadata()?.len(), labels.record());
    let other = if labels == CifarLabels::Ten { CifarLabels::Fine } else { CifarLabels::Ten };
    let hint = if length.is_multiple_of(other.record()) {
        "is `labels` right?"
    } else {
        "is it whole, and CIFAR in its binary form?"
    };
    ensure!(
        length.is_multiple_of(record),
        "`{path}` has {length} bytes, no multiple of the {record} of an image ({hint})"
    );
    let (_, at) = labels.bytes();
    for number in 0..length / record {
        let mut label = [0];
        file.read_exact_at(&mut label, number * record + at as u64)?;
        labels.check(label[0], number, path)?;
    }
    Ok(())
}

/// The files on the disk.
pub(super) fn sources(source: &CifarSource) -> Vec<PathBuf> {
    let mut files = raw::on_disk(source.batches.iter().map(|batch| batch.path.as_str()));
    files.extend(source.names_file());
    files
}

/// The images of all batches.
pub(super) fn list(source: &CifarSource, workplace: &mut Workplace<'_>) -> anyhow::Result<Vec<Found>> {
    let names = source.names()?;
    let first = source.batches.first().map_or("", |batch| batch.path.as_str());
    let mut shelf = Shelf::new(source.tag.as_deref(), first, "cifar");
    let (_, label_at) = source.labels.bytes();
    let mut record = vec![0; source.labels.record() as usize];
    let mut pixels = vec![0; 3 * PLANE];
    let mut found = Vec::new();
    for CifarBatch { path, split } in &source.batches {
        let mut reader = unpacked(workplace.open(path)?)?;
        for number in 0.. {
            let begun = reader.read(&mut record[..1]).with_context(|| format!("`{path}` can't be read"))?;
            if begun == 0 {
                break;
            }
            fill(&mut reader, &mut record[1..], &format!("image {number} of `{path}`"))?;
            let label = record[label_at];
            source.labels.check(label, number, path)?;
            interleave(&record[record.len() - 3 * PLANE..], &mut pixels);
            let raw = Raw { width: SIDE, height: SIDE, channels: 3, pixels: &pixels };
            found.push(shelf.put(&names[usize::from(label)], *split, &raw, workplace)?);
            workplace.step(found.len() as u64, 0)?;
        }
    }
    Ok(found)
}

/// Three planes as pixels.
fn interleave(planes: &[u8], pixels: &mut [u8]) {
    for (at, pixel) in pixels.chunks_exact_mut(3).enumerate() {
        pixel.copy_from_slice(&[planes[at], planes[PLANE + at], planes[2 * PLANE + at]]);
    }
}
