//! Stage `balance`: as many images of each class in train, by copies or by leaving some out, and
//! weights for the loss.

mod weights;

use crate::manifest::Manifest;
use peregrine_pipeline::{Input, Output, Port, Stage, StageContext, Uses};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub use weights::ClassWeights;
/// Balances.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Balance {}
const MANIFEST: Input<Manifest> = Input::new("manifest", "the train split");
const BALANCED: Output<Manifest> = Output::new("manifest", "the train split, balanced");
const WEIGHTS: Output<ClassWeights> = Output::new("class_weights", "how much each class counts in the loss");
impl Stage for Balance {
    const KIND: &'static str = "balance";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[MANIFEST.port()];
    const OUTPUTS: &'static [Port] = &[BALANCED.port(), WEIGHTS.port()];
    const USES: Uses = Uses::NOTHING.seed();
    fn run(&self, _cx: &StageContext) -> anyhow::Result<()> {
        anyhow::bail!("not written yet")
    }
}
