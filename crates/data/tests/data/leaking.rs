//! What `leak_check` finds between splits, and what `split` and `kfold` keep together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use peregrine_data::clean::{Action, Clean, clean};
use peregrine_data::decode::{Pixels, encode_png};
use peregrine_data::leak_check::{How, LeakAction, LeakCheck, Leaks, leak_check};
use peregrine_data::{KFold, Manifest, Split, SplitImages};
use peregrine_pipeline::{Artifact as _, ArtifactRef, GateFailed, Seed, Stage};

use crate::fixtures::{context, manifest_of, picture, write};

const SIDES: (u32, u32) = (96, 80);

/// A random picture of waves whose height falls with their frequency, as in photographs.
fn scene(seed: u64) -> Pixels {
    let mut draws = Seed(seed).with("scene").draws();
    let waves: Vec<[f64; 5]> = (0..24)
        .map(|_| {
            let (frequency, turn) = (0.04 * 12.0_f64.powf(draws.uniform()), draws.between(0.0, 6.3));
            let height = 2.0 / frequency * draws.between(0.3, 1.0);
            [frequency * turn.cos(), frequency * turn.sin(), draws.between(0.0, 6.3), height, draws.uniform()]
        })
        .collect();
    let (width, height) = SIDES;
    let mut sums = vec![128.0; (width * height * 3) as usize];
    for [fx, fy, phase, tall, tint] in waves {
        // The sine of a sum by the sines of its parts, which are few.
        let across: Vec<(f64, f64)> = (0..width).map(|x| (fx * f64::from(x)).sin_cos()).collect();
        for (row, y) in sums.chunks_mut(width as usize * 3).zip(0..height) {
            let down = [0.0, 1.0, 2.0].map(|channel| (fy * f64::from(y) + phase + tint * channel).sin_cos());
            for (pixel, (sin, cos)) in row.chunks_mut(3).zip(&across) {
                for (value, (b_sin, b_cos)) in pixel.iter_mut().zip(&down) {
                    *value += tall * (sin * b_cos + cos * b_sin);
                }
            }
        }
    }
    let data = sums.into_iter().map(|sum: f64| sum.clamp(0.0, 255.0) as u8).collect();
    Pixels { width, height, channels: 3, data }
}

/// The part of `pixels` that begins at `x`, `y`; beyond its edge the edge goes on.
fn part(pixels: &Pixels, x: i64, y: i64, width: u32, height: u32) -> Pixels {
    let channels = usize::from(pixels.channels);
    let at = |from: i64, to: u32, size: u32| (from + i64::from(to)).clamp(0, i64::from(size) - 1) as usize;
    let mut data = Vec::new();
    for row in 0..height {
        for column in 0..width {
            let place = at(y, row, pixels.height) * pixels.width as usize + at(x, column, pixels.width);
            data.extend_from_slice(&pixels.data[place * channels..(place + 1) * channels]);
        }
    }
    Pixels { width, height, channels: pixels.channels, data }
}

fn mirrored(pixels: &Pixels) -> Pixels {
    let channels = usize::from(pixels.channels);
    let rows = pixels.data.chunks(pixels.width as usize * channels);
    let data = rows.flat_map(|row| row.chunks(channels).rev().flatten().copied()).collect();
    Pixels { data, ..pixels.clone() }
}

fn jpeg(pixels: &Pixels, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let color = image::ExtendedColorType::Rgb8;
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode(&pixels.data, pixels.width, pixels.height, color)
        .unwrap();
    bytes
}

fn of_folder(all: &Manifest, folder: &str, split: Split) -> Manifest {
    let images = all.images.iter().filter(|image| image.id.starts_with(folder));
    Manifest { split, ..all.with_images(images.cloned().collect()) }
}

/// Train, val and test of different pictures, `originals` and half as many, with changed copies of the
/// first training images in val and test: four changes, `copies` of each.
fn planted(root: &Path, originals: u64, copies: u64) -> [Manifest; 3] {
    let (width, height) = SIDES;
    let original = scene;
    for seed in 0..originals {
        write(root, format!("train/{seed:04}.png"), &encode_png(&original(seed)).unwrap());
    }
    for seed in 2 * originals..2 * originals + originals / 2 {
        let folder = if seed % 4 == 0 { "val" } else { "test" };
        write(root, format!("{folder}/{seed:04}.png"), &encode_png(&original(seed)).unwrap());
    }
    for seed in 0..4 * copies {
        let folder = if seed % 3 == 0 { "val" } else { "test" };
        let image = original(seed);
        let (bytes, name) = match seed % 4 {
            0 => (jpeg(&image, 30), format!("{folder}/q30-{seed:04}.jpg")),
            1 => (encode_png(&mirrored(&image)).unwrap(), format!("{folder}/flip-{seed:04}.png")),
            2 => {
                let cut = part(&image, 4, 3, width - 9, height - 8);
                (encode_png(&cut).unwrap(), format!("{folder}/crop-{seed:04}.png"))
            }
            _ => {
                let moved = part(&image, i64::from(width) / 20, 0, width, height);
                (encode_png(&moved).unwrap(), format!("{folder}/shift-{seed:04}.png"))
            }
        };
        write(root, name, &bytes);
    }
    let all = manifest_of(root);
    // Each folder is a class here; what matters is the part.
    let part = |folder, split| of_folder(&all, folder, split);
    [part("train/", Split::Train), part("val/", Split::Val), part("test/", Split::Test)]
}

