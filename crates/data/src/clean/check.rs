//! The names of what is looked for and of what is done about it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a check looks for, in the order in which checks are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The file is no whole image.
    Unreadable,
    /// The same image under different labels.
    ContradictoryLabels,
    /// The same bytes or the same pixels as another image.
    ExactDuplicate,
    /// Almost one flat colour.
    LowInformation,
    /// Too dark to see anything.
    Dark,
    /// Too bright to see anything.
    Bright,
    /// Out of focus.
    Blurry,
    /// Much longer than wide, or wider than long.
    OddAspect,
    /// Much larger or smaller than the others.
    OddSize,
    /// Gray among colour images.
    Grayscale,
    /// A border of one colour around the picture.
    ConstantBorder,
    /// Almost the same pixels as another image.
    NearDuplicate,
    /// Unlike all the others.
    Outlier,
    /// A label that models trained on the other images don't believe.
    WrongLabel,
}

impl Check {
    /// Every check, in order.
    pub const ALL: [Self; 14] = [
        Self::Unreadable,
        Self::ContradictoryLabels,
        Self::ExactDuplicate,
        Self::LowInformation,
        Self::Dark,
        Self::Bright,
        Self::Blurry,
        Self::OddAspect,
        Self::OddSize,
        Self::Grayscale,
        Self::ConstantBorder,
        Self::NearDuplicate,
        Self::Outlier,
        Self::WrongLabel,
    ];

    /// The name in files: `near_duplicate`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::ContradictoryLabels => "contradictory_labels",
            Self::ExactDuplicate => "exact_duplicate",
            Self::LowInformation => "low_information",
            Self::Dark => "dark",
            Self::Bright => "bright",
            Self::Blurry => "blurry",
            Self::OddAspect => "odd_aspect",
            Self::OddSize => "odd_size",
            Self::Grayscale => "grayscale",
            Self::ConstantBorder => "constant_border",
            Self::NearDuplicate => "near_duplicate",
            Self::Outlier => "outlier",
            Self::WrongLabel => "wrong_label",
        }
    }
}

/// What happens to an image that a check flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is removed.
    Drop,
    /// It stays under the label that the check suggests; for checks of labels only.
    Relabel,
    /// It stays and counts less: its weight is multiplied by `downweight_factor`.
    Downweight,
    /// It stays as it is and is only reported.
    Keep,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 4] = [Self::Keep, Self::Drop, Self::Relabel, Self::Downweight];

    /// The name in files: `downweight`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Relabel => "relabel",
            Self::Downweight => "downweight",
            Self::Keep => "keep",
        }
    }

    /// The action called `name`, if any.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
