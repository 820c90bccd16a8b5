//! Horizontal bars with a label on the left and a number on the right: classes and their counts.

use super::{Anchor, Canvas, Scale, nothing};
use crate::text::{shorten, whole};

/// One bar.
#[derive(Debug, Clone)]
pub struct Bar {
    /// What it counts.
    pub label: String,
    /// How many.
    pub value: u64,
    /// How many of these are drawn as lost (removed by cleaning).
    pub lost: u64,
}

const WIDTH: f64 = 520.0;
const LABEL: f64 = 132.0;
const NUMBER: f64 = 58.0;
const ROW: f64 = 24.0;

/// The bars as SVG text, in the order given.
pub fn bars(title: &str, all: &[Bar]) -> String {
    let Some(most) = all.iter().map(|bar| bar.value).max() else { return nothing(title) };
    let x = Scale { domain: (0.0, most.max(1) as f64), range: (0.0, WIDTH - LABEL - NUMBER) };
    let mut canvas = Canvas::new("chart bar-chart", title, WIDTH, ROW * all.len() as f64 + 4.0);
    for (i, bar) in all.iter().enumerate() {
        let y = i as f64 * ROW + 4.0;
        let kept = bar.value.saturating_sub(bar.lost);
        let note = if bar.lost > 0 { format!(", of which {} removed", bar.lost) } else { String::new() };
        canvas.group(&format!("{}: {}{note}", bar.label, bar.value));
        canvas.text("label", (LABEL - 12.0, y + 13.5), Anchor::End, &shorten(&bar.label, 20));
        canvas.rect("bar", (LABEL, y), (x.at(kept as f64), ROW - 7.0), 2.0, "");
        if bar.lost > 0 {
            canvas.rect(
                "bar lost",
                (LABEL + x.at(kept as f64) + 1.0, y),
                (x.at(bar.lost as f64) - 1.0, ROW - 7.0),
                2.0,
                "",
            );
        }
        canvas.text(
            "value",
            (LABEL + x.at(bar.value as f64) + 8.0, y + 13.5),
            Anchor::Start,
            &whole(bar.value),
        );
        canvas.end();
    }
    canvas.finish(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_a_bar_and_a_number() {
        let svg = bars(
            "images per class",
            &[
                Bar { label: "<b>boot".into(), value: 150, lost: 10 },
                Bar { label: "coat".into(), value: 0, lost: 0 },
            ],
        );
        assert_eq!(svg.matches("<rect").count(), 3);
        assert!(svg.contains(">150<") && svg.contains("of which 10 removed") && !svg.contains("<b>"));
        assert!(bars("none", &[]).contains("nothing to show"));
    }
}
