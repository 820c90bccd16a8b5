"""The sample pipeline's three networks in PyTorch: same packed images, recipe and budget, n seeds.

    python tests/goldens/sample_peer.py [--pipeline pipelines/sample.yaml] [--home .peregrine] [--seeds 5]

Run the pipeline first: the images are those that its `pack` stages left in the cache, read byte for byte, and the
recipe is read from the pipeline file, with Peregrine's defaults where the file is silent. Written to stand apart
from Peregrine: plain torch.nn modules, torch.optim, torchvision transforms. Needs torch, torchvision, numpy,
polars (for Parquet) and PyYAML; writes tests/goldens/sample_peer.json.
"""

import argparse
import json
import math
import pathlib
import re
import time

import numpy
import polars
import torch
import torchvision
import yaml
from torch import nn
from torch.nn import functional as F
from torchvision.transforms import v2


# Data: the artifact `images` is images.json, images.parquet (id, label, weight, slot) and pixels.u8 (HWC).


class Pack:
    def __init__(self, folder):
        self.meta = json.loads((folder / "images.json").read_text())
        rows = polars.read_parquet(folder / "images.parquet")
        height, width, channels = (self.meta[key] for key in ("height", "width", "channels"))
        stored = numpy.fromfile(folder / "pixels.u8", numpy.uint8).reshape(-1, height, width, channels)
        pixels = stored[rows["slot"].to_numpy()]
        self.images = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())  # [n, c, h, w], u8
        self.labels = torch.from_numpy(rows["label"].to_numpy().astype(numpy.int64))
        self.weights = torch.from_numpy(rows["weight"].to_numpy().astype(numpy.float32))


def newest_packs(home):
    """The packs of train, val and test that were written last."""
    found = {}
    for index in sorted(home.glob("cache-v*/pack/*/**/images.json"), key=lambda path: path.stat().st_mtime):
        found[json.loads(index.read_text())["split"]] = index.parent
    missing = {"train", "val", "test"} - set(found)
    if missing:
        raise SystemExit(f"no packs of {sorted(missing)} in `{home}` (run the pipeline first)")
    return {split: Pack(folder) for split, folder in found.items()}


# Networks.


