"""Archives as others write them: Python's tarfile (ustar, GNU, pax) and zipfile, with names that are
hard to carry. Writes archives.json: each archive gzipped, in hex, and what is in it (name in hex, SHA-256).

    python tests/goldens/archives.py
"""

import gzip
import hashlib
import io
import json
import pathlib
import tarfile
import zipfile

NAMES = [
    "pets/train/cat/1.png",
    "pets/train/cat/new\nline.png",
    "pets/train/cat/ünïcödé 🦅.png",
    "pets/train/dog/ansi\x1b[31m.png",
    "pets/train/dog/" + "d" * 120 + "/" + "x" * 140 + ".png",
    "pets/test/dog/100%25.png",
    "pets/test/cat/.hidden.png",
    "pets/read me.txt",
]
BYTES = {name: hashlib.sha512(name.encode()).digest() * 9 for name in NAMES}


def tar(form, mode):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=form) as archive:
        for folder in ["pets", "pets/train", "pets/train/cat"]:
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(info)
        for name, content in BYTES.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), 1700000000.5
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def zipped(method):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.mkdir("pets")
        for name, content in BYTES.items():
            archive.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), content, compress_type=method)
    return out.getvalue()


archives = {
    "gnu.tar": tar(tarfile.GNU_FORMAT, "w"),
    "pax.tar": tar(tarfile.PAX_FORMAT, "w"),
    "pax.tar.gz": gzip.compress(tar(tarfile.PAX_FORMAT, "w"), mtime=0),
    "stored.zip": zipped(zipfile.ZIP_STORED),
    "deflated.zip": zipped(zipfile.ZIP_DEFLATED),
}
golden = {
    "made_by": "Python tarfile and zipfile",
    "archives": {name: gzip.compress(data, mtime=0).hex() for name, data in archives.items()},
    "images": {
        name.encode().hex(): hashlib.sha256(content).hexdigest()
        for name, content in BYTES.items()
        if name.endswith(".png") and "/." not in name
    },
}
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(golden, indent=1, sort_keys=True, ensure_ascii=True) + "\n")
