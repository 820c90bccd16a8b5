//! What cleaning found, for people and for the report.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use peregrine_pipeline::{Artifact, Count, Table};
use serde::{Deserialize, Serialize};

use super::check::{Action, Check};
use super::labels::LabelHealth;
use super::overrides::Overruled;
use crate::manifest::{read_json, write_json};
use crate::picture::{Thumbnail, load_thumbnails, save_thumbnails};

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
    /// What was done.
    pub action: Action,
    /// The number the check looked at, where it looks at one.
    pub score: Option<f64>,
    /// The reason in words.
    pub detail: String,
    /// For duplicates: the image that was kept instead; for contradictory labels: one of another class.
    pub of: Option<String>,
    /// For checks of labels: the class that the image should have; it has it now when `action` is
    /// `relabel`.
    pub suggested: Option<String>,
    /// The image's new weight, when `action` is `downweight`.
    pub weight: Option<f32>,
    /// What a person's override did instead.
    pub overridden: Option<Action>,
}

/// What one check did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckSummary {
    /// Which check.
    pub check: Check,
    /// What is to happen to flagged images.
    pub action: Action,
    /// What the check looks for, with its threshold.
    pub rule: String,
    /// How many images it flagged: the sum of the following.
    pub flagged: u64,
    /// How many of them were removed because of it.
    pub removed: u64,
    /// How many got another label.
    pub relabelled: u64,
    /// How many count less.
    pub downweighted: u64,
    /// How many stayed as they are.
    pub kept: u64,
    /// For how many a person decided otherwise; they are in none of the counts of what was done.
    pub overridden: u64,
}

impl Default for CheckSummary {
    fn default() -> Self {
        Self {
            check: Check::Unreadable,
            action: Action::Keep,
            rule: String::new(),
            flagged: 0,
            removed: 0,
            relabelled: 0,
            downweighted: 0,
            kept: 0,
            overridden: 0,
        }
    }
}

impl CheckSummary {
    /// How many images `action` was done to.
    pub fn count(&self, action: Action) -> u64 {
        match action {
            Action::Drop => self.removed,
            Action::Relabel => self.relabelled,
            Action::Downweight => self.downweighted,
            Action::Keep => self.kept,
        }
    }

    /// The counts in words: `3 removed, 1 overridden`.
    pub fn done(&self) -> String {
        let counts = [
            (self.removed, "removed"),
            (self.relabelled, "relabelled"),
            (self.downweighted, "downweighted"),
            (self.kept, "kept"),
            (self.overridden, "overridden"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let words: Vec<String> = counts.map(|(count, word)| format!("{count} {word}")).collect();
        if words.is_empty() { "–".to_owned() } else { words.join(", ") }
    }

    pub(super) fn count_mut(&mut self, action: Action) -> &mut u64 {
        match action {
            Action::Drop => &mut self.removed,
            Action::Relabel => &mut self.relabelled,
            Action::Downweight => &mut self.downweighted,
            Action::Keep => &mut self.kept,
        }
    }
}

/// What became of the images of one class.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassSummary {
    /// The class.
    pub class: String,
    /// How many images it had.
    pub examined: u64,
    /// How many of them were removed.
    pub removed: u64,
    /// How many of them went to another class.
    pub relabelled: u64,
    /// How many of them stayed and count less.
    pub downweighted: u64,
    /// How many it has now, with those that came from other classes.
    pub kept: u64,
}

/// A thumbnail of a flagged image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlaggedImage {
    /// Which check flagged it; none when a person decided on it and no check flagged it.
    pub check: Option<Check>,
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
    /// What became of the images of each class, in the order of the classes.
    pub classes: Vec<ClassSummary>,
    /// Every flagged image, by check and then id.
    pub findings: Vec<Finding>,
    /// How the labels are as a whole, where out-of-fold predictions were connected.
    pub labels: Option<LabelHealth>,
    /// What a person's overrides changed.
    pub overrides: Overruled,
    /// Thumbnails of some flagged images of each check, then of what was decided by hand besides.
    pub thumbnails: Vec<FlaggedImage>,
}

