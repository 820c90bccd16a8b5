"""Known answers for weights under other people's names (crates/models/src/names_tests.rs).

    python tests/goldens/names.py > tests/goldens/names.json

Needs torch 2.9, torchvision 0.24 and timm 1.0.31. For each model of timm or torchvision: the names and shapes of its
state dict and its logits in evaluation. Weights and images are not stored: both sides compute them from `value(n, k)`,
where k is the place of a tensor in the state dict.
"""

import json

import numpy as np
import timm
import torch
from torch import nn
from torchvision.models import vision_transformer


def value(n, k):
    i = np.arange(n, dtype=np.float64)
    return np.sin(0.013 * i * i + 0.7 * i + k)


def filled(model):
    state = model.state_dict()
    kept = [name for name in state if not name.endswith("num_batches_tracked")]
    for k, name in enumerate(kept):
        tensor = state[name]
        v = value(tensor.numel(), k)
        if tensor.dim() > 1:
            v = v * (3.0 / tensor[0].numel()) ** 0.5
        elif name.endswith("running_var"):
            v = 1 + 0.5 * v
        elif name.endswith("weight"):
            v = 1 + 0.3 * v
        else:
            v = 0.1 * v
        state[name] = torch.tensor(v.astype(np.float32)).reshape(tensor.shape)
    model.load_state_dict(state)
    return model.eval()


def case(config, model, side, stored=None):
    """`stored` is the model whose state dict is loaded, where it is not `model` itself."""
    shapes = {k: list(v.shape) for k, v in (stored or model).state_dict().items() if "num_batches" not in k}
    if stored is None:
        filled(model)
    images = torch.tensor(value(2 * 3 * side * side, 100).astype(np.float32)).reshape(2, 3, side, side)
    with torch.no_grad():
        logits = model.eval()(images)
    numbers = [float(f"{x:.7g}") for x in logits.flatten().tolist()]
    return {"config": config, "side": side, "tensors": list(shapes.items()), "logits": numbers}


def vit(side):
    return vision_transformer.VisionTransformer(side, 8, 2, 3, 24, 96, num_classes=5)


def shrunk():
    """A model for 32 pixels with the weights of one for 64, and that one."""
    large, small = filled(vit(64)), vit(32)
    state = dict(large.state_dict())
    first, grid = state["encoder.pos_embedding"].split([1, 64], 1)
    grid = grid.transpose(1, 2).unflatten(2, (8, 8))
    grid = nn.functional.interpolate(grid, (4, 4), mode="bicubic", align_corners=False)
    state["encoder.pos_embedding"] = torch.cat([first, grid.flatten(2).transpose(1, 2)], 1)
    small.load_state_dict(state)
    return small, large


def timm_model(name, **options):
    return timm.create_model(name, num_classes=5, **options)


def main():
    tiny = {"name": "vit_tiny", "patch": 8, "width": 24, "depth": 2, "heads": 3}
    shape = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3}
    small, large = shrunk()
    torchvisions = {"bn_eps": 1e-3}  # which timm's MobileNetV3 has not
    cases = [
        case(tiny, timm_model("vit_tiny_patch16_224", **shape), 32),
        case(tiny, vit(32), 32),
        case(tiny, small, 32, large),
        case({"name": "convnext_tiny", "width": 16, "blocks": [1, 1, 2, 1]},
             timm_model("convnext_tiny", depths=(1, 1, 2, 1), dims=(16, 32, 64, 128)), 64),
        case({"name": "mobilenet_v2"}, timm_model("mobilenetv2_100"), 64),
        case({"name": "mobilenet_v3_small"}, timm_model("mobilenetv3_small_100", **torchvisions), 64),
        case({"name": "mobilenet_v3_large"}, timm_model("mobilenetv3_large_100", **torchvisions), 64),
        case({"name": "efficientnet_b0"}, timm_model("efficientnet_b0"), 64),
        case({"name": "regnet_x_400mf"}, timm_model("regnetx_004_tv"), 64),
        case({"name": "regnet_y_400mf"}, timm_model("regnety_004"), 64),
        case({"name": "vgg11_bn", "width": 4, "hidden": 4096}, timm.models.vgg.VGG(
            [4, "M", 8, "M", 16, 16, "M", 32, 32, "M", 32, 32, "M"], 5, norm_layer=nn.BatchNorm2d), 64),
        case({"name": "resnet18"}, timm_model("resnet18"), 64),
        case({"name": "densenet121"}, timm_model("densenet121"), 64),
    ]
    versions = {"torch": torch.__version__, "timm": timm.__version__}
    print(json.dumps({**versions, "cases": cases}))


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
