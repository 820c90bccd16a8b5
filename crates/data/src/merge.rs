//! Stage `merge`: several manifests as one.
//!
//! Classes are joined by name. Does not look for the same picture in two of them: `clean` does.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use anyhow::{bail, ensure};
use peregrine_pipeline::{ManyInput, Output, ParamProblem, Port, Stage, StageContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::{ImageRecord, Manifest};

/// Puts the images of several manifests into one; classes of the same name become one class.
///
/// Where two manifests have an image of the same id, every id gets the name of its data set in
/// front (`pets/cat/1.jpg`). Every image keeps the name of the data set that it is from, its split,
/// group and weight; groups of the same name become one group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Merge {
    /// New names for classes, by their old names; two may get the same name. Classes that are not
    /// listed keep theirs.
    pub classes: BTreeMap<String, String>,
}

const MANIFESTS: ManyInput<Manifest> = ManyInput::new("manifests", "the manifests to merge");
const MANIFEST: Output<Manifest> = Output::new("manifest", "the images of all of them");

impl Stage for Merge {
    const KIND: &'static str = "merge";
    /// 1: first version.
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[MANIFESTS.port()];
    const OUTPUTS: &'static [Port] = &[MANIFEST.port()];

    fn check(&self) -> Vec<ParamProblem> {
        let empty = self.classes.iter().filter(|(_, new)| new.is_empty());
        let problem = |(old, _): (&String, &String)| {
            ParamProblem::new(format!("classes.{old}"), "is empty (write the new name of the class)")
        };
        empty.map(problem).collect()
    }

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        let manifests = cx.read_many(&MANIFESTS)?.into_iter().map(|named| named.value).collect();
        cx.write(&MANIFEST, &merge(manifests, self)?)
    }
}

/// The images of `manifests` as one manifest.
///
/// # Errors
/// When they are different splits, a class that is to be renamed doesn't occur, or two images
/// would be called the same.
pub fn merge(manifests: Vec<Manifest>, params: &Merge) -> anyhow::Result<Manifest> {
    let Some(split) = manifests.first().map(|manifest| manifest.split) else {
        bail!("there is no manifest to merge");
    };
    if let Some(other) = manifests.iter().find(|manifest| manifest.split != split) {
        bail!("a manifest is of the split `{split}` and another of `{}` (merge before `split`)", other.split);
    }
    let old: BTreeSet<&String> = manifests.iter().flat_map(|manifest| &manifest.classes).collect();
    if let Some(unknown) = params.classes.keys().find(|class| !old.contains(class)) {
        let names = old.iter().take(20).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        bail!("no manifest has the class `{unknown}` that is to be renamed (there are {names})");
    }
    let new_name = |class: &str| params.classes.get(class).map_or(class, String::as_str).to_owned();
    let classes: Vec<String> =
        old.iter().map(|class| new_name(class)).collect::<BTreeSet<_>>().into_iter().collect();
    ensure!(u32::try_from(classes.len()).is_ok(), "there are too many classes");
    let number = |class: &str| classes.binary_search(&new_name(class)).unwrap_or_default() as u32;
    let mut images: Vec<ImageRecord> = Vec::new();
    let mut clash = false;
    let mut seen = HashSet::new();
    for manifest in &manifests {
        clash |= manifest.images.iter().any(|image| !seen.insert(image.id.as_str()));
    }
    drop(seen);
    for manifest in manifests {
        let numbers: Vec<u32> = manifest.classes.iter().map(|class| number(class)).collect();
        images.extend(manifest.images.into_iter().map(|mut image| {
            image.label = numbers.get(image.label as usize).copied().unwrap_or_default();
            if clash {
                image.id = format!("{}/{}", image.source, image.id);
            }
            image
        }));
    }
    images.sort_by(|a, b| (a.synthetic, &a.id).cmp(&(b.synthetic, &b.id)));
    let mut seen = HashSet::new();
    if let Some(twice) = images.iter().find(|image| !seen.insert(image.id.as_str())) {
        bail!(
            "two images are called `{}`: manifests of the data set `{}` are merged twice, or two data sets have \
             that name (give their sources different `tag`s)",
            twice.id,
            twice.source
        );
    }
    Ok(Manifest { classes, split, images })
}
