//! Maps made larger.

use burn::tensor::{Int, Tensor};

use super::{Batch, Given, Layer};
use crate::graph::Shape;

/// Maps brought to the size of others by repeating pixels; `torch.nn.functional.interpolate` with
/// `mode="nearest"`: pixel i of n is pixel ⌊i·m/n⌋ of m.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enlarge {
    /// Height and width after it in pixels.
    pub size: [usize; 2],
}

impl Layer for Enlarge {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        let [channels, _, _] = inputs.first()?.map()?;
        Some(Shape::Map { channels, height: self.size[0], width: self.size[1] })
    }

    fn forward(&self, mut inputs: Vec<Batch>, _: &Given<'_>) -> Batch {
        let x = inputs.remove(0).map();
        let [_, _, h, w] = x.dims();
        let device = x.device();
        let places = |from: usize, to: usize| {
            let places: Vec<i64> = (0..to).map(|i| (i * from / to) as i64).collect();
            Tensor::<1, Int>::from_data(places.as_slice(), &device)
        };
        Batch::Map(x.select(2, places(h, self.size[0])).select(3, places(w, self.size[1])))
    }
}
