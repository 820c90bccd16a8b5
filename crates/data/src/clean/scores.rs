//! How good each image is, check by check, and what was measured of it, so that the next run need
//! not open its file again.
//!
//! Decides nothing: see [`judge`](super::judge).

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use peregrine_pipeline::{Artifact, Count, Table};
use polars::prelude::{Column, NamedFrom as _, Series};
use serde::{Deserialize, Serialize};

use super::examine::Examined;
use super::near::SMALL;
use super::quality::{self, Quality};
use super::{Check, Clean, CleanReport, odd};
use crate::decode::Unreadable;
use crate::manifest::{Manifest, read_json, write_json};
use crate::table;

/// Bump when [`examine`](super::examine::examine) sees something else in the same bytes: what was
/// measured by another version is measured again. 2: colour JPEG files are made smaller while they are
/// decoded. 3: bars end at once along the whole picture. 4: they are made smaller by eighths. 5: what files
/// of equal pixels are known by; colourfulness is taken from a third of the
/// pixels; those of large pictures are counted by half.
pub const VERSION: u32 = 5;

/// One image of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoredImage {
    /// The image's id.
    pub id: String,
    /// The digest of its file.
    pub digest: String,
}

/// What one check thinks of every image.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckScores {
    /// The check.
    pub check: Check,
    /// For each image, from 0 (bad) to 1 (good); none where the check could not say, because the image
    /// is unreadable or there are too few others.
    pub images: Vec<Option<f32>>,
}

impl CheckScores {
    /// The score of the data set: the mean over its images, 1 without images.
    pub fn mean(&self) -> f64 {
        let (mut sum, mut count) = (0.0, 0_u64);
        for score in self.images.iter().flatten() {
            sum += f64::from(*score);
            count += 1;
        }
        if count > 0 { sum / count as f64 } else { 1.0 }
    }
}

/// How good each image of the input is, and what was measured of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// The [`VERSION`] that measured.
    pub version: u32,
    /// The images of the input, in its order.
    pub images: Vec<ScoredImage>,
    /// The scores, check by check, each for all images.
    pub checks: Vec<CheckScores>,
    /// What was measured of each image.
    pub seen: Vec<Result<Examined, Unreadable>>,
}

impl Scores {
    /// The scores of the images of `manifest`, of which `seen` was seen and `report` found.
    pub(super) fn of(
        manifest: &Manifest,
        seen: Vec<Result<Examined, Unreadable>>,
        outliers: &[Option<f64>],
        report: &CleanReport,
        params: &Clean,
    ) -> Self {
        let image =
            |image: &crate::ImageRecord| ScoredImage { id: image.id.clone(), digest: image.digest.clone() };
        let images: Vec<ScoredImage> = manifest.images.iter().map(image).collect();
        let scores =
            |check| CheckScores { check, images: scores(check, &images, &seen, outliers, report, params) };
        let checks = Check::ALL.into_iter().map(scores).collect();
        Self { version: VERSION, images, checks, seen }
    }

    /// What `check` thinks of every image.
    pub fn check(&self, check: Check) -> Option<&CheckScores> {
        self.checks.iter().find(|scores| scores.check == check)
    }
}

/// The scores of one check. Those that judge an image by itself grade it; the others say how much a
/// flagged image differs from what it was found to be, and 1 of the rest.
fn scores(
    check: Check,
    images: &[ScoredImage],
    seen: &[Result<Examined, Unreadable>],
    outliers: &[Option<f64>],
    report: &CleanReport,
    params: &Clean,
) -> Vec<Option<f32>> {
    let readable = |grade: &dyn Fn(&Examined) -> f64| {
        seen.iter().map(|seen| Some(grade(seen.as_ref().ok()?) as f32)).collect()
    };
    match check {
        Check::Unreadable => seen.iter().map(|seen| Some(if seen.is_ok() { 1.0 } else { 0.0 })).collect(),
        Check::Dark => readable(&|seen| quality::grade_dark(&seen.quality)),
        Check::Bright => readable(&|seen| quality::grade_bright(&seen.quality)),
        Check::LowInformation => readable(&|seen| quality::grade_information(&seen.quality)),
        Check::Blurry => readable(&|seen| quality::grade_sharpness(&seen.quality)),
        Check::OddAspect => readable(&odd::aspect),
        Check::OddSize => {
            let (sizes, _) = odd::sizes(seen, params.odd_size_threshold);
            sizes.into_iter().map(|score| score.map(|score| score as f32)).collect()
        }
        Check::Grayscale => readable(&|seen| if odd::is_gray(seen) { 0.0 } else { 1.0 }),
        Check::ConstantBorder => readable(&|seen| 1.0 - odd::frame(seen)),
        Check::Outlier => outliers.iter().map(|score| score.map(|score| score as f32)).collect(),
        _ => {
            let findings = report.findings.iter().filter(|finding| finding.check == check);
            let found: HashMap<&str, f64> =
                findings.map(|finding| (finding.id.as_str(), finding.score.unwrap_or(1.0))).collect();
            let grade = |(image, seen): (&ScoredImage, &Result<Examined, Unreadable>)| {
                seen.as_ref().ok()?;
                Some(found.get(image.id.as_str()).map_or(1.0, |score| (1.0 - score).clamp(0.0, 1.0)) as f32)
            };
            images.iter().zip(seen).map(grade).collect()
        }
    }
}

