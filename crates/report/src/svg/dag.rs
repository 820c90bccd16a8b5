//! A layered picture of a DAG, top to bottom (Sugiyama, Tagawa and Toda 1981).
//!
//! Longest-path layers; long edges get a bend in every layer they pass; a few sweeps of
//! barycentres order each layer; then the places in a layer are the least-squares fit to the
//! neighbours' places that keeps the order and the distances (pool adjacent violators). All steps
//! are deterministic. Edges that point back are left out, so a bad input can't loop.

use super::{Anchor, Canvas, nothing, short};
use crate::text::shorten;

/// One box.
#[derive(Debug, Clone)]
pub struct Node {
    /// The first line.
    pub name: String,
    /// The lines below it.
    pub lines: Vec<String>,
    /// A class that decides its colour.
    pub class: &'static str,
    /// Where it leads on the page.
    pub anchor: String,
    /// The nodes it reads from: positions before its own.
    pub inputs: Vec<usize>,
}

const BOX: (f64, f64) = (150.0, 72.0);
const GAP: f64 = 14.0;
const BEND: f64 = 10.0;
const LAYER: f64 = 112.0;
const MARGIN: f64 = 6.0;
const SWEEPS: usize = 12;

/// A place in a layer: a box, or the bend of an edge.
#[derive(Debug, Clone, Copy)]
struct Place {
    node: Option<usize>,
    layer: usize,
    x: f64,
}

impl Place {
    fn half(&self) -> f64 {
        if self.node.is_some() { (BOX.0 + GAP) / 2.0 } else { BEND }
    }
}

struct Layout {
    places: Vec<Place>,
    layers: Vec<Vec<usize>>,
    up: Vec<Vec<usize>>,
    down: Vec<Vec<usize>>,
    /// Each edge as the places it passes, from top to bottom.
    edges: Vec<Vec<usize>>,
}

/// The DAG as SVG text; `nodes` in topological order.
pub fn dag(title: &str, nodes: &[Node]) -> String {
    if nodes.is_empty() {
        return nothing(title);
    }
    let mut layout = lay_out(nodes);
    order(&mut layout);
    place(&mut layout);
    draw(title, nodes, &layout)
}

fn lay_out(nodes: &[Node]) -> Layout {
    let mut layer = vec![0_usize; nodes.len()];
    for (i, node) in nodes.iter().enumerate() {
        layer[i] = node.inputs.iter().filter(|&&j| j < i).map(|&j| layer[j] + 1).max().unwrap_or(0);
    }
    let depth = layer.iter().max().map_or(1, |deepest| deepest + 1);
    let places = layer.iter().enumerate().map(|(i, &layer)| Place { node: Some(i), layer, x: 0.0 }).collect();
    let mut layout = Layout {
        places,
        layers: vec![Vec::new(); depth],
        up: vec![Vec::new(); nodes.len()],
        down: vec![Vec::new(); nodes.len()],
        edges: Vec::new(),
    };
    for (i, &layer) in layer.iter().enumerate() {
        layout.layers[layer].push(i);
    }
    for (i, node) in nodes.iter().enumerate() {
        let mut inputs: Vec<usize> = node.inputs.iter().copied().filter(|&j| j < i).collect();
        inputs.sort_unstable();
        inputs.dedup();
        for j in inputs {
            layout.connect(j, i);
        }
    }
    layout
}

impl Layout {
    fn connect(&mut self, from: usize, to: usize) {
        let mut route = vec![from];
        for layer in self.places[from].layer + 1..self.places[to].layer {
            let bend = self.places.len();
            self.places.push(Place { node: None, layer, x: 0.0 });
            self.up.push(Vec::new());
            self.down.push(Vec::new());
            self.layers[layer].push(bend);
            route.push(bend);
        }
        route.push(to);
        for pair in route.windows(2) {
            self.down[pair[0]].push(pair[1]);
            self.up[pair[1]].push(pair[0]);
        }
        self.edges.push(route);
    }

    fn crossings(&self) -> usize {
        let mut at = vec![0; self.places.len()];
        for layer in &self.layers {
            layer.iter().enumerate().for_each(|(i, &p)| at[p] = i);
        }
        let mut crossings = 0;
        for layer in &self.layers {
            let ends = layer.iter().flat_map(|&p| self.down[p].iter().map(move |&q| (p, q)));
            let ends: Vec<(usize, usize)> = ends.map(|(p, q)| (at[p], at[q])).collect();
            for (i, a) in ends.iter().enumerate() {
                crossings +=
                    ends[..i].iter().filter(|b| (b.0 < a.0 && b.1 > a.1) || (b.0 > a.0 && b.1 < a.1)).count();
            }
        }
        crossings
    }
}

