//! Packed images: every picture decoded and resized once, as bytes in one memory-mapped file.
//!
//! Does not decode (see `pack.rs`) and does not normalize.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use memmap2::Mmap;
use peregrine_pipeline::{Artifact, Count, Table};
use polars::prelude::{NamedFrom as _, Series};
use serde::{Deserialize, Serialize};

use crate::manifest::{Split, read_json, write_json};
use crate::table;

/// What all images of a set share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageSetMeta {
    /// The class names; labels are indices into them.
    pub classes: Vec<String>,
    /// Which part of the data this is.
    pub split: Split,
    /// The height in pixels.
    pub height: usize,
    /// The width in pixels.
    pub width: usize,
    /// 1 (gray) or 3 (red, green, blue).
    pub channels: usize,
    /// The mean of each channel, of pixels in 0..1, over the distinct pictures.
    pub mean: Vec<f64>,
    /// The standard deviation of each channel, of pixels in 0..1, over the distinct pictures.
    pub std: Vec<f64>,
    /// How pictures were brought to this size: `squash/bilinear`; see [`crate::pack::Resize`].
    pub resize: String,
}

/// Packed images with their ids, labels and weights.
#[derive(Debug, Clone)]
pub struct ImageSet {
    /// What all images share.
    pub meta: ImageSetMeta,
    /// The images' ids, as in the manifest.
    pub ids: Vec<String>,
    /// The images' labels.
    pub labels: Vec<u32>,
    /// How much each image counts in the loss.
    pub weights: Vec<f32>,
    /// Which stored picture each image is; copies share one.
    slots: Vec<u32>,
    store: Store,
}

#[derive(Debug, Clone)]
enum Store {
    Memory(Arc<Vec<u8>>),
    Mapped(Arc<Mmap>),
}

impl Store {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Memory(bytes) => bytes,
            Self::Mapped(map) => map,
        }
    }
}

const META: &str = "images.json";
const ROWS: &str = "images.parquet";
pub(crate) const PIXELS: &str = "pixels.u8";

impl ImageSet {
    /// A set from pixels in memory, one picture an image, each `height * width * channels` bytes
    /// with the channels interleaved.
    ///
    /// # Errors
    /// When the lengths disagree or a label has no class.
    pub fn from_pixels(
        meta: ImageSetMeta,
        ids: Vec<String>,
        labels: Vec<u32>,
        weights: Vec<f32>,
        pixels: Vec<u8>,
    ) -> anyhow::Result<Self> {
        let slots = (0..ids.len() as u32).collect();
        Self { meta, ids, labels, weights, slots, store: Store::Memory(Arc::new(pixels)) }.validated()
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The bytes of one image: rows of pixels with the channels interleaved (HWC).
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    pub fn pixels(&self, index: usize) -> &[u8] {
        let size = self.image_bytes();
        let start = self.slots[index] as usize * size;
        &self.store.bytes()[start..start + size]
    }

    /// The bytes of one image: `height * width * channels`.
    pub fn image_bytes(&self) -> usize {
        self.meta.height * self.meta.width * self.meta.channels
    }

    /// The number of images of each class.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.meta.classes.len()];
        self.labels.iter().for_each(|&label| counts[label as usize] += 1);
        counts
    }

    fn validated(self) -> anyhow::Result<Self> {
        let (n, size) = (self.ids.len(), self.image_bytes());
        ensure!(
            self.labels.len() == n && self.weights.len() == n && self.slots.len() == n,
            "the set has {n} ids, {} labels and {} weights",
            self.labels.len(),
            self.weights.len()
        );
        ensure!(size > 0, "the images have no pixels");
        let stored = self.store.bytes().len() / size;
        ensure!(
            stored * size == self.store.bytes().len()
                && self.slots.iter().all(|&slot| (slot as usize) < stored),
            "the pixels are {} bytes, not {n} images of {size}",
            self.store.bytes().len()
        );
        ensure!(
            self.labels.iter().all(|&label| (label as usize) < self.meta.classes.len()),
            "a label has no class"
        );
        Ok(self)
    }

    fn stored(&self) -> usize {
        self.store.bytes().len() / self.image_bytes().max(1)
    }
}

/// Writes everything but the pixels of a set into `dir`.
pub(crate) fn save_index(
    dir: &Path,
    meta: &ImageSetMeta,
    ids: &[String],
    labels: &[u32],
    weights: &[f32],
    slots: &[u32],
) -> anyhow::Result<()> {
    write_json(&dir.join(META), meta)?;
    let columns = vec![
        Series::new("id".into(), ids).into(),
        Series::new("label".into(), labels).into(),
        Series::new("weight".into(), weights).into(),
        Series::new("slot".into(), slots).into(),
    ];
    table::write(&dir.join(ROWS), ids.len(), columns)
}

impl Artifact for ImageSet {
    const TYPE: &'static str = "images";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        save_index(dir, &self.meta, &self.ids, &self.labels, &self.weights, &self.slots)?;
        let path = dir.join(PIXELS);
        std::fs::write(&path, self.store.bytes()).with_context(|| format!("writing `{}`", path.display()))
    }

    fn load(dir: &Path) -> anyhow::Result<Self> {
        let meta: ImageSetMeta = read_json(&dir.join(META))?;
        let frame = table::read(&dir.join(ROWS))?;
        let path = dir.join(PIXELS);
        let file = File::open(&path).with_context(|| format!("opening `{}`", path.display()))?;
        let store = if file.metadata()?.len() == 0 {
            Store::Memory(Arc::default())
        } else {
            // SAFETY: an artifact's files are never written again after they got their name in the
            // cache, so the mapping doesn't change under us.
            let map = unsafe { Mmap::map(&file) };
            Store::Mapped(Arc::new(map.with_context(|| format!("mapping `{}`", path.display()))?))
        };
        let set = Self {
            meta,
            ids: table::texts(&frame, "id")?,
            labels: table::u32s(&frame, "label")?,
            weights: table::f32s(&frame, "weight")?,
            slots: table::u32s(&frame, "slot")?,
            store,
        };
        set.validated().with_context(|| format!("loading `{}`", dir.display()))
    }

    fn text(&self) -> String {
        use std::fmt::Write as _;
        let meta = &self.meta;
        let mut text = format!(
            "images ({}): {} of {}×{} pixels in {} ({}), {} pictures stored, {:.1} MB\n",
            meta.split,
            self.len(),
            meta.height,
            meta.width,
            if meta.channels == 1 { "gray" } else { "colour" },
            meta.resize,
            self.stored(),
            self.store.bytes().len() as f64 / 1e6,
        );
        let _ = writeln!(text, "  mean {:.4?}  std {:.4?}", meta.mean, meta.std);
        let width = meta.classes.iter().map(|class| class.chars().count()).max().unwrap_or(0);
        for (class, count) in meta.classes.iter().zip(self.class_counts()) {
            let _ = writeln!(text, "  {class:<width$}  {count:>7}");
        }
        text
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::json!({
            "count": self.len(),
            "stored": self.stored(),
            "meta": self.meta,
            "class_counts": self.class_counts(),
            "ids": self.ids,
            "labels": self.labels,
        }))
    }

    fn table(&self) -> Option<Table> {
        let row = |i: usize| {
            let class = self.meta.classes[self.labels[i] as usize].clone();
            vec![self.ids[i].clone(), class, self.weights[i].to_string()]
        };
        Some(Table {
            columns: ["id", "label", "weight"].map(str::to_owned).to_vec(),
            rows: (0..self.len()).map(row).collect(),
        })
    }

    fn count(&self) -> Option<Count> {
        Some(Count::new(self.len(), "images"))
    }
}
