//! Wrong labels by confident learning: from labels as given and the probabilities of networks that
//! did not see the images to the labels that are likely wrong. Opens no file and changes no label.
//!
//! Northcutt, Jiang, Chuang: Confident Learning, JAIR 70 (2021): thresholds are equation 2, the
//! confident joint equation 1, its calibration equation 3, the prunings section 3.2. Tolerances,
//! roundings and the treatment of empty classes are those of cleanlab 2.9.0, whose index sets the
//! tests hold this file to; where cleanlab leaves the order of equal numbers to the sort, the first
//! image comes first here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::distributions::argmax;

/// How images whose labels are likely wrong are told from the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LabelFilter {
    /// For each pair of classes as many images as the joint says, those with the largest margin.
    #[default]
    PruneByNoiseRate,
    /// For each class as many images as the joint says, those with the least own probability.
    PruneByClass,
    /// What both prunings flag.
    Both,
    /// What the confident joint counts for another class than the given one.
    ConfidentLearning,
    /// What is predicted as another class.
    PredictedNeqGiven,
    /// The images with the least normalized margin, as many as `confident_learning` flags.
    LowNormalizedMargin,
    /// The images with the least own probability, as many as `confident_learning` flags.
    LowSelfConfidence,
}

impl LabelFilter {
    /// Every filter.
    pub const ALL: [Self; 7] = [
        Self::PruneByNoiseRate,
        Self::PruneByClass,
        Self::Both,
        Self::ConfidentLearning,
        Self::PredictedNeqGiven,
        Self::LowNormalizedMargin,
        Self::LowSelfConfidence,
    ];

    /// The name in files: `prune_by_noise_rate`.
    pub fn name(self) -> &'static str {
        match self {
            Self::PruneByNoiseRate => "prune_by_noise_rate",
            Self::PruneByClass => "prune_by_class",
            Self::Both => "both",
            Self::ConfidentLearning => "confident_learning",
            Self::PredictedNeqGiven => "predicted_neq_given",
            Self::LowNormalizedMargin => "low_normalized_margin",
            Self::LowSelfConfidence => "low_self_confidence",
        }
    }
}

/// How right a label looks, from 0 to 1, where 1 is right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LabelQuality {
    /// The probability of the given class.
    #[default]
    SelfConfidence,
    /// That minus the largest other probability, moved into 0..1.
    NormalizedMargin,
    /// From the entropy over the probability of the given class.
    ConfidenceWeightedEntropy,
}

/// Labels as given with the probabilities beside them.
#[derive(Debug, Clone, Copy)]
pub struct Labelled<'a> {
    /// How many classes there are, at least 1.
    pub classes: usize,
    /// The given class of each image.
    pub labels: &'a [u32],
    /// `labels.len() × classes` probabilities, row by row.
    pub probabilities: &'a [f32],
}

/// Slack of comparisons of probabilities.
const SLACK: f64 = 1e-6;
/// The least threshold of a class.
const LEAST_THRESHOLD: f64 = 2.0 * SLACK;
/// The threshold of a class without images: none is confidently of it.
const NEVER: f64 = 2.0;
/// How many images each class keeps at least.
const KEPT_PER_CLASS: i64 = 1;

/// What confident learning counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Joint {
    /// The mean own probability of each class's images: above it, an image is confidently of it.
    pub thresholds: Vec<f64>,
    /// `classes × classes` estimated numbers of images, given class × true class, calibrated so that
    /// each row sums to the number of images of the given class.
    pub counts: Vec<i64>,
    /// The images counted for another class than the given one, in order.
    pub off_diagonal: Vec<usize>,
}

