//! What cleaning found, for people and for the report.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use peregrine_pipeline::{Artifact, Count, Table};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::{read_json, write_json};
use crate::picture::{Thumbnail, load_thumbnails, save_thumbnails};

/// What a check looks for, in the order in which checks are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The file is no whole image.
    Unreadable,
    /// The same image under different labels.
    ContradictoryLabels,
    /// The same bytes or the same pixels as another image.
    ExactDuplicate,
    /// Almost one flat colour.
    LowInformation,
    /// Too dark to see anything.
    Dark,
    /// Too bright to see anything.
    Bright,
    /// Out of focus.
    Blurry,
    /// Almost the same pixels as another image.
    NearDuplicate,
}

impl Check {
    /// Every check, in order.
    pub const ALL: [Self; 8] = [
        Self::Unreadable,
        Self::ContradictoryLabels,
        Self::ExactDuplicate,
        Self::LowInformation,
        Self::Dark,
        Self::Bright,
        Self::Blurry,
        Self::NearDuplicate,
    ];

    /// The name in files: `near_duplicate`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::ContradictoryLabels => "contradictory_labels",
            Self::ExactDuplicate => "exact_duplicate",
            Self::NearDuplicate => "near_duplicate",
            Self::Dark => "dark",
            Self::Bright => "bright",
            Self::LowInformation => "low_information",
            Self::Blurry => "blurry",
        }
    }
}

/// What happens to an image that a check flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is removed.
    Drop,
    /// It stays and is only reported.
    Keep,
}

/// One image that one check flagged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The image's id.
    pub id: String,
    /// The image's file.
    pub path: String,
    /// The image's class.
    pub class: String,
    /// Which check.
    pub check: Check,
    /// What happened.
    pub action: Action,
    /// The number the check looked at, where it looks at one.
    pub score: Option<f64>,
    /// The reason in words.
    pub detail: String,
    /// For duplicates: the image that was kept instead.
    pub of: Option<String>,
}

/// What one check did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckSummary {
    /// Which check.
    pub check: Check,
    /// What happens to flagged images.
    pub action: Action,
    /// What the check looks for, with its threshold.
    pub rule: String,
    /// How many images it flagged.
    pub flagged: u64,
    /// How many of them were removed because of it.
    pub removed: u64,
}

/// A thumbnail of a flagged image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlaggedImage {
    /// Which check flagged it.
    pub check: Check,
    /// The image.
    pub image: Thumbnail,
    /// For duplicates: the image that was kept instead.
    pub of: Option<Thumbnail>,
}

/// What cleaning found and removed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CleanReport {
    /// How many images came in.
    pub examined: u64,
    /// How many went out.
    pub kept: u64,
    /// How many were removed, each counted once.
    pub removed: u64,
    /// What each check did, in the order in which they are applied.
    pub checks: Vec<CheckSummary>,
    /// How many images of each class were removed.
    pub removed_by_class: BTreeMap<String, u64>,
    /// Every flagged image, by check and then id.
    pub findings: Vec<Finding>,
    /// Thumbnails of some flagged images of each check.
    pub thumbnails: Vec<FlaggedImage>,
}

const FILE: &str = "clean_report.json";

impl Artifact for CleanReport {
    const TYPE: &'static str = "clean_report";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        write_json(&dir.join(FILE), self)?;
        save_thumbnails(
            dir,
            self.thumbnails.iter().flat_map(|flagged| [&flagged.image].into_iter().chain(&flagged.of)),
        )
    }

    fn load(dir: &Path) -> anyhow::Result<Self> {
        let mut report: Self = read_json(&dir.join(FILE))?;
        let all = report.thumbnails.iter_mut();
        load_thumbnails(
            dir,
            all.flat_map(|flagged| [&mut flagged.image].into_iter().chain(&mut flagged.of)),
        )?;
        Ok(report)
    }

    fn text(&self) -> String {
        let mut text = format!(
            "clean report: {} of {} images kept, {} removed\n",
            self.kept, self.examined, self.removed
        );
        let width = Check::ALL.iter().map(|check| check.name().len()).max().unwrap_or(0);
        let _ = writeln!(text, "  {:<width$}  flagged  removed", "check");
        for check in &self.checks {
            let name = check.check.name();
            let _ = writeln!(
                text,
                "  {name:<width$}  {:>7}  {:>7}  {}",
                check.flagged, check.removed, check.rule
            );
        }
        for summary in self.checks.iter().filter(|summary| summary.flagged > 0) {
            let _ = writeln!(text, "{}:", summary.check.name());
            let findings = self.findings.iter().filter(|finding| finding.check == summary.check);
            for finding in findings.clone().take(8) {
                let _ = writeln!(text, "  {}: {}", finding.id, finding.detail);
            }
            let more = findings.count().saturating_sub(8);
            if more > 0 {
                let _ = writeln!(text, "  … and {more} more (--csv lists all)");
            }
        }
        text
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::to_value(self)?)
    }

    fn table(&self) -> Option<Table> {
        let columns = ["id", "class", "check", "action", "score", "detail", "of", "path"];
        let row = |finding: &Finding| {
            vec![
                finding.id.clone(),
                finding.class.clone(),
                finding.check.name().to_owned(),
                if finding.action == Action::Drop { "drop" } else { "keep" }.to_owned(),
                finding.score.map(|score| score.to_string()).unwrap_or_default(),
                finding.detail.clone(),
                finding.of.clone().unwrap_or_default(),
                finding.path.clone(),
            ]
        };
        Some(Table {
            columns: columns.map(str::to_owned).to_vec(),
            rows: self.findings.iter().map(row).collect(),
        })
    }

    fn count(&self) -> Option<Count> {
        Some(Count::new(self.findings.len(), "findings"))
    }
}
