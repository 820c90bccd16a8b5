//! The learning rate of every step, as a function of the step alone.
//!
//! There is no state to save: a resumed run asks for the rate of the step it is at. Curves equal
//! `torch.optim.lr_scheduler`'s `StepLR`, `CosineAnnealingLR` and `LinearLR` in a `SequentialLR`,
//! stepped once a training step.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the learning rate changes after the warm-up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum ScheduleConfig {
    /// It stays as it is.
    Constant(Constant),
    /// It is multiplied by a factor every so many epochs.
    Step(Step),
    /// It falls along half a cosine until the last step (Loshchilov and Hutter 2017, without
    /// restarts).
    Cosine(Cosine),
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self::Cosine(Cosine::default())
    }
}

/// No change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Constant {}

/// A staircase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Step {
    /// How many epochs lie between two falls, above 0; fractions are allowed.
    #[schemars(range(min = 0.001, max = 100_000.0))]
    pub every_epochs: f64,
    /// The factor at each fall, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gamma: f64,
}

impl Default for Step {
    fn default() -> Self {
        Self { every_epochs: 5.0, gamma: 0.1 }
    }
}

/// Half a cosine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cosine {
    /// The learning rate at the end, 0 or above.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub min_lr: f64,
}

/// A linear rise to the learning rate at the start of the training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Warmup {
    /// How many epochs it lasts, 0 or above; fractions are allowed.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub epochs: f64,
    /// The first step's learning rate as a share of the full one, above 0 and at most 1.
    #[schemars(range(min = 1e-6, max = 1.0))]
    pub start: f64,
}

impl Default for Warmup {
    fn default() -> Self {
        Self { epochs: 1.0, start: 0.1 }
    }
}

/// A schedule laid over a training of known length.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    shape: ScheduleConfig,
    lr: f64,
    start: f64,
    warmup_steps: u64,
    steps_per_epoch: u64,
    total_steps: u64,
}

impl Schedule {
    /// `shape` behind `warmup` for `epochs` of `steps_per_epoch`, reaching `lr` at its height.
    pub fn new(shape: &ScheduleConfig, warmup: &Warmup, lr: f64, epochs: u64, steps_per_epoch: u64) -> Self {
        let total_steps = epochs * steps_per_epoch;
        let warmup_steps = (warmup.epochs * steps_per_epoch as f64).round() as u64;
        Self {
            shape: shape.clone(),
            lr,
            start: warmup.start,
            warmup_steps: warmup_steps.min(total_steps),
            steps_per_epoch,
            total_steps,
        }
    }

    /// The learning rate of `step`, counted from 0.
    pub fn at(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            let done = step as f64 / self.warmup_steps as f64;
            return self.lr * (self.start + (1.0 - self.start) * done);
        }
        let step = step - self.warmup_steps;
        match &self.shape {
            ScheduleConfig::Constant(_) => self.lr,
            ScheduleConfig::Step(Step { every_epochs, gamma }) => {
                let every = (every_epochs * self.steps_per_epoch as f64).round().max(1.0) as u64;
                let falls = i32::try_from(step / every).unwrap_or(i32::MAX);
                self.lr * gamma.powi(falls)
            }
            ScheduleConfig::Cosine(Cosine { min_lr }) => {
                let length = (self.total_steps - self.warmup_steps).max(1);
                let done = step.min(length) as f64 / length as f64;
                min_lr + (self.lr - min_lr) * (1.0 + (std::f64::consts::PI * done).cos()) / 2.0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equals_torch(case: &str, shape: &ScheduleConfig, warmup_epochs: f64) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/schedules.json");
        let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let theirs: Vec<f64> = serde_json::from_value(golden[case].clone()).unwrap();
        let warmup = Warmup { epochs: warmup_epochs, start: 0.1 };
        let ours = Schedule::new(shape, &warmup, 0.05, 6, 7);
        assert_eq!(theirs.len(), 42);
        for (step, theirs) in theirs.iter().enumerate() {
            let ours = ours.at(step as u64);
            assert!((ours - theirs).abs() < 1e-12, "step {step}: {ours} against {theirs}");
        }
    }

    #[test]
    fn constant_equals_torch() {
        equals_torch("constant", &ScheduleConfig::Constant(Constant {}), 0.0);
        equals_torch("constant_warmup", &ScheduleConfig::Constant(Constant {}), 1.5);
    }

    #[test]
    fn steps_equal_torch() {
        let shape = ScheduleConfig::Step(Step { every_epochs: 2.0, gamma: 0.3 });
        equals_torch("step", &shape, 0.0);
        equals_torch("step_warmup", &shape, 1.5);
    }

    #[test]
    fn cosine_equals_torch() {
        let shape = ScheduleConfig::Cosine(Cosine { min_lr: 0.002 });
        equals_torch("cosine", &shape, 0.0);
        equals_torch("cosine_warmup", &shape, 1.5);
    }

    #[test]
    fn a_warm_up_as_long_as_the_training_only_rises() {
        let warmup = Warmup { epochs: 10.0, start: 0.5 };
        let schedule = Schedule::new(&ScheduleConfig::default(), &warmup, 1.0, 2, 5);
        assert!((0..9).all(|step| schedule.at(step) < schedule.at(step + 1)));
        assert!(schedule.at(9) < 1.0);
    }
}