/// The number in the name of an image: the same for an image and its copies.
fn number(id: &str) -> &str {
    let name = id.rsplit(['/', '-']).next().unwrap();
    &name[..4]
}

#[test]
fn planted_copies_are_found_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let splits = planted(dir.path(), 500, 125);
    let leaks = leak_check(&splits, None, &LeakCheck::default(), &context(dir.path())).unwrap();
    let wrong: Vec<String> = leaks
        .leaks
        .iter()
        .filter(|l| number(&l.image.id) != number(&l.of.id))
        .map(peregrine_data::leak_check::Leak::words)
        .collect();
    let found: BTreeSet<&str> = leaks.leaks.iter().map(|leak| leak.image.id.as_str()).collect();
    let mut missed: BTreeMap<&str, usize> = BTreeMap::new();
    for image in splits[1].images.iter().chain(&splits[2].images) {
        if let Some((kind, _)) = image.id.split_once('-') {
            *missed.entry(kind).or_default() += usize::from(!found.contains(image.id.as_str()));
        }
    }
    // RELIABILITY's bars are 95 % and 98 %.
    let misses: usize = missed.values().sum();
    println!("{misses} of 500 missed: {missed:?}; {} of {} wrong", wrong.len(), leaks.leaks.len());
    assert!(misses * 20 <= 500, "{misses} of 500 missed: {missed:?}");
    assert!(wrong.len() * 50 <= leaks.leaks.len(), "{wrong:?}");
    let message = leaks.gate().unwrap_err().to_string();
    assert!(message.contains("images lie in two splits") && message.contains("(train)"), "{message}");
    assert!(message.contains("more (`action: report` lists them all)"), "{message}");
    // The report is saved as it is.
    let saved = tempfile::tempdir().unwrap();
    leaks.save(saved.path()).unwrap();
    assert_eq!(Leaks::load(saved.path()).unwrap(), leaks);
    assert_eq!(leaks.table().unwrap().rows.len(), leaks.leaks.len());
}

#[test]
fn a_split_without_copies_passes() {
    let dir = tempfile::tempdir().unwrap();
    let splits = planted(dir.path(), 80, 0);
    let leaks = leak_check(&splits, None, &LeakCheck::default(), &context(dir.path())).unwrap();
    assert_eq!(leaks.leaks, []);
    leaks.gate().unwrap();
    assert_eq!(leaks.splits, [(Split::Train, 80), (Split::Val, 10), (Split::Test, 30)]);
}

#[test]
fn equal_bytes_pixels_and_groups_leak_and_what_scores_know_is_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    for seed in 0..6 {
        let image = picture(seed, 40, 40, 3);
        write(dir.path(), format!("train/{seed}.png"), &encode_png(&image).unwrap());
        let bytes = match seed {
            0 => encode_png(&image).unwrap(),
            // Other bytes, the same pixels.
            1 => {
                let mut bytes = std::io::Cursor::new(Vec::new());
                let buffer = image::RgbImage::from_raw(40, 40, image.data.clone()).unwrap();
                buffer.write_to(&mut bytes, image::ImageFormat::Bmp).unwrap();
                bytes.into_inner()
            }
            _ => encode_png(&picture(100 + seed, 40, 40, 3)).unwrap(),
        };
        let name = if seed == 1 { "test/1.bmp".to_owned() } else { format!("test/{seed}.png") };
        write(dir.path(), name, &bytes);
    }
    let mut all = manifest_of(dir.path());
    for image in &mut all.images {
        if image.id.contains("/4.") {
            image.group = Some("p".to_owned());
        }
    }
    let params =
        Clean { exact_duplicates: Action::Keep, contradictory_labels: Action::Keep, ..Clean::default() };
    let scores = clean(&all, &params, &context(dir.path())).unwrap().scores;
    std::fs::remove_dir_all(dir.path().join("train")).unwrap();
    let splits = [of_folder(&all, "train/", Split::Train), of_folder(&all, "test/", Split::Test)];
    let leaks = leak_check(&splits, Some(scores), &LeakCheck::default(), &context(dir.path())).unwrap();
    let found: Vec<(How, &str, &str)> =
        leaks.leaks.iter().map(|l| (l.how, l.image.id.as_str(), l.of.id.as_str())).collect();
    let expected = [
        (How::EqualBytes, "test/0.png", "train/0.png"),
        (How::EqualPixels, "test/1.bmp", "train/1.png"),
        (How::Group, "test/4.png", "train/4.png"),
    ];
    assert_eq!(found, expected);
    assert!(leak_check(&splits[..1], None, &LeakCheck::default(), &context(dir.path())).is_err());
}

