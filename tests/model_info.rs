//! `peregrine model`: counts against published ones, and what it refuses.

use serde_json::Value;

use crate::support::Place;

fn info(args: &[&str]) -> Value {
    let all = [&["model", "info"], args, &["--json"]].concat();
    serde_json::from_str(&Place::empty().peregrine(&all).ok().stdout).expect("JSON")
}

/// Parameters and GFLOPS as torchvision 0.24 documents them, and activations in millions as timm's
/// model cards do.
#[test]
fn counts_are_the_published_ones() {
    for (name, parameters, gflops, activations) in [
        ("resnet18", 11_689_512, 1.814, Some(2.5)),
        ("resnet50", 25_557_032, 4.089, Some(11.1)),
        ("resnext50_32x4d", 25_028_904, 4.23, Some(14.4)),
        ("densenet121", 7_978_856, 2.834, Some(6.9)),
        ("vgg16", 138_357_544, 15.47, Some(13.6)),
        ("squeezenet1_1", 1_235_496, 0.349, None),
    ] {
        let info = info(&[name]);
        assert_eq!(info["parameters"], parameters, "{name}");
        let multiply_adds = info["multiply_adds"].as_f64().expect("a number");
        assert!((multiply_adds / 1e9 - gflops).abs() < 0.000_6, "{name}: {multiply_adds}");
        assert_eq!(info["flops"].as_f64(), Some(2.0 * multiply_adds));
        let made = info["layer_activations"].as_f64().expect("a number") / 1e6;
        assert!(activations.is_none_or(|published| (made - published).abs() <= 0.05), "{name}: {made}");
    }
}

/// LeNet-5 of a 28×28 image by hand: 784 pixels, 2 × 4704 + 1176 after the first convolution,
/// 2 × 1600 + 400 after the second, 400 in a row, 2 × 120, 2 × 84 and 10.
#[test]
fn memory_is_that_of_a_count_by_hand() {
    let info = info(&["lenet5", "--size", "28", "--channels", "1", "--classes", "10"]);
    assert_eq!(info["activations"], 15_786);
    assert_eq!(info["activation_bytes"], 4 * 15_786);
    assert_eq!(info["parameters"], 61_706);
    assert_eq!(info["weight_bytes"], 4 * 61_706);
    assert_eq!(info["least_side"], 12);
}

#[test]
fn params_change_the_model_and_wrong_ones_are_refused() {
    let small =
        info(&["resnet18", "--size", "32x40", "--classes", "10", "--set", "stem=small", "--set", "width=16"]);
    assert_eq!((&small["embedding"], &small["params"]["width"]), (&128.into(), &16.into()));
    let place = Place::empty();
    for (args, said) in [
        (&["resnt18"][..], "did you mean `resnet18`?"),
        (&["resnet18", "--set", "depth=3"], "unknown field `depth`"),
        (&["resnet18", "--set", "width"], "write `width=16`"),
        (&["resnet18", "--set", "width=0"], "`width` is 0 (1 to 1024)"),
        (&["resnet18", "--size", "16"], "images of 16×16 pixels are too small (at least 17×17"),
        (&["resnet18", "--size", "big"], "no number of pixels"),
    ] {
        let ran = place.peregrine(&[&["model", "info"], args].concat());
        assert_eq!(ran.code, 2, "{args:?}: {ran:?}");
        assert!(ran.stderr.contains(said), "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn the_list_names_every_model_and_a_page_shows_its_layers() {
    let place = Place::empty();
    let list = place.peregrine(&["model", "list"]).ok().stdout;
    for name in ["sample_cnn", "resnet18", "vgg19_bn", "inception_v3", "wide_resnet28_10"] {
        assert!(list.lines().any(|line| line.trim_start().starts_with(&format!("{name} "))), "{list}");
    }
    let page = place.peregrine(&["model", "info", "resnet18"]).ok().stdout;
    for said in ["layer4.1.conv2", "512×7×7", "11.69 M", "1.81 G", "at least 17 pixels"] {
        assert!(page.contains(said), "{said} is missing:\n{page}");
    }
}
