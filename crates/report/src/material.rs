//! Everything a report is made of, read from the stage's inputs.

use peregrine_data::{CleanReport, ImageSet, Picture, Profile};
use peregrine_ensemble::EnsembleWeights;
use peregrine_eval::{Metrics, Predictions};
use peregrine_pipeline::{Lineage, Named};
use peregrine_train::History;

/// What a report is made of. All but the metrics may be missing.
#[derive(Debug, Default)]
pub struct Material {
    /// The stages above the report.
    pub lineage: Lineage,
    /// The numbers of each model.
    pub metrics: Vec<Named<Metrics>>,
    /// How each network was trained.
    pub histories: Vec<Named<History>>,
    /// What the data set looks like.
    pub profile: Option<Named<Profile>>,
    /// What cleaning found.
    pub clean: Option<Named<CleanReport>>,
    /// What each model thinks of the images.
    pub predictions: Vec<Named<Predictions>>,
    /// What ensembles are made of.
    pub weights: Vec<Named<EnsembleWeights>>,
    /// The images that were predicted.
    pub images: Option<Named<ImageSet>>,
    /// Sheets of augmented images.
    pub previews: Vec<Named<Picture>>,
}

impl Material {
    /// Name and fingerprint of every stage that an input came from.
    pub fn origins(&self) -> Vec<(&str, &str)> {
        let mut all = Vec::new();
        fn add<'a, T>(all: &mut Vec<(&'a str, &'a str)>, named: impl IntoIterator<Item = &'a Named<T>>)
        where
            T: 'a,
        {
            all.extend(named.into_iter().map(|n| (n.stage.as_str(), n.fingerprint.as_str())));
        }
        add(&mut all, &self.profile);
        add(&mut all, &self.clean);
        add(&mut all, &self.images);
        add(&mut all, &self.previews);
        add(&mut all, &self.histories);
        add(&mut all, &self.predictions);
        add(&mut all, &self.weights);
        add(&mut all, &self.metrics);
        all
    }
}
