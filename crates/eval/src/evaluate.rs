//! The kind `evaluate`: predictions in, metrics out.

use peregrine_pipeline::{Input, Output, Port, Stage, StageContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;
use crate::predictions::Predictions;

/// Measures predictions: accuracy, precision, recall and F1, confusions, log loss, calibration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Evaluate {}

const PREDICTIONS: Input<Predictions> =
    Input::new("predictions", "what a network or an ensemble thinks of the images");
const METRICS: Output<Metrics> = Output::new("metrics", "how good that is");

impl Stage for Evaluate {
    const KIND: &'static str = "evaluate";
    /// 1: first version.
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[PREDICTIONS.port()];
    const OUTPUTS: &'static [Port] = &[METRICS.port()];

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        cx.write(&METRICS, &Metrics::of(&cx.read(&PREDICTIONS)?)?)
    }
}
