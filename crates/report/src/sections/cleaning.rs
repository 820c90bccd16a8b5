//! What cleaning removed, and why.

use peregrine_data::clean::{Action, Check, CleanReport};
use serde::Serialize;

use super::data::{Thumb, thumb};
use crate::material::Material;
use crate::pictures::Budget;
use crate::sources::{Link, Sources};
use crate::text::{number, percent, whole};

/// One check.
#[derive(Debug, Clone, Serialize)]
pub struct CheckView {
    /// Its name in words.
    pub name: String,
    /// What it looks for.
    pub rule: String,
    /// How many it flagged.
    pub flagged: String,
    /// How many of them were removed.
    pub removed: String,
    /// What was done, in words.
    pub done: String,
    /// Whether it removes or only reports.
    pub drops: bool,
    /// Some of the images.
    pub examples: Vec<Example>,
    /// Images as text, for those without a picture.
    pub list: Vec<String>,
    /// How many more there are.
    pub more: usize,
}

/// One flagged image.
#[derive(Debug, Clone, Serialize)]
pub struct Example {
    /// Its picture.
    pub thumb: Thumb,
    /// For duplicates: the image that was kept.
    pub of: Option<Thumb>,
    /// Its file.
    pub id: String,
    /// Its class.
    pub class: String,
    /// The reason.
    pub detail: String,
}

/// The section.
#[derive(Debug, Clone, Serialize)]
pub struct CleaningView {
    /// Where the numbers come from.
    pub link: Link,
    /// How many images came in.
    pub examined: String,
    /// How many stayed.
    pub kept: String,
    /// How many were removed.
    pub removed: String,
    /// The removed ones' share.
    pub share: String,
    /// The checks, in order.
    pub checks: Vec<CheckView>,
    /// The names of checks that found nothing.
    pub silent: Vec<String>,
}

/// The section, where a report of cleaning is connected.
pub fn cleaning(
    material: &Material,
    sources: &Sources,
    examples: usize,
    budget: &mut Budget,
) -> Option<CleaningView> {
    let clean = material.clean.as_ref()?;
    let report = &clean.value;
    let (found, silent): (Vec<_>, Vec<_>) = report.checks.iter().partition(|check| check.flagged > 0);
    let one = |check: &&peregrine_data::clean::CheckSummary| view(report, check, examples, budget);
    Some(CleaningView {
        link: sources.link(&clean.stage),
        examined: whole(report.examined),
        kept: whole(report.kept),
        removed: whole(report.removed),
        share: percent(report.removed as f64 / report.examined.max(1) as f64),
        checks: found.iter().map(one).collect(),
        silent: silent.iter().map(|check| words(check.check)).collect(),
    })
}

fn view(
    report: &CleanReport,
    check: &peregrine_data::clean::CheckSummary,
    most: usize,
    budget: &mut Budget,
) -> CheckView {
    let findings: Vec<_> = report.findings.iter().filter(|finding| finding.check == check.check).collect();
    let detail = |id: &str| {
        findings
            .iter()
            .find(|finding| finding.id == id)
            .map_or_else(String::new, |finding| finding.detail.clone())
    };
    let pictures = report.thumbnails.iter().filter(|flagged| flagged.check == Some(check.check)).take(most);
    let examples: Vec<Example> = pictures
        .filter_map(|flagged| {
            Some(Example {
                thumb: thumb(&flagged.image, flagged.image.id.clone(), budget)?,
                of: flagged.of.as_ref().and_then(|of| thumb(of, of.id.clone(), budget)),
                id: flagged.image.id.clone(),
                class: flagged.image.class.clone(),
                detail: detail(&flagged.image.id),
            })
        })
        .collect();
    let rest = findings.iter().filter(|finding| examples.iter().all(|example| example.id != finding.id));
    let line = |finding: &&&peregrine_data::clean::Finding| {
        let score = finding.score.map_or_else(String::new, |score| format!(" ({})", number(score, 3)));
        let of = finding.of.as_ref().map_or_else(String::new, |of| format!(", same as {of}"));
        format!("{} — {}{score}{of}", finding.id, finding.detail)
    };
    CheckView {
        name: words(check.check),
        rule: check.rule.clone(),
        flagged: whole(check.flagged),
        removed: whole(check.removed),
        done: check.done(),
        drops: check.action == Action::Drop,
        list: rest.clone().take(100).map(|finding| line(&finding)).collect(),
        more: rest.count().saturating_sub(100),
        examples,
    }
}

/// The check's name in words: `near duplicate`.
pub fn words(check: Check) -> String {
    check.name().replace('_', " ")
}
