//! The kind `ensemble`: predictions of several models become one.

use peregrine_eval::Predictions;
use peregrine_pipeline::{
    Lineage, ManyInput, Named, OptionalManyInput, Output, Port, Stage, StageContext, Uses,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::average::{equal, mix};
use crate::diversity::{disagreement, mean_disagreement};
use crate::ensemble_weights::{EnsembleWeights, ValScores};
use crate::members::{EnsembleError, Members, top};
use crate::method::{Combined, Method};
use crate::weights::FLOOR;

/// Combines the predictions of several models on the same images into one prediction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ensemble {
    /// How members become one prediction: `hard_vote`, `mean`, or `weighted_mean` (the default),
    /// which needs `val`.
    pub method: Method,
}

const PREDICTIONS: ManyInput<Predictions> =
    ManyInput::new("predictions", "the members: predictions of several models on the same images");
const VAL: OptionalManyInput<Predictions> = OptionalManyInput::new(
    "val",
    "the same models' predictions on `val`, in the order of `predictions`; weights are fitted on these",
);
const COMBINED: Output<Predictions> = Output::new("predictions", "the ensemble's predictions");
const WEIGHTS: Output<EnsembleWeights> =
    Output::new("weights", "members, weights, diversity and scores on `val`");

impl Stage for Ensemble {
    const KIND: &'static str = "ensemble";
    /// 1: first version.
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[PREDICTIONS.port(), VAL.port()];
    const OUTPUTS: &'static [Port] = &[COMBINED.port(), WEIGHTS.port()];
    /// The members' names are in the output, and their makers decide whether `val` is in order.
    const USES: Uses = Uses::NOTHING.lineage();

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        let members = cx.read_many(&PREDICTIONS)?;
        let val = cx.read_optional_many(&VAL)?;
        check_order(&members, &val, &cx.lineage)?;
        let (predictions, weights) = ensemble(&members, &val, &self.method)?;
        cx.write(&COMBINED, &predictions)?;
        cx.write(&WEIGHTS, &weights)
    }
}

/// Combines `members` by `method`; `val` is empty or holds each member's predictions on `val`.
///
/// # Errors
/// [`EnsembleError`] when they disagree on classes or images, or `val` isn't what it should be.
pub fn ensemble(
    members: &[Named<Predictions>],
    val: &[Named<Predictions>],
    method: &Method,
) -> Result<(Predictions, EnsembleWeights), EnsembleError> {
    let checked = Members::check(members, "predictions")?;
    let val = check_val(members, val)?;
    let combined = method.combine(checked, val)?;
    let spread = val.unwrap_or(checked);
    let pairs = disagreement(spread);
    let weights = EnsembleWeights {
        method: method.name().to_owned(),
        members: checked.names(),
        disagreement_on: spread.split().name().to_owned(),
        mean_disagreement: mean_disagreement(&pairs),
        disagreement: pairs,
        val: val.map(|val| score(val, method, &combined)),
        weights: combined.weights,
    };
    tracing::info!(method = method.name(), members = checked.len(), images = checked.images(), "combined");
    Ok((combined.predictions, weights))
}

fn check_val<'a>(
    members: &[Named<Predictions>],
    val: &'a [Named<Predictions>],
) -> Result<Option<Members<'a>>, EnsembleError> {
    if val.is_empty() {
        return Ok(None);
    }
    if val.len() != members.len() {
        return Err(EnsembleError::Pairing { members: members.len(), val: val.len() });
    }
    for one in val {
        if one.value.split != peregrine_data::Split::Val {
            let split = one.value.split.name().to_owned();
            return Err(EnsembleError::NotVal { stage: one.stage.clone(), split });
        }
        if one.value.classes != members[0].value.classes {
            return Err(EnsembleError::Classes {
                first: members[0].stage.clone(),
                other: one.stage.clone(),
                detail: format!("{} and {} of them", members[0].value.classes.len(), one.value.classes.len()),
            });
        }
    }
    Members::check(val, "val").map(Some)
}

