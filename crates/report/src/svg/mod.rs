//! Small charts as SVG text, for pages without scripts.
//!
//! Shapes carry classes (`axis`, `s0`…`s7`) and take their colours from the page's style sheet, so
//! that they follow its light and dark schemes. Every text goes through [`escape`]. A chart of
//! numbers that are not finite leaves them out; a chart of nothing says so.

pub mod bar;
pub mod dag;
pub mod heat_map;
pub mod interval;
pub mod line;
pub mod reliability;

use std::fmt::Write as _;

use crate::text::escape;

/// How many series have a colour of their own; further ones start again.
pub const COLORS: usize = 8;

/// An SVG picture under construction.
#[derive(Debug)]
pub struct Canvas {
    body: String,
    width: f64,
    height: f64,
    class: &'static str,
    title: String,
}

/// Where a text is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// At its start.
    Start,
    /// In its middle.
    Middle,
    /// At its end.
    End,
}

impl Anchor {
    fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

impl Canvas {
    /// A picture of `width` × `height` user units, called `title` by screen readers.
    pub fn new(class: &'static str, title: &str, width: f64, height: f64) -> Self {
        Self { body: String::new(), width, height, class, title: title.to_owned() }
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let _ = write!(
            self.body,
            "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>",
            short(from.0),
            short(from.1),
            short(to.0),
            short(to.1)
        );
    }

    /// A box with rounded corners, at the top left `at`; `more` are attributes written as they are.
    pub fn rect(&mut self, class: &str, at: (f64, f64), size: (f64, f64), radius: f64, more: &str) {
        let _ = write!(
            self.body,
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"{}\"{more}/>",
            short(at.0),
            short(at.1),
            short(size.0.max(0.0)),
            short(size.1.max(0.0)),
            short(radius)
        );
    }

    /// A dot.
    pub fn dot(&mut self, class: &str, at: (f64, f64), radius: f64) {
        let _ = write!(
            self.body,
            "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"{}\"/>",
            short(at.0),
            short(at.1),
            short(radius)
        );
    }

    /// A path along `data`, which this room writes.
    pub fn path(&mut self, class: &str, data: &str) {
        let _ = write!(self.body, "<path class=\"{class}\" d=\"{data}\"/>");
    }

    /// A text.
    pub fn text(&mut self, class: &str, at: (f64, f64), anchor: Anchor, text: &str) {
        let _ = write!(
            self.body,
            "<text class=\"{class}\" x=\"{}\" y=\"{}\" text-anchor=\"{}\">{}</text>",
            short(at.0),
            short(at.1),
            anchor.name(),
            escape(text)
        );
    }

    /// A text turned by `degrees` around `at`.
    pub fn turned(&mut self, class: &str, at: (f64, f64), anchor: Anchor, degrees: f64, text: &str) {
        let _ = write!(
            self.body,
            "<text class=\"{class}\" transform=\"translate({} {}) rotate({})\" text-anchor=\"{}\">{}</text>",
            short(at.0),
            short(at.1),
            short(degrees),
            anchor.name(),
            escape(text)
        );
    }

    /// Opens a group that browsers name `title` under the pointer; close it with
    /// [`end`](Self::end).
    pub fn group(&mut self, title: &str) {
        let _ = write!(self.body, "<g><title>{}</title>", escape(title));
    }

    /// Opens a group that leads to `#anchor` on the page.
    pub fn link(&mut self, anchor: &str, title: &str) {
        let _ = write!(self.body, "<a href=\"#{}\"><title>{}</title>", escape(anchor), escape(title));
    }

    /// Closes a [`group`](Self::group).
    pub fn end(&mut self) {
        self.body.push_str("</g>");
    }

    /// Closes a [`link`](Self::link).
    pub fn end_link(&mut self) {
        self.body.push_str("</a>");
    }

    /// The picture as SVG text, as wide as the place it is put in but not wider than itself by
    /// more than `growth`.
    pub fn finish(self, growth: f64) -> String {
        format!(
            "<svg class=\"{}\" role=\"img\" viewBox=\"0 0 {} {}\" width=\"{}\" height=\"{}\" \
             xmlns=\"http://www.w3.org/2000/svg\"><title>{}</title>{}</svg>",
            self.class,
            short(self.width),
            short(self.height),
            short(self.width * growth),
            short(self.height * growth),
            escape(&self.title),
            self.body
        )
    }
}

/// A picture that says that there is nothing to show.
pub fn nothing(title: &str) -> String {
    let mut canvas = Canvas::new("chart empty", title, 320.0, 80.0);
    canvas.text("axis-label", (160.0, 44.0), Anchor::Middle, "nothing to show");
    canvas.finish(1.0)
}

/// A coordinate with two decimals and no trailing zeros.
pub fn short(value: f64) -> String {
    let text = format!("{:.2}", if value.is_finite() { value } else { 0.0 });
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A linear scale from values to coordinates.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// The values at the ends.
    pub domain: (f64, f64),
    /// The coordinates at the ends.
    pub range: (f64, f64),
}

impl Scale {
    /// The coordinate of `value`.
    pub fn at(&self, value: f64) -> f64 {
        let (low, high) = self.domain;
        let share = if high > low { (value - low) / (high - low) } else { 0.5 };
        self.range.0 + share * (self.range.1 - self.range.0)
    }
}

/// About `count` round numbers that cover `low..=high` (steps of 1, 2 or 5 times a power of ten),
/// and the step.
pub fn ticks(low: f64, high: f64, count: usize) -> (Vec<f64>, f64) {
    let span = high - low;
    if !span.is_finite() || span <= 0.0 || count == 0 {
        return (vec![low], 1.0);
    }
    let raw = span / count as f64;
    let power = 10_f64.powf(raw.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= raw * 0.999).unwrap_or(raw);
    let first = (low / step - 1e-9).ceil();
    let last = (high / step + 1e-9).floor();
    let all = (0..=(last - first).max(0.0) as usize).map(|i| (first + i as f64) * step);
    (all.collect(), step)
}

/// A tick's label, with as many decimals as its step needs.
pub fn tick_label(value: f64, step: f64) -> String {
    let magnitude = value.abs();
    if magnitude > 0.0 && magnitude < 1e-3 {
        return format!("{value:.0e}");
    }
    let decimals = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_the_range() {
        assert_eq!(ticks(0.0, 1.0, 5).0.len(), 6);
        let (all, step) = ticks(0.13, 2.71, 5);
        assert_eq!(step, 1.0);
        assert_eq!(all, [1.0, 2.0]);
        assert_eq!(ticks(3.0, 3.0, 5).0, [3.0]);
        assert_eq!(ticks(f64::NAN, 1.0, 5).0.len(), 1);
    }

    #[test]
    fn labels_have_the_decimals_of_their_step() {
        assert_eq!((tick_label(0.25, 0.05), tick_label(10.0, 5.0)), ("0.25".into(), "10".into()));
        assert_eq!(tick_label(0.0005, 0.0005), "5e-4");
    }

    #[test]
    fn hostile_titles_and_texts_are_escaped() {
        let mut canvas = Canvas::new("chart", "</title><script>alert(1)</script>", 10.0, 10.0);
        canvas.text("t", (0.0, 0.0), Anchor::Start, "<img src=x>\u{202e}");
        canvas.group("\"><script>");
        canvas.end();
        let svg = canvas.finish(1.0);
        assert!(!svg.contains("<script") && !svg.contains("<img") && !svg.contains('\u{202e}'), "{svg}");
    }
}
