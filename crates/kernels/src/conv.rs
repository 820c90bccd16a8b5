//! Two-dimensional convolution of channels-last maps: forward, and back to inputs and weights.
//!
//! No matrix of patches is ever made: tiles of output pixels read the taps where they lie. Linear
//! layers are convolutions of 1×1. Weights come and gradients go in torch's layout,
//! `[out, in / groups, kernel, kernel]`.

use std::sync::Arc;

use rayon::prelude::*;

use crate::buffer::{Buffer, Pool};
use crate::depthwise;
use crate::maps::{Maps, SLACK, Shared};
use crate::outer;
use crate::pack::{self, Lanes, Matrix, Panel, Weights};
use crate::simd::{Isa, LANES};
use crate::sweep::{self, Finish, Grid};

/// A convolution's shape; kernels, strides, padding and dilation are down and right, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv {
    /// Channels in.
    pub inputs: usize,
    /// Channels out.
    pub outputs: usize,
    /// The kernel's sides.
    pub kernel: [usize; 2],
    /// The kernel's steps.
    pub stride: [usize; 2],
    /// Zeros on each side.
    pub padding: [usize; 2],
    /// From one tap to the next.
    pub dilation: [usize; 2],
    /// Groups of channels that see only each other.
    pub groups: usize,
}

/// What follows a convolution while its results are at hand.
#[derive(Debug, Clone, Copy)]
pub struct Epilogue<'a> {
    /// Added to each output channel; empty for none.
    pub bias: &'a [f32],
    /// Added to each value: maps of the result's shape (halos may differ).
    pub add: Option<(&'a [f32], Maps)>,
    /// The least and the largest result: `[0, ∞]` is ReLU.
    pub clamp: [f32; 2],
}

impl Default for Epilogue<'_> {
    /// Nothing.
    fn default() -> Self {
        Self { bias: &[], add: None, clamp: [f32::NEG_INFINITY, f32::INFINITY] }
    }
}

/// Weights laid out for one direction of one convolution.
#[derive(Debug)]
pub struct Packed {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// One forward; backward one for each remainder of positions by the stride.
    Dense(Vec<(Remainder, Matrix)>),
    /// `[taps][channels]` instead.
    Depthwise(Vec<(Remainder, Buffer)>),
}

/// Positions with this remainder by the stride, and the taps that reach them.
#[derive(Debug, Clone)]
struct Remainder {
    origin: [usize; 2],
    /// The kernel's taps, and where each reads relative to the quotient.
    taps: Vec<([usize; 2], [isize; 2])>,
}

/// Torch's layout, scaled, seen from the outputs.
struct Forward<'a> {
    conv: &'a Conv,
    weight: &'a [f32],
    scale: &'a [f32],
}

impl Weights for Forward<'_> {
    fn lanes(&self, panel: &Panel, i: usize) -> Lanes {
        self.conv.outputs_of(panel, i)
    }

    fn tap(&self, t: usize) -> usize {
        t
    }

    fn values(&self) -> &[f32] {
        self.weight
    }

    fn scale(&self) -> &[f32] {
        self.scale
    }
}

/// The same seen from the inputs, with some of the taps.
struct Backward<'a> {
    conv: &'a Conv,
    weight: &'a [f32],
    taps: &'a [([usize; 2], [isize; 2])],
}

impl Weights for Backward<'_> {
    fn lanes(&self, panel: &Panel, o: usize) -> Lanes {
        let (outs, ins) = (self.conv.outputs / self.conv.groups, self.conv.inputs / self.conv.groups);
        let group = o / outs * ins;
        let first = group.max(panel.out0);
        let end = (group + ins).min(panel.out0 + panel.outs);
        Lanes {
            first: first - panel.out0,
            count: end - first,
            base: (o * ins + first - group) * self.conv.taps(),
            stride: self.conv.taps(),
        }
    }

    fn tap(&self, t: usize) -> usize {
        let [ky, kx] = self.taps[t].0;
        ky * self.conv.kernel[1] + kx
    }

    fn values(&self) -> &[f32] {
        self.weight
    }

    fn scale(&self) -> &[f32] {
        &[]
    }
}

