//! Decides what stays, from what was seen of every image. Opens no file.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use super::examine::Examined;
use super::near::near_duplicates;
use super::report::{Action, Check, CheckSummary, CleanReport, Finding};
use super::{Clean, quality};
use crate::decode::Unreadable;
use crate::manifest::{ImageRecord, Manifest, Split};

/// What the checks know and have decided so far.
struct Judge<'a> {
    manifest: &'a Manifest,
    seen: &'a [Result<Examined, Unreadable>],
    stays: Vec<bool>,
    findings: Vec<Finding>,
    checks: Vec<CheckSummary>,
}

/// One flag: which image, its score, the reason, and the image that is kept instead.
struct Flag {
    index: usize,
    score: Option<f64>,
    detail: String,
    of: Option<usize>,
}

/// The images that stay, in their order, and the report without thumbnails. `seen` is what was seen
/// of each image of `manifest`.
pub fn judge(
    manifest: &Manifest,
    seen: &[Result<Examined, Unreadable>],
    params: &Clean,
) -> (Vec<ImageRecord>, CleanReport) {
    let stays = vec![true; seen.len()];
    let mut judge = Judge { manifest, seen, stays, findings: Vec::new(), checks: Vec::new() };
    judge.unreadable();
    judge.contradictory_labels(params.contradictory_labels);
    judge.exact_duplicates(params.exact_duplicates);
    judge.quality(params);
    judge.near_duplicates(params);
    judge.finish()
}

