"""Small files whose heads claim far more pixels than a decoder should take memory for.

    python tests/goldens/data_bombs.py      (made with Pillow 13.0.0)

Writes data_bombs.json beside itself: 26 files of 6 formats in base64.
"""
import base64, io, json, pathlib, struct, zlib
from PIL import Image

bombs = {}
rgb, gray = Image.new("RGB", (16, 16), (90, 20, 200)), Image.new("L", (16, 16), 77)


def save(image, fmt, **kw):
    out = io.BytesIO()
    image.save(out, fmt, **kw)
    return bytearray(out.getvalue())


def jpeg(name, image, width, height, marker=b"\xff\xc0", **kw):
    data = save(image, "JPEG", **kw)
    at = data.index(marker)
    data[at + 5:at + 9] = struct.pack(">HH", height, width)
    bombs["jpeg " + name] = data


jpeg("12000", rgb, 12000, 12000)
jpeg("65500", rgb, 65500, 65500)
jpeg("65500x1000", rgb, 65500, 1000)
jpeg("progressive 12000", rgb, 12000, 12000, b"\xff\xc2", progressive=True)
jpeg("gray 10000", gray, 10000, 10000)
jpeg("cmyk 8000", rgb.convert("CMYK"), 8000, 8000)
# Below the limit of pixels, but there are no data for so many.
jpeg("7000 without data", rgb, 7000, 7000)
jpeg("progressive 7000 without data", rgb, 7000, 7000, b"\xff\xc2", progressive=True)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(name, width, height, depth, color, data, interlace=0, extra=b""):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace))
    bombs["png " + name] = b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


some = zlib.compress(bytes(4000))
png("30000", 30000, 30000, 8, 2, some)
png("2 billion wide", 2**31 - 1, 1, 8, 0, some)
png("16 bit 8000", 8000, 8000, 16, 6, some)
png("interlaced 20000", 20000, 20000, 8, 2, some, 1)
png("palette 50000", 50000, 50000, 8, 3, some, 0, chunk(b"PLTE", bytes(768)))
# A whole picture of one bit a pixel that is 8 MB unpacked and 64 MB as bytes.
png("one bit 8000", 8000, 8000, 1, 0, zlib.compress(bytes(8000 * 1001), 9))
profile = b"icc\0\0" + zlib.compress(bytes(100_000_000), 9)
png("100 MB of profile", 4, 4, 8, 0, zlib.compress(bytes(20)), 0, chunk(b"iCCP", profile))
png("100 MB of text", 4, 4, 8, 0, zlib.compress(bytes(20)), 0, chunk(b"zTXt", b"text\0\0" + profile[5:]))


def riff(*chunks):
    body = b"WEBP" + b"".join(kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


lossless = save(rgb, "WEBP", lossless=True)[20:]
bits = 0x2f | (16383 << 8) | (16383 << 22)
bombs["webp lossless 16384"] = riff((b"VP8L", struct.pack("<Q", bits)[:5] + bytes(lossless[5:])))
lossy = save(rgb, "WEBP", quality=50)[20:]
lossy[6:10] = struct.pack("<HH", 16383, 16383)
bombs["webp lossy 16383"] = riff((b"VP8 ", bytes(lossy)))
canvas = struct.pack("<I", 0) + struct.pack("<I", 2**24 - 1)[:3] + struct.pack("<I", 200)[:3]
bombs["webp canvas 16 million"] = riff((b"VP8X", canvas), (b"VP8L", bytes(lossless)))

gif = save(rgb.quantize(8), "GIF")
gif[6:10] = struct.pack("<HH", 65535, 65535)
bombs["gif 65535"] = bytes(gif)
gif = save(rgb.quantize(8), "GIF")
at = gif.index(b",\0\0\0\0\x10\0\x10\0")
gif[at + 5:at + 9] = struct.pack("<HH", 60000, 60000)
bombs["gif frame 60000"] = bytes(gif)

for name, image, size in [("60000", rgb, (60000, 60000)), ("upside down", rgb, (30000, -30000)), ("one bit 40000", gray.convert("1"), (40000, 40000))]:
    bmp = save(image, "BMP")
    bmp[18:26] = struct.pack("<ii", *size)
    bombs["bmp " + name] = bytes(bmp)


def tiff(name, image, fields, **kw):
    data = save(image, "TIFF", **kw)
    ifd = struct.unpack("<I", data[4:8])[0]
    for number in range(struct.unpack("<H", data[ifd:ifd + 2])[0]):
        entry = ifd + 2 + 12 * number
        tag = struct.unpack("<H", data[entry:entry + 2])[0]
        if tag in fields:
            data[entry + 2:entry + 12] = struct.pack("<HII", 4, 1, fields[tag])
    bombs["tiff " + name] = bytes(data)


tiff("40000", gray, {256: 40000, 257: 40000})
tiff("lzw 40000", gray, {256: 40000, 257: 40000, 278: 40000}, compression="tiff_lzw")

path = pathlib.Path(__file__).with_suffix(".json")
files = [{"name": name, "file": base64.b64encode(bytes(data)).decode()} for name, data in bombs.items()]
path.write_text(json.dumps(files, indent=0) + "\n")
print(path, path.stat().st_size, len(bombs))
