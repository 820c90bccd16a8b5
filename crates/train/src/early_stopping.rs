//! Which epoch is the best so far, and when to stop waiting for a better one.
//!
//! Does not measure and does not keep weights.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The number on the validation images by which epochs are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Monitor {
    /// The share of images whose class is found: the larger, the better.
    #[default]
    ValTop1,
    /// The mean F1 of the classes: the larger, the better.
    ValMacroF1,
    /// The loss without smoothing or weights: the smaller, the better.
    ValLoss,
}

impl Monitor {
    /// The name as in the history.
    pub fn name(self) -> &'static str {
        match self {
            Self::ValTop1 => "val_top1",
            Self::ValMacroF1 => "val_macro_f1",
            Self::ValLoss => "val_loss",
        }
    }

    /// Which direction is better.
    pub fn mode(self) -> Mode {
        match self {
            Self::ValTop1 | Self::ValMacroF1 => Mode::Max,
            Self::ValLoss => Mode::Min,
        }
    }
}

/// Which direction of a number is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The smaller.
    Min,
    /// The larger.
    Max,
}

/// When to give up waiting for a better epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStopping {
    /// How many epochs without an improvement are waited, 1 or more: the training stops after the
    /// last of them.
    #[schemars(range(min = 1, max = 100_000))]
    pub patience: u64,
    /// By how much the metric must get better to count as an improvement, 0 or above.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub min_delta: f64,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self { patience: 5, min_delta: 0.0 }
    }
}

/// The best epoch so far and how long ago the last improvement was. Saved with every resume point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    mode: Mode,
    best: Option<Best>,
    /// What an improvement is measured against: `best`, except for gains below `min_delta`.
    reference: Option<f64>,
    /// Epochs since the last improvement by at least `min_delta`.
    waited: u64,
}

/// The best epoch so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// The epoch, from 1.
    pub epoch: u64,
    /// Its metric.
    pub value: f64,
    /// Its validation loss, which decides between equal metrics.
    pub val_loss: f64,
}

impl Progress {
    /// Nothing seen yet.
    pub fn new(mode: Mode) -> Self {
        Self { mode, best: None, reference: None, waited: 0 }
    }

    /// The best epoch so far.
    pub fn best(&self) -> Option<Best> {
        self.best
    }

    /// Takes an epoch's result; true when it is the best so far.
    pub fn take(&mut self, now: Best, min_delta: f64) -> bool {
        let improved = self.reference.is_none_or(|old| self.gain(old, now.value) > min_delta);
        if improved {
            self.reference = Some(now.value);
            self.waited = 0;
        } else {
            self.waited += 1;
        }
        let better = self.best.is_none_or(|old| {
            let gain = self.gain(old.value, now.value);
            gain > 0.0 || (gain == 0.0 && now.val_loss < old.val_loss)
        });
        if better {
            self.best = Some(now);
        }
        better
    }

    /// Whether `rule` says to stop now.
    pub fn stops(&self, rule: &EarlyStopping) -> bool {
        self.waited >= rule.patience
    }

    fn gain(&self, old: f64, new: f64) -> f64 {
        match self.mode {
            Mode::Min => old - new,
            Mode::Max => new - old,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds a scripted metric; returns the epoch after which it stops and the best epoch.
    fn script(mode: Mode, patience: u64, min_delta: f64, values: &[f64]) -> (Option<u64>, u64) {
        let rule = EarlyStopping { patience, min_delta };
        let mut progress = Progress::new(mode);
        for (epoch, &value) in (1..).zip(values) {
            progress.take(Best { epoch, value, val_loss: 1.0 }, min_delta);
            // As after a kill: what is saved is all there is.
            let saved = serde_json::to_string(&progress).unwrap();
            progress = serde_json::from_str(&saved).unwrap();
            if progress.stops(&rule) {
                return (Some(epoch), progress.best().unwrap().epoch);
            }
        }
        (None, progress.best().unwrap().epoch)
    }

    #[test]
    fn a_scripted_loss_stops_at_the_right_epoch() {
        let losses = [1.0, 0.8, 0.7, 0.75, 0.71, 0.69, 0.72, 0.73, 0.70, 0.6];
        assert_eq!(script(Mode::Min, 3, 0.0, &losses), (Some(9), 6));
        assert_eq!(script(Mode::Min, 2, 0.0, &losses), (Some(5), 3));
        assert_eq!(script(Mode::Min, 4, 0.0, &losses), (None, 10));
    }

    #[test]
    fn a_gain_of_min_delta_or_less_is_waited_through_but_still_the_best() {
        let losses = [1.0, 0.99, 0.98, 0.97];
        assert_eq!(script(Mode::Min, 3, 0.05, &losses), (Some(4), 4));
        // Small gains add up against the last real improvement.
        let losses = [1.0, 0.97, 0.94, 0.91, 0.88];
        assert_eq!(script(Mode::Min, 3, 0.05, &losses), (None, 5));
    }

    #[test]
    fn a_rising_accuracy_never_stops_and_a_flat_one_does() {
        assert_eq!(script(Mode::Max, 1, 0.0, &[0.1, 0.2, 0.3]), (None, 3));
        assert_eq!(script(Mode::Max, 2, 0.0, &[0.5, 0.5, 0.5, 0.9]), (Some(3), 1));
    }

    #[test]
    fn between_equal_metrics_the_lower_loss_is_better() {
        let mut progress = Progress::new(Mode::Max);
        assert!(progress.take(Best { epoch: 1, value: 0.9, val_loss: 0.5 }, 0.0));
        assert!(progress.take(Best { epoch: 2, value: 0.9, val_loss: 0.4 }, 0.0));
        assert!(!progress.take(Best { epoch: 3, value: 0.9, val_loss: 0.4 }, 0.0));
        assert_eq!(progress.best().unwrap().epoch, 2);
    }
}
