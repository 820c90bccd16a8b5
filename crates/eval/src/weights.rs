//! The kind `weights`: a file of weights, from other libraries or from Peregrine, as a checkpoint
//! of a model for given images and classes.
//!
//! What the file's formats are and whose names are known is said in `peregrine_models::weights`.
//! Nothing is trained and nothing that a file holds is ever executed.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use peregrine_data::{ImageSet, ImageSetMeta};
use peregrine_models::weights::adopt::{self, adopt};
use peregrine_models::weights::file::{self, WeightsFile};
use peregrine_models::{
    Adopt, Checkpoint, InputShape, ModelConfig, Names, Preprocessing, Rename, WeightsReport,
};
use peregrine_pipeline::{OptionalInput, Output, ParamProblem, Port, Seed, Stage, StageContext, Uses};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Takes the weights of a model from a file: of torch (`.pth`, `.pt`, pickles), safetensors, ONNX
/// or a checkpoint folder. A head for other classes is drawn anew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Weights {
    /// The file, or the folder of a checkpoint. Its content says what it is, not its name.
    pub path: String,
    /// The network that the weights belong to.
    pub model: ModelConfig,
    /// Whose names the file uses for its tensors.
    pub names: Names,
    /// Changes of the file's names, before all else.
    pub rename: Vec<Rename>,
    /// Whether any tensor missing, unexpected or of another shape is refused; a new last layer is
    /// not.
    pub strict: bool,
    /// The least share of the values before the last layer that must come from the file, from 0
    /// to 1; below it the file is another architecture's.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub least: f64,
    /// Whether the last layer is drawn anew even when the file has one for as many classes.
    pub new_head: bool,
    /// The class names, in the order of the last layer. Empty: those of `images`, else those of
    /// the checkpoint, else numbers.
    pub classes: Vec<String>,
    /// `[channels, height, width]` of an image, where `images` is not connected; each 1 or more.
    pub input: [usize; 3],
    /// How images are brought to that size, where `images` is not connected, as a pack says it.
    pub resize: String,
    /// Subtracted from pixels in 0..1: one number, or one a channel. Absent: the checkpoint's,
    /// else ImageNet's.
    pub mean: Option<Vec<f64>>,
    /// What they are then divided by, above 0: one number, or one a channel. Absent: the
    /// checkpoint's, else ImageNet's.
    pub std: Option<Vec<f64>>,
}

impl Default for Weights {
    fn default() -> Self {
        let adopt = Adopt::default();
        Self {
            path: String::new(),
            model: ModelConfig::default(),
            names: adopt.names,
            rename: adopt.rename,
            strict: adopt.strict,
            least: adopt.least,
            new_head: adopt.new_head,
            classes: Vec::new(),
            input: [3, 224, 224],
            resize: "squash/bilinear".to_owned(),
            mean: None,
            std: None,
        }
    }
}

/// Of torchvision and timm alike.
const IMAGENET: [[f64; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];

const IMAGES: OptionalInput<ImageSet> = OptionalInput::new(
    "images",
    "the packed images that the network is for: their classes, size and channels",
);
const CHECKPOINT: Output<Checkpoint> = Output::new("checkpoint", "the network with the file's weights");
const REPORT: Output<WeightsReport> =
    Output::new("report", "which tensors were loaded, reshaped, missing and unexpected");

impl Stage for Weights {
    const KIND: &'static str = "weights";
    /// 1: first version.
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[IMAGES.port()];
    const OUTPUTS: &'static [Port] = &[CHECKPOINT.port(), REPORT.port()];
    const USES: Uses = Uses::NOTHING.seed();

    fn check(&self) -> Vec<ParamProblem> {
        let mut problems = Vec::new();
        let mut problem = |path: &str, message: String| problems.push(ParamProblem::new(path, message));
        if self.path.is_empty() {
            problem("path", "the file of weights is needed".to_owned());
        } else if !Path::new(&self.path).exists() {
            problem("path", format!("`{}` is not there (`make weights` fetches ImageNet's)", self.path));
        }
        if !(0.0..=1.0).contains(&self.least) {
            problem("least", format!("`{}` is not a share (from 0 to 1)", self.least));
        }
        if self.input.contains(&0) || !matches!(self.input[0], 1 | 3) {
            problem("input", "must be `[channels, height, width]` with 1 or 3 channels".to_owned());
        }
        let numbers = |values: &Option<Vec<f64>>, good: fn(f64) -> bool| {
            values
                .as_ref()
                .is_none_or(|v| matches!(v.len(), 1 | 3) && v.iter().all(|&x| x.is_finite() && good(x)))
        };
        if !numbers(&self.mean, |_| true) {
            problem("mean", "must be one number, or one a channel".to_owned());
        }
        if !numbers(&self.std, |x| x > 0.0) {
            problem("std", "must be one number above 0, or one a channel".to_owned());
        }
        if self.mean.is_some() != self.std.is_some() {
            problem("mean", "`mean` and `std` go together".to_owned());
        }
        problems
    }

    fn sources(&self) -> anyhow::Result<Vec<PathBuf>> {
        Ok(vec![PathBuf::from(&self.path)])
    }

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        let images = cx.read_optional(&IMAGES)?;
        let file = file::read(Path::new(&self.path)).with_context(|| format!("reading `{}`", self.path))?;
        let (checkpoint, report) = self
            .checkpoint(&file, images.as_ref().map(|images| &images.meta), cx.seed)
            .with_context(|| format!("taking `{}` as a `{}`", self.path, self.model.name()))?;
        tracing::info!(
            loaded = report.loaded.len(),
            reshaped = report.reshaped.len(),
            missing = report.missing.len(),
            unexpected = report.unexpected.len(),
            names = report.map.text(),
            "weights"
        );
        cx.write(&CHECKPOINT, &checkpoint)?;
        cx.write(&REPORT, &report)
    }
}

