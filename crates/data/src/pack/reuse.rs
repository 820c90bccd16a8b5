//! Pictures that earlier packs hold, found by the digest of their file or recipe: adding ten images to ten
//! thousand decodes ten.
//!
//! Believes only packs that today's decoding made, so what is copied is what decoding would give.

use std::collections::{HashMap, HashSet};

use peregrine_pipeline::StageContext;

use super::writer::{Packed, Shape};
use crate::decode::Pixels;
use crate::image_set::ImageSet;
use crate::manifest::ImageRecord;

/// What earlier packs know of the pictures of a new one.
#[derive(Default)]
pub(super) struct Earlier {
    sets: Vec<ImageSet>,
    /// Whether a digest's file holds colour.
    colour: HashMap<String, bool>,
    /// Which picture of which set a digest's picture is, by the set's channels.
    gray: HashMap<String, (usize, usize)>,
    rgb: HashMap<String, (usize, usize)>,
}

impl Earlier {
    /// Looks for `pictures` in this `shape`, until all are found.
    pub fn find(cx: &StageContext, pictures: &[&ImageRecord], shape: &Shape) -> Self {
        let wanted: HashSet<String> = pictures.iter().map(|record| record.key()).collect();
        let mut found = Self::default();
        for set in cx.earlier::<ImageSet>("pack", "images").filter(ImageSet::is_current) {
            found.add(set, &wanted, shape);
            if found.gray.len().max(found.rgb.len()) == wanted.len() {
                break;
            }
        }
        found
    }

    fn add(&mut self, set: ImageSet, wanted: &HashSet<String>, shape: &Shape) {
        let meta = &set.meta;
        let fits = (meta.height, meta.width) == (shape.height as usize, shape.width as usize)
            && meta.resize == shape.recipe.to_string();
        let places = if meta.channels == 1 { &mut self.gray } else { &mut self.rgb };
        let number = self.sets.len();
        for (index, digest) in set.digests.iter().enumerate() {
            if wanted.contains(digest.as_str()) {
                self.colour.entry(digest.clone()).or_insert_with(|| set.has_colour(index));
                if fits {
                    places.entry(digest.clone()).or_insert((number, index));
                }
            }
        }
        if fits {
            self.sets.push(set);
        }
    }

    /// Whether the file with this digest holds colour, where that is known.
    pub fn colour(&self, digest: &str) -> Option<bool> {
        self.colour.get(digest).copied()
    }

    /// The picture of the file with this digest, where one is known.
    pub fn picture(&self, digest: &str, channels: u8) -> Option<Packed> {
        let places = if channels == 1 { &self.gray } else { &self.rgb };
        let &(set, index) = places.get(digest)?;
        let set = &self.sets[set];
        let pixels = Pixels {
            width: set.meta.width as u32,
            height: set.meta.height as u32,
            channels,
            data: set.pixels(index).to_vec(),
        };
        Some(Packed { pixels, colour: self.colour(digest)? })
    }
}
