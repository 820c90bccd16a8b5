//! A trained model with all that is needed to use it: architecture, classes, preprocessing,
//! weights.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use burn::tensor::Device;
use peregrine_pipeline::{Artifact, Count, Seed};
use serde::{Deserialize, Serialize};

use crate::model::{InputShape, ModelConfig, ModelError};
use crate::network::Model;
use crate::safetensors;
use crate::weights::{NamedTensor, WeightsError, load_state_dict};

const FACTS: &str = "checkpoint.json";
const WEIGHTS: &str = "weights.safetensors";

/// How an image becomes the model's input; must be the same in training and use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// 1 for grey, 3 for colour.
    pub channels: usize,
    /// How images were brought to that size, as the pack says.
    pub resize: String,
    /// Subtracted from pixels in 0..1, by channel.
    pub mean: Vec<f64>,
    /// What they are then divided by, by channel.
    pub std: Vec<f64>,
}

/// The measurement that chose a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointMetric {
    /// Its name: `val_loss`.
    pub name: String,
    /// Its value.
    pub value: f64,
}

/// A trained model.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The architecture.
    pub config: ModelConfig,
    /// The shape of one image.
    pub input: InputShape,
    /// The class names, in the order of the logits.
    pub classes: Vec<String>,
    /// How an image becomes the input.
    pub preprocessing: Preprocessing,
    /// Epochs finished.
    pub epoch: u64,
    /// Optimizer steps finished.
    pub step: u64,
    /// What chose it, where something did.
    pub metric: Option<CheckpointMetric>,
    /// Every tensor, running statistics included.
    pub weights: Vec<NamedTensor>,
}

/// A checkpoint that can't be used for what is asked.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Its architecture can't be built.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Its weights are not its architecture's.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// It was trained for other classes.
    #[error(
        "the checkpoint tells {} classes apart ({trained}), the images have {} ({given})",
        trained_count,
        given_count
    )]
    Classes {
        /// How many it was trained for.
        trained_count: usize,
        /// Their names.
        trained: String,
        /// How many the images have.
        given_count: usize,
        /// Their names.
        given: String,
    },
    /// It was trained on images of another shape.
    #[error(
        "the checkpoint takes images of {trained} (channels×height×width), these are {given} (pack them alike)"
    )]
    Shape {
        /// What it was trained on.
        trained: String,
        /// What it was given.
        given: String,
    },
    /// It was trained on images brought to size in another way.
    #[error("the checkpoint takes images resized by `{trained}`, these were by `{given}` (pack them alike)")]
    Resize {
        /// What it was trained on.
        trained: String,
        /// What it was given.
        given: String,
    },
}

impl Checkpoint {
    /// The network with these weights, on `device`.
    ///
    /// # Errors
    /// When the architecture can't be built or the weights are not its own.
    pub fn model(&self, device: &Device) -> Result<Model, CheckpointError> {
        let model = self.config.build(self.input, self.classes.len(), Seed(0), device)?;
        Ok(load_state_dict(model, &self.weights)?)
    }

    /// Checks that images of these classes, this shape and this way of resizing are what the
    /// model was trained for.
    ///
    /// # Errors
    /// When they are not, with both sides.
    pub fn expects(
        &self,
        classes: &[String],
        input: InputShape,
        resize: &str,
    ) -> Result<(), CheckpointError> {
        if self.classes != classes {
            return Err(CheckpointError::Classes {
                trained_count: self.classes.len(),
                trained: self.classes.join(", "),
                given_count: classes.len(),
                given: classes.join(", "),
            });
        }
        self.expects_images(input, resize)
    }

    /// Checks that images of this shape and this way of resizing are what the model was trained
    /// for, whatever their classes.
    ///
    /// # Errors
    /// When they are not, with both sides.
    pub fn expects_images(&self, input: InputShape, resize: &str) -> Result<(), CheckpointError> {
        if self.input != input {
            let name = |s: InputShape| format!("{}×{}×{}", s.channels, s.height, s.width);
            return Err(CheckpointError::Shape { trained: name(self.input), given: name(input) });
        }
        if self.preprocessing.resize != resize {
            let trained = self.preprocessing.resize.clone();
            return Err(CheckpointError::Resize { trained, given: resize.to_owned() });
        }
        Ok(())
    }

    /// The number of trainable values.
    pub fn parameter_count(&self) -> usize {
        self.weights.iter().filter(|tensor| tensor.trainable).map(|tensor| tensor.data.len()).sum()
    }

    fn facts(&self) -> Facts {
        Facts {
            format: 1,
            model: self.config.clone(),
            input: self.input,
            classes: self.classes.clone(),
            preprocessing: self.preprocessing.clone(),
            epoch: self.epoch,
            step: self.step,
            metric: self.metric.clone(),
        }
    }
}

/// What `checkpoint.json` says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    format: u32,
    model: ModelConfig,
    input: InputShape,
    classes: Vec<String>,
    preprocessing: Preprocessing,
    epoch: u64,
    step: u64,
    metric: Option<CheckpointMetric>,
}

