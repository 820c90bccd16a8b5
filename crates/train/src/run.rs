//! What changes over a training: the network, the optimizer, where it is and what it counted.

use burn::tensor::Tensor;
use peregrine_augment::HostBatch;
use peregrine_eval::predict::{logits, softmax};
use peregrine_eval::{Metrics, Predictions};
use peregrine_models::{Checkpoint, CheckpointMetric, Mode, Model};
use peregrine_pipeline::Cancelled;

use crate::config::Keep;
use crate::early_stopping::{Best, Monitor, Progress};
use crate::fit::{FitError, Fitted};
use crate::history::{EpochRow, GroupRate, History, Summary};
use crate::optim::Optimizer;
use crate::plan::{Plan, is_finite};
use crate::resume::{self, Position, Saved, State, Sums};

/// How many ids of a bad batch are named.
const NAMED: usize = 8;
/// How many validation images go through the network at once.
const VAL_BATCH: usize = 256;

/// What changes over a training.
pub(crate) struct Run {
    model: Model,
    optimizer: Optimizer,
    position: Position,
    sums: Sums,
    progress: Progress,
    epochs: Vec<EpochRow>,
    /// The weights of the best epoch so far.
    best: Option<Checkpoint>,
    /// Where the last save was made.
    saved_at: Option<Position>,
}

impl Run {
    /// Where an interrupted run of this training was, or the start.
    pub(crate) fn resumed(plan: &Plan) -> anyhow::Result<Self> {
        let mut optimizer = Optimizer::new(&plan.config.optimizer, plan.config.clip_grad_norm);
        let dir = plan.cx.resume_dir()?;
        let Some(saved) = resume::latest(dir, &plan.key)? else {
            return Ok(Self {
                model: plan.model()?,
                optimizer,
                position: Position { epoch: 1, step_in_epoch: 0, step: 0 },
                sums: Sums::default(),
                progress: Progress::new(plan.config.metric.mode()),
                epochs: Vec::new(),
                best: None,
                saved_at: None,
            });
        };
        let State { position, sums, progress, epochs, .. } = saved.state;
        tracing::info!(epoch = position.epoch, step = position.step, "training goes on");
        optimizer.load(saved.optimizer, &plan.device);
        Ok(Self {
            model: saved.model.model(&plan.autodiff)?,
            optimizer,
            position,
            sums,
            progress,
            epochs,
            best: saved.best,
            saved_at: Some(position),
        })
    }

    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// Whether every epoch was made, or early stopping ends the training.
    pub(crate) fn finished(&self, plan: &Plan) -> bool {
        self.position.epoch > plan.config.epochs || self.stops_early(plan)
    }

    fn stops_early(&self, plan: &Plan) -> bool {
        plan.config.early_stopping.as_ref().is_some_and(|rule| self.progress.stops(rule))
    }

    /// One step: forward, loss, backward, update.
    pub(crate) fn step(mut self, plan: &Plan, batch: HostBatch) -> anyhow::Result<Self> {
        let lr = plan.schedule.at(self.position.step);
        let seed = plan.seed("dropout").with(self.position.step);
        let wanted = wanted(&batch);
        let indices = batch.indices.clone();
        let batch = batch.to_device(&plan.device);
        let image_weights = plan.uses_image_weights.then(|| batch.weights.autodiff());

        let tape = self.model.tape(batch.images, &Mode::Train { seed });
        let logits = tape.logits.clone().autodiff().set_require_grad(true);
        let loss = plan.loss.of(logits.clone(), batch.targets.autodiff(), image_weights);
        let pulled = logits.grad_remove(&mut loss.backward());
        let gradients = pulled.map(|gradient| tape.backward(gradient)).unwrap_or_default();
        self = self.update(plan, gradients, lr);
        self.position.step += 1;
        self.position.step_in_epoch += 1;

        // The only numbers that leave the device, once everything else is on its way.
        let loss = loss.inner().into_scalar::<f32>();
        if !loss.is_finite() {
            let Position { epoch, step, .. } = self.position;
            let images = names(&plan.data.train.ids, &indices);
            return Err(FitError::Diverged { loss, step, epoch, lr, images }.into());
        }
        let logits: Vec<f32> = logits.inner().into_data().iter::<f32>().collect();
        let rows = logits.chunks_exact(logits.len() / wanted.len());
        self.sums.hits += rows.zip(&wanted).filter(|(row, want)| argmax(row) == **want).count() as u64;
        self.sums.images += wanted.len() as u64;
        self.sums.loss += f64::from(loss) * wanted.len() as f64;
        Ok(self)
    }

