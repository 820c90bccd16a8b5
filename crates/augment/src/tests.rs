//! What holds for the loader, for every transform and for mixing.

use std::sync::Arc;

use peregrine_data::{ImageSet, ImageSetMeta, Picture, Split};
use peregrine_pipeline::{Artifact as _, Seed, Stage as _, StageContext};

use crate::mix::cutmix::Patch;
use crate::stage::plan;
use crate::{
    Augment, HostBatch, Image, Loader, LoaderOptions, Mix, Normalization, Normalize, Policy, Sampler,
    Transform, preview::preview,
};

fn set(n: usize, channels: usize) -> ImageSet {
    let (height, width) = (7, 6);
    let mut draws = Seed(4).draws();
    let pixels = (0..n * height * width * channels).map(|_| draws.below(256) as u8).collect();
    let meta = ImageSetMeta {
        classes: vec!["a".into(), "b".into(), "c".into()],
        split: Split::Train,
        height,
        width,
        channels,
        mean: vec![0.4; channels],
        std: vec![0.25; channels],
        resize: "squash/bilinear".into(),
    };
    let ids = (0..n).map(|i| format!("image-{i}.png")).collect();
    let labels = (0..n).map(|i| (i % 3) as u32).collect();
    ImageSet::from_pixels(meta, ids, labels, vec![1.0; n], pixels).unwrap()
}

fn policy(images: &ImageSet) -> Policy {
    let mix = Some(Mix { probability: 0.7, ..Mix::default() });
    plan(&Augment { transforms: Transform::all(), mix, ..Augment::default() }, images).unwrap()
}

fn loader(images: &Arc<ImageSet>, policy: Option<Policy>, workers: usize) -> Loader {
    let sampler = policy.is_some().then(Sampler::default);
    sampling(images, policy, sampler, workers)
}

fn sampling(
    images: &Arc<ImageSet>,
    policy: Option<Policy>,
    sampler: Option<Sampler>,
    workers: usize,
) -> Loader {
    let options = LoaderOptions { batch_size: 8, sampler, seed: Seed(11), workers };
    Loader::new(Arc::clone(images), policy, Normalization::dataset(&images.meta), options).unwrap()
}

#[test]
fn balanced_batches_repeat_small_classes_changed_anew_whatever_the_number_of_workers() {
    let mut images = set(75, 3);
    images.labels = (0..75).map(|i| u32::from(i >= 70)).collect();
    let images = Arc::new(images);
    let policy = Policy { mix: None, ..policy(&images) };
    let sampler = Some(Sampler::Balanced {});
    let batches =
        |workers| sampling(&images, Some(policy.clone()), sampler, workers).epoch(3, 0).collect::<Vec<_>>();
    let expected = batches(0);
    assert_eq!(expected.iter().map(HostBatch::len).sum::<usize>(), 75);
    for workers in [1, 2, 8] {
        assert!(batches(workers) == expected, "{workers} workers");
    }
    let rest: Vec<HostBatch> = sampling(&images, Some(policy), sampler, 2).epoch(3, 4).collect();
    assert!(rest == expected[4..]);
    let mut of_one: Vec<Vec<f32>> = Vec::new();
    for batch in &expected {
        let rows = batch.indices.iter().zip(batch.images.chunks_exact(images.image_bytes()));
        of_one.extend(rows.filter(|(index, _)| **index == 72).map(|(_, row)| row.to_vec()));
    }
    assert!(of_one.len() > 3, "{}", of_one.len());
    assert!((1..of_one.len()).all(|i| !of_one[..i].contains(&of_one[i])));
}

#[test]
fn batches_do_not_depend_on_the_number_of_workers() {
    let images = Arc::new(set(75, 3));
    let policy = policy(&images);
    let batches = |workers| loader(&images, Some(policy.clone()), workers).epoch(3, 0).collect::<Vec<_>>();
    let expected = batches(0);
    assert_eq!(expected.len(), 10);
    for workers in [1, 2, 8, 40] {
        assert!(batches(workers) == expected, "{workers} workers");
    }
}

