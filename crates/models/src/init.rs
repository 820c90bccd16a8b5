//! First weights: uniform, normal, Xavier and He draws with PyTorch's formulae, keyed by seed and
//! parameter name.
//!
//! Draws are made on the host, so a model starts from the same bits on every device.

use peregrine_pipeline::Seed;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the weights of convolutions and linear layers are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// As `torch.nn.Conv2d` and `torch.nn.Linear`: uniform in ±1/√fan_in, biases too.
    #[default]
    Torch,
    /// Uniform in ±0.05; biases 0.
    Uniform,
    /// Normal with deviation 0.01; biases 0.
    Normal,
    /// Glorot and Bengio 2010: uniform in ±√(6 / (fan_in + fan_out)); biases 0.
    XavierUniform,
    /// Glorot and Bengio 2010: normal with deviation √(2 / (fan_in + fan_out)); biases 0.
    XavierNormal,
    /// He et al. 2015: uniform in ±√(6 / fan_in); biases 0.
    HeUniform,
    /// He et al. 2015: normal with deviation √(2 / fan_in); biases 0.
    HeNormal,
    /// He et al. 2015, backward form, as torchvision's `ResNet`: normal with deviation
    /// √(2 / fan_out); biases 0.
    HeNormalFanOut,
    /// Normal with deviation 0.02, draws beyond two deviations drawn again; biases 0. As timm's
    /// vision transformers.
    TruncatedNormal,
}

/// Inputs and outputs of one unit of a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fan {
    /// Values each output is summed over.
    pub fan_in: usize,
    /// Values each input goes to.
    pub fan_out: usize,
}

impl Fan {
    /// The fan of a weight of `shape`: `[out, in, …kernel]`.
    pub fn of(shape: &[usize]) -> Self {
        let kernel: usize = shape.iter().skip(2).product();
        let [out, inputs] = [0, 1].map(|i| shape.get(i).copied().unwrap_or(1));
        Self { fan_in: inputs * kernel, fan_out: out * kernel }
    }
}

/// A distribution with mean 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Distribution {
    /// All zeros.
    Zero,
    /// All this value; not with mean 0, for scales and running variances.
    Constant(f64),
    /// Uniform in ±bound.
    Uniform(f64),
    /// Normal with this standard deviation.
    Normal(f64),
    /// Normal with this standard deviation, draws beyond two of them drawn again.
    TruncatedNormal(f64),
}

/// The variance of a standard normal cut at ±2: 1 − 4φ(2) / (2Φ(2) − 1).
const TRUNCATED_VARIANCE: f64 = 0.773_741_3;

impl Distribution {
    /// The variance of one draw.
    pub fn variance(self) -> f64 {
        match self {
            Self::Zero | Self::Constant(_) => 0.0,
            Self::TruncatedNormal(deviation) => TRUNCATED_VARIANCE * deviation * deviation,
            Self::Uniform(bound) => bound * bound / 3.0,
            Self::Normal(deviation) => deviation * deviation,
        }
    }

    /// `n` draws below `seed`.
    pub fn draw(self, seed: Seed, n: usize) -> Vec<f32> {
        let mut draws = seed.draws();
        match self {
            Self::Zero => vec![0.0; n],
            Self::Constant(value) => vec![value as f32; n],
            Self::TruncatedNormal(deviation) => {
                let mut within = || loop {
                    let draw = draws.normal();
                    if draw.abs() <= 2.0 {
                        return (draw * deviation) as f32;
                    }
                };
                (0..n).map(|_| within()).collect()
            }
            Self::Uniform(bound) => (0..n).map(|_| draws.between(-bound, bound) as f32).collect(),
            Self::Normal(deviation) => (0..n).map(|_| (draws.normal() * deviation) as f32).collect(),
        }
    }
}

impl Init {
    /// The distribution of a weight with this fan.
    pub fn weight(self, fan: Fan) -> Distribution {
        let inputs = fan.fan_in.max(1) as f64;
        let outputs = fan.fan_out.max(1) as f64;
        match self {
            Self::Torch => Distribution::Uniform(inputs.powf(-0.5)),
            Self::Uniform => Distribution::Uniform(0.05),
            Self::Normal => Distribution::Normal(0.01),
            Self::XavierUniform => Distribution::Uniform((6.0 / (inputs + outputs)).sqrt()),
            Self::XavierNormal => Distribution::Normal((2.0 / (inputs + outputs)).sqrt()),
            Self::HeUniform => Distribution::Uniform((6.0 / inputs).sqrt()),
            Self::HeNormal => Distribution::Normal((2.0 / inputs).sqrt()),
            Self::TruncatedNormal => Distribution::TruncatedNormal(0.02),
            Self::HeNormalFanOut => Distribution::Normal((2.0 / outputs).sqrt()),
        }
    }

    /// The distribution of the bias beside a weight with this fan.
    pub fn bias(self, fan: Fan) -> Distribution {
        match self {
            Self::Torch => self.weight(fan),
            _ => Distribution::Zero,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Init; 9] = [
        Init::Torch,
        Init::Uniform,
        Init::Normal,
        Init::XavierUniform,
        Init::XavierNormal,
        Init::HeUniform,
        Init::HeNormal,
        Init::HeNormalFanOut,
        Init::TruncatedNormal,
    ];

    #[test]
    fn draws_have_the_mean_and_variance_of_theory_within_5_percent() {
        let shape = [64, 48, 3, 3];
        let n = shape.iter().product::<usize>();
        for init in ALL {
            let law = init.weight(Fan::of(&shape));
            let values = law.draw(Seed(7).with("w"), n);
            let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n as f64;
            let variance = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n as f64;
            assert!((variance / law.variance() - 1.0).abs() < 0.05, "{init:?}: {variance}");
            assert!(mean.abs() < 4.0 * (law.variance() / n as f64).sqrt(), "{init:?}: {mean}");
        }
    }

    /// Bounds and deviations as `torch.nn.init` 2.9 documents them, for a weight of shape
    /// [64, 48, 3, 3]; the largest values and deviations of its own draws are within 0.6 %.
    #[test]
    fn formulae_are_those_of_torch() {
        let fan = Fan::of(&[64, 48, 3, 3]);
        assert_eq!(fan, Fan { fan_in: 432, fan_out: 576 });
        let close = |init: Init, expected: f64| {
            let (Distribution::Uniform(x) | Distribution::Normal(x)) = init.weight(fan) else {
                panic!("{init:?}")
            };
            assert!((x - expected).abs() < 1e-6, "{init:?}: {x}");
        };
        close(Init::Torch, 0.048_112_52);
        close(Init::XavierUniform, 0.077_151_67);
        close(Init::XavierNormal, 0.044_543_54);
        close(Init::HeUniform, 0.117_851_13);
        close(Init::HeNormal, 0.068_041_38);
        close(Init::HeNormalFanOut, 0.058_925_57);
    }

    #[test]
    fn equal_seeds_and_names_give_equal_draws() {
        let law = Distribution::Normal(1.0);
        assert_eq!(law.draw(Seed(1).with("a"), 9), law.draw(Seed(1).with("a"), 9));
        assert_ne!(law.draw(Seed(1).with("a"), 9), law.draw(Seed(1).with("b"), 9));
    }
}
