//! `pack`, its arithmetic against Pillow's, and what it refuses.

use peregrine_data::decode::Pixels;
use peregrine_data::pack::{Channels, Pack, Recipe, Size, pack};
use peregrine_data::{ImageSet, Manifest, Split};
use peregrine_pipeline::Artifact as _;

use crate::decoding::{bytes, difference, golden};
use crate::fixtures::{context, manifest_of, picture, png, write};

#[test]
fn resizing_equals_pillows() {
    let golden = golden();
    let data = bytes(&golden.source.pixels);
    let source = Pixels { width: golden.source.width, height: golden.source.height, channels: 3, data };
    assert_eq!(source.to_gray().data, bytes(&golden.source.luma));
    for resized in golden.resized {
        let recipe: Recipe = format!("{}/{}", resized.mode, resized.filter).parse().unwrap();
        let ours = recipe.apply(&source, resized.height, resized.width).unwrap();
        let theirs = bytes(&resized.pixels);
        let worst = ours.data.iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        let name = format!("{recipe} to {}×{}", resized.height, resized.width);
        assert!(difference(&ours.data, &theirs) < 0.5 && worst <= 2, "{name}: up to {worst} off");
    }
}

/// A picture of 64×16 that is gray with white columns at its left and right end.
fn wide() -> Pixels {
    let row = |x: u32| if !(4..60).contains(&x) { 255 } else { 100 };
    Pixels { width: 64, height: 16, channels: 1, data: (0..16).flat_map(|_| (0..64).map(row)).collect() }
}

#[test]
fn letterbox_and_pad_keep_the_whole_picture_and_crop_its_middle() {
    let apply = |text: &str| text.parse::<Recipe>().unwrap().apply(&wide(), 32, 32).unwrap();
    let at = |pixels: &Pixels, x: usize, y: usize| pixels.data[y * 32 + x];
    let boxed = apply("letterbox/bilinear/7");
    assert_eq!([at(&boxed, 0, 16), at(&boxed, 31, 16), at(&boxed, 16, 16)], [255, 255, 100]);
    assert_eq!([at(&boxed, 16, 0), at(&boxed, 0, 31)], [7, 7]);
    let padded = apply("pad/bilinear");
    assert_eq!([at(&padded, 0, 0), at(&padded, 31, 31), at(&padded, 16, 0)], [255, 255, 100]);
    let cropped = apply("crop/bilinear");
    assert!(cropped.data.iter().all(|&value| value == 100));
    let squashed = apply("squash/bilinear");
    assert_eq!([at(&squashed, 0, 0), at(&squashed, 16, 31)], [255, 100]);
    assert!("stretch/bilinear".parse::<Recipe>().is_err());
}

fn packed(manifest: &Manifest, params: &Pack) -> anyhow::Result<ImageSet> {
    let dir = tempfile::tempdir()?;
    let out = dir.path().join("images");
    std::fs::create_dir(&out)?;
    pack(manifest, params, &out, &context(dir.path()))?;
    ImageSet::load(&out)
}

#[test]
fn copies_share_a_picture_and_numbers_describe_the_pixels() {
    let dir = tempfile::tempdir().unwrap();
    for (number, path) in ["a/1.png", "a/2.png", "b/1.png"].into_iter().enumerate() {
        write(dir.path(), path, &png(number as u64, 16, 16, 1));
    }
    let mut manifest = Manifest { split: Split::Train, ..manifest_of(dir.path()) };
    let mut copy = manifest.images[2].clone();
    (copy.id, copy.synthetic, copy.weight) = ("b/1.png#1".to_owned(), true, 0.5);
    manifest.images.push(copy);
    let set = packed(&manifest, &Pack { size: Size::square(16), ..Pack::default() }).unwrap();
    assert_eq!((set.len(), set.meta.channels, set.meta.resize.as_str()), (4, 1, "squash/bilinear"));
    assert_eq!(set.labels, [0, 0, 1, 1]);
    assert_eq!(set.weights, [1.0, 1.0, 1.0, 0.5]);
    assert_eq!(set.pixels(2), set.pixels(3));
    assert_eq!(set.pixels(0), picture(0, 16, 16, 1).data);
    let values: Vec<f64> =
        (0..3).flat_map(|i| set.pixels(i)).map(|&value| f64::from(value) / 255.0).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
    assert!((set.meta.mean[0] - mean).abs() < 1e-12 && (set.meta.std[0] - variance.sqrt()).abs() < 1e-12);
    // Saving what was mapped gives the same set.
    let again = tempfile::tempdir().unwrap();
    set.save(again.path()).unwrap();
    let again = ImageSet::load(again.path()).unwrap();
    assert_eq!((again.meta.clone(), again.pixels(3)), (set.meta.clone(), set.pixels(3)));
}

