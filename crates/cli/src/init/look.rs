//! Looks at a folder of images: its layout, classes, sizes and colours. Changes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::probe::{Probe, probe};

/// How many images are opened; enough for a median, quick on any folder.
const SAMPLES: usize = 300;
const EXTENSIONS: [&str; 8] = ["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff"];
/// Folders that are parts of the data, not classes: their name, and what `ingest` calls them.
const SPLITS: [(&str, &str); 8] = [
    ("train", "train"),
    ("training", "train"),
    ("val", "val"),
    ("valid", "val"),
    ("validation", "val"),
    ("dev", "val"),
    ("test", "test"),
    ("testing", "test"),
];

/// What a folder of images looks like.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// The folder.
    pub root: PathBuf,
    /// How many images each class has, over all parts.
    pub classes: BTreeMap<String, usize>,
    /// How many images each part has (`train`, `val`, `test`), where the folder is parted.
    pub parts: BTreeMap<&'static str, usize>,
    /// Median width and height in pixels, of those that could be opened.
    pub median: (u32, u32),
    /// The smallest and the largest side seen.
    pub sides: (u32, u32),
    /// Whether any opened image has colours.
    pub colour: bool,
    /// How many of the opened images can't be read, and how many were opened.
    pub unreadable: (usize, usize),
}

/// Why there is no pipeline for a folder.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum LookError {
    /// It is not there, or not a folder.
    #[error("`{0}` is not a folder (give the folder that holds one folder of images a class)")]
    NotAFolder(String),
    /// It can't be read.
    #[error("can't read `{0}`: {1}")]
    Unreadable(String, String),
    /// No image below it.
    #[error("no images below `{0}` (looked for {1} in one folder a class)")]
    Empty(String, String),
    /// Images, but not in class folders.
    #[error(
        "the {1} images of `{0}` are not in class folders (make one folder a class: `{0}/cat/1.jpg`, `{0}/dog/2.jpg`)"
    )]
    Flat(String, usize),
    /// A single class.
    #[error(
        "`{0}` has a single class, `{1}` (a classifier needs at least two: one folder of images a class)"
    )]
    OneClass(String, String),
    /// Some class has fewer images than parts need.
    #[error("class `{0}` has {1} (at least 3 are needed: one each to train, choose and test with)")]
    TooFew(String, String),
    /// Nothing decodes.
    #[error("none of the {1} images opened below `{0}` can be read")]
    NothingDecodes(String, usize),
}

impl Look {
    /// How many images there are.
    pub fn images(&self) -> usize {
        self.classes.values().sum()
    }

    /// How many times more images the largest class has than the smallest.
    pub fn imbalance(&self) -> f64 {
        let largest = self.classes.values().max().copied().unwrap_or(1);
        let smallest = self.classes.values().min().copied().unwrap_or(1);
        largest as f64 / smallest.max(1) as f64
    }
}

/// Looks at `root`.
///
/// # Errors
/// When no pipeline can be written for it, and why.
pub fn look(root: &Path) -> Result<Look, LookError> {
    let shown = root.display().to_string();
    if !root.is_dir() {
        return Err(LookError::NotAFolder(shown));
    }
    let unreadable = |error: std::io::Error| LookError::Unreadable(shown.clone(), error.to_string());
    let top = folders(root).map_err(unreadable)?;
    let parts: Vec<(&'static str, PathBuf)> = top.iter().filter_map(|path| part(path)).collect();
    let parted = parts.iter().any(|(name, _)| *name == "train")
        && parts.iter().all(|(_, dir)| folders(dir).is_ok_and(|inner| !inner.is_empty()));
    let mut files: Vec<(String, Option<&'static str>, PathBuf)> = Vec::new();
    if parted {
        for (part, dir) in &parts {
            for class in folders(dir).map_err(unreadable)? {
                let images = images_below(&class).map_err(unreadable)?;
                files.extend(images.into_iter().map(|path| (name(&class), Some(*part), path)));
            }
        }
    } else {
        for class in &top {
            let images = images_below(class).map_err(unreadable)?;
            files.extend(images.into_iter().map(|path| (name(class), None, path)));
        }
    }
    let mut classes: BTreeMap<String, usize> = BTreeMap::new();
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    for (class, part, _) in &files {
        *classes.entry(class.clone()).or_default() += 1;
        if let Some(part) = part {
            *counts.entry(part).or_default() += 1;
        }
    }
    refuse(&shown, root, &classes)?;
    let paths: Vec<&PathBuf> = files.iter().map(|(_, _, path)| path).collect();
    let probes = open_some(&paths);
    let good: Vec<&Probe> = probes.iter().flatten().collect();
    if good.is_empty() {
        return Err(LookError::NothingDecodes(shown, probes.len()));
    }
    Ok(Look {
        root: root.to_owned(),
        classes,
        parts: counts,
        median: (median(good.iter().map(|p| p.width)), median(good.iter().map(|p| p.height))),
        sides: (
            good.iter().map(|p| p.width.min(p.height)).min().unwrap_or(1),
            good.iter().map(|p| p.width.max(p.height)).max().unwrap_or(1),
        ),
        colour: good.iter().any(|p| p.colour),
        unreadable: (probes.len() - good.len(), probes.len()),
    })
}

fn refuse(shown: &str, root: &Path, classes: &BTreeMap<String, usize>) -> Result<(), LookError> {
    if classes.is_empty() {
        let flat = images_below(root).map(|images| images.len()).unwrap_or(0);
        return Err(if flat > 0 {
            LookError::Flat(shown.to_owned(), flat)
        } else {
            LookError::Empty(shown.to_owned(), EXTENSIONS.map(|e| format!(".{e}")).join(", "))
        });
    }
    if let (1, Some(only)) = (classes.len(), classes.keys().next()) {
        return Err(LookError::OneClass(shown.to_owned(), only.clone()));
    }
    match classes.iter().find(|(_, count)| **count < 3) {
        Some((class, 1)) => Err(LookError::TooFew(class.clone(), "one image".to_owned())),
        Some((class, count)) => Err(LookError::TooFew(class.clone(), format!("{count} images"))),
        None => Ok(()),
    }
}

/// Opens images spread evenly over the folder.
fn open_some(paths: &[&PathBuf]) -> Vec<Option<Probe>> {
    let count = paths.len().min(SAMPLES);
    (0..count).map(|i| probe(paths[i * paths.len() / count])).collect()
}

fn part(path: &Path) -> Option<(&'static str, PathBuf)> {
    let name = name(path).to_lowercase();
    SPLITS.iter().find(|(folder, _)| *folder == name).map(|(_, part)| (*part, path.to_owned()))
}

/// The folders directly in `dir`, sorted, without the hidden ones.
fn folders(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    Ok(entries(dir)?.into_iter().filter(|path| path.is_dir()).collect())
}

/// The images in `dir` and below, sorted.
fn images_below(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut images = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(dir) = todo.pop() {
        for path in entries(&dir)? {
            // Links to folders are not followed: they could lead round in a circle.
            if path.is_dir() && !path.is_symlink() {
                todo.push(path);
            } else if is_image(&path) {
                images.push(path);
            }
        }
    }
    images.sort();
    Ok(images)
}

fn entries(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = std::fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    paths.retain(|path| !name(path).starts_with('.'));
    paths.sort();
    Ok(paths)
}

fn is_image(path: &Path) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| EXTENSIONS.contains(&e.to_lowercase().as_str()))
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn median(values: impl Iterator<Item = u32>) -> u32 {
    let mut values: Vec<u32> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(1)
}