const FILE: &str = "clean_report.json";

impl Finding {
    /// The reason, what it would be instead, and what was decided by hand.
    fn says(&self) -> String {
        let suggested = self.suggested.as_ref().map(|class| format!(" → `{class}`"));
        let by_hand = self.overridden.map(|action| format!(" (by hand: {action})"));
        format!("{}{}{}", self.detail, suggested.unwrap_or_default(), by_hand.unwrap_or_default())
    }
}

impl CleanReport {
    /// How many images of `class` were removed.
    pub fn removed_from(&self, class: &str) -> u64 {
        self.classes.iter().find(|summary| summary.class == class).map_or(0, |summary| summary.removed)
    }

    fn write_overrides(&self, text: &mut String) {
        let overrides = &self.overrides;
        if overrides.decisions.is_empty() && overrides.unknown.is_empty() && overrides.unreadable.is_empty() {
            return;
        }
        let counts = Action::ALL.map(|action| (overrides.count(action), action.name()));
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<String> = counts.map(|(count, name)| format!("{count} {name}")).collect();
        let _ = writeln!(
            text,
            "overrides: {} decided by hand ({}), {} of them otherwise than the checks",
            overrides.decisions.len(),
            if counts.is_empty() { "none".to_owned() } else { counts.join(", ") },
            overrides.changed
        );
        if !overrides.unknown.is_empty() {
            let examples: Vec<&str> = overrides.unknown.iter().take(3).map(|row| row.id.as_str()).collect();
            let _ =
                writeln!(text, "  {} rows name no image: {}", overrides.unknown.len(), examples.join(", "));
        }
        for row in &overrides.unreadable {
            let _ = writeln!(text, "  {}: can't be read, so it stays removed", row.id);
        }
    }
}

impl Artifact for CleanReport {
    const TYPE: &'static str = "clean_report";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        write_json(&dir.join(FILE), self)?;
        // An image that two checks flagged, or that several others are copies of, is one file.
        let all = self.thumbnails.iter().flat_map(|flagged| [&flagged.image].into_iter().chain(&flagged.of));
        let files: BTreeMap<&str, &Thumbnail> =
            all.map(|thumbnail| (thumbnail.file.as_str(), thumbnail)).collect();
        save_thumbnails(dir, files.into_values())
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
        let _ = writeln!(text, "  {:<width$}  flagged  what was done", "check");
        for check in &self.checks {
            let (name, flagged) = (check.check.name(), check.flagged);
            let _ = writeln!(text, "  {name:<width$}  {flagged:>7}  {:<13}  ({})", check.done(), check.rule);
        }
        self.write_overrides(&mut text);
        for summary in self.checks.iter().filter(|summary| summary.flagged > 0) {
            let _ = writeln!(text, "{}:", summary.check.name());
            let findings = self.findings.iter().filter(|finding| finding.check == summary.check);
            for finding in findings.clone().take(8) {
                let _ = writeln!(text, "  {}: {}", finding.id, finding.says());
            }
            let more = findings.count().saturating_sub(8);
            if more > 0 {
                let _ = writeln!(text, "  … and {more} more (--csv lists all)");
            }
        }
        if let Some(labels) = &self.labels {
            text.push_str(&labels.text());
        }
        text
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::to_value(self)?)
    }

    fn table(&self) -> Option<Table> {
        let columns =
            ["id", "class", "check", "action", "score", "suggested", "override", "detail", "of", "path"];
        let row = |finding: &Finding| {
            vec![
                finding.id.clone(),
                finding.class.clone(),
                finding.check.name().to_owned(),
                finding.action.name().to_owned(),
                finding.score.map(|score| score.to_string()).unwrap_or_default(),
                finding.suggested.clone().unwrap_or_default(),
                finding.overridden.map(|action| action.name().to_owned()).unwrap_or_default(),
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
