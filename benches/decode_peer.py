"""Images per second of one core of Pillow's decoding, and of that and torchvision's antialiased resize:
`decode_peer.py FOLDER SIZE`; prints `decode N` and `decode+resize N`. Counted in processor time."""

import pathlib
import sys
import time

import torch
from PIL import Image
from torchvision.transforms import v2

torch.set_num_threads(1)
files = sorted(pathlib.Path(sys.argv[1]).glob("*/*.jpg"))
size = int(sys.argv[2])
resize = v2.Resize((size, size), antialias=True)


def decode(path):
    with open(path, "rb") as file:
        return Image.open(file).convert("RGB")


decode(files[0])
for name, work in (("decode", decode), ("decode+resize", lambda path: resize(decode(path)))):
    begun = time.process_time()
    for path in files:
        work(path)
    print(f"{name} {len(files) / (time.process_time() - begun):.1f}", flush=True)
