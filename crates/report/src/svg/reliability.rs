//! The reliability diagram: how often a model is right against how sure it was.

use super::{Anchor, Canvas, Scale, nothing};
use crate::text::percent;

/// One bin of confidence.
#[derive(Debug, Clone, Copy)]
pub struct Bin {
    /// The mean confidence of its images.
    pub confidence: f64,
    /// The share of them named correctly.
    pub accuracy: f64,
    /// How many they are.
    pub count: u64,
    /// The bin's bounds.
    pub bounds: (f64, f64),
}

const SIZE: f64 = 264.0;
const LEFT: f64 = 40.0;
const RIGHT: f64 = 14.0;
const BOTTOM: f64 = 36.0;
const TOP: f64 = 8.0;

/// The diagram as SVG text.
pub fn reliability(title: &str, color: usize, bins: &[Bin]) -> String {
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(0);
    if most == 0 {
        return nothing(title);
    }
    let floor = SIZE - BOTTOM;
    let x = Scale { domain: (0.0, 1.0), range: (LEFT, SIZE - RIGHT) };
    let y = Scale { domain: (0.0, 1.0), range: (floor, TOP) };
    let mut canvas = Canvas::new("chart reliability-chart", title, SIZE, SIZE);
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        canvas.line("grid", (LEFT, y.at(tick)), (SIZE - RIGHT, y.at(tick)));
        let label = format!("{:.0}", 100.0 * tick);
        canvas.text("tick", (LEFT - 7.0, y.at(tick) + 3.5), Anchor::End, &label);
        canvas.text("tick", (x.at(tick), floor + 15.0), Anchor::Middle, &label);
    }
    for bin in bins.iter().filter(|bin| bin.count > 0) {
        let (a, b) = (x.at(bin.bounds.0), x.at(bin.bounds.1));
        let share = bin.count as f64 / most as f64;
        let title = format!(
            "{} images with {} mean confidence: {} right",
            bin.count,
            percent(bin.confidence),
            percent(bin.accuracy)
        );
        canvas.group(&title);
        let faint = format!(" fill-opacity=\"{:.2}\"", 0.25 + 0.65 * share.sqrt());
        let top = y.at(bin.accuracy);
        canvas.rect(
            &format!("f{}", color % super::COLORS),
            (a + 0.75, top),
            (b - a - 1.5, floor - top),
            1.5,
            &faint,
        );
        canvas.end();
    }
    canvas.line("diagonal", (x.at(0.0), y.at(0.0)), (x.at(1.0), y.at(1.0)));
    canvas.text(
        "axis-label",
        (f64::midpoint(LEFT, SIZE - RIGHT), SIZE - 3.0),
        Anchor::Middle,
        "confidence (%)",
    );
    canvas.turned("axis-label", (10.0, f64::midpoint(TOP, floor)), Anchor::Middle, -90.0, "right (%)");
    canvas.finish(1.1)
}