impl<'a> Labelled<'a> {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn row(&self, image: usize) -> &'a [f32] {
        &self.probabilities[image * self.classes..(image + 1) * self.classes]
    }

    fn label(&self, image: usize) -> usize {
        self.labels[image] as usize
    }

    fn p(&self, image: usize, class: usize) -> f64 {
        f64::from(self.probabilities[image * self.classes + class])
    }

    /// The images of `class` as given.
    fn of_class(&self, class: usize) -> Vec<usize> {
        (0..self.len()).filter(|&image| self.label(image) == class).collect()
    }

    fn class_counts(&self) -> Vec<i64> {
        let mut counts = vec![0; self.classes];
        self.labels.iter().for_each(|&label| counts[label as usize] += 1);
        counts
    }

    /// Whether the given class is the most probable one, or within the slack of it.
    fn agrees(&self, image: usize) -> bool {
        let label = self.label(image);
        let given = self.p(image, label) + SLACK;
        (0..self.classes).all(|class| {
            let other = self.p(image, class);
            class == label || if class < label { other < given } else { other <= given }
        })
    }

    /// Which images' labels are likely wrong, as `filter` tells them.
    pub fn issues(&self, filter: LabelFilter) -> Vec<bool> {
        let joint = self.joint();
        let confident = |agree: bool| {
            let mut flags = vec![false; self.len()];
            joint.off_diagonal.iter().for_each(|&image| flags[image] = agree || !self.agrees(image));
            flags
        };
        let lowest = |scores: Vec<f64>| {
            let mut order: Vec<usize> = (0..self.len()).collect();
            order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
            let count = confident(false).into_iter().filter(|flag| *flag).count();
            let mut flags = vec![false; self.len()];
            order.into_iter().take(count).for_each(|image| flags[image] = true);
            flags
        };
        let mut flags = match filter {
            LabelFilter::LowNormalizedMargin => return lowest(self.quality(LabelQuality::NormalizedMargin)),
            LabelFilter::LowSelfConfidence => return lowest(self.quality(LabelQuality::SelfConfidence)),
            LabelFilter::PruneByNoiseRate => self.prune_by_noise_rate(&joint),
            LabelFilter::PruneByClass => self.prune_by_class(&joint),
            LabelFilter::Both => {
                let (a, b) = (self.prune_by_noise_rate(&joint), self.prune_by_class(&joint));
                a.into_iter().zip(b).map(|(a, b)| a && b).collect()
            }
            LabelFilter::ConfidentLearning => confident(true),
            LabelFilter::PredictedNeqGiven => {
                (0..self.len()).map(|image| argmax(self.row(image)) != self.label(image)).collect()
            }
        };
        for (image, flag) in flags.iter_mut().enumerate() {
            *flag &= !self.agrees(image);
        }
        flags
    }

    /// How right each label looks.
    pub fn quality(&self, quality: LabelQuality) -> Vec<f64> {
        let score = |image: usize| {
            let own = self.p(image, self.label(image));
            match quality {
                LabelQuality::SelfConfidence => own,
                LabelQuality::NormalizedMargin => {
                    let others = (0..self.classes).filter(|&class| class != self.label(image));
                    let largest = others.map(|class| self.p(image, class)).fold(0.0, f64::max);
                    f64::midpoint(own - largest, 1.0)
                }
                LabelQuality::ConfidenceWeightedEntropy => {
                    let term = |&p: &f32| if p > 0.0 { f64::from(p) * f64::from(p).ln() } else { 0.0 };
                    let entropy = -self.row(image).iter().map(term).sum::<f64>();
                    let weighted = entropy / (self.classes.max(2) as f64).ln() / own.max(SLACK);
                    (weighted + 1.0).ln() / weighted.max(SLACK)
                }
            }
        };
        (0..self.len()).map(score).collect()
    }

    /// The mean own probability of each class's images.
    fn thresholds(&self) -> Vec<f64> {
        let threshold = |class: usize| {
            let own: Vec<f64> = self.of_class(class).into_iter().map(|image| self.p(image, class)).collect();
            if own.is_empty() { NEVER } else { (sum(&own) / own.len() as f64).max(LEAST_THRESHOLD) }
        };
        (0..self.classes).map(threshold).collect()
    }

    /// The estimated numbers of images, given class × true class.
    pub fn joint(&self) -> Joint {
        let k = self.classes;
        let thresholds = self.thresholds();
        let mut counts = vec![0_i64; k * k];
        let mut off_diagonal = Vec::new();
        for image in 0..self.len() {
            let mut confident = (0..k).filter(|&class| self.p(image, class) >= thresholds[class] - SLACK);
            let Some(first) = confident.next() else { continue };
            let guess = if confident.next().is_some() { argmax(self.row(image)) } else { first };
            counts[self.label(image) * k + guess] += 1;
            if guess != self.label(image) {
                off_diagonal.push(image);
            }
        }
        // Every class has one image that is rightly labelled.
        (0..k).for_each(|class| counts[class * k + class] = counts[class * k + class].max(1));
        let counts = calibrated(&counts, &self.class_counts());
        Joint { thresholds, counts, off_diagonal }
    }

    /// Flags of the images of each class, where it has more than it must keep.
    fn prune(&self, flag: impl Fn(usize, &[usize], &mut [bool])) -> Vec<bool> {
        let mut flags = vec![false; self.len()];
        for class in 0..self.classes {
            let images = self.of_class(class);
            if images.len() as i64 > KEPT_PER_CLASS {
                flag(class, &images, &mut flags);
            }
        }
        flags
    }

    fn prune_by_class(&self, joint: &Joint) -> Vec<bool> {
        self.prune(|given, images, flags| {
            let right = joint.counts[given * self.classes + given].max(KEPT_PER_CLASS);
            let wrong = usize::try_from(images.len() as i64 - right).unwrap_or(0);
            let mut order = images.to_vec();
            order.sort_by(|&a, &b| self.p(a, given).total_cmp(&self.p(b, given)));
            order.into_iter().take(wrong).for_each(|image| flags[image] = true);
        })
    }

    fn prune_by_noise_rate(&self, joint: &Joint) -> Vec<bool> {
        self.prune(|given, images, flags| {
            for (truth, &count) in pruned(joint, given, self.classes).iter().enumerate() {
                if truth == given || count == 0 {
                    continue;
                }
                let margin = |image: usize| self.p(image, truth) - self.p(image, given);
                let mut order = images.to_vec();
                order.sort_by(|&a, &b| margin(b).total_cmp(&margin(a)));
                order.into_iter().take(count).for_each(|image| flags[image] = true);
            }
        })
    }
}

