//! The report as one value: what the templates and the Markdown are written from.

use serde::Serialize;

use crate::artifact::Document;
use crate::contenders::{best, contenders};
use crate::material::Material;
use crate::pictures::Budget;
use crate::sections::by_source::{BackgroundRow, SourcesView, background, by_source};
use crate::sections::classes::{ClassesView, classes};
use crate::sections::cleaning::{CleaningView, cleaning};
use crate::sections::comparison::{ComparisonView, comparison};
use crate::sections::data::{DataView, Thumb, data};
use crate::sections::ensemble::{EnsembleView, ensembles};
use crate::sections::headline::{HeadlineView, headline};
use crate::sections::mistakes::{MistakesView, mistakes};
use crate::sections::pipeline::{PipelineView, pipeline};
use crate::sections::provenance::{StageRow, provenance};
use crate::sections::training::{TrainingView, training};
use crate::sources::{Link, Sources};
use crate::{html, markdown};

/// What a report may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The heading; the pipeline's name when empty.
    pub title: String,
    /// How many mistakes.
    pub mistakes: usize,
    /// How many pictures of each check of cleaning.
    pub examples: usize,
}

/// A sheet of augmented images.
#[derive(Debug, Clone, Serialize)]
pub struct PreviewView {
    /// Where it comes from.
    pub link: Link,
    /// The sheet.
    pub sheet: Thumb,
}

/// Everything on the page.
#[derive(Debug, Clone, Serialize)]
pub struct Page {
    /// The heading.
    pub title: String,
    /// Top-1 of the best model.
    pub headline: Option<HeadlineView>,
    /// The pipeline's picture.
    pub pipeline: Option<PipelineView>,
    /// What the data set looks like.
    pub data: Option<DataView>,
    /// What cleaning removed.
    pub cleaning: Option<CleaningView>,
    /// Augmented images.
    pub previews: Vec<PreviewView>,
    /// The training curves.
    pub training: Option<TrainingView>,
    /// All models side by side.
    pub comparison: Option<ComparisonView>,
    /// The ensembles.
    pub ensembles: Vec<EnsembleView>,
    /// Source by source.
    pub by_source: Option<SourcesView>,
    /// Models on the background.
    pub background: Vec<BackgroundRow>,
    /// Class by class.
    pub classes: Option<ClassesView>,
    /// The surest mistakes.
    pub mistakes: Option<MistakesView>,
    /// Every stage.
    pub provenance: Vec<StageRow>,
    /// How many pictures there was no room for.
    pub left_out: usize,
}

/// The page may not be larger than this, in bytes.
pub const MOST_BYTES: usize = 5_000_000;

impl Page {
    /// The page made of `material`, with at most `pictures` bytes of encoded pictures.
    pub fn new(material: &Material, options: &Options, pictures: usize) -> Self {
        let sources = Sources::new(&material.lineage, material.origins());
        let all = contenders(material, &sources);
        let top = best(material, &all, |_| true);
        let mut budget = Budget::new(pictures);
        // The most telling pictures come first, in case there isn't room for all.
        let mistakes = mistakes(material, &sources, top, options.mistakes, &mut budget);
        let data = data(material, &sources, &mut budget);
        let cleaning = cleaning(material, &sources, options.examples, &mut budget);
        let previews = previews(material, &sources, &mut budget);
        let title = if options.title.is_empty() { sources.pipeline.clone() } else { options.title.clone() };
        Self {
            title: if title.is_empty() { "pipeline".to_owned() } else { title },
            headline: headline(material, &sources, &all),
            pipeline: pipeline(&sources),
            data,
            cleaning,
            previews,
            training: training(material, &sources, &all),
            comparison: comparison(material, &sources, &all, top),
            ensembles: ensembles(material, &sources, &all),
            by_source: by_source(material, &sources, &all),
            background: background(material, &sources, &all),
            classes: classes(material, &sources, &all, top),
            mistakes,
            provenance: provenance(&sources),
            left_out: budget.refused(),
        }
    }
}

fn previews(material: &Material, sources: &Sources, budget: &mut Budget) -> Vec<PreviewView> {
    let view = |named: &peregrine_pipeline::Named<peregrine_data::Picture>| {
        let picture = &named.value;
        let src = budget.take(&picture.png)?;
        let title = format!("augmented images of {}", named.stage);
        let sheet = Thumb { src, width: picture.width, height: picture.height, title };
        Some(PreviewView { link: sources.link(&named.stage), sheet })
    };
    material.previews.iter().filter_map(view).collect()
}

/// The report made of `material`; leaves pictures out rather than pass [`MOST_BYTES`].
///
/// # Errors
/// When a template can't be rendered.
pub fn document(material: &Material, options: &Options) -> anyhow::Result<Document> {
    let mut page = Page::new(material, options, MOST_BYTES * 7 / 10);
    let mut text = html::render(&page)?;
    for room in [MOST_BYTES / 5, 0] {
        if text.len() <= MOST_BYTES {
            break;
        }
        page = Page::new(material, options, room);
        text = html::render(&page)?;
    }
    tracing::info!(bytes = text.len(), pictures_left_out = page.left_out, "report written");
    Ok(Document { html: text, markdown: markdown::render(&page) })
}
