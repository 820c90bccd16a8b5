//! The eight ways to lay a square picture.

use super::integral::SIDE;

/// One of the eight ways to lay a square: first its diagonal mirrored, then left and right, then top
/// and bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turn(pub u8);

impl Turn {
    /// Whether left and right change places.
    pub fn mirrored(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether top and bottom change places.
    pub fn flipped(self) -> bool {
        self.0 & 2 != 0
    }

    /// Whether rows become columns.
    pub fn transposed(self) -> bool {
        self.0 & 4 != 0
    }

    /// Whether it needs no mirror: only turned by a multiple of 90°.
    pub fn turns_only(self) -> bool {
        self.0.count_ones().is_multiple_of(2)
    }

    /// The ways that `flips` and `rotations` allow.
    pub fn allowed(flips: bool, rotations: bool) -> Vec<Self> {
        let allow = |turn: &Self| match (flips, rotations) {
            (true, true) => true,
            (false, true) => turn.turns_only(),
            // A mirror at one axis, and no diagonal.
            (true, false) => turn.0 < 3,
            (false, false) => turn.0 == 0,
        };
        (0..8).map(Self).filter(allow).collect()
    }

    /// The picture `small`, [`SIDE`]×[`SIDE`] bytes, turned.
    #[inline(always)]
    pub(super) fn apply(self, small: &[[u8; SIDE]; SIDE]) -> [[u8; SIDE]; SIDE] {
        let mut turned = if self.transposed() { transpose(small) } else { *small };
        if self.mirrored() {
            turned.iter_mut().for_each(|row| row.reverse());
        }
        if self.flipped() {
            turned.reverse();
        }
        turned
    }
}

/// Rows as columns, by parts of 8×8.
#[inline(always)]
fn transpose(small: &[[u8; SIDE]; SIDE]) -> [[u8; SIDE]; SIDE] {
    const PARTS: usize = SIDE / 8;
    let mut turned = [[0; SIDE]; SIDE];
    for y in 0..PARTS {
        for x in 0..PARTS {
            let mut part: [u64; 8] =
                std::array::from_fn(|row| u64::from_le_bytes(small[8 * y + row].as_chunks().0[x]));
            // Swap the halves of rows, of halves, of quarters.
            for (step, shift, mask) in
                [(4, 32, 0xFFFF_FFFF_u64), (2, 16, 0x0000_FFFF_0000_FFFF), (1, 8, 0x00FF_00FF_00FF_00FF)]
            {
                for row in (0..8).filter(|row| row & step == 0) {
                    let swap = ((part[row] >> shift) ^ part[row + step]) & mask;
                    part[row] ^= swap << shift;
                    part[row + step] ^= swap;
                }
            }
            for (row, part) in part.iter().enumerate() {
                turned[8 * x + row].as_chunks_mut().0[y] = part.to_le_bytes();
            }
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turned_picture_has_every_pixel_where_the_turn_says() {
        let picture: [[u8; SIDE]; SIDE] =
            std::array::from_fn(|y| std::array::from_fn(|x| (7 * y + 31 * x + y * x % 5) as u8));
        for turn in Turn::allowed(true, true) {
            let turned = turn.apply(&picture);
            for (y, row) in turned.iter().enumerate() {
                for (x, &pixel) in row.iter().enumerate() {
                    let y = if turn.flipped() { SIDE - 1 - y } else { y };
                    let x = if turn.mirrored() { SIDE - 1 - x } else { x };
                    let expected = if turn.transposed() { picture[x][y] } else { picture[y][x] };
                    assert_eq!(pixel, expected, "{turn:?}");
                }
            }
        }
    }

    #[test]
    fn without_flips_and_rotations_fewer_ways_to_lay_a_picture_are_tried() {
        let count = |flips, rotations| Turn::allowed(flips, rotations).len();
        assert_eq!(
            [count(true, true), count(false, true), count(true, false), count(false, false)],
            [8, 4, 3, 1]
        );
        // Turned by 180°: left and right, then top and bottom.
        assert!(Turn::allowed(false, true).contains(&Turn(3)));
    }
}
