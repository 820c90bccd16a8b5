"""Known answers for `crates/models/src/zoo_tests.rs`: counts, names, multiply-adds, logits, gradients.

    python tests/goldens/zoo.py > tests/goldens/zoo.json

Needs torch 2.9, torchvision 0.24 and timm 1.0. Weights and images are not stored: both sides compute
them from `value(n, k)`, the values of the k-th tensor of the state dict. Names are stored as the 64-bit
FNV-1a digest of `name:shape` lines in the order of the state dict. Logits are those of the published
code with every channel count divided by `shrink`, at small sizes.
"""

import json
import warnings

import numpy as np
import timm
import torch
import torchvision
import torchvision.models as tv
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import _api

warnings.filterwarnings("ignore")


class WideBlock(nn.Module):
    """Zagoruyko and Komodakis 2016, with the names of the common PyTorch version."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.same = inputs == outputs
        self.convShortcut = None if self.same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        y = torch.relu(self.bn1(x))
        around = x if self.same else self.convShortcut(y)
        return around + self.conv2(torch.relu(self.bn2(self.conv1(y))))


class WideResnet(nn.Module):
    def __init__(self, depth, width, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        inputs = 16
        for group in range(3):
            outputs, blocks = 16 * width << group, nn.Module()
            layers = []
            for i in range((depth - 4) // 6):
                layers.append(WideBlock(inputs, outputs, 2 if group > 0 and i == 0 else 1))
                inputs = outputs
            blocks.layer = nn.Sequential(*layers)
            setattr(self, f"block{group + 1}", blocks)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = self.conv1(x)
        for block in (self.block1, self.block2, self.block3):
            x = block.layer(x)
        return self.fc(torch.relu(self.bn1(x)).mean((2, 3)))


def make(name, classes, **options):
    if name == "wide_resnet28_10":
        return WideResnet(options.get("depth", 28), options.get("width", 10), classes)
    if name == "seresnet50":
        return timm.create_model(name, num_classes=classes)
    if name in ("googlenet", "inception_v3"):
        options["aux_logits"], options["init_weights"] = False, False
    return tv.get_model(name, weights=None, num_classes=classes, **options)


def shrink(model, by, classes):
    """Divides every count of channels but those of images and classes."""
    def less(n):
        assert n % by == 0 or n in (3, classes), n
        return n if n in (3, classes) else n // by
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Conv2d):
                groups = layer.groups if layer.groups == 1 else layer.groups // by
                new = nn.Conv2d(less(layer.in_channels), less(layer.out_channels), layer.kernel_size, layer.stride,
                                layer.padding, layer.dilation, groups, layer.bias is not None)
            elif isinstance(layer, nn.BatchNorm2d):
                new = nn.BatchNorm2d(less(layer.num_features), layer.eps, layer.momentum)
            elif isinstance(layer, nn.Linear):
                new = nn.Linear(less(layer.in_features), less(layer.out_features))
            else:
                continue
            setattr(parent, name, new)
    return model


def small_stem(model, name):
    """The first layers for small images."""
    if name.startswith("res") or name.startswith("wide") or name.startswith("seres"):
        model.conv1 = nn.Conv2d(3, model.conv1.out_channels, 3, padding=1, bias=False)
        model.maxpool = nn.Identity()
    elif name == "alexnet":
        model.features[0] = nn.Conv2d(3, model.features[0].out_channels, 3, padding=1)
    elif name == "googlenet":
        model.conv1.conv = nn.Conv2d(3, model.conv1.conv.out_channels, 3, padding=1, bias=False)
        model.maxpool1 = nn.Identity()
    elif name == "inception_v3":
        for layer in (model.Conv2d_1a_3x3, model.Conv2d_2a_3x3, model.Conv2d_4a_3x3):
            layer.conv.padding, layer.conv.stride = (1, 1), (1, 1)
        model.maxpool1 = nn.Identity()
    elif name.startswith("densenet"):
        model.features.conv0 = nn.Conv2d(3, model.features.conv0.out_channels, 3, padding=1, bias=False)
        model.features.pool0 = nn.Identity()
    elif name == "squeezenet1_1":
        model.features[0] = nn.Conv2d(3, model.features[0].out_channels, 3, padding=1)
        model.features[2] = nn.Identity()
    return model


def value(n, k):
    i = np.arange(n, dtype=np.float64)
    return np.sin(0.013 * i * i + 0.7 * i + k)


def fill(model):
    """Every tensor from its place in the state dict."""
    state, k = {}, 0
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            state[name] = tensor
            continue
        v = value(tensor.numel(), k)
        k += 1
        if name.endswith("running_var"):
            v = 1 + 0.5 * v
        elif name.endswith("running_mean"):
            v = 0.1 * v
        elif tensor.dim() == 1:
            v = (1 + 0.3 * v) if name.endswith("weight") else 0.1 * v
        else:
            v = v * (3.0 / tensor[0].numel()) ** 0.5
        state[name] = torch.tensor(v.astype(np.float32)).reshape(tensor.shape)
    model.load_state_dict(state)


def digest(model):
    lines = [f"{k}:{list(v.shape)}\n" for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")]
    hash = 0xCBF29CE484222325
    for byte in "".join(lines).replace(" ", "").encode():
        hash = ((hash ^ byte) * 0x100000001B3) % 2**64
    return f"{hash:016x}"


def numbers(tensor):
    return [float(f"{x:.8g}") for x in tensor.detach().flatten().tolist()]


def published(name):
    """torchvision's documented numbers: parameters without auxiliary heads' are its models' own."""
    try:
        meta = _api.get_model_weights(name).DEFAULT.meta
    except ValueError:
        return {}
    return {"documented_parameters": meta["num_params"], "documented_gflops": meta["_ops"]}


