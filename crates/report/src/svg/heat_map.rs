//! A confusion matrix: rows are true classes, columns predicted ones, colour is the share of the row.

use super::{Anchor, Canvas, nothing};
use crate::text::{percent, shorten};

const LONGEST: usize = 16;

/// The matrix as SVG text; `counts[true][predicted]`.
pub fn confusion(title: &str, classes: &[String], counts: &[Vec<u64>]) -> String {
    let k = classes.len();
    if k == 0 || counts.len() != k || counts.iter().any(|row| row.len() != k) {
        return nothing(title);
    }
    let cell = (560.0 / k as f64).clamp(14.0, 52.0);
    let longest = classes.iter().map(|name| name.chars().count().min(LONGEST)).max().unwrap_or(1) as f64;
    let left = 40.0 + longest * 6.6;
    let top = 34.0 + longest * 4.7;
    let right = 24.0 + longest * 3.6;
    let side = cell * k as f64;
    let mut canvas = Canvas::new("chart heat-map", title, left + side + right, top + side + 8.0);
    canvas.text("axis-label", (left + side / 2.0, 12.0), Anchor::Middle, "predicted");
    canvas.turned("axis-label", (12.0, top + side / 2.0), Anchor::Middle, -90.0, "true");
    for (i, name) in classes.iter().enumerate() {
        let middle = (i as f64 + 0.5) * cell;
        canvas.text("label", (left - 9.0, top + middle + 4.0), Anchor::End, &shorten(name, LONGEST));
        canvas.turned(
            "label",
            (left + middle + 2.0, top - 9.0),
            Anchor::Start,
            -40.0,
            &shorten(name, LONGEST),
        );
    }
    for (i, row) in counts.iter().enumerate() {
        let sum: u64 = row.iter().sum();
        for (j, &count) in row.iter().enumerate() {
            let share = if sum > 0 { count as f64 / sum as f64 } else { 0.0 };
            let at = (left + j as f64 * cell, top + i as f64 * cell);
            let about =
                format!("{} taken for {}: {count} of {sum} ({})", classes[i], classes[j], percent(share));
            canvas.group(&about);
            draw(&mut canvas, at, cell, count, share, i == j);
            canvas.end();
        }
    }
    canvas.finish(1.0)
}

fn draw(canvas: &mut Canvas, at: (f64, f64), cell: f64, count: u64, share: f64, hit: bool) {
    let size = (cell - 2.0, cell - 2.0);
    canvas.rect("cell", (at.0 + 1.0, at.1 + 1.0), size, 3.0, "");
    if count == 0 {
        return;
    }
    // Mistakes are rare, so their scale is steeper: a tenth of a row is already half the colour.
    let strength = if hit { 0.12 + 0.88 * share } else { (0.16 + 1.7 * share).min(1.0) };
    let class = if hit { "hit" } else { "miss" };
    let faint = format!(" fill-opacity=\"{strength:.2}\"");
    canvas.rect(class, (at.0 + 1.0, at.1 + 1.0), size, 3.0, &faint);
    if cell >= 20.0 {
        let text = match strength {
            s if s > 0.55 => "cell-number on",
            _ => "cell-number",
        };
        let middle = (at.0 + cell / 2.0, at.1 + cell / 2.0 + 4.0);
        canvas.text(text, middle, Anchor::Middle, &count.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_has_its_number_and_zeros_are_blank() {
        let classes = ["boot".to_owned(), "<coat>".to_owned()];
        let svg = confusion("confusion", &classes, &[vec![7, 3], vec![0, 10]]);
        assert!(svg.contains(">7<") && svg.contains(">3<") && svg.contains(">10<") && !svg.contains(">0<"));
        assert!(svg.contains("boot taken for &lt;coat&gt;: 3 of 10 (30.0 %)"));
    }

    #[test]
    fn a_matrix_of_the_wrong_shape_is_not_drawn() {
        assert!(confusion("c", &["a".to_owned()], &[vec![1, 2]]).contains("nothing to show"));
    }
}
