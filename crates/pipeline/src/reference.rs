//! The reference of stage kinds, in Markdown, made from their ports and schemas.

use crate::stage::StageKind;

/// The reference of `kinds`: ports, params, defaults and ranges of each.
pub fn markdown(kinds: &[StageKind]) -> String {
    let _ = kinds;
    String::new()
}
