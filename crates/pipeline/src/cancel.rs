//! Asking long work to stop, for Ctrl-C, a failed sibling or a timeout.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A flag that long work looks at once a batch or file. Clones share the flag; a
/// [`child`](CancelToken::child) is cancelled with its parent but not the other way round.
#[derive(Debug, Clone, Default)]
pub struct CancelToken {
    own: Arc<AtomicBool>,
    parents: Vec<Arc<AtomicBool>>,
    pace: Arc<Pace>,
}

/// How often the work looks at its token.
#[derive(Debug)]
struct Pace {
    begun: Instant,
    /// Milliseconds after `begun`.
    last: AtomicU64,
    /// Milliseconds between two looks at most.
    longest: AtomicU64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { begun: Instant::now(), last: AtomicU64::new(0), longest: AtomicU64::new(0) }
    }
}

impl Pace {
    fn look(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let before = self.last.swap(now, Ordering::Relaxed);
        self.longest.fetch_max(now.saturating_sub(before), Ordering::Relaxed);
    }
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
        Self { own: Arc::default(), parents, pace: Arc::default() }
    }

    /// Asks the work to stop.
    pub fn cancel(&self) {
        self.own.store(true, Ordering::Release);
    }

    /// Whether the work was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.pace.look();
        self.own.load(Ordering::Acquire) || self.parents.iter().any(|flag| flag.load(Ordering::Acquire))
    }

    /// The longest that the work went without looking at this very token: about its longest batch.
    pub fn longest_pause(&self) -> Duration {
        Duration::from_millis(self.pace.longest.load(Ordering::Relaxed))
    }

    /// For `?` at the head of a loop's body.
    ///
    /// # Errors
    /// [`Cancelled`] when the work was asked to stop.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }
}
