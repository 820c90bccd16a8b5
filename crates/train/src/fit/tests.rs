use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use peregrine_augment::{Mix, Normalization, Sampler, Transform};
use peregrine_data::{ImageSetMeta, Split};
use peregrine_models::{ModelConfig, ResnetConfig, SampleCnnConfig};
use peregrine_pipeline::{Artifact as _, Progress, Seed};

use super::*;
use crate::config::Keep;
use crate::early_stopping::{EarlyStopping, Monitor};
use crate::loss::{CrossEntropy, LossConfig};
use crate::optim::{Adam, OptimizerConfig, Sgd};
use crate::schedule::Warmup;

fn images(split: Split, n: usize, side: usize, classes: usize) -> ImageSet {
    let mut pixels = Vec::new();
    let labels: Vec<u32> = (0..n).map(|i| (i % classes) as u32).collect();
    for (i, &label) in labels.iter().enumerate() {
        let mut draws = Seed(5).with(split.name()).with(i).draws();
        // A bright band whose height in the picture is its class, on noise.
        let band = (label as usize * side) / classes..((label as usize + 1) * side) / classes;
        for y in 0..side {
            for _ in 0..side {
                let base = if band.contains(&y) { 150.0 } else { 60.0 };
                pixels.push((base + draws.between(-60.0, 60.0)) as u8);
            }
        }
    }
    let meta = ImageSetMeta {
        classes: (0..classes).map(|c| format!("c{c}")).collect(),
        split,
        height: side,
        width: side,
        channels: 1,
        mean: vec![0.3],
        std: vec![0.2],
        resize: "squash/bilinear".into(),
    };
    let ids = (0..n).map(|i| format!("{}/{i:04}.png", split.name())).collect();
    ImageSet::from_pixels(meta, ids, labels, vec![1.0; n], pixels).unwrap()
}

/// Every transform and both ways of mixing.
fn policy() -> Policy {
    let transforms = Transform::all();
    assert!(transforms.len() >= 5);
    Policy {
        transforms,
        mix: Some(Mix::default()),
        normalize: Normalization { mean: vec![0.3], std: vec![0.2] },
    }
}

/// 46 images in batches of 8: six steps an epoch, the last one short.
pub(super) fn data() -> Data {
    Data {
        train: Arc::new(images(Split::Train, 46, 12, 3)),
        val: Arc::new(images(Split::Val, 15, 12, 3)),
        policy: Some(policy()),
        class_weights: Some(ClassWeights {
            classes: (0..3).map(|c| format!("c{c}")).collect(),
            weights: vec![1.0, 2.0, 0.5],
        }),
        init: None,
    }
}

/// Batch norm or dropout, warm-up and cosine, clipping, smoothing, early stopping.
pub(super) fn config(model: ModelConfig, workers: usize) -> TrainConfig {
    let cross_entropy = CrossEntropy { label_smoothing: 0.1, ..CrossEntropy::default() };
    TrainConfig {
        model,
        epochs: 4,
        batch_size: 8,
        loss: LossConfig::CrossEntropy(cross_entropy),
        clip_grad_norm: Some(1.0),
        early_stopping: Some(EarlyStopping { patience: 3, min_delta: 0.0 }),
        metric: Monitor::ValLoss,
        workers,
        ..TrainConfig::default()
    }
}

pub(super) fn resnet() -> ModelConfig {
    ModelConfig::Resnet(ResnetConfig { depth: 8, width: 4, ..ResnetConfig::default() })
}

fn sample_cnn() -> ModelConfig {
    let config = SampleCnnConfig { width: 4, hidden: 16, ..SampleCnnConfig::default() };
    ModelConfig::SampleCnn(config)
}

/// A context with its resume folder below `dir` that is cancelled once `steps` steps are done in
/// all.
pub(super) fn context(dir: &Path, steps: u64) -> StageContext {
    let mut cx = StageContext::detached(dir);
    cx.seed = Seed(17);
    let cancel = cx.cancel.clone();
    cx.progress = Arc::new(move |progress: Progress| {
        if progress.done >= steps {
            cancel.cancel();
        }
    });
    cx
}

