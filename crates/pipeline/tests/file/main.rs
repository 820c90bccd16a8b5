//! Stories of pipeline files: right ones, wrong ones and hostile ones.

#![allow(missing_docs)]

mod bombs;
mod broken;
mod good;
mod kinds;
mod large;
mod pages;
mod when;
