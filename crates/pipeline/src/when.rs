//! `when:` conditions: comparisons over earlier artifacts and variables.

use crate::graph::OutputRef;

/// A checked condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    outputs: Vec<OutputRef>,
}

impl Condition {
    /// The outputs that the condition looks at.
    pub fn outputs(&self) -> impl Iterator<Item = OutputRef> + '_ {
        self.outputs.iter().copied()
    }
}
