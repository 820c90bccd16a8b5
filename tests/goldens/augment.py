"""Known answers for `crates/augment`: pixels after torchvision's v2 functional transforms.

    python tests/goldens/augment.py > tests/goldens/augment.json

Needs torchvision 0.24. Images are floats in 0..1, computed on both sides as (37 i mod 101) / 100
over the values in HWC order; answers are in HWC order too.
"""

import json

import torch
import torchvision
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as f


def image(height, width, channels):
    values = (torch.arange(height * width * channels, dtype=torch.float64) * 37 % 101) / 100
    return values.float().reshape(height, width, channels).permute(2, 0, 1)


def answer(op, params, shape, result):
    values = [float(f"{x:.7g}") for x in result.permute(1, 2, 0).flatten().tolist()]
    return {"op": op, "params": params, "shape": shape, "pixels": values}


def main():
    answers = []
    for shape in [(6, 7, 3), (5, 8, 1)]:
        x = image(*shape)
        add = lambda op, params, result: answers.append(answer(op, params, shape, result))
        add("horizontal_flip", [], f.horizontal_flip(x))
        add("vertical_flip", [], f.vertical_flip(x))
        for factor in [0.6, 1.4]:
            add("brightness", [factor], f.adjust_brightness(x, factor))
            add("contrast", [factor], f.adjust_contrast(x, factor))
            if shape[2] == 3:
                add("saturation", [factor], f.adjust_saturation(x, factor))
        for angle, fill in [(17, 0), (-33.3, 0.25), (90, 0), (180, 1), (5, 0.5)]:
            turned = f.rotate(x, angle, interpolation=InterpolationMode.BILINEAR, fill=[float(fill)])
            add("rotate", [angle, fill], turned)
        for mode in ["constant", "edge", "reflect"]:
            padded = f.pad(x, [2], fill=0.3 if mode == "constant" else 0, padding_mode=mode)
            for top, left in [(0, 0), (1, 4), (3, 2)]:
                crop = f.crop(padded, top, left, shape[0], shape[1])
                add("crop", [mode, 2, 0.3, top, left], crop)
        add("erase", [1, 2, 3, 4, 0.7], f.erase(x, 1, 2, 3, 4, torch.tensor(0.7)))
    print(json.dumps({"torchvision": torchvision.__version__, "answers": answers}))


if __name__ == "__main__":
    main()
