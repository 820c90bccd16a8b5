//! Making the pictures of a pack and writing them one behind the other.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::synthesis::Parents;
use super::{Moments, Recipe};
use crate::decode::{self, Pixels, Unreadable};
use crate::files;
use crate::manifest::ImageRecord;

/// What all pictures of a pack are brought to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub recipe: Recipe,
    pub height: u32,
    pub width: u32,
}

/// A picture of a pack.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    pub pixels: Pixels,
    /// Whether the file holds colour, whatever the pack makes of it.
    pub colour: bool,
}

impl Shape {
    /// The bytes of a picture.
    pub fn bytes(&self, channels: u8) -> usize {
        self.height as usize * self.width as usize * usize::from(channels)
    }

    /// Decodes `record`'s file and brings it to this shape.
    pub fn make(&self, record: &ImageRecord, channels: u8) -> anyhow::Result<Result<Packed, Unreadable>> {
        let raster = match files::read_verified(record)?.and_then(|bytes| decode::decode_raster(&bytes)) {
            Ok(raster) => raster,
            Err(unreadable) => return Ok(Err(unreadable)),
        };
        let pixels = self.recipe.apply_to(&raster, channels, self.height, self.width)?;
        Ok(Ok(Packed { pixels, colour: raster.channels == 3 }))
    }
}

/// Where a picture was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    /// Its place among the stored pictures.
    pub number: u32,
    /// Whether its file holds colour.
    pub colour: bool,
}

/// Writes pictures and adds up what they have in common.
pub(super) struct Writer {
    path: PathBuf,
    out: BufWriter<File>,
    moments: Moments,
    slots: HashMap<String, Slot>,
}

impl Writer {
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("creating `{}`", path.display()))?;
        let out = BufWriter::with_capacity(1 << 20, file);
        Ok(Self { path: path.to_owned(), out, moments: Moments::default(), slots: HashMap::new() })
    }

    /// Appends the picture of the file or recipe with this digest.
    pub fn add(&mut self, digest: &str, picture: &Packed) -> anyhow::Result<()> {
        let slot = Slot { number: self.slots.len() as u32, colour: picture.colour };
        self.slots.insert(digest.to_owned(), slot);
        self.moments.add(&picture.pixels);
        let written = self.out.write_all(&picture.pixels.data);
        written.with_context(|| format!("writing `{}`", self.path.display()))
    }

    /// What was written so far, for pictures that are made of it.
    pub fn parents(&mut self, shape: Shape, channels: u8) -> anyhow::Result<Parents> {
        self.flush()?;
        Parents::open(&self.path, self.slots.clone(), shape, channels)
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.out.flush().with_context(|| format!("writing `{}`", self.path.display()))
    }

    /// The sums over all pictures, and where each digest's picture lies.
    pub fn finish(mut self) -> anyhow::Result<(Moments, HashMap<String, Slot>)> {
        self.flush()?;
        Ok((self.moments, self.slots))
    }
}
