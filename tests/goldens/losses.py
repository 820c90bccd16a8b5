"""Cross-entropy of torch, value and gradient.

    python tests/goldens/losses.py > tests/goldens/losses.json

torch 2.9.0 made the committed file. Hard labels go in as class indices (weighted mean), soft ones
as probabilities (mean over images); each with and without class weights and label smoothing.
"""

import json

import torch
import torch.nn.functional as F

torch.manual_seed(17)
n, k = 6, 5
out = []
for hard in (True, False):
    for weighted in (False, True):
        for smoothing in (0.0, 0.1):
            logits = (torch.randn(n, k) * 3).requires_grad_()
            labels = torch.randint(0, k, (n,))
            soft = F.one_hot(labels, k).float()
            if not hard:
                share = torch.rand(n, 1)
                soft = share * soft + (1 - share) * soft.roll(1, 0)
            weights = torch.rand(k) * 3 + 0.1 if weighted else None
            loss = F.cross_entropy(
                logits, labels if hard else soft, weight=weights, label_smoothing=smoothing
            )
            loss.backward()
            out.append({
                "name": f"hard={hard} weighted={weighted} smoothing={smoothing}",
                "n": n, "k": k, "hard": hard, "smoothing": smoothing,
                "logits": logits.detach().ravel().tolist(),
                "targets": soft.ravel().tolist(),
                "weights": None if weights is None else weights.tolist(),
                "loss": loss.item(),
                "gradient": logits.grad.ravel().tolist(),
            })
print(json.dumps(out))
