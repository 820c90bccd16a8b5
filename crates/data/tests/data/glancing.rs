//! Colour JPEG files that are made smaller while they are decoded: the same verdict and the same picture
//! as when they are decoded in full, and equal exactly when their pixels are.

use peregrine_data::clean::examine::{Examined, examine_bytes};
use peregrine_data::clean::{Check, Clean, clean};
use peregrine_data::decode::{decode, decode_raster, encode_jpeg, encode_png, glance};
use peregrine_data::pack::fit_raster_within;

use crate::exact::jpeg_files;
use crate::fixtures::{context, manifest_of, picture, write};

fn look(bytes: &[u8]) -> Examined {
    examine_bytes(bytes).unwrap().unwrap()
}

/// `jpeg` with a comment.
fn commented(jpeg: &[u8]) -> Vec<u8> {
    [&jpeg[..2], &[0xff, 0xfe, 0, 4, b'h', b'i'], &jpeg[2..]].concat()
}

#[test]
fn a_glance_shows_what_the_whole_picture_shows() {
    let mut glances = 0;
    let large = |seed| (format!("large {seed}"), encode_jpeg(&picture(seed, 640, 480, 3), 90).unwrap());
    let odd = |seed| (format!("odd {seed}"), encode_jpeg(&picture(seed, 523, 391, 3), 90).unwrap());
    for (name, file) in jpeg_files().chain((0..3).map(large)).chain((0..3).map(odd)) {
        let whole = decode_raster(&file).unwrap();
        // What fills the last blocks up shows in tiny pictures; they are never made smaller.
        let least = if whole.width.max(whole.height) < 500 { 8 } else { 1 };
        for eighths in least..=8 {
            let side = (whole.width.max(whole.height) * eighths).div_ceil(8);
            let Some(seen) = glance(&file, side, side).unwrap().unwrap() else { continue };
            let expected = fit_raster_within(&whole, 3, side).unwrap();
            assert_eq!((seen.width, seen.height), (whole.width, whole.height), "{name}");
            let mean = |data: &[u8]| data.iter().map(|&v| f64::from(v)).sum::<f64>() / data.len() as f64;
            let apart = mean(&seen.smaller.data) - mean(&expected.data);
            // At quality 1 most values are beyond black or white before they are cut off.
            assert!(apart.abs() < 4.0, "{name} at {eighths}/8: {apart}");
            let longest = seen.smaller.width.max(seen.smaller.height);
            assert!(longest == side, "{name} at {eighths}/8: {longest} for {side}");
            glances += 1;
        }
    }
    assert!(glances >= 20, "{glances}");
}

#[test]
fn a_glance_refuses_exactly_what_decoding_refuses() {
    let (mut good, mut bad) = (0, 0);
    for (name, file) in jpeg_files() {
        for at in (2..file.len()).step_by((file.len() / 40).max(1)) {
            let mut flipped = file.clone();
            flipped[at] ^= 0x41;
            for damaged in [&file[..at], &flipped] {
                match glance(damaged, 16, 16).unwrap() {
                    Ok(Some(_)) => assert!(decode(damaged).is_ok(), "{name} at {at}"),
                    Ok(None) => continue,
                    Err(why) => assert_eq!(decode(damaged).err(), Some(why), "{name} at {at}"),
                }
                good += usize::from(decode(damaged).is_ok());
                bad += usize::from(decode(damaged).is_err());
            }
        }
    }
    assert!(good > 100 && bad > 100, "{good} {bad}");
}

#[test]
fn pictures_are_equal_when_all_that_they_store_is() {
    for (name, file) in jpeg_files() {
        assert_eq!(look(&file).content, look(&commented(&file)).content, "{name}");
    }
    // What the smaller picture may not show.
    let mut pixels = picture(3, 640, 480, 3);
    let jpeg = encode_jpeg(&pixels, 95).unwrap();
    pixels.data[3 * (640 * 200 + 300)] ^= 0x20;
    let other = encode_jpeg(&pixels, 95).unwrap();
    assert_ne!(look(&jpeg).content, look(&other).content);
}

#[test]
fn the_same_pixels_are_found_in_files_of_two_formats() {
    let root = tempfile::tempdir().unwrap();
    for seed in 0..4 {
        let jpeg = encode_jpeg(&picture(seed, 600, 500, 3), 90).unwrap();
        let class = ["a", "b"][seed as usize % 2];
        write(root.path(), format!("{class}/{seed}.jpg"), &jpeg);
        if seed < 2 {
            let png = encode_png(&decode(&jpeg).unwrap().pixels).unwrap();
            write(root.path(), format!("{class}/{seed}.png"), &png);
            write(root.path(), format!("{class}/{seed}_more.jpg"), &commented(&jpeg));
        }
    }
    let manifest = manifest_of(root.path());
    let scratch = tempfile::tempdir().unwrap();
    let cleaned = clean(&manifest, &Clean::default(), &context(scratch.path())).unwrap();
    let equal = cleaned.report.findings.iter().filter(|finding| finding.check == Check::ExactDuplicate);
    let mut equal: Vec<&str> = equal.map(|finding| finding.id.as_str()).collect();
    equal.sort_unstable();
    assert_eq!(equal, ["a/0.png", "a/0_more.jpg", "b/1.png", "b/1_more.jpg"]);
    // What is remembered of a file is the same without the others.
    let own = cleaned.scores.images.iter().position(|image| image.id == "a/0.jpg").unwrap();
    let file = std::fs::read(root.path().join("a/0.jpg")).unwrap();
    assert_eq!(cleaned.scores.seen[own].as_ref().unwrap(), &look(&file));
}
