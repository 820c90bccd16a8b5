//! The list of images with their labels: what every stage before packing works on.
//!
//! Does not hold pixels, and does not look at the files it names.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use peregrine_pipeline::{Artifact, Count, Table};
use polars::prelude::{Column, DataFrame, NamedFrom as _, Series, StringChunked};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decode::{self, Unreadable};
use crate::made::Made;
use crate::table::cells;
use crate::{escape, table};

/// Which part of the data a manifest or pack is.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Everything: not split yet.
    #[default]
    All,
    /// What is fitted.
    Train,
    /// What decides between fits.
    Val,
    /// What is measured once.
    Test,
    /// One fold of a cross-validation: not seen by the model that is fitted on the other folds.
    HeldOut,
}

impl Split {
    /// The name in files and on screens: `train`.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
            Self::HeldOut => "held_out",
        }
    }

    /// The split that a folder or cell called `name` means, if any: `train`, `val`, `valid`,
    /// `validation`, `test`, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "val" | "valid" | "validation" => Some(Self::Val),
            "test" => Some(Self::Test),
            _ => None,
        }
    }
}

impl Split {
    /// The split whose [`name`](Self::name) is `name`.
    fn stored(name: &str) -> Option<Self> {
        [Self::All, Self::Train, Self::Val, Self::Test, Self::HeldOut]
            .into_iter()
            .find(|split| split.name() == name)
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One image: where it is, what it shows, and the hash of its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// The image's name, unique in the manifest: the path below the root with `/` between the
    /// parts, escaped as [`escape`] says; a copy's ends in `#1`, `#2`, ….
    pub id: String,
    /// The file as text, openable from the working directory; see [`ImageRecord::file`].
    pub path: String,
    /// Where in that file the image's [`bytes`](Self::bytes) begin, for images inside of a larger
    /// file (an archive, a table of raw pixels); none when the image is the whole file.
    pub offset: Option<u64>,
    /// The index of its class in [`Manifest::classes`].
    pub label: u32,
    /// BLAKE3 of the file's bytes, in hex.
    pub digest: String,
    /// The file's length in bytes.
    pub bytes: u64,
    /// The data set it came from; several sources can be merged.
    pub source: String,
    /// Images of one group (a patient, a video) stay in one split.
    pub group: Option<String>,
    /// How much the image counts in the loss; 1 unless a source says otherwise.
    pub weight: f32,
    /// The split the source put it in.
    pub predefined: Option<Split>,
    /// Whether it was made by a stage (a copy, a generated image) and must stay in train.
    pub synthetic: bool,
    /// How its pixels follow from those of its file, where they are not simply these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Made>,
    /// What checks said of it and what was done about it, where it stayed all the same:
    /// `wrong_label relabel: …`, several joined by `; `. Empty for most.
    pub notes: String,
}

impl Default for ImageRecord {
    /// A record without name and file, that counts 1.
    fn default() -> Self {
        Self {
            id: String::new(),
            path: String::new(),
            offset: None,
            label: 0,
            digest: String::new(),
            bytes: 0,
            source: String::new(),
            group: None,
            weight: 1.0,
            predefined: None,
            synthetic: false,
            made: None,
            notes: String::new(),
        }
    }
}

impl ImageRecord {
    /// The file, openable from the working directory, whatever bytes its name holds.
    pub fn file(&self) -> PathBuf {
        escape::to_path(&self.path)
    }

    /// The bytes of the image's file, or of its part of a larger file.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn read(&self) -> Result<Vec<u8>, Unreadable> {
        decode::read_file(&self.file(), self.offset.map(|offset| (offset, self.bytes)))
    }
}

/// The images of a data set or of one split of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The class names; labels are indices into them.
    pub classes: Vec<String>,
    /// Which part of the data this is.
    pub split: Split,
    /// The images, in a stable order (by id, copies last).
    pub images: Vec<ImageRecord>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    classes: Vec<String>,
    split: Split,
}

const HEAD: &str = "manifest.json";
const ROWS: &str = "images.parquet";

