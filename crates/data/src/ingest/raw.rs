//! Tables of raw pixels as images: what IDX and CIFAR files have in common.
//!
//! Every image becomes a binary PGM (gray) or PPM (colour) file in the blob, named as in a folder
//! of such files: `train/cat/00012.ppm`, numbered within its split in the order of the table.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufReader, Read, Seek as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use peregrine_pipeline::ParamProblem;

use super::workplace::{FILES, Workplace};
use super::{Found, plain, source_tag};
use crate::escape;
use crate::manifest::{ImageRecord, Split};

/// Pixels of one image, row by row, channels interleaved.
pub(super) struct Raw<'a> {
    pub width: u32,
    pub height: u32,
    pub channels: u8,
    pub pixels: &'a [u8],
}

/// Turns raw images into records.
pub(super) struct Shelf {
    tag: String,
    counts: HashMap<Option<Split>, u64>,
    file: Vec<u8>,
}

impl Shelf {
    /// For the data set in `first` and files beside it.
    pub(super) fn new(tag: Option<&str>, first: &str, format: &str) -> Self {
        let folder = Path::new(first).parent().filter(|_| !first.starts_with(FILES));
        let tag = match folder.map(plain).filter(|folder| folder.file_name().is_some()) {
            Some(folder) => source_tag(tag, &folder),
            None => tag.unwrap_or(format).to_owned(),
        };
        Self { tag, counts: HashMap::new(), file: Vec::new() }
    }

    /// The next image of `split`, put into the blob.
    pub(super) fn put(
        &mut self,
        class: &str,
        split: Option<Split>,
        raw: &Raw<'_>,
        workplace: &mut Workplace<'_>,
    ) -> anyhow::Result<Found> {
        let Raw { width, height, channels, pixels } = *raw;
        let (magic, ending) = if channels == 1 { ("P5", "pgm") } else { ("P6", "ppm") };
        self.file.clear();
        self.file.extend_from_slice(format!("{magic}\n{width} {height}\n255\n").as_bytes());
        self.file.extend_from_slice(pixels);
        let number = self.counts.entry(split).or_default();
        let class = escape::to_text(Path::new(class));
        let folder = split.map_or_else(String::new, |split| format!("{split}/"));
        let record = ImageRecord {
            id: format!("{folder}{class}/{number:05}.{ending}"),
            offset: Some(workplace.blob.push(&self.file)?),
            path: workplace.blob.path(),
            digest: blake3::hash(&self.file).to_hex().to_string(),
            bytes: self.file.len() as u64,
            source: self.tag.clone(),
            predefined: split,
            ..ImageRecord::default()
        };
        *number += 1;
        Ok(Found { class, record })
    }
}

/// `file`, unpacked when it is compressed with gzip or Zstandard.
pub(super) fn unpacked(mut file: File) -> anyhow::Result<Box<dyn Read>> {
    let mut head = Vec::new();
    file.by_ref().take(4).read_to_end(&mut head)?;
    file.rewind()?;
    let file = BufReader::with_capacity(1 << 16, file);
    Ok(match head.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(file))),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(BufReader::new(zstd::Decoder::with_buffer(file)?)),
        _ => Box::new(file),
    })
}

/// Fills `buffer`, or says what is missing.
pub(super) fn fill(reader: &mut impl Read, buffer: &mut [u8], what: &str) -> anyhow::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        let read = reader.read(&mut buffer[filled..]).with_context(|| format!("{what} can't be read"))?;
        ensure!(read > 0, "cut short: {what} has {filled} of {} bytes", buffer.len());
        filled += read;
    }
    Ok(())
}

/// Whether `reader` is at its end.
pub(super) fn at_end(reader: &mut impl Read) -> anyhow::Result<bool> {
    Ok(reader.read(&mut [0])? == 0)
}

/// What is wrong with class names and splits, before anything runs.
pub(super) fn problems(
    classes: Option<&[String]>,
    splits: impl Iterator<Item = (String, Option<Split>)>,
) -> Vec<ParamProblem> {
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for (number, name) in classes.unwrap_or_default().iter().enumerate() {
        let path = || format!("source.classes[{number}]");
        if !is_name(name) {
            let message = format!(
                "`{}` is no class name (it can't be empty, begin with a dot or hold a slash)",
                escape::to_text(Path::new(name))
            );
            problems.push(ParamProblem::new(path(), message));
        } else if !seen.insert(name) {
            problems.push(ParamProblem::new(path(), format!("`{name}` occurs twice")));
        }
    }
    for (path, split) in splits {
        if matches!(split, Some(Split::All | Split::HeldOut)) {
            problems.push(ParamProblem::new(path, "write train, val or test, or leave it out"));
        }
    }
    problems
}

/// Whether a folder for a class could be called so.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains('/')
}

/// The names of `count` classes that have none: their numbers, all of the same length.
pub(super) fn numbers(count: usize) -> Vec<String> {
    let width = count.saturating_sub(1).max(1).ilog10() as usize + 1;
    (0..count).map(|number| format!("{number:0width$}")).collect()
}

/// Those of `paths` that are on the disk before anything runs.
pub(super) fn on_disk<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<PathBuf> {
    paths.filter(|path| !path.starts_with(FILES)).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_sort_as_text() {
        assert_eq!(numbers(3), ["0", "1", "2"]);
        assert_eq!(numbers(10).last().unwrap(), "9");
        assert_eq!((numbers(11)[2].as_str(), numbers(100)[99].as_str()), ("02", "99"));
    }
}
