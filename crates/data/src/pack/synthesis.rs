//! The pixels of synthetic images, from the packed pixels of real ones: turned, scaled, mirrored
//! and brightened, or mixed of two.
//!
//! Works at the size of the pack, so nothing is decoded that the pack doesn't hold anyway. Follows
//! recipes (see `made.rs`) and draws nothing itself: what is made depends on the recipe and the
//! files alone.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, ensure};

use super::writer::{Packed, Shape, Slot};
use crate::decode::{Pixels, Unreadable};
use crate::made::{Border, Made};
use crate::manifest::{ImageRecord, Manifest, Split};

/// Refuses synthetic images where something is measured.
pub(super) fn refuse_where_measured(manifest: &Manifest) -> anyhow::Result<()> {
    let synthetic = manifest.images.iter().find(|image| image.synthetic);
    match (manifest.split, synthetic) {
        (Split::All | Split::Train, _) | (_, None) => Ok(()),
        (split, Some(image)) => anyhow::bail!(
            "`{}` was made by a stage but is in the {split} split: what is measured must be real (put `balance` \
             behind `split.train` only)",
            image.id
        ),
    }
}

/// The pictures that a pack already holds, from which others are made.
pub(super) struct Parents {
    file: Mutex<File>,
    slots: HashMap<String, Slot>,
    shape: Shape,
    channels: u8,
}

impl Parents {
    /// The pictures in the file `path`, by the digests of their files.
    pub fn open(
        path: &Path,
        slots: HashMap<String, Slot>,
        shape: Shape,
        channels: u8,
    ) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("opening `{}`", path.display()))?;
        Ok(Self { file: Mutex::new(file), slots, shape, channels })
    }

    /// The picture that `record`'s recipe leads to.
    pub fn make(&self, record: &ImageRecord) -> anyhow::Result<Result<Packed, Unreadable>> {
        check(record)?;
        let own = match self.picture(record)? {
            Ok(own) => own,
            Err(unreadable) => return Ok(Err(unreadable)),
        };
        match &record.made {
            None => Ok(Ok(own)),
            Some(Made::Interpolated { with, share }) => {
                let with = self.picture(&with.record())?;
                Ok(with.map(|with| Packed {
                    pixels: mixed(&own.pixels, &with.pixels, *share),
                    colour: own.colour || with.colour,
                }))
            }
            Some(recipe) => Ok(Ok(Packed { pixels: augmented(&own.pixels, recipe), colour: own.colour })),
        }
    }

    /// The picture of `record`'s file: as the pack holds it, else decoded.
    fn picture(&self, record: &ImageRecord) -> anyhow::Result<Result<Packed, Unreadable>> {
        let Some(slot) = self.slots.get(&record.digest) else {
            return self.shape.make(record, self.channels);
        };
        let size = self.shape.bytes(self.channels);
        let mut data = vec![0; size];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(u64::from(slot.number) * size as u64))?;
        file.read_exact(&mut data).context("reading a packed picture back")?;
        drop(file);
        let Shape { height, width, .. } = self.shape;
        let pixels = Pixels { width, height, channels: self.channels, data };
        Ok(Ok(Packed { pixels, colour: slot.colour }))
    }
}

/// `share` of `a` plus the rest of `b`, rounded.
pub(crate) fn mixed(a: &Pixels, b: &Pixels, share: f64) -> Pixels {
    let mix = |(a, b): (&u8, &u8)| (share * f64::from(*a) + (1.0 - share) * f64::from(*b) + 0.5) as u8;
    Pixels { data: a.data.iter().zip(&b.data).map(mix).collect(), ..*a }
}

/// `pixels` changed as `recipe` says, in the order of its fields, rounded once at the end; a recipe
/// of another kind changes nothing.
pub(crate) fn augmented(pixels: &Pixels, recipe: &Made) -> Pixels {
    let &Made::Augmented { degrees, scale, flip, brightness, contrast, border } = recipe else {
        return pixels.clone();
    };
    let mut values: Vec<f32> = pixels.data.iter().map(|byte| f32::from(*byte) / 255.0).collect();
    let channels = usize::from(pixels.channels).max(1);
    if flip {
        for row in values.chunks_exact_mut(pixels.width as usize * channels) {
            mirror(row, channels);
        }
    }
    if degrees != 0.0 || scale != 1.0 {
        let warp = if channels == 1 { warped::<1> } else { warped::<3> };
        values = warp(&values, pixels, degrees, scale, border);
    }
    brighten(&mut values, channels, brightness as f32, contrast as f32);
    Pixels { data: values.iter().map(|value| (value * 255.0 + 0.5) as u8).collect(), ..*pixels }
}

