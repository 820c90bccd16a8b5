//! What networks that did not see an image think of it: one probability a class, for every image of
//! a cross-validation.
//!
//! Made by the stage `out_of_fold` and read by `clean`. Does not predict, and does not say whose
//! label is wrong (see `clean/labels.rs`).

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use peregrine_pipeline::{Artifact, Count, Table};
use polars::prelude::{Column, NamedFrom as _, Series};
use serde::{Deserialize, Serialize};

use crate::distributions::{Distributions, argmax};
use crate::manifest::{read_json, write_json};
use crate::table;

/// One distribution over the classes for each image, by networks that were not fitted on it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OutOfFold {
    /// The class names; a label is an index into them.
    pub classes: Vec<String>,
    /// How many predictions of each image were averaged.
    pub repeats: u32,
    /// The images' ids, sorted.
    pub ids: Vec<String>,
    /// The class of each image as given.
    pub labels: Vec<u32>,
    /// `ids.len() × classes.len()` probabilities, row by row.
    pub probabilities: Vec<f32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    classes: Vec<String>,
    repeats: u32,
}

const HEAD: &str = "out_of_fold.json";
const ROWS: &str = "probabilities.parquet";

impl OutOfFold {
    /// The number of images.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The probabilities of image `i`, one a class.
    pub fn row(&self, i: usize) -> &[f32] {
        self.distributions().row(i)
    }

    fn distributions(&self) -> Distributions<'_> {
        Distributions { classes: self.classes.len(), values: &self.probabilities }
    }

    /// The most probable class of image `i`; the lowest index among equals.
    pub fn predicted(&self, i: usize) -> usize {
        argmax(self.row(i))
    }

    /// Checks lengths, labels, ids and distributions.
    ///
    /// # Errors
    /// Naming the first thing that is not as it must be.
    pub fn check(&self) -> anyhow::Result<()> {
        let (n, k) = (self.ids.len(), self.classes.len());
        ensure!(k > 0, "out-of-fold predictions have no classes");
        ensure!(
            self.labels.len() == n && self.probabilities.len() == n * k,
            "out-of-fold predictions of `{n}` images and `{k}` classes hold `{}` labels and `{}` probabilities (run \
             the stage that made them again)",
            self.labels.len(),
            self.probabilities.len()
        );
        let mut seen = HashSet::new();
        for (i, id) in self.ids.iter().enumerate() {
            ensure!(seen.insert(id), "image `{id}` is there twice");
            ensure!(
                (self.labels[i] as usize) < k,
                "image `{id}` has label `{}` but there are `{k}` classes",
                self.labels[i]
            );
        }
        match self.distributions().fault() {
            None => Ok(()),
            Some((i, sum)) => bail!(
                "the probabilities of image `{}` sum to `{sum}` or one is negative or not a number",
                self.ids[i]
            ),
        }
    }
}

/// The name of the column of class number `class`: class names may repeat other columns'.
fn column(class: usize) -> String {
    format!("p{class}")
}

