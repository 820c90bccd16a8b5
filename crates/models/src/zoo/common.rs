//! What most architectures share: the choice of the stem, and the check of dropout.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builder::Builder;

/// The first layers of an architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stem {
    /// As published, for images of about 224 pixels.
    #[default]
    Imagenet,
    /// For images of about 32 pixels.
    Small,
}

/// Refuses a `dropout` outside 0 to 1.
pub(crate) fn check_dropout(net: &mut Builder, dropout: f64) {
    net.require((0.0..=1.0).contains(&dropout), || format!("`dropout` is {dropout} (0 to 1)"));
}