fn mirror(row: &mut [f32], channels: usize) {
    let width = row.len() / channels;
    for x in 0..width / 2 {
        for channel in 0..channels {
            row.swap(x * channels + channel, (width - 1 - x) * channels + channel);
        }
    }
}

/// Turned counter-clockwise around the centre and scaled, with bilinear interpolation: torchvision's
/// `affine` with the angle's sign turned, no shift and no shear.
fn warped<const C: usize>(
    values: &[f32],
    shape: &Pixels,
    degrees: f64,
    scale: f64,
    border: Border,
) -> Vec<f32> {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (sin, cos) = (sin / scale, cos / scale);
    let (width, height) = (shape.width as usize, shape.height as usize);
    let (cx, cy) = ((width as f64 - 1.0) / 2.0, (height as f64 - 1.0) / 2.0);
    let (pixels, _) = values.as_chunks::<C>();
    let at = |row: Option<usize>, column: Option<usize>| {
        row.zip(column).map_or([0.0; C], |(y, x)| pixels[y * width + x])
    };
    let mut out = Vec::with_capacity(values.len());
    for y in 0..height {
        let dy = y as f64 - cy;
        for x in 0..width {
            let dx = x as f64 - cx;
            let (left, fx) = split(cos * dx - sin * dy + cx);
            let (top, fy) = split(sin * dx + cos * dy + cy);
            let inside = left >= 0 && top >= 0 && left + 1 < width as i64 && top + 1 < height as i64;
            let [a, b, c, d] = if inside {
                let first = top as usize * width + left as usize;
                let (upper, lower) = (&pixels[first..first + 2], &pixels[first + width..first + width + 2]);
                [upper[0], upper[1], lower[0], lower[1]]
            } else {
                let (x0, x1) = (border.place(left, width), border.place(left + 1, width));
                let (y0, y1) = (border.place(top, height), border.place(top + 1, height));
                [at(y0, x0), at(y0, x1), at(y1, x0), at(y1, x1)]
            };
            for k in 0..C {
                let (upper, lower) = ((1.0 - fx) * a[k] + fx * b[k], (1.0 - fx) * c[k] + fx * d[k]);
                out.push((1.0 - fy) * upper + fy * lower);
            }
        }
    }
    out
}

/// The whole number below `place`, and what is left.
fn split(place: f64) -> (i64, f32) {
    // `floor` is a call into the C library where the processor's is not known to be there.
    let whole = place as i64;
    let below = if whole as f64 > place { whole - 1 } else { whole };
    (below, (place - below as f64) as f32)
}

impl Border {
    /// Which of `length` pixels is seen at `place`, if any.
    fn place(self, place: i64, length: usize) -> Option<usize> {
        let length = length as i64;
        let inside = match self {
            _ if (0..length).contains(&place) => place,
            Self::Black => return None,
            Self::Edge => place.clamp(0, length - 1),
            Self::Reflect => {
                let place = place.rem_euclid(2 * length);
                if place < length { place } else { 2 * length - 1 - place }
            }
        };
        usize::try_from(inside).ok()
    }
}

/// torchvision's `adjust_brightness`, then its `adjust_contrast`.
fn brighten(values: &mut [f32], channels: usize, brightness: f32, contrast: f32) {
    for value in &mut *values {
        *value = (*value * brightness).clamp(0.0, 1.0);
    }
    // ITU-R 601, with torchvision's digits.
    let gray = |pixel: &[f32]| match pixel {
        [red, green, blue] => 0.2989 * red + 0.587 * green + 0.114 * blue,
        _ => pixel[0],
    };
    let sum: f64 = values.chunks_exact(channels).map(|pixel| f64::from(gray(pixel))).sum();
    let mean = (sum / (values.len() / channels).max(1) as f64) as f32;
    for value in values {
        *value = (*value * contrast + mean * (1.0 - contrast)).clamp(0.0, 1.0);
    }
}

