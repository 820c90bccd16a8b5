//! Copies of images as they get into data sets: cut, compressed, mirrored, shifted, resized.

use peregrine_data::decode::{Pixels, encode_png};
use peregrine_pipeline::{Draws, Seed};

/// What is done to a copy.
pub const KINDS: [&str; 5] = ["crop", "jpeg30", "flip", "shift", "resize"];

/// The seed of the copies that were not looked at before the thresholds stood.
pub const HELD_OUT: u64 = 2027;

/// A planted copy.
pub struct Copy {
    /// The index of the image it is a copy of.
    pub of: usize,
    /// One of [`KINDS`].
    pub kind: &'static str,
    /// Its file: JPEG for `jpeg30`, else PNG.
    pub file: Vec<u8>,
}

/// `count` copies of different ones of `images`, the kinds in turn; of other ones for [`HELD_OUT`]. Thresholds were chosen on what seed
/// 500 plants; what is reported and asserted is of [`HELD_OUT`].
pub fn plant(images: &[Pixels], count: usize, seed: u64) -> Vec<Copy> {
    let mut order = Seed(500).with("plant").shuffled(images.len());
    if seed == HELD_OUT {
        order.reverse();
    }
    let copy = |(number, of): (usize, usize)| {
        let kind = KINDS[(number + seed as usize) % KINDS.len()];
        let mut draws = Seed(seed).with(kind).with(number as u64).draws();
        Copy { of, kind, file: change(&images[of], kind, &mut draws) }
    };
    order.into_iter().take(count).enumerate().map(copy).collect()
}

fn change(image: &Pixels, kind: &str, draws: &mut Draws) -> Vec<u8> {
    let (width, height) = (f64::from(image.width), f64::from(image.height));
    let png = |pixels: &Pixels| encode_png(pixels).unwrap();
    match kind {
        "crop" => {
            let share = draws.between(0.78, 0.95);
            let (w, h) = ((width * share).round() as u32, (height * share).round() as u32);
            let left = draws.below((image.width - w) as usize + 1) as i64;
            let top = draws.below((image.height - h) as usize + 1) as i64;
            png(&map(image, w, h, |x, y| Some((x + left, y + top))))
        }
        "jpeg30" => jpeg(image, 30),
        "flip" => {
            let (right, last) = (i64::from(image.width) - 1, i64::from(image.height) - 1);
            let upright = draws.between(0.0, 1.0) < 0.7;
            let source = |x, y| if upright { (right - x, y) } else { (x, last - y) };
            png(&map(image, image.width, image.height, |x, y| Some(source(x, y))))
        }
        "shift" => {
            let step = |side: f64| (0.05 * side).round() as i64;
            let sign = if draws.below(2) == 0 { 1 } else { -1 };
            let (right, down) = (sign * step(width), (draws.below(3) as i64 - 1) * step(height));
            let black = draws.below(2) == 0;
            let inside = |x: i64, y: i64| {
                (0..i64::from(image.width)).contains(&x) && (0..i64::from(image.height)).contains(&y)
            };
            let source = |x, y| {
                let (x, y) = (x - right, y - down);
                (!black || inside(x, y)).then_some((x, y))
            };
            png(&map(image, image.width, image.height, source))
        }
        _ => {
            let share = [0.5, 0.7, 1.5, 2.0][draws.below(4)];
            let size = |side: f64| ((side * share).round() as u32).max(8);
            let recipe: peregrine_data::pack::Recipe = "squash/bicubic".parse().unwrap();
            png(&recipe.apply(image, size(height), size(width)).unwrap())
        }
    }
}

/// A picture of `image`'s pixels at the places `source`; black where it has none, the nearest ones
/// where they lie outside.
fn map(image: &Pixels, width: u32, height: u32, source: impl Fn(i64, i64) -> Option<(i64, i64)>) -> Pixels {
    let channels = usize::from(image.channels);
    let mut data = Vec::new();
    for y in 0..i64::from(height) {
        for x in 0..i64::from(width) {
            let Some((x, y)) = source(x, y) else {
                data.extend(std::iter::repeat_n(0, channels));
                continue;
            };
            let x = x.clamp(0, i64::from(image.width) - 1) as usize;
            let y = y.clamp(0, i64::from(image.height) - 1) as usize;
            let at = (y * image.width as usize + x) * channels;
            data.extend_from_slice(&image.data[at..at + channels]);
        }
    }
    Pixels { width, height, channels: image.channels, data }
}

/// A JPEG file.
pub fn jpeg(image: &Pixels, quality: u8) -> Vec<u8> {
    let color =
        if image.channels == 1 { image::ExtendedColorType::L8 } else { image::ExtendedColorType::Rgb8 };
    let mut file = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, quality);
    encoder.encode(&image.data, image.width, image.height, color).unwrap();
    file
}
