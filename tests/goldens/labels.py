#!/usr/bin/env python3
"""Wrong labels as cleanlab 2.9.0 finds them, for `crates/data/src/clean/labels.rs`.

    python tests/goldens/labels.py CIFAR RESNET18 > tests/goldens/labels.json      (about five minutes)

CIFAR is a folder with cifar-10's binary `test_batch.bin`, RESNET18 torchvision's ImageNet weights as
safetensors. Needs cleanlab 2.9.0, scikit-learn, numpy, torch, torchvision.

Probabilities are rounded to 1/4096 (1/65536 in small cases), so that they are exact in float32 and
few bytes; cleanlab gets the rounded ones. Rounded numbers have ties, and cleanlab leaves their order
to numpy's unstable sort, so every sort is made stable here; `unstable` counts the images of each
filter that differ when it is not.
"""
import base64, json, sys, warnings, zlib
import numpy as np

warnings.simplefilter("ignore")
plain_argsort = np.argsort
stable = True


def argsort(a, *args, **kwargs):
    if stable:
        kwargs.setdefault("kind", "stable")
    return plain_argsort(a, *args, **kwargs)


np.argsort = argsort
import cleanlab
from cleanlab import count, filter as cl_filter, rank

assert cleanlab.__version__ == "2.9.0", cleanlab.__version__
FILTERS = ["prune_by_noise_rate", "prune_by_class", "both", "confident_learning", "predicted_neq_given",
           "low_normalized_margin", "low_self_confidence"]
SCORES = ["self_confidence", "normalized_margin", "confidence_weighted_entropy"]
pack = lambda array: base64.b64encode(zlib.compress(array.tobytes(), 9)).decode()


def case(name, labels, p, steps, **more):
    """`p` rounded to 1/`steps` and what cleanlab says of it."""
    global stable
    q = np.minimum(np.round(np.asarray(p, float) * steps), steps - 1).astype("<u2")
    p, labels, k = q / float(steps), np.asarray(labels, int), p.shape[1]
    find = lambda name: cl_filter.find_label_issues(labels, p, filter_by=name, n_jobs=1)
    masks, unstable = {}, {}
    for f in FILTERS:
        stable = True
        masks[f] = find(f)
        stable = False
        unstable[f] = int((find(f) != masks[f]).sum())
        stable = True
    joint = count.compute_confident_joint(labels, p, calibrate=True)
    scores = {s: rank.get_label_quality_scores(labels, p, method=s) for s in SCORES}
    ranked = cl_filter.find_label_issues(labels, p, return_indices_ranked_by="self_confidence", n_jobs=1)
    out = {
        "name": name, "n": len(labels), "k": k, "steps": steps,
        "labels": pack(labels.astype("u1")), "probabilities": pack(q),
        "thresholds": count.get_confident_thresholds(labels, p).tolist(),
        "joint": joint.ravel().tolist(),
        "masks": {f: pack(np.packbits(m, bitorder="little")) for f, m in masks.items()},
        "found": {f: int(m.sum()) for f, m in masks.items()},
        "unstable": unstable,
        # Every 97th score is enough to hold a formula to, and the sum sees the others.
        "scores": {s: v[::97].tolist() for s, v in scores.items()},
        "score_sums": {s: float(v.sum()) for s, v in scores.items()},
        "ranked_by_self_confidence": ranked[:50].tolist(),
        **more,
    }
    print(name, out["found"], "differ without stable sorts:", unstable, file=sys.stderr)
    return out


def drawn(rng, n, k, sharp, noise, shares=None):
    """Labels of which `noise` are flipped, and the probabilities of a fallible network."""
    truth = rng.choice(k, n, p=shares)
    logits = rng.normal(size=(n, k)) + sharp * np.eye(k)[truth]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    flip = rng.random(n) < noise
    labels = np.where(flip, (truth + rng.integers(1, max(k, 2), n)) % k, truth)
    return labels, p


