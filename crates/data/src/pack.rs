//! Stage `pack`.
use crate::Pixels;
use crate::image_set::ImageSet;
use crate::manifest::Manifest;
use peregrine_pipeline::{Input, Output, Port, Stage, StageContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// Squash.
    #[default]
    Squash,
}
/// Packs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pack {}
const MANIFEST: Input<Manifest> = Input::new("manifest", "the images to pack");
const IMAGES: Output<ImageSet> = Output::new("images", "the pictures, decoded and resized");
impl Stage for Pack {
    const KIND: &'static str = "pack";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[MANIFEST.port()];
    const OUTPUTS: &'static [Port] = &[IMAGES.port()];
    fn run(&self, _cx: &StageContext) -> anyhow::Result<()> {
        anyhow::bail!("not written yet")
    }
}
pub(crate) fn fit_within(pixels: &Pixels, _side: u32) -> anyhow::Result<Pixels> {
    Ok(pixels.clone())
}
