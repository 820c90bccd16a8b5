//! Stage `pack`: decodes every picture once, strictly, brings it to one size and writes all into
//! one file that training maps into memory.
//!
//! Does not normalize and does not augment: what is stored are the bytes of the picture.

mod moments;
mod params;
mod resize;
mod reuse;
mod synthesis;
mod writer;

use std::collections::HashMap;
use std::path::Path;

use anyhow::{bail, ensure};
use peregrine_pipeline::{Input, Output, ParamProblem, Port, Stage, StageContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decode::{self, Unreadable};
use crate::files;
use crate::image_set::{self, ImageSet, ImageSetMeta, Rows};
use crate::manifest::{ImageRecord, Manifest};

pub(crate) use moments::Moments;
pub use params::{Channels, Size};
pub use resize::{Filter, Recipe, Resize, fit_raster_within, fit_within};
use reuse::Earlier;
use writer::{Shape, Slot, Writer};

/// Decodes every image, brings it to one size and packs all into one memory-mapped file of bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pack {
    /// The size in pixels, from 1 to 4096: one number for a square, or `[height, width]`.
    pub size: Size,
    /// How a picture of another shape is brought to this size.
    pub mode: Resize,
    /// 1 (gray), 3 (colour) or `auto`: 1 when every image of this manifest is stored as gray. Packs
    /// that must fit together and hold both kinds need a number.
    pub channels: Channels,
    /// How pixels are interpolated; antialiased when made smaller, as in Pillow.
    pub filter: Filter,
    /// The value of the pixels that `letterbox` adds, from 0 (black) to 255 (white).
    #[schemars(range(min = 0, max = 255))]
    pub fill: u8,
    /// The largest share of unreadable images that is left out with a warning, from 0 to 1; above
    /// it the stage fails.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_bad_fraction: f64,
}

impl Default for Pack {
    fn default() -> Self {
        Self {
            size: Size::square(32),
            mode: Resize::Squash,
            channels: Channels::Auto,
            filter: Filter::Bilinear,
            fill: 0,
            max_bad_fraction: 0.01,
        }
    }
}

const MANIFEST: Input<Manifest> = Input::new("manifest", "the images to pack");
const IMAGES: Output<ImageSet> = Output::new("images", "the pictures, decoded and of one size");

impl Stage for Pack {
    const KIND: &'static str = "pack";
    /// 1: first version. 2: each image's file digest is kept; common JPEG
    /// files decode as in libjpeg-turbo and are resized in planes.
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] = &[MANIFEST.port()];
    const OUTPUTS: &'static [Port] = &[IMAGES.port()];

    fn check(&self) -> Vec<ParamProblem> {
        let range = |value: u32| (1..=4096).contains(&value);
        let mut problems = Vec::new();
        if !range(self.size.height) || !range(self.size.width) {
            problems.push(ParamProblem::new("size", "must be from 1 to 4096 pixels"));
        }
        if !(0.0..=1.0).contains(&self.max_bad_fraction) {
            problems.push(ParamProblem::new("max_bad_fraction", "must be from 0 to 1"));
        }
        problems
    }

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        let manifest = cx.read(&MANIFEST)?;
        let dir = cx.output_dir(&IMAGES)?;
        pack(&manifest, self, &dir, cx)
    }
}

