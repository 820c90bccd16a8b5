#!/usr/bin/env python3
"""How many of the flipped labels `clean` found, and cleanlab on the same predictions beside it.

    peregrine show benches/label_issues_cifar.yaml judge.report --csv > report.csv
    peregrine show benches/label_issues_cifar.yaml out_of_fold.out_of_fold --csv > out_of_fold.csv
    python benches/label_issues.py FLIPPED.csv report.csv out_of_fold.csv

FLIPPED.csv is what `scripts/flip_labels.py` wrote. Needs numpy, and cleanlab 2.9.0 for the comparison.
"""
import csv
import sys
import warnings

import numpy as np

warnings.simplefilter("ignore")
flipped_file, report_file, predictions_file = sys.argv[1:]
rows = lambda path: list(csv.DictReader(open(path, newline="")))
truth = {row["path"]: row["truth"] for row in rows(flipped_file)}
given = {row["path"]: row["label"] for row in rows(flipped_file)}
wrong = {path for path in truth if truth[path] != given[path]}
findings = [row for row in rows(report_file) if row["check"] == "wrong_label"]
found = {row["id"]: row["suggested"] for row in findings}

predictions = rows(predictions_file)
classes = [name for name in predictions[0] if name not in ("id", "label")]
ids = [row["id"] for row in predictions]
p = np.array([[np.float32(row[c]) for c in classes] for row in predictions]).astype(float)
labels = np.array([classes.index(row["label"]) for row in predictions])
right = np.array([classes[i] for i in p.argmax(1)]) == np.array([truth[i] for i in ids])
assert [given[i] for i in ids] == [row["label"] for row in predictions]


def say(name, found):
    hits = len(wrong & set(found))
    print(f"{name:<42} {len(found):5} flagged, precision {hits / max(len(found), 1):.3f}, recall {hits / len(wrong):.3f}")


print(f"{len(ids)} images, {len(wrong)} flipped; out-of-fold predictions are the truth for {right.mean():.3f}")
say("clean", found)
suggested = [found[i] == truth[i] for i in wrong & set(found)]
print(f"{'':<42} {np.mean(suggested):.3f} of the found ones get the right label suggested")
order = np.argsort(p[np.arange(len(ids)), labels], kind="stable")[:len(wrong)]
say("the lowest own probabilities, as many", [ids[i] for i in order])
try:
    from cleanlab import filter as cl
except ImportError:
    sys.exit("cleanlab is not installed")
for name in ["prune_by_noise_rate", "prune_by_class", "both", "confident_learning", "predicted_neq_given",
             "low_normalized_margin", "low_self_confidence"]:
    mask = cl.find_label_issues(labels, p, filter_by=name, n_jobs=1)
    theirs = {i for i, flag in zip(ids, mask) if flag}
    say(f"cleanlab {name}", theirs)
    if name == "prune_by_noise_rate":
        print(f"{'':<42} differs from `clean` in {len(theirs ^ set(found))} images")
