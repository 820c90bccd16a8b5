//! Stage `ingest`.
use crate::manifest::Manifest;
use peregrine_pipeline::{Output, Port, Stage, StageContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
/// Where images come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// A folder with one folder of images a class.
    ImageFolder {
        /// The folder.
        root: String,
    },
}
/// Lists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ingest {
    /// Where the images come from.
    pub source: Source,
}
const MANIFEST: Output<Manifest> = Output::new("manifest", "every image found");
impl Stage for Ingest {
    const KIND: &'static str = "ingest";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[];
    const OUTPUTS: &'static [Port] = &[MANIFEST.port()];
    fn run(&self, _cx: &StageContext) -> anyhow::Result<()> {
        anyhow::bail!("not written yet")
    }
}
