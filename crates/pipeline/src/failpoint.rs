//! Named places at which tests kill the process or fill the disk: `PEREGRINE_FAIL=point:n:kill`
//! kills it at the n-th pass of `point`, `point:n:full` makes that pass fail as a full disk does.
//!
//! Compiled to nothing in release builds.

use std::io;

/// All points, so that a test can visit each.
#[cfg(test)]
pub const POINTS: &[&str] = &[
    "before_tmp",
    "mid_write",
    "before_manifest",
    "before_sync",
    "before_rename",
    "after_rename",
    "before_ledger",
    "after_ledger",
];

/// Passes `point`.
#[cfg(debug_assertions)]
pub(crate) fn pass(point: &'static str) -> io::Result<()> {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicI64, Ordering};

    struct Armed {
        point: String,
        left: AtomicI64,
        action: String,
    }
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    let armed = ARMED.get_or_init(|| {
        let setting = std::env::var("PEREGRINE_FAIL").ok()?;
        let mut parts = setting.split(':');
        let point = parts.next()?.to_owned();
        let left = AtomicI64::new(parts.next()?.parse().ok()?);
        Some(Armed { point, left, action: parts.next()?.to_owned() })
    });
    let Some(armed) = armed else { return Ok(()) };
    if armed.point != point || armed.left.fetch_sub(1, Ordering::SeqCst) != 1 {
        return Ok(());
    }
    if armed.action == "full" {
        return Err(io::Error::from(io::ErrorKind::StorageFull));
    }
    let _ = std::process::Command::new("kill").arg("-9").arg(std::process::id().to_string()).status();
    std::thread::sleep(std::time::Duration::from_secs(5));
    Ok(())
}

/// Passes `point`.
#[cfg(not(debug_assertions))]
#[expect(clippy::unnecessary_wraps, reason = "the debug build can fail")]
pub(crate) fn pass(_point: &'static str) -> io::Result<()> {
    Ok(())
}
