"""Known answers for `crates/data/src/pack/synthesis.rs`: pixels after torchvision's functional
transforms (`flip`, `affine`, `adjust_brightness`, `adjust_contrast`), and after
`scipy.ndimage.affine_transform` for the borders that torchvision doesn't have.

    python tests/goldens/synthesis.py > tests/goldens/synthesis.json

Needs torchvision 0.24 and scipy. Images are bytes, computed on both sides as 37 i mod 256 over the
values in HWC order; answers are in HWC order too. Angles are counter-clockwise here and clockwise in
torchvision's `affine`.
"""

import json
import math

import numpy as np
import scipy
import torch
import torchvision
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as f


def image(height, width, channels):
    values = np.arange(height * width * channels) * 37 % 256
    return values.reshape(height, width, channels).astype(np.uint8)


def recipe(degrees=0.0, scale=1.0, flip=False, brightness=1.0, contrast=1.0, border="black"):
    return dict(name="augmented", degrees=degrees, scale=scale, flip=flip, brightness=brightness,
                contrast=contrast, border=border)


def by_torchvision(x, r):
    y = torch.from_numpy(x).permute(2, 0, 1).double() / 255
    if r["flip"]:
        y = f.horizontal_flip(y)
    y = f.affine(y, -r["degrees"], [0, 0], r["scale"], [0.0, 0.0], interpolation=InterpolationMode.BILINEAR)
    y = f.adjust_brightness(y, r["brightness"])
    y = f.adjust_contrast(y, r["contrast"])
    return (y * 255).round().byte().permute(1, 2, 0).numpy()


def by_scipy(x, r):
    turn = math.radians(r["degrees"])
    sin, cos = math.sin(turn) / r["scale"], math.cos(turn) / r["scale"]
    matrix = np.array([[cos, sin], [-sin, cos]])  # (y, x) of the source from (y, x) of the answer
    centre = (np.array(x.shape[:2]) - 1) / 2
    mode = {"reflect": "reflect", "edge": "nearest"}[r["border"]]
    planes = [
        scipy.ndimage.affine_transform(x[..., c].astype(np.float64), matrix, centre - matrix @ centre, order=1,
                                       mode=mode)
        for c in range(x.shape[2])
    ]
    return np.floor(np.stack(planes, -1) + 0.5).astype(np.uint8)


def main():
    answers = []

    def add(shape, peer, r):
        pixels = {"torchvision": by_torchvision, "scipy": by_scipy}[peer](image(*shape), r)
        answers.append(dict(peer=peer, recipe=r, shape=shape, pixels=pixels.flatten().tolist()))

    for shape in [(12, 9, 3), (8, 15, 1)]:
        for r in [
            recipe(),
            recipe(flip=True),
            recipe(degrees=7.3),
            recipe(degrees=-10.0, scale=0.8),
            recipe(degrees=33.33, scale=1.2, flip=True),
            recipe(scale=0.83),
            recipe(brightness=1.2),
            recipe(brightness=0.8134),
            recipe(contrast=0.8),
            recipe(contrast=1.1987),
            recipe(degrees=4.4, scale=1.1, flip=True, brightness=1.15, contrast=0.85),
        ]:
            add(shape, "torchvision", r)
        for border in ["reflect", "edge"]:
            for degrees, scale in [(7.3, 1.0), (-10.0, 0.8), (45.0, 0.3), (0.0, 1.2)]:
                add(shape, "scipy", recipe(degrees=degrees, scale=scale, border=border))
    print(json.dumps(dict(torchvision=torchvision.__version__, scipy=scipy.__version__, answers=answers)))


if __name__ == "__main__":
    main()
