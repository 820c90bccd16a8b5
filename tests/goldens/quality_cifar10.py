"""cleanvision 0.3.7's scores of the 10,000 test images of CIFAR-10, and which it flags with its default thresholds.

    python tests/goldens/quality_cifar10.py FOLDER

FOLDER has a folder of PNG files for each class. Writes quality_cifar10.json: the scores of every twentieth image in
the order of their paths, in 1/10,000, all flagged, and the sets of duplicates.
"""
import json, pathlib, sys
from cleanvision import Imagelab

root = pathlib.Path(sys.argv[1]).resolve()
lab = Imagelab(data_path=str(root))
checks = ["dark", "light", "odd_aspect_ratio", "odd_size", "low_information", "blurry", "grayscale"]
sets = ["exact_duplicates", "near_duplicates"]
lab.find_issues({check: {} for check in checks + sets}, verbose=False)


def name(path):
    return str(pathlib.Path(path).relative_to(root))


issues = lab.issues.rename(index=name).sort_index()
scores = {path: [round(10000 * float(row[f"{c}_score"])) for c in checks] for path, row in issues[::20].iterrows()}
flagged = {c: sorted(issues.index[issues[f"is_{c}_issue"]]) for c in checks}
found = {c: [sorted(map(name, group)) for group in lab.info[c]["sets"]] for c in sets}
result = {"checks": checks, "flagged": flagged, "sets": found, "scores": scores}
out = pathlib.Path(__file__).resolve().with_suffix(".json")
out.write_text(json.dumps(result, separators=(",", ":")) + "\n")
print(len(issues), {c: len(v) for c, v in (flagged | found).items()})