impl Artifact for Checkpoint {
    const TYPE: &'static str = "checkpoint";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        let mut facts = serde_json::to_string_pretty(&self.facts())?;
        facts.push('\n');
        std::fs::write(dir.join(WEIGHTS), safetensors::to_bytes(&self.weights)?)?;
        std::fs::write(dir.join(FACTS), facts)?;
        Ok(())
    }

    fn load(dir: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| std::fs::read(dir.join(name)).with_context(|| format!("reading `{name}`"));
        let facts: Facts =
            serde_json::from_slice(&read(FACTS)?).with_context(|| format!("reading `{FACTS}`"))?;
        anyhow::ensure!(facts.format == 1, "`{FACTS}` has format {} (this build reads 1)", facts.format);
        let weights =
            safetensors::from_bytes(&read(WEIGHTS)?).with_context(|| format!("reading `{WEIGHTS}`"))?;
        Ok(Self {
            config: facts.model,
            input: facts.input,
            classes: facts.classes,
            preprocessing: facts.preprocessing,
            epoch: facts.epoch,
            step: facts.step,
            metric: facts.metric,
            weights,
        })
    }

    fn text(&self) -> String {
        let InputShape { channels, height, width } = self.input;
        let mut out = format!(
            "{}: {} parameters, {} classes, images of {channels}×{height}×{width}, after epoch {} (step {})\n",
            self.config.name(),
            self.parameter_count(),
            self.classes.len(),
            self.epoch,
            self.step,
        );
        if let Some(metric) = &self.metric {
            let _ = writeln!(out, "chosen by {} = {:.4}", metric.name, metric.value);
        }
        if let Ok(summary) = self.config.summary(self.input, self.classes.len()) {
            out.push_str(&summary.text());
        }
        out
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        let mut value = serde_json::to_value(self.facts())?;
        value["parameters"] = self.parameter_count().into();
        Ok(value)
    }

    fn count(&self) -> Option<Count> {
        Some(Count::new(self.parameter_count(), "parameters"))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tensor;

    use super::*;
    use crate::{Mode, ResnetConfig, device, state_dict};

    fn checkpoint() -> Checkpoint {
        let config = ModelConfig::Resnet(ResnetConfig { depth: 8, width: 4, ..Default::default() });
        let input = InputShape { channels: 1, height: 8, width: 8 };
        let device = device::device("auto").unwrap();
        let model = config.build(input, 2, Seed(1), &device).unwrap();
        model.forward(Tensor::ones([4, 1, 8, 8], &device) * 0.5, &Mode::Train { seed: Seed(1) });
        Checkpoint {
            config,
            input,
            classes: vec!["cat".into(), "dog".into()],
            preprocessing: Preprocessing {
                height: 8,
                width: 8,
                channels: 1,
                resize: "squash/bilinear".into(),
                mean: vec![0.1],
                std: vec![0.3],
            },
            epoch: 3,
            step: 120,
            metric: Some(CheckpointMetric { name: "val_loss".into(), value: 0.1 + 0.2 }),
            weights: state_dict(&model),
        }
    }

    fn saved(checkpoint: &Checkpoint) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        checkpoint.save(dir.path()).unwrap();
        dir
    }

    #[test]
    fn a_checkpoint_comes_back_as_it_was_and_equal_ones_are_equal_bytes() {
        let checkpoint = checkpoint();
        let (one, two) = (saved(&checkpoint), saved(&checkpoint));
        for file in [FACTS, WEIGHTS] {
            let read = |dir: &tempfile::TempDir| std::fs::read(dir.path().join(file)).unwrap();
            assert_eq!(read(&one), read(&two));
        }
        let mut back = Checkpoint::load(one.path()).unwrap();
        let device = device::device("auto").unwrap();
        let x = Tensor::<4>::ones([1, 1, 8, 8], &device);
        let logits = |c: &Checkpoint| c.model(&device).unwrap().forward(x.clone(), &Mode::Eval).into_data();
        logits(&back).assert_eq(&logits(&checkpoint), true);
        let place = |name: &str| checkpoint.weights.iter().position(|tensor| tensor.name == name);
        back.weights.sort_by_key(|tensor| place(&tensor.name));
        assert_eq!(back, checkpoint);
    }

    #[test]
    fn other_classes_shapes_and_resizes_are_refused_with_both_sides() {
        let checkpoint = checkpoint();
        let classes = checkpoint.classes.clone();
        let check = |classes: &[String], input, resize: &str| {
            checkpoint.expects(classes, input, resize).map_err(|error| error.to_string())
        };
        assert_eq!(check(&classes, checkpoint.input, "squash/bilinear"), Ok(()));
        let error = check(&classes[..1], checkpoint.input, "squash/bilinear").unwrap_err();
        assert!(error.contains("2 classes") && error.contains("have 1 (cat)"), "{error}");
        let swapped = ["dog".to_owned(), "cat".to_owned()];
        assert!(check(&swapped, checkpoint.input, "squash/bilinear").is_err());
        let error =
            check(&classes, InputShape { width: 9, ..checkpoint.input }, "squash/bilinear").unwrap_err();
        assert!(error.contains("1×8×8") && error.contains("1×8×9"), "{error}");
        let error = check(&classes, checkpoint.input, "crop").unwrap_err();
        assert!(error.contains("squash/bilinear") && error.contains("crop"), "{error}");
    }

    #[test]
    fn weights_of_another_model_are_refused_naming_every_difference() {
        let mut checkpoint = checkpoint();
        checkpoint.classes.push("bird".into());
        checkpoint.weights[0].name = "conv0.weight".into();
        let error = checkpoint.model(&device::device("auto").unwrap()).unwrap_err().to_string();
        for part in [
            "`conv1.weight` is missing",
            "`conv0.weight` is unexpected",
            "`fc.weight` has shape [2, 16], the model's is [3, 16]",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn damaged_files_are_errors_that_name_the_file() {
        for file in [FACTS, WEIGHTS] {
            let dir = saved(&checkpoint());
            std::fs::write(dir.path().join(file), b"{}").unwrap();
            let error = format!("{:#}", Checkpoint::load(dir.path()).unwrap_err());
            assert!(error.contains(file), "{error}");
            std::fs::remove_file(dir.path().join(file)).unwrap();
            let error = format!("{:#}", Checkpoint::load(dir.path()).unwrap_err());
            assert!(error.contains(file), "{error}");
        }
    }
}
