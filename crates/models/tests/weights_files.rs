//! Weight files as torch, numpy and onnx write them are read; files that attack or aren't what
//! they say are refused, within 64 MB and without running anything.

#![allow(clippy::print_stderr, clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use peregrine_models::weights::file;

/// RELIABILITY: what a hostile file may take.
const MEMORY: usize = 64 << 20;

struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(used, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn golden() -> serde_json::Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/weights.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn files(golden: &serde_json::Value, group: &str) -> Vec<(String, Vec<u8>)> {
    let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    let files = golden[group].as_object().unwrap();
    files.iter().map(|(name, file)| (name.clone(), decode(file.as_str().unwrap()))).collect()
}

/// One test, so that nothing else allocates meanwhile.
#[test]
fn files_of_others_are_read_and_hostile_ones_refused_in_64_mb_without_running_anything() {
    let golden = golden();
    every_file_of_torch_numpy_and_onnx_is_read(&golden);
    truncated_files_are_refused(&golden);
    hostile_files_are_refused(&golden);
    what_is_no_weights_file_is_called_by_its_name(&golden);
}

fn every_file_of_torch_numpy_and_onnx_is_read(golden: &serde_json::Value) {
    let expected: Vec<f32> = golden["expected"]["a.weight"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32))
        .collect();
    for (name, bytes) in files(golden, "reads") {
        let read = file::from_bytes(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut tensors: Vec<_> = read.tensors.iter().map(|t| (t.name.as_str(), &t.shape, &t.data)).collect();
        tensors.sort_by_key(|tensor| tensor.0);
        let wanted = [("a.bias", &vec![2], &vec![0.25, -1.5]), ("a.weight", &vec![2, 3], &expected)];
        assert_eq!(tensors, wanted, "{name}");
    }
    let under = |name: &str| {
        let file = files(golden, "reads").into_iter().find(|(other, _)| other == name).unwrap().1;
        file::from_bytes(&file).unwrap().under
    };
    assert_eq!(under("zip"), "");
    assert_eq!(under("wrapped"), "state_dict");
    assert_eq!(under("wrapped_twice"), "model.state_dict");
}

fn truncated_files_are_refused(golden: &serde_json::Value) {
    for (name, bytes) in files(golden, "reads") {
        for cut in (0..bytes.len()).step_by(7) {
            // ONNX cut behind its graph is whole as far as weights go.
            if let Ok(read) = file::from_bytes(&bytes[..cut]) {
                assert_eq!((name.as_str(), read.tensors.len()), ("onnx", 2), "{name} cut at {cut}");
            }
        }
    }
}

fn hostile_files_are_refused(golden: &serde_json::Value) {
    let mark = Path::new(golden["mark"].as_str().unwrap());
    assert!(!mark.exists(), "`{}` is left from something else", mark.display());
    let mut hostile = files(golden, "hostile");
    hostile.push(("many lists".into(), [b"\x80\x02".as_slice(), &[b']'; 2_000_000], b"."].concat()));
    hostile.push(("many nothings".into(), [b"\x80\x02".as_slice(), &[b'N'; 5_000_000], b"."].concat()));
    hostile.push(("many marks".into(), [b"\x80\x02".as_slice(), &[b'('; 5_000_000], b"."].concat()));
    hostile.push(("much memo".into(), [b"\x80\x04N".as_slice(), &[0x94; 5_000_000], b"."].concat()));
    assert!(hostile.len() >= 19);
    for (name, bytes) in hostile {
        MOST.store(USED.load(Ordering::Relaxed), Ordering::Relaxed);
        let before = USED.load(Ordering::Relaxed);
        let error = file::from_bytes(&bytes).map(|_| ()).expect_err(&name).to_string();
        let most = MOST.load(Ordering::Relaxed) - before;
        assert!(most <= MEMORY, "{name}: {most} bytes");
        assert!(!mark.exists(), "{name} was executed");
        assert!(!error.contains(['\n', '\u{1b}']) && error.len() < 400, "{name}: {error}");
        let refused_by_name = ["system", "eval", "exec", "getattr", "load", "Popen", "_wrap_close"];
        if let Some(asked) = refused_by_name.iter().find(|asked| name.ends_with(**asked)) {
            assert!(error.contains(asked) && error.contains("executed"), "{name}: {error}");
        }
    }
}

fn what_is_no_weights_file_is_called_by_its_name(golden: &serde_json::Value) {
    let mut others = files(golden, "others");
    let page = b"<!DOCTYPE html><html><title>404</title></html>";
    others.push(("a web page".into(), page.to_vec()));
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 14212972\n";
    others.push(("a pointer of git-lfs".into(), pointer.to_vec()));
    others.push(("a JSON file".into(), b"{ \"a\": 1 }".to_vec()));
    others.push(("it is empty".into(), Vec::new()));
    others.push(("a gzip file".into(), b"\x1f\x8b\x08\0\0\0\0\0\0".to_vec()));
    others.push(("neither torch".into(), vec![0xaa; 100]));
    for (name, bytes) in others {
        let error = file::from_bytes(&bytes).map(|_| ()).expect_err(&name).to_string();
        assert!(error.contains(&name), "{name}: {error}");
    }
}

/// The folder that `PEREGRINE_WEIGHTS` names holds the files of `tests/goldens/weights_logits.py`
/// and the ImageNet weights; run it with `--ignored`.
#[test]
#[ignore = "needs real weights (PEREGRINE_WEIGHTS)"]
fn logits_on_photographs_are_torchvisions_whatever_the_files_format() {
    use burn::tensor::{Tensor, TensorData};
    use peregrine_models::weights::adopt::adopt;
    use peregrine_models::{Adopt, InputShape, Mode, ModelConfig, load_state_dict};
    use peregrine_pipeline::Seed;

    let folder = std::env::var_os("PEREGRINE_WEIGHTS").expect("PEREGRINE_WEIGHTS names no folder");
    let folder = Path::new(&folder);
    let photos = std::fs::read(folder.join("photos.u8")).unwrap();
    let (mean, std) = ([0.485_f32, 0.456, 0.406], [0.229_f32, 0.224, 0.225]);
    let normalized: Vec<f32> = photos
        .iter()
        .enumerate()
        .map(|(i, &byte)| {
            let channel = i / (224 * 224) % 3;
            (f32::from(byte) / 255.0 - mean[channel]) / std[channel]
        })
        .collect();
    let n = normalized.len() / (3 * 224 * 224);
    let device = peregrine_models::device::device("auto").unwrap();
    let images = Tensor::<4>::from_data(TensorData::new(normalized, [n, 3, 224, 224]), &device);
    let input = InputShape { channels: 3, height: 224, width: 224 };
    for (model, file) in [
        ("resnet18", "resnet18.pkl"),
        ("resnet18", "resnet18.safetensors"),
        ("mobilenet_v2", "mobilenet_v2-b0353104.pth"),
        ("mobilenet_v2", "mobilenet_v2.safetensors"),
    ] {
        let config: ModelConfig = serde_json::from_value(serde_json::json!({ "name": model })).unwrap();
        let read = peregrine_models::weights::file::read(&folder.join(file)).unwrap();
        let network = config.build(input, 1000, Seed(0), &device).unwrap();
        let strict = Adopt { strict: true, ..Adopt::default() };
        let (tensors, report) = adopt(&read, network.graph(), &strict, Seed(0)).unwrap();
        assert_eq!((report.share, report.new_head), (1.0, None));
        let network = load_state_dict(network, &tensors).unwrap();
        let logits = network.forward(images.clone(), &Mode::Eval).into_data().try_to_vec::<f32>().unwrap();
        let theirs = std::fs::read(folder.join(format!("{model}.logits.f32"))).unwrap();
        let theirs = theirs.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let worst = logits.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "{file}: {worst} on {n} photographs");
        assert!(n >= 8);
        eprintln!("{file}: {} tensors, largest difference {worst:e} on {n} photographs", report.loaded.len());
    }
}