def count(name, side=224, classes=1000):
    with torch.device("meta"):
        model, images = make(name, classes), torch.zeros(1, 3, side, side)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(images)
    return {
        "config": {"name": name}, "side": side, "classes": classes,
        "parameters": sum(p.numel() for p in model.parameters()),
        "multiply_adds": counter.get_total_flops() // 2,
        "digest": digest(model), **published(name),
    }


def smooth(model):
    """`model` with SiLU in place of ReLU (but in squeeze-and-excitation), whose kink turns a rounding into another gradient: torch itself differs by
    4 % between orders of memory."""
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, (nn.ReLU, nn.ReLU6)) and "SE" not in type(module).__name__:
                setattr(module, name, nn.SiLU())
    if not any("SE" in type(module).__name__ for module in model.modules()):
        torch.relu = nn.functional.relu = lambda x, inplace=False: nn.functional.silu(x)
    return model


def case(config, by, shape, stem="imagenet", train=False, grads=(), make_options=None):
    """Seven classes, with dropout 0; the first 60 values of gradients, which smooth networks have only."""
    relus = nn.functional.relu, torch.relu
    try:
        return of_case(config, by, shape, stem, train, grads, make_options)
    finally:
        nn.functional.relu, torch.relu = relus


def of_case(config, by, shape, stem, train, grads, make_options):
    name = config["name"]
    model = shrink(make(name, 7, **(make_options or {})), by, 7)
    if name.startswith("vgg") and stem == "small":
        model.avgpool = nn.AdaptiveAvgPool2d(1)
        head = [m for m in model.classifier if isinstance(m, nn.Linear)]
        model.classifier[0] = nn.Linear(512 // by, head[0].out_features)
    elif name == "alexnet" and stem == "small":
        model.avgpool = nn.AdaptiveAvgPool2d(3)
        model.classifier[1] = nn.Linear(256 // by * 9, model.classifier[1].out_features)
    if stem == "small":
        small_stem(model, name)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    if grads:
        smooth(model)
        config = config | {"activation": "silu"}
    fill(model)
    model.train(train)
    x = torch.tensor(value(int(np.prod(shape)), 100).astype(np.float32)).reshape(shape)
    logits = model(x)
    nn.functional.cross_entropy(logits, torch.arange(shape[0]) % 7).backward()
    params = dict(model.named_parameters())
    return {
        "config": config | {"stem": stem} if "wide_resnet28" not in name else config,
        "shape": list(shape), "classes": 7, "train": train, "logits": numbers(logits),
        "gradients": {g: numbers(params[g].grad)[:60] for g in grads},
    }


def first(name, by=1):
    """Standard deviations of freshly drawn weights, of at least 500 values."""
    model = make(name, 1000) if name not in ("googlenet", "inception_v3") else tv.get_model(
        name, weights=None, num_classes=1000, aux_logits=False, init_weights=True)
    kept = [(k, v) for k, v in model.named_parameters() if v.numel() >= 500 and (v.dim() > 1 or k.endswith("bias"))]
    kept = [(k, v) for k, v in kept if v.dim() > 1 or ("bn" not in k and "norm" not in k and "downsample" not in k)]
    kept = kept[:3] + kept[3:-3:9] + kept[-3:]
    return {"config": {"name": name}, "deviations": {k: float(f"{v.detach().double().pow(2).mean().sqrt():.5g}") for k, v in kept}}


def main():
    names = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2", "resnext50_32x4d",
             "seresnet50", "alexnet", "googlenet", "densenet121", "densenet169", "squeezenet1_1"]
    names += [f"vgg{n}{bn}" for n in (11, 13, 16, 19) for bn in ("", "_bn")]
    counts = [count(name) for name in names]
    counts += [count("inception_v3", side=299), count("wide_resnet28_10", side=32, classes=10)]
    res = {"width": 8}
    r = ["conv1.weight", "layer2.0.conv1.weight", "layer2.0.downsample.1.weight", "fc.weight"]
    wide = ["conv1.weight", "block2.layer.0.convShortcut.weight", "bn1.bias", "fc.bias"]
    alex = {"name": "alexnet", "width": 8, "hidden": 512, "dropout": 0.0}
    vgg = {"width": 8, "hidden": 512, "dropout": 0.0}
    google = {"name": "googlenet", "width": 0.125, "dropout": 0.0}
    v3 = {"name": "inception_v3", "width": 0.125, "dropout": 0.0}
    dense = {"growth": 4, "width": 8}
    squeeze = {"name": "squeezenet1_1", "width": 0.25, "dropout": 0.0}
    cases = [
        case({"name": "resnet18"} | res, 8, (2, 3, 64, 64)),
        case({"name": "resnet18"} | res, 8, (3, 3, 32, 24), "small", True, r),
        case({"name": "resnet34"} | res, 8, (2, 3, 47, 64)),
        case({"name": "resnet50"} | res, 8, (4, 3, 64, 64), "imagenet", True, r + ["layer1.0.conv3.weight"]),
        case({"name": "resnet50"} | res, 8, (2, 3, 33, 32), "small"),
        case({"name": "wide_resnet50_2"} | res, 8, (2, 3, 64, 64)),
        case({"name": "resnext50_32x4d", "width": 64}, 1, (2, 3, 40, 40), "imagenet", False, r),
        case({"name": "seresnet50", "width": 64}, 1, (2, 3, 33, 40), "imagenet", False, r + ["layer3.1.se.fc2.weight"]),
        case({"name": "wide_resnet28_10", "depth": 16, "width": 2}, 1, (4, 3, 17, 20), "imagenet", True, wide,
             {"depth": 16, "width": 2}),
        case(alex, 8, (2, 3, 96, 80), "imagenet", True, ["features.0.weight", "features.8.bias", "classifier.4.weight"]),
        case(alex, 8, (2, 3, 32, 32), "small"),
        case({"name": "vgg11"} | vgg, 8, (2, 3, 64, 64), "imagenet", True, ["features.0.weight", "classifier.6.weight"]),
        case({"name": "vgg13_bn"} | vgg, 8, (3, 3, 64, 70), "imagenet", True,
             ["features.0.weight", "features.1.bias", "classifier.0.weight"]),
        case({"name": "vgg16_bn"} | vgg, 8, (2, 3, 32, 40), "small"),
        case({"name": "vgg19"} | vgg, 8, (2, 3, 96, 64)),
        case(google, 8, (3, 3, 64, 80), "imagenet", True,
             ["conv1.conv.weight", "inception4b.branch3.1.bn.weight", "inception5b.branch4.1.conv.weight", "fc.weight"]),
        case(google, 8, (2, 3, 33, 32), "small"),
        case(v3, 8, (4, 3, 139, 123), "imagenet", True, ["Conv2d_1a_3x3.conv.weight", "Mixed_7c.branch3x3_2b.bn.bias", "fc.weight"]),
        case(v3, 8, (2, 3, 107, 96), "imagenet", False,
             ["Conv2d_1a_3x3.conv.weight", "Mixed_6c.branch7x7dbl_4.conv.weight", "Mixed_7a.branch3x3_2.bn.weight"]),
        case(v3, 8, (2, 3, 32, 37), "small"),
        case({"name": "densenet121"} | dense, 8, (3, 3, 64, 64), "imagenet", True,
             ["features.conv0.weight", "features.denseblock3.denselayer5.conv2.weight", "features.transition1.conv.weight",
              "features.norm5.weight", "classifier.weight"]),
        case({"name": "densenet169"} | dense, 8, (2, 3, 32, 33), "small"),
        case(squeeze, 4, (2, 3, 64, 71), "imagenet", True, ["features.0.weight", "features.9.expand3x3.weight", "classifier.1.bias"]),
        case(squeeze, 4, (2, 3, 32, 32), "small"),
    ]
    inits = ["resnet50", "seresnet50", "alexnet", "vgg11", "googlenet", "inception_v3", "densenet121", "squeezenet1_1"]
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__, "timm": timm.__version__}
    print(json.dumps({**versions, "counts": counts, "cases": cases, "first": [first(name) for name in inits]}))


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