/// Orders every layer by the barycentres of its neighbours, sweeping down and up, and keeps the
/// order with the fewest crossings.
fn order(layout: &mut Layout) {
    let mut best = (layout.crossings(), layout.layers.clone());
    for sweep in 0..SWEEPS {
        let downwards = sweep % 2 == 0;
        let depth = layout.layers.len();
        let mut at: Vec<f64> = vec![0.0; layout.places.len()];
        let rank = |layer: &[usize], at: &mut Vec<f64>| {
            let middle = (layer.len() as f64 - 1.0) / 2.0;
            layer.iter().enumerate().for_each(|(i, &p)| at[p] = i as f64 - middle);
        };
        layout.layers.iter().for_each(|layer| rank(layer, &mut at));
        for step in 0..depth {
            let l = if downwards { step } else { depth - 1 - step };
            let neighbours = if downwards { &layout.up } else { &layout.down };
            let mut keyed: Vec<(f64, usize)> = layout.layers[l]
                .iter()
                .map(|&p| (mean(neighbours[p].iter().map(|&q| at[q])).unwrap_or(at[p]), p))
                .collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            layout.layers[l] = keyed.into_iter().map(|(_, p)| p).collect();
            rank(&layout.layers[l], &mut at);
        }
        transpose(layout);
        let crossings = layout.crossings();
        if crossings < best.0 {
            best = (crossings, layout.layers.clone());
        }
    }
    layout.layers = best.1;
}

/// Swaps neighbours in a layer while that removes crossings.
fn transpose(layout: &mut Layout) {
    let mut at = vec![0; layout.places.len()];
    for layer in &layout.layers {
        layer.iter().enumerate().for_each(|(i, &p)| at[p] = i);
    }
    for _ in 0..SWEEPS {
        let mut swapped = false;
        for l in 0..layout.layers.len() {
            for i in 1..layout.layers[l].len() {
                let (a, b) = (layout.layers[l][i - 1], layout.layers[l][i]);
                let now = tangles(&layout.up, &at, a, b) + tangles(&layout.down, &at, a, b);
                let then = tangles(&layout.up, &at, b, a) + tangles(&layout.down, &at, b, a);
                if then < now {
                    layout.layers[l].swap(i - 1, i);
                    (at[a], at[b]) = (i, i - 1);
                    swapped = true;
                }
            }
        }
        if !swapped {
            break;
        }
    }
}

/// The crossings between the edges of `a` and of `b` on one side when `a` stands left of `b`.
fn tangles(neighbours: &[Vec<usize>], at: &[usize], a: usize, b: usize) -> usize {
    neighbours[a].iter().map(|&p| neighbours[b].iter().filter(|&&q| at[q] < at[p]).count()).sum()
}

/// Finds each place's x, keeping the order of its layer.
fn place(layout: &mut Layout) {
    for l in 0..layout.layers.len() {
        let wanted = vec![0.0; layout.layers[l].len()];
        settle(layout, l, &wanted);
    }
    for sweep in 0..SWEEPS {
        let depth = layout.layers.len();
        for step in 0..depth {
            let l = if sweep % 2 == 0 { step } else { depth - 1 - step };
            let wanted: Vec<f64> = layout.layers[l]
                .iter()
                .map(|&p| {
                    let around = layout.up[p].iter().chain(&layout.down[p]).map(|&q| layout.places[q].x);
                    mean(around).unwrap_or(layout.places[p].x)
                })
                .collect();
            settle(layout, l, &wanted);
        }
    }
}

