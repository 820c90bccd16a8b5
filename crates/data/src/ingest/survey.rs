//! A quick look at a folder of images, for `peregrine init`: no hashing, few files opened.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{has_image_extension, image_folder, is_hidden};
use crate::decode;
use crate::manifest::Split;

/// What a folder of images looks like at a glance.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Survey {
    /// The classes and their numbers of files with an image's extension, by name.
    pub classes: Vec<(String, usize)>,
    /// The splits that the folder's own top folders give, if they do.
    pub splits: Vec<Split>,
    /// How many images there are.
    pub images: usize,
    /// The median width in pixels of the images looked at; 0 when none could be read.
    pub width: u32,
    /// The median height in pixels of the images looked at; 0 when none could be read.
    pub height: u32,
    /// 1 when all images looked at are gray, else 3.
    pub channels: u8,
}

/// How many images [`survey`] opens.
const LOOKS: usize = 256;

/// Looks at the folder `root`.
///
/// # Errors
/// When a folder can't be read.
pub fn survey(root: &Path) -> anyhow::Result<Survey> {
    let mut files = Vec::new();
    walk(root, Path::new(""), 0, &mut files)?;
    files.sort_unstable();
    let parts = |file: &PathBuf| -> Vec<String> {
        file.components().map(|part| crate::escape::to_text(Path::new(part.as_os_str()))).collect()
    };
    let deep: Vec<Vec<String>> = files.iter().map(parts).collect();
    let tops = deep.iter().filter(|parts| parts.len() > 1).map(|parts| parts[0].as_str());
    let by_split = image_folder::are_splits(tops) && deep.iter().any(|parts| parts.len() > 2);
    let mut classes: BTreeMap<String, usize> = BTreeMap::new();
    let mut splits = Vec::new();
    let mut images = Vec::new();
    for (file, parts) in files.iter().zip(&deep) {
        let class_at = usize::from(by_split);
        if parts.len() >= class_at + 2 {
            *classes.entry(parts[class_at].clone()).or_default() += 1;
            images.push(root.join(file));
            splits.extend(if by_split { Split::from_name(&parts[0]) } else { None });
        }
    }
    splits.sort_unstable();
    splits.dedup();
    let step = images.len().div_ceil(LOOKS).max(1);
    let heads = images.iter().step_by(step);
    let heads: Vec<decode::Head> =
        heads.filter_map(|file| decode::head(&decode::read_file(file, None).ok()?).ok()).collect();
    let median = |mut sides: Vec<u32>| {
        sides.sort_unstable();
        sides.get(sides.len() / 2).copied().unwrap_or(0)
    };
    Ok(Survey {
        classes: classes.into_iter().collect(),
        splits,
        images: images.len(),
        width: median(heads.iter().map(|head| head.width).collect()),
        height: median(heads.iter().map(|head| head.height).collect()),
        channels: if heads.iter().all(|head| head.channels == 1) { 1 } else { 3 },
    })
}

/// Collects the files with an image's extension below `root`/`below`; stops at 64 levels, where
/// only a link to a folder above itself leads.
fn walk(root: &Path, below: &Path, depth: usize, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let dir = root.join(below);
    let context = || format!("reading folder `{}`", dir.display());
    for entry in std::fs::read_dir(&dir).with_context(context)? {
        let entry = entry.with_context(context)?;
        let path = below.join(entry.file_name());
        if is_hidden(Path::new(&entry.file_name())) {
            continue;
        }
        match std::fs::metadata(entry.path()) {
            Ok(metadata) if metadata.is_dir() && depth < 64 => walk(root, &path, depth + 1, files)?,
            Ok(metadata) if metadata.is_file() && has_image_extension(&path) => files.push(path),
            _ => {}
        }
    }
    Ok(())
}
