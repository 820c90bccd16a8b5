//! Small gray pictures: hashes of their parts, and how alike two are when one is laid over the other.
//!
//! The arithmetic of the search for near duplicates; which pictures are compared, and what counts as
//! alike, is decided elsewhere. The same numbers on every machine: sums are taken in one order.

mod align;
mod integral;
mod plain;
mod residual;
mod turn;
mod window;

pub use align::{Likeness, Part, likeness};
pub use integral::{Integral, SIDE, Span};
pub use plain::{Plain, plain};
pub use residual::evidence;
pub use turn::Turn;
pub use window::{Hash, KNOWN, Signs, Window, Windows};

#[cfg(test)]
mod tests {
    use super::SIDE;

    /// A picture of any gray values.
    pub(super) fn noise(seed: u64) -> Vec<u8> {
        let mut state = seed;
        let mut draw = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as u8
        };
        (0..SIDE * SIDE).map(|_| draw()).collect()
    }
}
