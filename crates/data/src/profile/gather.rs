//! Looks at every image once and adds up what it sees.
use super::{Profile, ProfileImages};
use crate::manifest::Manifest;
use peregrine_pipeline::StageContext;
/// Describes.
///
/// # Errors
/// When cancelled.
pub fn profile(_manifest: &Manifest, _params: &ProfileImages, _cx: &StageContext) -> anyhow::Result<Profile> {
    anyhow::bail!("not written yet")
}
