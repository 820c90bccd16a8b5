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
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::decode;
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
    /// BLAKE3 of each image's file in hex, as in the manifest; of its recipe where a stage
    /// made it ([`crate::ImageRecord::key`]); of its pixels where there was no file.
    pub digests: Vec<String>,
    /// Whether each image's file holds colour, whatever [`ImageSetMeta::channels`] made of it.
    colour: Vec<bool>,
    /// Which stored picture each image is; copies share one.
    slots: Vec<u32>,
    /// The [`decode::VERSION`] that made the pixels; 0 for pixels from elsewhere.
    decoding: u32,
    store: Store,
}

/// What `images.json` holds.
#[derive(Serialize, Deserialize)]
struct Head {
    meta: ImageSetMeta,
    decoding: u32,
}

/// The rows of a set that `pack` writes.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub ids: Vec<String>,
    pub labels: Vec<u32>,
    pub weights: Vec<f32>,
    pub digests: Vec<String>,
    pub colour: Vec<bool>,
    pub slots: Vec<u32>,
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
        let size = (meta.height * meta.width * meta.channels).max(1);
        let digests = pixels.par_chunks(size).map(|image| blake3::hash(image).to_hex().to_string()).collect();
        let (colour, slots) = (vec![meta.channels == 3; ids.len()], (0..ids.len() as u32).collect());
        let store = Store::Memory(Arc::new(pixels));
        Self { meta, ids, labels, weights, digests, colour, slots, decoding: 0, store }.validated()
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

    /// Whether the file of one image holds colour.
    pub(crate) fn has_colour(&self, index: usize) -> bool {
        self.colour[index]
    }

    /// Whether today's code would make the same pixels of the same files.
    pub(crate) fn is_current(&self) -> bool {
        self.decoding == decode::VERSION
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
            [self.labels.len(), self.weights.len(), self.digests.len(), self.colour.len(), self.slots.len()]
                == [n; 5],
            "the set has {n} ids, {} labels, {} weights and {} digests",
            self.labels.len(),
            self.weights.len(),
            self.digests.len()
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

/// Writes everything but the pixels of a set, made by today's decoding, into `dir`.
pub(crate) fn save_index(dir: &Path, meta: &ImageSetMeta, rows: &Rows) -> anyhow::Result<()> {
    write_index(dir, meta, decode::VERSION, rows)
}

fn write_index(dir: &Path, meta: &ImageSetMeta, decoding: u32, rows: &Rows) -> anyhow::Result<()> {
    write_json(&dir.join(META), &Head { meta: meta.clone(), decoding })?;
    let columns = vec![
        Series::new("id".into(), &rows.ids).into(),
        Series::new("label".into(), &rows.labels).into(),
        Series::new("weight".into(), &rows.weights).into(),
        Series::new("digest".into(), &rows.digests).into(),
        Series::new("colour".into(), &rows.colour).into(),
        Series::new("slot".into(), &rows.slots).into(),
    ];
    table::write(&dir.join(ROWS), rows.ids.len(), columns)
}

impl Artifact for ImageSet {
    const TYPE: &'static str = "images";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        let rows = Rows {
            ids: self.ids.clone(),
            labels: self.labels.clone(),
            weights: self.weights.clone(),
            digests: self.digests.clone(),
            colour: self.colour.clone(),
            slots: self.slots.clone(),
        };
        write_index(dir, &self.meta, self.decoding, &rows)?;
        let path = dir.join(PIXELS);
        std::fs::write(&path, self.store.bytes()).with_context(|| format!("writing `{}`", path.display()))
    }

    fn load(dir: &Path) -> anyhow::Result<Self> {
        let Head { meta, decoding } = read_json(&dir.join(META))?;
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
            digests: table::texts(&frame, "digest")?,
            colour: table::bools(&frame, "colour")?,
            slots: table::u32s(&frame, "slot")?,
            decoding,
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
