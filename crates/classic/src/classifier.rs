//! A fitted classic classifier: which method, its params, and what it learned.

use std::path::Path;

use anyhow::{Context as _, ensure};
use peregrine_data::Embeddings;
use peregrine_eval::Predictions;
use peregrine_eval::predict::softmax;
use peregrine_pipeline::{Artifact, Count};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::{self, Machine};
use crate::knn::{Neighbours, Votes};
use crate::lbfgs::Stop;
use crate::linear::{self, Planes, Rows};
use crate::scaling::{Scaler, Scaling};

const HEADER: &str = "classifier.json";
const NUMBERS: &str = "numbers.f64";
const ROWS: &str = "rows.f32";

/// Which classifier, and its params.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Method {
    /// Multinomial logistic regression with L2 (scikit-learn's `LogisticRegression`).
    LogisticRegression(Linear),
    /// A linear support vector machine with squared hinge, one class against the rest
    /// (scikit-learn's `LinearSVC`). Its probabilities are the softmax of its scores: in the
    /// right order, but not calibrated.
    LinearSvm(Linear),
    /// A support vector machine with a Gaussian kernel, one class against the rest (LIBSVM's, as
    /// scikit-learn's `SVC`), for at most 12,000 images. Its probabilities are the softmax of its
    /// scores: in the right order, but not calibrated.
    Svm(Kernel),
    /// The classes of the nearest training images.
    Knn(Nearest),
}

/// Params of linear classifiers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Linear {
    /// How much the training images weigh against small coefficients, above 0.
    #[schemars(range(min = 1e-9, max = 1e9))]
    pub c: f64,
    /// Steps at most.
    #[schemars(range(min = 1, max = 100_000))]
    pub steps: usize,
}

impl Default for Linear {
    fn default() -> Self {
        Self { c: 1.0, steps: 1000 }
    }
}

/// Params of the support vector machine with a Gaussian kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Kernel {
    /// How much the training images weigh against a wide margin, above 0.
    #[schemars(range(min = 1e-9, max = 1e9))]
    pub c: f64,
    /// γ of exp(−γ·‖a − b‖²), above 0. Absent: 1 / (numbers × their variance), scikit-learn's
    /// `scale`.
    #[schemars(range(min = 1e-12, max = 1e12))]
    pub gamma: Option<f64>,
    /// How far from its best the solution may be, above 0.
    #[schemars(range(min = 1e-9, max = 1.0))]
    pub tolerance: f64,
}

impl Default for Kernel {
    fn default() -> Self {
        Self { c: 1.0, gamma: None, tolerance: 1e-3 }
    }
}

/// Params of nearest neighbours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Nearest {
    /// How many neighbours vote, 1 or more.
    #[schemars(range(min = 1, max = 10_000))]
    pub k: usize,
    /// How much each vote counts.
    pub votes: Votes,
}

impl Default for Nearest {
    fn default() -> Self {
        Self { k: 5, votes: Votes::Uniform }
    }
}

impl Default for Method {
    fn default() -> Self {
        Self::LogisticRegression(Linear::default())
    }
}

/// What was learned.
#[derive(Debug, Clone, PartialEq)]
enum Learned {
    Planes(Planes),
    Machine(Machine),
    Neighbours(Neighbours),
}

/// A fitted classifier.
#[derive(Debug, Clone, PartialEq)]
pub struct Classifier {
    classes: Vec<String>,
    maker: String,
    width: usize,
    method: Method,
    scaler: Scaler,
    learned: Learned,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    classes: Vec<String>,
    maker: String,
    width: usize,
    method: Method,
    scaler: Scaler,
    gamma: f64,
    labels: Vec<u32>,
}

