//! How things look: on a terminal, in a plain log, as JSON. Decides nothing.

pub mod events;
pub mod live;
pub mod out;
pub mod problems;
pub mod reference;
pub mod style;
pub mod summary;
pub mod table;
