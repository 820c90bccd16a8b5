"""Known answers for `crates/data/src/balance/weights.rs`: class weights by the effective number of
samples, as the authors' code makes them (Cui et al. 2019, github.com/richardaecn/class-balanced-loss,
`src/cifar_main.py`, and `class_balanced_loss.py` of the PyTorch port):

    effective_num = 1.0 - np.power(beta, img_num_per_cls)
    weights = (1.0 - beta) / np.array(effective_num)
    weights = weights / np.sum(weights) * int(CLASS_NUM)

and by scikit-learn's `compute_class_weight("balanced")`, which is the inverse frequency divided by
the number of classes.

    python tests/goldens/class_weights.py > tests/goldens/class_weights.json

Needs numpy and scikit-learn.
"""

import json

import numpy as np
import sklearn
from sklearn.utils.class_weight import compute_class_weight

COUNTS = [
    [10, 90],
    [1, 1000],
    [500, 500, 500],
    [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50],  # CIFAR-10-LT, imbalance 100
    [3, 70, 12, 400000],
]


def effective(counts, beta):
    effective_num = 1.0 - np.power(beta, counts)
    weights = (1.0 - beta) / np.array(effective_num)
    return weights / np.sum(weights) * len(counts)


def main():
    answers = []
    for counts in COUNTS:
        for beta in [0.0, 0.9, 0.99, 0.999, 0.9999]:
            answers.append(dict(counts=counts, beta=beta, weights=effective(counts, beta).tolist()))
        labels = np.repeat(np.arange(len(counts)), counts)
        balanced = compute_class_weight("balanced", classes=np.arange(len(counts)), y=labels)
        answers.append(dict(counts=counts, beta=None, weights=(balanced * len(counts)).tolist()))
    print(json.dumps(dict(numpy=np.__version__, sklearn=sklearn.__version__, answers=answers)))


if __name__ == "__main__":
    main()
