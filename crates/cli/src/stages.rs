//! The table of stage kinds, a line for each: what a pipeline file can name.

use peregrine_pipeline::StageKind;

/// Every kind of stage.
pub const STAGES: &[StageKind] = &[
    StageKind::of::<peregrine_data::Fetch>(),
    StageKind::of::<peregrine_data::Ingest>(),
    StageKind::of::<peregrine_data::Merge>(),
    StageKind::of::<peregrine_data::ProfileImages>(),
    StageKind::of::<peregrine_data::Clean>(),
    StageKind::of::<peregrine_data::SplitImages>(),
    StageKind::of::<peregrine_data::KFold>(),
    StageKind::of::<peregrine_data::LeakCheck>(),
    StageKind::of::<peregrine_data::Balance>(),
    StageKind::of::<peregrine_data::Pack>(),
    StageKind::of::<peregrine_augment::Augment>(),
    StageKind::of::<peregrine_eval::Weights>(),
    StageKind::of::<peregrine_train::TrainConfig>(),
    StageKind::of::<peregrine_eval::Predict>(),
    StageKind::of::<peregrine_eval::Embed>(),
    StageKind::of::<peregrine_classic::Hog>(),
    StageKind::of::<peregrine_classic::FitClassifier>(),
    StageKind::of::<peregrine_classic::Classify>(),
    StageKind::of::<peregrine_eval::JoinFolds>(),
    StageKind::of::<peregrine_eval::Evaluate>(),
    StageKind::of::<peregrine_ensemble::Ensemble>(),
    StageKind::of::<peregrine_report::Report>(),
    StageKind::of::<peregrine_report::Review>(),
    StageKind::of::<peregrine_report::Regression>(),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_has_its_own_name_and_every_port_a_sentence() {
        let names: BTreeSet<&str> = STAGES.iter().map(|kind| kind.kind).collect();
        assert_eq!(names.len(), STAGES.len());
        for kind in STAGES {
            assert!(!kind.outputs.is_empty(), "{} has no output", kind.kind);
            for port in kind.inputs.iter().chain(kind.outputs) {
                assert!(!port.doc.is_empty(), "{}.{} says nothing", kind.kind, port.name);
            }
        }
    }

    #[test]
    fn every_param_of_every_kind_is_explained() {
        for kind in STAGES {
            let schema = (kind.schema)().to_value();
            assert!(schema.get("description").is_some(), "{} says nothing", kind.kind);
            let Some(params) = schema.get("properties").and_then(|value| value.as_object()) else { continue };
            for (name, param) in params {
                assert!(param.get("description").is_some(), "{}.{name} says nothing", kind.kind);
            }
        }
    }
}
