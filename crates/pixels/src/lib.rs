//! What touches every pixel: decoding the common JPEG, resizing, sums and counts over pixels.
//!
//! A crate of its own, so that it is always built optimized. It knows no file
//! and no image but as bytes: one (gray) or three (RGB) a pixel, row by row.

pub mod edges;
pub mod hamming;
pub mod jpeg;
pub mod measure;
pub mod near;
pub mod nearest;
pub mod resize;
