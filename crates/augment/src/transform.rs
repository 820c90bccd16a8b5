//! The registry of transforms: what a policy can name.

use peregrine_pipeline::Draws;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::image::Image;
use crate::ops::color_jitter::ColorJitter;
use crate::ops::flip::{RandomHorizontalFlip, RandomVerticalFlip};
use crate::ops::gaussian_noise::GaussianNoise;
use crate::ops::random_crop::RandomCrop;
use crate::ops::random_erasing::RandomErasing;
use crate::ops::random_rotation::RandomRotation;

/// A param of a transform outside its range: the param and what is wrong with it.
pub type OpProblem = (&'static str, String);

/// A random change of one image.
pub trait Op {
    /// Params outside their ranges.
    fn problems(&self) -> Vec<OpProblem>;

    /// Changes `image`, with every choice from `draws`.
    fn apply(&self, image: &mut Image, draws: &mut Draws);
}

macro_rules! transforms {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A random change of one image, named as in torchvision v2, and its params.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
        pub enum Transform {
            $($(#[$doc])* $name($name),)*
        }

        impl Transform {
            /// Every transform with its default params; tests loop over it.
            pub fn all() -> Vec<Self> {
                vec![$(Self::$name($name::default()),)*]
            }

            fn op(&self) -> &dyn Op {
                match self {$( Self::$name(op) => op, )*}
            }
        }
    };
}

transforms! {
    /// Mirrors left and right.
    RandomHorizontalFlip,
    /// Mirrors top and bottom.
    RandomVerticalFlip,
    /// Shifts the image by up to `padding` pixels.
    RandomCrop,
    /// Turns the image around its centre.
    RandomRotation,
    /// Changes brightness, contrast and saturation.
    ColorJitter,
    /// Adds normal noise to each value.
    GaussianNoise,
    /// Blanks a rectangle.
    RandomErasing,
}

impl Transform {
    /// Params outside their ranges.
    pub fn problems(&self) -> Vec<OpProblem> {
        self.op().problems()
    }

    /// Changes `image`, with every choice from `draws`.
    pub fn apply(&self, image: &mut Image, draws: &mut Draws) {
        self.op().apply(image, draws);
    }
}

/// A problem when `value` is outside `low..=high`.
pub(crate) fn outside(name: &'static str, value: f64, low: f64, high: f64) -> Option<OpProblem> {
    let fits = (low..=high).contains(&value);
    (!fits).then(|| (name, format!("is {value} (it takes {low} to {high})")))
}