/// Refuses a `val` in another order than the members, where the lineage shows which stage's
/// checkpoint each was predicted from.
fn check_order(
    members: &[Named<Predictions>],
    val: &[Named<Predictions>],
    lineage: &Lineage,
) -> Result<(), EnsembleError> {
    let source = |name: &str| {
        let stage = lineage.stages.iter().find(|stage| stage.name == name && stage.kind == "predict")?;
        stage.inputs.first().cloned()
    };
    for (at, (member, val)) in members.iter().zip(val).enumerate() {
        let (Some(a), Some(b)) = (source(&member.stage), source(&val.stage)) else { continue };
        if a != b {
            return Err(EnsembleError::Order {
                position: at + 1,
                member: member.stage.clone(),
                member_source: a,
                val: val.stage.clone(),
                val_source: b,
            });
        }
    }
    Ok(())
}

fn score(val: Members, method: &Method, combined: &Combined) -> ValScores {
    let m = val.len();
    let after = method.apply(val, &combined.weights);
    let before = mix(val, &equal(m));
    let one = |j: usize| measure(val, |i| val.row(j, i));
    let members: Vec<(f64, f64)> = (0..m).map(one).collect();
    let k = val.classes();
    let rows = |p: &Predictions| measure(val, |i| &p.probabilities[i * k..(i + 1) * k]);
    let ((log_loss_before, top1_before), (log_loss_after, top1_after)) = (rows(&before), rows(&after));
    ValScores {
        images: val.images() as u64,
        member_log_loss: members.iter().map(|score| score.0).collect(),
        member_top1: members.iter().map(|score| score.1).collect(),
        log_loss_before,
        log_loss_after,
        top1_before,
        top1_after,
        iterations: combined.fitted.as_ref().map(|fitted| fitted.iterations),
        gap: combined.fitted.as_ref().map(|fitted| fitted.gap),
    }
}

/// Log loss (nats) and top-1 of `row(i)` against the labels of `val`.
fn measure<'r>(val: Members, row: impl Fn(usize) -> &'r [f32]) -> (f64, f64) {
    let n = val.images();
    let (mut loss, mut right) = (0.0, 0_usize);
    for i in 0..n {
        let row = row(i);
        loss -= f64::from(row[val.label(i)]).clamp(FLOOR, 1.0 - FLOOR).ln();
        right += usize::from(top(row) == val.label(i));
    }
    (loss / n as f64, right as f64 / n as f64)
}

#[cfg(test)]
mod tests {
    use peregrine_data::Split;
    use peregrine_pipeline::LineageStage;

    use super::*;
    use crate::average::Mean;
    use crate::members::tests::{close, member};
    use crate::vote::HardVote;
    use crate::weights::WeightedMean;

    const A: &[&[f32]] = &[&[0.9, 0.1], &[0.9, 0.1], &[0.1, 0.9]];
    const B: &[&[f32]] = &[&[0.1, 0.9], &[0.1, 0.9], &[0.9, 0.1]];

    fn on_val(name: &str, rows: &[&[f32]]) -> Named<Predictions> {
        let mut named = member(name, &[0, 0, 0], rows);
        named.value.split = Split::Val;
        named
    }

    fn weighted() -> Method {
        Method::WeightedMean(WeightedMean { tolerance: 1e-10, max_iterations: 100_000 })
    }

    #[test]
    fn weights_come_from_val_and_act_on_test() {
        let members = [member("a", &[0], &[&[1.0, 0.0]]), member("b", &[0], &[&[0.0, 1.0]])];
        let val = [on_val("val_a", A), on_val("val_b", B)];
        let (combined, weights) = ensemble(&members, &val, &weighted()).unwrap();
        // Two of three val images favour `a`: the optimum of `weights::tests`.
        let expected = (2.0 / 3.0 - 0.1) / 0.8;
        assert!((weights.weights[0] - expected).abs() < 1e-5, "{weights:?}");
        close(&combined.probabilities, &[weights.weights[0] as f32, weights.weights[1] as f32]);
        let val = weights.val.unwrap();
        assert_eq!(val.member_top1, [2.0 / 3.0, 1.0 / 3.0]);
        assert!(val.log_loss_after < val.log_loss_before);
        assert_eq!(val.images, 3);
        assert_eq!(weights.disagreement_on, "val");
        assert_eq!(weights.mean_disagreement, 1.0);
        assert_eq!(combined.split, Split::Test);
    }