#[test]
fn an_epoch_can_be_entered_at_any_step() {
    let images = Arc::new(set(43, 1));
    let loader = loader(&images, Some(policy(&images)), 2);
    let all: Vec<HostBatch> = loader.epoch(5, 0).collect();
    assert_eq!(all.len(), loader.steps_per_epoch());
    for first in 0..=all.len() + 1 {
        let rest: Vec<HostBatch> = loader.epoch(5, first).collect();
        assert!(rest == all[first.min(all.len())..], "from step {first}");
    }
}

#[test]
fn every_epoch_shows_each_image_once_in_an_order_of_its_own() {
    let images = Arc::new(set(50, 1));
    let loader = loader(&images, Some(policy(&images)), 2);
    let order = |epoch| loader.epoch(epoch, 0).flat_map(|batch| batch.indices).collect::<Vec<u32>>();
    let mut first = order(0);
    assert_ne!(first, order(1));
    first.sort_unstable();
    assert_eq!(first, (0..50).collect::<Vec<u32>>());
}

#[test]
fn without_a_policy_images_come_in_order_normalized_and_not_changed() {
    let images = Arc::new(set(20, 3));
    let batches: Vec<HostBatch> = loader(&images, None, 2).epoch(0, 0).collect();
    assert_eq!(
        batches.iter().flat_map(|batch| batch.indices.clone()).collect::<Vec<_>>(),
        (0..20).collect::<Vec<_>>()
    );
    let batch = &batches[2];
    assert_eq!(batch.shape, [4, 3, 7, 6]);
    for row in 0..4 {
        let bytes = images.pixels(16 + row);
        for (place, byte) in bytes.iter().enumerate() {
            let (pixel, channel) = (place / 3, place % 3);
            let value = batch.images[row * 126 + channel * 42 + pixel];
            assert!((value - (f32::from(*byte) / 255.0 - 0.4) / 0.25).abs() < 1e-5);
        }
        let target = &batch.targets[row * 3..][..3];
        assert!(target.iter().enumerate().all(|(k, t)| *t == f32::from(k == batch.labels[row] as usize)));
    }
}

#[test]
fn a_loader_that_is_dropped_early_lets_its_workers_end() {
    let images = Arc::new(set(400, 1));
    let loader = loader(&images, Some(policy(&images)), 4);
    for _ in 0..20 {
        let mut epoch = loader.epoch(0, 0);
        assert!(epoch.next().is_some());
    }
    drop(loader);
    assert_eq!(Arc::strong_count(&images), 1, "a worker still holds the images");
}

#[test]
fn a_loader_refuses_empty_batches_and_foreign_normalizations() {
    let images = Arc::new(set(4, 3));
    let options = LoaderOptions { batch_size: 0, sampler: None, seed: Seed(0), workers: 0 };
    let normalization = Normalization::dataset(&images.meta);
    assert!(Loader::new(Arc::clone(&images), None, normalization, options.clone()).is_err());
    let options = LoaderOptions { batch_size: 1, ..options };
    let error = Loader::new(images, None, Normalization::none(1), options).unwrap_err().to_string();
    assert!(error.contains("1 means") && error.contains("3 channels"), "{error}");
}

#[test]
fn every_transform_is_a_function_of_its_key_and_stays_in_range() {
    for transform in Transform::all() {
        let changed = |key: u64| {
            let mut image = Image::new(7, 6, 3);
            image.load(set(1, 3).pixels(0));
            transform.apply(&mut image, &mut Seed(key).draws());
            assert!(image.data.iter().all(|v| (0.0..=1.0).contains(v)), "{transform:?}");
            assert_eq!(image.data.len(), 7 * 6 * 3);
            image.data
        };
        assert!((0..40).all(|key| changed(key) == changed(key)), "{transform:?}");
        assert!((0..40).any(|key| changed(key) != changed(100)), "{transform:?} never changes");
        assert_eq!(transform.problems(), [], "{transform:?}");
        let text = serde_json::to_string(&transform).unwrap();
        assert_eq!(serde_json::from_str::<Transform>(&text).unwrap(), transform);
        let minimal = serde_json::json!({ "name": serde_json::to_value(&transform).unwrap()["name"] });
        assert_eq!(serde_json::from_value::<Transform>(minimal).unwrap(), transform);
    }
}