/// Refuses recipes that a damaged or hand-written manifest could hold.
fn check(record: &ImageRecord) -> anyhow::Result<()> {
    let sound = match &record.made {
        None => true,
        Some(Made::Interpolated { share, .. }) => (0.0..=1.0).contains(share),
        Some(Made::Augmented { degrees, scale, brightness, contrast, .. }) => {
            let factor = |value: &f64| (0.0..=1000.0).contains(value);
            degrees.is_finite() && (0.001..=1000.0).contains(scale) && factor(brightness) && factor(contrast)
        }
    };
    ensure!(sound, "the recipe of `{}` has a number out of range (run `balance` again)", record.id);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Goldens {
        answers: Vec<Answer>,
    }

    #[derive(Deserialize)]
    struct Answer {
        peer: String,
        recipe: Made,
        shape: [u32; 3],
        pixels: Vec<u8>,
    }

    /// The script's `image`.
    fn patterned([height, width, channels]: [u32; 3]) -> Pixels {
        let value = |i: u32| ((i * 37) % 256) as u8;
        let data = (0..height * width * channels).map(value).collect();
        Pixels { width, height, channels: channels as u8, data }
    }

    /// `tests/goldens/synthesis.py`: torchvision's flip, affine, brightness and contrast one after
    /// the other; scipy's `affine_transform` for the borders that torchvision lacks. Values may
    /// fall to the other side of a rounding: off by 1 of 255, in fewer than one of 200.
    #[test]
    fn pixels_are_those_of_torchvision_and_scipy() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/synthesis.json");
        let goldens: Goldens = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert!(goldens.answers.len() >= 30);
        let (mut off, mut all) = (0, 0);
        for answer in &goldens.answers {
            let ours = augmented(&patterned(answer.shape), &answer.recipe).data;
            assert_eq!(ours.len(), answer.pixels.len());
            for (a, b) in ours.iter().zip(&answer.pixels) {
                assert!(a.abs_diff(*b) <= 1, "{} {:?}: {a} for {b}", answer.peer, answer.recipe);
                off += usize::from(a != b);
            }
            all += ours.len();
        }
        assert!(off * 200 < all, "{off} of {all} values differ");
    }

    /// Beside decoding and resizing a photograph of 500×375 pixels; on one core.
    #[test]
    #[ignore = "measures; nothing is asserted of time"]
    #[allow(clippy::print_stderr)]
    fn what_a_synthetic_picture_of_224_pixels_takes() {
        let picture = patterned([224, 224, 3]);
        let mut photo = Vec::new();
        let large: Vec<u8> = (0..500_u32 * 375 * 3).map(|i| (i / 700 + i % 97 * (i % 3)) as u8).collect();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut photo, 90)
            .encode(&large, 500, 375, image::ExtendedColorType::Rgb8)
            .unwrap();
        let made = |degrees, scale, flip, border| Made::Augmented {
            degrees,
            scale,
            flip,
            brightness: 1.1,
            contrast: 0.9,
            border,
        };
        let turned = made(7.0, 0.9, false, Border::Reflect);
        let larger = made(-9.0, 1.15, true, Border::Black);
        let plain = made(0.0, 1.0, true, Border::Edge);
        let recipe = crate::pack::Recipe::default();
        let decoded = || {
            let raster = crate::decode::decode_raster(&photo).unwrap();
            recipe.apply_to(&raster, 3, 224, 224).unwrap()
        };
        let works: [(&str, &dyn Fn() -> Pixels); 5] = [
            ("decoded and resized", &decoded),
            ("turned and made smaller", &|| augmented(&picture, &turned)),
            ("turned and made larger", &|| augmented(&picture, &larger)),
            ("mirrored and brightened", &|| augmented(&picture, &plain)),
            ("mixed", &|| mixed(&picture, &picture, 0.7)),
        ];
        for (what, work) in works {
            let times = (0..100).map(|_| {
                let begun = std::time::Instant::now();
                std::hint::black_box(work());
                begun.elapsed().as_secs_f64() * 1e3
            });
            eprintln!("{what}: {:.2} ms", times.fold(f64::INFINITY, f64::min));
        }
    }

    #[test]
    fn a_mixture_is_rounded_between_its_two() {
        let pixels = |data: &[u8]| Pixels { width: 3, height: 1, channels: 1, data: data.to_vec() };
        let (a, b) = (pixels(&[0, 100, 255]), pixels(&[255, 200, 255]));
        assert_eq!(mixed(&a, &b, 0.75).data, [64, 125, 255]);
        assert_eq!(mixed(&a, &b, 1.0).data, a.data);
        assert_eq!(mixed(&a, &b, 0.0).data, b.data);
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let record = |scale, share| {
            let made = match share {
                Some(share) => {
                    let with = Box::new(crate::made::Other::of(&ImageRecord::default()));
                    Made::Interpolated { with, share }
                }
                None => Made::Augmented {
                    degrees: 5.0,
                    scale,
                    flip: false,
                    brightness: 1.0,
                    contrast: 1.0,
                    border: Border::Edge,
                },
            };
            ImageRecord { made: Some(made), ..ImageRecord::default() }
        };
        assert!(check(&record(1.0, None)).is_ok() && check(&record(1.0, Some(0.5))).is_ok());
        assert!(check(&record(0.0, None)).is_err() && check(&record(f64::NAN, None)).is_err());
        assert!(check(&record(1.0, Some(1.5))).is_err());
    }
}