    #[test]
    fn val_must_be_val_one_per_member_and_of_the_same_classes() {
        let members = [member("a", &[0], &[&[1.0, 0.0]]), member("b", &[0], &[&[0.0, 1.0]])];
        let refusal =
            |val: &[Named<Predictions>]| ensemble(&members, val, &weighted()).unwrap_err().to_string();
        assert!(refusal(&[]).contains("connect `val`"));
        assert!(refusal(&[on_val("val_a", A)]).contains("2 members and `val` has 1"));
        let test = member("predict_b", &[0, 0, 0], B);
        let message = refusal(&[on_val("val_a", A), test]);
        assert!(message.contains("`predict_b` at `val` holds predictions on split `test`"), "{message}");
        let rows: [&[f32]; 3] = [&[0.1, 0.2, 0.7]; 3];
        let three = on_val("val_b", &rows);
        assert!(refusal(&[on_val("val_a", A), three]).contains("`a` and `val_b` know different classes"));
    }

    #[test]
    fn val_in_another_order_than_the_members_is_refused_where_the_lineage_shows_it() {
        let stage = |name: &str, from: &str| LineageStage {
            name: name.to_owned(),
            kind: "predict".to_owned(),
            fingerprint: String::new(),
            params: serde_json::Value::Null,
            inputs: vec![from.to_owned(), "pack".to_owned()],
            seconds: 0.0,
            counts: std::collections::BTreeMap::default(),
        };
        let lineage = Lineage {
            pipeline: "p".to_owned(),
            stages: vec![
                stage("a", "train_a"),
                stage("b", "train_b"),
                stage("val_a", "train_a"),
                stage("val_b", "train_b"),
            ],
        };
        let members = [member("a", &[0], &[&[1.0, 0.0]]), member("b", &[0], &[&[0.0, 1.0]])];
        let right = [on_val("val_a", A), on_val("val_b", B)];
        let wrong = [on_val("val_b", B), on_val("val_a", A)];
        assert_eq!(check_order(&members, &right, &lineage), Ok(()));
        let message = check_order(&members, &wrong, &lineage).unwrap_err().to_string();
        assert!(message.contains("member 1 is `a` (from `train_a`), but number 1 at `val` is `val_b`"));
        assert_eq!(check_order(&members, &wrong, &Lineage::default()), Ok(()));
    }

    #[test]
    fn every_method_keeps_ids_labels_and_sums_of_one() {
        let members = [member("a", &[0, 1, 1], A), member("b", &[0, 1, 1], B)];
        let val = [on_val("val_a", A), on_val("val_b", B)];
        for method in [Method::HardVote(HardVote {}), Method::Mean(Mean {}), weighted()] {
            let (combined, weights) = ensemble(&members, &val, &method).unwrap();
            assert_eq!(combined.ids, members[0].value.ids);
            assert_eq!(combined.labels, [0, 1, 1]);
            assert!((weights.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            for row in combined.probabilities.chunks(2) {
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{}", method.name());
            }
        }
    }

    #[test]
    fn methods_read_from_pipeline_files_and_refuse_unknown_keys() {
        let read = |json: &str| serde_json::from_str::<Ensemble>(json);
        assert_eq!(read("{}").unwrap().method, Method::default());
        assert_eq!(read(r#"{"method":{"name":"hard_vote"}}"#).unwrap().method.name(), "hard_vote");
        let fitted = read(r#"{"method":{"name":"weighted_mean","tolerance":0.001}}"#).unwrap();
        assert!(matches!(fitted.method, Method::WeightedMean(WeightedMean { tolerance: 0.001, .. })));
        assert!(read(r#"{"method":{"name":"mean","tolerance":0.1}}"#).is_err());
        assert!(read(r#"{"method":{"name":"median"}}"#).is_err());
    }

    #[test]
    fn the_artifact_reads_back_what_it_wrote() {
        use peregrine_pipeline::Artifact as _;
        let members = [member("a", &[0, 1, 1], A), member("b", &[0, 1, 1], B)];
        let val = [on_val("val_a", A), on_val("val_b", B)];
        let (_, weights) = ensemble(&members, &val, &weighted()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        weights.save(dir.path()).unwrap();
        assert_eq!(EnsembleWeights::load(dir.path()).unwrap(), weights);
        assert!(weights.text().starts_with("weighted_mean of 2 members\n"));
        assert_eq!(weights.table().unwrap().rows.len(), 2);
    }
}
