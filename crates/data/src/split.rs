//! Stage `split`.
use crate::manifest::Manifest;
use peregrine_pipeline::{Input, Output, Port, Stage, StageContext, Uses};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
/// Splits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SplitImages {}
const MANIFEST: Input<Manifest> = Input::new("manifest", "the images to split");
const TRAIN: Output<Manifest> = Output::new("train", "what is fitted");
const VAL: Output<Manifest> = Output::new("val", "what decides between fits");
const TEST: Output<Manifest> = Output::new("test", "what is measured once");
impl Stage for SplitImages {
    const KIND: &'static str = "split";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[MANIFEST.port()];
    const OUTPUTS: &'static [Port] = &[TRAIN.port(), VAL.port(), TEST.port()];
    const USES: Uses = Uses::NOTHING.seed();
    fn run(&self, _cx: &StageContext) -> anyhow::Result<()> {
        anyhow::bail!("not written yet")
    }
}
