use burn::tensor::activation;

use super::*;

/// What `tests/goldens/optimizers.py` fits.
#[derive(Debug, Clone)]
struct Regression {
    w: Tensor<2>,
    b: Tensor<1>,
}

impl Regression {
    fn stepped(self, optimizer: &mut Optimizer, loss: &Tensor<1>, lr: f64) -> Self {
        let mut gradients = loss.backward();
        let gradients = vec![
            self.w.grad_remove(&mut gradients).map(|g| g.reshape([15])),
            self.b.grad_remove(&mut gradients),
        ];
        let mut gradients = optimizer.clipped(gradients);
        let mut update = |i: usize, shape: &[usize], value: Tensor<1>| {
            let info = ParameterInfo { name: String::new(), shape: shape.to_vec(), block: 0, frozen: false };
            let gradient = gradients[i].take().unwrap();
            optimizer
                .update(i, &info, value.without_autodiff(), gradient, lr)
                .autodiff()
                .set_require_grad(true)
        };
        let w = update(0, &[5, 3], self.w.reshape([15]));
        let b = update(1, &[3], self.b);
        Self { w: w.without_autodiff().reshape([5, 3]).autodiff().set_require_grad(true), b }
    }
}

#[derive(Deserialize)]
struct Golden {
    x: Vec<f32>,
    y: Vec<f32>,
    w: Vec<f32>,
    b: Vec<f32>,
    #[serde(flatten)]
    trajectories: std::collections::BTreeMap<String, Vec<Vec<f32>>>,
}

impl Golden {
    fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/optimizers.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    fn model(&self, device: &Device) -> Regression {
        let w = TensorData::new(self.w.clone(), [5, 3]);
        let b = TensorData::new(self.b.clone(), [3]);
        let w = Tensor::from_data(w, device).set_require_grad(true);
        Regression { w, b: Tensor::from_data(b, device).set_require_grad(true) }
    }

    /// Makes the steps `from..20`; returns the weights behind each.
    fn steps(
        &self,
        mut model: Regression,
        optimizer: &mut Optimizer,
        from: usize,
        until: usize,
    ) -> (Regression, Vec<Vec<f32>>) {
        let device = peregrine_models::device::device("auto").unwrap().autodiff();
        let x = Tensor::<2>::from_data(TensorData::new(self.x.clone(), [8, 5]), &device);
        let y = Tensor::<2>::from_data(TensorData::new(self.y.clone(), [8, 3]), &device);
        let mut out = Vec::new();
        for step in from..until {
            let lr = optimizer.config.lr() * if step < 10 { 1.0 } else { 0.1 };
            let bias = model.b.clone().reshape([1, 3]);
            let z = activation::tanh(x.clone().matmul(model.w.clone()) + bias);
            let loss = (z - y.clone()).square().mean();
            model = model.stepped(optimizer, &loss, lr);
            out.push(weights(&model));
        }
        (model, out)
    }
}

fn weights(model: &Regression) -> Vec<f32> {
    let mut all = model.w.clone().into_data().try_to_vec::<f32>().unwrap();
    all.extend(model.b.clone().into_data().try_to_vec::<f32>().unwrap());
    all
}

#[track_caller]
fn equals_torch(case: &str, config: &OptimizerConfig, clip: Option<f64>) {
    let golden = Golden::read();
    let theirs = &golden.trajectories[case];
    let model = golden.model(&peregrine_models::device::device("auto").unwrap().autodiff());
    let (_, ours) = golden.steps(model, &mut Optimizer::new(config, clip), 0, 20);
    assert_eq!((ours.len(), theirs.len()), (20, 20));
    for (step, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        for (ours, theirs) in ours.iter().zip(theirs) {
            let difference = (ours - theirs).abs();
            assert!(difference <= 1e-5, "{case}, step {step}: {ours} against {theirs}");
        }
    }
}

fn plain() -> Sgd {
    Sgd { lr: 0.1, momentum: 0.0, nesterov: false, weight_decay: 0.0, ..Sgd::default() }
}

#[test]
fn twenty_steps_of_sgd_equal_torch() {
    equals_torch("sgd", &OptimizerConfig::Sgd(plain()), None);
}

#[test]
fn twenty_steps_of_damped_momentum_with_decay_on_all_equal_torch() {
    let sgd = Sgd { momentum: 0.9, dampening: 0.3, weight_decay: 0.05, decay_norm_and_bias: true, ..plain() };
    equals_torch("sgd_momentum", &OptimizerConfig::Sgd(sgd), None);
}

#[test]
fn twenty_steps_of_nesterov_with_decay_on_the_matrix_alone_equal_torch() {
    let sgd = Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.05, ..plain() };
    equals_torch("sgd_nesterov", &OptimizerConfig::Sgd(sgd), None);
}

#[test]
fn twenty_clipped_steps_equal_torch() {
    let sgd = Sgd { momentum: 0.9, ..plain() };
    equals_torch("sgd_clip", &OptimizerConfig::Sgd(sgd), Some(0.2));
}

#[test]
fn twenty_steps_of_adam_equal_torch() {
    let adam = Adam { lr: 0.05, ..Adam::default() };
    equals_torch("adam", &OptimizerConfig::Adam(adam), None);
    let adam =
        Adam { lr: 0.05, beta1: 0.8, beta2: 0.99, eps: 1e-6, weight_decay: 0.1, decay_norm_and_bias: true };
    equals_torch("adam_decay", &OptimizerConfig::Adam(adam), None);
}

#[test]
fn twenty_steps_of_adamw_equal_torch() {
    let adamw = AdamW { lr: 0.05, weight_decay: 0.3, ..AdamW::default() };
    equals_torch("adamw", &OptimizerConfig::AdamW(adamw.clone()), None);
    let adamw = AdamW { decay_norm_and_bias: true, ..adamw };
    equals_torch("adamw_all", &OptimizerConfig::AdamW(adamw), None);
}

#[test]
fn a_saved_state_goes_on_bit_for_bit() {
    let golden = Golden::read();
    let device = peregrine_models::device::device("auto").unwrap().autodiff();
    let configs = [
        OptimizerConfig::Sgd(Sgd::default()),
        OptimizerConfig::Adam(Adam::default()),
        OptimizerConfig::AdamW(AdamW::default()),
    ];
    for config in configs {
        let mut optimizer = Optimizer::new(&config, Some(1.0));
        let (model, _) = golden.steps(golden.model(&device), &mut optimizer, 0, 7);
        let saved = optimizer.save();
        let (_, straight) = golden.steps(model.clone(), &mut optimizer, 7, 20);
        let mut other = Optimizer::new(&config, Some(1.0));
        other.load(saved.clone(), &device.clone().inner());
        assert_eq!(other.save(), saved);
        let (_, resumed) = golden.steps(model, &mut other, 7, 20);
        assert_eq!(straight, resumed);
    }
}