#[test]
fn unknown_params_of_transforms_are_refused() {
    let unknown = serde_json::json!({ "name": "random_crop", "paddding": 4 });
    assert!(serde_json::from_value::<Transform>(unknown).unwrap_err().to_string().contains("paddding"));
}

#[test]
fn chances_are_those_asked_for() {
    let flip = |p| crate::ops::flip::RandomHorizontalFlip { p };
    let share = |p| {
        let transform = Transform::RandomHorizontalFlip(flip(p));
        let flipped = |key: u64| {
            let mut image = Image::new(1, 2, 1);
            image.data = vec![0.0, 1.0];
            transform.apply(&mut image, &mut Seed(key).draws());
            image.data[0] == 1.0
        };
        (0..4000).filter(|key| flipped(*key)).count() as f64 / 4000.0
    };
    assert_eq!(share(0.0), 0.0);
    assert_eq!(share(1.0), 1.0);
    assert!((share(0.3) - 0.3).abs() < 0.03);
}

/// Images whose every value is the image's index, so that a mixture shows what it is made of.
fn flat_batch(n: usize) -> HostBatch {
    let (classes, shape) = (n, [n, 2, 8, 9]);
    let image = 2 * 8 * 9;
    let mut targets = vec![0.0; n * classes];
    (0..n).for_each(|i| targets[i * classes + i] = 1.0);
    HostBatch {
        images: (0..n * image).map(|i| (i / image) as f32).collect(),
        targets,
        labels: (0..n as u32).collect(),
        indices: (0..n as u32).collect(),
        weights: vec![1.0; n],
        shape,
        classes,
    }
}

#[test]
fn mixed_targets_sum_to_1_and_cutmix_lambda_is_the_area_that_stayed() {
    for (mixup, cutmix) in [(0.4, 0.0), (0.0, 1.0), (0.3, 0.8)] {
        let mix = Mix { mixup, cutmix, ..Mix::default() };
        for key in 0..200 {
            let mut batch = flat_batch(5);
            mix.apply(&mut batch, 0, Seed(key));
            for (i, image) in batch.images.chunks(2 * 8 * 9).enumerate() {
                let target = &batch.targets[i * 5..][..5];
                let other = (i + 4) % 5;
                assert!((target.iter().sum::<f32>() - 1.0).abs() < 1e-6);
                // The mean of what is in the image is the mean that the target claims, whichever
                // way it was mixed.
                let mean = image.iter().sum::<f32>() / image.len() as f32;
                let claimed = target[i] * i as f32 + target[other] * other as f32;
                assert!((mean - claimed).abs() < 1e-4, "{mixup} {cutmix} {key}: {mean} {claimed}");
                let pure = image.iter().all(|v| *v == i as f32 || *v == other as f32);
                assert!(mixup > 0.0 || pure, "cutmix only pastes");
            }
        }
    }
}

#[test]
fn mixing_happens_as_often_as_asked_and_ends_after_its_epoch() {
    let mix = Mix { probability: 0.4, off_after: Some(3), ..Mix::default() };
    let changed = |epoch, key| {
        let mut batch = flat_batch(4);
        mix.apply(&mut batch, epoch, Seed(key));
        batch != flat_batch(4)
    };
    let share = (0..2000).filter(|key| changed(2, *key)).count() as f64 / 2000.0;
    // Some cutmix patches are empty.
    assert!((0.32..0.43).contains(&share), "{share}");
    assert!(!(0..200).any(|key| changed(3, key)));
}

#[test]
fn the_switch_decides_between_mixup_and_cutmix() {
    let cut_share = |switch| {
        let mix = Mix { mixup: 1.0, cutmix: 1.0, switch, ..Mix::default() };
        let cut = |key| {
            let mut batch = flat_batch(2);
            mix.apply(&mut batch, 0, Seed(key));
            batch.images.iter().all(|v| v.fract() == 0.0)
        };
        (0..500).filter(|key| cut(*key)).count() as f64 / 500.0
    };
    assert_eq!(cut_share(0.0), 0.0);
    assert_eq!(cut_share(1.0), 1.0);
    assert!((cut_share(0.3) - 0.3).abs() < 0.08);
}

