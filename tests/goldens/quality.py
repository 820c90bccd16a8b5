"""cleanvision 0.3.7's scores of the traffic lights, and which it flags with its default thresholds.

    python tests/goldens/quality.py

Writes quality.json: the scores of every fourth image in the order of their paths, in 1/10,000, and all flagged.
"""
import json, pathlib
from cleanvision import Imagelab

here = pathlib.Path(__file__).resolve()
root = here.parents[2] / "data/traffic_lights"
lab = Imagelab(data_path=str(root))
checks = ["dark", "light", "odd_aspect_ratio", "odd_size", "low_information", "blurry", "grayscale"]
lab.find_issues({check: {} for check in checks}, verbose=False)
issues = lab.issues.rename(index=lambda path: str(pathlib.Path(path).relative_to(root))).sort_index()
scores = {path: [round(10000 * float(row[f"{c}_score"])) for c in checks] for path, row in issues[::4].iterrows()}
flagged = {c: sorted(issues.index[issues[f"is_{c}_issue"]]) for c in checks}
result = {"checks": checks, "flagged": flagged, "scores": scores}
here.with_suffix(".json").write_text(json.dumps(result, separators=(",", ":")) + "\n")
print(len(issues), {c: len(v) for c, v in flagged.items()})