impl Classifier {
    /// Fits `method` to `train`, scaled; `tick` is told steps and value and can stop it.
    ///
    /// # Errors
    /// When there is nothing to learn from, too much for the method, or `tick` says so.
    pub fn fit(
        method: &Method,
        scaling: Scaling,
        train: &Embeddings,
        tick: &mut dyn FnMut(usize, f64) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        train.check()?;
        ensure!(!train.is_empty(), "there are no images to learn from (give the split a larger share)");
        let scaler = Scaler::fit(scaling, &train.values, train.width);
        let values = scaler.apply(&train.values);
        let rows = Rows {
            values: &values,
            width: train.width,
            labels: &train.labels,
            weights: &train.weights,
            classes: train.classes.len(),
        };
        let stop = |linear: &Linear| Stop { gradient: 1e-4, steps: linear.steps };
        let learned = match method {
            Method::LogisticRegression(linear) => {
                Learned::Planes(linear::logistic(rows, linear.c, stop(linear), tick)?)
            }
            Method::LinearSvm(linear) => Learned::Planes(linear::svm(rows, linear.c, stop(linear), tick)?),
            Method::Svm(Kernel { c, gamma, tolerance }) => {
                ensure!(
                    train.len() <= kernel::LARGEST,
                    "a support vector machine with a kernel takes `{}` images at most, these are `{}` (choose \
                     `linear_svm`)",
                    kernel::LARGEST,
                    train.len()
                );
                let gamma = gamma.unwrap_or_else(|| kernel::scale(&values, train.width));
                Learned::Machine(kernel::fit(rows, *c, gamma, *tolerance, tick)?)
            }
            Method::Knn(Nearest { k, votes }) => Learned::Neighbours(Neighbours {
                k: (*k).min(train.len()),
                votes: *votes,
                rows: values,
                labels: train.labels.clone(),
            }),
        };
        Ok(Self {
            classes: train.classes.clone(),
            maker: train.maker.clone(),
            width: train.width,
            method: method.clone(),
            scaler,
            learned,
        })
    }

    /// The score of each class on each image, `n × classes`: log-probabilities up to a constant,
    /// distances from the margin, or shares of the votes.
    ///
    /// # Errors
    /// When the embeddings were made otherwise, or are of other classes.
    pub fn scores(&self, embeddings: &Embeddings) -> anyhow::Result<Vec<f64>> {
        ensure!(
            embeddings.maker == self.maker && embeddings.width == self.width,
            "the classifier learned from numbers by `{}`, these are by `{}` (embed both with one checkpoint)",
            self.maker,
            embeddings.maker
        );
        ensure!(
            embeddings.classes == self.classes,
            "the classifier tells `{}` apart, the images are of `{}`",
            self.classes.join(", "),
            embeddings.classes.join(", ")
        );
        let values = self.scaler.apply(&embeddings.values);
        Ok(match &self.learned {
            Learned::Planes(planes) => planes.scores(&values, self.width),
            Learned::Machine(machine) => machine.scores(&values, self.width),
            Learned::Neighbours(near) => near.shares(&values, self.width, self.classes.len()),
        })
    }

    /// The predictions on `embeddings`.
    ///
    /// # Errors
    /// As [`scores`](Classifier::scores).
    pub fn predict(&self, embeddings: &Embeddings) -> anyhow::Result<Predictions> {
        let scores: Vec<f32> = self.scores(embeddings)?.into_iter().map(|x| x as f32).collect();
        let probabilities = match self.learned {
            Learned::Neighbours(_) => scores,
            _ => softmax(&scores, self.classes.len()),
        };
        Ok(Predictions {
            classes: self.classes.clone(),
            split: embeddings.split,
            ids: embeddings.ids.clone(),
            labels: embeddings.labels.clone(),
            probabilities,
        })
    }

    fn name(&self) -> &'static str {
        match self.method {
            Method::LogisticRegression(_) => "logistic regression",
            Method::LinearSvm(_) => "linear support vector machine",
            Method::Svm(_) => "support vector machine with a Gaussian kernel",
            Method::Knn(_) => "nearest neighbours",
        }
    }
}

