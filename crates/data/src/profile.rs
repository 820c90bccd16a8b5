//! What a data set looks like: counts, sizes, colours, classes and a few pictures of each.
//!
//! Removes nothing; see `clean`.

mod gather;
mod seen;

use std::fmt::Write as _;
use std::path::Path;

use peregrine_pipeline::{Artifact, Count, Input, Output, Port, Stage, StageContext, Table};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::{Manifest, Split, read_json, write_json};
use crate::picture::{Thumbnail, load_thumbnails, save_thumbnails};

pub use gather::profile;
use seen::Seen;

/// Describes a data set: sizes, formats, channels, classes, mean and deviation, sample images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProfileImages {
    /// How many sample images are kept of each class, from 0 to 20.
    #[schemars(range(min = 0, max = 20))]
    pub samples: u32,
}

impl Default for ProfileImages {
    fn default() -> Self {
        Self { samples: 4 }
    }
}

/// The smallest, middle and largest of many whole numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The smallest.
    pub min: u64,
    /// The middle (the lower of two).
    pub median: u64,
    /// The largest.
    pub max: u64,
}

/// How many images have a property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The property: a class, a format, a size.
    pub name: String,
    /// How many images have it.
    pub images: u64,
}

/// What a data set looks like.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Which part of the data was looked at.
    pub split: Split,
    /// How many images there are.
    pub images: u64,
    /// The sum of the files' lengths in bytes.
    pub bytes: u64,
    /// How many can't be decoded; they are in `classes` and `bytes` but in nothing below.
    pub unreadable: u64,
    /// How many have the same file content as another one before them.
    pub exact_copies: u64,
    /// The images of each class, in the order of the classes.
    pub classes: Vec<Tally>,
    /// The images of each predefined split, where a source has any.
    pub predefined: Vec<Tally>,
    /// The images of each file format, most first.
    pub formats: Vec<Tally>,
    /// The images of each storage mode (`gray`, `rgb`, `palette`, …), most first.
    pub modes: Vec<Tally>,
    /// The images of each size (`width×height`), most first, the 20 most common.
    pub resolutions: Vec<Tally>,
    /// How many different sizes there are.
    pub different_resolutions: u64,
    /// The widths in pixels.
    pub width: Span,
    /// The heights in pixels.
    pub height: Span,
    /// The files' lengths in bytes.
    pub file_bytes: Span,
    /// The mean of each channel over all pixels, in 0..1: one number when all images are gray,
    /// else three.
    pub mean: Vec<f64>,
    /// The standard deviation of each channel over all pixels, in 0..1.
    pub std: Vec<f64>,
    /// A few images of each class, the same ones every time.
    pub samples: Vec<Thumbnail>,
    /// What was seen of each readable image, so that a later profile need not look again.
    #[serde(skip)]
    seen: Vec<Seen>,
}

const MANIFEST: Input<Manifest> = Input::new("manifest", "the images to describe");
const PROFILE: Output<Profile> = Output::new("profile", "what the data set looks like");

impl Stage for ProfileImages {
    const KIND: &'static str = "profile";
    /// 1: first version. 2: what was seen of each image is kept.
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] = &[MANIFEST.port()];
    const OUTPUTS: &'static [Port] = &[PROFILE.port()];

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        let profile = profile(&cx.read(&MANIFEST)?, self, cx)?;
        cx.write(&PROFILE, &profile)
    }
}

const FILE: &str = "profile.json";

impl Profile {
    /// The largest class's count over the smallest's; none when a class is empty.
    pub fn imbalance(&self) -> Option<f64> {
        let counts = || self.classes.iter().map(|class| class.images);
        let (most, least) = (counts().max()?, counts().min()?);
        (least > 0).then(|| most as f64 / least as f64)
    }
}

impl Artifact for Profile {
    const TYPE: &'static str = "profile";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        write_json(&dir.join(FILE), self)?;
        seen::save(dir, &self.seen)?;
        save_thumbnails(dir, &self.samples)
    }

    fn load(dir: &Path) -> anyhow::Result<Self> {
        let mut profile: Self = read_json(&dir.join(FILE))?;
        profile.seen = seen::load(dir)?;
        load_thumbnails(dir, &mut profile.samples)?;
        Ok(profile)
    }

    fn text(&self) -> String {
        let mut text = format!(
            "profile ({}): {} images in {} classes, {:.1} MB, {} unreadable, {} exact copies\n",
            self.split,
            self.images,
            self.classes.len(),
            self.bytes as f64 / 1e6,
            self.unreadable,
            self.exact_copies,
        );
        let span = |span: &Span| format!("{} … {} … {}", span.min, span.median, span.max);
        let list = |tallies: &[Tally]| {
            let items = tallies.iter().take(6).map(|tally| format!("{} {}", tally.name, tally.images));
            items.collect::<Vec<_>>().join(" · ")
        };
        let _ = writeln!(text, "  width   {} pixels", span(&self.width));
        let _ = writeln!(text, "  height  {} pixels", span(&self.height));
        let _ = writeln!(text, "  file    {} bytes", span(&self.file_bytes));
        let _ = writeln!(
            text,
            "  sizes   {} ({} different)",
            list(&self.resolutions),
            self.different_resolutions
        );
        let _ = writeln!(text, "  format  {}", list(&self.formats));
        let _ = writeln!(text, "  mode    {}", list(&self.modes));
        let _ = writeln!(text, "  mean    {:.4?}  std {:.4?}", self.mean, self.std);
        let width = self.classes.iter().map(|class| class.name.chars().count()).max().unwrap_or(0);
        let most = self.classes.iter().map(|class| class.images).max().unwrap_or(1).max(1);
        for class in &self.classes {
            let bar = "█".repeat((class.images * 30).div_ceil(most) as usize);
            let _ = writeln!(text, "  {:<width$}  {:>7}  {bar}", class.name, class.images);
        }
        text
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::to_value(self)?)
    }

    fn table(&self) -> Option<Table> {
        Some(Table {
            columns: ["class", "images"].map(str::to_owned).to_vec(),
            rows: self
                .classes
                .iter()
                .map(|class| vec![class.name.clone(), class.images.to_string()])
                .collect(),
        })
    }

    fn count(&self) -> Option<Count> {
        Some(Count::new(self.images as usize, "images"))
    }
}