class SampleCnn(nn.Module):
    def __init__(self, channels, size, classes, width=32, hidden=512, dropout=0.5):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.fc1 = nn.Linear(2 * width * (size[0] // 4) * (size[1] // 4), hidden)
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(hidden, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(self.dropout(F.relu(self.fc1(x.flatten(1)))))


class Lenet5(nn.Module):
    def __init__(self, channels, size, classes, padding=2):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 6, 5, padding=padding)
        self.conv2 = nn.Conv2d(6, 16, 5)
        height, width = (((side + 2 * padding - 4) // 2 - 4) // 2 for side in size)
        self.fc1 = nn.Linear(16 * height * width, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.downsample(x))


class Resnet(nn.Module):
    """The residual network for small images, 6n + 2 layers (He et al. 2016, section 4.2), option B."""

    def __init__(self, channels, size, classes, depth=20, width=16):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        blocks, inputs = [], width
        for group in range(3):
            for n in range((depth - 2) // 6):
                outputs = width << group
                blocks.append(Block(inputs, outputs, 2 if group > 0 and n == 0 else 1))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(inputs, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        return self.fc(self.blocks(F.relu(self.bn1(self.conv1(x)))).mean((2, 3)))


NETWORKS = {"sample_cnn": SampleCnn, "lenet5": Lenet5, "resnet": Resnet}


# Recipe.


def optimizer(model, config):
    config = {"name": "adam", **(config or {})}
    name = config.pop("name")
    defaults = {
        "sgd": {"lr": 0.05, "momentum": 0.9, "dampening": 0.0, "nesterov": True, "weight_decay": 5e-4},
        "adam": {"lr": 0.001, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0},
        "adamw": {"lr": 0.001, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01},
    }[name]
    config = {**defaults, "decay_norm_and_bias": False, **config}
    everywhere = config.pop("decay_norm_and_bias")
    if name != "sgd":
        config["betas"] = (config.pop("beta1"), config.pop("beta2"))
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1]},
        {"params": [p for p in model.parameters() if p.ndim <= 1]},
    ]
    if not everywhere:
        groups[1]["weight_decay"] = 0.0
    return {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name](groups, **config)


def rate(step, lr, schedule, warmup, epochs, steps_per_epoch):
    """The learning rate of a step, counted from 0."""
    schedule = {"name": "cosine", **(schedule or {})}
    warmup = {"epochs": 1.0, "start": 0.1, **(warmup or {})}
    total = epochs * steps_per_epoch
    rise = min(math.floor(warmup["epochs"] * steps_per_epoch + 0.5), total)
    if step < rise:
        return lr * (warmup["start"] + (1 - warmup["start"]) * step / rise)
    step -= rise
    if schedule["name"] == "cosine":
        low = schedule.get("min_lr", 0.0)
        return low + (lr - low) * (1 + math.cos(math.pi * step / max(total - rise, 1))) / 2
    if schedule["name"] == "step":
        every = max(1, math.floor(schedule.get("every_epochs", 5.0) * steps_per_epoch + 0.5))
        return lr * schedule.get("gamma", 0.1) ** (step // every)
    return lr


def transform(config):
    """One of Peregrine's transforms as torchvision's, on an image of floats in 0..1."""
    config = dict(config)
    name = config.pop("name")
    if name == "random_horizontal_flip":
        return v2.RandomHorizontalFlip(config.get("p", 0.5))
    if name == "random_vertical_flip":
        return v2.RandomVerticalFlip(config.get("p", 0.5))
    if name == "random_crop":
        padding, mode = config.get("padding", 4), config.get("padding_mode", "constant")
        return lambda image: v2.RandomCrop(
            image.shape[-2:], padding=padding, fill=config.get("fill", 0.0), padding_mode=mode
        )(image)
    if name == "random_rotation":
        return v2.RandomRotation(
            config.get("degrees", 10.0), interpolation=v2.InterpolationMode.BILINEAR, fill=config.get("fill", 0.0)
        )
    if name == "color_jitter":
        return v2.ColorJitter(**{key: config.get(key, 0.2) for key in ("brightness", "contrast", "saturation")})
    if name == "gaussian_noise":
        return v2.RandomApply([v2.GaussianNoise(sigma=config.get("sigma", 0.05))], config.get("p", 0.5))
    if name == "random_erasing":
        return v2.RandomErasing(
            config.get("p", 0.25), config.get("scale", (0.02, 0.33)), config.get("ratio", (0.3, 3.3)), config.get("value", 0.0)
        )
    raise SystemExit(f"the transform `{name}` has no counterpart here")


DEFAULT_TRANSFORMS = [{"name": "random_crop"}, {"name": "random_horizontal_flip"}]


def augmented(images, transforms):
    images = images.float() / 255
    if not transforms:
        return images
    out = []
    for image in images:
        for change in transforms:
            image = change(image)
        out.append(image)
    return torch.stack(out)


def fit(packs, config, policy, class_weights, seed):
    """Trains one network; the test top1 of the epoch that `keep` asks for, and what led to it."""
    torch.manual_seed(seed)
    train, meta = packs["train"], packs["train"].meta
    mean = torch.tensor(meta["mean"], dtype=torch.float32).view(-1, 1, 1)
    std = torch.tensor(meta["std"], dtype=torch.float32).view(-1, 1, 1)
    normalized = lambda images: (images - mean) / std
    network = {"name": "sample_cnn", **config["model"]}
    model = NETWORKS[network.pop("name")](
        meta["channels"], (meta["height"], meta["width"]), len(meta["classes"]), **network
    )
    steps = optimizer(model, config.get("optimizer"))
    lr = steps.param_groups[0]["lr"]
    epochs, batch = config.get("epochs", 10), config.get("batch_size", 64)
    loss = {"label_smoothing": 0.0, **{k: v for k, v in config.get("loss", {}).items() if k != "name"}}
    weights = None
    if class_weights and loss.get("use_class_weights", True):
        counts = torch.bincount(train.labels, minlength=len(meta["classes"])).float()
        weights = counts.sum() / counts
    transforms = [] if policy is None else [transform(t) for t in policy.get("transforms", DEFAULT_TRANSFORMS)]
    policy = policy or {}
    if policy.get("mix") or policy.get("normalize", {"name": "dataset"})["name"] != "dataset":
        raise SystemExit("mixed images, and normalization by other images' numbers, have no counterpart here")
    if (train.weights != 1).any():
        raise SystemExit("weighted images have no counterpart here")
    steps_per_epoch = math.ceil(len(train.labels) / batch)
    best, step = None, 0
    for epoch in range(epochs):
        model.train()
        for chosen in torch.randperm(len(train.labels)).split(batch):
            for group in steps.param_groups:
                group["lr"] = rate(step, lr, config.get("schedule"), config.get("warmup"), epochs, steps_per_epoch)
            images = normalized(augmented(train.images[chosen], transforms))
            value = F.cross_entropy(
                model(images), train.labels[chosen], weight=weights, label_smoothing=loss["label_smoothing"]
            )
            steps.zero_grad()
            value.backward()
            if config.get("clip_grad_norm"):
                nn.utils.clip_grad_norm_(model.parameters(), config["clip_grad_norm"])
            steps.step()
            step += 1
        val_top1, val_loss = measure(model, packs["val"], normalized)
        now = (val_top1, -val_loss)  # between equals the lower loss is better
        if config.get("keep", "best") == "last" or best is None or now > best[0]:
            best = (now, epoch + 1, measure(model, packs["test"], normalized)[0])
    return {"seed": seed, "test_top1": best[2], "val_top1": best[0][0], "epoch": best[1]}


@torch.no_grad()
def measure(model, pack, normalized):
    model.eval()
    logits = torch.cat([model(normalized(images.float() / 255)) for images in pack.images.split(256)])
    return (logits.argmax(1) == pack.labels).float().mean().item(), F.cross_entropy(logits, pack.labels).item()


# The pipeline file.


def resolved(value, variables):
    """`${vars.x}` replaced, whole values keeping their type."""
    if isinstance(value, dict):
        return {key: resolved(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item, variables) for item in value]
    if not isinstance(value, str):
        return value
    whole = re.fullmatch(r"\$\{([\w.]+)\}", value)
    if whole:
        return variables[whole[1]]
    return re.sub(r"\$\{([\w.]+)\}", lambda found: str(variables[found[1]]), value)


def trainings(pipeline):
    """Name, params, policy and whether classes are weighed, of every training; a matrix gives one each."""
    stages = pipeline["stages"]
    variables = {f"vars.{key}": value for key, value in (pipeline.get("vars") or {}).items()}
    kind = lambda name: stages[name].get("kind", name)
    for name, stage in stages.items():
        if kind(name) != "train":
            continue
        matrix = stage.get("matrix") or {}
        cases = [{}]
        for key, values in matrix.items():
            cases = [{**case, f"matrix.{key}": value} for case in cases for value in values]
        for case in cases:
            values = {**variables, **case}
            for key, value in case.items():
                if isinstance(value, dict):
                    values.update({f"{key}.{inner}": item for inner, item in value.items()})
            inputs = stage.get("inputs", {})
            source = inputs.get("policy")
            policy = (stages[source.split(".")[0]].get("params") or {}) if source else None
            yield (
                resolved(stage.get("params") or {}, values),
                resolved(policy, values),
                "class_weights" in inputs,
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pipeline", type=pathlib.Path, default=pathlib.Path("pipelines/sample.yaml"))
    parser.add_argument("--home", type=pathlib.Path, default=pathlib.Path(".peregrine"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    packs = newest_packs(arguments.home)
    results = {
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "images": {split: len(pack.labels) for split, pack in sorted(packs.items())},
        "networks": {},
    }
    for config, policy, class_weights in trainings(yaml.safe_load(arguments.pipeline.read_text())):
        name = config["model"]["name"]
        begun = time.time()
        runs = [fit(packs, config, policy, class_weights, seed) for seed in range(arguments.seeds)]
        top1 = numpy.array([run["test_top1"] for run in runs])
        mean, std = top1.mean(), top1.std(ddof=1) if len(top1) > 1 else 0.0
        each = (time.time() - begun) / len(runs)
        print(f"{name:12} test top1 {mean:.4f} ± {std:.4f} (n = {len(runs)}), {each:.1f} s a seed", flush=True)
        results["networks"][name] = {
            "test_top1_mean": round(float(mean), 6),
            "test_top1_std": round(float(std), 6),
            "params": config,
            "policy": policy,
            "runs": [{key: round(value, 6) for key, value in run.items()} for run in runs],
        }
    arguments.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
