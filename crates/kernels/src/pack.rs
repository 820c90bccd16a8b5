//! Weights as the tiles want them: sixteen outputs side by side, for each tap and input in turn.

use rayon::prelude::*;

use crate::buffer::{Buffer, Pool};
use crate::simd::LANES;
use std::sync::Arc;

/// Up to sixteen neighbouring outputs and the neighbouring inputs that they see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panel {
    pub out0: usize,
    pub outs: usize,
    pub in0: usize,
    pub ins: usize,
}

/// The panels of a layer with `outs` outputs and `ins` inputs in `groups` groups. Small groups
/// share a panel: what an output doesn't see has weight zero there.
pub(crate) fn panels(outs: usize, ins: usize, groups: usize) -> Vec<Panel> {
    let (outs_each, ins_each) = (outs / groups, ins / groups);
    if outs_each >= LANES || groups == 1 {
        let of_group = |g: usize| {
            (0..outs_each).step_by(LANES).map(move |j| Panel {
                out0: g * outs_each + j,
                outs: LANES.min(outs_each - j),
                in0: g * ins_each,
                ins: ins_each,
            })
        };
        return (0..groups).flat_map(of_group).collect();
    }
    let together = LANES / outs_each;
    let panel = |g: usize| {
        let count = together.min(groups - g);
        Panel { out0: g * outs_each, outs: count * outs_each, in0: g * ins_each, ins: count * ins_each }
    };
    (0..groups).step_by(together).map(panel).collect()
}

/// Where the weights of a panel's outputs lie for one input and tap: lane `first + k` at
/// `base + k·stride`, for `count` lanes; the others don't see that input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lanes {
    pub first: usize,
    pub count: usize,
    pub base: usize,
    pub stride: usize,
}

/// Weights seen as a matrix for each tap, whichever way a convolution is computed.
pub(crate) trait Weights: Sync {
    /// The weights from input `i` (of all) to the outputs of `panel` at tap 0, and how much
    /// further on each tap is.
    fn lanes(&self, panel: &Panel, i: usize) -> Lanes;

    /// How much further on tap `t` is.
    fn tap(&self, t: usize) -> usize;

    /// The weights in torch's layout.
    fn values(&self) -> &[f32];

    /// A factor for each output; empty for none.
    fn scale(&self) -> &[f32];
}

/// Packed weights: for each panel, for each block of inputs, `[taps][inputs of the block][16]`.
#[derive(Debug)]
pub(crate) struct Matrix {
    pub panels: Vec<Panel>,
    /// Where each panel begins.
    pub starts: Vec<usize>,
    pub taps: usize,
    /// The most inputs of a block.
    pub block: usize,
    pub values: Buffer,
}

/// The bytes of two panels that should stay near while pixels go by.
const NEAR: usize = 160 << 10;

/// The inputs that are gone through at once.
pub(crate) fn block(taps: usize, ins: usize) -> usize {
    let whole = taps * ins * LANES * 2 * 4;
    if whole <= NEAR + NEAR / 4 {
        return ins.max(1);
    }
    (NEAR / (taps * LANES * 2 * 4) / LANES * LANES).max(LANES)
}

impl Matrix {
    pub(crate) fn new(panels: Vec<Panel>, taps: usize, weights: &impl Weights, pool: &Arc<Pool>) -> Self {
        let ins = panels.iter().map(|panel| panel.ins).max().unwrap_or(0);
        let block = block(taps, ins);
        let mut starts = Vec::with_capacity(panels.len());
        let mut all = 0;
        for panel in &panels {
            starts.push(all);
            all += taps * panel.ins * LANES;
        }
        let mut values = pool.take(all);
        let mut parts = Vec::with_capacity(panels.len());
        let mut rest = &mut values[..];
        for panel in &panels {
            let (part, after) = rest.split_at_mut(taps * panel.ins * LANES);
            parts.push((*panel, part));
            rest = after;
        }
        parts.into_par_iter().for_each(|(panel, part)| fill(panel, taps, block, weights, part));
        Self { panels, starts, taps, block, values }
    }
}

fn fill(panel: Panel, taps: usize, block: usize, weights: &impl Weights, to: &mut [f32]) {
    let mut at = to.chunks_exact_mut(LANES);
    let (values, scale) = (weights.values(), weights.scale());
    for i0 in (0..panel.ins).step_by(block) {
        for t in 0..taps {
            let tap = weights.tap(t);
            for i in i0..panel.ins.min(i0 + block) {
                let Some(to) = at.next() else { return };
                let Lanes { first, count, base, stride } = weights.lanes(&panel, panel.in0 + i);
                if count < LANES {
                    to.fill(0.0);
                }
                let from = values[base + tap..].iter().step_by(stride);
                to[first..first + count].iter_mut().zip(from).for_each(|(to, value)| *to = *value);
                if !scale.is_empty() {
                    let scale = &scale[panel.out0 + first..];
                    to[first..first + count].iter_mut().zip(scale).for_each(|(to, by)| *to *= by);
                }
            }
        }
    }
}
