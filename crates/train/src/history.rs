//! What happened in each epoch of a training.
//!
//! Holds no seconds, so that equal trainings have equal histories.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use peregrine_pipeline::{Artifact, Count, Table};
use serde::{Deserialize, Serialize};

const ROWS: &str = "history.jsonl";
const SUMMARY: &str = "summary.json";

/// What happened in each epoch, and which was the best.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// What holds for the training as a whole.
    pub summary: Summary,
    /// One row an epoch.
    pub epochs: Vec<EpochRow>,
}

/// What holds for a training as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// The model's name in pipeline files: `resnet`.
    pub model: String,
    /// How many trainable numbers it has.
    pub parameters: u64,
    /// How many images it was trained on.
    pub train_images: u64,
    /// How many images it was validated on.
    pub val_images: u64,
    /// How many steps an epoch has.
    pub steps_per_epoch: u64,
    /// How many epochs were asked for.
    pub epochs_planned: u64,
    /// The metric by which epochs were compared: `val_top1`.
    pub metric: String,
    /// The epoch with the best metric, from 1.
    pub best_epoch: u64,
    /// Its metric.
    pub best_value: f64,
    /// The epoch whose weights the checkpoint holds.
    pub checkpoint_epoch: u64,
    /// Whether early stopping ended the training before the last planned epoch.
    pub stopped_early: bool,
}

/// What happened in one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochRow {
    /// The epoch, from 1.
    pub epoch: u64,
    /// How many steps were made since the start.
    pub step: u64,
    /// The learning rate of the epoch's last step.
    pub lr: f64,
    /// The mean training loss, as minimised: on augmented images, with smoothing and weights.
    pub train_loss: f64,
    /// The share of augmented training images whose class was found while training; of mixed
    /// images, the class with the larger share counts.
    pub train_top1: f64,
    /// The mean loss on the validation images, without smoothing or weights.
    pub val_loss: f64,
    /// The share of validation images whose class is found.
    pub val_top1: f64,
    /// The mean F1 of the classes on the validation images.
    pub val_macro_f1: f64,
    /// Whether it was the best epoch so far.
    pub best: bool,
    /// The learning rates of the blocks at the epoch's last step, where they differ; see
    /// [`Transfer`](crate::transfer::Transfer).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupRate>,
}

/// The learning rate of a run of blocks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupRate {
    /// The first block, nearest to the images.
    pub first: String,
    /// The last block.
    pub last: String,
    /// Their learning rate; 0 where they don't train.
    pub lr: f64,
}

impl GroupRate {
    /// `layer1.0 to layer2.1 frozen`, `head 1.0e-3`.
    pub fn text(&self) -> String {
        let Self { first, last, lr } = self;
        let blocks = if first == last { first.clone() } else { format!("{first} to {last}") };
        if *lr == 0.0 { format!("{blocks} frozen") } else { format!("{blocks} {lr:.2e}") }
    }
}

