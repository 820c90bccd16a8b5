//! Weights under the names of timm and torchvision (`tests/goldens/names.py`): found without being
//! told whose they are, all of them, and the logits are theirs.

use peregrine_pipeline::Seed;
use serde::Deserialize;

use crate::weights::adopt::adopt;
use crate::weights::file::WeightsFile;
use crate::weights::{NamedTensor, is_buffer};
use crate::zoo_tests::{assert_close, default_device, filling, floats, images};
use crate::{Adopt, InputShape, Mode, ModelConfig, load_state_dict};

#[derive(Deserialize)]
struct Goldens {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    config: ModelConfig,
    side: usize,
    tensors: Vec<(String, Vec<usize>)>,
    logits: Vec<f32>,
}

#[test]
fn weights_named_by_timm_and_torchvision_give_their_logits() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/names.json");
    let goldens: Goldens = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(goldens.cases.len(), 13);
    for Case { config, side, tensors, logits } in goldens.cases {
        let device = default_device();
        let named = |(k, (name, shape)): (usize, (String, Vec<usize>))| {
            let data = filling(&name, &shape, k);
            NamedTensor { trainable: !is_buffer(&name), name, shape, data }
        };
        let tensors: Vec<NamedTensor> = tensors.into_iter().enumerate().map(named).collect();
        let what = format!("{} from `{}`", config.name(), tensors[0].name);
        let file = WeightsFile { format: "test".to_owned(), under: String::new(), tensors, checkpoint: None };
        let input = InputShape { channels: 3, height: side, width: side };
        let model = config.build(input, 5, Seed(0), &device).unwrap();
        let (tensors, report) = adopt(&file, model.graph(), &Adopt::default(), Seed(0)).unwrap();
        assert!(report.missing.is_empty() && report.unexpected.is_empty(), "{what}: {report:?}");
        assert!(report.new_head.is_none(), "{what}: {report:?}");
        let model = load_state_dict(model, &tensors).unwrap();
        let ours = floats(model.forward(images([2, 3, side, side], &device), &Mode::Eval));
        assert_close(&what, &ours, &logits, 1e-4);
    }
}