impl Conv {
    /// A linear layer: 1×1, over pixels.
    pub fn linear(inputs: usize, outputs: usize) -> Self {
        Self { inputs, outputs, kernel: [1; 2], stride: [1; 2], padding: [0; 2], dilation: [1; 2], groups: 1 }
    }

    /// Values of the weights.
    pub fn weights(&self) -> usize {
        self.outputs * (self.inputs / self.groups) * self.taps()
    }

    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Where the weights from input `i` to the outputs of `panel` lie.
    fn outputs_of(&self, panel: &Panel, i: usize) -> Lanes {
        let (outs, ins) = (self.outputs / self.groups, self.inputs / self.groups);
        let group = i / ins * outs;
        let first = group.max(panel.out0);
        let end = (group + outs).min(panel.out0 + panel.outs);
        let stride = ins * self.taps();
        let base = first * stride + i % ins * self.taps();
        Lanes { first: first - panel.out0, count: end - first, base, stride }
    }

    /// Whether each output sees one input of its own.
    pub fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.inputs && self.inputs == self.outputs
    }

    /// The side that is left of `[h, w]`.
    pub fn output(&self, side: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|axis| {
            let reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            (side[axis] + 2 * self.padding[axis]).saturating_sub(reach) / self.stride[axis] + 1
        })
    }

    fn forward_grid(&self, size: [usize; 2]) -> Grid {
        let [kh, kw] = self.kernel;
        let tap = |ky: usize, kx: usize| {
            [(ky, 0), (kx, 1)]
                .map(|(k, axis)| (k * self.dilation[axis]) as isize - self.padding[axis] as isize)
        };
        Grid {
            size,
            origin: [0; 2],
            spread: [1; 2],
            step: self.stride,
            taps: (0..kh).flat_map(|ky| (0..kw).map(move |kx| tap(ky, kx))).collect(),
        }
    }

    /// Which taps reach the inputs whose position leaves which remainder by the stride.
    fn remainders(&self) -> Vec<Remainder> {
        let along = |axis: usize, r: usize| -> Vec<(usize, isize)> {
            let tap = |k: usize| {
                let way = (r + self.padding[axis]) as isize - (k * self.dilation[axis]) as isize;
                let stride = self.stride[axis] as isize;
                (way.rem_euclid(stride) == 0).then(|| (k, way.div_euclid(stride)))
            };
            let mut taps: Vec<(usize, isize)> = (0..self.kernel[axis]).filter_map(tap).collect();
            taps.sort_by_key(|&(_, offset)| offset);
            taps
        };
        let mut all = Vec::new();
        for ry in 0..self.stride[0] {
            for rx in 0..self.stride[1] {
                let columns = along(1, rx);
                let mut taps = Vec::new();
                for (ky, dy) in along(0, ry) {
                    taps.extend(columns.iter().map(|&(kx, dx)| ([ky, kx], [dy, dx])));
                }
                all.push(Remainder { origin: [ry, rx], taps });
            }
        }
        all
    }

    fn backward_grid(&self, remainder: &Remainder, inputs: [usize; 2]) -> Grid {
        let size = [0, 1]
            .map(|axis| inputs[axis].saturating_sub(remainder.origin[axis]).div_ceil(self.stride[axis]));
        let taps = remainder.taps.iter().map(|&(_, at)| at).collect();
        Grid { size, origin: remainder.origin, spread: self.stride, step: [1; 2], taps }
    }

    /// The halo that maps of `[h, w]` must have to be convolved.
    pub fn halo(&self, side: [usize; 2]) -> [usize; 2] {
        self.forward_grid(self.output(side)).halo(side[0], side[1])
    }

    /// The halo that the gradient of the result must have to be taken back to inputs of `[h, w]`.
    pub fn gradient_halo(&self, side: [usize; 2]) -> [usize; 2] {
        let out = self.output(side);
        let mut most = [0; 2];
        for remainder in self.remainders() {
            let halo = self.backward_grid(&remainder, side).halo(out[0], out[1]);
            most = [most[0].max(halo[0]), most[1].max(halo[1])];
        }
        most
    }

    /// Weights in torch's layout for [`forward`](Conv::forward), each output's times its `scale`
    /// (empty for none).
    pub fn pack(&self, weight: &[f32], scale: &[f32], pool: &Arc<Pool>) -> Packed {
        assert_eq!(weight.len(), self.weights(), "weights of another shape");
        let weights = Forward { conv: self, weight, scale };
        let whole = Remainder { origin: [0; 2], taps: Vec::new() };
        Packed {
            kind: if self.is_depthwise() {
                let value = |c: usize, t: usize| {
                    let scale = scale.get(c).copied().unwrap_or(1.0);
                    weight[c * self.taps() + t] * scale
                };
                Kind::Depthwise(vec![(whole, depthwise::pack(self.inputs, self.taps(), value, pool))])
            } else {
                let panels = pack::panels(self.outputs, self.inputs, self.groups);
                Kind::Dense(vec![(whole, Matrix::new(panels, self.taps(), &weights, pool))])
            },
        }
    }

    /// Weights in torch's layout for [`backward`](Conv::backward).
    pub fn pack_backward(&self, weight: &[f32], pool: &Arc<Pool>) -> Packed {
        assert_eq!(weight.len(), self.weights(), "weights of another shape");
        let lanes = |remainder: Remainder| {
            let weights = Backward { conv: self, weight, taps: &remainder.taps };
            let value = |c: usize, t: usize| weight[c * self.taps() + weights.tap(t)];
            let packed = depthwise::pack(self.inputs, remainder.taps.len(), value, pool);
            (remainder, packed)
        };
        let matrix = |remainder: Remainder| {
            let weights = Backward { conv: self, weight, taps: &remainder.taps };
            let panels = pack::panels(self.inputs, self.outputs, self.groups);
            let packed = Matrix::new(panels, remainder.taps.len(), &weights, pool);
            (remainder, packed)
        };
        let all = self.remainders().into_iter();
        let kind = if self.is_depthwise() {
            Kind::Depthwise(all.map(lanes).collect())
        } else {
            Kind::Dense(all.map(matrix).collect())
        };
        Packed { kind }
    }

    /// Convolves `xs` into `ys`.
    pub fn forward(
        &self,
        (src, xs): (Maps, &[f32]),
        packed: &Packed,
        (dst, ys): (Maps, &mut [f32]),
        epilogue: &Epilogue<'_>,
    ) {
        self.forward_on(Isa::here(), (src, xs), packed, (dst, ys), epilogue);
    }

    /// [`forward`](Conv::forward) with these instructions.
    pub fn forward_on(
        &self,
        isa: Isa,
        (src, xs): (Maps, &[f32]),
        packed: &Packed,
        (dst, ys): (Maps, &mut [f32]),
        epilogue: &Epilogue<'_>,
    ) {
        assert_eq!([src.c, dst.c], [self.inputs, self.outputs], "channels of another layer");
        assert_eq!([dst.h, dst.w], self.output([src.h, src.w]), "maps of another size");
        let mut bias = epilogue.bias.to_vec();
        if !bias.is_empty() {
            bias.resize(self.outputs + LANES, 0.0);
        }
        let finish = Finish { bias: &bias, add: epilogue.add, onto: false, clamp: epilogue.clamp };
        let grid = self.forward_grid([dst.h, dst.w]);
        match &packed.kind {
            Kind::Depthwise(all) => {
                depthwise::sweep(isa, &grid, (src, xs), (dst, ys), &all[0].1, finish);
            }
            Kind::Dense(all) => sweep::sweep(isa, &grid, (src, xs), (dst, ys), &all[0].1, finish),
        }
    }

    /// Takes the gradient of the result back to the inputs; with `onto`, adds it there.
    pub fn backward(
        &self,
        (dst, dys): (Maps, &[f32]),
        packed: &Packed,
        (src, dxs): (Maps, &mut [f32]),
        onto: bool,
    ) {
        self.backward_on(Isa::here(), (dst, dys), packed, (src, dxs), onto);
    }

    /// [`backward`](Conv::backward) with these instructions.
    pub fn backward_on(
        &self,
        isa: Isa,
        (dst, dys): (Maps, &[f32]),
        packed: &Packed,
        (src, dxs): (Maps, &mut [f32]),
        onto: bool,
    ) {
        assert_eq!([src.c, dst.c], [self.inputs, self.outputs], "channels of another layer");
        assert_eq!([dst.h, dst.w], self.output([src.h, src.w]), "maps of another size");
        let finish = Finish { bias: &[], add: None, onto, clamp: [f32::NEG_INFINITY, f32::INFINITY] };
        let grid = |remainder: &Remainder| {
            let grid = self.backward_grid(remainder, [src.h, src.w]);
            (!grid.size.contains(&0)).then_some(grid)
        };
        match &packed.kind {
            Kind::Depthwise(all) => {
                for (remainder, weights) in all {
                    let Some(grid) = grid(remainder) else { continue };
                    depthwise::sweep(isa, &grid, (dst, dys), (src, dxs), weights, finish);
                }
            }
            Kind::Dense(all) => {
                for (remainder, matrix) in all {
                    let Some(grid) = grid(remainder) else { continue };
                    sweep::sweep(isa, &grid, (dst, dys), (src, dxs), matrix, finish);
                }
            }
        }
    }

    /// The gradient of the weights in torch's layout.
    pub fn gradient(
        &self,
        (src, xs): (Maps, &[f32]),
        (dst, dys): (Maps, &[f32]),
        gradient: &mut [f32],
        pool: &Arc<Pool>,
    ) {
        self.gradient_on(Isa::here(), (src, xs), (dst, dys), gradient, pool);
    }

    /// [`gradient`](Conv::gradient) with these instructions.
    pub fn gradient_on(
        &self,
        isa: Isa,
        (src, xs): (Maps, &[f32]),
        (dst, dys): (Maps, &[f32]),
        gradient: &mut [f32],
        pool: &Arc<Pool>,
    ) {
        assert_eq!([src.c, dst.c], [self.inputs, self.outputs], "channels of another layer");
        assert_eq!([dst.h, dst.w], self.output([src.h, src.w]), "maps of another size");
        assert_eq!(gradient.len(), self.weights(), "weights of another shape");
        let grid = self.forward_grid([dst.h, dst.w]);
        if self.is_depthwise() {
            let rows = self.kernel[0];
            return depthwise::gradient(isa, &grid, rows, (src, xs), (dst, dys), gradient);
        }
        let panels = pack::panels(self.outputs, self.inputs, self.groups);
        let sums = outer::sums(isa, &grid, (src, xs), (dst, dys), &panels, pool);
        let (taps, all) = (self.taps(), gradient.len());
        let to = Shared(gradient.as_mut_ptr());
        panels.par_iter().zip(&sums.starts).for_each(|(panel, &start)| {
            for i in panel.in0..panel.in0 + panel.ins {
                let Lanes { first, count, base, stride } = self.outputs_of(panel, i);
                assert!(base + (count - 1) * stride + taps <= all, "inside the gradient");
                for t in 0..taps {
                    let at = start + (t * panel.ins + i - panel.in0) * LANES;
                    let mut lanes = [0.0; LANES];
                    for part in &sums.parts {
                        lanes.iter_mut().zip(&part[at..at + LANES]).for_each(|(sum, x)| *sum += x);
                    }
                    for (k, value) in lanes[first..first + count].iter().enumerate() {
                        // SAFETY: inside, as was asserted, and a panel has its outputs alone.
                        unsafe { *to.get().add(base + k * stride + t) = *value };
                    }
                }
            }
        });
    }
}

/// The gradient of a bias: the sum of `dys` over pixels, in a fixed order.
pub fn bias_gradient((dst, dys): (Maps, &[f32]), gradient: &mut [f32]) {
    assert!(gradient.len() == dst.c && dys.len() + SLACK > dst.image() * dst.n);
    let of_image = |n: usize| {
        let mut sums = vec![0.0_f64; dst.c];
        for y in 0..dst.h {
            let mut row = vec![0.0_f32; dst.c];
            for pixel in dys[dst.row_range(n, y)].chunks_exact(dst.c) {
                row.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += x);
            }
            sums.iter_mut().zip(&row).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        sums
    };
    let images: Vec<Vec<f64>> = (0..dst.n).into_par_iter().map(of_image).collect();
    for (c, out) in gradient.iter_mut().enumerate() {
        *out = images.iter().map(|sums| sums[c]).sum::<f64>() as f32;
    }
}
