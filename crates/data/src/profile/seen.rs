//! What a profile remembers of each image, by the digest of its file.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context as _;
use peregrine_pipeline::StageContext;
use polars::prelude::{Column, NamedFrom as _, Series};

use super::Profile;
use crate::decode::{self, Decoded};
use crate::pack::Moments;
use crate::picture::Thumbnail;
use crate::table;

/// What one readable image adds to a profile.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Seen {
    pub digest: String,
    /// The [`decode::VERSION`] that read it.
    decoding: u32,
    pub format: String,
    pub mode: String,
    pub width: u32,
    pub height: u32,
    pub gray: bool,
    pub moments: Moments,
    /// The file of its thumbnail in the profile; empty where it is no sample.
    pub sample: String,
}

impl Seen {
    /// What there is to see in the picture of the file with this digest.
    pub fn of(digest: &str, decoded: &Decoded) -> Self {
        let pixels = &decoded.pixels;
        let mut moments = Moments::default();
        moments.add(pixels);
        if pixels.channels == 1 {
            moments.spread();
        }
        Self {
            digest: digest.to_owned(),
            decoding: decode::VERSION,
            format: decoded.format.to_owned(),
            mode: decoded.mode.to_owned(),
            width: pixels.width,
            height: pixels.height,
            gray: pixels.is_gray(),
            moments,
            sample: String::new(),
        }
    }
}

/// What earlier profiles saw.
#[derive(Default)]
pub(super) struct Earlier {
    seen: HashMap<String, Seen>,
    thumbnails: HashMap<String, Thumbnail>,
}

impl Earlier {
    /// Gathers what earlier profiles saw of the files with the `wanted` digests, until all are found.
    pub fn find(cx: &StageContext, wanted: &std::collections::HashSet<&str>) -> Self {
        let mut found = Self::default();
        for profile in cx.earlier::<Profile>("profile", "profile") {
            let samples: HashMap<&str, &Thumbnail> =
                profile.samples.iter().map(|sample| (sample.file.as_str(), sample)).collect();
            let current = profile.seen.iter().filter(|seen| seen.decoding == decode::VERSION);
            for seen in current.filter(|seen| wanted.contains(seen.digest.as_str())) {
                if let Some(&sample) = samples.get(seen.sample.as_str()) {
                    found.thumbnails.entry(seen.digest.clone()).or_insert_with(|| sample.clone());
                }
                let plain = || Seen { sample: String::new(), ..seen.clone() };
                found.seen.entry(seen.digest.clone()).or_insert_with(plain);
            }
            if found.seen.len() == wanted.len() {
                break;
            }
        }
        found
    }

    /// What was seen of the file with this digest.
    pub fn seen(&self, digest: &str) -> Option<Seen> {
        self.seen.get(digest).cloned()
    }

    /// Its thumbnail, under another image's name.
    pub fn thumbnail(&self, digest: &str) -> Option<&Thumbnail> {
        self.thumbnails.get(digest)
    }
}

const FILE: &str = "images.parquet";
const SUMS: [&str; 7] = ["pixels", "sum_0", "sum_1", "sum_2", "squares_0", "squares_1", "squares_2"];

/// Writes `seen` into the profile's folder.
pub(super) fn save(dir: &Path, seen: &[Seen]) -> anyhow::Result<()> {
    let texts = |name: &str, of: fn(&Seen) -> &str| {
        let texts: Vec<&str> = seen.iter().map(of).collect();
        Column::from(Series::new(name.into(), texts))
    };
    let counts = |name: &str, of: fn(&Seen) -> u32| {
        let counts: Vec<u32> = seen.iter().map(of).collect();
        Column::from(Series::new(name.into(), counts))
    };
    let gray: Vec<bool> = seen.iter().map(|seen| seen.gray).collect();
    let mut columns = vec![
        texts("digest", |seen| &seen.digest),
        counts("decoding", |seen| seen.decoding),
        texts("format", |seen| &seen.format),
        texts("mode", |seen| &seen.mode),
        counts("width", |seen| seen.width),
        counts("height", |seen| seen.height),
        Series::new("gray".into(), gray).into(),
        texts("sample", |seen| &seen.sample),
    ];
    for (at, name) in SUMS.into_iter().enumerate() {
        let sums: Vec<u64> = seen.iter().map(|seen| seen.moments.to_sums()[at]).collect();
        columns.push(Series::new(name.into(), sums).into());
    }
    table::write(&dir.join(FILE), seen.len(), columns)
}

/// Reads what [`save`] wrote.
pub(super) fn load(dir: &Path) -> anyhow::Result<Vec<Seen>> {
    let path = dir.join(FILE);
    let frame = table::read(&path)?;
    let mut sums = vec![[0; 7]; frame.height()];
    for (at, name) in SUMS.into_iter().enumerate() {
        table::u64s(&frame, name)?.into_iter().zip(&mut sums).for_each(|(sum, sums)| sums[at] = sum);
    }
    let mut digests = table::texts(&frame, "digest")?.into_iter();
    let mut formats = table::texts(&frame, "format")?.into_iter();
    let mut modes = table::texts(&frame, "mode")?.into_iter();
    let mut samples = table::texts(&frame, "sample")?.into_iter();
    let decodings = table::u32s(&frame, "decoding")?;
    let (widths, heights) = (table::u32s(&frame, "width")?, table::u32s(&frame, "height")?);
    let grays = table::bools(&frame, "gray")?;
    let row = |at: usize| {
        Some(Seen {
            digest: digests.next()?,
            decoding: decodings[at],
            format: formats.next()?,
            mode: modes.next()?,
            width: widths[at],
            height: heights[at],
            gray: grays[at],
            moments: Moments::from_sums(sums[at]),
            sample: samples.next()?,
        })
    };
    let rows: Option<Vec<Seen>> = (0..frame.height()).map(row).collect();
    rows.with_context(|| format!("`{}` has columns of different length", path.display()))
}
