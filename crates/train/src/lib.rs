//! Peregrine's train room.
