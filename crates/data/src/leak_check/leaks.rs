//! What lies in two splits, for people and programs.

use std::fmt::Write as _;
use std::path::Path;

use peregrine_pipeline::{Artifact, Count, Table};
use serde::{Deserialize, Serialize};

use super::count_by_splits;
use crate::manifest::{Split, read_json, write_json};

/// In which way two images are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Their files are equal.
    EqualBytes,
    /// Their pixels are equal.
    EqualPixels,
    /// Their pixels are almost equal.
    Near,
    /// One is a part of the other, or shifted.
    Cut,
    /// One is the other mirrored or turned.
    Turned,
    /// They are of one declared group.
    Group,
}

impl How {
    /// The name in files: `equal_bytes`.
    pub fn name(self) -> &'static str {
        match self {
            Self::EqualBytes => "equal_bytes",
            Self::EqualPixels => "equal_pixels",
            Self::Near => "near",
            Self::Cut => "cut",
            Self::Turned => "turned",
            Self::Group => "group",
        }
    }
}

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The split.
    pub split: Split,
    /// The image's id.
    pub id: String,
    /// Its class.
    pub class: String,
}

/// An image of one split that is, or nearly is, in another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leak {
    /// The image that must not be known.
    pub image: Place,
    /// The image that makes it known.
    pub of: Place,
    /// In which way they are the same.
    pub how: How,
    /// How similar their pixels are, up to 1; 0 for groups.
    pub similarity: f64,
}

impl Leak {
    /// `` `a.png` (test) has the bytes of `b.png` (train) ``.
    pub fn words(&self) -> String {
        let percent = format!("{:.1} %", 100.0 * self.similarity);
        let how = match self.how {
            How::EqualBytes => "has the bytes of".to_owned(),
            How::EqualPixels => "has the pixels of".to_owned(),
            How::Near => format!("is {percent} the same as"),
            How::Cut => format!("is, shifted or cut, {percent} the same as"),
            How::Turned => format!("is, mirrored or turned, {percent} the same as"),
            How::Group => "is of the group of".to_owned(),
        };
        format!("`{}` ({}) {how} `{}` ({})", self.image.id, self.image.split, self.of.id, self.of.split)
    }
}

/// What lies in two splits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Leaks {
    /// The splits that were compared, with their numbers of images.
    pub splits: Vec<(Split, u64)>,
    /// How many images could not be read, and are in no leak.
    pub unreadable: u64,
    /// The leaks, the most similar first.
    pub leaks: Vec<Leak>,
}

const FILE: &str = "leaks.json";

impl Artifact for Leaks {
    const TYPE: &'static str = "leaks";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        write_json(&dir.join(FILE), self)
    }

    fn load(dir: &Path) -> anyhow::Result<Self> {
        read_json(&dir.join(FILE))
    }

    fn text(&self) -> String {
        let splits: Vec<String> =
            self.splits.iter().map(|(split, count)| format!("{split} ({count} images)")).collect();
        let mut text = format!("leaks between {}: {}\n", splits.join(", "), self.leaks.len());
        for ((of, split), count) in count_by_splits(&self.leaks) {
            let _ = writeln!(text, "  {count} of {split} in {of}");
        }
        for leak in self.leaks.iter().take(20) {
            let _ = writeln!(text, "  {}", leak.words());
        }
        if self.leaks.len() > 20 {
            let _ = writeln!(text, "  … and {} more (--csv lists all)", self.leaks.len() - 20);
        }
        text
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::to_value(self)?)
    }

    fn table(&self) -> Option<Table> {
        let columns = ["split", "id", "class", "how", "similarity", "of_split", "of_id", "of_class"];
        let row = |leak: &Leak| {
            vec![
                leak.image.split.name().to_owned(),
                leak.image.id.clone(),
                leak.image.class.clone(),
                leak.how.name().to_owned(),
                leak.similarity.to_string(),
                leak.of.split.name().to_owned(),
                leak.of.id.clone(),
                leak.of.class.clone(),
            ]
        };
        Some(Table {
            columns: columns.map(str::to_owned).to_vec(),
            rows: self.leaks.iter().map(row).collect(),
        })
    }

    fn count(&self) -> Option<Count> {
        Some(Count::new(self.leaks.len(), "leaks"))
    }
}
