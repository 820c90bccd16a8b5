"""Numbers of scikit-learn for `peregrine-eval`'s metrics.

    python tests/goldens/metrics.py > tests/goldens/metrics.json

Needs scikit-learn (1.9.1 made the committed file), scipy and numpy. Three cases: ten classes with
ties, a class without images, a class never predicted and probabilities of exactly 0 and 1; four
classes; one class of three alone in the truth.
Top-k with ties is counted with the lowest class first; scikit-learn's `top_k_accuracy_score` is
checked against on rows without ties.
"""

import json
import warnings

import numpy as np
import sklearn.metrics as m
from scipy.stats import binomtest

warnings.filterwarnings("ignore")


def ece(p, y, bins=15):
    """Expected calibration error, bins (low, high], written the plain way."""
    confidence, hit = p.max(1).astype(np.float64), p.argmax(1) == y
    total = 0.0
    edges = np.linspace(0, 1, bins + 1)
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.sum() * abs(hit[inside].mean() - confidence[inside].mean())
    return total / len(y)


def case(p, y):
    p = p.astype(np.float32)
    n, k = p.shape
    labels = list(range(k))
    predicted = p.argmax(1)
    out = {"k": k, "labels": y.tolist(), "probabilities": [float(x) for x in p.ravel()]}
    out["top1"] = m.accuracy_score(y, predicted)
    order = np.argsort(-p, axis=1, kind="stable")
    for top in (2, 3, 5):
        out[f"top{top}"] = float((order[:, :top] == y[:, None]).any(1).mean())
    untied = np.array([len(set(row)) == k for row in p.tolist()])
    for top in (2, 3):
        if untied.sum() and top < k:
            ours = (order[untied, :top] == y[untied, None]).any(1).mean()
            theirs = m.top_k_accuracy_score(y[untied], p[untied], k=top, labels=labels)
            assert abs(ours - theirs) < 1e-12
    for average in ("macro", "micro", "weighted"):
        values = m.precision_recall_fscore_support(
            y, predicted, labels=labels, average=average, zero_division=0
        )
        for name, value in zip(("precision", "recall", "f1"), values):
            out[f"{average}_{name}"] = float(value)
    per = m.precision_recall_fscore_support(y, predicted, labels=labels, zero_division=0)
    out["per_class"] = [[float(column[c]) for column in per] for c in labels]
    out["confusion"] = m.confusion_matrix(y, predicted, labels=labels).tolist()
    out["balanced_accuracy"] = m.balanced_accuracy_score(y, predicted)
    out["kappa"] = m.cohen_kappa_score(y, predicted)
    out["mcc"] = m.matthews_corrcoef(y, predicted)
    out["log_loss"] = m.log_loss(y, y_proba=p, labels=labels)
    out["ece"] = ece(p, y)
    hits = int((predicted == y).sum())
    interval = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    out["wilson"] = [interval.low, interval.high]
    return out


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


rng = np.random.default_rng(17)

# Ten classes: class 7 has no image, class 4 is never predicted.
n, k = 160, 10
y = rng.choice([c for c in range(k) if c != 7], n)
z = rng.normal(size=(n, k))
z[np.arange(n), y] += 1.6
z[:, 4] -= 9
p = softmax(z)
p[0] = 1 / k  # all tied
p[1] = 0
p[1, [2, 3]] = 0.5  # two tied at the top, the rest exactly 0
y[1] = 3
p[2] = 0
p[2, 5] = 1  # certain and right
y[2] = 5
p[3] = 0
p[3, 6] = 1  # certain and wrong: the truth has probability 0
y[3] = 1
p[4] = 0
p[4, :4] = 0.25  # four tied, the truth among the zeros
y[4] = 9
ten = case(p, y)

n, k = 60, 4
y = rng.integers(0, k, n)
z = rng.normal(size=(n, k)) * 2
z[np.arange(n), y] += 1
four = case(softmax(z), y)

n, k = 12, 3
one = case(softmax(rng.normal(size=(n, k))), np.full(n, 1))

print(json.dumps({"ten_classes": ten, "four_classes": four, "one_class_in_the_truth": one}))
