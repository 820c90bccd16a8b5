//! The training curves of all networks on common axes.

use peregrine_train::{EpochRow, History};
use serde::Serialize;

use crate::contenders::{Contender, labels};
use crate::material::Material;
use crate::sources::{Link, Sources};
use crate::svg::COLORS;
use crate::svg::line::{LineChart, Series};
use crate::text::{number, percent, whole};

/// One network.
#[derive(Debug, Clone, Serialize)]
pub struct NetworkView {
    /// What it is called.
    pub label: String,
    /// Which colour it has.
    pub color: usize,
    /// Where its curves come from.
    pub link: Link,
    /// The model's name in pipeline files.
    pub model: String,
    /// How many trainable numbers it has.
    pub parameters: String,
    /// How many images it was trained on.
    pub train_images: String,
    /// How many epochs it took, of how many.
    pub epochs: String,
    /// The epoch whose weights were kept.
    pub kept: String,
    /// Top-1 on the augmented training images in that epoch.
    pub train_top1: String,
    /// Top-1 on `val` in that epoch.
    pub val_top1: String,
    /// The loss on `val` in that epoch.
    pub val_loss: String,
}

/// The section.
#[derive(Debug, Clone, Serialize)]
pub struct TrainingView {
    /// The networks.
    pub networks: Vec<NetworkView>,
    /// The pictures: caption and SVG.
    pub charts: Vec<(String, String)>,
}

/// A line of a chart: whether it is dashed, and its number.
type Line = (bool, fn(&EpochRow) -> f64);

/// The section, where a history is connected.
pub fn training(material: &Material, sources: &Sources, all: &[Contender]) -> Option<TrainingView> {
    if material.histories.is_empty() {
        return None;
    }
    let names: Vec<&str> = material.histories.iter().map(|h| h.stage.as_str()).collect();
    let own = labels(&names);
    let look = |i: usize| match all.iter().find(|c| c.history == Some(i)) {
        Some(c) => (c.label.clone(), c.color),
        None => (own[i].clone(), all.len() + i),
    };
    let networks = material.histories.iter().enumerate().map(|(i, history)| {
        let (label, color) = look(i);
        network(label, color, sources.link(&history.stage), &history.value)
    });
    let chart = |caption: &str, y: &str, from_zero: bool, percent: bool, lines: &[Line]| {
        let series = material.histories.iter().enumerate().flat_map(|(i, history)| {
            let (label, color) = look(i);
            lines.iter().map(move |line| series(&label, color, *line, lines.len() > 1, &history.value))
        });
        let (title, x, y, series) = (caption.to_owned(), "epoch".to_owned(), y.to_owned(), series.collect());
        (caption.to_owned(), LineChart { title, x, y, series, from_zero, percent }.render())
    };
    let charts = vec![
        chart("Loss", "loss (nats)", true, false, &[(false, |e| e.val_loss), (true, |e| e.train_loss)]),
        chart(
            "Top-1",
            "named correctly (%)",
            false,
            true,
            &[(false, |e| e.val_top1), (true, |e| e.train_top1)],
        ),
        chart("Learning rate", "learning rate", true, false, &[(false, |e| e.lr)]),
    ];
    Some(TrainingView { networks: networks.collect(), charts })
}

fn series(label: &str, color: usize, (dashed, take): Line, two: bool, history: &History) -> Series {
    let points = history.epochs.iter().map(|e| (e.epoch as f64, take(e))).collect();
    let kept = history.epochs.iter().find(|e| e.epoch == history.summary.checkpoint_epoch);
    let split = match (two, dashed) {
        (false, _) => "",
        (true, true) => ", train",
        (true, false) => ", val",
    };
    Series {
        name: format!("{label}{split}"),
        color,
        dashed,
        points,
        mark: kept.filter(|_| two && !dashed).map(|e| (e.epoch as f64, take(e))),
    }
}

fn network(label: String, color: usize, link: Link, history: &History) -> NetworkView {
    let summary = &history.summary;
    let kept = history.epochs.iter().find(|e| e.epoch == summary.checkpoint_epoch);
    let text = |take: fn(&EpochRow) -> f64, write: fn(f64) -> String| {
        kept.map_or_else(|| "–".to_owned(), |e| write(take(e)))
    };
    let early = if summary.stopped_early { ", stopped early" } else { "" };
    NetworkView {
        label,
        color: color % COLORS,
        link,
        model: summary.model.clone(),
        parameters: whole(summary.parameters),
        train_images: whole(summary.train_images),
        epochs: format!("{} of {}{early}", history.epochs.len(), summary.epochs_planned),
        kept: summary.checkpoint_epoch.to_string(),
        train_top1: text(|e| e.train_top1, percent),
        val_top1: text(|e| e.val_top1, percent),
        val_loss: text(|e| e.val_loss, |v| number(v, 3)),
    }
}
