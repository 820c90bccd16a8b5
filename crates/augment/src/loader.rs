//! Packed images to a stream of batches, made ahead in worker threads.
//!
//! The order of an epoch is a function of the seed and the epoch (see `sampler.rs`), a change of an
//! image of the seed, the epoch, the image's id, how often it came before and the transform. Worker k of w makes batches k, k + w, …, and
//! batches are taken from the workers in turn. So what comes out depends neither on the number of
//! workers nor on their speed, and an epoch can be entered at any step.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use peregrine_data::ImageSet;
use peregrine_pipeline::Seed;

use crate::batch::HostBatch;
use crate::image::Image;
use crate::normalize::Normalization;
use crate::policy::Policy;
use crate::sampler::{Sampler, Turn};

/// Batches each worker may be ahead.
const PREFETCH: usize = 2;

/// How a loader goes through a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoaderOptions {
    /// Images a batch; the last of an epoch may have fewer.
    pub batch_size: usize,
    /// Each epoch's order; none is the set's own.
    pub sampler: Option<Sampler>,
    /// The key of order, transforms and mixing.
    pub seed: Seed,
    /// Threads that make batches ahead; 0 makes them where they are asked for.
    pub workers: usize,
}

/// A loader that can't be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoaderError {
    /// The batch size is 0.
    #[error("the batch size is 0 (at least 1)")]
    EmptyBatch,
    /// The normalization can't be used for these images.
    #[error("{0}")]
    Normalization(String),
}

/// A set of images as a stream of batches, epoch after epoch.
#[derive(Debug, Clone)]
pub struct Loader {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    images: Arc<ImageSet>,
    policy: Option<Policy>,
    scale: Vec<f32>,
    shift: Vec<f32>,
    options: LoaderOptions,
}

impl Loader {
    /// A loader of `images`; without a policy they stay as they are. `normalization` is used, not
    /// the policy's.
    ///
    /// # Errors
    /// When the batch size is 0 or the normalization doesn't fit the images.
    pub fn new(
        images: Arc<ImageSet>,
        policy: Option<Policy>,
        normalization: Normalization,
        options: LoaderOptions,
    ) -> Result<Self, LoaderError> {
        if options.batch_size == 0 {
            return Err(LoaderError::EmptyBatch);
        }
        if let Some(problem) = normalization.problem(images.meta.channels) {
            return Err(LoaderError::Normalization(problem));
        }
        // (x − mean) / std as x · scale + shift.
        let Normalization { mean, std } = normalization;
        let scale = std.iter().map(|std| (1.0 / std) as f32).collect();
        let shift = mean.iter().zip(&std).map(|(mean, std)| (-mean / std) as f32).collect();
        Ok(Self { shared: Arc::new(Shared { images, policy, scale, shift, options }) })
    }

    /// Batches in an epoch.
    pub fn steps_per_epoch(&self) -> usize {
        self.shared.images.len().div_ceil(self.shared.options.batch_size)
    }

    /// The images.
    pub fn images(&self) -> &Arc<ImageSet> {
        &self.shared.images
    }

    /// The batches of `epoch` (from 0), from `first_step` (from 0) on.
    pub fn epoch(&self, epoch: u64, first_step: usize) -> EpochBatches {
        let shared = &self.shared;
        let (options, images) = (&shared.options, &shared.images);
        let order: Arc<Vec<Turn>> = Arc::new(match options.sampler {
            Some(sampler) => sampler.turns(&images.labels, images.meta.classes.len(), options.seed, epoch),
            None => (0..images.len()).map(Turn::first).collect(),
        });
        let steps = self.steps_per_epoch();
        let workers = shared.options.workers.min(steps.saturating_sub(first_step));
        let source = if workers == 0 {
            Source::Here(Maker::new(Arc::clone(shared), order, epoch))
        } else {
            Source::Threads(
                (0..workers).map(|k| self.spawn(&order, epoch, first_step + k, workers)).collect(),
            )
        };
        EpochBatches { source, first: first_step, next: first_step, steps }
    }

    fn spawn(&self, order: &Arc<Vec<Turn>>, epoch: u64, first: usize, stride: usize) -> Worker {
        let (sender, receiver) = sync_channel(PREFETCH);
        let mut maker = Maker::new(Arc::clone(&self.shared), Arc::clone(order), epoch);
        let steps = self.steps_per_epoch();
        let work = move || maker.send_all((first..steps).step_by(stride), &sender);
        Worker { receiver: Some(receiver), thread: Some(std::thread::spawn(work)) }
    }
}

