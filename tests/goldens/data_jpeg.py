"""What Pillow (libjpeg-turbo) decodes from JPEG files of many kinds, to the byte; and from odd storage modes.

    python tests/goldens/data_jpeg.py      (made with Pillow 13.0.0, libjpeg-turbo 3.2.0, numpy 2.4.6, scikit-learn's photographs)

Writes data_jpeg.json beside itself. `exact`: a file (base64), its size and the SHA-256 of the RGB or gray pixels that
Pillow gives. `odd`: a file (base64), the pixels that Pillow's convert("RGB") or convert("L") gives (base64), and the
largest mean difference, in 255ths. `resized`: crops of two photographs, and what Image.resize makes of them.
"""
import base64, hashlib, io, json, pathlib, struct, zlib
import numpy as np
from PIL import Image, ImageCms

rng = np.random.default_rng(3)


def picture(w, h, noise=6):
    y, x = np.mgrid[0:h, 0:w]
    a, b, c = rng.uniform(0.05, 0.5, 3)
    planes = [128 + 90 * np.sin(a * x + b * y + k) + 50 * np.cos(c * x - a * y * k) for k in range(3)]
    planes = np.stack(planes, -1) + rng.normal(0, noise, (h, w, 3))
    return Image.fromarray(np.clip(planes, 0, 255).astype(np.uint8))


def save(image, fmt="JPEG", **kw):
    out = io.BytesIO()
    image.save(out, fmt, **kw)
    return out.getvalue()


def jpeg(w, h, sampling, noise=6, **kw):
    """Pillow writes no 4:4:0: that is a 4:2:2 file of the turned size with its factors and size turned back, which
    shows other things than the picture did, but is a sound file."""
    if sampling != "4:4:0":
        return save(picture(w, h, noise), subsampling=sampling, **kw)
    data = bytearray(save(picture(h, w, noise), subsampling="4:2:2", **kw))
    at = data.index(b"\xff\xc0")
    assert data[at + 11] == 0x21
    data[at + 11] = 0x12
    data[at + 5:at + 9] = data[at + 7:at + 9] + data[at + 5:at + 7]
    return bytes(data)


def b64(data):
    return base64.b64encode(data).decode()


exact = []


def add(name, data):
    image = Image.open(io.BytesIO(data))
    image = image.convert("L" if image.mode == "L" else "RGB")
    exact.append({"name": name, "file": b64(data), "width": image.width, "height": image.height,
                  "channels": len(image.getbands()), "sha256": hashlib.sha256(image.tobytes()).hexdigest()})


for sampling in ("4:4:4", "4:2:2", "4:2:0", "4:4:0"):
    for quality in (1, 10, 50, 90, 95, 100):
        add(f"{sampling} q{quality}", jpeg(45, 37, sampling, quality=quality))
    for w, h in [(1, 1), (2, 1), (1, 2), (3, 3), (4, 5), (5, 4), (6, 2), (7, 9), (8, 8), (9, 17), (16, 16), (17, 16), (31, 1), (1, 31), (33, 47)]:
        add(f"{sampling} {w}x{h}", jpeg(w, h, sampling, quality=90))
    add(f"{sampling} restart", jpeg(70, 50, sampling, quality=85, restart_marker_blocks=3))
    add(f"{sampling} optimized", jpeg(50, 40, sampling, quality=60, optimize=True))
    add(f"{sampling} noise", jpeg(40, 40, sampling, 120, quality=100))
for w, h in [(1, 1), (8, 8), (13, 29), (40, 21)]:
    add(f"gray {w}x{h}", save(picture(w, h).convert("L"), quality=88))
add("gray restart", save(picture(60, 30).convert("L"), quality=88, restart_marker_blocks=2))
plain = save(picture(20, 20), quality=90)
add("bytes behind the end", plain + b"more")
add("restart rows", save(picture(70, 50), quality=85, restart_marker_rows=1))
add("comment", plain[:2] + b"\xff\xfe\x00\x06abcd" + plain[2:])
add("filling before a marker", plain[:2] + b"\xff\xff\xff" + plain[3:])

odd = []


def odd_mode(name, data, tolerance, expected=None):
    image = Image.open(io.BytesIO(data))
    if expected is None:
        gray = image.mode in ("1", "L", "LA", "I;16", "I;16B", "I")
        expected = image.convert("L" if gray else "RGB")
    odd.append({"name": name, "file": b64(data), "width": expected.width, "height": expected.height,
                "channels": len(expected.getbands()), "pixels": b64(expected.tobytes()), "tolerance": tolerance})


