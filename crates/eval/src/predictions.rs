//! What a network, or several, thinks of a set of images: one probability a class and image.
//!
//! Does not say how good that is; see `metrics.rs`.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use peregrine_data::Split;
use peregrine_data::distributions::{Distributions, argmax};
use peregrine_pipeline::artifact::{Artifact, Count, Table};
use serde::{Deserialize, Serialize};
use serde_json::json;

const HEADER: &str = "predictions.json";
const PROBABILITIES: &str = "probabilities.f32";

/// One distribution over the classes for each image of a set, with the true labels beside them.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// The class names; a label is an index into them.
    pub classes: Vec<String>,
    /// Which part of the data the images are.
    pub split: Split,
    /// The images' ids, in the pack's order.
    pub ids: Vec<String>,
    /// The true class of each image.
    pub labels: Vec<u32>,
    /// `ids.len() × classes.len()` probabilities, row by row.
    pub probabilities: Vec<f32>,
}

/// Why numbers are not predictions.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PredictionsError {
    /// There are no classes.
    #[error("predictions have no classes (predict with a checkpoint that has at least one)")]
    NoClasses,
    /// There are not as many labels or probabilities as images.
    #[error(
        "predictions hold `{found}` {what} where `{expected}` belong (the file is damaged: run \
         the stage that made it again)"
    )]
    Length {
        /// What is counted.
        what: &'static str,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A label names no class.
    #[error("image `{id}` has label `{label}` but there are `{classes}` classes")]
    Label {
        /// The image.
        id: String,
        /// Its label.
        label: u32,
        /// How many classes there are.
        classes: usize,
    },
    /// A row is not a distribution.
    #[error(
        "the probabilities of image `{id}` sum to `{sum}` or one is negative or not a number \
         (look at the training's history for a loss that ran away)"
    )]
    Distribution {
        /// The image.
        id: String,
        /// What they sum to.
        sum: f64,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    classes: Vec<String>,
    split: Split,
    ids: Vec<String>,
    labels: Vec<u32>,
}

impl Predictions {
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

    /// The rows, in the order of the images.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.distributions().rows()
    }

    /// The most probable class of image `i`; the lowest index among equals.
    pub fn predicted(&self, i: usize) -> usize {
        argmax(self.row(i))
    }

    /// Says whether lengths, labels and distributions are as they must be.
    ///
    /// # Errors
    /// With the first thing that is not.
    pub fn check(&self) -> Result<(), PredictionsError> {
        let (n, k) = (self.ids.len(), self.classes.len());
        if k == 0 {
            return Err(PredictionsError::NoClasses);
        }
        let lengths = [("labels", n, self.labels.len()), ("probabilities", n * k, self.probabilities.len())];
        for (what, expected, found) in lengths {
            if expected != found {
                return Err(PredictionsError::Length { what, expected, found });
            }
        }
        for (id, &label) in self.ids.iter().zip(&self.labels) {
            if label as usize >= k {
                return Err(PredictionsError::Label { id: id.clone(), label, classes: k });
            }
        }
        match self.distributions().fault() {
            None => Ok(()),
            Some((i, sum)) => Err(PredictionsError::Distribution { id: self.ids[i].clone(), sum }),
        }
    }
}