impl Weights {
    /// The model for `images` with the weights of `file`; a new head is drawn below `seed`.
    ///
    /// # Errors
    /// When the weights are another architecture's, or `file` is a checkpoint of another model.
    pub fn checkpoint(
        &self,
        file: &WeightsFile,
        images: Option<&ImageSetMeta>,
        seed: Seed,
    ) -> anyhow::Result<(Checkpoint, WeightsReport)> {
        let options = Adopt {
            rename: self.rename.clone(),
            names: self.names,
            strict: self.strict,
            new_head: self.new_head,
            least: self.least,
        };
        let [channels, height, width] = match images {
            Some(meta) => [meta.channels, meta.height, meta.width],
            None => self.input,
        };
        let input = InputShape { channels, height, width };
        let classes = self.class_names(file, images, input, &options)?;
        let graph = self.model.graph(input, classes.len())?;
        let (weights, report) = adopt(file, &graph, &options, seed)?;
        let own = file.checkpoint.as_ref().map(|own| &own.preprocessing);
        let (mean, std) = match (&self.mean, &self.std, own) {
            (Some(mean), Some(std), _) => (mean.clone(), std.clone()),
            (_, _, Some(own)) => (own.mean.clone(), own.std.clone()),
            _ => (IMAGENET[0].to_vec(), IMAGENET[1].to_vec()),
        };
        let preprocessing = Preprocessing {
            height,
            width,
            channels,
            resize: images.map_or_else(|| self.resize.clone(), |meta| meta.resize.clone()),
            mean: by_channel(&mean, channels),
            std: by_channel(&std, channels),
        };
        let checkpoint = Checkpoint {
            config: self.model.clone(),
            input,
            classes,
            preprocessing,
            epoch: 0,
            step: 0,
            metric: None,
            weights,
        };
        Ok((checkpoint, report))
    }

    fn class_names(
        &self,
        file: &WeightsFile,
        images: Option<&ImageSetMeta>,
        input: InputShape,
        options: &Adopt,
    ) -> anyhow::Result<Vec<String>> {
        if let Some(meta) = images {
            anyhow::ensure!(
                self.classes.is_empty() || self.classes == meta.classes,
                "`classes` are {}, those of `images` {} (leave `classes` out)",
                self.classes.join(", "),
                meta.classes.join(", ")
            );
            return Ok(meta.classes.clone());
        }
        if !self.classes.is_empty() {
            return Ok(self.classes.clone());
        }
        if let Some(own) = &file.checkpoint {
            return Ok(own.classes.clone());
        }
        let count = adopt::classes(file, &self.model.graph(input, 2)?, options)
            .context("the file has no last layer of this model (give `classes`, or connect `images`)")?;
        anyhow::ensure!(count <= 100_000, "the file tells {count} classes apart (at most 100,000)");
        Ok((0..count).map(|class| format!("{class:04}")).collect())
    }
}

/// One number for each of `channels`: their mean where there were more.
fn by_channel(values: &[f64], channels: usize) -> Vec<f64> {
    if values.len() == channels {
        return values.to_vec();
    }
    vec![values.iter().sum::<f64>() / values.len().max(1) as f64; channels]
}

#[cfg(test)]
mod tests;
