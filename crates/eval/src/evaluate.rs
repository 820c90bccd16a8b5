//! The kind `evaluate`: predictions in, metrics out.

use peregrine_data::Manifest;
use peregrine_pipeline::{Input, OptionalInput, Output, Port, Stage, StageContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metrics::{Metrics, MetricsError};
use crate::predictions::Predictions;

/// Measures predictions: accuracy, precision, recall and F1, confusions, log loss, calibration; of
/// each source where `manifest` is connected, and on the background where its class is named.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Evaluate {
    /// The class of images that show nothing: how many of them are taken for something (false
    /// positives) is measured. Absent: all classes are alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background: Option<String>,
}

const PREDICTIONS: Input<Predictions> =
    Input::new("predictions", "what a network or an ensemble thinks of the images");
const MANIFEST: OptionalInput<Manifest> =
    OptionalInput::new("manifest", "the images with their sources, for numbers of each source");
const METRICS: Output<Metrics> = Output::new("metrics", "how good that is");

impl Stage for Evaluate {
    const KIND: &'static str = "evaluate";
    /// 1: first version.
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[PREDICTIONS.port(), MANIFEST.port()];
    const OUTPUTS: &'static [Port] = &[METRICS.port()];

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        let (predictions, manifest) = (cx.read(&PREDICTIONS)?, cx.read_optional(&MANIFEST)?);
        cx.write(&METRICS, &evaluate(&predictions, manifest.as_ref(), self)?)
    }
}

/// Measures `predictions`, with the sources that `manifest` names.
///
/// # Errors
/// When they can't be measured, `manifest` is of other images, or there is no background class of
/// that name.
pub fn evaluate(
    predictions: &Predictions,
    manifest: Option<&Manifest>,
    params: &Evaluate,
) -> Result<Metrics, MetricsError> {
    let mut metrics = Metrics::of(predictions)?;
    if let Some(manifest) = manifest {
        metrics = metrics.with_sources(predictions, manifest)?;
    }
    if let Some(class) = &params.background {
        metrics = metrics.with_background(class)?;
    }
    Ok(metrics)
}
