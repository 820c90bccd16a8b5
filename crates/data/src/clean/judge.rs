//! Decides what becomes of each image, from what was seen of all. Opens no file.
//!
//! [`RULES`] is the registry: what is looked for, in which order, and what is done about it. A check
//! is a function from the [`Bench`] to its [`Flag`]s in a file of its own, and a line here.

use std::collections::HashMap;

use super::Clean;
use super::check::{Action, Check};
use super::duplicates;
use super::examine::Examined;
use super::labels::LabelHealth;
use super::odd;
use super::outliers;
use super::overrides::{Overruled, Resolved, Verdict};
use super::quality;
use super::report::{CheckSummary, ClassSummary, CleanReport, Finding};
use super::wrong_label;
use crate::decode::Unreadable;
use crate::manifest::{ImageRecord, Manifest};
use crate::out_of_fold::OutOfFold;

/// A check: what it is called, what its param says to do, and what it finds.
struct Rule {
    check: Check,
    action: fn(&Clean) -> Action,
    find: fn(&Bench) -> Found,
}

/// Every check, in the order of [`Check::ALL`]. An image that one removes is not looked at by the
/// next ones: a blank image is called that, and neither dark nor blurred.
const RULES: [Rule; 14] = [
    Rule { check: Check::Unreadable, action: |_| Action::Drop, find: unreadable },
    Rule {
        check: Check::ContradictoryLabels,
        action: |p| p.contradictory_labels,
        find: duplicates::contradictory_labels,
    },
    Rule { check: Check::ExactDuplicate, action: |p| p.exact_duplicates, find: duplicates::exact_duplicates },
    Rule { check: Check::LowInformation, action: |p| p.low_information, find: quality::low_information },
    Rule { check: Check::Dark, action: |p| p.dark, find: quality::dark },
    Rule { check: Check::Bright, action: |p| p.bright, find: quality::bright },
    Rule { check: Check::Blurry, action: |p| p.blurry, find: quality::blurry },
    Rule { check: Check::OddAspect, action: |p| p.odd_aspect, find: odd::odd_aspect },
    Rule { check: Check::OddSize, action: |p| p.odd_size, find: odd::odd_size },
    Rule { check: Check::Grayscale, action: |p| p.grayscale, find: odd::grayscale },
    Rule { check: Check::ConstantBorder, action: |p| p.constant_border, find: odd::constant_border },
    Rule { check: Check::NearDuplicate, action: |p| p.near_duplicates, find: duplicates::near_duplicates },
    Rule { check: Check::Outlier, action: |p| p.outlier, find: outliers::outliers },
    Rule { check: Check::WrongLabel, action: |p| p.wrong_label, find: wrong_label::wrong_labels },
];

/// One flag of a check.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Flag {
    /// Which image, as an index into the manifest.
    pub index: usize,
    /// The number that the check looked at.
    pub score: Option<f64>,
    /// The reason in words.
    pub detail: String,
    /// For duplicates: the image that is kept instead, or the one that contradicts.
    pub of: Option<usize>,
    /// For checks of labels: the label that the image should have. What is to be relabelled and has
    /// none is removed.
    pub label: Option<u32>,
}

impl Flag {
    /// A flag without a score.
    pub fn new(index: usize, detail: String) -> Self {
        Self { index, detail, ..Self::default() }
    }
}

/// What a check found. One without a rule did not look: it lacks an input.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Found {
    /// What the check looks for, with its threshold.
    pub rule: String,
    /// The images, in any order.
    pub flags: Vec<Flag>,
    /// For the check of labels: how the labels are as a whole.
    pub health: Option<LabelHealth>,
}

impl Found {
    /// What was found, and by which rule.
    pub fn new(rule: impl Into<String>, flags: Vec<Flag>) -> Self {
        Self { rule: rule.into(), flags, health: None }
    }
}

/// What the checks know and have decided so far.
pub(super) struct Bench<'a> {
    /// The images.
    pub manifest: &'a Manifest,
    /// What was seen of each.
    pub seen: &'a [Result<Examined, Unreadable>],
    /// What networks that did not see the images think of them.
    pub predictions: Option<&'a OutOfFold>,
    /// How usual each image is among all; see [`outliers::grades`].
    pub outliers: &'a [Option<f64>],
    /// What to look for.
    pub params: &'a Clean,
    /// The images as they are by now.
    records: Vec<ImageRecord>,
    /// Whether each stays.
    stays: Vec<bool>,
    findings: Vec<Finding>,
    checks: Vec<CheckSummary>,
    overruled: Overruled,
    health: Option<LabelHealth>,
}