#[test]
fn colour_is_found_and_sizes_need_not_be_square() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a/1.png", &png(1, 20, 10, 1));
    write(dir.path(), "b/1.png", &png(2, 10, 20, 3));
    let manifest = manifest_of(dir.path());
    let size = Size { height: 8, width: 12 };
    let set = packed(&manifest, &Pack { size, ..Pack::default() }).unwrap();
    assert_eq!((set.meta.height, set.meta.width, set.meta.channels), (8, 12, 3));
    let gray = packed(&manifest, &Pack { size, channels: Channels::Gray, ..Pack::default() }).unwrap();
    assert_eq!(gray.pixels(1).len(), 96);
    assert_eq!(gray.meta.mean.len(), 1);
}

#[test]
fn a_file_that_changed_since_ingest_stops_the_stage_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a/1.png", &png(1, 8, 8, 1));
    write(dir.path(), "b/1.png", &png(2, 8, 8, 1));
    let manifest = manifest_of(dir.path());
    write(dir.path(), "b/1.png", &png(3, 8, 8, 1));
    let error = packed(&manifest, &Pack::default()).unwrap_err().to_string();
    assert!(error.contains("b/1.png` changed since `ingest`"), "{error}");
}

#[test]
fn unreadable_images_are_left_out_up_to_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..9_u64 {
        write(dir.path(), format!("a/{number}.png"), &png(number, 8, 8, 1));
    }
    write(dir.path(), "b/1.png", &png(10, 8, 8, 1));
    write(dir.path(), "b/2.png", b"no image");
    let manifest = manifest_of(dir.path());
    let error = packed(&manifest, &Pack::default()).unwrap_err().to_string();
    assert!(
        error.contains("1 of 11 images are unreadable") && error.contains("put a `clean` stage"),
        "{error}"
    );
    let set = packed(&manifest, &Pack { max_bad_fraction: 0.1, ..Pack::default() }).unwrap();
    assert_eq!(set.len(), 10);
    let empty = manifest.with_images(Vec::new());
    assert!(packed(&empty, &Pack::default()).unwrap_err().to_string().contains("has no images"));
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..40_u64 {
        write(dir.path(), format!("{}/{number}.png", number % 2), &png(number, 31, 17, 3));
    }
    let manifest = manifest_of(dir.path());
    let files = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let out = tempfile::tempdir().unwrap();
        pool.install(|| pack(&manifest, &Pack::default(), out.path(), &context(dir.path()))).unwrap();
        ["images.json", "images.parquet", "pixels.u8"]
            .map(|name| std::fs::read(out.path().join(name)).unwrap())
    };
    assert_eq!(files(1), files(4));
}

#[test]
fn cancelling_stops_the_stage() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a/1.png", &png(1, 8, 8, 1));
    write(dir.path(), "b/1.png", &png(2, 8, 8, 1));
    let cx = context(dir.path());
    cx.cancel.cancel();
    let out = tempfile::tempdir().unwrap();
    let error = pack(&manifest_of(dir.path()), &Pack::default(), out.path(), &cx).unwrap_err();
    assert!(error.downcast_ref::<peregrine_pipeline::Cancelled>().is_some());
}
