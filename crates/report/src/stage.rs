//! The kind `report`: whatever is connected becomes one page.

use peregrine_data::{CleanReport, ImageSet, Picture, Profile};
use peregrine_ensemble::EnsembleWeights;
use peregrine_eval::{Metrics, Predictions};
use peregrine_pipeline::{
    Artifact, ManyInput, Named, OptionalInput, OptionalManyInput, Output, Port, Stage, StageContext, Uses,
};
use peregrine_train::History;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::Document;
use crate::material::Material;
use crate::page::{Options, document};

/// Writes one offline HTML page and a Markdown summary of everything that is connected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Report {
    /// The page's heading; the pipeline's name when empty.
    pub title: String,
    /// How many of the surest mistakes are shown, from 0 to 120.
    #[schemars(range(min = 0, max = 120))]
    pub mistakes: u32,
    /// How many pictures are shown of each check of cleaning, from 0 to 60.
    #[schemars(range(min = 0, max = 60))]
    pub examples: u32,
}

impl Default for Report {
    fn default() -> Self {
        Self { title: String::new(), mistakes: 24, examples: 8 }
    }
}

const METRICS: ManyInput<Metrics> = ManyInput::new("metrics", "the numbers of each model");
const HISTORY: OptionalManyInput<History> =
    OptionalManyInput::new("history", "how each network was trained, for the curves");
const PROFILE: OptionalInput<Profile> = OptionalInput::new("profile", "what the data set looks like");
const CLEAN: OptionalInput<CleanReport> = OptionalInput::new("clean", "what cleaning removed, and why");
const PREDICTIONS: OptionalManyInput<Predictions> = OptionalManyInput::new(
    "predictions",
    "the predictions behind `metrics`, for the mistakes and for comparing models image by image",
);
const WEIGHTS: OptionalManyInput<EnsembleWeights> =
    OptionalManyInput::new("weights", "what the ensembles are made of");
const IMAGES: OptionalInput<ImageSet> =
    OptionalInput::new("images", "the predicted images (test), for pictures of the mistakes");
const PREVIEW: OptionalManyInput<Picture> = OptionalManyInput::new("preview", "sheets of augmented images");
const REPORT: Output<Document> = Output::new("report", "index.html and report.md");

impl Stage for Report {
    const KIND: &'static str = "report";
    /// 1: first version. 2: what cleaning did is said in words; metrics by source.
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] = &[
        METRICS.port(),
        HISTORY.port(),
        PROFILE.port(),
        CLEAN.port(),
        PREDICTIONS.port(),
        WEIGHTS.port(),
        IMAGES.port(),
        PREVIEW.port(),
    ];
    const OUTPUTS: &'static [Port] = &[REPORT.port()];
    const USES: Uses = Uses::NOTHING.lineage();

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        let material = Material {
            lineage: cx.lineage.as_ref().clone(),
            metrics: cx.read_many(&METRICS)?,
            histories: cx.read_optional_many(&HISTORY)?,
            profile: named(cx, &PROFILE)?,
            clean: named(cx, &CLEAN)?,
            predictions: cx.read_optional_many(&PREDICTIONS)?,
            weights: cx.read_optional_many(&WEIGHTS)?,
            images: named(cx, &IMAGES)?,
            previews: cx.read_optional_many(&PREVIEW)?,
        };
        cx.check_cancelled()?;
        let options = Options {
            title: self.title.clone(),
            mistakes: self.mistakes as usize,
            examples: self.examples as usize,
        };
        cx.write(&REPORT, &document(&material, &options)?)
    }
}

/// The artifact at an optional port, with the stage that made it.
fn named<T: Artifact>(cx: &StageContext, port: &OptionalInput<T>) -> anyhow::Result<Option<Named<T>>> {
    let value = cx.read_optional(port)?;
    let origin = cx.refs(port.name).first();
    Ok(value.zip(origin).map(|(value, origin)| Named {
        stage: origin.stage.clone(),
        fingerprint: origin.fingerprint.clone(),
        value,
    }))
}
