//! A policy: the transforms, mixing and normalization that training images go through.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use peregrine_pipeline::{Artifact, Count, ParamProblem, Seed};
use serde::{Deserialize, Serialize};

use crate::image::Image;
use crate::mix::Mix;
use crate::normalize::Normalization;
use crate::transform::Transform;

const FILE: &str = "policy.json";

/// The transforms, mixing and normalization that training images go through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Random changes of each image, in this order.
    pub transforms: Vec<Transform>,
    /// How the images of a batch are mixed, where they are.
    pub mix: Option<Mix>,
    /// The numbers pixels are normalized with, in training and in use.
    pub normalize: Normalization,
}

impl Policy {
    /// Changes one image; `seed` must be a key of the epoch and the image.
    pub fn transform(&self, image: &mut Image, seed: Seed) {
        for (i, transform) in self.transforms.iter().enumerate() {
            transform.apply(image, &mut seed.with("op").with(i).draws());
        }
    }
}

/// The params outside their ranges, as paths below `params` of the stage.
pub(crate) fn problems(transforms: &[Transform], mix: Option<&Mix>) -> Vec<ParamProblem> {
    let transforms = transforms.iter().enumerate().flat_map(|(i, transform)| {
        let at = move |(name, message)| ParamProblem::new(format!("transforms[{i}].{name}"), message);
        transform.problems().into_iter().map(at)
    });
    let mix = mix.into_iter().flat_map(Mix::problems);
    transforms.chain(mix.map(|(name, message)| ParamProblem::new(format!("mix.{name}"), message))).collect()
}

impl Artifact for Policy {
    const TYPE: &'static str = "policy";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        std::fs::write(dir.join(FILE), text).with_context(|| format!("writing `{FILE}`"))
    }

    fn load(dir: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read(dir.join(FILE)).with_context(|| format!("reading `{FILE}`"))?;
        let policy: Self = serde_json::from_slice(&text).with_context(|| format!("reading `{FILE}`"))?;
        if let Some(problem) = problems(&policy.transforms, policy.mix.as_ref()).first() {
            anyhow::bail!("`{FILE}`: {} {}", problem.path, problem.message);
        }
        Ok(policy)
    }

    fn text(&self) -> String {
        let mut out = format!("policy: {} transforms\n", self.transforms.len());
        for transform in &self.transforms {
            let _ = writeln!(out, "  {}", one_line(transform));
        }
        if let Some(mix) = &self.mix {
            let _ = writeln!(out, "  mix {}", one_line(mix));
        }
        let _ = writeln!(out, "  normalize mean {:.4?} std {:.4?}", self.normalize.mean, self.normalize.std);
        out
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::to_value(self)?)
    }

    fn count(&self) -> Option<Count> {
        Some(Count::new(self.transforms.len(), "transforms"))
    }
}

/// The fields of a value on one line, its name first.
fn one_line<T: Serialize>(value: &T) -> String {
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(value) else { return String::new() };
    let words = fields.iter().map(|(key, value)| match (key.as_str(), value) {
        ("name", serde_json::Value::String(name)) => name.clone(),
        _ => format!("{key} {value}"),
    });
    words.collect::<Vec<_>>().join(", ")
}
