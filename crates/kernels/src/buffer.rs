//! Memory that is used again from step to step.
//!
//! The system clears fresh memory page by page, which costs as much as a pass over the values. A
//! [`Pool`] keeps what was given back, as long as free and used memory are not more than twice
//! what was ever in use at once.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// A cache line; buffers begin at one, so that whole vectors never straddle two.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// Free buffers.
#[derive(Debug, Default)]
pub struct Pool {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    free: Vec<Vec<Line>>,
    free_lines: usize,
    used_lines: usize,
    most_used: usize,
}

/// Values in memory of a [`Pool`], to which they return when dropped. What they hold at first is
/// unspecified.
#[derive(Debug)]
pub struct Buffer {
    lines: Vec<Line>,
    len: usize,
    pool: Arc<Pool>,
}

impl Pool {
    /// A buffer of `len` values.
    pub fn take(self: &Arc<Self>, len: usize) -> Buffer {
        let need = len.div_ceil(16);
        let found = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.take(need)
        };
        let lines = found.unwrap_or_else(|| vec![Line([0.0; 16]); need]);
        Buffer { lines, len, pool: Arc::clone(self) }
    }

    /// The same, all zero.
    pub fn zeros(self: &Arc<Self>, len: usize) -> Buffer {
        let mut buffer = self.take(len);
        buffer.fill(0.0);
        buffer
    }
}

impl State {
    /// The smallest free buffer of at least `need` lines that wastes at most a half.
    fn take(&mut self, need: usize) -> Option<Vec<Line>> {
        let fits = |lines: &Vec<Line>| lines.len() >= need && lines.len() <= need.saturating_mul(2).max(64);
        let fitting = self.free.iter().enumerate().filter(|(_, lines)| fits(lines));
        let best = fitting.min_by_key(|(_, lines)| lines.len()).map(|(index, _)| index);
        let lines = best.map(|index| self.free.swap_remove(index));
        self.free_lines -= lines.as_ref().map_or(0, Vec::len);
        self.used_lines += lines.as_ref().map_or(need, Vec::len);
        self.most_used = self.most_used.max(self.used_lines);
        lines
    }

    fn give(&mut self, lines: Vec<Line>) {
        self.used_lines -= lines.len();
        self.free_lines += lines.len();
        self.free.push(lines);
        // What fits nothing any more goes, oldest first.
        while self.free_lines + self.used_lines > 2 * self.most_used {
            self.free_lines -= self.free.remove(0).len();
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        self.pool.state.lock().unwrap_or_else(PoisonError::into_inner).give(lines);
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: a line is sixteen values without gaps, and there are `len.div_ceil(16)` lines.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast::<f32>(), self.len) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and the borrow is unique.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast::<f32>(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_what_was_never_needed_at_once_is_not_kept() {
        let pool = Arc::new(Pool::default());
        let first = pool.take(1000);
        let at = first.as_ptr();
        drop(first);
        let again = pool.take(990);
        assert_eq!(again.as_ptr(), at);
        assert_eq!(again.as_ptr() as usize % 64, 0);
        drop(again);
        for k in 1..50 {
            drop(pool.take(1000 * k));
        }
        let state = pool.state.lock().unwrap();
        assert!(state.free_lines <= 63 * 50 * 2 && state.used_lines == 0, "{}", state.free_lines);
    }
}
