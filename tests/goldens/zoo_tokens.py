"""Known answers for the models with tokens and pyramids (crates/models/src/zoo_tokens_tests.rs).

    python tests/goldens/zoo_tokens.py > tests/goldens/zoo_tokens.json

Needs torch 2.9, torchvision 0.24 and timm 1.0.31. Counts are those of the published sizes at 224 pixels and 1000 classes;
`gflops` are those that torchvision documents (multiply-adds); names are stored as the FNV-1a digest of sorted `name:shape` lines. Weights and images are not stored: both sides compute
them from `value(n, k)`, where k is the sum of the bytes of a tensor's name modulo 97. Logits are of small variants, in
evaluation; gradients are those of the sum of logits times `value`, in training where nothing is dropped.
"""

import json

import numpy as np
import timm
import torch
import torchvision
from torch import nn
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.ops import FeaturePyramidNetwork


def value(n, k):
    i = np.arange(n, dtype=np.float64)
    return np.sin(0.013 * i * i + 0.7 * i + k)


def key(name):
    return sum(name.encode()) % 97


def fill(model):
    state = {}
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            state[name] = tensor
            continue
        v = value(tensor.numel(), key(name))
        if name.endswith("running_var"):
            v = 1 + 0.5 * v
        elif tensor.dim() == 1:
            v = (1 + 0.3 * v) if name.endswith("weight") else 0.1 * v
        elif tensor.dim() == 3:
            v = 0.5 * v
        else:
            v = v * (3.0 / tensor[0].numel()) ** 0.5
        state[name] = torch.tensor(v.astype(np.float32)).reshape(tensor.shape)
    model.load_state_dict(state)
    return model


def digest(model):
    lines = sorted(f"{k}:{list(v.shape)}\n" for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked"))
    hash = 0xCBF29CE484222325
    for byte in "".join(lines).replace(" ", "").encode():
        hash = ((hash ^ byte) * 0x100000001B3) % 2**64
    return f"{hash:016x}"


def numbers(tensor):
    return [float(f"{x:.7g}") for x in tensor.detach().flatten().tolist()]


class Pyramid(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1])
        self.backbone.fc = nn.Identity()
        self.fpn = FeaturePyramidNetwork([64, 128, 256, 512], 12)
        self.fc = nn.Linear(48, 5)

    def state_dict(self, *args, **kwargs):
        return {k.removeprefix("backbone."): v for k, v in super().state_dict(*args, **kwargs).items()}

    def load_state_dict(self, state):
        super().load_state_dict({k if k.startswith(("fpn.", "fc.")) else f"backbone.{k}": v for k, v in state.items()})

    def forward(self, x):
        b = self.backbone
        x = b.maxpool(b.relu(b.bn1(b.conv1(x))))
        maps = {}
        for i, layer in enumerate([b.layer1, b.layer2, b.layer3, b.layer4]):
            x = layer(x)
            maps[str(i)] = x
        return self.fc(torch.cat([m.mean((2, 3)) for m in self.fpn(maps).values()], 1))


class Reader(nn.Module):
    """Rows of the maps of a stem, read both ways."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 4, batch_first=True, bidirectional=True)

    def forward(self, x):
        _, (held, _) = self.lstm(x.permute(0, 2, 1, 3).flatten(2))
        return torch.cat([held[0], held[1]], 1)


def case(config, model, side, gradients=()):
    fill(model)
    model.eval()
    x = torch.tensor(value(2 * 3 * side * side, 100).astype(np.float32)).reshape(2, 3, side, side)
    logits = model(x)
    pull = torch.tensor(value(logits.numel(), 7).astype(np.float32)).reshape(logits.shape)
    (logits * pull).sum().backward()
    named = dict(model.named_parameters())
    return {
        "config": config,
        "side": side,
        "logits": numbers(logits),
        "gradients": {name: numbers(named[name].grad.flatten()[:40]) for name in gradients},
    }


counts = []
for name, other in [("vit_tiny", "vit_tiny_patch16_224"), ("vit_small", "vit_small_patch16_224"), ("vit_base", "vit_base_patch16_224")]:
    model = timm.create_model(other)
    counts.append({"config": {"name": name}, "parameters": sum(p.numel() for p in model.parameters()), "digest": digest(model)})
counts[-1]["gflops"] = torchvision.models.ViT_B_16_Weights.IMAGENET1K_V1.meta["_ops"]
model = torchvision.models.convnext_tiny()
counts.append({"config": {"name": "convnext_tiny"}, "parameters": sum(p.numel() for p in model.parameters()), "digest": digest(model)})
counts[-1]["gflops"] = torchvision.models.ConvNeXt_Tiny_Weights.IMAGENET1K_V1.meta["_ops"]

vit = timm.models.vision_transformer.VisionTransformer(img_size=32, patch_size=4, embed_dim=24, depth=2, num_heads=3, num_classes=5)
convnext = ConvNeXt([CNBlockConfig(8, 16, 1), CNBlockConfig(16, 32, 1), CNBlockConfig(32, 64, 2), CNBlockConfig(64, None, 1)], num_classes=5)
resnet = {"name": "resnet18", "blocks": [1, 1, 1, 1]}
cases = [
    case({"name": "vit_tiny", "patch": 4, "width": 24, "depth": 2, "heads": 3}, vit, 32, ["cls_token", "pos_embed", "blocks.0.attn.qkv.weight", "patch_embed.proj.weight", "blocks.1.norm2.weight"]),
    case({"name": "convnext_tiny", "width": 8, "blocks": [1, 1, 2, 1]}, convnext, 64, ["features.1.0.layer_scale", "features.0.0.weight", "features.5.1.block.3.weight", "features.4.0.weight"]),
    case({"name": "fpn", "backbone": resnet, "channels": 12}, Pyramid(), 70, ["fc.weight", "fpn.inner_blocks.0.0.weight", "fpn.layer_blocks.2.0.bias"]),
]

reader = fill(Reader())
x = torch.tensor(value(2 * 2 * 5 * 3, 100).astype(np.float32)).reshape(2, 2, 5, 3)
print(json.dumps({"counts": counts, "cases": cases, "lstm": numbers(reader(x))}))
