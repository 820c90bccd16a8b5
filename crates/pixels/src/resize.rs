//! Antialiased resizing. Here, because the resizer's inner loops are generic and are built as the
//! crate that calls them is.

use std::cell::RefCell;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

/// How pixels are interpolated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// The nearest pixel.
    Nearest,
    /// Linear.
    Bilinear,
    /// Cubic (Catmull–Rom).
    Bicubic,
    /// Lanczos of radius 3.
    Lanczos,
}

thread_local! {
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

/// All, or the `[left, top, width, height]` part, of a picture of `size` (width, height) and one or three
/// `channels`, at the size `to`.
///
/// # Errors
/// When a size is 0 or the pixels don't fit it.
pub fn resize(
    pixels: &[u8],
    channels: u8,
    size: (u32, u32),
    part: Option<[f64; 4]>,
    to: (u32, u32),
    kernel: Kernel,
) -> Result<Vec<u8>, String> {
    let whole = (f64::from(size.0), f64::from(size.1));
    let [left, top, width, height] = part.unwrap_or([0.0, 0.0, whole.0, whole.1]);
    if left == 0.0 && top == 0.0 && width > whole.0 - 1.0 && height > whole.1 - 1.0 {
        return pass(pixels, channels, size, part, to, kernel);
    }
    // Between its two passes the resizer (fast_image_resize 6.1.0) keeps no more than from the first pixel
    // of the first output to the last pixel of the last one. Within a picture outputs between them can
    // reach further, and it would read beyond its memory. So columns first, as Pillow does, then rows.
    let across = Some([left, 0.0, width, f64::from(size.1)]);
    let columns = pass(pixels, channels, size, across, (to.0, size.1), kernel)?;
    let down = Some([0.0, top, f64::from(to.0), height]);
    pass(&columns, channels, (to.0, size.1), down, to, kernel)
}

fn pass(
    pixels: &[u8],
    channels: u8,
    size: (u32, u32),
    part: Option<[f64; 4]>,
    to: (u32, u32),
    kernel: Kernel,
) -> Result<Vec<u8>, String> {
    let algorithm = match kernel {
        Kernel::Nearest => ResizeAlg::Nearest,
        Kernel::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
        Kernel::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
        Kernel::Lanczos => ResizeAlg::Convolution(FilterType::Lanczos3),
    };
    let mut options = ResizeOptions::new().resize_alg(algorithm).use_alpha(false);
    if let Some([left, top, width, height]) = part {
        options = options.crop(left, top, width, height);
    }
    // The resizer's other entry, which looks the type of pixels up, would compile it for all 16.
    let typed = if channels == 1 { typed::<U8> } else { typed::<U8x3> };
    let mut target = vec![0; to.0 as usize * to.1 as usize * usize::from(channels)];
    typed(pixels, size, &mut target, to, &options)?;
    Ok(target)
}

fn typed<P: PixelTrait>(
    pixels: &[u8],
    size: (u32, u32),
    target: &mut [u8],
    to: (u32, u32),
    options: &ResizeOptions,
) -> Result<(), String> {
    let source =
        TypedImageRef::<P>::from_buffer(size.0, size.1, pixels).map_err(|error| error.to_string())?;
    let mut target = TypedImage::<P>::from_buffer(to.0, to.1, target).map_err(|error| error.to_string())?;
    // The resizer keeps its buffers; one that is in use further up this thread's stack (rayon can
    // run one piece of work inside another) is left alone.
    RESIZER
        .with(|resizer| match resizer.try_borrow_mut() {
            Ok(mut resizer) => resizer.resize_typed(&source, &mut target, options),
            Err(_) => Resizer::new().resize_typed(&source, &mut target, options),
        })
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The middle of a picture of every shape, as `mode: crop` takes it: a plain picture stays plain,
    /// and no byte beyond the resizer's memory is read (it did, for some fractions of a pixel).
    #[test]
    fn any_middle_part_of_a_plain_picture_is_plain() {
        let kernels = [Kernel::Nearest, Kernel::Bilinear, Kernel::Bicubic, Kernel::Lanczos];
        for (width, height) in (1..=48).flat_map(|width| (1..=48).map(move |height| (width, height))) {
            let pixels = vec![77; width as usize * height as usize * 3];
            for (to, kernel) in [(1, 7), (5, 3), (32, 32)].into_iter().flat_map(|to| kernels.map(|k| (to, k)))
            {
                let (w, h) = (f64::from(width), f64::from(height));
                let ratio = (w / f64::from(to.0)).min(h / f64::from(to.1));
                let (across, down) = (ratio * f64::from(to.0), ratio * f64::from(to.1));
                let part = Some([(w - across) / 2.0, (h - down) / 2.0, across, down]);
                let resized = resize(&pixels, 3, (width, height), part, to, kernel).unwrap();
                assert!(resized.iter().all(|value| *value == 77), "{width}×{height} to {to:?}, {kernel:?}");
            }
        }
    }
}
