//! Source by source, where a data set is merged of several; and what is seen where there is nothing.

use peregrine_eval::{Interval, SourceMetrics};
use serde::Serialize;

use crate::contenders::{Contender, best};
use crate::material::Material;
use crate::sources::{Link, Sources};
use crate::text::{number, percent, whole};

/// One source.
#[derive(Debug, Clone, Serialize)]
pub struct SourceRow {
    /// The source's tag.
    pub source: String,
    /// How many images it has.
    pub n: String,
    /// How many classes they are of.
    pub classes: String,
    /// The share named correctly.
    pub top1: String,
    /// That share for a bar, in percent.
    pub width: String,
    /// Its 95 % interval.
    pub interval: String,
    /// The mean F1 of its classes.
    pub macro_f1: String,
    /// The share that every other model names correctly, in the order of `others`.
    pub others: Vec<String>,
}

/// The section about sources.
#[derive(Debug, Clone, Serialize)]
pub struct SourcesView {
    /// The model of the table.
    pub label: String,
    /// Where its numbers come from.
    pub link: Link,
    /// The other models that were measured by source, and where their numbers come from.
    pub others: Vec<(String, Link)>,
    /// The sources, worst first.
    pub rows: Vec<SourceRow>,
}

/// One model on the background.
#[derive(Debug, Clone, Serialize)]
pub struct BackgroundRow {
    /// The model.
    pub label: String,
    /// Where its numbers come from.
    pub link: Link,
    /// The background class.
    pub class: String,
    /// How many background images there are.
    pub n: String,
    /// How many were taken for something.
    pub false_positives: String,
    /// That as a share.
    pub rate: String,
    /// Its 95 % interval.
    pub interval: String,
    /// What they were taken for most often, where they were.
    pub most: Option<String>,
    /// How many images of other classes were taken for background, and of how many.
    pub missed: String,
}

/// The section about sources; none unless a model was measured on more than one.
pub fn by_source(material: &Material, sources: &Sources, all: &[Contender]) -> Option<SourcesView> {
    let measured = |c: &Contender| material.metrics[c.metrics].value.by_source.as_slice();
    let top = best(material, all, |c| measured(c).len() > 1)?;
    let others: Vec<&Contender> =
        all.iter().filter(|c| c.metrics != top.metrics && !measured(c).is_empty()).collect();
    let link = |c: &Contender| sources.link(&material.metrics[c.metrics].stage);
    let row = |source: &SourceMetrics| {
        let top1 = |c: &&Contender| {
            let other = measured(c).iter().find(|other| other.source == source.source);
            other.map_or_else(|| "–".to_owned(), |other| percent(other.top1))
        };
        SourceRow {
            source: source.source.clone(),
            n: whole(source.n),
            classes: whole(source.classes),
            top1: percent(source.top1),
            width: number(100.0 * source.top1, 1),
            interval: interval(source.top1_interval),
            macro_f1: number(source.macro_f1, 3),
            others: others.iter().map(top1).collect(),
        }
    };
    let mut order: Vec<&SourceMetrics> = measured(top).iter().collect();
    order.sort_by(|a, b| a.top1.total_cmp(&b.top1));
    Some(SourcesView {
        label: top.label.clone(),
        link: link(top),
        others: others.iter().map(|c| (c.label.clone(), link(c))).collect(),
        rows: order.into_iter().map(row).collect(),
    })
}

/// Every model that was measured on the background.
pub fn background(material: &Material, sources: &Sources, all: &[Contender]) -> Vec<BackgroundRow> {
    let row = |c: &Contender| {
        let named = &material.metrics[c.metrics];
        let found = named.value.background.as_ref()?;
        let most = found.taken_for.first();
        Some(BackgroundRow {
            label: c.label.clone(),
            link: sources.link(&named.stage),
            class: found.class.clone(),
            n: whole(found.n),
            false_positives: whole(found.false_positives),
            rate: percent(found.false_positive_rate),
            interval: interval(found.interval),
            most: most.map(|taken| taken.class.clone()),
            missed: format!("{} of {}", whole(found.missed), whole(named.value.n - found.n)),
        })
    };
    all.iter().filter_map(row).collect()
}

fn interval(Interval { low, high }: Interval) -> String {
    format!("{} – {}", number(100.0 * low, 1), percent(high))
}
