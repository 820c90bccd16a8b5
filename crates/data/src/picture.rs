//! One picture as an artifact (a preview sheet), and the small ones that reports show.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use peregrine_pipeline::{Artifact, Count};
use serde::{Deserialize, Serialize};

use crate::decode::{self, Pixels};

/// One picture, as a PNG file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The width in pixels.
    pub width: u32,
    /// The height in pixels.
    pub height: u32,
    /// The PNG file.
    pub png: Vec<u8>,
}

const FILE: &str = "picture.png";

impl Picture {
    /// The picture of `pixels`.
    ///
    /// # Errors
    /// When there are no pixels or they don't fit the size.
    pub fn from_pixels(pixels: &Pixels) -> anyhow::Result<Self> {
        Ok(Self { width: pixels.width, height: pixels.height, png: decode::encode_png(pixels)? })
    }

    /// The pixels of the picture.
    ///
    /// # Errors
    /// When the PNG file is damaged.
    pub fn pixels(&self) -> anyhow::Result<Pixels> {
        Ok(decode::decode(&self.png)?.pixels)
    }
}

impl Artifact for Picture {
    const TYPE: &'static str = "picture";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        std::fs::write(dir.join(FILE), &self.png)
            .with_context(|| format!("writing `{}`", dir.join(FILE).display()))
    }

    fn load(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(FILE);
        let png = std::fs::read(&path).with_context(|| format!("reading `{}`", path.display()))?;
        let pixels = decode::decode(&png).with_context(|| format!("reading `{}`", path.display()))?.pixels;
        Ok(Self { width: pixels.width, height: pixels.height, png })
    }

    fn text(&self) -> String {
        format!("picture: {}×{} pixels, {} bytes of PNG ({FILE})\n", self.width, self.height, self.png.len())
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::json!({
            "width": self.width, "height": self.height, "bytes": self.png.len(), "file": FILE,
        }))
    }

    fn count(&self) -> Option<Count> {
        Some(Count::new(1, "pictures"))
    }
}

/// A small PNG of one image, kept beside a profile or report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thumbnail {
    /// The image's id.
    pub id: String,
    /// The image's class.
    pub class: String,
    /// The width in pixels, at most [`Thumbnail::SIDE`].
    pub width: u32,
    /// The height in pixels, at most [`Thumbnail::SIDE`].
    pub height: u32,
    /// The PNG file's name in the artifact's folder.
    pub file: String,
    /// The PNG file.
    #[serde(skip)]
    pub png: Vec<u8>,
}

impl Thumbnail {
    /// The longest side of a thumbnail, in pixels.
    pub const SIDE: u32 = 96;

    /// The thumbnail of `pixels`, to be saved as `file`.
    ///
    /// # Errors
    /// When it can't be encoded.
    pub fn of(pixels: &Pixels, id: &str, class: &str, file: String) -> anyhow::Result<Self> {
        let small = crate::pack::fit_within(pixels, Self::SIDE)?;
        Ok(Self {
            id: id.to_owned(),
            class: class.to_owned(),
            width: small.width,
            height: small.height,
            file,
            png: decode::encode_png(&small)?,
        })
    }
}

impl Thumbnail {
    /// The picture in as few bytes as it takes, at most `side` pixels long and wide: as JPEG of a
    /// `quality` from 1 to 100 where that is smaller, else as PNG.
    ///
    /// # Errors
    /// When the PNG file is damaged.
    pub fn light(&self, side: u32, quality: u8) -> anyhow::Result<Vec<u8>> {
        let pixels = crate::pack::fit_within(&decode::decode(&self.png)?.pixels, side)?;
        let is_whole = (pixels.width, pixels.height) == (self.width, self.height);
        let png = if is_whole { self.png.clone() } else { decode::encode_png(&pixels)? };
        let jpeg = decode::encode_jpeg(&pixels, quality)?;
        Ok(if jpeg.len() < png.len() { jpeg } else { png })
    }
}

/// Writes the PNG files of `thumbnails` into `dir`.
pub(crate) fn save_thumbnails<'a>(
    dir: &Path,
    thumbnails: impl IntoIterator<Item = &'a Thumbnail>,
) -> anyhow::Result<()> {
    for thumbnail in thumbnails {
        let path = dir.join(&thumbnail.file);
        std::fs::write(&path, &thumbnail.png).with_context(|| format!("writing `{}`", path.display()))?;
    }
    Ok(())
}

/// Reads the PNG files of `thumbnails` from `dir`.
pub(crate) fn load_thumbnails<'a>(
    dir: &Path,
    thumbnails: impl IntoIterator<Item = &'a mut Thumbnail>,
) -> anyhow::Result<()> {
    for thumbnail in thumbnails {
        let file = PathBuf::from(&thumbnail.file);
        let path = dir.join(file.file_name().context("a thumbnail without a file name")?);
        thumbnail.png = std::fs::read(&path).with_context(|| format!("reading `{}`", path.display()))?;
    }
    Ok(())
}