/// The batches of an epoch, in order.
#[derive(Debug)]
pub struct EpochBatches {
    source: Source,
    first: usize,
    next: usize,
    steps: usize,
}

#[derive(Debug)]
enum Source {
    Here(Maker),
    Threads(Vec<Worker>),
}

#[derive(Debug)]
struct Worker {
    receiver: Option<Receiver<HostBatch>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// The worker's next batch; its panic, where it died.
    fn take(&mut self) -> Option<HostBatch> {
        if let Some(Ok(batch)) = self.receiver.as_ref().map(Receiver::recv) {
            return Some(batch);
        }
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
        None
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Without a receiver the worker's next send fails, and it ends.
        self.receiver = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Iterator for EpochBatches {
    type Item = HostBatch;

    fn next(&mut self) -> Option<HostBatch> {
        if self.next >= self.steps {
            return None;
        }
        let step = self.next;
        self.next += 1;
        match &mut self.source {
            Source::Here(maker) => Some(maker.make(step)),
            Source::Threads(workers) => {
                let turn = (step - self.first) % workers.len();
                workers[turn].take()
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.steps.saturating_sub(self.next);
        (left, Some(left))
    }
}

/// Makes batches of one epoch, with an image's buffers reused.
#[derive(Debug)]
struct Maker {
    shared: Arc<Shared>,
    order: Arc<Vec<Turn>>,
    epoch: u64,
    image: Image,
}

impl Maker {
    fn new(shared: Arc<Shared>, order: Arc<Vec<Turn>>, epoch: u64) -> Self {
        let meta = &shared.images.meta;
        let image = Image::new(meta.height, meta.width, meta.channels);
        Self { shared, order, epoch, image }
    }

    fn send_all(&mut self, steps: impl Iterator<Item = usize>, sender: &SyncSender<HostBatch>) {
        for step in steps {
            if sender.send(self.make(step)).is_err() {
                return;
            }
        }
    }

    fn make(&mut self, step: usize) -> HostBatch {
        let shared = Arc::clone(&self.shared);
        let Shared { images, policy, options, .. } = shared.as_ref();
        let start = step * options.batch_size;
        let order = Arc::clone(&self.order);
        let chosen = &order[start..(start + options.batch_size).min(order.len())];
        let (n, classes) = (chosen.len(), images.meta.classes.len());
        let size = images.image_bytes();
        let mut batch = HostBatch {
            images: vec![0.0; n * size],
            targets: vec![0.0; n * classes],
            labels: chosen.iter().map(|turn| images.labels[turn.index]).collect(),
            indices: chosen.iter().map(|turn| turn.index as u32).collect(),
            weights: chosen.iter().map(|turn| images.weights[turn.index]).collect(),
            shape: [n, images.meta.channels, images.meta.height, images.meta.width],
            classes,
        };
        for (row, out) in batch.images.chunks_exact_mut(size).enumerate() {
            self.draw(chosen[row], out);
            batch.targets[row * classes + batch.labels[row] as usize] = 1.0;
        }
        if let Some(mix) = policy.as_ref().and_then(|policy| policy.mix.as_ref()) {
            mix.apply(&mut batch, self.epoch, options.seed.with("mix").with(self.epoch).with(step));
        }
        batch
    }

    /// Writes an image, changed and normalized, into `out` (CHW).
    fn draw(&mut self, turn: Turn, out: &mut [f32]) {
        let Shared { images, policy, options, scale, shift } = self.shared.as_ref();
        self.image.load(images.pixels(turn.index));
        if let Some(policy) = policy {
            let id = images.ids[turn.index].as_str();
            let mut key = options.seed.with("augment").with(self.epoch).with(id);
            if turn.pass > 0 {
                key = key.with("pass").with(turn.pass);
            }
            policy.transform(&mut self.image, key);
        }
        let channels = self.image.channels;
        let plane = (self.image.height * self.image.width).max(1);
        for (channel, out) in out.chunks_exact_mut(plane).enumerate() {
            let values = self.image.data.iter().skip(channel).step_by(channels);
            for (value, out) in values.zip(out) {
                *out = value * scale[channel] + shift[channel];
            }
        }
    }
}
