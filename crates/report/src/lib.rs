//! Peregrine's report room.