/// The images that stay, in their order, and the report without thumbnails. `seen` is what was seen
/// of each image of `manifest`, `predictions` what networks that did not see them think of the
/// images, `outliers` how usual each is; `overrides` has the last word.
pub(super) fn judge(
    manifest: &Manifest,
    seen: &[Result<Examined, Unreadable>],
    predictions: Option<&OutOfFold>,
    outliers: &[Option<f64>],
    params: &Clean,
    overrides: &Resolved,
) -> (Vec<ImageRecord>, CleanReport) {
    let mut bench = Bench {
        manifest,
        seen,
        predictions,
        outliers,
        params,
        records: manifest.images.clone(),
        stays: vec![true; seen.len()],
        findings: Vec::new(),
        checks: Vec::new(),
        overruled: Overruled::default(),
        health: None,
    };
    for rule in &RULES {
        let found = (rule.find)(&bench);
        if !found.rule.is_empty() {
            bench.apply(rule.check, (rule.action)(params), found);
        }
    }
    bench.overrule(overrides);
    bench.finish()
}

impl<'a> Bench<'a> {
    /// The readable images that stay so far: index, record, what was seen.
    pub fn standing(&self) -> impl Iterator<Item = (usize, &ImageRecord, &'a Examined)> {
        let all = self.manifest.images.iter().zip(self.seen).enumerate();
        all.filter(|(index, _)| self.stays[*index])
            .filter_map(|(index, (_, seen))| Some((index, &self.records[index], seen.as_ref().ok()?)))
    }

    /// The image at `index`.
    pub fn image(&self, index: usize) -> &ImageRecord {
        &self.records[index]
    }

    /// The label of the image at `index`, as it is by now.
    pub fn label(&self, index: usize) -> u32 {
        self.records[index].label
    }