fn straight(config: &TrainConfig) -> Fitted {
    fit(&data(), config, &context(tempfile::tempdir().unwrap().path(), u64::MAX)).unwrap()
}

fn interrupted(config: &TrainConfig, dir: &Path, at: &[u64]) -> Fitted {
    interrupted_on(&data(), config, dir, at)
}

pub(super) fn interrupted_on(data: &Data, config: &TrainConfig, dir: &Path, at: &[u64]) -> Fitted {
    for &step in at {
        let error = fit(data, config, &context(dir, step)).unwrap_err();
        assert!(error.is::<Cancelled>(), "{error:#}");
    }
    fit(data, config, &context(dir, u64::MAX)).unwrap()
}

#[track_caller]
fn equal(a: &Fitted, b: &Fitted) {
    assert_eq!(bits(&a.last), bits(&b.last));
    assert_eq!(bits(&a.checkpoint), bits(&b.checkpoint));
    assert_eq!(a.history, b.history);
    assert_eq!(a.checkpoint.epoch, b.checkpoint.epoch);
}

/// The digest of a checkpoint's weights as its file has them: by name.
pub(super) fn bits(checkpoint: &Checkpoint) -> String {
    let mut tensors: Vec<_> = checkpoint.weights.iter().collect();
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let mut hasher = blake3::Hasher::new();
    for tensor in tensors {
        hasher.update(tensor.name.as_bytes());
        tensor.data.iter().for_each(|x| {
            hasher.update(&x.to_bits().to_le_bytes());
        });
    }
    hasher.finalize().to_hex().to_string()
}

#[test]
fn a_training_interrupted_anywhere_ends_with_the_same_bits() {
    for model in [resnet(), sample_cnn()] {
        let config = config(model, 1);
        let whole = straight(&config);
        // Mid-epoch, at an epoch's last step, at its first, and several times.
        for at in [&[1_u64][..], &[6], &[7], &[9], &[17], &[23], &[2, 4, 13, 14, 20]] {
            let dir = tempfile::tempdir().unwrap();
            equal(&whole, &interrupted(&config, dir.path(), at));
        }
    }
}

#[test]
fn the_number_of_workers_changes_no_bit_even_across_a_resume() {
    let whole = straight(&config(resnet(), 1));
    equal(&whole, &straight(&config(resnet(), 2)));
    let dir = tempfile::tempdir().unwrap();
    let error = fit(&data(), &config(resnet(), 2), &context(dir.path(), 10)).unwrap_err();
    assert!(error.is::<Cancelled>());
    equal(&whole, &fit(&data(), &config(resnet(), 1), &context(dir.path(), u64::MAX)).unwrap());
}

#[test]
fn balanced_batches_resume_exactly_too_and_are_others_than_shuffled_ones() {
    let balanced = |workers| TrainConfig { sampler: Sampler::Balanced {}, ..config(resnet(), workers) };
    let whole = straight(&balanced(1));
    equal(&whole, &straight(&balanced(2)));
    for at in [&[7_u64][..], &[3, 9, 16]] {
        let dir = tempfile::tempdir().unwrap();
        equal(&whole, &interrupted(&balanced(2), dir.path(), at));
    }
    assert_ne!(bits(&whole.last), bits(&straight(&config(resnet(), 1)).last));
}

#[test]
fn another_seed_gives_other_weights() {
    let config = config(resnet(), 1);
    let dir = tempfile::tempdir().unwrap();
    let cx = StageContext { seed: Seed(18), ..context(dir.path(), u64::MAX) };
    assert_ne!(bits(&straight(&config).last), bits(&fit(&data(), &config, &cx).unwrap().last));
}

