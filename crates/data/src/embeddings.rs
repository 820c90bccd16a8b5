//! A row of numbers for each image: what classic classifiers learn from.
//!
//! Made by a network without its last layer, or by a fixed recipe such as HOG. Does not make them.

use std::path::Path;

use anyhow::{Context as _, ensure};
use peregrine_pipeline::{Artifact, Count, Table};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Split;

const HEADER: &str = "embeddings.json";
const VALUES: &str = "embeddings.f32";

/// Numbers that describe images, a row each.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    /// The class names; a label is an index into them.
    pub classes: Vec<String>,
    /// Which part of the data the images are.
    pub split: Split,
    /// What made them, in words that equal makers share: rows of other makers mean something else.
    pub maker: String,
    /// The images' ids.
    pub ids: Vec<String>,
    /// The true class of each image.
    pub labels: Vec<u32>,
    /// How much each image counts.
    pub weights: Vec<f32>,
    /// The numbers of a row.
    pub width: usize,
    /// `ids.len() × width` numbers, row by row.
    pub values: Vec<f32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    classes: Vec<String>,
    split: Split,
    maker: String,
    width: usize,
    ids: Vec<String>,
    labels: Vec<u32>,
    weights: Vec<f32>,
}

impl Embeddings {
    /// The number of images.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The numbers of image `i`.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.width..(i + 1) * self.width]
    }

    /// The rows, in the order of the images.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width.max(1))
    }

    /// Says whether lengths and labels fit each other and all numbers are finite.
    ///
    /// # Errors
    /// With the first thing that is not so.
    pub fn check(&self) -> anyhow::Result<()> {
        let n = self.ids.len();
        ensure!(self.width > 0, "embeddings have no numbers");
        for (what, length, expected) in [
            ("labels", self.labels.len(), n),
            ("weights", self.weights.len(), n),
            ("numbers", self.values.len(), n * self.width),
        ] {
            ensure!(length == expected, "embeddings hold `{length}` {what} where `{expected}` belong");
        }
        for (id, (&label, row)) in self.ids.iter().zip(self.labels.iter().zip(self.rows())) {
            let classes = self.classes.len();
            ensure!((label as usize) < classes, "image `{id}` has label `{label}` of `{classes}` classes");
            ensure!(
                row.iter().all(|x| x.is_finite()),
                "the embedding of image `{id}` holds numbers that are not finite (look at the network's weights)"
            );
        }
        Ok(())
    }
}

impl Artifact for Embeddings {
    const TYPE: &'static str = "embeddings";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        self.check()?;
        let header = Header {
            classes: self.classes.clone(),
            split: self.split,
            maker: self.maker.clone(),
            width: self.width,
            ids: self.ids.clone(),
            labels: self.labels.clone(),
            weights: self.weights.clone(),
        };
        let bytes: Vec<u8> = self.values.iter().flat_map(|x| x.to_le_bytes()).collect();
        for (name, bytes) in [(HEADER, serde_json::to_vec(&header)?), (VALUES, bytes)] {
            let path = dir.join(name);
            std::fs::write(&path, bytes).with_context(|| format!("writing `{}`", path.display()))?;
        }
        Ok(())
    }

    fn load(dir: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| {
            let path = dir.join(name);
            std::fs::read(&path).with_context(|| format!("reading `{}`", path.display()))
        };
        let header: Header =
            serde_json::from_slice(&read(HEADER)?).with_context(|| format!("reading `{HEADER}`"))?;
        let bytes = read(VALUES)?;
        let (words, rest) = bytes.as_chunks::<4>();
        ensure!(rest.is_empty(), "`{VALUES}` has `{}` bytes, not a multiple of 4", bytes.len());
        let embeddings = Self {
            classes: header.classes,
            split: header.split,
            maker: header.maker,
            ids: header.ids,
            labels: header.labels,
            weights: header.weights,
            width: header.width,
            values: words.iter().map(|word| f32::from_le_bytes(*word)).collect(),
        };
        embeddings.check()?;
        Ok(embeddings)
    }

    fn text(&self) -> String {
        let Self { width, maker, .. } = self;
        format!("{} images of {} classes, {width} numbers each, by {maker}\n", self.len(), self.classes.len())
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        Ok(json!({
            "n": self.len(),
            "width": self.width,
            "maker": self.maker,
            "split": self.split,
            "classes": self.classes,
        }))
    }

    fn table(&self) -> Option<Table> {
        let columns = ["id".to_owned(), "label".to_owned()];
        let row = |i: usize| {
            let label = self.classes[self.labels[i] as usize].clone();
            let numbers = self.row(i).iter().map(ToString::to_string);
            [self.ids[i].clone(), label].into_iter().chain(numbers).collect()
        };
        Some(Table {
            columns: columns.into_iter().chain((0..self.width).map(|i| i.to_string())).collect(),
            rows: (0..self.len()).map(row).collect(),
        })
    }

    fn count(&self) -> Option<Count> {
        Some(Count::new(self.len(), "images"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embeddings_load_bit_for_bit_and_broken_ones_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let embeddings = Embeddings {
            classes: vec!["a".into(), "b".into()],
            split: Split::Train,
            maker: "a test".into(),
            ids: vec!["1.png".into(), "2.png".into()],
            labels: vec![0, 1],
            weights: vec![1.0, 0.5],
            width: 3,
            values: vec![0.1, -2.0, f32::MIN_POSITIVE, 1e30, 0.0, 7.0],
        };
        embeddings.save(dir.path()).unwrap();
        assert_eq!(Embeddings::load(dir.path()).unwrap(), embeddings);
        let bytes = std::fs::read(dir.path().join(VALUES)).unwrap();
        std::fs::write(dir.path().join(VALUES), &bytes[..20]).unwrap();
        assert!(Embeddings::load(dir.path()).is_err());
        let mut broken = embeddings.clone();
        broken.values[4] = f32::NAN;
        assert!(broken.save(dir.path()).unwrap_err().to_string().contains("`2.png`"));
        let broken = Embeddings { labels: vec![0, 2], ..embeddings };
        assert!(broken.check().is_err());
    }
}
