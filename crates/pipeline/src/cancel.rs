//! Asking long work to stop, for Ctrl-C, a failed sibling or a timeout.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that long work looks at once a batch or file. Clones share the flag; a
/// [`child`](CancelToken::child) is cancelled with its parent but not the other way round.
#[derive(Debug, Clone, Default)]
pub struct CancelToken {
    own: Arc<AtomicBool>,
    parents: Vec<Arc<AtomicBool>>,
}

/// The error with which work ends that was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

impl CancelToken {
    /// A token that nobody has cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// A token that is cancelled with this one, or alone.
    #[must_use]
    pub fn child(&self) -> Self {
        let mut parents = self.parents.clone();
        parents.push(Arc::clone(&self.own));
        Self { own: Arc::default(), parents }
    }

    /// Asks the work to stop.
    pub fn cancel(&self) {
        self.own.store(true, Ordering::Release);
    }

    /// Whether the work was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.own.load(Ordering::Acquire) || self.parents.iter().any(|flag| flag.load(Ordering::Acquire))
    }

    /// For `?` at the head of a loop's body.
    ///
    /// # Errors
    /// [`Cancelled`] when the work was asked to stop.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }
}
