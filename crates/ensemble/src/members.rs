//! The members of an ensemble as one checked table: same classes, same images, same order.
//!
//! Knows no method; every method of this room starts from [`Members`].

use peregrine_data::Split;
use peregrine_eval::Predictions;
use peregrine_pipeline::Named;

/// Why predictions can't be combined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnsembleError {
    /// Nothing to combine.
    #[error("there are no predictions to combine (connect at least one at `{0}`)")]
    Empty(&'static str),
    /// Two members know different classes.
    #[error(
        "`{first}` and `{other}` know different classes: {detail} (train every member on the same classes)"
    )]
    Classes {
        /// The stage of the first member.
        first: String,
        /// The stage of the member that differs.
        other: String,
        /// Where they differ.
        detail: String,
    },
    /// Two members saw different images.
    #[error(
        "`{first}` and `{other}` are predictions on different images: {detail} (predict every member on the \
         same images)"
    )]
    Images {
        /// The stage of the first member.
        first: String,
        /// The stage of the member that differs.
        other: String,
        /// Where they differ.
        detail: String,
    },
    /// A member's table has holes or impossible numbers.
    #[error("the predictions of `{stage}` can't be used: {detail} (look at them with `peregrine show`)")]
    Broken {
        /// The stage.
        stage: String,
        /// What is wrong.
        detail: String,
    },
    /// Weights can only be fitted on `val`.
    #[error(
        "`{stage}` at `val` holds predictions on split `{split}`, and weights are fitted on `val` alone \
         (predict the val images and connect those)"
    )]
    NotVal {
        /// The stage.
        stage: String,
        /// The split that it predicted.
        split: String,
    },
    /// The lists at `predictions` and `val` don't pair up.
    #[error(
        "`predictions` has {members} members and `val` has {val} (list one `val` for each member, in the \
         same order)"
    )]
    Pairing {
        /// How many members.
        members: usize,
        /// How many `val` predictions.
        val: usize,
    },
    /// A `val` prediction was made from another checkpoint than its member.
    #[error(
        "member {position} is `{member}` (from `{member_source}`), but number {position} at `val` is `{val}` \
         (from `{val_source}`) (list `val` in the order of `predictions`)"
    )]
    Order {
        /// The position, from 1.
        position: usize,
        /// The member's stage.
        member: String,
        /// The stage that made the member's checkpoint.
        member_source: String,
        /// The `val` stage.
        val: String,
        /// The stage that made the checkpoint behind `val`.
        val_source: String,
    },
    /// The method needs `val`.
    #[error("method `weighted_mean` fits its weights on `val` (connect `val`, or use method `mean`)")]
    NeedsVal,
}

/// Predictions of several models on the same images.
#[derive(Debug, Clone, Copy)]
pub struct Members<'a> {
    all: &'a [Named<Predictions>],
}

impl<'a> Members<'a> {
    /// Checks that `all` (found at input `port`) agree on classes, ids and labels, and that every
    /// probability is a number in [0, 1].
    ///
    /// # Errors
    /// [`EnsembleError`] naming the two stages that disagree.
    pub fn check(all: &'a [Named<Predictions>], port: &'static str) -> Result<Self, EnsembleError> {
        let Some(first) = all.first() else { return Err(EnsembleError::Empty(port)) };
        for member in all {
            check_shape(member)?;
            check_classes(first, member)?;
            check_images(first, member)?;
        }
        Ok(Self { all })
    }

    /// How many members.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none; never true for checked members.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The members' stages, in order.
    pub fn names(&self) -> Vec<String> {
        self.all.iter().map(|member| member.stage.clone()).collect()
    }

    /// How many images.
    pub fn images(&self) -> usize {
        self.all[0].value.ids.len()
    }

    /// How many classes.
    pub fn classes(&self) -> usize {
        self.all[0].value.classes.len()
    }

    /// The true class of image `i`.
    pub fn label(&self, i: usize) -> usize {
        self.all[0].value.labels[i] as usize
    }

    /// The split of the images.
    pub fn split(&self) -> Split {
        self.all[0].value.split
    }

    /// The probabilities that member `j` gives image `i`.
    pub fn row(&self, j: usize, i: usize) -> &'a [f32] {
        let k = self.classes();
        &self.all[j].value.probabilities[i * k..(i + 1) * k]
    }

    /// The members' predictions with their probabilities replaced by `probabilities` (n × k).
    pub fn combined(&self, probabilities: Vec<f32>) -> Predictions {
        let first = &self.all[0].value;
        Predictions {
            classes: first.classes.clone(),
            split: first.split,
            ids: first.ids.clone(),
            labels: first.labels.clone(),
            probabilities,
        }
    }
}

/// The class with the highest probability; the lower id where two are equal.
pub fn top(row: &[f32]) -> usize {
    let mut best = 0;
    for (class, &p) in row.iter().enumerate() {
        if p > row[best] {
            best = class;
        }
    }
    best
}