impl Artifact for OutOfFold {
    const TYPE: &'static str = "out_of_fold";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        self.check()?;
        let (n, k) = (self.ids.len(), self.classes.len());
        write_json(&dir.join(HEAD), &Head { classes: self.classes.clone(), repeats: self.repeats })?;
        let ids: Vec<&str> = self.ids.iter().map(String::as_str).collect();
        let mut columns: Vec<Column> = vec![
            Series::new("id".into(), ids).into(),
            Series::new("label".into(), self.labels.clone()).into(),
        ];
        for class in 0..k {
            let values: Vec<f32> = (0..n).map(|i| self.probabilities[i * k + class]).collect();
            columns.push(Series::new(column(class).into(), values).into());
        }
        table::write(&dir.join(ROWS), n, columns)
    }

    fn load(dir: &Path) -> anyhow::Result<Self> {
        let Head { classes, repeats } = read_json(&dir.join(HEAD))?;
        let frame = table::read(&dir.join(ROWS))?;
        let ids = table::texts(&frame, "id")?;
        let labels = table::u32s(&frame, "label")?;
        let columns: Vec<Vec<f32>> =
            (0..classes.len()).map(|class| table::f32s(&frame, &column(class))).collect::<Result<_, _>>()?;
        let rows = 0..ids.len();
        let cells = rows.flat_map(|i| columns.iter().map(move |column| column.get(i).copied()));
        let probabilities = cells.collect::<Option<_>>().context("columns of different lengths")?;
        let loaded = Self { classes, repeats, ids, labels, probabilities };
        loaded.check()?;
        Ok(loaded)
    }

    fn text(&self) -> String {
        let hits = (0..self.len()).filter(|&i| self.predicted(i) == self.labels[i] as usize).count();
        let share = 100.0 * hits as f64 / self.len().max(1) as f64;
        let mut out = format!(
            "out-of-fold predictions of {} images over {} classes, {} an image; {hits} ({share:.1} %) as labelled\n",
            self.len(),
            self.classes.len(),
            self.repeats
        );
        let width = self.ids.iter().take(10).map(|id| id.chars().count()).max().unwrap_or(0);
        for i in 0..self.len().min(10) {
            let (given, predicted) = (self.labels[i] as usize, self.predicted(i));
            let _ = writeln!(
                out,
                "{} {:width$}  {}: {} with {:.3}",
                if predicted == given { ' ' } else { '*' },
                self.ids[i],
                self.classes[given],
                self.classes[predicted],
                self.row(i)[predicted]
            );
        }
        if self.len() > 10 {
            let _ = writeln!(out, "  and {} more (all of them with --csv)", self.len() - 10);
        }
        out
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        let row = |i: usize| {
            serde_json::json!({
                "id": self.ids[i],
                "label": self.classes[self.labels[i] as usize],
                "predicted": self.classes[self.predicted(i)],
                "probabilities": self.row(i),
            })
        };
        Ok(serde_json::json!({
            "n": self.len(),
            "classes": self.classes,
            "repeats": self.repeats,
            "images": (0..self.len()).map(row).collect::<Vec<_>>(),
        }))
    }

    fn table(&self) -> Option<Table> {
        let row = |i: usize| {
            let names = [self.ids[i].clone(), self.classes[self.labels[i] as usize].clone()];
            names.into_iter().chain(self.row(i).iter().map(ToString::to_string)).collect()
        };
        let columns = ["id".to_owned(), "label".to_owned()];
        Some(Table {
            columns: columns.into_iter().chain(self.classes.iter().cloned()).collect(),
            rows: (0..self.len()).map(row).collect(),
        })
    }

    fn count(&self) -> Option<Count> {
        Some(Count::new(self.len(), "images"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> OutOfFold {
        OutOfFold {
            classes: vec!["cat".into(), "id".into()],
            repeats: 2,
            ids: vec!["a, b.png".into(), "c\n.png".into()],
            labels: vec![0, 1],
            probabilities: vec![0.75, 0.25, 1.0 - f32::EPSILON, f32::EPSILON],
        }
    }

    #[test]
    fn saved_predictions_load_bit_for_bit() {
        let dir = tempfile::tempdir().unwrap();
        two().save(dir.path()).unwrap();
        assert_eq!(OutOfFold::load(dir.path()).unwrap(), two());
    }

    #[test]
    fn what_is_no_distribution_is_refused_with_its_image() {
        let mut wrong = two();
        wrong.probabilities[2] = 0.5;
        let error = wrong.check().unwrap_err().to_string();
        assert!(error.contains("`c\n.png`"), "{error}");
        wrong = two();
        wrong.ids[1] = wrong.ids[0].clone();
        assert!(wrong.check().is_err());
        wrong = two();
        wrong.labels[1] = 2;
        assert!(wrong.check().is_err());
    }
}
