"""Known answers for `crates/eval/src/metrics/by_source.rs`: scikit-learn's numbers on the images of
each of three sources. Reads the predictions in `metrics.json`; image i is of source `phone` when
i mod 7 is 0, of `car` when it is 1 or 2, else of `web`.

    python tests/goldens/sources.py > tests/goldens/sources.json

Needs numpy and scikit-learn.
"""

import json
import pathlib
import warnings

import numpy as np
import sklearn.metrics as m

warnings.simplefilter("ignore")


def numbers(p, y):
    predicted = p.argmax(1)
    return {
        "n": len(y),
        "classes": len(set(y.tolist())),
        "top1": m.accuracy_score(y, predicted),
        "macro_f1": m.f1_score(y, predicted, average="macro", zero_division=0),
        "balanced_accuracy": m.balanced_accuracy_score(y, predicted),
        "log_loss": m.log_loss(y, p, labels=list(range(p.shape[1]))),
    }


def main():
    cases = json.loads((pathlib.Path(__file__).parent / "metrics.json").read_text())
    answers = {}
    for case in ["ten_classes", "four_classes"]:
        y = np.array(cases[case]["labels"])
        p = np.array(cases[case]["probabilities"], dtype=np.float32).reshape(len(y), -1)
        place = np.arange(len(y)) % 7
        parts = {"phone": place == 0, "car": (place == 1) | (place == 2), "web": place > 2}
        answers[case] = {source: numbers(p[rows], y[rows]) for source, rows in parts.items()}
    print(json.dumps(answers, indent=1))


if __name__ == "__main__":
    main()
