//! Batch normalization.
//!
//! Ioffe and Szegedy 2015, with `torch.nn.BatchNorm2d`'s conventions: the batch's biased variance
//! normalizes, its unbiased variance goes into the running variance, and running statistics move
//! by `momentum` towards the batch's.

use std::sync::{Mutex, PoisonError};

use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param,
    ParamId,
};
use burn::tensor::module::{batch_norm, batch_norm_train};
use burn::tensor::{Device, Tensor};

use crate::init::Initializer;
use crate::model::Mode;

/// Added to variances, as torch's default.
pub const EPSILON: f64 = 1e-5;
/// The batch's share in the running statistics, as torch's default.
pub const MOMENTUM: f64 = 0.1;

/// Normalizes each channel; `torch.nn.BatchNorm2d` with its default settings.
#[derive(Module, Debug)]
pub struct BatchNorm2d {
    /// The scale γ, `[c]`.
    pub weight: Param<Tensor<1>>,
    /// The shift β, `[c]`.
    pub bias: Param<Tensor<1>>,
    /// The mean that evaluation uses, `[c]`.
    pub running_mean: RunningStatistic,
    /// The variance that evaluation uses, `[c]`.
    pub running_var: RunningStatistic,
}

impl BatchNorm2d {
    /// γ = 1, β = 0, mean 0, variance 1 over `channels`.
    pub fn new(channels: usize, init: &Initializer<'_>) -> Self {
        let device = init.device.clone().without_autodiff();
        Self {
            weight: init.constant(1.0, channels),
            bias: init.constant(0.0, channels),
            running_mean: RunningStatistic::new(Tensor::zeros([channels], &device)),
            running_var: RunningStatistic::new(Tensor::ones([channels], &device)),
        }
    }

    /// `x` normalized: with its own statistics in training, which also move the running ones;
    /// with the running ones in evaluation.
    ///
    /// A single value a channel has no unbiased variance; the running variance then takes the
    /// biased one (torch refuses such batches).
    pub fn forward(&self, x: Tensor<4>, mode: &Mode) -> Tensor<4> {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        match mode {
            Mode::Eval => {
                let on_tape = x.is_autodiff();
                let mean = self.running_mean.value_for(on_tape);
                let variance = self.running_var.value_for(on_tape);
                batch_norm(x, weight, bias, mean, variance, EPSILON)
            }
            Mode::Train { .. } => {
                let [n, _, h, w] = x.dims();
                let values = (n * h * w) as f64;
                let result = batch_norm_train(x, weight, bias, EPSILON);
                self.running_mean.move_towards(result.mean.without_autodiff());
                let unbiased = values / (values - 1.0).max(1.0);
                self.running_var.move_towards(result.variance.without_autodiff() * unbiased);
                result.output
            }
        }
    }
}

/// A tensor that training moves in passing and no gradient reaches.
///
/// Unlike burn's `RunningState`, clones are independent, the value is always current, and
/// traversals see it.
#[derive(Debug)]
pub struct RunningStatistic {
    id: ParamId,
    value: Mutex<Tensor<1>>,
}

impl RunningStatistic {
    /// A statistic that starts at `value`.
    pub fn new(value: Tensor<1>) -> Self {
        Self { id: ParamId::new(), value: Mutex::new(value.without_autodiff()) }
    }

    /// The value, without autodiff.
    pub fn value(&self) -> Tensor<1> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn value_for(&self, on_tape: bool) -> Tensor<1> {
        if on_tape { self.value().autodiff() } else { self.value() }
    }

    fn set(&self, value: Tensor<1>) {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }

    fn move_towards(&self, batch: Tensor<1>) {
        self.set(self.value() * (1.0 - MOMENTUM) + batch * MOMENTUM);
    }
}

impl Clone for RunningStatistic {
    fn clone(&self) -> Self {
        Self { id: self.id, value: Mutex::new(self.value()) }
    }
}

impl Module for RunningStatistic {
    fn collect_devices(&self, mut devices: Devices) -> Devices {
        let device = self.value().device();
        if !devices.contains(&device) {
            devices.push(device);
        }
        devices
    }

    fn fork(self, device: &Device) -> Self {
        self.to_device(device)
    }

    fn to_device(self, device: &Device) -> Self {
        let device = device.clone().without_autodiff();
        self.set(self.value().to_device(&device));
        self
    }

    fn train(self) -> Self {
        self
    }

    fn valid(&self) -> Self {
        self.clone()
    }

    fn materialize(self) -> Self {
        self
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        visitor.visit_float(&Param::initialized(self.id, self.value()));
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        let mapped = mapper.map_float(Param::initialized(self.id, self.value()));
        self.set(mapped.into_value().without_autodiff());
        self
    }
}

impl ModuleDisplayDefault for RunningStatistic {
    fn content(&self, content: Content) -> Option<Content> {
        content.add_formatted(&"RunningStatistic".to_owned()).optional()
    }
}

impl ModuleDisplay for RunningStatistic {}
