#!/usr/bin/env python3
"""A CSV table of the images below a folder with some labels wrong on purpose, to hold `clean` to find them.

    python scripts/flip_labels.py FOLDER > labels.csv         (FOLDER/<class>/<image>)

Columns: path, label (as flipped), truth. A tenth of the images, drawn with seed 17, gets one of the
other classes, each equally likely; `--share` and `--seed` say otherwise. Needs nothing but Python 3.8.
"""
import argparse
import csv
import os
import random
import sys

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--share", type=float, default=0.1)
parser.add_argument("--seed", type=int, default=17)
options = parser.parse_args()

classes = sorted(entry.name for entry in os.scandir(options.folder) if entry.is_dir())
images = [(os.path.join(c, name), c) for c in classes for name in sorted(os.listdir(os.path.join(options.folder, c)))]
draw = random.Random(options.seed)
wrong = set(draw.sample(range(len(images)), round(options.share * len(images))))
table = csv.writer(sys.stdout, lineterminator="\n")
table.writerow(["path", "label", "truth"])
for number, (path, truth) in enumerate(images):
    label = draw.choice([c for c in classes if c != truth]) if number in wrong else truth
    table.writerow([path, label, truth])
