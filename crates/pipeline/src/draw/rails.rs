//! The picture for terminals: a line a stage, rails from each stage down to those that read it.
//!
//! ```text
//! ●      ingest
//! ├─●    profile    manifest ← ingest
//! ●      clean      manifest ← ingest
//! ```

use super::Box;

/// More rails than this side by side are not drawn: nobody could follow them.
const MAX_RAILS: usize = 40;

/// Draws the boxes, which are in running order.
pub(super) fn draw(name: &str, boxes: &[Box<'_>]) -> String {
    let stages: usize = boxes.iter().map(|stage| stage.instances).sum();
    let stages = format!("{stages} stage{}", if stages == 1 { "" } else { "s" });
    let rows = rails(boxes);
    let width = rows.iter().map(|row| row.chars().count()).max().unwrap_or(0);
    let titles: Vec<String> = boxes.iter().map(title).collect();
    let title_width = titles.iter().map(|title| title.chars().count()).max().unwrap_or(0);
    let mut out = format!("{name} · {stages}\n\n");
    for ((row, title), stage) in rows.iter().zip(&titles).zip(boxes) {
        let line = format!("{row:width$}  {title:title_width$}  {}", reads(stage, boxes));
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn title(stage: &Box<'_>) -> String {
    let notes = stage.notes();
    if notes.is_empty() { stage.title() } else { format!("{} ({})", stage.title(), notes.join(", ")) }
}

/// `← clean.manifest, when evaluate`.
fn reads(stage: &Box<'_>, boxes: &[Box<'_>]) -> String {
    let mut parts = Vec::new();
    for edge in &stage.edges {
        let from = boxes[edge.from].name;
        parts.extend(edge.ports.iter().map(|port| format!("{from}.{port}")));
        if edge.condition {
            parts.push(format!("when {from}"));
        }
    }
    if parts.is_empty() { String::new() } else { format!("← {}", parts.join(", ")) }
}

/// The rails left of each stage.
fn rails(boxes: &[Box<'_>]) -> Vec<String> {
    // The last reader of each stage: there its rail ends.
    let mut last = vec![0; boxes.len()];
    for (reader, stage) in boxes.iter().enumerate() {
        for edge in &stage.edges {
            last[edge.from] = last[edge.from].max(reader);
        }
    }
    // The stage whose rail is in each lane.
    let mut lanes: Vec<Option<usize>> = Vec::new();
    let mut rows = Vec::with_capacity(boxes.len());
    for (at, stage) in boxes.iter().enumerate() {
        let is_read =
            |lane: &Option<usize>| lane.is_some_and(|from| stage.edges.iter().any(|edge| edge.from == from));
        let ends = |lane: &Option<usize>| lane.is_some_and(|from| last[from] <= at);
        let own = lanes
            .iter()
            .position(|lane| is_read(lane) && ends(lane))
            .or_else(|| lanes.iter().position(Option::is_none))
            .unwrap_or(lanes.len());
        if own == lanes.len() {
            lanes.push(None);
        }
        let touched: Vec<usize> =
            (0..lanes.len()).filter(|&lane| lane == own || is_read(&lanes[lane])).collect();
        let (first, end) = (touched.first().copied().unwrap_or(own), touched.last().copied().unwrap_or(own));
        let mut row = String::new();
        for (lane, holds) in lanes.iter().enumerate() {
            let inside = lane > first && lane < end;
            row.push(match (lane == own, is_read(holds), ends(holds)) {
                (true, ..) => '●',
                (_, true, false) if lane == first => '├',
                (_, true, false) if lane == end => '┤',
                (_, true, false) => '┼',
                (_, true, true) if lane == first => '╰',
                (_, true, true) if lane == end => '╯',
                (_, true, true) => '┴',
                _ if holds.is_some() => '│',
                _ if inside => '─',
                _ => ' ',
            });
            row.push(if lane >= first && lane < end { '─' } else { ' ' });
        }
        for (lane, holds) in lanes.iter_mut().enumerate() {
            if lane == own {
                *holds = (last[at] > at).then_some(at);
            } else if holds.is_some_and(|from| last[from] <= at) {
                *holds = None;
            }
        }
        while matches!(lanes.last(), Some(None)) {
            lanes.pop();
        }
        let shown: String = row.chars().take(2 * MAX_RAILS).collect();
        rows.push(shown.trim_end().to_owned());
    }
    rows
}
