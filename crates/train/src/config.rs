//! The params of the kind `train`: everything a training depends on besides its images and seed.

use peregrine_augment::Sampler;
use peregrine_models::{ModelConfig, Precision};
use peregrine_pipeline::ParamProblem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::early_stopping::{EarlyStopping, Monitor};
use crate::loss::LossConfig;
use crate::optim::OptimizerConfig;
use crate::schedule::{ScheduleConfig, Warmup};
use crate::transfer::Transfer;

/// Trains a network on the training images, measures it on the validation images after every
/// epoch and keeps the best weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// The network.
    pub model: ModelConfig,
    /// How often every training image is seen, 1 or more.
    #[schemars(range(min = 1, max = 100_000))]
    pub epochs: u64,
    /// How many images make a step, 1 or more.
    #[schemars(range(min = 1, max = 65_536))]
    pub batch_size: usize,
    /// In which order the training images are seen: `shuffle`, or `balanced` for as many of each
    /// class.
    #[serde(skip_serializing_if = "Sampler::is_default")]
    pub sampler: Sampler,
    /// How gradients become new weights, and the learning rate.
    pub optimizer: OptimizerConfig,
    /// How the learning rate changes from step to step.
    pub schedule: ScheduleConfig,
    /// How the learning rate rises at the start.
    pub warmup: Warmup,
    /// What is minimised.
    pub loss: LossConfig,
    /// The largest norm of all gradients together that a step takes, above 0; longer ones are
    /// shortened to it. Absent: any.
    #[schemars(range(min = 1e-6, max = 1e6))]
    pub clip_grad_norm: Option<f64>,
    /// The numbers that the large products are computed in: `f32`, or `bf16`, about half as long,
    /// on the device `libtorch`.
    #[serde(skip_serializing_if = "Precision::is_default")]
    pub precision: Precision,
    /// How the network of the input `init` is fine-tuned. Absent: all of it at one rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Transfer>,
    /// The number by which epochs are compared, for `early_stopping` and `keep`.
    pub metric: Monitor,
    /// When to stop before the last epoch. Absent: never.
    pub early_stopping: Option<EarlyStopping>,
    /// Which epoch's weights the output `checkpoint` holds.
    pub keep: Keep,
    /// How many threads prepare batches ahead; 0 prepares them between the steps. Changes no
    /// result and is in no fingerprint.
    #[serde(skip_serializing)]
    #[schemars(range(min = 0, max = 1024))]
    pub workers: usize,
    /// After how many steps the training is saved for a resume, besides at every epoch's end and
    /// when it is interrupted; 0 is never. Changes no result and is in no fingerprint.
    #[serde(skip_serializing)]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub checkpoint_every_steps: u64,
}

/// Which weights leave a training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Those of the epoch with the best metric.
    #[default]
    Best,
    /// Those of the last epoch.
    Last,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            model: ModelConfig::default(),
            epochs: 10,
            batch_size: 64,
            sampler: Sampler::default(),
            optimizer: OptimizerConfig::default(),
            schedule: ScheduleConfig::default(),
            warmup: Warmup::default(),
            loss: LossConfig::default(),
            clip_grad_norm: None,
            precision: Precision::default(),
            transfer: None,
            metric: Monitor::default(),
            early_stopping: None,
            keep: Keep::default(),
            workers: 2,
            checkpoint_every_steps: 0,
        }
    }
}

