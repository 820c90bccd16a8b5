//! How the pixels of a synthetic image follow from those of real ones.
//!
//! Holds recipes only: `balance` writes them into the manifest, `pack` follows them (see
//! `pack/synthesis.rs`). A record's own file is the first image of its recipe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::ImageRecord;

/// The version of the pixels that recipes lead to: part of every [`ImageRecord::key`].
const VERSION: u32 = 1;

/// How the pixels of a synthetic image follow from others. All numbers are as drawn, with at most
/// four decimals, so that they survive being written as text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Made {
    /// The record's image, turned, scaled, mirrored and brightened.
    Augmented {
        /// The angle in degrees, counter-clockwise.
        degrees: f64,
        /// The factor of every length: above 1 shows the middle larger.
        scale: f64,
        /// Whether left and right are swapped, before turning.
        flip: bool,
        /// The factor of every value.
        brightness: f64,
        /// The factor of every value's distance from the mean gray, after `brightness`.
        contrast: f64,
        /// What lies around the picture.
        border: Border,
    },
    /// `share` of the record's image plus `1 - share` of another one.
    Interpolated {
        /// The other image.
        with: Box<Other>,
        /// The share of the record's own image, from 0 to 1.
        share: f64,
    },
}

/// What lies around a picture that is turned or made smaller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Border {
    /// The picture, mirrored at its edges: leaves no mark by which a network could tell synthetic
    /// images, and so the classes that have many of them, from others.
    #[default]
    Reflect,
    /// The outermost pixels, repeated.
    Edge,
    /// Black, as torchvision's transforms leave it.
    Black,
}

/// The second image of a recipe: where it is, as in its own [`ImageRecord`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Other {
    /// Its id.
    pub id: String,
    /// Its file as text.
    pub path: String,
    /// Where in the file it begins, for images inside of a larger file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Its length in bytes.
    pub bytes: u64,
    /// BLAKE3 of these bytes, in hex.
    pub digest: String,
}

impl Other {
    /// The image that `record` names.
    pub fn of(record: &ImageRecord) -> Self {
        Self {
            id: record.id.clone(),
            path: record.path.clone(),
            offset: record.offset,
            bytes: record.bytes,
            digest: record.digest.clone(),
        }
    }

    /// A record by which the image can be read.
    pub fn record(&self) -> ImageRecord {
        ImageRecord {
            id: self.id.clone(),
            path: self.path.clone(),
            offset: self.offset,
            bytes: self.bytes,
            digest: self.digest.clone(),
            ..ImageRecord::default()
        }
    }
}

impl Made {
    /// The recipe as one line of JSON, as it stands in a manifest's table.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What names the pixels of this recipe over the file with `digest`: BLAKE3 over the recipe, both
    /// files' digests and nothing else (a file may move).
    pub fn key(&self, digest: &str) -> String {
        let pixels = match self {
            Self::Augmented { .. } => self.to_text(),
            Self::Interpolated { with, share } => format!("{} {share}", with.digest),
        };
        let text = format!("peregrine made {VERSION}\n{digest}\n{pixels}");
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }
}

impl ImageRecord {
    /// What names the image's pixels: the digest of its file, or of its recipe where it is
    /// [`made`](Self::made).
    pub fn key(&self) -> String {
        self.made.as_ref().map_or_else(|| self.digest.clone(), |made| made.key(&self.digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interpolated(path: &str, digest: &str, share: f64) -> Made {
        let other = ImageRecord { path: path.into(), digest: digest.into(), ..ImageRecord::default() };
        Made::Interpolated { with: Box::new(Other::of(&other)), share }
    }

    #[test]
    fn a_key_names_pixels_not_places() {
        let record = |made| ImageRecord { digest: "d".into(), made, ..ImageRecord::default() };
        assert_eq!(record(None).key(), "d");
        let key = |path, digest, share| record(Some(interpolated(path, digest, share))).key();
        assert_eq!(key("a.png", "x", 0.75), key("b.png", "x", 0.75));
        assert_ne!(key("a.png", "x", 0.75), key("a.png", "y", 0.75));
        assert_ne!(key("a.png", "x", 0.75), key("a.png", "x", 0.7501));
        assert_ne!(key("a.png", "x", 0.75), "d");
    }

    #[test]
    fn recipes_survive_being_written() {
        let turned = Made::Augmented {
            degrees: -9.1234,
            scale: 0.8001,
            flip: true,
            brightness: 1.1999,
            contrast: 0.0007,
            border: Border::Edge,
        };
        for made in [turned, interpolated("a\n\".png", "x", 0.6667)] {
            assert_eq!(serde_json::from_str::<Made>(&made.to_text()).unwrap(), made);
        }
    }
}