/// The least-squares fit to `wanted` in which neighbours keep their distance.
fn settle(layout: &mut Layout, l: usize, wanted: &[f64]) {
    let layer = layout.layers[l].clone();
    let mut offset = 0.0;
    let mut offsets = Vec::with_capacity(layer.len());
    for (i, &p) in layer.iter().enumerate() {
        if i > 0 {
            offset += layout.places[layer[i - 1]].half() + layout.places[p].half();
        }
        offsets.push(offset);
    }
    // Pools of places that stand as close as they may: (sum of wanted − offset, how many).
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for (want, offset) in wanted.iter().zip(&offsets) {
        pools.push((want - offset, 1));
        while let [.., a, b] = pools[..] {
            if a.0 / a.1 as f64 <= b.0 / b.1 as f64 {
                break;
            }
            pools.truncate(pools.len() - 2);
            pools.push((a.0 + b.0, a.1 + b.1));
        }
    }
    let starts = pools.iter().flat_map(|pool| std::iter::repeat_n(pool.0 / pool.1 as f64, pool.1));
    for ((&p, start), offset) in layer.iter().zip(starts).zip(&offsets) {
        layout.places[p].x = start + offset;
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0_u32), |(sum, n), v| (sum + v, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}

fn draw(title: &str, nodes: &[Node], layout: &Layout) -> String {
    let boxes = || layout.places.iter().filter(|place| place.node.is_some());
    let left =
        layout.places.iter().fold(f64::INFINITY, |left, place| left.min(place.x - place.half() + GAP / 2.0));
    let right =
        layout.places.iter().fold(0.0_f64, |right, place| right.max(place.x + place.half() - GAP / 2.0));
    let shift = MARGIN - left;
    let width = right - left + 2.0 * MARGIN;
    let height = (layout.layers.len() - 1) as f64 * LAYER + BOX.1 + 2.0 * MARGIN;
    let top = |place: &Place| MARGIN + place.layer as f64 * LAYER;
    let mut canvas = Canvas::new("chart dag", title, width, height);
    for route in &layout.edges {
        let at = |p: usize| &layout.places[p];
        let start = at(route[0]);
        let (mut x, mut y) = (start.x + shift, top(start) + BOX.1);
        let mut data = format!("M{} {}", short(x), short(y));
        for &p in &route[1..] {
            let place = at(p);
            let (nx, ny) = (place.x + shift, top(place));
            let bow = (ny - y) * 0.5;
            data.push_str(&format!(
                "C{} {} {} {} {} {}",
                short(x),
                short(y + bow),
                short(nx),
                short(ny - bow),
                short(nx),
                short(ny)
            ));
            (x, y) = (nx, ny);
            if place.node.is_none() {
                y += BOX.1;
                data.push_str(&format!("V{}", short(y)));
            }
        }
        canvas.path("edge", &data);
    }
    for place in boxes() {
        let Some(node) = place.node.map(|i| &nodes[i]) else { continue };
        draw_box(&mut canvas, node, (place.x + shift - BOX.0 / 2.0, top(place)));
    }
    canvas.finish(1.0)
}

fn draw_box(canvas: &mut Canvas, node: &Node, at: (f64, f64)) {
    canvas.link(&node.anchor, &format!("{} — {}", node.name, node.lines.join(" · ")));
    canvas.rect(&format!("node {}", node.class), at, BOX, 8.0, "");
    canvas.rect(&format!("stripe {}", node.class), (at.0 + 1.0, at.1 + 12.0), (3.0, BOX.1 - 24.0), 1.5, "");
    canvas.text("node-name", (at.0 + 13.0, at.1 + 19.5), Anchor::Start, &shorten(&node.name, 20));
    for (i, line) in node.lines.iter().take(3).enumerate() {
        let y = at.1 + 35.0 + 13.5 * i as f64;
        canvas.text("node-line", (at.0 + 13.0, y), Anchor::Start, &shorten(line, 25));
    }
    canvas.end_link();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, inputs: &[usize]) -> Node {
        Node { name: name.into(), lines: vec![], class: "data", anchor: "s0".into(), inputs: inputs.to_vec() }
    }

    fn settled(nodes: &[Node]) -> Layout {
        let mut layout = lay_out(nodes);
        order(&mut layout);
        place(&mut layout);
        layout
    }

    #[test]
    fn a_node_lies_below_everything_it_reads() {
        let nodes =
            [node("a", &[]), node("b", &[0]), node("c", &[0]), node("d", &[1, 2, 0]), node("e", &[0])];
        let layout = settled(&nodes);
        let layers: Vec<usize> = layout.places[..5].iter().map(|place| place.layer).collect();
        assert_eq!(layers, [0, 1, 1, 2, 1]);
        assert_eq!(layout.edges.len(), 6);
    }

    #[test]
    fn boxes_of_a_layer_never_overlap() {
        let mut nodes = vec![node("root", &[])];
        for i in 0..9 {
            nodes.push(node("middle", &[i / 3]));
        }
        nodes.push(node("end", &(1..10).collect::<Vec<_>>()));
        let layout = settled(&nodes);
        for layer in &layout.layers {
            for pair in layer.windows(2) {
                let (a, b) = (layout.places[pair[0]], layout.places[pair[1]]);
                assert!(b.x - a.x >= a.half() + b.half() - 1e-9);
            }
        }
    }

    #[test]
    fn parallel_chains_do_not_cross() {
        // Written interleaved and reversed: 0,1 → 3,2 → 4,5.
        let nodes = [
            node("a", &[]),
            node("b", &[]),
            node("b2", &[1]),
            node("a2", &[0]),
            node("a3", &[3]),
            node("b3", &[2]),
        ];
        assert_eq!(settled(&nodes).crossings(), 0);
    }

    #[test]
    fn an_edge_that_points_back_or_at_itself_is_left_out() {
        let svg = dag("d", &[node("<script>", &[0, 1]), node("b", &[0, 99])]);
        assert_eq!(svg.matches("class=\"edge\"").count(), 1);
        assert!(svg.contains("&lt;script&gt;") && !svg.contains("<script"));
    }
}
