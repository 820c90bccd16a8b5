//! Lines over a common x axis: training curves.

use super::{Anchor, COLORS, Canvas, Scale, nothing, short, tick_label, ticks};

/// One line.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its name, shown under the pointer.
    pub name: String,
    /// Which colour it has.
    pub color: usize,
    /// Whether it is dashed.
    pub dashed: bool,
    /// Its points; those that are not finite are left out.
    pub points: Vec<(f64, f64)>,
    /// A point to mark (the epoch that was kept, say).
    pub mark: Option<(f64, f64)>,
}

/// A chart of lines.
#[derive(Debug, Clone)]
pub struct LineChart {
    /// What is drawn, for screen readers.
    pub title: String,
    /// What the x axis counts.
    pub x: String,
    /// What the y axis measures.
    pub y: String,
    /// The lines.
    pub series: Vec<Series>,
    /// Whether y starts at zero.
    pub from_zero: bool,
    /// Whether y is a share, labelled in percent.
    pub percent: bool,
}

const SIZE: (f64, f64) = (360.0, 236.0);
const LEFT: f64 = 52.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 38.0;

impl LineChart {
    /// The chart as SVG text.
    pub fn render(&self) -> String {
        let finite = |p: &&(f64, f64)| p.0.is_finite() && p.1.is_finite();
        let all: Vec<(f64, f64)> =
            self.series.iter().flat_map(|line| line.points.iter().filter(finite).copied()).collect();
        let Some(&(x0, y0)) = all.first() else { return nothing(&self.title) };
        let wide = |(low, high): (f64, f64), v: f64| (low.min(v), high.max(v));
        let xs = all.iter().fold((x0, x0), |range, p| wide(range, p.0));
        let ys = padded(all.iter().fold((y0, y0), |range, p| wide(range, p.1)), self.from_zero, self.percent);
        let x = Scale { domain: xs, range: (LEFT, SIZE.0 - RIGHT) };
        let y = Scale { domain: ys, range: (SIZE.1 - BOTTOM, TOP) };

        let mut canvas = Canvas::new("chart line-chart", &self.title, SIZE.0, SIZE.1);
        self.axes(&mut canvas, x, y);
        for line in &self.series {
            draw(&mut canvas, line, x, y);
        }
        canvas.finish(1.25)
    }

    fn axes(&self, canvas: &mut Canvas, x: Scale, y: Scale) {
        let (values, step) = ticks(y.domain.0, y.domain.1, 4);
        for value in values {
            let at = y.at(value);
            canvas.line("grid", (LEFT, at), (SIZE.0 - RIGHT, at));
            let label =
                if self.percent { tick_label(100.0 * value, 100.0 * step) } else { tick_label(value, step) };
            canvas.text("tick", (LEFT - 8.0, at + 3.5), Anchor::End, &label);
        }
        let floor = SIZE.1 - BOTTOM;
        canvas.line("axis", (LEFT, floor), (SIZE.0 - RIGHT, floor));
        let (values, step) = ticks(x.domain.0, x.domain.1, 6);
        for value in values.into_iter().filter(|value| value.fract() == 0.0) {
            canvas.text(
                "tick",
                (x.at(value), floor + 16.0),
                Anchor::Middle,
                &tick_label(value, step.max(1.0)),
            );
        }
        canvas.text(
            "axis-label",
            (f64::midpoint(LEFT, SIZE.0 - RIGHT), SIZE.1 - 4.0),
            Anchor::Middle,
            &self.x,
        );
        canvas.turned("axis-label", (11.0, f64::midpoint(TOP, floor)), Anchor::Middle, -90.0, &self.y);
    }
}

fn draw(canvas: &mut Canvas, line: &Series, x: Scale, y: Scale) {
    let points: Vec<(f64, f64)> = line
        .points
        .iter()
        .filter(|p| p.0.is_finite() && p.1.is_finite())
        .map(|p| (x.at(p.0), y.at(p.1)))
        .collect();
    let Some(first) = points.first() else { return };
    let color = line.color % COLORS;
    let dash = if line.dashed { " dashed" } else { "" };
    canvas.group(&line.name);
    let data: Vec<String> = points.iter().map(|p| format!("{} {}", short(p.0), short(p.1))).collect();
    canvas.path(&format!("stroke s{color}{dash}"), &format!("M{}", data.join("L")));
    if points.len() == 1 {
        canvas.dot(&format!("fill f{color}"), *first, 2.5);
    }
    if let Some((mx, my)) = line.mark.filter(|m| m.0.is_finite() && m.1.is_finite()) {
        canvas.dot(&format!("mark f{color}"), (x.at(mx), y.at(my)), 4.0);
    }
    canvas.end();
}

/// The range with a little air, cut at 0 and (for shares) at 1.
fn padded((low, high): (f64, f64), from_zero: bool, percent: bool) -> (f64, f64) {
    let span = if high > low { high - low } else { high.abs().max(1e-6) };
    let bottom = if from_zero { 0.0_f64.min(low) } else { low - 0.06 * span };
    let bottom = if low >= 0.0 { bottom.max(0.0) } else { bottom };
    let top = high + 0.06 * span;
    (bottom, if percent && high <= 1.0 { top.min(1.0) } else { top })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> String {
        let series =
            vec![Series { name: "<resnet>".into(), color: 9, dashed: true, points, mark: Some((2.0, 0.5)) }];
        let (title, x, y) = ("loss".into(), "epoch".into(), "nats".into());
        LineChart { title, x, y, series, from_zero: true, percent: false }.render()
    }

    #[test]
    fn a_line_goes_through_its_finite_points_and_marks_one() {
        let svg = chart(vec![(1.0, 1.0), (2.0, 0.5), (3.0, f64::NAN), (4.0, 0.25)]);
        assert_eq!(svg.matches('L').count(), 2, "{svg}");
        assert!(svg.contains("class=\"mark f1\"") && svg.contains("stroke s1 dashed"));
        assert!(svg.contains("&lt;resnet&gt;") && !svg.contains("NaN"));
    }

    #[test]
    fn one_point_is_a_dot_and_none_is_said() {
        assert!(chart(vec![(1.0, 1.0)]).contains("fill f1"));
        assert!(chart(vec![(1.0, f64::INFINITY)]).contains("nothing to show"));
    }
}
