//! How much each class counts in the loss.

use std::path::Path;

use anyhow::ensure;
use peregrine_pipeline::{Artifact, Count, Table};
use serde::{Deserialize, Serialize};

use crate::manifest::{read_json, write_json};

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