/// How many images of `given` are pruned for each other class: those of the joint, fewer where the
/// class would not keep what it must.
fn pruned(joint: &Joint, given: usize, k: usize) -> Vec<usize> {
    let row = &joint.counts[given * k..(given + 1) * k];
    let short = (KEPT_PER_CLASS - row[given]).max(0) as f64;
    let filled = row.iter().filter(|count| **count != 0).count() as f64;
    let less = short / (filled - 1.0).max(1.0);
    row.iter().map(|&count| (count as f64 - less).max(0.0) as usize).collect()
}

/// `counts` (given × true) scaled so that each row sums to the number of images of the given class.
fn calibrated(counts: &[i64], of_class: &[i64]) -> Vec<i64> {
    let k = of_class.len();
    let row_sum = |given: usize| counts[given * k..(given + 1) * k].iter().sum::<i64>() as f64;
    let scaled: Vec<f64> =
        (0..k * k).map(|cell| counts[cell] as f64 / row_sum(cell / k) * of_class[cell / k] as f64).collect();
    // By true class, as it is summed where it comes from: a different rounding could tip a half.
    let by_truth: Vec<f64> = (0..k * k).map(|cell| scaled[cell % k * k + cell / k]).collect();
    let (total, images) = (sum(&by_truth).max(f64::MIN_POSITIVE), of_class.iter().sum::<i64>() as f64);
    scaled
        .chunks(k.max(1))
        .flat_map(|row| rounded(&row.iter().map(|value| value / total * images).collect::<Vec<_>>()))
        .collect()
}

/// `values` as whole numbers of the same sum: what was rounded the farthest goes the other way.
fn rounded(values: &[f64]) -> Vec<i64> {
    let mut whole: Vec<f64> = values.iter().map(|value| value.round_ties_even()).collect();
    let wanted = sum(values).round_ties_even();
    loop {
        let missing = wanted - whole.iter().sum::<f64>();
        if values.is_empty() || missing.is_nan() || missing.abs() <= SLACK {
            return whole.into_iter().map(|value| value as i64).collect();
        }
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| (values[a] - whole[a]).total_cmp(&(values[b] - whole[b])));
        if missing > 0.0 {
            order.reverse();
        }
        for index in order.into_iter().take(missing.abs() as usize) {
            whole[index] += missing.signum();
        }
    }
}

