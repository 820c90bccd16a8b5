//! Kinds for the tests: shaped like real ones, they do nothing.

use peregrine_pipeline::{
    Artifact, Input, ManyInput, OptionalInput, OptionalManyInput, Output, ParamProblem, Port, Stage,
    StageContext, StageKind, Uses,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// An artifact of some type.
pub struct Thing<const N: usize>;

const TYPES: [&str; 5] = ["manifest", "images", "checkpoint", "predictions", "metrics"];

impl<const N: usize> Artifact for Thing<N> {
    const TYPE: &'static str = TYPES[N];

    fn save(&self, _dir: &Path) -> anyhow::Result<()> {
        Ok(())
    }

    fn load(_dir: &Path) -> anyhow::Result<Self> {
        Ok(Self)
    }

    fn text(&self) -> String {
        String::new()
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::Value::Null)
    }
}

type Manifest = Thing<0>;
type Images = Thing<1>;
type Checkpoint = Thing<2>;
type Predictions = Thing<3>;
type Metrics = Thing<4>;

/// Where images come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum SourceConfig {
    /// A folder with a folder of images per class.
    ImageFolder {
        /// The folder.
        root: PathBuf,
    },
    /// A CSV file with the columns `path` and `label`.
    Csv {
        /// The file.
        file: PathBuf,
        /// The separator of its cells.
        #[serde(default = "comma")]
        separator: String,
    },
}

fn comma() -> String {
    ",".to_owned()
}

/// Lists images and their labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ingest {
    /// Where the images come from.
    pub source: SourceConfig,
    /// How many images are taken at most.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub limit: Option<u32>,
}

impl Stage for Ingest {
    const KIND: &str = "ingest";
    const VERSION: u32 = 1;
    const INPUTS: &[Port] = &[];
    const OUTPUTS: &[Port] = &[Output::<Manifest>::new("manifest", "the images found").port()];

    fn check(&self) -> Vec<ParamProblem> {
        match &self.source {
            SourceConfig::ImageFolder { root } if root.starts_with("missing") => {
                let message =
                    format!("there is no folder `{}` (make it, or correct the path)", root.display());
                vec![ParamProblem::new("source.root", message)]
            }
            _ => Vec::new(),
        }
    }

    fn run(&self, _cx: &StageContext) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Divides images into training, validation and test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Split {
    /// The share of the validation images.
    #[schemars(range(min = 0.0, max = 0.9))]
    pub val: f64,
    /// The share of the test images.
    #[schemars(range(min = 0.0, max = 0.9))]
    pub test: f64,
}

impl Default for Split {
    fn default() -> Self {
        Self { val: 0.1, test: 0.2 }
    }
}

impl Stage for Split {
    const KIND: &str = "split";
    const VERSION: u32 = 1;
    const INPUTS: &[Port] = &[Input::<Manifest>::new("manifest", "all images").port()];
    const OUTPUTS: &[Port] = &[
        Output::<Manifest>::new("train", "the training images").port(),
        Output::<Manifest>::new("val", "the validation images").port(),
        Output::<Manifest>::new("test", "the test images").port(),
    ];
    const USES: Uses = Uses::NOTHING.seed();

    fn run(&self, _cx: &StageContext) -> anyhow::Result<()> {
        Ok(())
    }
}

/// How images are made to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Stretched.
    Stretch,
    /// Cut at the longer sides.
    Crop,
}

/// Decodes images into one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pack {
    /// The height of the images, in pixels.
    #[schemars(range(min = 1, max = 4096))]
    pub height: u32,
    /// How images are made to fit.
    pub fit: Fit,
    /// The colour behind transparent pixels: red, green, blue.
    pub background: [u8; 3],
    /// Whether images become grey.
    pub grey: bool,
}

impl Default for Pack {
    fn default() -> Self {
        Self { height: 32, fit: Fit::Stretch, background: [0, 0, 0], grey: false }
    }
}

impl Stage for Pack {
    const KIND: &str = "pack";
    const VERSION: u32 = 2;
    const INPUTS: &[Port] = &[Input::<Manifest>::new("manifest", "the images to pack").port()];
    const OUTPUTS: &[Port] = &[Output::<Images>::new("images", "the packed images").port()];

