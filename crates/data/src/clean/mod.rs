//! Stage `clean`.
mod report;
use crate::manifest::Manifest;
use peregrine_pipeline::{Input, Output, Port, Stage, StageContext};
pub use report::{Action, Check, CheckSummary, CleanReport, Finding, FlaggedImage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
/// Removes images that would hurt training: unreadable, duplicate, blank, blurred.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Clean {}
const MANIFEST: Input<Manifest> = Input::new("manifest", "the images to look at");
const CLEANED: Output<Manifest> = Output::new("manifest", "the images that stay");
const REPORT: Output<CleanReport> = Output::new("report", "what was found and removed, and why");
impl Stage for Clean {
    const KIND: &'static str = "clean";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[MANIFEST.port()];
    const OUTPUTS: &'static [Port] = &[CLEANED.port(), REPORT.port()];
    fn run(&self, _cx: &StageContext) -> anyhow::Result<()> {
        anyhow::bail!("not written yet")
    }
}
