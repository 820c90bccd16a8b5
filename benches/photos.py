"""Makes JPEG photographs for the speed comparisons: `photos.py OUT SIDE COUNT [--copies] [--debs FOLDER]`.

Real photographs that package registries hold: 38 that Debian ships as wallpapers (lomiri-wallpapers-16.04 and
-20.04, mate-backgrounds, plasma-workspace-wallpapers; 1300 to 6000 pixels wide), two of scikit-learn and eight of
scikit-image's wheel. There are fewer than COUNT, so the large ones are cut into parts that do not overlap (up to
3×3, of 4:3 or 3:4) and then count as different photographs; parts with hardly any contrast (plain sky) are left out,
and so is what is left over COUNT, evenly over all. The parts are scaled down so that the longer side has SIDE pixels
and saved as baseline JPEG with 4:2:0 chroma at quality 85, 90 or 95 in turn. Parts of one photograph look more alike
than different photographs do, which makes false near duplicates likelier. The mean file size is printed.

`--copies` writes four files for each: itself, the same at quality 30, at three quarters of the size, and
with 5 % of each side cut off, named NUMBER_VARIANT.jpg (for near duplicates).
Needs pillow, scikit-learn and Debian's apt-get and dpkg-deb; packages are fetched by `apt-get download` and
`pip download` unless the folder of `--debs` has them.
"""

import argparse
import io
import pathlib
import subprocess
import sys
import tempfile
import zipfile

from PIL import Image, ImageStat

LOMIRI = "Bridge_by_Sander_Klootwijk Dragonfly_by_Bolly Picture_0B_by_freespace Picture_1A_by_freespace"
LOMIRI += " Wine_by_Jakkub_Mede aitzgorri_by_Aitzol_Berasategi free_by_Peter_Nerlich friends_by_Aitzol_Berasategi"
LOMIRI += " greentock_by_Peter_Nerlich life_by_Aitzol_Berasategi picosdeeuropa_by_Aitzol_Berasategi"
LOMIRI += " seeding_by_Clements_Engelhardt sunset_by_Aitzol_Berasategi"
MATE = "Aqua Blinds Dune FreshFlower Garden GreenMeadow LadyBird RainDrops Storm TwoWings Wood YellowFlower"
PLASMA = "Autumn BytheWater ColdRipple ColorfulCups DarkestHour EveningGlow FallenLeaf Grey Kite OneStandsOut Path"
PLASMA += " summer_1am"
DEBIAN = {
    "lomiri-wallpapers-16.04": [f"usr/share/backgrounds/{name}.jpg" for name in LOMIRI.split()],
    "lomiri-wallpapers-20.04": ["usr/share/backgrounds/Kleiber_by_Lukas_Baubkus.jpg"],
    "mate-backgrounds": [f"usr/share/backgrounds/mate/nature/{name}.jpg" for name in MATE.split()],
    "plasma-workspace-wallpapers": [
        f"usr/share/wallpapers/{name}/contents/images/2560x1600.jpg" for name in PLASMA.split()
    ],
}
SKIMAGE = "astronaut.png chelsea.png coffee.png rocket.jpg retina.jpg motorcycle_left.png camera.png"
SKIMAGE = (SKIMAGE + " hubble_deep_field.jpg").split()
# The least deviation of the gray values of a part, of 255.
CONTRAST = 10


def opened(file):
    return Image.open(file).convert("RGB")


def package(folder, pattern, fetch):
    """The file in `folder` that matches `pattern`, fetched into it where it is missing."""
    found = sorted(folder.glob(pattern))
    if not found:
        subprocess.run(fetch, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        found = sorted(folder.glob(pattern))
    return found[0]


def originals(folder):
    import sklearn.datasets

    shipped = pathlib.Path(sklearn.datasets.__file__).parent / "images"
    for name in ("china.jpg", "flower.jpg"):
        yield opened(shipped / name)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "scikit-image"]
    with zipfile.ZipFile(package(folder, "scikit_image-*.whl", pip)) as files:
        for name in SKIMAGE:
            yield opened(io.BytesIO(files.read(f"skimage/data/{name}")))
    for name, paths in DEBIAN.items():
        deb = package(folder, f"{name}_*.deb", ["apt-get", "download", "--quiet", name])
        with tempfile.TemporaryDirectory() as scratch:
            subprocess.run(["dpkg-deb", "-x", deb, scratch], check=True)
            for path in paths:
                yield opened(pathlib.Path(scratch) / path)


def parts(picture, number, side):
    """The parts of `picture` that do not overlap, each at least as large as what is made of it where it can be."""
    shape = (4, 3) if number % 3 else (3, 4)
    width, height = round(side * shape[0] / 4), round(side * shape[1] / 4)
    across, down = (max(1, min(3, length // least)) for length, least in zip(picture.size, (width, height)))
    cell = (picture.width / across, picture.height / down)
    scale = min(cell[0] / shape[0], cell[1] / shape[1])
    size = (scale * shape[0], scale * shape[1])
    for y in range(down):
        for x in range(across):
            left, top = cell[0] * x + (cell[0] - size[0]) / 2, cell[1] * y + (cell[1] - size[1]) / 2
            box = (left, top, left + size[0], top + size[1])
            yield picture.resize((width, height), Image.BICUBIC, box, reducing_gap=3)


def photographs(folder, side):
    for number, picture in enumerate(originals(folder)):
        for part in parts(picture, number, side):
            if ImageStat.Stat(part.convert("L")).stddev[0] >= CONTRAST:
                yield part


def main():
    args = argparse.ArgumentParser()
    args.add_argument("out", type=pathlib.Path)
    args.add_argument("side", type=int)
    args.add_argument("count", type=int)
    args.add_argument("--copies", action="store_true")
    args.add_argument("--debs", type=pathlib.Path)
    args = args.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        photos = list(photographs((args.debs or pathlib.Path(scratch)).resolve(), args.side))
    count = min(args.count, len(photos))
    photos = [photos[number * len(photos) // count] for number in range(count)]
    for number, photo in enumerate(photos):
        quality = (85, 90, 95)[number % 3]
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
    print(f"{len(files)} files of {count} photographs, {size / 1000:.0f} kB each on average")


main()