impl Judge<'_> {
    /// The readable images that stay so far.
    fn standing(&self) -> impl Iterator<Item = (usize, &ImageRecord, &Examined)> {
        let all = self.manifest.images.iter().zip(self.seen).enumerate();
        all.filter(|(index, _)| self.stays[*index])
            .filter_map(|(index, (image, seen))| Some((index, image, seen.as_ref().ok()?)))
    }

    /// Carries out what `check` found.
    fn apply(&mut self, check: Check, action: Action, rule: String, mut flags: Vec<Flag>) {
        flags.sort_by_key(|flag| flag.index);
        let flagged = flags.len() as u64;
        for Flag { index, score, detail, of } in flags {
            let image = &self.manifest.images[index];
            self.stays[index] &= action == Action::Keep;
            self.findings.push(Finding {
                id: image.id.clone(),
                path: image.path.clone(),
                class: self.manifest.class_of(image).to_owned(),
                check,
                action,
                score,
                detail,
                of: of.map(|of| self.manifest.images[of].id.clone()),
            });
        }
        let removed = if action == Action::Drop { flagged } else { 0 };
        self.checks.push(CheckSummary { check, action, rule, flagged, removed });
    }

    fn unreadable(&mut self) {
        let bad =
            self.seen.iter().enumerate().filter_map(|(index, seen)| Some((index, seen.as_ref().err()?)));
        let flag = |(index, reason): (usize, &Unreadable)| Flag {
            index,
            score: None,
            detail: reason.to_string(),
            of: None,
        };
        let flags = bad.map(flag).collect();
        self.apply(Check::Unreadable, Action::Drop, "no whole image".to_owned(), flags);
    }

    /// Sets of at least two images of equal bytes or pixels, each from the most to the least worth
    /// keeping. Copies made by a stage are wanted, and not looked at.
    fn equal_images(&self) -> Vec<Vec<usize>> {
        let mut sets: BTreeMap<[u8; 32], Vec<usize>> = BTreeMap::new();
        for (index, _, seen) in self.standing().filter(|(_, image, _)| !image.synthetic) {
            sets.entry(*seen.content.as_bytes()).or_default().push(index);
        }
        let mut sets: Vec<Vec<usize>> = sets.into_values().filter(|set| set.len() > 1).collect();
        sets.iter_mut().for_each(|set| set.sort_by_key(|&index| self.rank(index)));
        sets
    }

    /// What is worth keeping comes first: what the source calls test, then val, so that duplicates
    /// leave train and not what is measured; then the largest; then the first.
    fn rank(&self, index: usize) -> impl Ord + use<> {
        let part = match self.manifest.images[index].predefined {
            Some(Split::Test) => 0,
            Some(Split::Val) => 1,
            _ => 2,
        };
        let area = self.seen[index].as_ref().map_or(0, |seen| seen.area);
        (part, Reverse(area), index)
    }

    fn contradictory_labels(&mut self, action: Action) {
        let mut flags = Vec::new();
        for set in self.equal_images() {
            let label = |index: usize| self.manifest.images[index].label;
            if set.iter().all(|&index| label(index) == label(set[0])) {
                continue;
            }
            for &index in &set {
                let others = set.iter().filter(|&&other| label(other) != label(index));
                let others = others.map(|&other| format!("`{}`", self.manifest.images[other].id));
                let detail =
                    format!("the same image as {} of another class", others.collect::<Vec<_>>().join(", "));
                flags.push(Flag { index, score: None, detail, of: None });
            }
        }
        self.apply(Check::ContradictoryLabels, action, "equal images in different classes".to_owned(), flags);
    }

    fn exact_duplicates(&mut self, action: Action) {
        let mut flags = Vec::new();
        for set in self.equal_images() {
            let kept = &self.manifest.images[set[0]];
            for &index in &set[1..] {
                let same = if self.manifest.images[index].digest == kept.digest { "bytes" } else { "pixels" };
                let detail = format!("the same {same} as `{}`", kept.id);
                flags.push(Flag { index, score: Some(1.0), detail, of: Some(set[0]) });
            }
        }
        self.apply(Check::ExactDuplicate, action, "equal bytes or pixels".to_owned(), flags);
    }

    fn quality(&mut self, params: &Clean) {
        for rule in quality::rules(params) {
            let flag = |(index, _, seen): (usize, &ImageRecord, &Examined)| {
                let (score, detail) = (rule.flags)(&seen.quality)?;
                Some(Flag { index, score: Some(score), detail, of: None })
            };
            let flags = self.standing().filter_map(flag).collect();
            self.apply(rule.check, rule.action, rule.text, flags);
        }
    }

    fn near_duplicates(&mut self, params: &Clean) {
        // Images that an earlier check only reported (`keep`) as equal are no near duplicates.
        let equal: HashSet<&str> = self
            .findings
            .iter()
            .filter(|finding| matches!(finding.check, Check::ExactDuplicate | Check::ContradictoryLabels))
            .map(|finding| finding.id.as_str())
            .collect();
        let mut order: Vec<usize> = self
            .standing()
            .filter(|(_, image, seen)| {
                !image.synthetic && seen.quality.contrast > 0.0 && !equal.contains(image.id.as_str())
            })
            .map(|(index, _, _)| index)
            .collect();
        order.sort_by_key(|&index| self.rank(index));
        let small = |&index: &usize| self.seen[index].as_ref().map_or(&[][..], |seen| seen.small.as_slice());
        let pictures: Vec<&[u8]> = order.iter().map(small).collect();
        let found =
            near_duplicates(&pictures, params.near_duplicate_distance, params.near_duplicate_similarity);
        let flags = order.iter().zip(found).filter_map(|(&index, near)| {
            let near = near?;
            let of = order[near.of];
            let [image, kept] = [index, of].map(|index| &self.manifest.images[index]);
            let class = if image.label == kept.label {
                String::new()
            } else {
                format!(", which is of class `{}`", self.manifest.class_of(kept))
            };
            let detail = format!("{:.1} % the same as `{}`{class}", 100.0 * near.similarity, kept.id);
            Some(Flag { index, score: Some(near.similarity), detail, of: Some(of) })
        });
        let flags = flags.collect();
        let rule = format!(
            "hashes within {} bits and correlation of at least {}",
            params.near_duplicate_distance, params.near_duplicate_similarity
        );
        self.apply(Check::NearDuplicate, params.near_duplicates, rule, flags);
    }

    fn finish(self) -> (Vec<ImageRecord>, CleanReport) {
        let images = self.manifest.images.iter().zip(&self.stays);
        let kept: Vec<ImageRecord> =
            images.clone().filter(|(_, stays)| **stays).map(|(image, _)| image.clone()).collect();
        let mut removed_by_class = BTreeMap::new();
        for (image, _) in images.filter(|(_, stays)| !**stays) {
            *removed_by_class.entry(self.manifest.class_of(image).to_owned()).or_default() += 1;
        }
        let report = CleanReport {
            examined: self.seen.len() as u64,
            kept: kept.len() as u64,
            removed: (self.seen.len() - kept.len()) as u64,
            checks: self.checks,
            removed_by_class,
            findings: self.findings,
            thumbnails: Vec::new(),
        };
        (kept, report)
    }
}
