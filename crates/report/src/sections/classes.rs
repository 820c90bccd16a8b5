//! Class by class: confusion matrices, the per-class table, the most confused pairs.

use serde::Serialize;

use crate::contenders::Contender;
use crate::material::Material;
use crate::sources::{Link, Sources};
use crate::svg::heat_map::confusion;
use crate::text::{number, percent, whole};

/// One model's confusions.
#[derive(Debug, Clone, Serialize)]
pub struct ConfusionView {
    /// The model.
    pub label: String,
    /// Where the numbers come from.
    pub link: Link,
    /// Whether it is shown at first.
    pub open: bool,
    /// The picture; none where there are too many classes.
    pub svg: Option<String>,
    /// The most frequent confusions.
    pub pairs: Vec<PairRow>,
}

/// One confusion.
#[derive(Debug, Clone, Serialize)]
pub struct PairRow {
    /// The true class.
    pub label: String,
    /// What it was taken for.
    pub predicted: String,
    /// How often.
    pub count: String,
    /// In which share of the class.
    pub share: String,
    /// That share, for a bar, in percent.
    pub width: String,
}

/// One class.
#[derive(Debug, Clone, Serialize)]
pub struct ClassRow {
    /// The class.
    pub class: String,
    /// How many images it has.
    pub support: String,
    /// Its precision.
    pub precision: String,
    /// Its recall.
    pub recall: String,
    /// Its F1.
    pub f1: String,
    /// Its F1 for a bar, in percent.
    pub width: String,
    /// F1 of every other model, in the order of `others`.
    pub others: Vec<String>,
}

/// The section.
#[derive(Debug, Clone, Serialize)]
pub struct ClassesView {
    /// The model of the table.
    pub label: String,
    /// Where its numbers come from.
    pub link: Link,
    /// The other models and where their numbers come from.
    pub others: Vec<(String, Link)>,
    /// The classes, worst first.
    pub rows: Vec<ClassRow>,
    /// Each model's confusions, the best first.
    pub confusions: Vec<ConfusionView>,
}

/// The most cells that all matrices together may have.
const MOST_CELLS: usize = 9000;

/// The section, for the best model.
pub fn classes(
    material: &Material,
    sources: &Sources,
    all: &[Contender],
    best: Option<&Contender>,
) -> Option<ClassesView> {
    let best = best?;
    let named = &material.metrics[best.metrics];
    let others: Vec<&Contender> = all.iter().filter(|c| c.metrics != best.metrics).collect();
    let mut cells = MOST_CELLS;
    let mut order = vec![best];
    order.extend(&others);
    let confusions =
        order.iter().map(|c| matrix(material, sources, c, c.metrics == best.metrics, &mut cells));
    let mut rows: Vec<(f64, ClassRow)> = named
        .value
        .per_class
        .iter()
        .map(|class| {
            let f1 = |c: &&Contender| {
                let other =
                    material.metrics[c.metrics].value.per_class.iter().find(|o| o.class == class.class);
                other.map_or_else(|| "–".to_owned(), |other| number(other.f1, 3))
            };
            let row = ClassRow {
                class: class.class.clone(),
                support: whole(class.support),
                precision: number(class.precision, 3),
                recall: number(class.recall, 3),
                f1: number(class.f1, 3),
                width: number(100.0 * class.f1, 1),
                others: others.iter().map(f1).collect(),
            };
            (class.f1, row)
        })
        .collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    Some(ClassesView {
        label: best.label.clone(),
        link: sources.link(&named.stage),
        others: others
            .iter()
            .map(|c| (c.label.clone(), sources.link(&material.metrics[c.metrics].stage)))
            .collect(),
        rows: rows.into_iter().map(|(_, row)| row).collect(),
        confusions: confusions.collect(),
    })
}

fn matrix(
    material: &Material,
    sources: &Sources,
    c: &Contender,
    open: bool,
    cells: &mut usize,
) -> ConfusionView {
    let named = &material.metrics[c.metrics];
    let wanted = named.value.classes.len().pow(2);
    let fits = wanted <= *cells;
    if fits {
        *cells -= wanted;
    }
    let title = format!("confusion matrix of {}", c.label);
    ConfusionView {
        label: c.label.clone(),
        link: sources.link(&named.stage),
        open,
        svg: fits.then(|| confusion(&title, &named.value.classes, &named.value.confusion)),
        pairs: named
            .value
            .most_confused
            .iter()
            .filter(|pair| pair.count > 0)
            .map(|pair| PairRow {
                label: pair.label.clone(),
                predicted: pair.predicted.clone(),
                count: whole(pair.count),
                share: percent(pair.share),
                width: number(100.0 * pair.share, 1),
            })
            .collect(),
    }
}
