//! Material for a report that looks like the sample pipeline's: three networks of different
//! strength that confuse like classes, an ensemble of them, a cleaned data set.

#![allow(dead_code)] // The example and the tests each use a part.

use std::collections::BTreeMap;

use peregrine_data::clean::{Action, Check, CheckSummary, ClassSummary, Finding, FlaggedImage};
use peregrine_data::profile::{Profile, Span, Tally};
use peregrine_data::{CleanReport, ImageSet, ImageSetMeta, Picture, Pixels, Split, Thumbnail};
use peregrine_ensemble::Method;
use peregrine_ensemble::stage::ensemble;
use peregrine_eval::{Metrics, Predictions};
use peregrine_pipeline::{Count, Lineage, LineageStage, Named, Seed};
use peregrine_report::Material;
use peregrine_train::{EpochRow, History, Summary};
use serde_json::json;

/// What differs between demos.
pub struct Demo<'a> {
    /// Ten class names.
    pub classes: Vec<String>,
    /// The picture of image `index` of class `class`.
    pub picture: &'a dyn Fn(usize, usize) -> Pixels,
}

const NETWORKS: [(&str, &str, f64, u64); 3] = [
    ("cnn", "sample_cnn", 2.3, 1_630_090),
    ("lenet", "lenet5", 1.7, 61_706),
    ("resnet", "resnet", 2.6, 78_042),
];
const COUNTS: [u64; 10] = [164, 151, 158, 149, 162, 96, 172, 131, 143, 88];
const SEED: Seed = Seed(17);

/// The class names of the sample data.
pub fn fashion() -> Vec<String> {
    let names = "t-shirt_top trouser pullover dress coat sandal shirt sneaker bag ankle_boot";
    names.split(' ').map(str::to_owned).collect()
}

