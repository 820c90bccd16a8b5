//! Stage `out_of_fold`: the predictions of every fold of a cross-validation in one table.
//!
//! Takes only predictions on held-out folds: what a network says of images that it was fitted on
//! tells nothing of their labels. Repeats are averaged.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use peregrine_data::{OutOfFold, Split};
use peregrine_pipeline::{ManyInput, Named, Output, Port, Stage, StageContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::predictions::Predictions;

/// How many images an error names.
const NAMED: usize = 5;

/// Joins the predictions on all held-out folds of `kfold`, so that every image has the
/// probabilities of networks that did not see it; repeated predictions are averaged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JoinFolds {}

const PREDICTIONS: ManyInput<Predictions> =
    ManyInput::new("predictions", "what each fold's network thinks of its held-out images");
const OUT_OF_FOLD: Output<OutOfFold> =
    Output::new("out_of_fold", "what networks that did not see an image think of it, for every image");

impl Stage for JoinFolds {
    const KIND: &'static str = "out_of_fold";
    /// 1: first version.
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[PREDICTIONS.port()];
    const OUTPUTS: &'static [Port] = &[OUT_OF_FOLD.port()];

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        cx.write(&OUT_OF_FOLD, &join(&cx.read_many(&PREDICTIONS)?)?)
    }
}

/// What is known of one image so far.
struct Sum {
    label: u32,
    times: u32,
    probabilities: Vec<f64>,
}

/// The predictions of all `folds` in one table, sorted by id.
///
/// # Errors
/// When one is not of a held-out fold, when they are of different classes, or when not every image
/// is predicted equally often.
pub fn join(folds: &[Named<Predictions>]) -> anyhow::Result<OutOfFold> {
    let first = folds.first().context("there are no predictions to join")?;
    let mut sums: BTreeMap<&str, Sum> = BTreeMap::new();
    for Named { stage, value: fold, .. } in folds {
        fold.check().with_context(|| format!("the predictions of `{stage}`"))?;
        ensure!(
            fold.split == Split::HeldOut,
            "`{stage}` predicts the {} split, which its network may have seen (connect predictions on `held_out` of \
             `kfold`)",
            fold.split
        );
        ensure!(
            fold.classes == first.value.classes,
            "`{}` and `{stage}` know different classes: {} and {} (train every fold on the same classes)",
            first.stage,
            first.value.classes.join(", "),
            fold.classes.join(", ")
        );
        for (i, (id, &label)) in fold.ids.iter().zip(&fold.labels).enumerate() {
            let new = || Sum { label, times: 0, probabilities: vec![0.0; fold.classes.len()] };
            let sum = sums.entry(id).or_insert_with(new);
            ensure!(
                sum.label == label,
                "image `{id}` is `{}` in one fold and `{}` in `{stage}` (part one manifest into all folds)",
                first.value.classes[sum.label as usize],
                fold.classes[label as usize]
            );
            sum.times += 1;
            sum.probabilities.iter_mut().zip(fold.row(i)).for_each(|(sum, &p)| *sum += f64::from(p));
        }
    }
    let repeats = equally_often(&sums)?;
    let mean =
        |sum: &Sum| sum.probabilities.iter().map(|p| (p / f64::from(repeats)) as f32).collect::<Vec<_>>();
    let joined = OutOfFold {
        classes: first.value.classes.clone(),
        repeats,
        ids: sums.keys().map(|id| (*id).to_owned()).collect(),
        labels: sums.values().map(|sum| sum.label).collect(),
        probabilities: sums.values().flat_map(mean).collect(),
    };
    joined.check()?;
    Ok(joined)
}

/// How often every image was predicted.
fn equally_often(sums: &BTreeMap<&str, Sum>) -> anyhow::Result<u32> {
    let most = sums.values().map(|sum| sum.times).max().context("the predictions are of no image")?;
    let fewer: Vec<(&str, u32)> =
        sums.iter().filter(|(_, sum)| sum.times < most).map(|(id, sum)| (*id, sum.times)).collect();
    if fewer.is_empty() {
        return Ok(most);
    }
    let named: Vec<String> =
        fewer.iter().take(NAMED).map(|(id, times)| format!("`{id}` ({times})")).collect();
    let more = fewer.len().saturating_sub(NAMED);
    bail!(
        "{} of {} images are predicted less often than the {most} times of the others: {}{} (connect every fold of \
         every repeat, each once)",
        fewer.len(),
        sums.len(),
        named.join(", "),
        if more > 0 { format!(" and {more} more") } else { String::new() }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(stage: &str, images: &[(&str, u32, f32)]) -> Named<Predictions> {
        let value = Predictions {
            classes: vec!["cat".into(), "dog".into()],
            split: Split::HeldOut,
            ids: images.iter().map(|image| image.0.to_owned()).collect(),
            labels: images.iter().map(|image| image.1).collect(),
            probabilities: images.iter().flat_map(|image| [image.2, 1.0 - image.2]).collect(),
        };
        Named { stage: stage.to_owned(), fingerprint: String::new(), value }
    }

    fn error(folds: &[Named<Predictions>]) -> String {
        join(folds).unwrap_err().to_string()
    }

    #[test]
    fn folds_are_joined_by_id_and_repeats_averaged() {
        let folds = [
            fold("p@0", &[("b", 1, 0.25)]),
            fold("p@1", &[("a", 0, 1.0)]),
            fold("p@2", &[("a", 0, 0.5), ("b", 1, 0.75)]),
        ];
        let joined = join(&folds).unwrap();
        assert_eq!((joined.ids.clone(), joined.labels.clone()), (vec!["a".into(), "b".into()], vec![0, 1]));
        assert_eq!((joined.repeats, joined.probabilities.clone()), (2, vec![0.75, 0.25, 0.5, 0.5]));
        // The order of the folds has no say.
        let [a, b, c] = folds;
        assert_eq!(join(&[c, b, a]).unwrap(), joined);
    }

    #[test]
    fn predictions_that_the_network_was_fitted_on_are_refused() {
        for split in [Split::All, Split::Train, Split::Val, Split::Test] {
            let mut wrong = fold("p@1", &[("a", 0, 0.5)]);
            wrong.value.split = split;
            let message = error(&[fold("p@0", &[("b", 0, 0.5)]), wrong]);
            assert!(message.contains("`p@1`") && message.contains("held_out"), "{message}");
        }
    }

    #[test]
    fn a_fold_that_is_missing_or_there_twice_is_refused_by_its_images() {
        let folds =
            [fold("p@0", &[("a", 0, 0.5)]), fold("p@1", &[("b", 0, 0.5)]), fold("p@1", &[("b", 0, 0.5)])];
        let message = error(&folds);
        assert!(message.contains("1 of 2 images") && message.contains("`a` (1)"), "{message}");
    }

    #[test]
    fn other_classes_or_labels_are_refused_with_both() {
        let mut other = fold("p@1", &[("b", 0, 0.5)]);
        other.value.classes[1] = "cow".into();
        let message = error(&[fold("p@0", &[("a", 0, 0.5)]), other]);
        assert!(message.contains("dog") && message.contains("cow"), "{message}");
        let message = error(&[fold("p@0", &[("a", 0, 0.5)]), fold("p@1", &[("a", 1, 0.5)])]);
        assert!(message.contains("`a` is `cat` in one fold and `dog` in `p@1`"), "{message}");
    }
}