    /// The name of the class `label`.
    pub fn class(&self, label: u32) -> &'a str {
        self.manifest.classes.get(label as usize).map_or("?", String::as_str)
    }

    /// What was found so far.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Carries out what `check` found.
    fn apply(&mut self, check: Check, action: Action, found: Found) {
        let Found { rule, mut flags, health } = found;
        self.health = health.or_else(|| self.health.take());
        flags.sort_by_key(|flag| flag.index);
        let mut summary = CheckSummary { check, action, rule, ..CheckSummary::default() };
        for flag in flags {
            let done = self.act(check, action, &flag);
            summary.flagged += 1;
            *summary.count_mut(done) += 1;
            let original = &self.manifest.images[flag.index];
            let now = &self.records[flag.index];
            self.findings.push(Finding {
                id: original.id.clone(),
                path: original.path.clone(),
                class: self.manifest.class_of(original).to_owned(),
                check,
                action: done,
                score: flag.score,
                of: flag.of.map(|of| self.manifest.images[of].id.clone()),
                suggested: flag.label.map(|label| self.class(label).to_owned()),
                overridden: None,
                weight: (done == Action::Downweight).then_some(now.weight),
                detail: flag.detail,
            });
        }
        self.checks.push(summary);
    }

    /// Does what is to be done about one flag; what was done in the end.
    fn act(&mut self, check: Check, action: Action, flag: &Flag) -> Action {
        let record = &mut self.records[flag.index];
        let done = match (action, flag.label) {
            (Action::Relabel, None) => Action::Drop,
            (Action::Relabel, Some(label)) if label == record.label => Action::Keep,
            (action, _) => action,
        };
        match (done, flag.label) {
            (Action::Drop, _) => self.stays[flag.index] = false,
            (Action::Relabel, Some(label)) => record.label = label,
            (Action::Downweight, _) => record.weight *= self.params.downweight_factor as f32,
            _ => {}
        }
        self.note(flag.index, &format!("{} {done}: {}", check.name(), flag.detail));
        done
    }

    /// Adds `text` to the notes of the image at `index`.
    fn note(&mut self, index: usize, text: &str) {
        let notes = &mut self.records[index].notes;
        if !notes.is_empty() {
            notes.push_str("; ");
        }
        notes.push_str(text);
    }

    /// Does what a person decided, whatever checks said.
    fn overrule(&mut self, overrides: &Resolved) {
        let mut of_image: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, finding) in self.findings.iter().enumerate() {
            of_image.entry(finding.id.as_str()).or_default().push(at);
        }
        let found: Vec<(Verdict, Vec<usize>)> = overrides
            .found
            .iter()
            .map(|verdict| (*verdict, of_image.remove(verdict.decision.id.as_str()).unwrap_or_default()))
            .collect();
        drop(of_image);
        for (verdict, findings) in found {
            let Verdict { index, decision, label } = verdict;
            if self.seen[index].is_err() && decision.action != Action::Drop {
                self.overruled.unreadable.push(decision.clone());
                continue;
            }
            self.carry_out(index, decision.action, label);
            let why = if decision.note.is_empty() { "decided by hand" } else { &decision.note };
            self.note(index, &format!("override {}: {why}", decision.action));
            self.overruled.decisions.push(decision.clone());
            let mut agreed = false;
            for at in findings {
                let finding = &mut self.findings[at];
                if finding.action == decision.action
                    && (decision.action != Action::Relabel || finding.suggested == decision.label)
                {
                    agreed = true;
                    continue;
                }
                finding.overridden = Some(decision.action);
                if let Some(summary) = self.checks.iter_mut().find(|summary| summary.check == finding.check) {
                    *summary.count_mut(finding.action) -= 1;
                    summary.overridden += 1;
                }
            }
            self.overruled.changed += u64::from(!agreed);
        }
        self.overruled.unknown = overrides.unknown.iter().map(|row| (*row).clone()).collect();
    }

    /// Makes the image at `index` what it was at first, but for what `action` says.
    fn carry_out(&mut self, index: usize, action: Action, label: Option<u32>) {
        let original = &self.manifest.images[index];
        let record = &mut self.records[index];
        record.label = label.unwrap_or(original.label);
        record.weight = match action {
            Action::Downweight => original.weight * self.params.downweight_factor as f32,
            _ => original.weight,
        };
        self.stays[index] = action != Action::Drop;
    }

    fn finish(self) -> (Vec<ImageRecord>, CleanReport) {
        let classes = self.classes();
        let examined = self.seen.len() as u64;
        let kept: Vec<ImageRecord> = self
            .records
            .into_iter()
            .zip(self.stays)
            .filter_map(|(image, stays)| stays.then_some(image))
            .collect();
        let report = CleanReport {
            examined,
            kept: kept.len() as u64,
            removed: examined - kept.len() as u64,
            checks: self.checks,
            classes,
            findings: self.findings,
            overrides: self.overruled,
            labels: self.health,
            thumbnails: Vec::new(),
        };
        (kept, report)
    }

    /// What became of the images of each class.
    fn classes(&self) -> Vec<ClassSummary> {
        let named = |class: &String| ClassSummary { class: class.clone(), ..ClassSummary::default() };
        let mut classes: Vec<ClassSummary> = self.manifest.classes.iter().map(named).collect();
        for (index, original) in self.manifest.images.iter().enumerate() {
            let (now, stays) = (&self.records[index], self.stays[index]);
            if let Some(class) = classes.get_mut(original.label as usize) {
                class.examined += 1;
                class.removed += u64::from(!stays);
                class.relabelled += u64::from(stays && now.label != original.label);
                class.downweighted += u64::from(stays && now.weight < original.weight);
            }
            if let Some(class) = classes.get_mut(now.label as usize) {
                class.kept += u64::from(stays);
            }
        }
        classes
    }
}

fn unreadable(bench: &Bench) -> Found {
    let seen = bench.seen.iter().enumerate();
    let bad = seen.filter_map(|(index, seen)| Some((index, seen.as_ref().err()?)));
    let flags = bad.map(|(index, reason)| Flag::new(index, reason.to_string())).collect();
    Found::new("no whole image", flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_a_rule_in_its_place() {
        assert!(RULES.iter().map(|rule| rule.check).eq(Check::ALL));
    }
}
