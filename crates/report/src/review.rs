//! The kind `review`: what `clean` found, as one offline page on which a person decides.
//!
//! The page writes the file that `clean` reads as `overrides`; nothing is decided here.

mod sheet;
mod view;

use peregrine_data::CleanReport;
use peregrine_data::clean::Scores;
use peregrine_pipeline::{Input, OptionalInput, Output, ParamProblem, Port, Stage, StageContext, Uses};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use sheet::{Sheet, render};
pub use view::{Material, SheetView};

/// Writes one offline HTML page with the flagged images, on which a person decides what becomes of
/// each and takes away an overrides file for `clean`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Review {
    /// The page's heading; the pipeline's name when empty.
    pub title: String,
    /// How many flagged images are shown of each check, from 1 to 1000; pictures are there of as many
    /// as the param `thumbnails` of `clean` says.
    #[schemars(range(min = 1, max = 1000))]
    pub per_check: u32,
}

impl Default for Review {
    fn default() -> Self {
        Self { title: String::new(), per_check: 200 }
    }
}

const REPORT: Input<CleanReport> = Input::new("report", "what cleaning found and did");
const SCORES: OptionalInput<Scores> =
    OptionalInput::new("scores", "how good each image is, for the scores of the data set");
const SHEET: Output<Sheet> = Output::new("sheet", "index.html, the page to decide on");

impl Stage for Review {
    const KIND: &'static str = "review";
    /// 1: first version.
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[REPORT.port(), SCORES.port()];
    const OUTPUTS: &'static [Port] = &[SHEET.port()];
    const USES: Uses = Uses::NOTHING.lineage();

    fn check(&self) -> Vec<ParamProblem> {
        if (1..=1000).contains(&self.per_check) {
            return Vec::new();
        }
        vec![ParamProblem::new("per_check", "must be from 1 to 1000")]
    }

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        let means = cx.read_optional(&SCORES)?.map(|scores| {
            let means = scores.checks.iter().map(|check| (check.check, check.mean()));
            means.collect()
        });
        let material = Material {
            report: cx.read(&REPORT)?,
            means: means.unwrap_or_default(),
            lineage: cx.lineage.as_ref().clone(),
            stage: cx.refs(REPORT.name).first().map_or_else(|| "clean".to_owned(), |at| at.stage.clone()),
        };
        cx.check_cancelled()?;
        cx.write(&SHEET, &render(&material, self)?)
    }
}
