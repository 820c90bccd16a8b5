//! A dot with its interval a row: models and their accuracy side by side.

use super::{Anchor, COLORS, Canvas, Scale, nothing, tick_label, ticks};
use crate::text::{percent, shorten};

/// One row.
#[derive(Debug, Clone)]
pub struct Estimate {
    /// Its name.
    pub label: String,
    /// Which colour it has.
    pub color: usize,
    /// The estimate, a share.
    pub value: f64,
    /// Its interval.
    pub interval: (f64, f64),
    /// Whether to draw it strong.
    pub strong: bool,
    /// Where it leads on the page.
    pub anchor: String,
}

const WIDTH: f64 = 640.0;
const LABEL: f64 = 170.0;
const NUMBER: f64 = 70.0;
const ROW: f64 = 40.0;

/// The rows as SVG text, on an axis that covers all intervals.
pub fn intervals(title: &str, all: &[Estimate]) -> String {
    let rows: Vec<&Estimate> = all
        .iter()
        .filter(|e| e.value.is_finite() && e.interval.0.is_finite() && e.interval.1.is_finite())
        .collect();
    if rows.is_empty() {
        return nothing(title);
    }
    let low = rows.iter().fold(1.0_f64, |low, e| low.min(e.interval.0));
    let high = rows.iter().fold(0.0_f64, |high, e| high.max(e.interval.1));
    let air = ((high - low) * 0.08).max(0.005);
    let domain = ((low - air).max(0.0), (high + air).min(1.0));
    let x = Scale { domain, range: (LABEL, WIDTH - NUMBER) };
    let floor = ROW * rows.len() as f64 + 6.0;
    let mut canvas = Canvas::new("chart interval-chart", title, WIDTH, floor + 26.0);
    let (values, step) = ticks(domain.0, domain.1, 6);
    for value in values {
        canvas.line("grid", (x.at(value), 2.0), (x.at(value), floor));
        let label = format!("{} %", tick_label(100.0 * value, 100.0 * step));
        canvas.text("tick", (x.at(value), floor + 18.0), Anchor::Middle, &label);
    }
    for (i, row) in rows.iter().enumerate() {
        let y = i as f64 * ROW + ROW / 2.0 + 2.0;
        let color = row.color % COLORS;
        let strong = if row.strong { " strong" } else { "" };
        let (a, b) = row.interval;
        canvas.link(
            &row.anchor,
            &format!("{}: {} ({} – {})", row.label, percent(row.value), percent(a), percent(b)),
        );
        canvas.text(
            &format!("label{strong}"),
            (LABEL - 16.0, y + 4.0),
            Anchor::End,
            &shorten(&row.label, 24),
        );
        canvas.line(&format!("whisker s{color}"), (x.at(a), y), (x.at(b), y));
        canvas.dot(
            &format!("estimate f{color}{strong}"),
            (x.at(row.value), y),
            if row.strong { 7.0 } else { 5.5 },
        );
        canvas.text(&format!("value{strong}"), (WIDTH, y + 4.0), Anchor::End, &percent(row.value));
        canvas.end_link();
    }
    canvas.finish(1.15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_numbers_is_left_out() {
        let row = |value: f64| Estimate {
            label: "m".into(),
            color: 0,
            value,
            interval: (value - 0.1, value + 0.1),
            strong: true,
            anchor: "s1".into(),
        };
        assert_eq!(intervals("top1", &[row(0.5), row(f64::NAN)]).matches("whisker").count(), 1);
        assert!(intervals("top1", &[]).contains("nothing to show"));
    }
}
