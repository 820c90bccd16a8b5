"""Twenty steps of torch.optim on a small regression with a matrix and a bias.

    python tests/goldens/optimizers.py > tests/goldens/optimizers.json

torch 2.9.0 made the committed file. The loss is the mean of (tanh(x·W + b) - y)²; the rate falls by
a tenth after ten steps. `split` leaves the bias without weight decay, `clip` is clip_grad_norm_.
"""

import json

import torch

torch.manual_seed(17)
x, y = torch.randn(8, 5), torch.randn(8, 3)
w0, b0 = torch.randn(5, 3), torch.randn(3)


def run(make, split=False, clip=None):
    w, b = w0.clone().requires_grad_(), b0.clone().requires_grad_()
    groups = [{"params": [w]}, {"params": [b]}]
    if split:
        groups[1]["weight_decay"] = 0.0
    optimizer = make(groups)
    out = []
    for step in range(20):
        if step == 10:
            for group in optimizer.param_groups:
                group["lr"] *= 0.1
        optimizer.zero_grad()
        ((torch.tanh(x @ w + b) - y) ** 2).mean().backward()
        if clip:
            torch.nn.utils.clip_grad_norm_([w, b], clip)
        optimizer.step()
        out.append(w.detach().ravel().tolist() + b.detach().tolist())
    return out


o = torch.optim
print(json.dumps({
    "x": x.ravel().tolist(), "y": y.ravel().tolist(),
    "w": w0.ravel().tolist(), "b": b0.tolist(),
    "sgd": run(lambda g: o.SGD(g, lr=0.1)),
    "sgd_momentum": run(lambda g: o.SGD(g, lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.05)),
    "sgd_nesterov": run(lambda g: o.SGD(g, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.05), split=True),
    "sgd_clip": run(lambda g: o.SGD(g, lr=0.1, momentum=0.9), clip=0.2),
    "adam": run(lambda g: o.Adam(g, lr=0.05)),
    "adam_decay": run(lambda g: o.Adam(g, lr=0.05, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.1)),
    "adamw": run(lambda g: o.AdamW(g, lr=0.05, weight_decay=0.3), split=True),
    "adamw_all": run(lambda g: o.AdamW(g, lr=0.05, weight_decay=0.3)),
}))