/// The sum in pairs, as numpy adds: eight sums side by side in blocks of up to 128.
fn sum(values: &[f64]) -> f64 {
    if values.len() > 128 {
        let half = values.len() / 2;
        let (head, tail) = values.split_at(half - half % 8);
        return sum(head) + sum(tail);
    }
    let (blocks, rest) = values.as_chunks::<8>();
    let Some((first, blocks)) = blocks.split_first() else { return rest.iter().sum() };
    let mut r = *first;
    for block in blocks {
        r.iter_mut().zip(block).for_each(|(sum, value)| *sum += value);
    }
    let eight = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    rest.iter().fold(eight, |sum, value| sum + value)
}

/// What the labels of a data set look like as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LabelHealth {
    /// How many images have predictions.
    pub judged: u64,
    /// The share of them that the joint estimates to be labelled wrongly.
    pub wrong: f64,
    /// Each class, in order.
    pub classes: Vec<ClassHealth>,
    /// The pairs of classes with at least one estimated confusion, the most first.
    pub pairs: Vec<ConfusedLabels>,
}

/// What the labels of one class look like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassHealth {
    /// The class.
    pub class: String,
    /// How many images have it as given.
    pub given: u64,
    /// The estimated share of those that are of another class.
    pub wrong: f64,
    /// The estimated share of the class's true images that are given as another class.
    pub missed: f64,
}

/// Images of one class under the label of another, by estimate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfusedLabels {
    /// The given class.
    pub given: String,
    /// The true class.
    pub truth: String,
    /// How many.
    pub images: u64,
}

impl LabelHealth {
    /// For people: a line a class, and the pairs that are confused the most.
    pub fn text(&self) -> String {
        use std::fmt::Write as _;
        let mut text =
            format!("labels: {:.1} % of {} estimated to be wrong\n", 100.0 * self.wrong, self.judged);
        let width = self.classes.iter().map(|class| class.class.chars().count()).max().unwrap_or(0).max(5);
        let _ = writeln!(text, "  {:<width$}    given   wrong  missed", "class");
        for class in &self.classes {
            let (wrong, missed) = (100.0 * class.wrong, 100.0 * class.missed);
            let _ = writeln!(
                text,
                "  {:<width$}  {:>7}  {wrong:4.1} %  {missed:4.1} %",
                class.class, class.given
            );
        }
        for pair in self.pairs.iter().take(8) {
            let _ = writeln!(text, "  `{}` that is `{}`: {}", pair.given, pair.truth, pair.images);
        }
        text
    }

    /// The health of `data`, whose classes are called `names`.
    pub fn of(data: &Labelled<'_>, names: &[String]) -> Self {
        let k = data.classes;
        let counts = data.joint().counts;
        let share = |part: i64, of: i64| if of > 0 { part as f64 / of as f64 } else { 0.0 };
        let name = |class: usize| names.get(class).cloned().unwrap_or_default();
        let class = |class: usize| {
            let given: i64 = counts[class * k..(class + 1) * k].iter().sum();
            let truth: i64 = (0..k).map(|given| counts[given * k + class]).sum();
            let right = counts[class * k + class];
            ClassHealth {
                class: name(class),
                given: given.unsigned_abs(),
                wrong: share(given - right, given),
                missed: share(truth - right, truth),
            }
        };
        let right: i64 = (0..k).map(|class| counts[class * k + class]).sum();
        let all: i64 = counts.iter().sum();
        let mut pairs: Vec<(i64, usize)> = counts
            .iter()
            .copied()
            .zip(0..)
            .filter(|(count, cell)| *count > 0 && cell / k != cell % k)
            .collect();
        pairs.sort_by_key(|&(count, cell)| (std::cmp::Reverse(count), cell));
        let pair = |(count, cell): (i64, usize)| ConfusedLabels {
            given: name(cell / k),
            truth: name(cell % k),
            images: count.unsigned_abs(),
        };
        Self {
            judged: data.len() as u64,
            wrong: share(all - right, all),
            classes: (0..k).map(class).collect(),
            pairs: pairs.into_iter().map(pair).collect(),
        }
    }
}