impl Manifest {
    /// The number of images of each class.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for image in &self.images {
            if let Some(count) = counts.get_mut(image.label as usize) {
                *count += 1;
            }
        }
        counts
    }

    /// The class name of `image`.
    pub fn class_of(&self, image: &ImageRecord) -> &str {
        self.classes.get(image.label as usize).map_or("?", String::as_str)
    }

    /// This manifest with other images.
    #[must_use]
    pub fn with_images(&self, images: Vec<ImageRecord>) -> Self {
        Self { classes: self.classes.clone(), split: self.split, images }
    }

    /// What the data *is*, in hex: BLAKE3 over the classes and, for each image in the order of the
    /// ids, its id, label, file digest, predefined split, group, weight and how it was made. Where
    /// the files lie and what the source is called has no part in it, so the same data gives the
    /// same digest through whatever reader it came.
    pub fn digest(&self) -> String {
        let mut hash = blake3::Hasher::new();
        let mut bytes = b"peregrine manifest 1".to_vec();
        let text = |bytes: &mut Vec<u8>, text: &str| {
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        };
        bytes.extend_from_slice(&(self.classes.len() as u64).to_le_bytes());
        self.classes.iter().for_each(|class| text(&mut bytes, class));
        let mut order: Vec<&ImageRecord> = self.images.iter().collect();
        order.sort_by(|a, b| a.id.cmp(&b.id));
        for image in order {
            text(&mut bytes, &image.id);
            bytes.extend_from_slice(&image.label.to_le_bytes());
            text(&mut bytes, &image.key());
            text(&mut bytes, image.predefined.map_or("", Split::name));
            bytes.push(u8::from(image.group.is_some()));
            text(&mut bytes, image.group.as_deref().unwrap_or_default());
            bytes.extend_from_slice(&image.weight.to_le_bytes());
            if bytes.len() > 1 << 16 {
                hash.update(&bytes);
                bytes.clear();
            }
        }
        hash.update(&bytes);
        hash.finalize().to_hex().to_string()
    }

    /// Checks what every manifest promises: labels in range, unique ids.
    ///
    /// # Errors
    /// Naming the first image that breaks the promise.
    pub fn validate(&self) -> anyhow::Result<()> {
        let wrong = self.images.par_iter().find_first(|image| image.label as usize >= self.classes.len());
        if let Some(image) = wrong {
            let (id, label, classes) = (&image.id, image.label, self.classes.len());
            bail!("image `{id}` has label {label} of {classes} classes");
        }
        // Most manifests are sorted by id, and what is sorted needs no memory of what was seen.
        if self.images.is_sorted_by(|a, b| a.id < b.id) {
            return Ok(());
        }
        let mut ids: Vec<&str> = self.images.iter().map(|image| image.id.as_str()).collect();
        ids.par_sort_unstable();
        match ids.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => bail!("two images are called `{}`", pair[0]),
            None => Ok(()),
        }
    }

    fn columns(&self) -> Vec<Column> {
        fn texts<'a>(name: &str, values: impl Iterator<Item = Option<&'a str>>) -> Column {
            Series::new(name.into(), values.collect::<Vec<_>>()).into()
        }
        type Build<'a> = Box<dyn Fn() -> Option<Column> + Send + Sync + 'a>;
        fn text<'a>(images: &'a [ImageRecord], name: &'a str, get: fn(&ImageRecord) -> &str) -> Build<'a> {
            Box::new(move || Some(texts(name, images.iter().map(|image| Some(get(image))))))
        }
        let images = &self.images;
        macro_rules! numbers {
            ($name:literal, $get:expr) => {
                Box::new(|| {
                    Some(Series::new($name.into(), images.iter().map($get).collect::<Vec<_>>()).into())
                })
            };
        }
        let made = || {
            let any = images.iter().any(|image| image.made.is_some());
            let made =
                || images.iter().map(|image| image.made.as_ref().map(Made::to_text)).collect::<Vec<_>>();
            any.then(|| texts("made", made().iter().map(Option::as_deref)))
        };
        let columns: Vec<Build<'_>> = vec![
            text(images, "id", |image| &image.id),
            text(images, "path", |image| &image.path),
            numbers!("offset", |image| image.offset),
            numbers!("label", |image| image.label),
            Box::new(|| Some(texts("class", images.iter().map(|image| Some(self.class_of(image)))))),
            text(images, "digest", |image| &image.digest),
            numbers!("bytes", |image| image.bytes),
            text(images, "source", |image| &image.source),
            Box::new(|| Some(texts("group", images.iter().map(|image| image.group.as_deref())))),
            numbers!("weight", |image| image.weight),
            Box::new(|| {
                Some(texts("predefined", images.iter().map(|image| image.predefined.map(Split::name))))
            }),
            numbers!("synthetic", |image| image.synthetic),
            text(images, "notes", |image| &image.notes),
            Box::new(made),
        ];
        columns.par_iter().filter_map(|build| build()).collect()
    }
}