#[test]
fn a_patch_stays_inside_and_has_the_area_of_its_lambda_where_nothing_is_cut_off() {
    let mut draws = Seed(1).draws();
    for _ in 0..500 {
        let lambda = draws.uniform();
        let patch = Patch::draw(32, 20, lambda, &mut draws);
        assert!(patch.y1 <= 32 && patch.x1 <= 20 && patch.y0 <= patch.y1 && patch.x0 <= patch.x1);
        let share = patch.area() as f64 / 640.0;
        assert!(share <= 1.0 - lambda + 0.12, "{share} {lambda}");
    }
}

#[test]
fn the_preview_is_equal_for_equal_seeds_and_its_first_column_is_the_image() {
    let images = set(9, 3);
    let policy = policy(&images);
    let sheet = |seed| preview(&images, &policy, Seed(seed), 4, 5).unwrap();
    assert_eq!(sheet(1).png, sheet(1).png);
    assert_ne!(sheet(1).png, sheet(2).png);
    let pixels = sheet(1).pixels().unwrap();
    // 7×6 pixels are shown 12 times as large, with 4 pixels between.
    assert_eq!((pixels.width, pixels.height), (5 * (6 * 12 + 4) + 4, 4 * (7 * 12 + 4) + 4));
    for (row, index) in [0, 1, 2, 3].into_iter().enumerate() {
        for y in 0..7 {
            for x in 0..6 {
                let (sy, sx) = (4 + row * 88 + y * 12, 4 + x * 12);
                let at = (sy * pixels.width as usize + sx) * 3;
                assert_eq!(pixels.data[at..at + 3], images.pixels(index)[(y * 6 + x) * 3..][..3]);
            }
        }
    }
}

#[test]
fn the_stage_writes_a_policy_and_a_sheet() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("images");
    std::fs::create_dir_all(&input).unwrap();
    set(9, 1).save(&input).unwrap();
    let mut cx = StageContext::detached(dir.path());
    let artifact = peregrine_pipeline::ArtifactRef {
        stage: "pack".into(),
        port: "images".into(),
        fingerprint: String::new(),
        digest: String::new(),
        dir: input,
    };
    cx.inputs.insert("images".into(), vec![artifact]);
    let stage = Augment { mix: Some(Mix::default()), ..Augment::default() };
    assert_eq!(stage.check(), []);
    stage.run(&cx).unwrap();
    let policy = Policy::load(&cx.out.join("policy")).unwrap();
    assert_eq!(policy.normalize, Normalization { mean: vec![0.4], std: vec![0.25] });
    assert_eq!(policy.transforms, stage.transforms);
    assert!(policy.text().contains("random_crop, padding 4"), "{}", policy.text());
    assert!(Picture::load(&cx.out.join("preview")).is_ok());
}

#[test]
fn params_outside_their_ranges_are_found_with_their_paths() {
    let params = serde_json::json!({
        "transforms": [{ "name": "random_horizontal_flip", "p": 1.5 }, { "name": "random_erasing", "scale": [0.5, 0.1] }],
        "mix": { "mixup": -1.0 },
        "normalize": { "name": "custom", "mean": [0.1, 0.2], "std": [0.0] },
    });
    let stage: Augment = serde_json::from_value(params).unwrap();
    let paths: Vec<String> = stage.check().into_iter().map(|problem| problem.path).collect();
    let expected = ["transforms[0].p", "transforms[1].scale", "mix.mixup", "normalize.mean", "normalize.std"];
    assert_eq!(paths, expected);
}

#[test]
fn only_training_images_are_augmented_and_numbers_must_fit_the_channels() {
    let mut images = set(3, 3);
    let custom = Normalize::Custom { mean: vec![0.5], std: vec![0.2] };
    let stage = Augment { normalize: custom, ..Augment::default() };
    assert_eq!(plan(&stage, &images).unwrap().normalize.std, [0.2; 3]);
    images.meta.split = Split::Test;
    assert!(plan(&stage, &images).unwrap_err().to_string().contains("only training images"));
}
