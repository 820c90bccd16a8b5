//! The mistakes of which the best model was most sure, with their pictures.

use std::collections::BTreeMap;

use peregrine_data::{ImageSet, Pixels, Thumbnail};
use serde::Serialize;

use super::data::{Thumb, thumb};
use crate::contenders::Contender;
use crate::material::Material;
use crate::pictures::Budget;
use crate::sources::{Link, Sources};
use crate::text::{number, whole};

/// One mistake.
#[derive(Debug, Clone, Serialize)]
pub struct Mistake {
    /// The image's id.
    pub id: String,
    /// The true class.
    pub label: String,
    /// What it was taken for.
    pub predicted: String,
    /// How sure the model was, in percent.
    pub sure: String,
    /// What it gave the true class, in percent.
    pub truth: String,
    /// Its picture, where the images are connected.
    pub thumb: Option<Thumb>,
    /// Whether every model is wrong about it.
    pub by_all: bool,
}

/// The section.
#[derive(Debug, Clone, Serialize)]
pub struct MistakesView {
    /// The model.
    pub label: String,
    /// Where its predictions come from.
    pub link: Link,
    /// How many mistakes it makes.
    pub count: String,
    /// Of how many images.
    pub n: String,
    /// How many of them every model makes; none with a single model.
    pub by_all: Option<String>,
    /// The mistakes, the surest first.
    pub mistakes: Vec<Mistake>,
}

/// The section, where the best model's predictions are connected.
pub fn mistakes(
    material: &Material,
    sources: &Sources,
    best: Option<&Contender>,
    most: usize,
    budget: &mut Budget,
) -> Option<MistakesView> {
    let best = best?;
    let named = material.predictions.get(best.predictions?)?;
    let p = &named.value;
    let mut wrong: Vec<usize> = (0..p.len()).filter(|&i| p.predicted(i) != p.labels[i] as usize).collect();
    let sure = |i: usize| p.row(i)[p.predicted(i)];
    wrong.sort_by(|&a, &b| sure(b).total_cmp(&sure(a)));
    let rivals: Vec<_> = material
        .predictions
        .iter()
        .map(|other| &other.value)
        .filter(|o| o.split == p.split && o.ids == p.ids)
        .collect();
    let by_all = |i: usize| rivals.len() > 1 && rivals.iter().all(|o| o.predicted(i) != o.labels[i] as usize);
    let shared = wrong.iter().filter(|&&i| by_all(i)).count();
    let images = material.images.as_ref().map(|named| Gallery::new(&named.value));
    let one = |&i: &usize| {
        let (label, predicted) = (&p.classes[p.labels[i] as usize], &p.classes[p.predicted(i)]);
        let id = &p.ids[i];
        Mistake {
            id: id.clone(),
            label: label.clone(),
            predicted: predicted.clone(),
            sure: number(100.0 * f64::from(sure(i)), 0),
            truth: number(100.0 * f64::from(p.row(i)[p.labels[i] as usize]), 0),
            thumb: images.as_ref().and_then(|images| images.thumb(id, budget)),
            by_all: by_all(i),
        }
    };
    Some(MistakesView {
        label: best.label.clone(),
        link: sources.link(&named.stage),
        count: whole(wrong.len() as u64),
        n: whole(p.len() as u64),
        by_all: (rivals.len() > 1).then(|| whole(shared as u64)),
        mistakes: wrong.iter().take(most).map(one).collect(),
    })
}

/// Packed images by their ids.
struct Gallery<'a> {
    set: &'a ImageSet,
    at: BTreeMap<&'a str, usize>,
}

impl<'a> Gallery<'a> {
    fn new(set: &'a ImageSet) -> Self {
        Self { set, at: set.ids.iter().enumerate().map(|(i, id)| (id.as_str(), i)).collect() }
    }

    fn thumb(&self, id: &str, budget: &mut Budget) -> Option<Thumb> {
        let at = *self.at.get(id)?;
        let meta = &self.set.meta;
        let pixels = Pixels {
            width: u32::try_from(meta.width).ok()?,
            height: u32::try_from(meta.height).ok()?,
            channels: u8::try_from(meta.channels).ok()?,
            data: self.set.pixels(at).to_vec(),
        };
        let small = Thumbnail::of(&pixels, id, "", String::new()).ok()?;
        thumb(&small, id.to_owned(), budget)
    }
}