/// CIFAR-10's test batch through the ResNet-56 of `PEREGRINE_WEIGHTS` (a whole pickled module):
/// 93.2 % in PyTorch.
#[test]
#[ignore = "needs real weights and CIFAR-10 (PEREGRINE_WEIGHTS, PEREGRINE_CIFAR10)"]
fn a_pickled_resnet_56_scores_on_cifar_10_what_it_does_in_torch() {
    use burn::tensor::{Tensor, TensorData};
    use peregrine_models::weights::adopt::adopt;
    use peregrine_models::{Adopt, InputShape, Mode, ModelConfig, Names, ResnetConfig, load_state_dict};
    use peregrine_pipeline::Seed;

    let folder = |name: &str| std::path::PathBuf::from(std::env::var_os(name).expect("no folder is named"));
    let rows = std::fs::read(folder("PEREGRINE_CIFAR10").join("test_batch.bin")).unwrap();
    let read =
        peregrine_models::weights::file::read(&folder("PEREGRINE_WEIGHTS").join("resnet56_cifar10.pth"));
    let device = peregrine_models::device::device("auto").unwrap();
    let config = ModelConfig::Resnet(ResnetConfig { depth: 56, ..ResnetConfig::default() });
    let network =
        config.build(InputShape { channels: 3, height: 32, width: 32 }, 10, Seed(0), &device).unwrap();
    let strict = Adopt { strict: true, ..Adopt::default() };
    let (tensors, report) = adopt(&read.unwrap(), network.graph(), &strict, Seed(0)).unwrap();
    assert_eq!((report.share, report.map), (1.0, Names::Cifar));
    let network = load_state_dict(network, &tensors).unwrap();
    let (mut right, mut all) = (0, 0);
    for batch in rows.chunks(3073 * 250) {
        let n = batch.len() / 3073;
        let rows = batch.chunks_exact(3073);
        let pixels =
            rows.clone().flat_map(|row| row[1..].iter().map(|&byte| f32::from(byte) / 255.0)).collect();
        let images = Tensor::<4>::from_data(TensorData::new::<f32, _>(pixels, [n, 3, 32, 32]), &device);
        let logits = network.forward(images, &Mode::Eval).into_data().try_to_vec::<f32>().unwrap();
        for (row, logits) in rows.zip(logits.chunks_exact(10)) {
            let best = (0..10).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
            right += usize::from(best == usize::from(row[0]));
            all += 1;
        }
    }
    eprintln!("{right} of {all} right");
    assert_eq!(all, 10_000);
    assert!((9310..=9330).contains(&right), "{right}");
}
