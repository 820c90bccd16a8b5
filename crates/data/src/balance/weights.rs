//! How much each class counts in the loss.

use std::path::Path;

use anyhow::ensure;
use peregrine_pipeline::{Artifact, Count, Table};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::{Manifest, read_json, write_json};

/// How class weights follow from the numbers of images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Weighting {
    /// One over the class's share of the images: a share of 0.1 gives 10, a share of 0.9 gives
    /// 1.11.
    InverseFrequency {},
    /// One over the effective number of images, `(1 - beta^n) / (1 - beta)` (Cui et al. 2019),
    /// scaled so that the weights sum to the number of classes.
    EffectiveNumber {
        /// How much of a new image overlaps with the ones before it, at least 0 and below 1: 0
        /// weighs all classes alike, near 1 is the inverse frequency.
        #[serde(default = "beta")]
        #[schemars(range(min = 0.0, max = 0.999_999_9))]
        beta: f64,
    },
    /// All classes count 1.
    None {},
}

fn beta() -> f64 {
    0.999
}

/// The weights of the classes of `manifest`; the largest is at most `max_ratio` times the smallest.
pub fn class_weights(manifest: &Manifest, weighting: Weighting, max_ratio: f64) -> ClassWeights {
    let counts = manifest.class_counts();
    let total = manifest.images.len() as f64;
    let raw = |count: usize| match weighting {
        _ if count == 0 => 0.0,
        Weighting::InverseFrequency {} => total / count as f64,
        Weighting::EffectiveNumber { beta } => (1.0 - beta) / (1.0 - beta.powf(count as f64)),
        Weighting::None {} => 1.0,
    };
    let mut weights: Vec<f64> = counts.iter().map(|&count| raw(count)).collect();
    if let Weighting::EffectiveNumber { .. } = weighting {
        let classes = counts.iter().filter(|&&count| count > 0).count() as f64;
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight *= classes / sum.max(f64::MIN_POSITIVE));
    }
    let smallest = weights.iter().copied().filter(|&weight| weight > 0.0).fold(f64::INFINITY, f64::min);
    weights.iter_mut().for_each(|weight| *weight = weight.min(smallest * max_ratio));
    ClassWeights { classes: manifest.classes.clone(), weights }
}

/// How much each class counts in the loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassWeights {
    /// The class names.
    pub classes: Vec<String>,
    /// The weight of each class, in the order of `classes`; 0 for a class without images.
    pub weights: Vec<f64>,
}

const FILE: &str = "class_weights.json";

impl Artifact for ClassWeights {
    const TYPE: &'static str = "class_weights";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        write_json(&dir.join(FILE), self)
    }

    fn load(dir: &Path) -> anyhow::Result<Self> {
        let weights: Self = read_json(&dir.join(FILE))?;
        ensure!(weights.classes.len() == weights.weights.len(), "as many weights as classes are needed");
        Ok(weights)
    }

    fn text(&self) -> String {
        let width = self.classes.iter().map(|class| class.chars().count()).max().unwrap_or(0);
        let rows = self.classes.iter().zip(&self.weights);
        let rows = rows.map(|(class, weight)| format!("  {class:<width$}  {weight:8.4}\n"));
        format!("class weights of {} classes\n{}", self.classes.len(), rows.collect::<String>())
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::to_value(self)?)
    }

    fn table(&self) -> Option<Table> {
        let rows = self.classes.iter().zip(&self.weights);
        Some(Table {
            columns: ["class", "weight"].map(str::to_owned).to_vec(),
            rows: rows.map(|(class, weight)| vec![class.clone(), weight.to_string()]).collect(),
        })
    }

    fn count(&self) -> Option<Count> {
        Some(Count::new(self.weights.len(), "classes"))
    }
}
