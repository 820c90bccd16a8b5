//! What an ensemble is made of, as an artifact: members, weights, diversity, scores on `val`.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use peregrine_pipeline::{Artifact, Count, Table};
use serde::{Deserialize, Serialize};

/// The members of an ensemble and what each counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnsembleWeights {
    /// The method's name: `weighted_mean`.
    pub method: String,
    /// The stages whose predictions were combined, in order.
    pub members: Vec<String>,
    /// The members' weights, summing to 1.
    pub weights: Vec<f64>,
    /// The split on which disagreement was measured: `val` where connected.
    pub disagreement_on: String,
    /// The share of images on which two members name different classes: [m][m].
    pub disagreement: Vec<Vec<f64>>,
    /// The mean of `disagreement` over pairs.
    pub mean_disagreement: f64,
    /// The scores on `val`; absent when `val` isn't connected.
    pub val: Option<ValScores>,
}

/// How members and ensemble do on `val`. The weights are fitted there, so the ensemble's own
/// figures are optimistic; the honest ones are measured on `test` by `evaluate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValScores {
    /// How many images.
    pub images: u64,
    /// Each member's log loss, in nats.
    pub member_log_loss: Vec<f64>,
    /// Each member's share of images named correctly.
    pub member_top1: Vec<f64>,
    /// The log loss with equal weights: before fitting.
    pub log_loss_before: f64,
    /// The log loss as combined: after fitting.
    pub log_loss_after: f64,
    /// The share of images named correctly with equal weights.
    pub top1_before: f64,
    /// The share of images named correctly as combined.
    pub top1_after: f64,
    /// Steps that the fit took; absent for methods that fit nothing.
    pub iterations: Option<u32>,
    /// How far `log_loss_after` is above the lowest possible, at most.
    pub gap: Option<f64>,
}

const FILE: &str = "weights.json";

impl Artifact for EnsembleWeights {
    const TYPE: &'static str = "ensemble_weights";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        let path = dir.join(FILE);
        std::fs::write(&path, serde_json::to_string_pretty(self)?)
            .with_context(|| format!("writing `{}`", path.display()))
    }

    fn load(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(FILE);
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading `{}`", path.display()))?;
        Ok(serde_json::from_str(&text)?)
    }

    fn text(&self) -> String {
        let mut out = format!("{} of {} members\n", self.method, self.members.len());
        let width = self.members.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(8);
        let _ = write!(out, "{:width$}  weight", "member");
        if self.val.is_some() {
            out.push_str("  val top1  val log loss");
        }
        for (j, member) in self.members.iter().enumerate() {
            let _ = write!(out, "\n{member:width$}  {:6.4}", self.weights[j]);
            if let Some(val) = &self.val {
                let _ = write!(out, "  {:8.4}  {:12.4}", val.member_top1[j], val.member_log_loss[j]);
            }
        }
        if let Some(val) = &self.val {
            let _ = write!(
                out,
                "\n{:width$}          {:8.4}  {:12.4}",
                "equal", val.top1_before, val.log_loss_before
            );
            let _ = write!(
                out,
                "\n{:width$}          {:8.4}  {:12.4}",
                "ensemble", val.top1_after, val.log_loss_after
            );
        }
        let _ = write!(
            out,
            "\nmean disagreement {:.1} % of {} images named differently by two members\n",
            100.0 * self.mean_disagreement,
            self.disagreement_on
        );
        out
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::to_value(self)?)
    }

    fn table(&self) -> Option<Table> {
        let columns = ["member", "weight", "val_top1", "val_log_loss"].map(str::to_owned).to_vec();
        let score = |pick: fn(&ValScores) -> &Vec<f64>, j: usize| {
            self.val.as_ref().map_or_else(String::new, |val| pick(val)[j].to_string())
        };
        let rows = self.members.iter().enumerate().map(|(j, member)| {
            vec![
                member.clone(),
                self.weights[j].to_string(),
                score(|val| &val.member_top1, j),
                score(|val| &val.member_log_loss, j),
            ]
        });
        Some(Table { columns, rows: rows.collect() })
    }

    fn count(&self) -> Option<Count> {
        Some(Count::new(self.members.len(), "members"))
    }
}
