//! Peregrine's ensemble room.
