"""Known answers for `crates/models`: parameter counts, logits, gradients and running statistics.

    python tests/goldens/models.py > tests/goldens/models.json

Needs torch 2.9 and torchvision 0.24. Weights and images are not stored: both sides compute them
from `value(i, k)`, the i-th value of the k-th tensor of the state dict.
"""

import json

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.resnet import BasicBlock, conv1x1


class Pad(nn.Module):
    """He et al. 2016, option A."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.side = (outputs - inputs) // 2

    def forward(self, x):
        return nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.side, self.side))


class Resnet(nn.Module):
    def __init__(self, channels, classes, depth, width, shortcut="projection"):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inputs = width
        for group in range(3):
            outputs, blocks = width << group, []
            for i in range((depth - 2) // 6):
                stride = 2 if i == 0 and group > 0 else 1
                around = None
                if stride == 2 and shortcut == "projection":
                    around = nn.Sequential(conv1x1(inputs, outputs, 2), nn.BatchNorm2d(outputs))
                elif stride == 2:
                    around = Pad(inputs, outputs)
                blocks.append(BasicBlock(inputs, outputs, stride, around))
                inputs = outputs
            setattr(self, f"layer{group + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


class SampleCnn(nn.Module):
    def __init__(self, channels, classes, side, width=32, hidden=512):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.fc1 = nn.Linear(2 * width * (side // 4) ** 2, hidden)
        self.fc2 = nn.Linear(hidden, classes)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = nn.functional.max_pool2d(torch.relu(self.conv2(x)), 2)
        x = torch.relu(self.fc1(x.flatten(1)))
        return self.fc2(nn.functional.dropout(x, 0.5, self.training))


class Lenet5(nn.Module):
    def __init__(self, channels, classes, side, act=torch.relu, pool=nn.functional.max_pool2d):
        super().__init__()
        self.act, self.pool = act, pool
        self.conv1 = nn.Conv2d(channels, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * ((side // 2 - 4) // 2) ** 2, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, x):
        x = self.pool(self.act(self.conv1(x)), 2)
        x = self.pool(self.act(self.conv2(x)), 2)
        x = self.act(self.fc1(x.flatten(1)))
        return self.fc3(self.act(self.fc2(x)))


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
        elif tensor.dim() == 1 and (".bn" in name or name.startswith("bn") or "downsample.1" in name):
            v = (1 + 0.3 * v) if name.endswith("weight") else 0.2 * v
        elif tensor.dim() == 1:
            v = 0.1 * v
        else:
            v = v * (3.0 / tensor[0].numel()) ** 0.5
        state[name] = torch.tensor(v.astype(np.float32)).reshape(tensor.shape)
    model.load_state_dict(state)


def numbers(tensor):
    return [float(f"{x:.8g}") for x in tensor.detach().flatten().tolist()]


def case(config, model, shape, grads, train):
    n, classes = shape[0], 5
    fill(model)
    model.train(train)
    x = torch.tensor(value(int(np.prod(shape)), 100).astype(np.float32)).reshape(shape)
    labels = torch.arange(n) % classes
    logits = model(x)
    loss = nn.functional.cross_entropy(logits, labels)
    loss.backward()
    params = dict(model.named_parameters())
    out = {
        "config": config, "shape": list(shape), "classes": classes, "train": train,
        "logits": numbers(logits), "loss": loss.item(),
        "gradients": {name: numbers(params[name].grad) for name in grads},
        "buffers": {k: numbers(v) for k, v in model.state_dict().items() if "bn1.running" in k},
    }
    return out


def count(config, model, channels, side, classes):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.zeros(1, channels, side, side))
    return {
        "multiply_adds": counter.get_total_flops() // 2,
        "config": config, "channels": channels, "side": side, "classes": classes,
        "parameters": sum(p.numel() for p in model.parameters()),
        "names": [k for k in model.state_dict() if not k.endswith("num_batches_tracked")],
    }


def main():
    counts = [
        count({"name": "sample_cnn"}, SampleCnn(3, 10, 32), 3, 32, 10),
        count({"name": "sample_cnn"}, SampleCnn(1, 10, 28), 1, 28, 10),
        count({"name": "lenet5"}, Lenet5(1, 10, 28), 1, 28, 10),
        count({"name": "lenet5"}, Lenet5(3, 7, 32), 3, 32, 7),
    ]
    for depth, width in [(8, 16), (14, 16), (20, 16), (32, 16), (56, 16), (20, 64)]:
        for shortcut in ["projection", "pad"]:
            config = {"name": "resnet", "depth": depth, "width": width, "shortcut": shortcut}
            counts.append(count(config, Resnet(3, 10, depth, width, shortcut), 3, 32, 10))
    cnn = {"name": "sample_cnn", "width": 3, "hidden": 7}
    paper = {"name": "lenet5", "activation": "tanh", "pool": "average"}
    resnet = {"name": "resnet", "depth": 8, "width": 4}
    pad = resnet | {"shortcut": "pad"}
    deep = {"name": "resnet", "depth": 14, "width": 3}
    grads = ["conv1.weight", "bn1.weight", "bn1.bias", "layer1.0.conv2.weight", "layer2.0.bn2.weight",
             "fc.weight", "fc.bias"]
    down = ["layer2.0.downsample.0.weight", "layer3.0.downsample.1.bias"]
    cases = [
        case(cnn, SampleCnn(3, 5, 9, 3, 7), (4, 3, 9, 9), ["conv1.weight", "conv2.bias", "fc1.weight", "fc2.bias"], False),
        case({"name": "lenet5"}, Lenet5(1, 5, 12), (3, 1, 12, 12), ["conv1.weight", "conv2.bias", "fc3.bias"], False),
        case(paper, Lenet5(1, 5, 14, torch.tanh, nn.functional.avg_pool2d), (3, 1, 14, 14), ["conv1.weight", "fc1.bias"], True),
        case(resnet, Resnet(3, 5, 8, 4), (4, 3, 8, 8), grads + down, True),
        case(resnet, Resnet(3, 5, 8, 4), (4, 3, 7, 9), grads + down, False),
        case(pad, Resnet(1, 5, 8, 4, "pad"), (4, 1, 9, 8), grads, True),
        case(deep, Resnet(3, 5, 14, 3), (5, 3, 8, 8), grads + down, True),
    ]
    print(json.dumps({"torch": torch.__version__, "counts": counts, "cases": cases}))


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