/// Class names that try to break out of the page.
pub fn hostile() -> Vec<String> {
    [
        "<script>document.title='pwned'</script>",
        "\"><img src=x onerror=alert(1)>",
        "'); DROP TABLE classes;--",
        "\u{1b}[31mred\u{1b}[0m\u{7}",
        "evil\u{202e}gnp.exe",
        "</title></style></svg><svg onload=alert(2)>",
        "{{ page.title }}{% include 'x' %}",
        "[click](javascript:alert(3)) | @everyone `code`",
        "a\nb\r\nc\u{0}d",
        "ein-sehr-langer-klassenname-ohne-leerzeichen-der-nirgends-umbrechen-will-靴靴靴靴",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// A small made-up picture: a shape that depends on the class.
pub fn drawn(class: usize, index: usize) -> Pixels {
    let side = 28_u32;
    let shade = |x: u32, y: u32| {
        let (dx, dy) = (f64::from(x) - 13.5, f64::from(y) - 13.5);
        let angle = dy.atan2(dx) * (class % 5 + 2) as f64 + index as f64;
        let edge = 8.0 + 3.0 * angle.cos();
        if (dx * dx + dy * dy).sqrt() < edge { 90 + ((x + y) * 3) as u8 } else { 0 }
    };
    let data = (0..side).flat_map(|y| (0..side).map(move |x| shade(x, y))).collect();
    Pixels { width: side, height: side, channels: 1, data }
}

fn named<T>(stage: &str, value: T) -> Named<T> {
    Named { stage: stage.to_owned(), fingerprint: fingerprint(stage), value }
}

fn fingerprint(stage: &str) -> String {
    let mut draws = Seed(1).with(stage).draws();
    (0..64).map(|_| char::from_digit(draws.below(16) as u32, 16).unwrap_or('0')).collect()
}

impl Demo<'_> {
    /// All material of a report.
    ///
    /// # Errors
    /// When a picture can't be encoded.
    pub fn material(&self) -> anyhow::Result<Material> {
        let test: Vec<_> = NETWORKS.iter().map(|n| self.predictions(n, Split::Test, 243)).collect();
        let val: Vec<_> = NETWORKS.iter().map(|n| self.predictions(n, Split::Val, 240)).collect();
        let (combined, weights) = ensemble(&test, &val, &Method::default())?;
        let mut predictions = test;
        predictions.push(named("ensemble", combined));
        let names = ["cnn", "lenet", "resnet", "ensemble"];
        let metrics = names.iter().zip(&predictions);
        let metrics = metrics.map(|(name, p)| Ok(named(&format!("evaluate_{name}"), Metrics::of(&p.value)?)));
        Ok(Material {
            lineage: lineage(),
            metrics: metrics.collect::<anyhow::Result<_>>()?,
            histories: NETWORKS.iter().map(|n| named(&format!("train_{}", n.0), history(n))).collect(),
            profile: Some(named("profile", self.profile()?)),
            clean: Some(named("clean", self.clean()?)),
            images: Some(named("pack_test", self.images(&predictions[0].value)?)),
            previews: vec![named("augment", self.preview()?)],
            predictions,
            weights: vec![named("ensemble", weights)],
        })
    }

    fn id(&self, class: usize, index: usize) -> String {
        format!("{}/{index:04}.png", self.classes[class])
    }

    /// Logits of a network of some skill: images differ in difficulty, alike classes attract, and
    /// each network has its own noise.
    fn predictions(&self, network: &(&str, &str, f64, u64), split: Split, n: usize) -> Named<Predictions> {
        let (name, _, skill, _) = *network;
        let seed = SEED.with(split.name());
        let labels: Vec<u32> = (0..n).map(|i| seed.with("label").with(i).draws().below(10) as u32).collect();
        let mut probabilities = Vec::with_capacity(n * 10);
        for (i, &label) in labels.iter().enumerate() {
            let mut shared = seed.with("image").with(i).draws();
            let mut own = seed.with(name).with(i).draws();
            let logits: Vec<f64> = (0..10)
                .map(|class| {
                    let noise = 1.0 * shared.normal() + 0.8 * own.normal();
                    let pull = if class == label as usize {
                        skill + 2.2
                    } else {
                        1.5 * likeness(label as usize, class)
                    };
                    1.3 * (pull + noise)
                })
                .collect();
            let top = logits.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
            let sum: f64 = logits.iter().map(|v| (v - top).exp()).sum();
            probabilities.extend(logits.iter().map(|v| ((v - top).exp() / sum) as f32));
        }
        let ids =
            labels.iter().enumerate().map(|(i, &label)| self.id(label as usize, i % 80)).collect::<Vec<_>>();
        let ids = ids.into_iter().enumerate().map(|(i, id)| format!("{id}#{}", i / 80)).collect();
        let stage = match split {
            Split::Val => format!("predict_val_{name}"),
            _ => format!("predict_{name}"),
        };
        named(&stage, Predictions { classes: self.classes.clone(), split, ids, labels, probabilities })
    }

    fn images(&self, p: &Predictions) -> anyhow::Result<ImageSet> {
        let pixels = p
            .labels
            .iter()
            .enumerate()
            .flat_map(|(i, &label)| (self.picture)(label as usize, i % 80).to_gray().data);
        let meta = ImageSetMeta {
            classes: self.classes.clone(),
            split: Split::Test,
            height: 28,
            width: 28,
            channels: 1,
            mean: vec![0.286],
            std: vec![0.353],
            resize: "squash/bilinear".to_owned(),
        };
        ImageSet::from_pixels(meta, p.ids.clone(), p.labels.clone(), vec![1.0; p.len()], pixels.collect())
    }

    fn thumb(&self, class: usize, index: usize) -> anyhow::Result<Thumbnail> {
        let pixels = (self.picture)(class, index);
        Thumbnail::of(&pixels, &self.id(class, index), &self.classes[class], format!("{class}-{index}.png"))
    }

    // A profile has parts of its own, so it can't be written as one literal.
    #[allow(clippy::field_reassign_with_default)]
    fn profile(&self) -> anyhow::Result<Profile> {
        let tally = |name: &str, images: u64| Tally { name: name.to_owned(), images };
        let total = COUNTS.iter().sum();
        let samples = (0..10).flat_map(|class| (2..6).map(move |i| self.thumb(class, i * 7)));
        let mut profile = Profile::default();
        profile.split = Split::All;
        profile.images = total;
        profile.bytes = 812_340;
        profile.unreadable = 18;
        profile.exact_copies = 14;
        profile.classes = self.classes.iter().zip(COUNTS).map(|(name, images)| tally(name, images)).collect();
        profile.formats = vec![tally("png", total - 18)];
        profile.modes = vec![tally("gray", total - 18)];
        profile.resolutions = vec![tally("28×28", total - 18)];
        profile.different_resolutions = 1;
        profile.width = Span { min: 28, median: 28, max: 28 };
        profile.height = Span { min: 28, median: 28, max: 28 };
        profile.file_bytes = Span { min: 0, median: 549, max: 911 };
        profile.mean = vec![0.2861];
        profile.std = vec![0.3530];
        profile.samples = samples.collect::<anyhow::Result<_>>()?;
        Ok(profile)
    }

    fn clean(&self) -> anyhow::Result<CleanReport> {
        let mut report = CleanReport { examined: COUNTS.iter().sum(), ..CleanReport::default() };
        let class = |(class, &examined): (&String, &u64)| ClassSummary {
            class: class.clone(),
            examined,
            ..ClassSummary::default()
        };
        report.classes = self.classes.iter().zip(&COUNTS).map(class).collect();
        for (at, (check, action, n, rule, detail)) in CHECKS.into_iter().enumerate() {
            let removed = if action == Action::Drop { n } else { 0 };
            let kept = n - removed;
            let rule = rule.to_owned();
            report.checks.push(CheckSummary {
                check,
                action,
                rule,
                flagged: n,
                removed,
                kept,
                ..CheckSummary::default()
            });
            report.removed += removed;
            for i in 0..n as usize {
                let (class, index) = ((i * 3 + at) % 10, 20 + at * 5 + i);
                let twin = matches!(
                    check,
                    Check::ExactDuplicate | Check::NearDuplicate | Check::ContradictoryLabels
                );
                let of = twin.then(|| self.id(class, index + 30));
                report.findings.push(Finding {
                    id: self.id(class, index),
                    path: format!("data/sample/{}", self.id(class, index)),
                    class: self.classes[class].clone(),
                    check,
                    action,
                    score: (!twin && check != Check::Unreadable).then_some(0.043 + i as f64 * 0.001),
                    detail: detail.to_owned(),
                    of,
                    suggested: None,
                    weight: None,
                    overridden: None,
                });
                if action == Action::Drop {
                    report.classes[class].removed += 1;
                }
                if check != Check::Unreadable && i < 10 {
                    let of = if twin { Some(self.thumb(class, index)?) } else { None };
                    report.thumbnails.push(FlaggedImage {
                        check: Some(check),
                        image: self.thumb(class, index)?,
                        of,
                    });
                }
            }
        }
        report.kept = report.examined - report.removed;
        Ok(report)
    }

    /// A sheet of 6 × 16 small pictures.
    fn preview(&self) -> anyhow::Result<Picture> {
        let (columns, rows, cell) = (16, 6, 30);
        let (width, height) = (columns * cell + 2, rows * cell + 2);
        let mut data = vec![0_u8; width * height];
        for at in 0..columns * rows {
            let (column, row) = (at % columns, at / columns);
            let picture = (self.picture)(row + row / 5, 40 + row).to_gray();
            let shift = Seed(3).with(at).draws().below(5);
            for y in 0..28_usize.min(picture.height as usize) {
                for x in 0..28_usize.min(picture.width as usize) {
                    let from = if (at + row).is_multiple_of(2) { 27 - x } else { x };
                    let pixel = picture.data[y * picture.width as usize + (from + shift).min(27)];
                    data[(row * cell + 2 + y) * width + column * cell + 2 + x] = pixel;
                }
            }
        }
        Picture::from_pixels(&Pixels { width: width as u32, height: height as u32, channels: 1, data })
    }
}

const CHECKS: [(Check, Action, u64, &str, &str); 7] = [
    (Check::Unreadable, Action::Drop, 18, "the file decodes as a whole image", "the file ends early"),
    (
        Check::ContradictoryLabels,
        Action::Drop,
        8,
        "the same pixels carry one label",
        "same pixels, other label",
    ),
    (
        Check::ExactDuplicate,
        Action::Drop,
        14,
        "no two files have the same bytes or pixels",
        "same bytes as another file",
    ),
    (
        Check::NearDuplicate,
        Action::Keep,
        16,
        "perceptual hashes differ in more than 4 bits",
        "2 bits from another image",
    ),
    (Check::Dark, Action::Drop, 8, "mean brightness at least 0.06", "mean brightness 0.04"),
    (Check::LowInformation, Action::Drop, 7, "at least 0.5 bits of entropy", "one flat colour"),
    (Check::Blurry, Action::Keep, 0, "variance of the Laplacian at least 20", ""),
];

/// How much class `a` looks like class `b`.
fn likeness(a: usize, b: usize) -> f64 {
    let group = |class: usize| match class {
        0 | 2 | 3 | 4 | 6 => 0,
        5 | 7 | 9 => 1,
        other => other + 10,
    };
    match (a, b) {
        (0, 6) | (6, 0) | (2, 4) | (4, 2) => 2.0,
        _ if group(a) == group(b) => 1.0,
        _ => 0.0,
    }
}

fn history((name, model, skill, parameters): &(&str, &str, f64, u64)) -> History {
    let epochs = 12;
    let row = |epoch: u64| {
        let mut draws = SEED.with("history").with(*name).with(epoch).draws();
        let done = 1.0 - (-(epoch as f64) / (6.2 - skill)).exp();
        let top1 = 0.12 + (0.66 + skill * 0.048) * done;
        EpochRow {
            epoch,
            step: epoch * 17,
            lr: 0.05
                * (1.0 + (std::f64::consts::PI * epoch as f64 / 12.0).cos())
                * (epoch as f64 / 2.0).min(1.0)
                + 1e-4,
            train_loss: 2.3 * (1.0 - done) + 0.42 + 0.02 * draws.normal(),
            train_top1: top1 - 0.03 + 0.008 * draws.normal(),
            val_loss: 2.2 * (1.0 - done) + 0.36 + 0.03 * draws.normal(),
            val_top1: (top1 + 0.013 * draws.normal()).min(1.0),
            val_macro_f1: top1,
            best: false,
            groups: Vec::new(),
        }
    };
    let rows: Vec<EpochRow> = (1..=epochs).map(row).collect();
    let best = rows.iter().fold(&rows[0], |best, row| if row.val_top1 > best.val_top1 { row } else { best });
    let summary = Summary {
        model: (*model).to_owned(),
        parameters: *parameters,
        train_images: 1180,
        val_images: 240,
        steps_per_epoch: 17,
        epochs_planned: epochs,
        metric: "val_top1".to_owned(),
        best_epoch: best.epoch,
        best_value: best.val_top1,
        checkpoint_epoch: best.epoch,
        stopped_early: false,
    };
    History { summary, epochs: rows }
}

/// The stages of the sample pipeline.
fn lineage() -> Lineage {
    let mut stages: Vec<LineageStage> = Vec::new();
    let mut add = |name: &str, kind: &str, inputs: &[&str], seconds: f64, count: (&str, usize, &str)| {
        stages.push(LineageStage {
            name: name.to_owned(),
            kind: kind.to_owned(),
            fingerprint: fingerprint(name),
            params: match kind {
                "train" => {
                    json!({"epochs": 12, "batch_size": 64, "optimizer": {"name": "adamw", "lr": 0.002}})
                }
                "split" => json!({"val": 0.15, "test": 0.15}),
                "ingest" => json!({"source": {"name": "image_folder", "root": "data/sample"}}),
                _ => json!({}),
            },
            inputs: inputs.iter().map(|input| (*input).to_owned()).collect(),
            seconds,
            counts: BTreeMap::from([(count.0.to_owned(), Count::new(count.1, count.2))]),
        });
    };
    add("ingest", "ingest", &[], 0.1, ("manifest", 1414, "images"));
    add("profile", "profile", &["ingest"], 0.4, ("profile", 1414, "images"));
    add("clean", "clean", &["ingest"], 0.6, ("manifest", 1359, "images"));
    add("split", "split", &["clean"], 0.0, ("train", 876, "images"));
    add("balance", "balance", &["split"], 0.0, ("manifest", 1180, "images"));
    add("pack_train", "pack", &["balance"], 0.3, ("images", 1180, "images"));
    add("pack_val", "pack", &["split"], 0.1, ("images", 240, "images"));
    add("pack_test", "pack", &["split"], 0.1, ("images", 243, "images"));
    add("augment", "augment", &["pack_train"], 0.2, ("preview", 1, "pictures"));
    for (name, _, skill, parameters) in NETWORKS {
        let inputs = ["pack_train", "pack_val", "augment", "balance"];
        add(
            &format!("train_{name}"),
            "train",
            &inputs,
            8.0 * skill,
            ("checkpoint", parameters as usize, "parameters"),
        );
    }
    for (name, ..) in NETWORKS {
        let from = format!("train_{name}");
        add(
            &format!("predict_val_{name}"),
            "predict",
            &[&from, "pack_val"],
            0.3,
            ("predictions", 240, "images"),
        );
        add(
            &format!("predict_{name}"),
            "predict",
            &[&from, "pack_test"],
            0.3,
            ("predictions", 243, "images"),
        );
    }
    let members = ["predict_cnn", "predict_lenet", "predict_resnet"];
    let val = ["predict_val_cnn", "predict_val_lenet", "predict_val_resnet"];
    add("ensemble", "ensemble", &[members, val].concat(), 0.0, ("predictions", 243, "images"));
    for name in members {
        add(&name.replace("predict", "evaluate"), "evaluate", &[name], 0.0, ("metrics", 243, "images"));
    }
    add("evaluate_ensemble", "evaluate", &["ensemble"], 0.0, ("metrics", 243, "images"));
    Lineage { pipeline: "sample".to_owned(), stages }
}
