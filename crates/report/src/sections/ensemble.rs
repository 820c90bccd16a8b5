//! The ensemble against its members.

use serde::Serialize;

use super::headline::{Gain, gain};
use crate::contenders::Contender;
use crate::material::Material;
use crate::sources::{Link, Sources};
use crate::text::{number, percent};

/// One member.
#[derive(Debug, Clone, Serialize)]
pub struct MemberRow {
    /// What it is called.
    pub label: String,
    /// Which colour it has; none where it isn't among the measured models.
    pub color: Option<usize>,
    /// Where its predictions come from.
    pub link: Link,
    /// Its weight as a share.
    pub weight: String,
    /// Its weight for a bar, in percent.
    pub width: String,
    /// Its top-1 on `val`.
    pub val_top1: String,
    /// Its log loss on `val`.
    pub val_log_loss: String,
    /// Its top-1 on the measured split.
    pub top1: String,
    /// The share of images on which it and each member name different classes; `None` on the
    /// diagonal.
    pub disagreement: Vec<Option<String>>,
}

/// One ensemble.
#[derive(Debug, Clone, Serialize)]
pub struct EnsembleView {
    /// Where the weights come from.
    pub link: Link,
    /// The method in words.
    pub method: String,
    /// The members.
    pub members: Vec<MemberRow>,
    /// Top-1 and log loss on `val` with equal weights and as combined.
    pub val: Option<[String; 4]>,
    /// How many `val` images the scores are of.
    pub val_images: u64,
    /// The split on which disagreement was measured.
    pub disagreement_on: String,
    /// The mean disagreement.
    pub mean_disagreement: String,
    /// The ensemble's top-1 on the measured split, and where it comes from.
    pub top1: Option<(String, Link)>,
    /// The ensemble against the best single model.
    pub gain: Option<Gain>,
}

/// A view of each ensemble.
pub fn ensembles(material: &Material, sources: &Sources, all: &[Contender]) -> Vec<EnsembleView> {
    material.weights.iter().enumerate().map(|(at, _)| view(material, sources, all, at)).collect()
}

fn view(material: &Material, sources: &Sources, all: &[Contender], at: usize) -> EnsembleView {
    let named = &material.weights[at];
    let weights = &named.value;
    let names: Vec<&str> = weights.members.iter().map(String::as_str).collect();
    let labels = crate::contenders::labels(&names);
    let contender = |stage: &str| {
        all.iter()
            .find(|c| sources.inputs(&material.metrics[c.metrics].stage).first().is_some_and(|s| s == stage))
    };
    let val = weights.val.as_ref();
    let member = |j: usize| {
        let measured = contender(&weights.members[j]);
        let score = |values: Option<&Vec<f64>>, write: fn(f64) -> String| {
            values.and_then(|values| values.get(j)).map_or_else(|| "–".to_owned(), |value| write(*value))
        };
        let differs = |i: usize| {
            let share = weights.disagreement.get(j).and_then(|row| row.get(i));
            share.filter(|_| i != j).map(|share| percent(*share))
        };
        MemberRow {
            label: measured.map_or_else(|| labels[j].clone(), |c| c.label.clone()),
            color: measured.map(|c| c.color % crate::svg::COLORS),
            link: sources.link(&weights.members[j]),
            weight: number(weights.weights[j], 3),
            width: number(100.0 * weights.weights[j], 1),
            val_top1: score(val.map(|val| &val.member_top1), percent),
            val_log_loss: score(val.map(|val| &val.member_log_loss), |v| number(v, 3)),
            top1: measured
                .map_or_else(|| "–".to_owned(), |c| percent(material.metrics[c.metrics].value.top1)),
            disagreement: (0..weights.members.len()).map(differs).collect(),
        }
    };
    let own = all.iter().find(|c| c.weights == Some(at));
    EnsembleView {
        link: sources.link(&named.stage),
        method: weights.method.replace('_', " "),
        members: (0..weights.members.len()).map(member).collect(),
        val: val.map(|v| {
            [
                percent(v.top1_before),
                number(v.log_loss_before, 3),
                percent(v.top1_after),
                number(v.log_loss_after, 3),
            ]
        }),
        val_images: val.map_or(0, |val| val.images),
        disagreement_on: weights.disagreement_on.clone(),
        mean_disagreement: percent(weights.mean_disagreement),
        top1: own.map(|c| {
            let metrics = &material.metrics[c.metrics];
            (percent(metrics.value.top1), sources.link(&metrics.stage))
        }),
        gain: gain(material, all).filter(|gain| own.is_some_and(|c| c.label == gain.ensemble)),
    }
}
