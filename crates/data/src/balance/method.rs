//! How the numbers of images are made more equal: the params.

use peregrine_pipeline::ParamProblem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::made::Border;

/// How the numbers of images are made more equal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Method {
    /// Images of small classes are repeated, all of them equally often.
    Oversample {
        /// The size every class is brought to, as a share of the largest class's, from 0.01 to 1;
        /// larger classes stay.
        #[serde(default = "all")]
        #[schemars(range(min = 0.01, max = 1.0))]
        to: f64,
    },
    /// Images of small classes are repeated, each repetition turned, scaled and brightened anew.
    Augment(Augmentation),
    /// Images of small classes are mixed with others of their class.
    Interpolate(Interpolation),
    /// Images of large classes are left out, by a draw that depends on each image alone.
    Undersample {
        /// The size every class is cut to, as a multiple of the smallest class's, from 1 to 1000;
        /// smaller classes stay.
        #[serde(default = "all")]
        #[schemars(range(min = 1.0, max = 1000.0))]
        to: f64,
    },
    /// The images stay as they are; only weights are made.
    None {},
}

fn all() -> f64 {
    1.0
}

/// Repetitions of the images of small classes, each changed by draws of its own. `pack` makes the
/// pixels, once: every epoch sees the same ones, unless the training augments them again. Angles are
/// true where `pack` keeps the pictures' shape (`mode: letterbox`, `crop` or `pad`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// The size every class is brought to, as a share of the largest class's, from 0.01 to 1;
    /// larger classes stay.
    #[schemars(range(min = 0.01, max = 1.0))]
    pub to: f64,
    /// The largest angle in degrees, in both directions, from 0 to 180.
    #[schemars(range(min = 0.0, max = 180.0))]
    pub degrees: f64,
    /// The smallest and the largest factor of every length, each from 0.1 to 10: above 1 shows the
    /// middle larger.
    #[schemars(inner(range(min = 0.1, max = 10.0)))]
    pub scale: [f64; 2],
    /// Whether half of the repetitions are mirrored, left and right swapped. Off, because left and
    /// right can carry the meaning: arrows, letters, traffic signs, organs.
    pub flip: bool,
    /// How far the factor of brightness may be from 1, from 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub brightness: f64,
    /// How far the factor of contrast may be from 1, from 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub contrast: f64,
    /// What is seen where a picture that is turned or made smaller ends.
    pub border: Border,
}

impl Default for Augmentation {
    fn default() -> Self {
        Self {
            to: 1.0,
            degrees: 10.0,
            scale: [0.8, 1.2],
            flip: false,
            brightness: 0.2,
            contrast: 0.2,
            border: Border::Reflect,
        }
    }
}

/// Mixtures `share · x + (1 − share) · y` of two images of one class, as SMOTE (Chawla et al. 2002)
/// makes them; in pixels, so they show two faint pictures rather than one new one where the two are
/// not alike. A class with a single picture is repeated instead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Interpolation {
    /// The size every class is brought to, as a share of the largest class's, from 0.01 to 1;
    /// larger classes stay.
    #[schemars(range(min = 0.01, max = 1.0))]
    pub to: f64,
    /// How much of the first image a mixture shows.
    pub share: Share,
    /// Among how many of the images of its class that look most like it an image's other half is
    /// drawn, from 0 to 100; 0 is all of them. Likeness is the distance of pictures made 8×8, in
    /// brightness and colours; images that a `clean` saw are not decoded for it. SMOTE takes 5.
    #[schemars(range(min = 0, max = 100))]
    pub neighbours: u32,
}

impl Default for Interpolation {
    fn default() -> Self {
        Self { to: 1.0, share: Share::default(), neighbours: 0 }
    }
}

/// How much of its first image a mixture shows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Share {
    /// Any share between two equally often.
    Uniform {
        /// The smallest share, from 0 to 1.
        #[serde(default = "half")]
        #[schemars(range(min = 0.0, max = 1.0))]
        min: f64,
        /// The largest share, from 0 to 1.
        #[serde(default = "all")]
        #[schemars(range(min = 0.0, max = 1.0))]
        max: f64,
    },
    /// The larger part of a draw from Beta(alpha, alpha), as in mixup.
    Beta {
        /// Both params of the distribution, from 0.01 to 100: small ones leave most images nearly
        /// as they are.
        #[serde(default = "alpha")]
        #[schemars(range(min = 0.01, max = 100.0))]
        alpha: f64,
    },
}

fn half() -> f64 {
    0.5
}

fn alpha() -> f64 {
    0.4
}

impl Default for Share {
    fn default() -> Self {
        Self::Uniform { min: half(), max: all() }
    }
}

impl Method {
    /// Whether the method makes images, so that a class can grow.
    pub fn makes_images(&self) -> bool {
        matches!(self, Self::Oversample { .. } | Self::Augment(_) | Self::Interpolate(_))
    }

    /// The size that classes are brought or cut to, as the method means it.
    pub(super) fn to(&self) -> f64 {
        match self {
            Self::Oversample { to }
            | Self::Undersample { to }
            | Self::Augment(Augmentation { to, .. })
            | Self::Interpolate(Interpolation { to, .. }) => *to,
            Self::None {} => 1.0,
        }
    }

    /// Params outside their ranges.
    pub(super) fn problems(&self) -> Vec<ParamProblem> {
        let mut problems = Vec::new();
        let mut within = |name: &str, value: f64, low: f64, high: f64| {
            if !(low..=high).contains(&value) {
                let path = format!("method.{name}");
                problems.push(ParamProblem::new(path, format!("must be from {low} to {high}")));
            }
        };
        match self {
            Self::None {} => {}
            Self::Undersample { to } => within("to", *to, 1.0, 1000.0),
            Self::Oversample { to } => within("to", *to, 0.01, 1.0),
            Self::Augment(params) => {
                within("to", params.to, 0.01, 1.0);
                within("degrees", params.degrees, 0.0, 180.0);
                within("scale[0]", params.scale[0], 0.1, 10.0);
                within("scale[1]", params.scale[1], params.scale[0].clamp(0.1, 10.0), 10.0);
                within("brightness", params.brightness, 0.0, 1.0);
                within("contrast", params.contrast, 0.0, 1.0);
            }
            Self::Interpolate(params) => {
                within("to", params.to, 0.01, 1.0);
                within("neighbours", f64::from(params.neighbours), 0.0, 100.0);
                match params.share {
                    Share::Uniform { min, max } => {
                        within("share.min", min, 0.0, 1.0);
                        within("share.max", max, min.clamp(0.0, 1.0), 1.0);
                    }
                    Share::Beta { alpha } => within("share.alpha", alpha, 0.01, 100.0),
                }
            }
        }
        problems
    }
}