/// Runs `stage` on `inputs`, and gives the manifests that it wrote at `outputs`.
fn run<S: Stage>(stage: &S, dir: &Path, inputs: &[(&str, &Path)], outputs: [&str; 3]) -> [Manifest; 3] {
    let mut cx = context(dir);
    cx.out = dir.join(format!("out{}", inputs.len()));
    for (port, from) in inputs {
        let artifact = ArtifactRef {
            stage: "clean".to_owned(),
            port: (*port).to_owned(),
            fingerprint: String::new(),
            digest: String::new(),
            dir: from.to_path_buf(),
        };
        cx.inputs.insert((*port).to_owned(), vec![artifact]);
    }
    stage.run(&cx).unwrap();
    outputs.map(|port| Manifest::load(&cx.out.join(port)).unwrap())
}

#[test]
fn near_duplicates_that_stayed_are_parted_without_scores_and_kept_together_with_them() {
    let images = tempfile::tempdir().unwrap();
    let splits = planted(images.path(), 60, 10);
    let images: Vec<_> = splits.iter().flat_map(|part| part.images.clone()).collect();
    let all = Manifest { split: Split::All, ..splits[0].with_images(images) };
    let dir = tempfile::tempdir().unwrap();
    let keep = Clean {
        near_duplicates: Action::Keep,
        low_information: Action::Keep,
        dark: Action::Keep,
        bright: Action::Keep,
        blurry: Action::Keep,
        ..Clean::default()
    };
    let cleaned = clean(&all, &keep, &context(dir.path())).unwrap();
    assert_eq!(cleaned.manifest.images.len(), all.images.len());
    let (manifest, scores) = (dir.path().join("manifest"), dir.path().join("scores"));
    std::fs::create_dir_all(&manifest).unwrap();
    std::fs::create_dir_all(&scores).unwrap();
    cleaned.manifest.save(&manifest).unwrap();
    cleaned.scores.save(&scores).unwrap();
    let leaks = |parts: &[Manifest; 3]| {
        leak_check(parts, Some(cleaned.scores.clone()), &LeakCheck::default(), &context(dir.path())).unwrap()
    };
    let (plain, with): ([_; 1], [_; 2]) = (
        [("manifest", manifest.as_path())],
        [("manifest", manifest.as_path()), ("scores", scores.as_path())],
    );
    let thirds = SplitImages { val: 0.3, test: 0.3, ..SplitImages::default() };
    let names = ["train", "val", "test"];
    assert!(leaks(&run(&thirds, dir.path(), &plain, names)).leaks.len() > 8);
    assert_eq!(leaks(&run(&thirds, dir.path(), &with, names)).leaks, []);
    let names = ["train", "val", "held_out"];
    assert!(leaks(&run(&KFold::default(), dir.path(), &plain, names)).leaks.len() > 4);
    assert_eq!(leaks(&run(&KFold::default(), dir.path(), &with, names)).leaks, []);
}

#[test]
fn a_leak_fails_the_stage_as_a_gate_unless_it_is_only_to_be_reported() {
    let dir = tempfile::tempdir().unwrap();
    for (name, seed) in [("train/0.png", 0), ("train/1.png", 1), ("test/0.png", 0)] {
        write(dir.path(), name, &encode_png(&picture(seed, 40, 40, 3)).unwrap());
    }
    let all = manifest_of(dir.path());
    let mut cx = context(dir.path());
    for (port, split) in [("train", Split::Train), ("test", Split::Test)] {
        let saved = dir.path().join(format!("saved-{port}"));
        std::fs::create_dir_all(&saved).unwrap();
        of_folder(&all, port, split).save(&saved).unwrap();
        let artifact = ArtifactRef {
            stage: "split".to_owned(),
            port: port.to_owned(),
            fingerprint: String::new(),
            digest: String::new(),
            dir: saved,
        };
        cx.inputs.insert(port.to_owned(), vec![artifact]);
    }
    let error = LeakCheck::default().run(&cx).unwrap_err();
    assert!(error.is::<GateFailed>(), "{error}");
    let message = error.to_string();
    assert!(message.contains("`test/0.png` (test) has the bytes of `train/0.png` (train)"), "{message}");
    LeakCheck { action: LeakAction::Report, ..LeakCheck::default() }.run(&cx).unwrap();
    assert_eq!(Leaks::load(&cx.out.join("leaks")).unwrap().leaks.len(), 1);
}