fn read<const N: usize, T>(dir: &Path, name: &str, number: fn([u8; N]) -> T) -> anyhow::Result<Vec<T>> {
    let bytes = std::fs::read(dir.join(name)).with_context(|| format!("reading `{name}`"))?;
    let (words, rest) = bytes.as_chunks::<N>();
    ensure!(rest.is_empty(), "`{name}` has `{}` bytes, not a multiple of {N}", bytes.len());
    Ok(words.iter().map(|word| number(*word)).collect())
}

impl Artifact for Classifier {
    const TYPE: &'static str = "classifier";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        let none = (0.0, Vec::new());
        let (numbers, rows, (gamma, labels)) = match &self.learned {
            Learned::Planes(planes) => {
                ([planes.weights.as_slice(), &planes.intercepts].concat(), &[][..], none)
            }
            Learned::Machine(machine) => {
                let numbers = [machine.coefficients.as_slice(), &machine.intercepts].concat();
                (numbers, machine.rows.as_slice(), (machine.gamma, Vec::new()))
            }
            Learned::Neighbours(near) => (Vec::new(), near.rows.as_slice(), (0.0, near.labels.clone())),
        };
        let header = Header {
            classes: self.classes.clone(),
            maker: self.maker.clone(),
            width: self.width,
            method: self.method.clone(),
            scaler: self.scaler.clone(),
            gamma,
            labels,
        };
        let numbers = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        let rows = rows.iter().flat_map(|x| x.to_le_bytes()).collect();
        for (name, bytes) in [(HEADER, serde_json::to_vec(&header)?), (NUMBERS, numbers), (ROWS, rows)] {
            std::fs::write(dir.join(name), bytes).with_context(|| format!("writing `{name}`"))?;
        }
        Ok(())
    }

    fn load(dir: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(dir.join(HEADER)).with_context(|| format!("reading `{HEADER}`"))?;
        let header: Header = serde_json::from_slice(&bytes).with_context(|| format!("reading `{HEADER}`"))?;
        let mut numbers = read(dir, NUMBERS, f64::from_le_bytes)?;
        let rows = read(dir, ROWS, f32::from_le_bytes)?;
        let Header { classes, maker, width, method, scaler, gamma, labels } = header;
        let (k, held) = (classes.len(), rows.len() / width.max(1));
        let fits = match &method {
            Method::Knn(_) => held == labels.len() && held > 0 && labels.iter().all(|&l| (l as usize) < k),
            Method::Svm(_) => numbers.len() == k * (held + 1),
            _ => numbers.len() == k * (width + 1),
        };
        ensure!(fits, "the files of the classifier don't fit each other (run the stage that made it again)");
        let learned = match &method {
            Method::Knn(Nearest { k, votes }) => {
                Learned::Neighbours(Neighbours { k: (*k).min(held), votes: *votes, rows, labels })
            }
            Method::Svm(_) => {
                let intercepts = numbers.split_off(k * held);
                Learned::Machine(Machine { gamma, rows, coefficients: numbers, intercepts })
            }
            _ => {
                let intercepts = numbers.split_off(k * width);
                Learned::Planes(Planes { weights: numbers, intercepts })
            }
        };
        Ok(Self { classes, maker, width, method, scaler, learned })
    }

    fn text(&self) -> String {
        let Self { classes, width, maker, .. } = self;
        let held = match &self.learned {
            Learned::Planes(_) => String::new(),
            Learned::Machine(machine) => format!(", {} support vectors", machine.rows.len() / width),
            Learned::Neighbours(near) => format!(", {} training images", near.labels.len()),
        };
        format!("{} on {width} numbers by {maker}, {} classes{held}\n", self.name(), classes.len())
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::json!({
            "method": self.method,
            "classes": self.classes,
            "width": self.width,
            "maker": self.maker,
        }))
    }

    fn count(&self) -> Option<Count> {
        Some(Count::new(self.classes.len(), "classes"))
    }
}
