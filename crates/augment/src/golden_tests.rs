//! Transforms against torchvision's pixels (`tests/goldens/augment.py`).

use serde::Deserialize;
use serde_json::Value;

use crate::image::Image;
use crate::ops::color_jitter::{adjust_brightness, adjust_contrast, adjust_saturation};
use crate::ops::flip::{horizontal, vertical};
use crate::ops::random_crop::RandomCrop;
use crate::ops::random_erasing::{Hole, erase};
use crate::ops::random_rotation::rotate;

#[derive(Deserialize)]
struct Goldens {
    answers: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    op: String,
    params: Vec<Value>,
    shape: [usize; 3],
    pixels: Vec<f32>,
}

/// The script's `image`.
fn image([height, width, channels]: [usize; 3]) -> Image {
    let mut image = Image::new(height, width, channels);
    for (i, value) in image.data.iter_mut().enumerate() {
        *value = ((i * 37 % 101) as f64 / 100.0) as f32;
    }
    image
}

fn apply(answer: &Answer) -> Image {
    let mut image = image(answer.shape);
    let float = |i: usize| answer.params[i].as_f64().unwrap();
    let whole = |i: usize| answer.params[i].as_u64().unwrap() as usize;
    match answer.op.as_str() {
        "horizontal_flip" => horizontal(&mut image),
        "vertical_flip" => vertical(&mut image),
        "brightness" => adjust_brightness(&mut image, float(0) as f32),
        "contrast" => adjust_contrast(&mut image, float(0) as f32),
        "saturation" => adjust_saturation(&mut image, float(0) as f32),
        "rotate" => rotate(&mut image, float(0), float(1) as f32),
        "crop" => {
            let padding_mode = serde_json::from_value(answer.params[0].clone()).unwrap();
            let crop = RandomCrop { padding: whole(1), padding_mode, fill: float(2) };
            crop.crop(&mut image, whole(3), whole(4));
        }
        "erase" => {
            let hole = Hole { top: whole(0), left: whole(1), height: whole(2), width: whole(3) };
            erase(&mut image, hole, float(4) as f32);
        }
        other => panic!("{other}"),
    }
    image
}

/// Flips, crops and erasing agree to the answers' digits, colours to 1e-6, rotation to 2e-5:
/// torchvision computes the places it samples in float32.
#[test]
fn pixels_are_those_of_torchvision() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/augment.json");
    let goldens: Goldens = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(goldens.answers.len() > 30);
    for answer in &goldens.answers {
        let ours = apply(answer).data;
        assert_eq!(ours.len(), answer.pixels.len());
        let tolerance = match answer.op.as_str() {
            "rotate" => 2e-5,
            "brightness" | "contrast" | "saturation" => 1e-6,
            _ => 1e-7,
        };
        let worst = ours.iter().zip(&answer.pixels).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= tolerance, "{} {:?}: off by {worst}", answer.op, answer.params);
    }
}
