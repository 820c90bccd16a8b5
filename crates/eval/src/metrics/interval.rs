//! How sure a share is, given how few images it was counted on.

use serde::{Deserialize, Serialize};

/// The two ends of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The 0.975 quantile of the standard normal.
const Z: f64 = 1.959_963_984_540_054;

/// The 95 % score interval of `hits` in `n` trials (Wilson 1927).
///
/// Unlike the normal approximation it stays inside 0..1 and has a width at 0 and at `n` hits.
pub fn wilson(hits: u64, n: u64) -> Interval {
    if n == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let (n, p) = (n as f64, hits as f64 / n as f64);
    let scale = 1.0 + Z * Z / n;
    let centre = (p + Z * Z / (2.0 * n)) / scale;
    let half = Z / scale * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
}