def flipped(truth):
    """A tenth of the labels flipped, and which."""
    rng = np.random.default_rng(17)
    flip = np.zeros(len(truth), bool)
    flip[rng.choice(len(truth), len(truth) // 10, replace=False)] = True
    return np.where(flip, (truth + rng.integers(1, 10, len(truth))) % 10, truth), flip


def out_of_fold(features, labels, c):
    """Logistic regression in five folds."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return cross_val_predict(LogisticRegression(C=c, max_iter=300), features, labels, cv=folds, method="predict_proba")


def transferred(folder, weights):
    """The same images and labels by the features of an ImageNet ResNet-18, at 96x96."""
    import torch, torchvision
    from safetensors.torch import load_file
    from sklearn.preprocessing import StandardScaler
    rows = np.fromfile(f"{folder}/test_batch.bin", np.uint8).reshape(-1, 3073)
    truth, x = rows[:, 0].astype(int), torch.tensor(rows[:, 1:].reshape(-1, 3, 32, 32) / 255.0, dtype=torch.float32)
    net = torchvision.models.resnet18()
    net.load_state_dict(load_file(weights))
    net.fc = torch.nn.Identity()
    net.eval()
    mean, std = (torch.tensor(v)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    large = lambda batch: torch.nn.functional.interpolate(batch, size=(96, 96), mode="bilinear", antialias=True)
    with torch.no_grad():
        features = torch.cat([net((large(batch) - mean) / std) for batch in x.split(250)]).numpy()
    labels, flip = flipped(truth)
    p = out_of_fold(StandardScaler().fit_transform(features), labels, 0.003)
    print("accuracy against the truth", (p.argmax(1) == truth).mean(), file=sys.stderr)
    return labels, p, flip


def real(folder):
    """10,000 images of CIFAR-10, a tenth of the labels flipped, by plain features."""
    from sklearn.decomposition import PCA
    rows = np.fromfile(f"{folder}/test_batch.bin", np.uint8).reshape(-1, 3073)
    truth, x = rows[:, 0].astype(int), rows[:, 1:].reshape(-1, 3, 32, 32) / 255.0
    # Gradient histograms in 4x4 cells of 8 directions, and the mean colours of the cells.
    gray = x.mean(1)
    gy, gx = np.gradient(gray, axis=(1, 2))
    size, turn = np.hypot(gx, gy), np.floor((np.arctan2(gy, gx) + np.pi) / (2 * np.pi) * 8).astype(int) % 8
    cells = lambda a: a.reshape(len(a), 4, 8, 4, 8).sum((2, 4)).reshape(len(a), -1)
    hog = np.concatenate([cells(size * (turn == t)) for t in range(8)], 1)
    hog /= np.linalg.norm(hog, axis=1, keepdims=True) + 1e-6
    colour = np.concatenate([cells(x[:, c]) / 64 for c in range(3)], 1)
    features = np.concatenate([8 * hog, 2 * (colour - colour.mean(0)), 0.3 * PCA(40, random_state=0).fit_transform(x.reshape(len(x), -1))], 1)
    labels, flip = flipped(truth)
    p = out_of_fold(features, labels, 0.3)
    print("accuracy against the truth", (p.argmax(1) == truth).mean(), file=sys.stderr)
    return labels, p, flip


def main(folder, weights):
    rng = np.random.default_rng(3)
    cases = []
    for number, (n, k, sharp, noise) in enumerate([(300, 3, 3.0, 0.1), (500, 10, 2.0, 0.2), (200, 2, 1.0, 0.3), (150, 7, 0.0, 0.5), (1000, 4, 5.0, 0.02), (400, 25, 3.0, 0.1)]):
        cases.append(case(f"random{number}", *drawn(rng, n, k, sharp, noise), 65536))
    cases.append(case("imbalanced", *drawn(rng, 600, 5, 2.5, 0.15, [0.8, 0.15, 0.03, 0.015, 0.005]), 65536))
    # A class without images, one that is never predicted, one with a single image.
    labels, p = drawn(rng, 300, 5, 2.0, 0.2)
    labels[labels == 2] = 1
    cases.append(case("class_without_images", labels, p, 65536))
    labels, p = drawn(rng, 300, 5, 2.0, 0.2)
    p[:, 3] *= 0.01
    p /= p.sum(1, keepdims=True)
    cases.append(case("class_never_predicted", labels, p, 65536))
    labels, p = drawn(rng, 200, 4, 2.0, 0.2)
    labels[labels == 3] = 0
    labels[7] = 3
    cases.append(case("class_of_one_image", labels, p, 65536))
    # Ties: probabilities in steps of 1/8, and a network that always says the same.
    labels, p = drawn(rng, 400, 4, 2.0, 0.2)
    coarse = np.round(p * 8) / 8
    coarse /= np.maximum(coarse.sum(1, keepdims=True), 1)
    cases.append(case("ties", labels, coarse, 64))
    cases.append(case("constant", rng.integers(0, 3, 90), np.full((90, 3), 1 / 3), 65536))
    cases.append(case("certain", labels, np.eye(4)[rng.integers(0, 4, 400)] * 0.999 + 0.00025, 65536))
    labels, p, flip = real(folder)
    cases.append(case("cifar10", labels, p, 4096, flipped=pack(np.packbits(flip, bitorder="little"))))
    labels, p, flip = transferred(folder, weights)
    cases.append(case("cifar10_resnet18", labels, p, 4096, flipped=pack(np.packbits(flip, bitorder="little"))))
    json.dump({"cleanlab": cleanlab.__version__, "numpy": np.__version__, "cases": cases}, sys.stdout, separators=(",", ":"))
    print()


main(*sys.argv[1:])