    /// New weights from gradients.
    fn update(mut self, plan: &Plan, mut gradients: Vec<Option<Tensor<1>>>, lr: f64) -> Self {
        let Some(tuning) = &plan.tuning else {
            self.model = self.optimizer.step(self.model, gradients, |_| lr);
            return self;
        };
        tuning.pull(&self.model, &mut gradients);
        let head = self.model.graph().blocks.len() - 1;
        self.model = self.optimizer.step(self.model, gradients, |info| lr * tuning.share(head - info.block));
        self
    }

    /// Freezes and frees what the running epoch asks for.
    pub(crate) fn begin_epoch(&mut self, plan: &Plan) {
        self.model = self.model.clone().with_precision(plan.config.precision);
        if let Some(tuning) = &plan.tuning {
            let Position { epoch, step, .. } = self.position;
            tuning.prepare(&mut self.model, epoch);
            let groups = tuning.groups(&self.model, epoch, plan.schedule.at(step));
            let rates: Vec<String> = groups.iter().map(GroupRate::text).collect();
            tracing::info!(epoch, rates = rates.join(", "), "learning rates");
        }
    }

    /// Says how far the training is.
    pub(crate) fn report(&self, plan: &Plan) {
        let Position { epoch, step, .. } = self.position;
        let loss = self.sums.loss / self.sums.images.max(1) as f64;
        let mut note = format!("epoch {epoch}/{} · loss {loss:.3}", plan.config.epochs);
        if let Some(row) = self.epochs.last() {
            note.push_str(&format!(" · val top1 {:.3}", row.val_top1));
        }
        plan.cx.progress(step, plan.config.epochs * plan.steps_per_epoch, "steps", note);
    }

    /// Measures the epoch on the validation images, keeps the weights when they are the best.
    pub(crate) fn end_epoch(&mut self, plan: &Plan) -> anyhow::Result<()> {
        let Position { epoch, step, .. } = self.position;
        let (metrics, val_loss) = match self.validate(plan) {
            // The epoch's steps are made: a resume measures first.
            Err(error) if error.is::<Cancelled>() => {
                self.save(plan)?;
                return Err(error);
            }
            measured => measured?,
        };
        let value = match plan.config.metric {
            Monitor::ValTop1 => metrics.top1,
            Monitor::ValMacroF1 => metrics.macro_f1,
            Monitor::ValLoss => val_loss,
        };
        let min_delta = plan.config.early_stopping.as_ref().map_or(0.0, |rule| rule.min_delta);
        let best = self.progress.take(Best { epoch, value, val_loss }, min_delta);
        let images = self.sums.images.max(1) as f64;
        let lr = plan.schedule.at(step.saturating_sub(1));
        let tuning = plan.tuning.as_ref();
        self.epochs.push(EpochRow {
            epoch,
            step,
            lr,
            groups: tuning.map(|tuning| tuning.groups(&self.model, epoch, lr)).unwrap_or_default(),
            train_loss: self.sums.loss / images,
            train_top1: self.sums.hits as f64 / images,
            val_loss,
            val_top1: metrics.top1,
            val_macro_f1: metrics.macro_f1,
            best,
        });
        if best {
            self.best = Some(self.checkpoint(plan)?);
        }
        tracing::info!(epoch, val_loss, val_top1 = metrics.top1, best, "epoch done");
        self.sums = Sums::default();
        self.position = Position { epoch: epoch + 1, step_in_epoch: 0, step };
        Ok(())
    }

    /// The metrics and the plain loss on the validation images.
    fn validate(&self, plan: &Plan) -> anyhow::Result<(Metrics, f64)> {
        let val = &plan.data.val;
        let model = self.model.for_inference();
        let tick = &mut |_| plan.cx.check_cancelled();
        let logits = logits(&model, val, &plan.normalization, VAL_BATCH, &plan.device, tick)?;
        if logits.iter().any(|x| !x.is_finite()) {
            let Position { epoch, step, .. } = self.position;
            return Err(FitError::NotFinite { epoch, step }.into());
        }
        let k = val.meta.classes.len();
        let rows = logits.chunks_exact(k).zip(&val.labels);
        let loss: f64 = rows.map(|(row, &label)| cross_entropy(row, label as usize)).sum();
        let predictions = Predictions {
            classes: val.meta.classes.clone(),
            split: val.meta.split,
            ids: val.ids.clone(),
            labels: val.labels.clone(),
            probabilities: softmax(&logits, k),
        };
        Ok((Metrics::of(&predictions)?, loss / val.len() as f64))
    }