fn check_shape(member: &Named<Predictions>) -> Result<(), EnsembleError> {
    let p = &member.value;
    let (n, k) = (p.ids.len(), p.classes.len());
    let broken = |detail: String| EnsembleError::Broken { stage: member.stage.clone(), detail };
    if n == 0 || k == 0 {
        return Err(broken(format!("{n} images and {k} classes")));
    }
    if p.labels.len() != n || p.probabilities.len() != n * k {
        return Err(broken(format!(
            "{n} images and {k} classes, but {} labels and {} probabilities",
            p.labels.len(),
            p.probabilities.len()
        )));
    }
    if let Some(i) = p.labels.iter().position(|&label| label as usize >= k) {
        return Err(broken(format!("image `{}` has label {} of {k} classes", p.ids[i], p.labels[i])));
    }
    let bad = |v: &f32| !(0.0..=1.0 + 1e-4).contains(v);
    match p.probabilities.iter().position(bad) {
        Some(at) => Err(broken(format!(
            "image `{}` has probability {} for `{}`",
            p.ids[at / k],
            p.probabilities[at],
            p.classes[at % k]
        ))),
        None => Ok(()),
    }
}

fn check_classes(first: &Named<Predictions>, other: &Named<Predictions>) -> Result<(), EnsembleError> {
    let (a, b) = (&first.value.classes, &other.value.classes);
    if a == b {
        return Ok(());
    }
    let detail = match a.iter().zip(b).position(|(x, y)| x != y) {
        Some(at) => format!("class {at} is `{}` and `{}`", a[at], b[at]),
        None => format!("{} and {}", a.len(), b.len()),
    };
    Err(EnsembleError::Classes { first: first.stage.clone(), other: other.stage.clone(), detail })
}

fn check_images(first: &Named<Predictions>, other: &Named<Predictions>) -> Result<(), EnsembleError> {
    let (a, b) = (&first.value, &other.value);
    let detail = if a.split != b.split {
        format!("splits `{}` and `{}`", a.split.name(), b.split.name())
    } else if a.ids.len() != b.ids.len() {
        format!("{} and {} images", a.ids.len(), b.ids.len())
    } else if let Some(at) = a.ids.iter().zip(&b.ids).position(|(x, y)| x != y) {
        format!("row {at} is `{}` and `{}`", a.ids[at], b.ids[at])
    } else if let Some(at) = a.labels.iter().zip(&b.labels).position(|(x, y)| x != y) {
        format!("image `{}` is labelled {} and {}", a.ids[at], a.labels[at], b.labels[at])
    } else {
        return Ok(());
    };
    Err(EnsembleError::Images { first: first.stage.clone(), other: other.stage.clone(), detail })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Predictions of stage `name` on images `0.png`, `1.png`, … of two or more classes.
    pub(crate) fn member(name: &str, labels: &[u32], rows: &[&[f32]]) -> Named<Predictions> {
        let value = Predictions {
            classes: (0..rows[0].len()).map(|class| format!("class {class}")).collect(),
            split: Split::Test,
            ids: (0..labels.len()).map(|i| format!("{i}.png")).collect(),
            labels: labels.to_vec(),
            probabilities: rows.concat(),
        };
        Named { stage: name.to_owned(), fingerprint: "f".repeat(64), value }
    }

    pub(crate) fn close(got: &[f32], expected: &[f32]) {
        assert_eq!(got.len(), expected.len());
        for (a, b) in got.iter().zip(expected) {
            assert!((a - b).abs() < 1e-6, "{got:?} is not {expected:?}");
        }
    }

    fn refusal(a: Named<Predictions>, b: Named<Predictions>) -> String {
        Members::check(&[a, b], "predictions").unwrap_err().to_string()
    }

    const ROWS: &[&[f32]] = &[&[0.5, 0.5], &[0.2, 0.8]];

    #[test]
    fn other_classes_are_refused_with_both_stages_and_the_class() {
        let mut other = member("predict_b", &[0, 1], ROWS);
        other.value.classes[1] = "boot".to_owned();
        let message = refusal(member("predict_a", &[0, 1], ROWS), other);
        assert_eq!(
            message,
            "`predict_a` and `predict_b` know different classes: class 1 is `class 1` and `boot` (train every \
             member on the same classes)"
        );
    }

    #[test]
    fn other_images_labels_or_splits_are_refused_with_the_row() {
        let first = || member("a", &[0, 1], ROWS);
        let mut ids = member("b", &[0, 1], ROWS);
        ids.value.ids[1] = "9.png".to_owned();
        assert!(refusal(first(), ids).contains("row 1 is `1.png` and `9.png`"));
        let labels = member("b", &[0, 0], ROWS);
        assert!(refusal(first(), labels).contains("image `1.png` is labelled 1 and 0"));
        let fewer = member("b", &[0], &ROWS[..1]);
        assert!(refusal(first(), fewer).contains("2 and 1 images"));
        let mut split = member("b", &[0, 1], ROWS);
        split.value.split = Split::Val;
        assert!(refusal(first(), split).contains("splits `test` and `val`"));
    }

    #[test]
    fn numbers_that_are_no_probabilities_are_refused() {
        let broken = member("b", &[0, 1], &[&[0.5, 0.5], &[f32::NAN, 0.8]]);
        assert!(refusal(member("a", &[0, 1], ROWS), broken).contains("probability NaN for `class 0`"));
        let label = member("b", &[0, 7], ROWS);
        assert!(refusal(member("a", &[0, 1], ROWS), label).contains("label 7 of 2 classes"));
        assert_eq!(Members::check(&[], "predictions").unwrap_err(), EnsembleError::Empty("predictions"));
    }
}
