//! Pictures inside the page: PNG files as `data:` addresses, and never more than a budget.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How many bytes of pictures the page may still take.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    left: usize,
    refused: usize,
}

impl Budget {
    /// Room for `bytes` of encoded pictures.
    pub fn new(bytes: usize) -> Self {
        Self { left: bytes, refused: 0 }
    }

    /// The address of `png`; none when it isn't a PNG file or there is no room for it.
    pub fn take(&mut self, png: &[u8]) -> Option<String> {
        if !png.starts_with(b"\x89PNG\r\n\x1a\n") {
            return None;
        }
        let bytes = png.len().div_ceil(3) * 4;
        if bytes > self.left {
            self.refused += 1;
            return None;
        }
        self.left -= bytes;
        Some(format!("data:image/png;base64,{}", STANDARD.encode(png)))
    }

    /// How many pictures there was no room for.
    pub fn refused(&self) -> usize {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_beyond_the_budget_are_left_out_and_counted() {
        let png = b"\x89PNG\r\n\x1a\nrest";
        let mut budget = Budget::new(20);
        assert_eq!(budget.take(png).as_deref(), Some("data:image/png;base64,iVBORw0KGgpyZXN0"));
        assert_eq!(budget.take(png), None);
        assert_eq!(budget.refused(), 1);
        assert_eq!(budget.take(b"<svg onload=alert(1)>"), None);
        assert_eq!(budget.refused(), 1);
    }
}