const HEAD: &str = "scores.json";
const ROWS: &str = "scores.parquet";
const MEASURES: &str = "measures.bin";

#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    checks: Vec<Check>,
}

/// The numbers of [`Quality`], in the order of the file.
const NUMBERS: usize = 8;
/// The length of one image in the file of measures.
const RECORD: usize = 32 + 2 * 4 + NUMBERS * 8 + CHROMA + (SMALL * SMALL) as usize;
const CHROMA: usize = 2 * 8 * 8;

fn encode(seen: &Examined, out: &mut Vec<u8>) {
    out.extend_from_slice(seen.content.as_bytes());
    out.extend_from_slice(&seen.width.to_le_bytes());
    out.extend_from_slice(&seen.height.to_le_bytes());
    let Quality { highlights, shadows, entropy, sharpness, contrast, colour, bars } = seen.quality;
    for number in [highlights, shadows, entropy, sharpness, contrast, colour, bars.0, bars.1] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&seen.chroma);
    out.extend_from_slice(&seen.small);
}

fn decode(record: &[u8]) -> Option<Examined> {
    let (content, record) = record.split_first_chunk::<32>()?;
    let (width, record) = record.split_first_chunk::<4>()?;
    let (height, mut record) = record.split_first_chunk::<4>()?;
    let mut numbers = [0.0; NUMBERS];
    for number in &mut numbers {
        let (bytes, rest) = record.split_first_chunk::<8>()?;
        (*number, record) = (f64::from_le_bytes(*bytes), rest);
    }
    let [highlights, shadows, entropy, sharpness, contrast, colour, across, down] = numbers;
    let (chroma, small) = record.split_at_checked(CHROMA)?;
    Some(Examined {
        content: blake3::Hash::from_bytes(*content),
        width: u32::from_le_bytes(*width),
        height: u32::from_le_bytes(*height),
        chroma: chroma.to_vec(),
        small: small.get(..(SMALL * SMALL) as usize)?.to_vec(),
        quality: Quality { highlights, shadows, entropy, sharpness, contrast, colour, bars: (across, down) },
    })
}

