"""Which of the traffic lights are the same light in another frame of a video: the truth that precision is held to.

    pip install opencv-python-headless
    python tests/goldens/near_truth.py

Nothing of Peregrine is used. Two files are the same light when their full pixels, the smaller one as the
reference, correlate by at least .95 in colour after the affine map that fits them best (OpenCV's ECC, Evangelidis
and Psarakis 2008). The limit was set by looking at a sheet of pairs in steps of it: at .95 to .965 all were of one
light and at .93 some were of two. Only pairs whose 12x24 thumbnails correlate by .8 are looked at. Writes
near_truth.json: for each file, in the order of their paths, the later ones that are the same light.
"""
import json, pathlib
import cv2
import numpy as np

LEAST = 0.95


def alike(one, other):
    a, b = sorted((one, other), key=lambda image: image.shape[0])
    height, width = a.shape[:2]
    b = cv2.resize(b, (width, height), interpolation=cv2.INTER_AREA)
    gray = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32) for image in (a, b)]
    warp = np.eye(2, 3, dtype=np.float32)
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 80, 1e-5)
    try:
        _, warp = cv2.findTransformECC(*gray, warp, cv2.MOTION_AFFINE, stop, None, 3)
    except cv2.error:
        pass
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    inside = cv2.warpAffine(np.ones_like(gray[1]), warp, (width, height), flags=how) > 0.99
    inside[[0, -1]] = inside[:, [0, -1]] = False
    if inside.mean() < 0.55:
        return 0
    a, b = a.astype(np.float32)[inside], cv2.warpAffine(b.astype(np.float32), warp, (width, height), flags=how)[inside]
    a, b = a - a.mean(0), b - b.mean(0)
    return (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum())


here = pathlib.Path(__file__).resolve()
root = here.parents[2] / "data/traffic_lights"
images = [cv2.imread(str(path)) for path in sorted(root.rglob("*.jpg"))]
small = np.array([cv2.resize(image, (12, 24), interpolation=cv2.INTER_AREA).astype(np.float32) for image in images])
small = (small - small.mean((1, 2), keepdims=True)).reshape(len(images), -1)
small /= np.linalg.norm(small, axis=1, keepdims=True)
first, second = np.where(np.triu(small @ small.T > 0.8, 1))
same = [[] for _ in images]
for i, j in zip(first.tolist(), second.tolist()):
    if alike(images[i], images[j]) >= LEAST:
        same[i].append(j)
here.with_suffix(".json").write_text(json.dumps({"traffic_lights": same}, separators=(",", ":")) + "\n")
print(len(images), "images,", len(first), "pairs looked at,", sum(map(len, same)), "of the same light")
