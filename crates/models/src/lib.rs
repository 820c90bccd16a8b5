//! Peregrine's models room.
