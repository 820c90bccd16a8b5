//! Peregrine's eval room.