#[test]
fn a_damaged_newest_save_falls_back_to_the_one_before() {
    let config = TrainConfig { checkpoint_every_steps: 4, ..config(resnet(), 1) };
    let whole = straight(&config);
    for damaged in ["state.json", "optimizer.f32", "model/weights.safetensors", "manifest.json"] {
        let dir = tempfile::tempdir().unwrap();
        let cx = context(dir.path(), 10);
        assert!(fit(&data(), &config, &cx).is_err());
        let mut saves: Vec<_> =
            std::fs::read_dir(&cx.resume).unwrap().map(|entry| entry.unwrap().path()).collect();
        saves.sort();
        let names: Vec<_> = saves.iter().map(|save| save.file_name().unwrap().to_string_lossy()).collect();
        assert_eq!(names, ["epoch-000002-step-0000000008", "epoch-000002-step-0000000010"]);
        let path = saves[1].join(damaged);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let started = Arc::new(AtomicU64::new(u64::MAX));
        let first = Arc::clone(&started);
        let mut cx = context(dir.path(), u64::MAX);
        cx.progress = Arc::new(move |progress: Progress| {
            first.fetch_min(progress.done, Ordering::Relaxed);
        });
        equal(&whole, &fit(&data(), &config, &cx).unwrap());
        assert_eq!(started.load(Ordering::Relaxed), 9, "{damaged}: the save of step 8 was taken");
    }
}

#[test]
fn saves_of_another_training_are_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    assert!(fit(&data(), &config(resnet(), 1), &context(dir.path(), 8)).is_err());
    let other = config(sample_cnn(), 1);
    equal(&straight(&other), &interrupted(&other, dir.path(), &[]));
}

#[test]
fn a_loss_that_is_no_number_stops_with_step_images_and_advice() {
    let sgd = Sgd { lr: 1e30, momentum: 0.0, nesterov: false, ..Sgd::default() };
    let config = TrainConfig {
        optimizer: OptimizerConfig::Sgd(sgd),
        warmup: Warmup { epochs: 0.0, start: 1.0 },
        clip_grad_norm: None,
        checkpoint_every_steps: 1,
        ..config(sample_cnn(), 1)
    };
    let dir = tempfile::tempdir().unwrap();
    let cx = context(dir.path(), u64::MAX);
    let error = fit(&data(), &config, &cx).unwrap_err();
    let Some(FitError::Diverged { step: 2, epoch: 1, images, .. }) = error.downcast_ref() else {
        panic!("{error:#}");
    };
    assert_eq!(images.matches("`train/").count(), 8, "{images}");
    assert!(error.to_string().contains("try a tenth of the learning rate"), "{error}");
    // The last good weights are there, and there are no others.
    let data = data();
    let key = Plan::new(&data, &config, &cx).unwrap().key;
    let saved = crate::resume::latest(&cx.resume, &key).unwrap().unwrap();
    assert_eq!(saved.state.position.step, 1);
    assert!(crate::plan::is_finite(&saved.model));
    assert_eq!(std::fs::read_dir(&cx.resume).unwrap().count(), 1);
}

#[test]
fn early_stopping_ends_the_training_and_the_checkpoint_is_the_best_epochs() {
    // A rate so small that no epoch changes the accuracy.
    let config = TrainConfig {
        optimizer: OptimizerConfig::Adam(Adam { lr: 1e-9, ..Adam::default() }),
        early_stopping: Some(EarlyStopping { patience: 2, min_delta: 0.1 }),
        metric: Monitor::ValTop1,
        epochs: 9,
        ..config(sample_cnn(), 1)
    };
    let fitted = straight(&config);
    let summary = &fitted.history.summary;
    assert!(summary.stopped_early);
    assert_eq!(fitted.history.epochs.len(), 3);
    assert_eq!(fitted.checkpoint.epoch, summary.best_epoch);
    assert_eq!(fitted.last.epoch, 3);
    let last = TrainConfig { keep: Keep::Last, ..config };
    assert_eq!(straight(&last).checkpoint, straight(&last).last);
}

