//! What the data set looks like.

use peregrine_data::Profile;
use serde::Serialize;

use crate::material::Material;
use crate::pictures::Budget;
use crate::sources::{Link, Sources};
use crate::svg::bar::{Bar, bars};
use crate::text::{number, whole};

/// A small picture with words.
#[derive(Debug, Clone, Serialize)]
pub struct Thumb {
    /// Its `data:` address.
    pub src: String,
    /// Its width in pixels.
    pub width: u32,
    /// Its height in pixels.
    pub height: u32,
    /// What it is, for the pointer and for screen readers.
    pub title: String,
}

/// The sample images of a class.
#[derive(Debug, Clone, Serialize)]
pub struct ClassSamples {
    /// The class.
    pub class: String,
    /// How many images it has.
    pub images: String,
    /// Some of them.
    pub thumbs: Vec<Thumb>,
}

/// The section.
#[derive(Debug, Clone, Serialize)]
pub struct DataView {
    /// Where the numbers come from.
    pub link: Link,
    /// How many images.
    pub images: String,
    /// How many classes.
    pub classes: usize,
    /// Name and value of each fact.
    pub facts: Vec<(String, String)>,
    /// The class histogram.
    pub histogram: String,
    /// Whether the histogram shows what cleaning removed.
    pub shows_removed: bool,
    /// The largest class over the smallest.
    pub imbalance: Option<String>,
    /// Sample images by class.
    pub samples: Vec<ClassSamples>,
}

const MOST_CLASSES: usize = 60;

/// The section, where a profile is connected.
pub fn data(material: &Material, sources: &Sources, budget: &mut Budget) -> Option<DataView> {
    let profile = material.profile.as_ref()?;
    let lost = |class: &str| material.clean.as_ref().map_or(0, |clean| clean.value.removed_from(class));
    let rows: Vec<Bar> = profile
        .value
        .classes
        .iter()
        .take(MOST_CLASSES)
        .map(|class| Bar { label: class.name.clone(), value: class.images, lost: lost(&class.name) })
        .collect();
    let shows_removed = rows.iter().any(|bar| bar.lost > 0);
    Some(DataView {
        link: sources.link(&profile.stage),
        images: whole(profile.value.images),
        classes: profile.value.classes.len(),
        facts: facts(&profile.value),
        histogram: bars("images of each class", &rows),
        shows_removed,
        imbalance: profile.value.imbalance().map(|ratio| number(ratio, 1)),
        samples: samples(&profile.value, budget),
    })
}

fn facts(profile: &Profile) -> Vec<(String, String)> {
    let span = |span: &peregrine_data::profile::Span, unit: &str| {
        if span.min == span.max {
            format!("{} {unit}", whole(span.min))
        } else {
            format!("{} – {} {unit}, median {}", whole(span.min), whole(span.max), whole(span.median))
        }
    };
    let list = |all: &[peregrine_data::profile::Tally]| {
        let names: Vec<String> =
            all.iter().take(4).map(|tally| format!("{} {}", tally.name, whole(tally.images))).collect();
        names.join(", ")
    };
    let channels = |values: &[f64]| values.iter().map(|v| number(*v, 3)).collect::<Vec<_>>().join(", ");
    let mut facts = vec![
        ("size on disk".to_owned(), format!("{} MB", number(profile.bytes as f64 / 1e6, 1))),
        ("width".to_owned(), span(&profile.width, "px")),
        ("height".to_owned(), span(&profile.height, "px")),
        ("format".to_owned(), list(&profile.formats)),
        ("storage".to_owned(), list(&profile.modes)),
        ("mean of the channels".to_owned(), channels(&profile.mean)),
        ("deviation of the channels".to_owned(), channels(&profile.std)),
        ("unreadable files".to_owned(), whole(profile.unreadable)),
        ("exact copies".to_owned(), whole(profile.exact_copies)),
    ];
    facts.retain(|(_, value)| !value.is_empty());
    facts
}

fn samples(profile: &Profile, budget: &mut Budget) -> Vec<ClassSamples> {
    let of = |class: &peregrine_data::profile::Tally, budget: &mut Budget| ClassSamples {
        class: class.name.clone(),
        images: whole(class.images),
        thumbs: profile
            .samples
            .iter()
            .filter(|thumb| thumb.class == class.name)
            .filter_map(|thumb| self::thumb(thumb, thumb.id.clone(), budget))
            .collect(),
    };
    let all = profile.classes.iter().take(MOST_CLASSES).map(|class| of(class, budget));
    all.filter(|class| !class.thumbs.is_empty()).collect()
}

/// The picture of `thumb`, where the budget has room.
pub fn thumb(thumb: &peregrine_data::Thumbnail, title: String, budget: &mut Budget) -> Option<Thumb> {
    let src = budget.take(&thumb.png)?;
    Some(Thumb { src, width: thumb.width, height: thumb.height, title })
}
