"""Learning rates of torch.optim.lr_scheduler, stepped once a training step.

    python tests/goldens/schedules.py > tests/goldens/schedules.json

torch 2.9.0 made the committed file. Six epochs of seven steps, lr 0.05; warm-up of 10 or 11 steps
(1.5 epochs, rounded half away from zero: 11) from a tenth.
"""

import json
import warnings

import torch
from torch.optim import lr_scheduler as s

warnings.filterwarnings("ignore")
EPOCHS, STEPS, LR, WARMUP = 6, 7, 0.05, 11


def curve(make, warmup):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)
    total = EPOCHS * STEPS
    scheduler = make(optimizer, total - warmup)
    if warmup:
        for group in optimizer.param_groups:
            group["lr"] = LR
        rise = s.LinearLR(optimizer, start_factor=0.1, end_factor=1.0, total_iters=warmup)
        scheduler = s.SequentialLR(optimizer, [rise, scheduler], milestones=[warmup])
    out = []
    for _ in range(total):
        out.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return out


shapes = {
    "constant": lambda o, n: s.ConstantLR(o, factor=1.0, total_iters=0),
    "step": lambda o, n: s.StepLR(o, step_size=2 * STEPS, gamma=0.3),
    "cosine": lambda o, n: s.CosineAnnealingLR(o, T_max=n, eta_min=0.002),
}
out = {}
for name, make in shapes.items():
    out[name] = curve(make, 0)
    out[name + "_warmup"] = curve(make, WARMUP)
print(json.dumps(out))
