//! All models side by side.

use serde::Serialize;

use crate::contenders::Contender;
use crate::material::Material;
use crate::sources::{Link, Sources};
use crate::svg::interval::{Estimate, intervals};
use crate::svg::reliability::{Bin, reliability};
use crate::text::{number, percent, whole};

/// One model.
#[derive(Debug, Clone, Serialize)]
pub struct ModelRow {
    /// What it is called.
    pub label: String,
    /// Which colour it has.
    pub color: usize,
    /// Where its numbers come from.
    pub link: Link,
    /// Whether it is the best.
    pub best: bool,
    /// Whether it is an ensemble.
    pub ensemble: bool,
    /// The split's name.
    pub split: String,
    /// How many images.
    pub n: String,
    /// The share named correctly.
    pub top1: String,
    /// Its 95 % interval.
    pub interval: String,
    /// The numbers after top-1: text, and whether it is the best of its column.
    pub cells: Vec<(String, bool)>,
}

/// The section.
#[derive(Debug, Clone, Serialize)]
pub struct ComparisonView {
    /// The columns after top-1.
    pub columns: Vec<&'static str>,
    /// The models, best first.
    pub rows: Vec<ModelRow>,
    /// Top-1 with intervals as a picture.
    pub chart: String,
    /// Whether the models were measured on the same number of images of the same split.
    pub comparable: bool,
    /// Reliability diagrams: label, ECE, picture, and where they come from.
    pub reliability: Vec<(String, String, String, Link)>,
}

/// The columns after top-1, whether more is better, and how they are taken and written.
type Column = (&'static str, bool, fn(&peregrine_eval::Metrics) -> f64, fn(f64) -> String);
const COLUMNS: [Column; 6] = [
    ("top-5", true, |m| m.top5, percent),
    ("macro F1", true, |m| m.macro_f1, |v| number(v, 3)),
    ("balanced", true, |m| m.balanced_accuracy, percent),
    ("MCC", true, |m| m.mcc, |v| number(v, 3)),
    ("log loss", false, |m| m.log_loss, |v| number(v, 3)),
    ("ECE", false, |m| m.ece, |v| number(v, 3)),
];

/// The section; none without metrics.
pub fn comparison(
    material: &Material,
    sources: &Sources,
    all: &[Contender],
    best: Option<&Contender>,
) -> Option<ComparisonView> {
    let first = &material.metrics.first()?.value;
    let metrics = |c: &Contender| &material.metrics[c.metrics].value;
    let comparable = all.iter().all(|c| (metrics(c).split, metrics(c).n) == (first.split, first.n));
    let mut order: Vec<&Contender> = all.iter().collect();
    order.sort_by(|a, b| metrics(b).top1.total_cmp(&metrics(a).top1));
    let tops: Vec<f64> = COLUMNS
        .iter()
        .map(|(_, more, take, _)| {
            let values = all.iter().map(|c| take(metrics(c)));
            if *more {
                values.fold(f64::NEG_INFINITY, f64::max)
            } else {
                values.fold(f64::INFINITY, f64::min)
            }
        })
        .collect();
    let row = |c: &&Contender| {
        let m = metrics(c);
        let cell = |((_, _, take, write), top): (&Column, &f64)| {
            let text = write(take(m));
            let strong = comparable && all.len() > 1 && text == write(*top);
            (text, strong)
        };
        ModelRow {
            label: c.label.clone(),
            color: c.color % crate::svg::COLORS,
            link: sources.link(&material.metrics[c.metrics].stage),
            best: best.is_some_and(|best| best.metrics == c.metrics),
            ensemble: c.ensemble,
            split: m.split.name().to_owned(),
            n: whole(m.n),
            top1: percent(m.top1),
            interval: format!(
                "{} – {}",
                number(100.0 * m.top1_interval.low, 1),
                percent(m.top1_interval.high)
            ),
            cells: COLUMNS.iter().zip(&tops).map(cell).collect(),
        }
    };
    Some(ComparisonView {
        columns: COLUMNS.iter().map(|column| column.0).collect(),
        rows: order.iter().map(row).collect(),
        chart: chart(material, sources, &order, best),
        comparable,
        reliability: order.iter().filter_map(|c| diagram(material, sources, c)).collect(),
    })
}

/// Top-1 of the models in `order`, with 95 % intervals.
pub fn chart(
    material: &Material,
    sources: &Sources,
    order: &[&Contender],
    best: Option<&Contender>,
) -> String {
    let row = |c: &&Contender| {
        let named = &material.metrics[c.metrics];
        Estimate {
            label: c.label.clone(),
            color: c.color,
            value: named.value.top1,
            interval: (named.value.top1_interval.low, named.value.top1_interval.high),
            strong: best.is_some_and(|best| best.metrics == c.metrics),
            anchor: sources.link(&named.stage).anchor,
        }
    };
    intervals("top-1 with 95 % intervals", &order.iter().map(row).collect::<Vec<_>>())
}

fn diagram(material: &Material, sources: &Sources, c: &Contender) -> Option<(String, String, String, Link)> {
    let named = &material.metrics[c.metrics];
    let metrics = &named.value;
    if metrics.reliability.iter().all(|bin| bin.count == 0) {
        return None;
    }
    let bins: Vec<Bin> = metrics
        .reliability
        .iter()
        .map(|bin| Bin {
            confidence: bin.confidence,
            accuracy: bin.accuracy,
            count: bin.count,
            bounds: (bin.low, bin.high),
        })
        .collect();
    let picture = reliability(&format!("how sure {} is and how often right", c.label), c.color, &bins);
    Some((c.label.clone(), number(metrics.ece, 3), picture, sources.link(&named.stage)))
}
