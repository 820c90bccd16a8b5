//! The arithmetic of networks on a CPU, forward and backward, on plain `f32` slices.
//!
//! A crate of its own so that it is always built optimized. Values lie channels-last (see
//! [`maps`]), with a halo of zeros where a convolution wants one, so that the inner loops of a
//! convolution have no borders. The widest vectors that the processor has are chosen at run time
//! ([`simd`]); any x86-64 will do, and other processors take the portable loops.
//!
//! Results have the same bits for any number of threads: work is divided by shapes alone, and
//! sums over a batch are added up in a fixed order. Knows no graph, no layer and no tensor type.

pub mod buffer;
pub mod conv;
pub mod maps;
pub mod norm;
pub mod pointwise;
pub mod pool;
pub mod rows;
pub mod simd;

mod depthwise;
mod outer;
mod pack;
mod sweep;
mod tile;

pub use buffer::{Buffer, Pool};
pub use conv::{Conv, Epilogue, Packed};
pub use maps::Maps;
pub use pointwise::Function;
