//! The report's sections: each turns the material into the words, numbers and pictures that the
//! templates lay out. Sections that lack their material are `None` and don't appear.

pub mod by_source;
pub mod classes;
pub mod cleaning;
pub mod comparison;
pub mod data;
pub mod ensemble;
pub mod headline;
pub mod mistakes;
pub mod pipeline;
pub mod provenance;
pub mod training;
