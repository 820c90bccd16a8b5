//! Looks at a folder of images and refuses those no classifier can be made of. Changes nothing.
//! What counts as a class and as a part is `ingest`'s rule, so `data` does the looking.

use std::path::{Path, PathBuf};

use peregrine_data::Split;
use peregrine_data::ingest::survey;

/// What a folder of images looks like.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// The folder.
    pub root: PathBuf,
    /// The classes and how many images each has, over all parts.
    pub classes: Vec<(String, usize)>,
    /// The parts that the folder is made of (`train`, `val`, `test`), if it is.
    pub parts: Vec<Split>,
    /// How many images its part `train` has; all of them where there are no parts.
    pub train: usize,
    /// Median width and height in pixels.
    pub median: (u32, u32),
    /// 1 for grey images, 3 for colour.
    pub channels: u8,
}

/// Why there is no pipeline for a folder.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum LookError {
    /// It is not there, or not a folder.
    #[error("`{0}` is not a folder (give the folder that holds one folder of images a class)")]
    NotAFolder(String),
    /// It can't be read.
    #[error("can't look at `{0}`: {1}")]
    CantRead(String, String),
    /// No images in class folders.
    #[error(
        "no images in class folders below `{0}` (make one folder a class: `{0}/cat/1.jpg`, `{0}/dog/2.jpg`)"
    )]
    Empty(String),
    /// A single class.
    #[error(
        "`{0}` has a single class, `{1}` (a classifier needs at least two: one folder of images a class)"
    )]
    OneClass(String, String),
    /// Some class has fewer images than there are parts.
    #[error("class `{0}` has {1} (at least 3 are needed: to train with, to choose with and to test with)")]
    TooFew(String, String),
    /// Nothing decodes.
    #[error("none of the images that were opened below `{0}` can be read")]
    NothingDecodes(String),
}

impl Look {
    /// How many images there are.
    pub fn images(&self) -> usize {
        self.classes.iter().map(|(_, count)| count).sum()
    }

    /// How many times more images the largest class has than the smallest.
    pub fn imbalance(&self) -> f64 {
        let largest = self.classes.iter().map(|(_, count)| *count).max().unwrap_or(1);
        let smallest = self.classes.iter().map(|(_, count)| *count).min().unwrap_or(1);
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
    let cant_read = |error: anyhow::Error| LookError::CantRead(shown.clone(), format!("{error:#}"));
    let seen = survey(root).map_err(cant_read)?;
    match seen.classes.as_slice() {
        [] => return Err(LookError::Empty(shown)),
        [(only, _)] => return Err(LookError::OneClass(shown, only.clone())),
        classes => {
            if let Some((class, count)) = classes.iter().find(|(_, count)| *count < 3) {
                let said = if *count == 1 { "one image".to_owned() } else { format!("{count} images") };
                return Err(LookError::TooFew(class.clone(), said));
            }
        }
    }
    if seen.width == 0 || seen.height == 0 {
        return Err(LookError::NothingDecodes(shown));
    }
    let train = if seen.splits.is_empty() { seen.images } else { train_images(root).map_err(cant_read)? };
    Ok(Look {
        root: root.to_owned(),
        classes: seen.classes,
        parts: seen.splits,
        train,
        median: (seen.width, seen.height),
        channels: seen.channels,
    })
}

/// The images of the part `train`.
fn train_images(root: &Path) -> anyhow::Result<usize> {
    let mut images = 0;
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        let is_train = Split::from_name(&entry.file_name().to_string_lossy()) == Some(Split::Train);
        if is_train && entry.path().is_dir() {
            images += survey(&entry.path())?.images;
        }
    }
    Ok(images)
}
