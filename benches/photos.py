"""Makes JPEG photographs for the speed comparisons: `photos.py OUT SIDE COUNT [--copies] [--skimage WHEEL]`.

Real pictures, but not many of them: there is no photograph data set that can be had without a network, so
these are crops (70 to 100 % of each side, half of them mirrored) of the dozen photographs that ship with
scikit-learn (china, flower) and in scikit-image's wheel (astronaut, chelsea, coffee, rocket, retina, the two
motorcycles, hubble, camera), scaled so that the longer side has SIDE pixels and the shape is 4:3 or 3:4, and
saved as baseline JPEG with 4:2:0 chroma at quality 85, 90 or 95 in turn. A crop that is scaled up is less
detailed than a photograph of that size; the mean file size is printed, so that it can be judged.

`--copies` writes four files for each: itself, the same at quality 30, at three quarters of the size, and
with 5 % of each side cut off, named NUMBER_VARIANT.jpg (for near duplicates).
Needs pillow and scikit-learn; scikit-image's wheel is fetched by `pip download` unless WHEEL names it.
"""

import argparse
import io
import pathlib
import random
import subprocess
import sys
import tempfile
import zipfile

from PIL import Image

NAMES = "astronaut.png chelsea.png coffee.png rocket.jpg retina.jpg motorcycle_left.png motorcycle_right.png"
NAMES = (NAMES + " hubble_deep_field.jpg camera.png").split()


def originals(wheel):
    import sklearn.datasets

    folder = pathlib.Path(sklearn.datasets.__file__).parent / "images"
    for name in ("china.jpg", "flower.jpg"):
        yield Image.open(folder / name).convert("RGB")
    with tempfile.TemporaryDirectory() as scratch:
        if wheel is None:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", scratch, "scikit-image"]
            subprocess.run(pip, check=True)
            wheel = next(pathlib.Path(scratch).glob("*.whl"))
        with zipfile.ZipFile(wheel) as files:
            for name in NAMES:
                yield Image.open(io.BytesIO(files.read(f"skimage/data/{name}"))).convert("RGB")


def photograph(pictures, number, side):
    draw = random.Random(number)
    picture = pictures[number % len(pictures)]
    shape = (4, 3) if draw.random() < 0.7 else (3, 4)
    largest = min(picture.width / shape[0], picture.height / shape[1])
    scale = largest * draw.uniform(0.7, 1.0)
    width, height = scale * shape[0], scale * shape[1]
    left, top = draw.uniform(0, picture.width - width), draw.uniform(0, picture.height - height)
    size = tuple(round(side * length / 4) for length in shape)
    photo = picture.resize(size, Image.BICUBIC, (left, top, left + width, top + height))
    return photo.transpose(Image.FLIP_LEFT_RIGHT) if draw.random() < 0.5 else photo


def main():
    args = argparse.ArgumentParser()
    args.add_argument("out", type=pathlib.Path)
    args.add_argument("side", type=int)
    args.add_argument("count", type=int)
    args.add_argument("--copies", action="store_true")
    args.add_argument("--skimage")
    args = args.parse_args()
    pictures = list(originals(args.skimage))
    for number in range(args.count):
        photo, quality = photograph(pictures, number, args.side), (85, 90, 95)[number % 3]
        folder = args.out / f"class{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        photo.save(folder / f"{number:04}_0.jpg", quality=quality)
        if args.copies:
            width, height = photo.size
            photo.save(folder / f"{number:04}_q30.jpg", quality=30)
            photo.resize((width * 3 // 4, height * 3 // 4)).save(folder / f"{number:04}_small.jpg", quality=quality)
            edges = (width // 40, height // 40, width - width // 40, height - height // 40)
            photo.crop(edges).save(folder / f"{number:04}_crop.jpg", quality=quality)
    files = list(args.out.glob("*/*.jpg"))
    size = sum(file.stat().st_size for file in files) / len(files)
    print(f"{len(files)} photographs, {size / 1000:.0f} kB each on average")


main()
