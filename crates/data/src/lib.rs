//! Images on disk, profiled, cleaned, split, balanced and packed into one memory-mapped file.
//!
//! This room knows no tensor. It is the only one that names polars (tables) and `image` (codecs).

mod alike;
pub mod balance;
pub mod clean;
pub mod decode;
pub mod distributions;
pub mod embeddings;
pub mod escape;
pub mod fetch;
mod files;
pub mod image_set;
pub mod ingest;
pub mod kfold;
pub mod leak_check;
pub mod made;
pub mod manifest;
pub mod merge;
pub mod out_of_fold;
pub mod pack;
pub mod picture;
pub mod profile;
pub mod split;
mod table;
mod units;

pub use balance::{Balance, ClassWeights};
pub use clean::{Clean, CleanReport};
pub use decode::{Pixels, Unreadable};
pub use embeddings::Embeddings;
pub use fetch::{Fetch, Files};
pub use image_set::{ImageSet, ImageSetMeta};
pub use ingest::Ingest;
pub use kfold::KFold;
pub use leak_check::{LeakCheck, Leaks};
pub use made::{Border, Made, Other};
pub use manifest::{ImageRecord, Manifest, Split};
pub use merge::Merge;
pub use out_of_fold::OutOfFold;
pub use pack::Pack;
pub use picture::{Picture, Thumbnail};
pub use profile::{Profile, ProfileImages};
pub use split::SplitImages;
