"""A small residual network trained in PyTorch from given weights: losses and final weights.

    python tests/goldens/training.py > tests/goldens/training.json

torch 2.9.0 made the committed file. ResNet of depth 8 and width 2 on 24 images of 8×8 pixels in
three classes, all of them in each step, so that no order matters; twelve epochs. AdamW with weight
decay on matrices alone, warm-up of two steps, cosine, label smoothing, class weights, clipping.
"""

import json

import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(17)
torch.use_deterministic_algorithms(True)
EPOCHS, LR, WARMUP, CLIP = 12, 0.01, 2, 1.5
MEAN, STD = 0.45, 0.27


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        around = x if self.downsample is None else self.downsample(x)
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + around)


class Resnet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 2, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(2)
        self.layer1 = nn.Sequential(Block(2, 2, 1))
        self.layer2 = nn.Sequential(Block(2, 4, 2))
        self.layer3 = nn.Sequential(Block(4, 8, 2))
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        return self.fc(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


def state(model):
    return [
        {"name": name, "shape": list(value.shape), "data": value.ravel().tolist()}
        for name, value in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    ]


def images(n):
    labels = torch.arange(n) % 3
    pixels = torch.randint(0, 120, (n, 8, 8))
    for i, label in enumerate(labels):
        pixels[i, 3 * label : 3 * label + 2] += 110
    return pixels.to(torch.uint8), labels


model = Resnet()
with torch.no_grad():
    for name, value in model.named_parameters():
        if "bn" in name or "downsample.1" in name:
            value.add_(torch.randn_like(value) * 0.2)
first = state(model)
train, val = images(24), images(9)
weights = torch.tensor([1.0, 2.0, 0.5])
matrices = [p for p in model.parameters() if p.ndim > 1]
vectors = [p for p in model.parameters() if p.ndim <= 1]
optimizer = torch.optim.AdamW(
    [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}], lr=LR
)
scheduler = torch.optim.lr_scheduler.SequentialLR(
    optimizer,
    [
        torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, 1.0, WARMUP),
        torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS - WARMUP),
    ],
    [WARMUP],
)


def batch(pixels):
    return ((pixels.float() / 255 - MEAN) / STD).unsqueeze(1)


rows = []
for _ in range(EPOCHS):
    model.train()
    optimizer.zero_grad()
    logits = model(batch(train[0]))
    loss = F.cross_entropy(logits, train[1], weight=weights, label_smoothing=0.1)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
    lr = optimizer.param_groups[0]["lr"]
    optimizer.step()
    scheduler.step()
    model.eval()
    with torch.no_grad():
        answers = model(batch(val[0]))
    rows.append({
        "lr": lr,
        "train_loss": loss.item(),
        "train_top1": (logits.argmax(1) == train[1]).float().mean().item(),
        "val_loss": F.cross_entropy(answers, val[1]).item(),
        "val_top1": (answers.argmax(1) == val[1]).float().mean().item(),
    })
print(json.dumps({
    "train": train[0].ravel().tolist(), "train_labels": train[1].tolist(),
    "val": val[0].ravel().tolist(), "val_labels": val[1].tolist(),
    "first": first, "epochs": rows, "last": state(model),
}))