#[test]
fn a_network_learns_bands() {
    let data = Data {
        train: Arc::new(images(Split::Train, 256, 12, 3)),
        val: Arc::new(images(Split::Val, 64, 12, 3)),
        policy: None,
        class_weights: None,
        init: None,
    };
    let config = TrainConfig { model: resnet(), epochs: 5, batch_size: 16, ..TrainConfig::default() };
    let dir = tempfile::tempdir().unwrap();
    let fitted = fit(&data, &config, &context(dir.path(), u64::MAX)).unwrap();
    assert!(fitted.history.summary.best_value > 0.95, "{}", fitted.history.text());
    // What the history says of the best epoch is what its checkpoint does.
    let device = peregrine_models::device::device("auto").unwrap();
    let predictions = peregrine_eval::predict::predict(
        &fitted.checkpoint,
        &data.val,
        &peregrine_eval::Predict::default(),
        &device,
        &mut |_| Ok(()),
    );
    let metrics = peregrine_eval::Metrics::of(&predictions.unwrap()).unwrap();
    let best = fitted.history.summary.best_epoch as usize - 1;
    assert_eq!(metrics.top1, fitted.history.epochs[best].val_top1);
    // Starting from that checkpoint starts where it was.
    let again = Data { init: Some(fitted.checkpoint.clone()), ..data };
    let dir = tempfile::tempdir().unwrap();
    let config = TrainConfig { epochs: 1, ..config };
    let fitted = fit(&again, &config, &context(dir.path(), u64::MAX)).unwrap();
    assert!(fitted.history.epochs[0].val_top1 > 0.9, "{}", fitted.history.text());
}

#[test]
fn inputs_that_do_not_belong_together_are_refused_with_both_values() {
    let refused = |data: &Data| {
        let dir = tempfile::tempdir().unwrap();
        fit(data, &config(resnet(), 1), &context(dir.path(), 1)).unwrap_err().to_string()
    };
    let val = Arc::new(images(Split::Val, 15, 14, 3));
    let error = refused(&Data { val, ..data() });
    assert!(error.contains("`12×12×1`") && error.contains("`14×14×1`"), "{error}");
    let val = Arc::new(images(Split::Val, 15, 12, 4));
    let error = refused(&Data { val, ..data() });
    assert!(error.contains("`c0, c1, c2`") && error.contains("`c0, c1, c2, c3`"), "{error}");
    let val = Arc::new(images(Split::Val, 0, 12, 3));
    assert!(refused(&Data { val, ..data() }).contains("no validation images"));
    let init = straight(&TrainConfig { epochs: 1, ..config(sample_cnn(), 1) }).last;
    let error = refused(&Data { init: Some(init), ..data() });
    assert!(error.contains("sample_cnn") && error.contains("resnet"), "{error}");
}

/// RELIABILITY S6: what a checkpoint was trained on and what it is given differ.
#[test]
fn weights_for_other_classes_sizes_or_preprocessing_are_refused_with_both_values() {
    let init = straight(&TrainConfig { epochs: 1, ..config(resnet(), 1) }).last;
    let refused = |init: Checkpoint, policy: Option<peregrine_augment::Policy>| {
        let dir = tempfile::tempdir().unwrap();
        let data = Data { init: Some(init), policy, ..data() };
        fit(&data, &config(resnet(), 1), &context(dir.path(), 1)).unwrap_err().to_string()
    };
    let both = |error: String, ours: &str, theirs: &str| {
        assert!(error.contains(ours) && error.contains(theirs), "{error}");
    };
    let fewer = Checkpoint { classes: vec!["c0".into(), "c1".into()], ..init.clone() };
    both(refused(fewer, None), "`c0, c1, c2`", "`c0, c1`");
    let renamed = Checkpoint { classes: vec!["c0".into(), "c1".into(), "x2".into()], ..init.clone() };
    both(refused(renamed, None), "`c0, c1, c2`", "`c0, c1, x2`");
    let mut larger = init.clone();
    larger.preprocessing.height = 14;
    both(refused(larger, None), "`12×12×1`", "`14×12×1`");
    let mut cropped = init.clone();
    cropped.preprocessing.resize = "crop/bicubic".into();
    both(refused(cropped, None), &init.preprocessing.resize, "crop/bicubic");
    let normalize = peregrine_augment::Normalization { mean: vec![0.25], std: vec![0.125] };
    let policy = peregrine_augment::Policy { transforms: Vec::new(), mix: None, normalize };
    both(refused(init.clone(), Some(policy)), "0.250000", &format!("{:.6}", init.preprocessing.mean[0]));
}

