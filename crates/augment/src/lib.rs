//! Peregrine's augment room.
