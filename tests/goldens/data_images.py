"""Pillow's view of small image files: storage modes, EXIF orientations, resizing; and decompression bombs.

    python tests/goldens/data_images.py      (made with Pillow 13.0.0, numpy 2.4.6)

Writes data_images.json beside itself. `modes`: a file and the pixels that Pillow decodes (after exif_transpose,
converted to L or RGB). `resized`: one picture and what Image.resize makes of it. `bombs`: files whose head claims far
more pixels than a decoder should take. Bytes are in hex.
"""
import io, json, pathlib, struct, zlib
import numpy as np
from PIL import Image, ImageOps

rng = np.random.default_rng(17)


def smooth(h, w, c):
    y, x = np.mgrid[0:h, 0:w]
    out = []
    for _ in range(c):
        a, b, p, q = rng.uniform(0.1, 0.6, 4)
        v = 128 + 70 * np.sin(a * x + b * y + 7 * p) + 40 * np.cos(b * x - q * y) + rng.normal(0, 4, (h, w))
        out.append(np.clip(v, 0, 255).astype(np.uint8))
    return np.stack(out, -1)


def save(image, fmt, **kw):
    out = io.BytesIO()
    image.save(out, fmt, **kw)
    return out.getvalue()


H, W = 12, 16
rgb = Image.fromarray(smooth(H, W, 3))
gray = Image.fromarray(smooth(H, W, 1)[..., 0])
rgba = rgb.copy(); rgba.putalpha(Image.fromarray(smooth(H, W, 1)[..., 0]))
la = gray.convert("LA"); la.putalpha(Image.fromarray(smooth(H, W, 1)[..., 0]))
modes = []


def mode(name, data, expected=None, tolerance=0.0):
    image = Image.open(io.BytesIO(data))
    upright = ImageOps.exif_transpose(image)
    if expected is None:
        expected = upright.convert("L" if upright.mode in ("L", "1", "LA") else "RGB")
    modes.append({"name": name, "file": data.hex(), "width": expected.width, "height": expected.height,
                  "channels": len(expected.getbands()), "pixels": expected.tobytes().hex(), "tolerance": tolerance})


mode("png gray", save(gray, "PNG"))
mode("png rgb", save(rgb, "PNG"))
mode("png rgba", save(rgba, "PNG"))
mode("png gray alpha", save(la, "PNG"))
mode("png palette", save(rgb.quantize(16), "PNG"))
mode("png palette transparent", save(rgb.quantize(16), "PNG", transparency=0))
mode("png black white", save(gray.convert("1"), "PNG"))
deep = smooth(H, W, 1)[..., 0].astype(np.uint16) * 257
mode("png gray16", save(Image.fromarray(deep), "PNG"), Image.fromarray((deep >> 8).astype(np.uint8)), 1.0)
mode("jpeg gray", save(gray, "JPEG", quality=90), None, 1.0)
mode("jpeg 4:4:4", save(rgb, "JPEG", quality=90, subsampling=0), None, 1.0)
mode("jpeg 4:2:0", save(rgb, "JPEG", quality=90, subsampling=2), None, 3.0)
mode("jpeg progressive", save(rgb, "JPEG", quality=90, subsampling=0, progressive=True), None, 1.0)
mode("jpeg cmyk", save(rgb.convert("CMYK"), "JPEG", quality=95), None, 2.0)
mode("webp lossless", save(rgb, "WEBP", lossless=True))
mode("webp lossless alpha", save(rgba, "WEBP", lossless=True, exact=True))
mode("webp lossy", save(rgb, "WEBP", quality=90), None, 3.0)
mode("bmp rgb", save(rgb, "BMP"))
mode("bmp gray", save(gray, "BMP"), gray.convert("RGB"))
mode("gif", save(rgb.quantize(32), "GIF"))
mode("tiff rgb", save(rgb, "TIFF"))
mode("tiff gray lzw", save(gray, "TIFF", compression="tiff_lzw"))
mode("tiff cmyk", save(rgb.convert("CMYK"), "TIFF"), None, 1.0)
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = orientation
    mode(f"jpeg orientation {orientation}", save(rgb, "JPEG", quality=95, subsampling=0, exif=exif), None, 1.0)
    mode(f"png orientation {orientation}", save(rgb, "PNG", exif=exif))
    mode(f"webp orientation {orientation}", save(rgb, "WEBP", lossless=True, exif=exif))

source = Image.fromarray(smooth(37, 48, 3))
filters = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS}
resized = []
for name, filter in filters.items():
    for height, width in ((28, 28), (7, 5), (64, 10), (50, 52)):
        out = source.resize((width, height), filter)
        resized.append({"filter": name, "mode": "squash", "height": height, "width": width, "pixels": out.tobytes().hex()})
left = (48 - 37) / 2
resized.append({"filter": "bilinear", "mode": "crop", "height": 16, "width": 16,
                "pixels": source.resize((16, 16), Image.BILINEAR, box=(left, 0, left + 37, 37)).tobytes().hex()})
luma = source.convert("L")

jpeg = bytearray(save(rgb, "JPEG")); at = jpeg.index(b"\xff\xc0"); jpeg[at + 5:at + 9] = struct.pack(">HH", 12000, 12000)
big = bytearray(save(rgb, "JPEG")); big[at + 5:at + 9] = struct.pack(">HH", 65500, 65500)
png = bytearray(save(rgb, "PNG")); png[16:24] = struct.pack(">II", 30000, 30000)
png[29:33] = struct.pack(">I", zlib.crc32(bytes(png[12:29])))
bmp = bytearray(save(rgb, "BMP")); bmp[18:26] = struct.pack("<ii", 60000, 60000)
gif = bytearray(save(rgb.quantize(8), "GIF")); gif[6:10] = struct.pack("<HH", 65535, 65535)
webp = bytearray(save(rgba, "WEBP", lossless=True, exif=Image.Exif().tobytes() or b"Exif\0\0II*\0\x08\0\0\0\0\0"))
if webp[12:16] == b"VP8X":
    webp[24:30] = struct.pack("<I", 16382)[:3] + struct.pack("<I", 16382)[:3]
tiff = Image.new("L", (1, 1)); t = bytearray(save(tiff, "TIFF"))
ifd = struct.unpack("<I", t[4:8])[0]
for n in range(struct.unpack("<H", t[ifd:ifd + 2])[0]):
    entry = ifd + 2 + 12 * n
    tag, kind = struct.unpack("<HH", t[entry:entry + 4])
    if tag in (256, 257):
        t[entry + 2:entry + 12] = struct.pack("<HII", 4, 1, 40000)
bombs = {"jpeg 12000": jpeg, "jpeg 65500": big, "png": png, "bmp": bmp, "gif": gif, "webp": webp, "tiff": t}

path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps({
    "modes": modes,
    "source": {"height": 37, "width": 48, "pixels": source.tobytes().hex(), "luma": luma.tobytes().hex()},
    "resized": resized,
    "bombs": [{"name": name, "file": bytes(data).hex()} for name, data in bombs.items()],
}, indent=0) + "\n")
print(path, path.stat().st_size)
