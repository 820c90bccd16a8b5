//! The segments before the scan.

use std::ops::Range;
use std::sync::Arc;

use super::huffman::Table;

/// What the segments say.
pub(super) struct Frame {
    pub width: usize,
    pub height: usize,
    pub components: Vec<Component>,
    /// How many units lie between restart markers; 0 where there are none.
    pub restart: usize,
    /// Where the EXIF data lie.
    pub exif: Option<Range<usize>>,
    /// Where the scan begins.
    pub scan: usize,
    pub dc: [Option<Arc<Table>>; 4],
    pub ac: [Option<Arc<Table>>; 4],
}

/// One colour of a frame.
pub(super) struct Component {
    id: u8,
    /// Blocks across and down in each unit.
    pub across: usize,
    pub down: usize,
    quantizer: usize,
    /// What coefficients are multiplied with, in zigzag order.
    pub steps: [u16; 64],
    pub dc: usize,
    pub ac: usize,
}

struct Segments {
    quantizers: [Option<[u16; 64]>; 4],
    dc: [Option<Arc<Table>>; 4],
    ac: [Option<Arc<Table>>; 4],
    restart: usize,
    exif: Option<Range<usize>>,
    jfif: bool,
    adobe: Option<u8>,
    size: (usize, usize),
    components: Vec<Component>,
}

/// Reads the segments up to the scan; none when this is no common JPEG.
pub(super) fn read(bytes: &[u8]) -> Option<Frame> {
    let mut segments = Segments {
        quantizers: [None; 4],
        dc: [const { None }; 4],
        ac: [const { None }; 4],
        restart: 0,
        exif: None,
        jfif: false,
        adobe: None,
        size: (0, 0),
        components: Vec::new(),
    };
    if bytes.get(..2)? != [0xff, 0xd8] {
        return None;
    }
    let mut at = 2;
    loop {
        if *bytes.get(at)? != 0xff {
            return None;
        }
        while *bytes.get(at)? == 0xff {
            at += 1;
        }
        let code = bytes[at];
        let length = usize::from(u16::from_be_bytes(bytes.get(at + 1..at + 3)?.try_into().ok()?));
        let body = at + 3..at + 1 + length.max(2);
        let content = bytes.get(body.clone())?;
        at = body.end;
        match code {
            0xc0 | 0xc1 => segments.frame(content)?,
            0xc4 => segments.huffman(content)?,
            0xdb => segments.quantizer(content)?,
            0xdd => segments.restart = usize::from(u16::from_be_bytes(content.try_into().ok()?)),
            0xda => return segments.scan(content, at),
            0xe0 => segments.jfif |= content.starts_with(b"JFIF\0"),
            0xe1 if content.starts_with(b"Exif\0\0") && segments.exif.is_none() => {
                segments.exif = Some(body.start + 6..body.end);
            }
            0xee if content.starts_with(b"Adobe") => segments.adobe = Some(*content.get(11)?),
            0xe1..=0xef | 0xfe => {}
            _ => return None,
        }
    }
}

impl Segments {
    fn frame(&mut self, content: &[u8]) -> Option<()> {
        let &[8, h1, h0, w1, w0, count @ (1 | 3), ref rest @ ..] = content else { return None };
        if !self.components.is_empty() || rest.len() != 3 * usize::from(count) {
            return None;
        }
        self.size = (usize::from(u16::from_be_bytes([w1, w0])), usize::from(u16::from_be_bytes([h1, h0])));
        for &[id, factors, quantizer] in rest.as_chunks::<3>().0 {
            let (across, down) = (usize::from(factors >> 4), usize::from(factors & 15));
            let (quantizer, steps) = (usize::from(quantizer), [0; 64]);
            self.components.push(Component { id, across, down, quantizer, steps, dc: 0, ac: 0 });
        }
        (self.size.0 > 0 && self.size.1 > 0).then_some(())
    }

    fn quantizer(&mut self, mut content: &[u8]) -> Option<()> {
        while let [kind, rest @ ..] = content {
            let wide = kind >> 4;
            let length = 64 << wide.min(2);
            let (steps, rest) = rest.split_at_checked(length)?;
            let place = self.quantizers.get_mut(usize::from(kind & 15))?;
            *place = Some(match wide {
                0 => std::array::from_fn(|k| u16::from(steps[k])),
                1 => std::array::from_fn(|k| u16::from_be_bytes([steps[2 * k], steps[2 * k + 1]])),
                _ => return None,
            });
            content = rest;
        }
        Some(())
    }

    fn huffman(&mut self, mut content: &[u8]) -> Option<()> {
        while let [kind, rest @ ..] = content {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let total: usize = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(total)?;
            let place = usize::from(kind & 15);
            let tables = match kind >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return None,
            };
            *tables.get_mut(place)? = Some(Table::of(kind >> 4, counts, symbols)?);
            content = rest;
        }
        Some(())
    }

    fn scan(mut self, content: &[u8], at: usize) -> Option<Frame> {
        let count = self.components.len();
        let [stated, rest @ ..] = content else { return None };
        if count == 0 || usize::from(*stated) != count || rest.len() != 2 * count + 3 {
            return None;
        }
        let (tables, range) = rest.split_at(2 * count);
        if range != [0, 63, 0] {
            return None;
        }
        for (component, &[id, tables]) in self.components.iter_mut().zip(tables.as_chunks::<2>().0) {
            component.steps = (*self.quantizers.get(component.quantizer)?)?;
            (component.dc, component.ac) = (usize::from(tables >> 4), usize::from(tables & 15));
            let known = self.dc.get(component.dc)?.is_some() && self.ac.get(component.ac)?.is_some();
            if id != component.id || !known {
                return None;
            }
        }
        if !self.is_common() {
            return None;
        }
        Some(Frame {
            width: self.size.0,
            height: self.size.1,
            components: self.components,
            restart: self.restart,
            exif: self.exif,
            scan: at,
            dc: self.dc,
            ac: self.ac,
        })
    }

    /// Whether this is gray, or Y'CbCr with whole or halved colour. A scan of one component has no
    /// units of several blocks, whatever its factors say.
    fn is_common(&mut self) -> bool {
        match self.components.as_mut_slice() {
            [gray] => {
                (gray.across, gray.down) = (1, 1);
                true
            }
            [y, cb, cr] => {
                let halved = (1..=2).contains(&y.across) && (1..=2).contains(&y.down);
                let single = [cb.across, cb.down, cr.across, cr.down] == [1; 4];
                let rgb = match (self.jfif, self.adobe) {
                    (true, _) => false,
                    (false, Some(transform)) => transform != 1,
                    (false, None) => [y.id, cb.id, cr.id] == *b"RGB",
                };
                halved && single && !rgb
            }
            _ => false,
        }
    }
}