impl Artifact for Predictions {
    const TYPE: &'static str = "predictions";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        self.check()?;
        let header = Header {
            classes: self.classes.clone(),
            split: self.split,
            ids: self.ids.clone(),
            labels: self.labels.clone(),
        };
        let path = dir.join(HEADER);
        std::fs::write(&path, serde_json::to_vec(&header)?)
            .with_context(|| format!("writing `{}`", path.display()))?;
        let path = dir.join(PROBABILITIES);
        let bytes: Vec<u8> = self.probabilities.iter().flat_map(|p| p.to_le_bytes()).collect();
        std::fs::write(&path, bytes).with_context(|| format!("writing `{}`", path.display()))
    }

    fn load(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(HEADER);
        let bytes = std::fs::read(&path).with_context(|| format!("reading `{}`", path.display()))?;
        let header: Header =
            serde_json::from_slice(&bytes).with_context(|| format!("reading `{}`", path.display()))?;
        let path = dir.join(PROBABILITIES);
        let bytes = std::fs::read(&path).with_context(|| format!("reading `{}`", path.display()))?;
        let (words, rest) = bytes.as_chunks::<4>();
        anyhow::ensure!(
            rest.is_empty(),
            "`{}` has `{}` bytes, not a multiple of 4 (run the stage that made it again)",
            path.display(),
            bytes.len()
        );
        let predictions = Self {
            classes: header.classes,
            split: header.split,
            ids: header.ids,
            labels: header.labels,
            probabilities: words.iter().map(|word| f32::from_le_bytes(*word)).collect(),
        };
        predictions.check()?;
        Ok(predictions)
    }

    fn text(&self) -> String {
        let hits = (0..self.len()).filter(|&i| self.predicted(i) == self.labels[i] as usize).count();
        let mut out =
            format!("{} predictions over {} classes, {hits} of them right\n", self.len(), self.classes.len());
        let width = self.ids.iter().take(10).map(|id| id.chars().count()).max().unwrap_or(0);
        for i in 0..self.len().min(10) {
            let predicted = self.predicted(i);
            let mark = if predicted == self.labels[i] as usize { ' ' } else { '*' };
            let _ = writeln!(
                out,
                "{mark} {:width$}  {}: {} with {:.3}",
                self.ids[i],
                self.classes[self.labels[i] as usize],
                self.classes[predicted],
                self.row(i)[predicted],
            );
        }
        if self.len() > 10 {
            let _ = writeln!(out, "  and {} more (all of them with --csv)", self.len() - 10);
        }
        out
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        let rows: Vec<_> = (0..self.len())
            .map(|i| {
                json!({
                    "id": self.ids[i],
                    "label": self.classes[self.labels[i] as usize],
                    "predicted": self.classes[self.predicted(i)],
                    "probabilities": self.row(i),
                })
            })
            .collect();
        Ok(json!({
            "n": self.len(),
            "split": self.split,
            "classes": self.classes,
            "predictions": rows,
        }))
    }

    fn table(&self) -> Option<Table> {
        let columns = ["id".to_owned(), "label".to_owned()];
        let rows = (0..self.len()).map(|i| {
            let label = self.classes[self.labels[i] as usize].clone();
            let names = [self.ids[i].clone(), label];
            names.into_iter().chain(self.row(i).iter().map(ToString::to_string)).collect()
        });
        Some(Table {
            columns: columns.into_iter().chain(self.classes.iter().cloned()).collect(),
            rows: rows.collect(),
        })
    }

    fn count(&self) -> Option<Count> {
        Some(Count::new(self.len(), "images"))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Two classes, three images, the middle one a tie.
    pub(crate) fn three() -> Predictions {
        Predictions {
            classes: vec!["cat".into(), "dog, big".into()],
            split: Split::Test,
            ids: vec!["a.png".into(), "b.png".into(), "c.png".into()],
            labels: vec![0, 1, 1],
            probabilities: vec![0.75, 0.25, 0.5, 0.5, 0.1, 0.9],
        }
    }

    #[test]
    fn saved_predictions_load_bit_for_bit() {
        let dir = tempfile::tempdir().unwrap();
        let mut predictions = three();
        predictions.probabilities[4] = f32::MIN_POSITIVE;
        predictions.probabilities[5] = 1.0;
        predictions.save(dir.path()).unwrap();
        assert_eq!(Predictions::load(dir.path()).unwrap(), predictions);
    }

    #[test]
    fn the_table_has_one_column_a_class() {
        let csv = three().table().unwrap().to_csv();
        assert_eq!(
            csv,
            "id,label,cat,\"dog, big\"\na.png,cat,0.75,0.25\nb.png,\"dog, big\",0.5,0.5\n\
             c.png,\"dog, big\",0.1,0.9\n"
        );
    }

    #[test]
    fn a_tie_goes_to_the_lowest_class() {
        assert_eq!(three().predicted(1), 0);
    }

    #[test]
    fn what_is_no_distribution_is_refused_with_its_image() {
        let mut predictions = three();
        predictions.probabilities[3] = 0.6;
        let error = predictions.check().unwrap_err().to_string();
        assert!(error.contains("`b.png`") && error.contains("`1.1"), "{error}");
        predictions.probabilities[3] = f32::NAN;
        assert!(predictions.check().is_err());
        let mut predictions = three();
        predictions.labels[2] = 2;
        assert_eq!(
            predictions.check().unwrap_err().to_string(),
            "image `c.png` has label `2` but there are `2` classes"
        );
        let mut predictions = three();
        predictions.probabilities.pop();
        assert!(predictions.save(tempfile::tempdir().unwrap().path()).is_err());
    }

    #[test]
    fn a_cut_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        three().save(dir.path()).unwrap();
        let path = dir.path().join(PROBABILITIES);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 4]).unwrap();
        assert!(Predictions::load(dir.path()).is_err());
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        assert!(Predictions::load(dir.path()).is_err());
    }
}
