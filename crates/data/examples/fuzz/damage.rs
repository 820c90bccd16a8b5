//! Files damaged at random, and on purpose where their lengths lie.

use peregrine_pipeline::Draws;

use crate::seeds::{Kind, Sample};

/// One of `seeds`, damaged: mostly an image, of every eight one archive or table.
pub fn damaged(seeds: &[Sample], draws: &mut Draws) -> Sample {
    let image = draws.below(8) > 0;
    let fitting: Vec<&Sample> = seeds.iter().filter(|seed| (seed.kind == Kind::Image) == image).collect();
    let Sample { kind, bytes: mut file } = fitting[draws.below(fitting.len())].clone();
    for _ in 0..=draws.below(4) {
        if file.is_empty() {
            break;
        }
        let at = draws.below(file.len());
        let length = (1 + draws.below(64)).min(file.len() - at);
        match draws.below(12) {
            0 | 1 => file[at] ^= 1 << draws.below(8),
            2 => file[at] = draws.below(256) as u8,
            3 => file[at] = [0, 1, 0x7f, 0x80, 0xfe, 0xff][draws.below(6)],
            4 => file.truncate(at),
            5 => drop(file.drain(at..at + length)),
            6 => {
                let copy = file[at..at + length].to_vec();
                file.splice(at..at, copy);
            }
            7 => {
                let other = &fitting[draws.below(fitting.len())].bytes;
                let from = draws.below(other.len());
                let to = (from + 1 + draws.below(256)).min(other.len());
                file.splice(at..at + length, other[from..to].iter().copied());
            }
            8 => {
                // The head, where sizes are.
                let at = draws.below(file.len().min(64));
                file[at] = draws.below(256) as u8;
            }
            _ => lie_about_a_length(&mut file, draws),
        }
    }
    if draws.below(2) == 0 {
        mend_checksums(&mut file);
        mend_tar(&mut file);
    }
    Sample { kind, bytes: file }
}

/// Where the lengths of segments or chunks lie in a file, and of how many bytes they are.
fn lengths(file: &[u8]) -> (Vec<usize>, usize) {
    let mut places = Vec::new();
    if file.starts_with(b"\xff\xd8") {
        let mut at = 2;
        while let Some(&[0xff, code, a, b]) = file.get(at..at + 4) {
            // Sizes, tables and factors lie behind the length.
            places.extend([at + 2, at + 4, at + 6, at + 8, at + 10]);
            if code == 0xda {
                break;
            }
            at += 2 + usize::from(u16::from_be_bytes([a, b]));
        }
        (places, 2)
    } else if file.starts_with(b"\x89PNG") || file.starts_with(b"RIFF") {
        let png = file[0] == 0x89;
        let mut at = if png { 8 } else { 12 };
        while let Some(&[a, b, c, d, e, f, g, h]) = file.get(at..at + 8) {
            let length =
                if png { u32::from_be_bytes([a, b, c, d]) } else { u32::from_le_bytes([e, f, g, h]) };
            places.extend(if png { [at, at + 8, at + 12] } else { [at + 4, at + 8, at + 12] });
            let length = length as usize;
            at = at.saturating_add(length).saturating_add(if png { 12 } else { 8 + length % 2 });
        }
        (places, 4)
    } else if file.starts_with(b"PAR1") {
        // The head of the first page, and the footer's length and first fields.
        let footer = file.len().saturating_sub(9 + file.len().min(200))..file.len();
        ((4..file.len().min(40)).chain(footer).collect(), 1)
    } else {
        ((0..file.len().saturating_sub(4).min(120)).step_by(2).collect(), 4)
    }
}

fn lie_about_a_length(file: &mut [u8], draws: &mut Draws) {
    let (places, bytes) = lengths(file);
    if places.is_empty() {
        return;
    }
    let at = places[draws.below(places.len())];
    let Some(place) = file.get_mut(at..at + bytes) else { return };
    match draws.below(5) {
        0 => place.fill(0xff),
        1 => place.fill(0),
        2 => place[0] = 0x7f,
        3 => place[bytes - 1] = place[bytes - 1].wrapping_add(1),
        _ => place.iter_mut().for_each(|byte| *byte = draws.below(256) as u8),
    }
}

fn mend_checksums(file: &mut [u8]) {
    if !file.starts_with(b"\x89PNG") {
        return;
    }
    let mut at = 8;
    while let Some(&[a, b, c, d]) = file.get(at..at + 4) {
        let end = at.saturating_add(8).saturating_add(u32::from_be_bytes([a, b, c, d]) as usize);
        let Some(content) = file.get(at + 4..end) else { return };
        let mut sum = flate2::Crc::new();
        sum.update(content);
        let sum = sum.sum().to_be_bytes();
        let Some(place) = file.get_mut(end..end + 4) else { return };
        place.copy_from_slice(&sum);
        at = end + 4;
    }
}

/// The sums in the heads of a tar archive.
fn mend_tar(file: &mut [u8]) {
    for block in file.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    }
}
