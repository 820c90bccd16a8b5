"""Known answers for the models of `crates/models/src/zoo_b_tests.rs`: counts, names, logits, gradients.

    python tests/goldens/zoo_b.py > tests/goldens/zoo_b.json

Needs torch 2.9, torchvision 0.24 and timm 1.0.31. Weights and images are not stored: both sides
compute them from `value(n, k)`, the values of the k-th tensor of the state dict. Names are stored as
the 64-bit FNV-1a digest of `name:shape` lines in the order of the state dict.
"""

import json

import numpy as np
import timm
import torch
import torchvision.models as tv
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


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


def count(config, make, side=224, classes=1000):
    # RegNet's widths are computed with tensors.
    with torch.device("cpu" if config["name"].startswith("regnet") else "meta"):
        model = make(classes)
        images = torch.zeros(1, 3, side, side)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(images)
    return {
        "config": config, "side": side, "classes": classes,
        "parameters": sum(p.numel() for p in model.parameters()),
        "multiply_adds": counter.get_total_flops() // 2,
        "digest": digest(model),
    }


def case(config, model, shape, train=False, grads=()):
    """`model` makes 5 classes; gradients are stored by their first 200 values."""
    fill(model)
    model.train(train)
    x = torch.tensor(value(int(np.prod(shape)), 100).astype(np.float32)).reshape(shape)
    logits = model(x)
    loss = nn.functional.cross_entropy(logits, torch.arange(shape[0]) % 5)
    loss.backward()
    params = dict(model.named_parameters())
    return {
        "config": config, "shape": list(shape), "train": train, "logits": numbers(logits),
        "gradients": {name: numbers(params[name].grad.flatten()[:200]) for name in grads},
    }


def smooth(model):
    """`model` with SiLU in place of ReLU and ReLU6, whose kinks turn a rounding into another gradient: torch's own first ones
    in single and double precision differ by 2e-3."""
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, (nn.ReLU, nn.ReLU6)):
                setattr(module, name, nn.SiLU())
    return model


def stride1(*convs):
    """The small-image stem: these convolutions keep the size."""
    for conv in convs:
        conv.stride = (1, 1)


def mobilenet_v2(classes, small=False, **options):
    model = tv.mobilenet_v2(num_classes=classes, **options)
    if small:
        block = model.features[2]
        stride1(model.features[0][0], block.conv[1][0])
        # The rule that a block which keeps its shape is summed with its input.
        block.use_res_connect = block.conv[0][0].in_channels == block.out_channels
    return model


def main():
    counts = [
        count({"name": "mobilenet_v2"}, mobilenet_v2),
        count({"name": "mobilenet_v2", "width": 0.35}, lambda n: mobilenet_v2(n, width_mult=0.35)),
        count({"name": "mobilenet_v2", "width": 1.4}, lambda n: mobilenet_v2(n, width_mult=1.4), side=96),
        count({"name": "mobilenet_v2", "stem": "small"}, lambda n: mobilenet_v2(n, small=True), 32, 10),
    ]
    thin = {"name": "mobilenet_v2", "width": 0.25, "dropout": 0, "stem": "small", "activation": "silu"}
    cases = [
        case({"name": "mobilenet_v2"}, mobilenet_v2(5), (2, 3, 40, 33)),
        case(thin, smooth(mobilenet_v2(5, True, width_mult=0.25, dropout=0.0)), (4, 3, 24, 20), True,
             ["features.0.0.weight", "features.3.conv.1.0.weight", "classifier.1.weight", "classifier.1.bias"]),
    ]
    for name in ["mobilenet_v3_large", "mobilenet_v3_small", "efficientnet_b0", "efficientnet_b1", "efficientnet_b2",
                 "efficientnet_b3", "regnet_x_400mf", "regnet_y_400mf"]:
        make = getattr(tv, name)
        counts.append(count({"name": name}, lambda n: make(num_classes=n)))
        if name not in ["efficientnet_b1", "efficientnet_b2"]:
            cases.append(case({"name": name}, make(num_classes=5), (2, 3, 40, 33)))
    lite = lambda n: timm.create_model("efficientnet_lite0", num_classes=n)
    counts.append(count({"name": "efficientnet_lite0"}, lite))
    cases += [
        case({"name": "efficientnet_lite0"}, lite(5), (2, 3, 40, 33)),
        case({"name": "mobilenet_v3_small", "dropout": 0}, tv.mobilenet_v3_small(num_classes=5, dropout=0.0),
             (4, 3, 70, 65), True, ["classifier.3.weight"]),
        case({"name": "regnet_y_400mf", "activation": "silu"},
             smooth(tv.regnet_y_400mf(num_classes=5)), (4, 3, 70, 65), True,
             ["stem.0.weight", "trunk_output.block3.block3-1.f.b.0.weight", "fc.weight"]),
    ]
    print(json.dumps({"torch": torch.__version__, "counts": counts, "cases": cases}))


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