impl Artifact for History {
    const TYPE: &'static str = "history";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        let path = dir.join(ROWS);
        std::fs::write(&path, rows_to_jsonl(&self.epochs)?)
            .with_context(|| format!("writing `{}`", path.display()))?;
        let path = dir.join(SUMMARY);
        std::fs::write(&path, serde_json::to_vec_pretty(&self.summary)?)
            .with_context(|| format!("writing `{}`", path.display()))
    }

    fn load(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(ROWS);
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading `{}`", path.display()))?;
        let epochs = rows_from_jsonl(&text).with_context(|| format!("reading `{}`", path.display()))?;
        let path = dir.join(SUMMARY);
        let bytes = std::fs::read(&path).with_context(|| format!("reading `{}`", path.display()))?;
        let summary =
            serde_json::from_slice(&bytes).with_context(|| format!("reading `{}`", path.display()))?;
        Ok(Self { summary, epochs })
    }

    fn text(&self) -> String {
        let s = &self.summary;
        let mut out = format!(
            "{} with {} parameters, {} training and {} validation images\n\
             best {} {:.4} in epoch {} of {}{}\n\n\
             epoch    step         lr  train loss  train top1  val loss  val top1\n",
            s.model,
            s.parameters,
            s.train_images,
            s.val_images,
            s.metric,
            s.best_value,
            s.best_epoch,
            self.epochs.len(),
            if s.stopped_early { ", stopped early" } else { "" },
        );
        for row in &self.epochs {
            let _ = writeln!(
                out,
                "{:>5}  {:>6}  {:>9.3e}  {:>10.4}  {:>10.4}  {:>8.4}  {:>8.4}{}",
                row.epoch,
                row.step,
                row.lr,
                row.train_loss,
                row.train_top1,
                row.val_loss,
                row.val_top1,
                if row.epoch == s.best_epoch { "  best" } else { "" },
            );
        }
        out.push_str(&groups_text(&self.epochs));
        out
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::to_value(self)?)
    }

    fn table(&self) -> Option<Table> {
        let columns = [
            "epoch",
            "step",
            "lr",
            "train_loss",
            "train_top1",
            "val_loss",
            "val_top1",
            "val_macro_f1",
            "best",
        ];
        let cells = |row: &EpochRow| {
            vec![
                row.epoch.to_string(),
                row.step.to_string(),
                row.lr.to_string(),
                row.train_loss.to_string(),
                row.train_top1.to_string(),
                row.val_loss.to_string(),
                row.val_top1.to_string(),
                row.val_macro_f1.to_string(),
                row.best.to_string(),
            ]
        };
        Some(Table {
            columns: columns.map(str::to_owned).to_vec(),
            rows: self.epochs.iter().map(cells).collect(),
        })
    }

    fn count(&self) -> Option<Count> {
        Some(Count::new(self.epochs.len(), "epochs"))
    }
}

/// The learning rates of the blocks, a line for each epoch in which what trains changed.
fn groups_text(epochs: &[EpochRow]) -> String {
    let mut out = String::new();
    let mut before: Vec<(&str, bool)> = Vec::new();
    for row in epochs {
        let now: Vec<_> = row.groups.iter().map(|group| (group.last.as_str(), group.lr == 0.0)).collect();
        if now != before && !now.is_empty() {
            let groups: Vec<String> = row.groups.iter().map(GroupRate::text).collect();
            let _ = writeln!(out, "\nlearning rates in epoch {}: {}", row.epoch, groups.join(", "));
        }
        before = now;
    }
    out
}

/// One JSON object a line.
fn rows_to_jsonl(rows: &[EpochRow]) -> serde_json::Result<String> {
    let mut out = String::new();
    for row in rows {
        out.push_str(&serde_json::to_string(row)?);
        out.push('\n');
    }
    Ok(out)
}

fn rows_from_jsonl(text: &str) -> serde_json::Result<Vec<EpochRow>> {
    text.lines().map(serde_json::from_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_loads_as_saved_with_one_line_an_epoch() {
        let row = |epoch: u64| EpochRow {
            epoch,
            step: 7 * epoch,
            lr: 0.1 / 3.0,
            train_loss: 1.0 / epoch as f64,
            train_top1: 0.1 * epoch as f64,
            val_loss: 0.7,
            val_top1: 0.3,
            val_macro_f1: 0.2,
            best: epoch == 1,
            groups: Vec::new(),
        };
        let history = History {
            summary: Summary {
                model: "lenet5".into(),
                parameters: 61_706,
                train_images: 100,
                val_images: 20,
                steps_per_epoch: 7,
                epochs_planned: 9,
                metric: "val_top1".into(),
                best_epoch: 1,
                best_value: 0.3,
                checkpoint_epoch: 1,
                stopped_early: true,
            },
            epochs: vec![row(1), row(2), row(3)],
        };
        let dir = tempfile::tempdir().unwrap();
        history.save(dir.path()).unwrap();
        assert_eq!(History::load(dir.path()).unwrap(), history);
        let text = std::fs::read_to_string(dir.path().join(ROWS)).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(history.text().contains("stopped early"));
        let table = history.table().unwrap();
        assert!(table.rows.iter().all(|row| row.len() == table.columns.len()));
    }
}
