"""Single images that are broken, lie about their size, or are none."""

from __future__ import annotations

import gzip
import os
import struct
import zlib

import numpy as np
from PIL import Image

from tests.hostile.cases import BAD, LARGE, SCRIPT, case, simple
from tests.hostile.material import packed, png, saved, zeros


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 0) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(chunks) + chunk(b"IEND", b"")


def tiff(tags: dict[int, tuple[int, int, int]], following: int = 0, tail: bytes = b"") -> bytes:
    """tags: number -> (type, count, value)."""
    entries = b"".join(struct.pack("<HHII", tag, *entry) for tag, entry in sorted(tags.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", following) + tail


GRAY_TIFF = {256: (4, 1, 4), 257: (4, 1, 4), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, 8), 279: (4, 1, 16)}


def jpeg_of(width: int, height: int) -> bytes:
    data = bytearray(saved(Image.new("L", (16, 16)), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5:at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def many_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again; each makes the decoder walk through the whole image."""
    data = saved(Image.new("L", (4800, 4800), 77), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]


def gif_of_frames(count: int) -> bytes:
    data = saved(Image.new("L", (1, 1)), "GIF")
    frame = data[data.index(b"\x2c"):-1]
    return data[:-1] + frame * count + b";"


def tiff_of_pages(count: int) -> bytes:
    body, at = b"", 8
    size = 2 + 12 * len(GRAY_TIFF) + 4
    for k in range(count):
        body += struct.pack("<H", len(GRAY_TIFF)) + b"".join(struct.pack("<HHII", t, *e) for t, e in sorted(GRAY_TIFF.items()))
        at += size
        body += struct.pack("<I", at if k < count - 1 else 0)
    return b"II*\0" + struct.pack("<I", 8) + body


for _name, _file, _content, _expected in (
        ("png bomb in the header", "a.png", png_of(60_000, 60_000, chunk(b"IDAT", zeros(1000))), (LARGE,)),
        ("png of 13,000 pixels a side", "a.png",
         lambda: png_of(13_000, 13_000, chunk(b"IDAT", zeros(13_000 * 1_626)), depth=1), (LARGE,)),
        ("png of 25 million 16-bit values", "a.png",
         lambda: png_of(5000, 5000, chunk(b"IDAT", zlib.compress((b"\0" + bytes(range(250)) * 40) * 5000, 1)), depth=16),
         ("works",)),
        ("png with a text that unfolds to a gigabyte", "a.png",
         lambda: png_of(4, 4, chunk(b"zTXt", b"a\0\0" + zeros(10**9)), chunk(b"IDAT", zeros(20))), ("works",)),
        ("png with a colour profile that unfolds to a gigabyte", "a.png",
         lambda: png_of(4, 4, chunk(b"iCCP", b"a\0\0" + zeros(10**9)), chunk(b"IDAT", zeros(20))), ("works",)),
        ("png without pixels", "a.png", png_of(40, 40), (BAD,)),
        ("png whose pixels unfold to too much", "a.png", png_of(4, 4, chunk(b"IDAT", zeros(10**8))), ("works",)),
        ("jpeg bomb in the header", "a.jpg", jpeg_of(65_500, 65_500), (LARGE,)),
        ("jpeg with a thousand scans", "a.jpg", lambda: many_scans(1000), (BAD,)),
        ("gif bomb in the header", "a.gif", b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + b"\0\0\0;", (LARGE, BAD)),
        ("gif of 200,000 frames", "a.gif", lambda: gif_of_frames(200_000), ("works",)),
        ("tiff bomb in the header", "a.tif", tiff(GRAY_TIFF | {256: (4, 1, 2**31), 257: (4, 1, 2**31)}), (LARGE, BAD)),
        ("tiff that leads to itself", "a.tif", tiff(GRAY_TIFF, following=8), ("works",)),
        ("tiff of 20,000 pages", "a.tif", lambda: tiff_of_pages(20_000), ("works",)),
        ("tiff whose tags claim gigabytes", "a.tif",
         tiff(GRAY_TIFF | {k: (2, 2**31 - 1, 0) for k in range(300, 900)}), ("works", BAD)),
        ("bmp bomb in the header", "a.bmp",
         b"BM" + struct.pack("<IHHIIiiHHIIiiII", 100, 0, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0), (LARGE,)),
        ("webp bomb in the header", "a.webp", b"RIFF\x1a\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\xff\xff" * 2, (LARGE, BAD)),
        ("webp cut off", "a.webp", saved(Image.new("RGB", (64, 64)), "WEBP")[:40], (BAD,)),
        ("png cut off", "a.png", png()[:40], (BAD,)),
        ("jpeg cut off", "a.jpg", lambda: saved(Image.effect_noise((300, 300), 50), "JPEG")[:3000], (BAD,)),
        ("tiff cut off", "a.tif", lambda: saved(Image.effect_noise((300, 300), 50), "TIFF")[:3000], (BAD,)),
        ("empty image", "a.png", b"", ("image.not_an_image",)),
        ("text called .png", "a.png", b"hello", ("image.not_an_image",)),
        ("program called .jpg", "a.jpg", b"\x7fELF" + bytes(100), ("image.not_an_image",)),
        ("html called .png", "a.png", f"<html>{SCRIPT}".encode(), ("image.not_an_image",)),
        ("jpeg called .png", "a.png", saved(Image.new("L", (9, 9)), "JPEG"), ("works",)),
        ("jpeg of inks (CMYK)", "a.jpg", saved(Image.new("CMYK", (9, 9)), "JPEG"), ("works",)),
        ("16-bit png of one value", "a.png", lambda: saved(Image.fromarray(np.full((9, 9), 7, np.uint16)), "PNG"), ("works",)),
        ("float tiff of nothing but NaN", "a.tif",
         lambda: saved(Image.fromarray(np.full((9, 9), np.nan, np.float32)), "TIFF"), (BAD,)),
        ("pdf called .png", "a.png", b"%PDF-1.7" + bytes(50), ("image.unsupported",)),
        ("gzip called .png", "a.png", gzip.compress(bytes(1000)), ("image.unsupported",)),
        ("zip called .png", "a.png", packed({"x": b"x"}), ("image.unsupported",))):
    simple(_name, _file, _content, *_expected, how="image")


@case("image that is a link to itself", "image.unreadable", how="image")
def _(folder):
    (folder / "a.png").symlink_to(folder / "a.png")
    return folder / "a.png"


@case("image that is a pipe", "image.unreadable", how="image")
def _(folder):
    os.mkfifo(folder / "a.png")
    return folder / "a.png"


@case("image that is a device without end", "image.unreadable", how="image")
def _(folder):
    (folder / "a.png").symlink_to("/dev/zero")
    return folder / "a.png"


@case("image that is a folder", "image.unreadable", how="image")
def _(folder):
    (folder / "a.png").mkdir()
    return folder / "a.png"


@case("image of 300 MB of nothing", LARGE, how="image")
def _(folder):
    with open(folder / "a.png", "wb") as file:
        file.truncate(300_000_000)      # takes no space on the disk
    return folder / "a.png"
