//! Counter-based randomness: every draw is a function of a key, never of an order.
//!
//! A [`Seed`] is a 64-bit key. [`Seed::with`] derives another key from it and a word or a number,
//! so `seed.with("rotate").with(epoch).with(sample)` names one draw for ever, whatever thread
//! makes it and whatever was drawn before. [`Draws`] is a short stream below one such key.

use serde::{Deserialize, Serialize};

/// A key of the counter-based generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Seed(pub u64);

/// What a seed can be combined with: words and whole numbers.
pub trait SeedPart {
    /// The part as 64 bits.
    fn bits(&self) -> u64;
}

impl SeedPart for &str {
    /// FNV-1a, then mixed: stable across versions and platforms.
    fn bits(&self) -> u64 {
        let fnv = self.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        mix(fnv ^ 0x9e37_79b9_7f4a_7c15)
    }
}

impl SeedPart for u64 {
    fn bits(&self) -> u64 {
        *self
    }
}

impl SeedPart for u32 {
    fn bits(&self) -> u64 {
        u64::from(*self)
    }
}

impl SeedPart for usize {
    fn bits(&self) -> u64 {
        *self as u64
    }
}

impl Seed {
    /// The key derived from this one and `part`.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "parts are words and numbers")]
    pub fn with(self, part: impl SeedPart) -> Self {
        Self(mix(self.0.rotate_left(23) ^ mix(part.bits().wrapping_add(0x9e37_79b9_7f4a_7c15))))
    }

    /// The stream of draws below this key.
    pub fn draws(self) -> Draws {
        Draws { key: self.0, counter: 0 }
    }

    /// The single draw of this key, uniform in [0, 1).
    pub fn uniform(self) -> f64 {
        self.draws().uniform()
    }

    /// The numbers `0..n` in an order decided by this key (Fisher–Yates).
    pub fn shuffled(self, n: usize) -> Vec<usize> {
        let mut draws = self.draws();
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, draws.below(i + 1));
        }
        order
    }
}

/// A stream of draws below one key: `SplitMix64` on a counter.
#[derive(Debug, Clone)]
pub struct Draws {
    key: u64,
    counter: u64,
}

impl Draws {
    /// 64 uniform bits.
    pub fn bits(&mut self) -> u64 {
        self.counter += 1;
        mix(self.key.wrapping_add(self.counter.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// Uniform in [0, 1), with 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Uniform in [low, high).
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform in `0..n` (Lemire's multiplication, bias below 2⁻⁶⁴·n); 0 when `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// Standard normal (Box–Muller; one of the pair).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Gamma(`shape`, 1) (Marsaglia and Tsang 2000; boosted below shape 1).
    pub fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let boost = (1.0 - self.uniform()).powf(1.0 / shape);
            return self.gamma(shape + 1.0) * boost;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && (1.0 - self.uniform()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    /// Beta(`a`, `b`), as a ratio of gammas; 0.5 when both gammas underflow.
    pub fn beta(&mut self, a: f64, b: f64) -> f64 {
        let (x, y) = (self.gamma(a), self.gamma(b));
        if x + y > 0.0 { x / (x + y) } else { 0.5 }
    }
}

/// `SplitMix64`'s finalizer (Steele, Lea, Flood 2014), a bijection of 64 bits.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_its_key_alone() {
        let seed = Seed(17);
        let late = seed.with("rotate").with(3_u64).with(9_u64).uniform();
        let _ = seed.with("flip").uniform();
        assert_eq!(late, seed.with("rotate").with(3_u64).with(9_u64).uniform());
        assert_ne!(late, seed.with("rotate").with(9_u64).with(3_u64).uniform());
    }

    #[test]
    fn uniform_draws_have_the_uniforms_mean_and_variance() {
        let mut draws = Seed(1).draws();
        let x: Vec<f64> = (0..100_000).map(|_| draws.uniform()).collect();
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / x.len() as f64;
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
        assert!((variance - 1.0 / 12.0).abs() < 0.002, "{variance}");
    }

    #[test]
    fn normal_gamma_and_beta_have_their_means() {
        let mut draws = Seed(2).draws();
        let n = 50_000;
        let mean = |f: &mut dyn FnMut() -> f64| (0..n).map(|_| f()).sum::<f64>() / f64::from(n);
        assert!(mean(&mut || draws.normal()).abs() < 0.02);
        assert!((mean(&mut || draws.gamma(2.5)) - 2.5).abs() < 0.04);
        assert!((mean(&mut || draws.gamma(0.3)) - 0.3).abs() < 0.02);
        assert!((mean(&mut || draws.beta(2.0, 6.0)) - 0.25).abs() < 0.01);
    }

    #[test]
    fn a_shuffle_is_a_permutation() {
        let mut order = Seed(3).shuffled(1000);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
    }
}
