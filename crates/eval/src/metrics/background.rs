//! What is seen where there is nothing: false positives on the background class.

use serde::{Deserialize, Serialize};

use super::MetricsError;
use super::classification::Counts;
use super::interval::{Interval, wilson};

/// How often something is seen where there is nothing, and nothing where there is something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackgroundMetrics {
    /// The background class.
    pub class: String,
    /// The number of background images.
    pub n: u64,
    /// How many of them were taken for another class.
    pub false_positives: u64,
    /// That as a share of the background images; 0 when there are none.
    pub false_positive_rate: f64,
    /// The 95 % Wilson score interval of the share.
    pub interval: Interval,
    /// What they were taken for, the most frequent first.
    pub taken_for: Vec<TakenFor>,
    /// How many images of other classes were taken for background.
    pub missed: u64,
    /// That as a share of the images of other classes; 0 when there are none.
    pub miss_rate: f64,
}

/// What background was taken for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakenFor {
    /// The class.
    pub class: String,
    /// How many times.
    pub count: u64,
}

/// The numbers of the background class called `name`.
///
/// # Errors
/// When there is no such class.
pub fn background(
    counts: &Counts,
    classes: &[String],
    name: &str,
) -> Result<BackgroundMetrics, MetricsError> {
    let index = classes.iter().position(|class| class == name).ok_or_else(|| {
        let names: Vec<String> = classes.iter().map(|class| format!("`{class}`")).collect();
        MetricsError::NoSuchClass { class: name.to_owned(), classes: names.join(", ") }
    })?;
    let row = &counts.confusion[index];
    let n: u64 = row.iter().sum();
    let false_positives = n - row[index];
    let others = counts.n - n;
    let missed = counts.confusion.iter().map(|row| row[index]).sum::<u64>() - row[index];
    let mut taken_for: Vec<TakenFor> = classes
        .iter()
        .zip(row)
        .enumerate()
        .filter(|(class, (_, count))| *class != index && **count > 0)
        .map(|(_, (class, &count))| TakenFor { class: class.clone(), count })
        .collect();
    taken_for.sort_by_key(|taken| std::cmp::Reverse(taken.count));
    let share = |part: u64, of: u64| part as f64 / of.max(1) as f64;
    Ok(BackgroundMetrics {
        class: name.to_owned(),
        n,
        false_positives,
        false_positive_rate: share(false_positives, n),
        interval: wilson(false_positives, n),
        taken_for,
        missed,
        miss_rate: share(missed, others),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn false_positives_are_background_that_was_taken_for_something() {
        let confusion = vec![vec![50, 3, 7], vec![2, 8, 0], vec![4, 1, 25]];
        let counts = Counts { n: 100, confusion };
        let classes = ["background", "car", "dog"].map(str::to_owned);
        let found = background(&counts, &classes, "background").unwrap();
        assert_eq!((found.n, found.false_positives, found.missed), (60, 10, 6));
        assert!((found.false_positive_rate - 1.0 / 6.0).abs() < 1e-15);
        assert!((found.miss_rate - 0.15).abs() < 1e-15);
        // scipy.stats.binomtest(10, 60).proportion_ci(method="wilson").
        assert!((found.interval.low - 0.093_131_77).abs() < 1e-6, "{:?}", found.interval);
        assert!((found.interval.high - 0.280_316_13).abs() < 1e-6, "{:?}", found.interval);
        let taken: Vec<_> = found.taken_for.iter().map(|t| (t.class.as_str(), t.count)).collect();
        assert_eq!(taken, [("dog", 7), ("car", 3)]);
        let error = background(&counts, &classes, "nothing").unwrap_err().to_string();
        assert!(error.contains("`nothing`") && error.contains("`car`"), "{error}");
    }

    #[test]
    fn a_split_without_background_has_no_false_positives() {
        let counts = Counts { n: 5, confusion: vec![vec![0, 0], vec![1, 4]] };
        let found = background(&counts, &["none", "car"].map(str::to_owned), "none").unwrap();
        assert_eq!((found.n, found.false_positive_rate, found.missed), (0, 0.0, 1));
    }
}