impl Artifact for Manifest {
    const TYPE: &'static str = "manifest";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        let head = Head { classes: self.classes.clone(), split: self.split };
        std::fs::write(dir.join(HEAD), serde_json::to_vec_pretty(&head)?)
            .with_context(|| format!("writing `{}`", dir.join(HEAD).display()))?;
        table::write(&dir.join(ROWS), self.images.len(), self.columns())
    }

    fn load(dir: &Path) -> anyhow::Result<Self> {
        let head: Head = read_json(&dir.join(HEAD))?;
        let frame = table::read(&dir.join(ROWS))?;
        let manifest = Self { classes: head.classes, split: head.split, images: records(&frame)? };
        manifest.validate()?;
        Ok(manifest)
    }

    fn text(&self) -> String {
        use std::fmt::Write as _;
        let counts = self.class_counts();
        let copies = self.images.iter().filter(|image| image.synthetic).count();
        let mut text = format!(
            "manifest ({}): {} images in {} classes",
            self.split,
            self.images.len(),
            self.classes.len()
        );
        if copies > 0 {
            let _ = write!(text, ", {copies} of them copies or made by a stage");
        }
        text.push('\n');
        let _ = writeln!(text, "  digest {} (the same for the same data through any source)", self.digest());
        let width = self.classes.iter().map(|class| class.chars().count()).max().unwrap_or(0);
        for (class, count) in self.classes.iter().zip(counts) {
            let share = 100.0 * count as f64 / self.images.len().max(1) as f64;
            let _ = writeln!(text, "  {class:<width$}  {count:>7}  {share:5.1} %");
        }
        text
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        let counts = self.classes.iter().cloned().zip(self.class_counts().into_iter().map(Into::into));
        let counts: serde_json::Map<String, serde_json::Value> = counts.collect();
        Ok(serde_json::json!({
            "split": self.split,
            "count": self.images.len(),
            "digest": self.digest(),
            "classes": self.classes,
            "class_counts": counts,
            "images": self.images,
        }))
    }

    fn table(&self) -> Option<Table> {
        let columns = [
            "id",
            "class",
            "path",
            "offset",
            "digest",
            "bytes",
            "source",
            "group",
            "weight",
            "split",
            "synthetic",
            "made",
            "notes",
        ];
        let row = |image: &ImageRecord| {
            vec![
                image.id.clone(),
                self.class_of(image).to_owned(),
                image.path.clone(),
                image.offset.map(|offset| offset.to_string()).unwrap_or_default(),
                image.digest.clone(),
                image.bytes.to_string(),
                image.source.clone(),
                image.group.clone().unwrap_or_default(),
                image.weight.to_string(),
                image.predefined.map(Split::name).unwrap_or_default().to_owned(),
                image.synthetic.to_string(),
                image.made.as_ref().map(Made::to_text).unwrap_or_default(),
                image.notes.clone(),
            ]
        };
        Some(Table {
            columns: columns.map(str::to_owned).to_vec(),
            rows: self.images.iter().map(row).collect(),
        })
    }

    fn count(&self) -> Option<Count> {
        Some(Count::new(self.images.len(), "images"))
    }
}

/// The records in the rows of `frame`.
fn records(frame: &DataFrame) -> anyhow::Result<Vec<ImageRecord>> {
    let made = made(frame)?;
    let ids = cells::full(cells::texts(frame, "id")?)?;
    let paths = cells::full(cells::texts(frame, "path")?)?;
    let offsets = cells::u64s(frame, "offset")?;
    let labels = cells::full(cells::u32s(frame, "label")?)?;
    let digests = cells::full(cells::texts(frame, "digest")?)?;
    let bytes = cells::full(cells::u64s(frame, "bytes")?)?;
    let sources = cells::full(cells::texts(frame, "source")?)?;
    let groups = cells::texts(frame, "group")?;
    let weights = cells::full(cells::f32s(frame, "weight")?)?;
    let predefined = cells::texts(frame, "predefined")?;
    let synthetic = cells::full(cells::bools(frame, "synthetic")?)?;
    let notes = cells::full(cells::texts(frame, "notes")?)?;
    let text = |column: &StringChunked, row| column.get(row).unwrap_or_default().to_owned();
    let record = |row: usize| ImageRecord {
        id: text(ids, row),
        path: text(paths, row),
        offset: offsets.get(row),
        label: labels.get(row).unwrap_or_default(),
        digest: text(digests, row),
        bytes: bytes.get(row).unwrap_or_default(),
        source: text(sources, row),
        group: groups.get(row).map(str::to_owned),
        weight: weights.get(row).unwrap_or_default(),
        predefined: predefined.get(row).and_then(Split::stored),
        synthetic: synthetic.get(row).unwrap_or_default(),
        made: made.get(row).cloned().flatten(),
        notes: text(notes, row),
    };
    let mut records = Vec::new();
    (0..frame.height()).into_par_iter().map(record).collect_into_vec(&mut records);
    Ok(records)
}

/// The column `made`, which only manifests with such images have.
fn made(frame: &DataFrame) -> anyhow::Result<Vec<Option<Made>>> {
    if frame.column("made").is_err() {
        return Ok(Vec::new());
    }
    let read =
        |text: &str| serde_json::from_str(text).with_context(|| format!("reading the recipe `{text}`"));
    cells::texts(frame, "made")?.iter().map(|text| text.map(read).transpose()).collect()
}

/// Reads the JSON file `path`.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let bytes = std::fs::read(path).with_context(|| format!("reading `{}`", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("reading `{}`", path.display()))
}

/// Writes the JSON file `path`.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> anyhow::Result<()> {
    std::fs::write(path, serde_json::to_vec_pretty(value)?)
        .with_context(|| format!("writing `{}`", path.display()))
}