#[test]
fn without_a_policy_images_are_normalized_as_the_pretrained_weights_expect() {
    let mut init = straight(&TrainConfig { epochs: 1, ..config(resnet(), 1) }).last;
    (init.preprocessing.mean, init.preprocessing.std) = (vec![0.25], vec![0.125]);
    let dir = tempfile::tempdir().unwrap();
    let again = Data { init: Some(init.clone()), policy: None, ..data() };
    let config = TrainConfig { epochs: 1, ..config(resnet(), 1) };
    let fitted = fit(&again, &config, &context(dir.path(), u64::MAX)).unwrap();
    assert_eq!(fitted.last.preprocessing, init.preprocessing);
}

/// The child of the test below: trains in the folder that the variable names, if it is set.
#[test]
fn child_of_the_kill_test() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let dir = Path::new(&dir);
    let fitted = fit(&data(), &killed_config(), &context(dir, u64::MAX)).unwrap();
    std::fs::write(dir.join("bits.tmp"), bits(&fitted.last)).unwrap();
    std::fs::rename(dir.join("bits.tmp"), dir.join("bits")).unwrap();
}

const CHILD: &str = "PEREGRINE_TEST_FIT_CHILD";

/// Saves behind every step, so that most kills fall into a save.
fn killed_config() -> TrainConfig {
    TrainConfig { checkpoint_every_steps: 1, ..config(sample_cnn(), 2) }
}

#[test]
fn a_training_killed_again_and_again_ends_with_the_same_bits() {
    let whole = bits(&straight(&killed_config()).last);
    let dir = tempfile::tempdir().unwrap();
    let mut kills = 0;
    while !dir.path().join("bits").exists() {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "fit::tests::child_of_the_kill_test"])
            .env(CHILD, dir.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Longer and longer, so that the training ends on the slowest machine too.
        let milliseconds = 20 + Seed(kills).draws().below(60) as u64 + kills * kills / 4;
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        let killed = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        kills += u64::from(killed);
    }
    assert!(kills > 0, "the training was over before the first kill");
    assert_eq!(std::fs::read_to_string(dir.path().join("bits")).unwrap(), whole);
}

#[test]
#[ignore = "a measurement"]
fn step_time() {
    let data = Data {
        train: Arc::new(images(Split::Train, 1024, 28, 10)),
        val: Arc::new(images(Split::Val, 256, 28, 10)),
        policy: None,
        class_weights: None,
        init: None,
    };
    let models = [
        ModelConfig::Resnet(ResnetConfig { depth: 8, width: 16, ..ResnetConfig::default() }),
        ModelConfig::SampleCnn(Default::default()),
        ModelConfig::Lenet5(Default::default()),
    ];
    for model in models {
        let dir = tempfile::tempdir().unwrap();
        let mut cx = StageContext::detached(dir.path());
        let times = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&times);
        cx.progress = Arc::new(move |_| sink.lock().unwrap().push(std::time::Instant::now()));
        let config = TrainConfig { model, epochs: 2, ..TrainConfig::default() };
        let start = std::time::Instant::now();
        let fitted = fit(&data, &config, &cx).unwrap();
        let total = start.elapsed().as_secs_f64();
        let times = times.lock().unwrap();
        let mut steps: Vec<f64> = times.windows(2).map(|w| (w[1] - w[0]).as_secs_f64() * 1e3).collect();
        steps.sort_by(f64::total_cmp);
        eprintln!(
            "{}: median step {:.1} ms, min {:.1}, max {:.1}; {total:.2} s in all; {}",
            config.model.name(),
            steps[steps.len() / 2],
            steps[0],
            steps[steps.len() - 1],
            fitted.history.text()
        );
    }
}