impl Artifact for Scores {
    const TYPE: &'static str = "scores";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        let head = Head { version: self.version, checks: self.checks.iter().map(|s| s.check).collect() };
        write_json(&dir.join(HEAD), &head)?;
        let text = |get: fn(&ScoredImage) -> &str| self.images.iter().map(get).collect::<Vec<_>>();
        let size = |get: fn(&Examined) -> u32| {
            let size = |seen: &Result<Examined, Unreadable>| seen.as_ref().map_or(0, get);
            self.seen.iter().map(size).collect::<Vec<u32>>()
        };
        let unreadable =
            |seen: &Result<Examined, Unreadable>| seen.as_ref().err().map(serde_json::to_string).transpose();
        let mut columns: Vec<Column> = vec![
            Series::new("id".into(), text(|image| &image.id)).into(),
            Series::new("digest".into(), text(|image| &image.digest)).into(),
            Series::new("width".into(), size(|seen| seen.width)).into(),
            Series::new("height".into(), size(|seen| seen.height)).into(),
            Series::new("reason".into(), self.seen.iter().map(unreadable).collect::<Result<Vec<_>, _>>()?)
                .into(),
        ];
        for check in &self.checks {
            columns.push(Series::new(check.check.name().into(), &check.images).into());
        }
        table::write(&dir.join(ROWS), self.images.len(), columns)?;
        let mut measures = Vec::with_capacity(self.seen.len() * RECORD);
        self.seen.iter().flatten().for_each(|seen| encode(seen, &mut measures));
        let path = dir.join(MEASURES);
        std::fs::write(&path, measures).with_context(|| format!("writing `{}`", path.display()))
    }

    fn load(dir: &Path) -> anyhow::Result<Self> {
        let head: Head = read_json(&dir.join(HEAD))?;
        ensure!(head.version == VERSION, "measured by version {}, expected {VERSION}", head.version);
        let frame = table::read(&dir.join(ROWS))?;
        let ids = table::texts(&frame, "id")?;
        let digests = table::texts(&frame, "digest")?;
        let path = dir.join(MEASURES);
        let measures = std::fs::read(&path).with_context(|| format!("reading `{}`", path.display()))?;
        let (records, rest) = measures.as_chunks::<RECORD>();
        ensure!(rest.is_empty(), "`{}` ends inside an image", path.display());
        let mut records = records.iter();
        let mut seen = Vec::with_capacity(ids.len());
        for reason in table::optional_texts(&frame, "reason")? {
            seen.push(match reason {
                Some(reason) => Err(serde_json::from_str(&reason)?),
                None => Ok(records.next().and_then(|record| decode(record)).context("a missing measure")?),
            });
        }
        let mut checks = Vec::new();
        for check in head.checks {
            checks.push(CheckScores { check, images: table::optional_f32s(&frame, check.name())? });
        }
        let images = ids.into_iter().zip(digests).map(|(id, digest)| ScoredImage { id, digest }).collect();
        Ok(Self { version: head.version, images, checks, seen })
    }

    fn text(&self) -> String {
        let mut text = format!("scores: {} images, from 0 (bad) to 1 (good)\n", self.images.len());
        let width = Check::ALL.iter().map(|check| check.name().len()).max().unwrap_or(0);
        let _ = writeln!(text, "  {:<width$}   mean  lowest", "check");
        for check in &self.checks {
            let worst = self.images.iter().zip(&check.images).filter_map(|(image, s)| Some((image, (*s)?)));
            let Some((image, lowest)) = worst.min_by(|a, b| a.1.total_cmp(&b.1)) else { continue };
            let of = if lowest < 1.0 { format!("  {}", image.id) } else { String::new() };
            let name = check.check.name();
            let _ = writeln!(text, "  {name:<width$}  {:.3}   {lowest:.3}{of}", check.mean());
        }
        text
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        let means = self.checks.iter().map(|check| (check.check.name().to_owned(), check.mean().into()));
        let means: serde_json::Map<String, serde_json::Value> = means.collect();
        let row = |(index, image): (usize, &ScoredImage)| {
            let score = |check: &CheckScores| (check.check.name().to_owned(), check.images[index].into());
            let scores: serde_json::Map<String, serde_json::Value> = self.checks.iter().map(score).collect();
            serde_json::json!({ "id": image.id, "digest": image.digest, "scores": scores })
        };
        let images: Vec<_> = self.images.iter().enumerate().map(row).collect();
        Ok(serde_json::json!({ "version": self.version, "data_set": means, "images": images }))
    }

    fn table(&self) -> Option<Table> {
        let mut columns: Vec<String> = ["id", "digest", "width", "height"].map(str::to_owned).to_vec();
        columns.extend(self.checks.iter().map(|check| check.check.name().to_owned()));
        let row = |(index, (image, seen)): (usize, (&ScoredImage, &Result<Examined, Unreadable>))| {
            let size = |get: fn(&Examined) -> u32| {
                seen.as_ref().map(|seen| get(seen).to_string()).unwrap_or_default()
            };
            let mut row = vec![image.id.clone(), image.digest.clone(), size(|s| s.width), size(|s| s.height)];
            let score = |check: &CheckScores| check.images[index].map(|s| s.to_string()).unwrap_or_default();
            row.extend(self.checks.iter().map(score));
            row
        };
        Some(Table { columns, rows: self.images.iter().zip(&self.seen).enumerate().map(row).collect() })
    }

    fn count(&self) -> Option<Count> {
        Some(Count::new(self.images.len(), "images"))
    }
}