/// Packs the images of `manifest` into the empty folder `dir`, where [`ImageSet`] loads them.
/// Pictures that an earlier pack holds in this shape are copied from there.
///
/// # Errors
/// When a file changed since `ingest`, too many are unreadable, none is left, or images that a stage
/// made are among those that measure.
pub fn pack(manifest: &Manifest, params: &Pack, dir: &Path, cx: &StageContext) -> anyhow::Result<()> {
    ensure!(
        !manifest.images.is_empty(),
        "the manifest ({}) has no images (is the fraction of `split` too small?)",
        manifest.split
    );
    synthesis::refuse_where_measured(manifest)?;
    let pictures = distinct(manifest, ImageRecord::key);
    let shape = Shape {
        recipe: Recipe { mode: params.mode, filter: params.filter, fill: params.fill },
        height: params.size.height,
        width: params.size.width,
    };
    let earlier = Earlier::find(cx, &pictures, &shape);
    let files = distinct(manifest, |record| record.digest.clone());
    let channels = channels(&files, params.channels, &earlier, cx)?;
    let mut writer = Writer::create(&dir.join(image_set::PIXELS))?;
    let mut bad: Vec<(&ImageRecord, Unreadable)> = Vec::new();
    let (made, real): (Vec<_>, Vec<_>) = pictures.iter().copied().partition(|record| record.made.is_some());
    let chunk = ((64 << 20) / shape.bytes(channels)).clamp(16, 256);
    files::map_reusing(
        cx,
        &real,
        chunk,
        |record| earlier.picture(&record.digest, channels).map(Ok),
        |record| shape.make(record, channels),
        |record, result| match result {
            Ok(picture) => writer.add(&record.digest, &picture),
            Err(unreadable) => {
                bad.push((record, unreadable));
                Ok(())
            }
        },
    )?;
    if !made.is_empty() {
        let parents = writer.parents(shape, channels)?;
        let work = |record: &&ImageRecord| match earlier.picture(&record.key(), channels) {
            Some(picture) => Ok(Ok(picture)),
            None => parents.make(record),
        };
        files::map(cx, &made, chunk, work, |record, result| match result {
            Ok(picture) => writer.add(&record.key(), &picture),
            Err(unreadable) => {
                bad.push((record, unreadable));
                Ok(())
            }
        })?;
    }
    quarantine(&bad, pictures.len(), params.max_bad_fraction)?;
    let (moments, slots) = writer.finish()?;
    let rows = rows(manifest, &slots);
    ensure!(!rows.ids.is_empty(), "no image of the manifest ({}) can be read", manifest.split);
    let meta = ImageSetMeta {
        classes: manifest.classes.clone(),
        split: manifest.split,
        height: shape.height as usize,
        width: shape.width as usize,
        channels: usize::from(channels),
        mean: (0..usize::from(channels)).map(|channel| moments.mean(channel)).collect(),
        std: (0..usize::from(channels)).map(|channel| moments.std(channel)).collect(),
        resize: shape.recipe.to_string(),
    };
    image_set::save_index(dir, &meta, &rows)
}

/// The rows of the images whose pictures were stored in `slots`.
fn rows(manifest: &Manifest, slots: &HashMap<String, Slot>) -> Rows {
    let mut rows = Rows::default();
    for image in &manifest.images {
        let key = image.key();
        let Some(slot) = slots.get(&key) else { continue };
        rows.ids.push(image.id.clone());
        rows.labels.push(image.label);
        rows.weights.push(image.weight);
        rows.digests.push(key);
        rows.colour.push(slot.colour);
        rows.slots.push(slot.number);
    }
    rows
}

/// The first image of each `key`: copies are decoded once.
fn distinct(manifest: &Manifest, key: impl Fn(&ImageRecord) -> String) -> Vec<&ImageRecord> {
    let mut seen = std::collections::HashSet::new();
    manifest.images.iter().filter(|image| seen.insert(key(image))).collect()
}

fn quarantine(bad: &[(&ImageRecord, Unreadable)], of: usize, limit: f64) -> anyhow::Result<()> {
    for (record, reason) in bad.iter().take(20) {
        tracing::warn!(image = %record.path, %reason, "left out an unreadable image");
    }
    if bad.len() as f64 > limit * of as f64 {
        let first = bad.iter().take(3).map(|(record, reason)| format!("`{}`: {reason}", record.path));
        bail!(
            "{} of {of} images are unreadable, more than `max_bad_fraction` {limit} allows: {} (put a `clean` \
             stage before `pack`)",
            bad.len(),
            first.collect::<Vec<_>>().join("; ")
        );
    }
    if !bad.is_empty() {
        tracing::warn!(unreadable = bad.len(), of, "left out unreadable images");
    }
    Ok(())
}

fn channels(
    pictures: &[&ImageRecord],
    wanted: Channels,
    earlier: &Earlier,
    cx: &StageContext,
) -> anyhow::Result<u8> {
    match wanted {
        Channels::Gray => return Ok(1),
        Channels::Colour => return Ok(3),
        Channels::Auto => {}
    }
    let (known, unknown): (Vec<_>, Vec<_>) =
        pictures.iter().copied().partition(|record| earlier.colour(&record.digest).is_some());
    if known.iter().any(|record| earlier.colour(&record.digest) == Some(true)) {
        return Ok(3);
    }
    for part in unknown.chunks(64) {
        let mut colour = false;
        let head = |record: &&ImageRecord| {
            let bytes = record.read();
            Ok(bytes.and_then(|bytes| decode::head(&bytes)).is_ok_and(|head| head.channels == 3))
        };
        let quiet = StageContext { progress: std::sync::Arc::new(|_| {}), ..cx.clone() };
        files::map(&quiet, part, 64, head, |_, has_colour| {
            colour |= has_colour;
            Ok(())
        })?;
        if colour {
            return Ok(3);
        }
    }
    Ok(1)
}
