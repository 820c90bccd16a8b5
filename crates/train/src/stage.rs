//! The kind `train`: images in, a checkpoint and a history out.

use std::sync::Arc;

use peregrine_augment::Policy;
use peregrine_data::{ClassWeights, ImageSet};
use peregrine_models::Checkpoint;
use peregrine_pipeline::{Input, OptionalInput, Output, ParamProblem, Port, Stage, StageContext, Uses};

use crate::config::TrainConfig;
use crate::fit::{Data, fit};
use crate::history::History;

const TRAIN: Input<ImageSet> = Input::new("train", "the images that are fitted");
const VAL: Input<ImageSet> = Input::new("val", "the images that decide between epochs");
const POLICY: OptionalInput<Policy> =
    OptionalInput::new("policy", "how training images are changed, and how all are normalized");
const CLASS_WEIGHTS: OptionalInput<ClassWeights> =
    OptionalInput::new("class_weights", "how much each class counts in the loss");
const INIT: OptionalInput<Checkpoint> =
    OptionalInput::new("init", "the weights to start from, instead of random ones");
const CHECKPOINT: Output<Checkpoint> =
    Output::new("checkpoint", "the trained network: the best epoch's, or as `keep` says");
const LAST: Output<Checkpoint> = Output::new("last", "the network after the last epoch");
const HISTORY: Output<History> = Output::new("history", "what happened in each epoch");

impl Stage for TrainConfig {
    const KIND: &'static str = "train";
    /// 1: first version. 2: other kernels compute networks on flex and LibTorch, whose last bits differ;
    /// with `init` and no `policy`, images are normalized as `init` expects. 3: on LibTorch narrow strided
    /// shortcuts go around a fault of oneDNN's gradients, and all layers run under torch's autograd.
    const VERSION: u32 = 3;
    const INPUTS: &'static [Port] =
        &[TRAIN.port(), VAL.port(), POLICY.port(), CLASS_WEIGHTS.port(), INIT.port()];
    const OUTPUTS: &'static [Port] = &[CHECKPOINT.port(), LAST.port(), HISTORY.port()];
    const USES: Uses = Uses::NOTHING.seed().device();

    fn check(&self) -> Vec<ParamProblem> {
        self.problems()
    }

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        let data = Data {
            train: Arc::new(cx.read(&TRAIN)?),
            val: Arc::new(cx.read(&VAL)?),
            policy: cx.read_optional(&POLICY)?,
            class_weights: cx.read_optional(&CLASS_WEIGHTS)?,
            init: cx.read_optional(&INIT)?,
        };
        let fitted = fit(&data, self, cx)?;
        cx.write(&CHECKPOINT, &fitted.checkpoint)?;
        cx.write(&LAST, &fitted.last)?;
        cx.write(&HISTORY, &fitted.history)
    }
}