    /// The network as it is now, on the host.
    fn checkpoint(&self, plan: &Plan) -> anyhow::Result<Checkpoint> {
        let metric = self.epochs.last().map(|row| CheckpointMetric {
            name: plan.config.metric.name().to_owned(),
            value: match plan.config.metric {
                Monitor::ValTop1 => row.val_top1,
                Monitor::ValMacroF1 => row.val_macro_f1,
                Monitor::ValLoss => row.val_loss,
            },
        });
        let checkpoint = Checkpoint {
            config: plan.config.model.clone(),
            input: plan.input,
            classes: plan.data.train.meta.classes.clone(),
            preprocessing: plan.preprocessing(),
            epoch: self.position.epoch,
            step: self.position.step,
            metric,
            weights: peregrine_models::state_dict(&self.model),
        };
        if !is_finite(&checkpoint) {
            let Position { epoch, step, .. } = self.position;
            return Err(FitError::NotFinite { epoch, step }.into());
        }
        Ok(checkpoint)
    }

    /// Writes everything a resume needs, unless that was done at this very place.
    pub(crate) fn save(&mut self, plan: &Plan) -> anyhow::Result<()> {
        if self.saved_at == Some(self.position) {
            return Ok(());
        }
        let saved = Saved {
            state: State {
                key: plan.key.clone(),
                position: self.position,
                sums: self.sums,
                progress: self.progress.clone(),
                epochs: self.epochs.clone(),
            },
            model: self.checkpoint(plan)?,
            best: self.best.clone(),
            optimizer: self.optimizer.save(),
        };
        resume::save(plan.cx.resume_dir()?, &saved)?;
        self.saved_at = Some(self.position);
        Ok(())
    }

    /// What the training leaves.
    pub(crate) fn fitted(self, plan: &Plan) -> anyhow::Result<Fitted> {
        let mut last = self.checkpoint(plan)?;
        last.epoch = self.epochs.last().map_or(0, |row| row.epoch);
        let checkpoint = match (plan.config.keep, self.best) {
            (Keep::Best, Some(best)) => best,
            _ => last.clone(),
        };
        let best = self.progress.best();
        let train = &plan.data.train;
        let summary = Summary {
            model: plan.config.model.name().to_owned(),
            parameters: self.model.parameter_count() as u64,
            train_images: train.len() as u64,
            val_images: plan.data.val.len() as u64,
            steps_per_epoch: plan.steps_per_epoch,
            epochs_planned: plan.config.epochs,
            metric: plan.config.metric.name().to_owned(),
            best_epoch: best.map_or(0, |best| best.epoch),
            best_value: best.map_or(0.0, |best| best.value),
            checkpoint_epoch: checkpoint.epoch,
            stopped_early: (self.epochs.len() as u64) < plan.config.epochs,
        };
        Ok(Fitted { checkpoint, last, history: History { summary, epochs: self.epochs } })
    }
}

/// The class of each image of a batch; of a mixed one, the class with the larger share.
fn wanted(batch: &HostBatch) -> Vec<usize> {
    let k = batch.targets.len() / batch.labels.len().max(1);
    batch.targets.chunks_exact(k.max(1)).map(argmax).collect()
}

/// The index of the largest value; the lowest among equals.
fn argmax(row: &[f32]) -> usize {
    let start = (0, f32::NEG_INFINITY);
    row.iter().enumerate().fold(start, |best, (i, &x)| if x > best.1 { (i, x) } else { best }).0
}

/// -log softmax(row)[label], in f64.
fn cross_entropy(row: &[f32], label: usize) -> f64 {
    let largest = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = row.iter().map(|&x| (f64::from(x) - largest).exp()).sum();
    sum.ln() + largest - f64::from(row[label])
}

/// The first few ids of a batch.
fn names(ids: &[String], indices: &[u32]) -> String {
    let mut named: Vec<String> =
        indices.iter().take(NAMED).filter_map(|&i| ids.get(i as usize)).map(|id| format!("`{id}`")).collect();
    if indices.len() > NAMED {
        named.push(format!("and {} more", indices.len() - NAMED));
    }
    named.join(", ")
}