def png(w, h, depth, color, rows, extra=b"", interlace=0):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    raw = b"".join(b"\0" + row for row in rows)
    head = struct.pack(">IIBBBBB", w, h, depth, color, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


base = picture(30, 22, 2)
gray = base.convert("L")
odd_mode("jpeg progressive 4:2:0", save(base, quality=92, subsampling=2, progressive=True), 1.0)
odd_mode("jpeg progressive gray", save(gray, quality=92, progressive=True), 1.0)
odd_mode("jpeg cmyk (adobe)", save(base.convert("CMYK"), quality=98, subsampling=0), 1.0)
# YCCK: Pillow writes CMYK; with Adobe's transform 2 the same samples mean YCCK.
ycck = bytearray(save(base.convert("CMYK"), quality=98, subsampling=0))
at = ycck.index(b"Adobe"); ycck[at + 11] = 2
odd_mode("jpeg ycck (adobe)", bytes(ycck), 1.0)
odd_mode("jpeg rgb (adobe transform 0)", save(base, quality=98, keep_rgb=True), 1.0)
rgb16 = (np.asarray(base).astype(">u2") * 257)
# Pillow keeps the high byte of 16-bit colour.
odd_mode("png rgb16", png(30, 22, 16, 2, [row.tobytes() for row in rgb16]), 1.0, base)
alpha = rng.integers(0, 256, (22, 30, 1))
rgba16 = np.concatenate([np.asarray(base).astype(int), alpha], -1).astype(">u2") * 257
odd_mode("png rgba16", png(30, 22, 16, 6, [row.tobytes() for row in rgba16]), 1.0, base)
gray16 = np.asarray(gray).astype(">u2") * 257
odd_mode("png gray16", png(30, 22, 16, 0, [row.tobytes() for row in gray16]), 1.0, gray)
for depth in (1, 2, 4):
    levels = (np.asarray(gray).astype(int) * (2 ** depth - 1) + 127) // 255
    per = 8 // depth
    padded = np.pad(levels, ((0, 0), (0, -30 % per))).reshape(22, -1, per)
    packed = sum(padded[..., k] << (depth * (per - 1 - k)) for k in range(per)).astype(np.uint8)
    want = Image.fromarray((levels * 255 // (2 ** depth - 1)).astype(np.uint8))
    odd_mode(f"png gray {depth} bit", png(30, 22, depth, 0, [row.tobytes() for row in packed]), 1.0, want)
palette = base.quantize(32)
odd_mode("png palette", save(palette, "PNG"), 0.0)
odd_mode("png palette and alpha", save(palette, "PNG", transparency=bytes(range(0, 256, 8))), 0.0)
for image, name in ((gray, "gray"), (base, "rgb")):
    clear = image.convert("LA" if name == "gray" else "RGBA"); clear.putalpha(Image.fromarray(alpha[..., 0].astype(np.uint8)))
    odd_mode(f"png {name} and alpha", save(clear, "PNG"), 0.0)
odd_mode("webp lossy and alpha", save(clear, "WEBP", quality=90), 1.0)
odd_mode("bmp palette", save(palette, "BMP"), 0.0)
odd_mode("bmp one bit", save(gray.convert("1"), "BMP"), 0.0, gray.convert("1").convert("RGB"))
odd_mode("tiff deflate", save(base, "TIFF", compression="tiff_adobe_deflate"), 0.0)
odd_mode("tiff palette", save(palette, "TIFF"), 0.0)
odd_mode("tiff gray16", save(Image.fromarray(np.asarray(gray).astype(np.uint16) * 257), "TIFF"), 1.0, gray)
profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
for fmt in ("JPEG", "PNG", "WEBP"):
    kw = {"PNG": {}, "JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}[fmt]
    odd_mode(f"{fmt.lower()} with icc", save(base, fmt, icc_profile=profile, **kw), 1.0)
# Adam7, written by hand: seven reduced pictures one behind the other.
pixels = np.asarray(base)
rows = []
for x0, y0, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
    rows += [row.tobytes() for row in pixels[y0::dy, x0::dx]]
odd_mode("png interlaced", png(30, 22, 8, 2, rows, interlace=1), 0.0)

# Real photographs, as scikit-learn ships them.
resized = []
import sklearn.datasets
for name, box in (("china.jpg", (100, 100, 299, 250)), ("flower.jpg", (220, 60, 401, 196))):
    photo = Image.fromarray(sklearn.datasets.load_sample_image(name)).crop(box)
    for sampling, quality in (("4:2:0", 90), ("4:4:4", 75)):
        data = save(photo, subsampling=sampling, quality=quality)
        for width, height in ((64, 64), (90, 40)):
            out = Image.open(io.BytesIO(data)).resize((width, height), Image.BILINEAR)
            resized.append({"name": f"{name} {sampling}", "file": b64(data), "height": height, "width": width,
                            "pixels": b64(out.tobytes())})

path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps({"exact": exact, "odd": odd, "resized": resized}, indent=0) + "\n")
print(path, path.stat().st_size, len(exact), len(odd))
