//! Peregrine's data room.