    fn run(&self, _cx: &StageContext) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Stochastic gradient descent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// The learning rate.
    #[schemars(range(min = 1e-9, max = 100.0))]
    pub lr: f64,
    /// The momentum.
    #[schemars(range(min = 0.0, max = 0.9999))]
    pub momentum: f64,
}

impl Default for Sgd {
    fn default() -> Self {
        Self { lr: 0.1, momentum: 0.9 }
    }
}

/// How weights follow gradients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Optimizer {
    /// Stochastic gradient descent.
    Sgd(Sgd),
    /// Adam (Kingma and Ba 2015).
    Adam {
        /// The learning rate.
        #[serde(default = "milli")]
        #[schemars(range(min = 1e-9, max = 100.0))]
        lr: f64,
    },
}

fn milli() -> f64 {
    1e-3
}

/// A network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Model {
    /// `LeNet-5`.
    Lenet5 {},
    /// A residual network.
    Resnet {
        /// How many layers it has.
        #[schemars(range(min = 8, max = 200))]
        depth: u32,
        /// The width of its first layer.
        width: u32,
    },
}

/// Fits a network to images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// The network.
    pub model: Model,
    /// How often every image is seen.
    #[serde(default = "eight")]
    #[schemars(range(min = 1, max = 100_000))]
    pub epochs: u32,
    /// How weights follow gradients.
    #[serde(default = "sgd")]
    pub optimizer: Optimizer,
    /// How often the learning rate falls, and at which epochs.
    #[serde(default)]
    pub milestones: Vec<u32>,
    /// Stops after so many epochs without a gain.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub patience: Option<u32>,
    /// What the run is called.
    #[serde(default)]
    pub note: Option<String>,
}

fn eight() -> u32 {
    8
}

fn sgd() -> Optimizer {
    Optimizer::Sgd(Sgd::default())
}

impl Stage for Train {
    const KIND: &str = "train";
    const VERSION: u32 = 3;
    const INPUTS: &[Port] = &[
        Input::<Images>::new("train", "the training images").port(),
        Input::<Images>::new("val", "the images to measure on").port(),
        OptionalInput::<Checkpoint>::new("init", "the weights to begin with").port(),
    ];
    const OUTPUTS: &[Port] = &[Output::<Checkpoint>::new("checkpoint", "the best weights").port()];
    const USES: Uses = Uses::NOTHING.seed().device();

    fn run(&self, _cx: &StageContext) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Gives every image its probabilities.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Predict {}

impl Stage for Predict {
    const KIND: &str = "predict";
    const VERSION: u32 = 1;
    const INPUTS: &[Port] = &[
        Input::<Checkpoint>::new("checkpoint", "the network").port(),
        Input::<Images>::new("images", "the images").port(),
    ];
    const OUTPUTS: &[Port] = &[Output::<Predictions>::new("predictions", "the probabilities").port()];
    const USES: Uses = Uses::NOTHING.device();

    fn run(&self, _cx: &StageContext) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Averages predictions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ensemble {}

impl Stage for Ensemble {
    const KIND: &str = "ensemble";
    const VERSION: u32 = 1;
    const INPUTS: &[Port] = &[
        ManyInput::<Predictions>::new("predictions", "what is averaged").port(),
        OptionalManyInput::<Predictions>::new("val", "what weights are fitted on").port(),
    ];
    const OUTPUTS: &[Port] = &[Output::<Predictions>::new("predictions", "the average").port()];

    fn run(&self, _cx: &StageContext) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Measures predictions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Evaluate {}

impl Stage for Evaluate {
    const KIND: &str = "evaluate";
    const VERSION: u32 = 1;
    const INPUTS: &[Port] = &[Input::<Predictions>::new("predictions", "what is measured").port()];
    const OUTPUTS: &[Port] = &[Output::<Metrics>::new("metrics", "the numbers").port()];

    fn run(&self, _cx: &StageContext) -> anyhow::Result<()> {
        Ok(())
    }
}

/// The kinds of the tests.
pub static KINDS: &[StageKind] = &[
    StageKind::of::<Ingest>(),
    StageKind::of::<Split>(),
    StageKind::of::<Pack>(),
    StageKind::of::<Train>(),
    StageKind::of::<Predict>(),
    StageKind::of::<Ensemble>(),
    StageKind::of::<Evaluate>(),
];