impl TrainConfig {
    /// Problems that the schema can't express.
    pub fn problems(&self) -> Vec<ParamProblem> {
        let mut problems = Vec::new();
        let mut problem = |path: &str, message: String| {
            problems.push(ParamProblem::new(path, message));
        };
        if let OptimizerConfig::Sgd(sgd) = &self.optimizer
            && sgd.nesterov
            && (sgd.momentum == 0.0 || sgd.dampening != 0.0)
        {
            let message = format!(
                "nesterov needs a momentum above 0 and no dampening, not `{}` and `{}` (set \
                 `nesterov: false`)",
                sgd.momentum, sgd.dampening
            );
            problem("optimizer.nesterov", message);
        }
        if let ScheduleConfig::Cosine(cosine) = &self.schedule
            && cosine.min_lr > self.optimizer.lr()
        {
            let message = format!(
                "the cosine would rise from `{}` to `{}` (choose a `min_lr` below \
                 `optimizer.lr`)",
                self.optimizer.lr(),
                cosine.min_lr
            );
            problem("schedule.min_lr", message);
        }
        if let Some(Transfer { train_last: None, unfreeze_every: Some(_), .. }) = self.transfer {
            let message = "nothing is frozen at first (set `train_last`, 0 for the head alone)".to_owned();
            problem("transfer.unfreeze_every", message);
        }
        if self.warmup.epochs > self.epochs as f64 {
            let message = format!(
                "the warm-up of `{}` epochs is longer than the training of `{}` (shorten it)",
                self.warmup.epochs, self.epochs
            );
            problem("warmup.epochs", message);
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: serde_json::Value) -> Result<TrainConfig, serde_json::Error> {
        serde_json::from_value(json)
    }

    #[test]
    fn what_a_file_leaves_out_is_the_recommended_recipe() {
        let config = read(serde_json::json!({
            "model": { "name": "lenet5" },
            "optimizer": { "name": "adam" },
        }))
        .unwrap();
        assert_eq!((config.epochs, config.batch_size, config.optimizer.lr()), (10, 64, 0.001));
        assert_eq!(read(serde_json::json!({})).unwrap(), TrainConfig::default());
        assert!(TrainConfig::default().problems().is_empty());
    }

    #[test]
    fn unknown_keys_are_refused_at_every_depth() {
        for json in [
            serde_json::json!({ "epoch": 3 }),
            serde_json::json!({ "optimizer": { "name": "sgd", "beta1": 0.9 } }),
            serde_json::json!({ "optimizer": { "name": "adagrad" } }),
            serde_json::json!({ "schedule": { "name": "cosine", "gamma": 0.1 } }),
            serde_json::json!({ "loss": { "name": "cross_entropy", "smoothing": 0.1 } }),
            serde_json::json!({ "early_stopping": { "wait": 3 } }),
        ] {
            assert!(read(json.clone()).is_err(), "{json}");
        }
    }

    #[test]
    fn what_changes_no_result_is_read_but_not_written() {
        let config = read(serde_json::json!({ "workers": 7, "checkpoint_every_steps": 9 })).unwrap();
        assert_eq!((config.workers, config.checkpoint_every_steps), (7, 9));
        let json = serde_json::to_value(&config).unwrap();
        assert!(json.get("workers").is_none() && json.get("checkpoint_every_steps").is_none());
        assert_eq!(json, serde_json::to_value(TrainConfig::default()).unwrap());
    }

    #[test]
    fn the_usual_order_is_not_written_so_old_fingerprints_stay() {
        let json = |text| serde_json::to_value(read(text).unwrap()).unwrap();
        assert!(json(serde_json::json!({ "sampler": { "name": "shuffle" } })).get("sampler").is_none());
        let balanced = serde_json::json!({ "sampler": { "name": "balanced" } });
        assert_eq!(json(balanced.clone())["sampler"], balanced["sampler"]);
    }

    #[test]
    fn params_that_contradict_each_other_are_named() {
        let config = read(serde_json::json!({
            "epochs": 2,
            "optimizer": { "name": "sgd", "lr": 0.01, "momentum": 0.0 },
            "schedule": { "name": "cosine", "min_lr": 0.1 },
            "warmup": { "epochs": 3.0 },
        }))
        .unwrap();
        let paths: Vec<String> = config.problems().into_iter().map(|p| p.path).collect();
        assert_eq!(paths, ["optimizer.nesterov", "schedule.min_lr", "warmup.epochs"]);
    }
}
