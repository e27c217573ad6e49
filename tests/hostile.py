"""Broken and hostile inputs, and a program that opens them all in one process.

CASES is the table: name -> how to make it below a folder, how to open it, and which code its one sentence must have. "works"
stands for an input that looks odd and is read all the same, as documented.

    python -m tests.hostile FOLDER      makes all of them in FOLDER, opens one after the other, prints a line of JSON for each
"""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SCRIPT = "<script>alert(1)</script> $x$ **b**"
RIGHT_TO_LEFT = "\u202egnp.lamron\u202c"


@dataclass(frozen=True)
class Case:
    """A row of CASES.

    Args:
        make: writes the input into a folder of its own and gives what to open
        expected: codes, any of which is right; or "works"
        how: "set" opens it as a data set, "image" as a single image, anything else is the pattern of class folders
    """

    make: Callable[[Path], Path | str]
    expected: tuple[str, ...]
    how: str


CASES: dict[str, Case] = {}
NOISE = np.random.default_rng(0).bytes


def case(name: str, *expected: str, how: str = "set"):
    def add(make):
        assert name not in CASES, name
        CASES[name] = Case(make, expected, how)
        return make
    return add


def simple(name: str, file: str, content: Callable[[], bytes] | bytes, *expected: str, how: str = "set") -> None:
    """An input that is one file."""
    def make(folder: Path) -> Path:
        (folder / file).write_bytes(content() if callable(content) else content)
        return folder / file
    CASES.setdefault(name, Case(make, expected, how))


# -------------------------------------------------------------------------------------------------------- honest material

def png(value: int = 100, size: tuple[int, int] = (14, 12), **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full(size, value, np.uint8)).save(file, "PNG", **options)
    return file.getvalue()


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def classes(folder: Path, *names: str, n: int = 8) -> Path:
    """n honest images in each class folder."""
    for k, name in enumerate(names or ("a", "b")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            (folder / name / f"{i}.png").write_bytes(png(40 + 90 * k % 200 + i))
    return folder


def table(folder: Path, text: str | bytes, n: int = 16, name: str = "labels.csv") -> Path:
    """A table beside n honest images 0.png ... ."""
    for i in range(n):
        (folder / f"{i}.png").write_bytes(png(40 + 10 * i % 200))
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"))
    return folder / name


def rows(label=lambda i: "ab"[i % 2], n: int = 16, header: str = "file,label") -> str:
    return "\n".join([header, *(f"{i}.png,{label(i)}" for i in range(n))]) + "\n"


def arrays(n: int = 8, **change) -> dict[str, np.ndarray]:
    content = {}
    for split in ("train", "val", "test"):
        content |= {f"{split}_images": np.arange(n * 64, dtype=np.uint32).astype(np.uint8).reshape(n, 8, 8),
                    f"{split}_labels": np.arange(n, dtype=np.uint8)[:, None] % 2}
    return {name: value for name, value in (content | change).items() if value is not None}


def npz(**change) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays(**change))
    return file.getvalue()


def bomb(entries: dict[str, tuple[bytes, int]]) -> bytes:
    """A zip of entries that begin with some bytes and go on with so many zeros; all sizes and check sums are true."""
    body, centre = b"", b""
    for name, (head, count) in entries.items():
        content, crc = deflated(head, count), zlib.crc32(head)
        for start in range(0, count, 10**7):
            crc = zlib.crc32(bytes(min(10**7, count - start)), crc)
        facts = struct.pack("<HHHIIIHH", 8, 0, 33, crc, len(content), len(head) + count, len(name), 0)
        centre += b"PK\x01\x02" + struct.pack("<HHH", 20, 20, 0) + facts + struct.pack("<HHHII", 0, 0, 0, 0, len(body))
        centre += name.encode()
        body += b"PK\x03\x04" + struct.pack("<HH", 20, 0) + facts + name.encode() + content
    return body + centre + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, len(entries), len(entries), len(centre), len(body), 0)


def packed(entries: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


HONEST = {f"set/{c}/{i}.png": png(50 + i + 100 * (c == "b")) for c in "ab" for i in range(8)}


# ----------------------------------------------------------------------------------------------------------- single images

def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 0) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(chunks) + chunk(b"IEND", b"")


def zeros(count: int) -> bytes:
    """What zlib makes of so many zero bytes, without writing them all."""
    return b"\x78\xda" + deflated(b"", count) + struct.pack(">HH", count % 65521, 1)      # Adler-32 of zeros


def deflated(head: bytes, count: int) -> bytes:
    """Raw deflate of `head` and then `count` zero bytes: one block for a million zeros, again and again."""
    def block(content: bytes) -> bytes:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return packer.compress(content) + packer.flush(zlib.Z_FULL_FLUSH)

    return block(head) + block(bytes(10**6)) * (count // 10**6) + block(bytes(count % 10**6)) + b"\x03\0"


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


LARGE = "image.too_large"
BAD = "image.broken"
for _name, _file, _content, _expected in (
        ("png bomb in the header", "a.png", png_of(60_000, 60_000, chunk(b"IDAT", zeros(1000))), (LARGE,)),
        ("png of 13,000 pixels a side", "a.png",
         lambda: png_of(13_000, 13_000, chunk(b"IDAT", zeros(13_000 * 1_626)), depth=1), (LARGE,)),
        ("png of 25 million 16-bit values", "a.png",
         lambda: png_of(5000, 5000, chunk(b"IDAT", zlib.compress(bytes(range(240)) * 208_354 + bytes(40), 1)), depth=16),
         ("works",)),
        ("png with a text that unfolds to a gigabyte", "a.png",
         lambda: png_of(4, 4, chunk(b"zTXt", b"a\0\0" + zeros(10**9)), chunk(b"IDAT", zeros(20))), (BAD,)),
        ("png with a colour profile that unfolds to a gigabyte", "a.png",
         lambda: png_of(4, 4, chunk(b"iCCP", b"a\0\0" + zeros(10**9)), chunk(b"IDAT", zeros(20))), (BAD,)),
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


# ------------------------------------------------------------------------------------------------------------------- DICOM

def dicom(syntax: str = "1.2.840.10008.1.2.1", pixels: bytes = bytes(range(200)), tail: bytes = b"", **change) -> bytes:
    """Written by hand, so that it can be wrong. `change`: rows, columns, bits, window (centre, width)."""
    def element(group, number, vr, value):
        value += b"\0" * (len(value) % 2)
        long = vr in (b"OB", b"OW", b"SQ", b"UN")
        length = struct.pack("<HI", 0, len(value)) if long else struct.pack("<H", len(value))
        return struct.pack("<HH2s", group, number, vr) + length + value

    meta = element(2, 0x10, b"UI", syntax.encode())
    numbers = {0x02: 1, 0x10: change.get("rows", 10), 0x11: change.get("columns", 10), 0x100: change.get("bits", 16),
               0x101: change.get("bits", 16), 0x102: change.get("bits", 16) - 1, 0x103: 0}
    group = [(0x04, element(0x28, 0x04, b"CS", b"MONOCHROME2"))]
    group += [(n, element(0x28, n, b"US", struct.pack("<H", v))) for n, v in numbers.items()]
    for n, v in zip((0x1050, 0x1051), change.get("window", ())):
        group.append((n, element(0x28, n, b"DS", v)))
    body = element(0x10, 0x10, b"PN", SCRIPT.encode()) + b"".join(e for _, e in sorted(group))
    if pixels and syntax.startswith("1.2.840.10008.1.2.") and len(syntax) > 19:
        body += struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF) + pixels
    elif pixels:
        body += element(0x7FE0, 0x10, b"OW", pixels)
    return bytes(128) + b"DICM" + element(2, 0, b"UL", struct.pack("<I", len(meta))) + meta + body + tail


def item(content: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
J2K = b"\xff\x4f\xff\x51" + struct.pack(">HH4I", 47, 0, 60_000, 60_000, 0, 0) + bytes(40)
RUNS = struct.pack("<16I", 2, 64, 4_000_064, *[0] * 13) + b"\x81\0" * 4_000_000

for _name, _content, _expected in (
        ("dicom that is as it should be", dicom(), ("works",)),
        ("dicom without pixels", dicom(pixels=b""), ("image.no_pixels",)),
        ("dicom with fewer pixels than it says", dicom(rows=500), (BAD,)),
        ("dicom that says 65,535 x 65,535 pixels", dicom(rows=65_535, columns=65_535), (LARGE,)),
        ("dicom of no rows", dicom(rows=0), (BAD,)),
        ("dicom of 64 bits", dicom(bits=64), ("image.unsupported",)),
        ("dicom of 7 bits", dicom(bits=7), (BAD,)),
        ("dicom whose window is no number", dicom(window=(b"nan", b"inf")), ("works",)),
        ("dicom whose window is words", dicom(window=(b"wide", b"open")), (BAD,)),
        ("dicom whose window is below zero", dicom(window=(b"-1e300", b"-5")), ("works",)),
        ("dicom cut off", dicom()[:-60], (BAD,)),
        ("dicom that is zipped as a whole", lambda: dicom("1.2.840.10008.1.2.1.99") + zeros(10**8), ("image.unsupported",)),
        ("dicom in an unknown compression", dicom("1.2.840.10008.1.2.4.99", item(b"") + item(bytes(100)) + END),
         ("image.unsupported",)),
        ("dicom in JPEG Lossless", dicom("1.2.840.10008.1.2.4.70", item(b"") + item(
            b"\xff\xd8\xff\xc3\x00\x0b\x10\x00\x0a\x00\x0a\x01\x01\x11\0" + bytes(60)) + END), ("image.unsupported",)),
        ("dicom whose JPEG 2000 is larger than it says", dicom("1.2.840.10008.1.2.4.90", item(b"") + item(J2K) + END), (BAD,)),
        ("dicom whose runs unfold to half a gigabyte",
         lambda: dicom("1.2.840.10008.1.2.5", item(b"") + item(RUNS) + END), (BAD,)),
        ("dicom of a million fragments", lambda: dicom("1.2.840.10008.1.2.4.90", item(b"") * 1_000_000 + END), (BAD,)),
        ("dicom of two million entries", bytes(128) + b"DICM" + struct.pack("<HH2sH", 9, 0x1001, b"LO", 0) * 2_000_000, (BAD,)),
        ("dicom of 5,000 sequences inside each other", bytes(128) + b"DICM" + (
            struct.pack("<HH2sHI", 9, 0x1001, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)) * 5_000,
         (BAD, "image.no_pixels")),
        ("dicom that only says so", bytes(128) + b"DICM" + NOISE(1000), (BAD, "image.no_pixels", "image.unsupported"))):
    simple(_name, "a.dcm", _content, *_expected, how="image")


# ------------------------------------------------------------------------------------------------------------ class folders

simple("a file of no known kind", "set.docx", b"hello", "dataset.unsupported")
simple("an empty file without an ending", "set", b"", "dataset.unsupported")
CASES["a path that is not there"] = Case(lambda folder: folder / "nowhere", ("dataset.unknown",), "set")
CASES["a path of 10,000 characters"] = Case(lambda folder: "/" + "x" * 10_000, ("dataset.unknown",), "set")
CASES["a path with a zero byte"] = Case(lambda folder: "/tmp/\0/x", ("dataset.unknown",), "set")
CASES["a path that is a script"] = Case(lambda folder: SCRIPT, ("dataset.unknown",), "set")
CASES["a device instead of a set"] = Case(lambda folder: "/dev/zero", ("dataset.unknown",), "set")
CASES["an empty folder"] = Case(lambda folder: folder, ("folder.classes",), "set")
CASES["one class"] = Case(lambda folder: classes(folder, "only"), ("folder.classes",), "set")
CASES["a script and marks as names of classes"] = Case(
    lambda folder: classes(folder, SCRIPT.replace("/", "|"), RIGHT_TO_LEFT, "new\nline"), ("works",), "set")
CASES["classes called NA and None"] = Case(lambda folder: classes(folder, "NA", "None", "nan"), ("works",), "set")
CASES["patients that nobody knows"] = Case(lambda folder: classes(folder), ("works",), "set")


@case("a pipe instead of a set", "dataset.unknown")
def _(folder):
    os.mkfifo(folder / "set.csv")
    return folder / "set.csv"


@case("a folder that is a link to itself", "dataset.unknown")
def _(folder):
    (folder / "loop").symlink_to(folder / "loop")
    return folder / "loop"


@case("an empty class", "folder.empty_class")
def _(folder):
    (classes(folder) / "c").mkdir()
    return folder


@case("a folder for each of 1,001 patients", "folder.classes")
def _(folder):
    return classes(folder, *(f"patient{i}" for i in range(1001)), n=1)


@case("class folders that lead in circles, pipes and devices", "works")
def _(folder):
    classes(folder)
    (folder / "a" / "up").symlink_to(folder)
    (folder / "a" / "loop").symlink_to(folder / "a" / "loop")
    (folder / "a" / "zero.png").symlink_to("/dev/zero")
    os.mkfifo(folder / "b" / "pipe.png")
    os.mkfifo(folder / "b" / "pipe")
    return folder


@case("a class that is a link to the whole disk", "works")
def _(folder):
    classes(folder)
    (folder / "c").symlink_to("/")
    return folder


@case("names that are not UTF-8", "works")
def _(folder):
    classes(folder)
    for name in (b"caf\xe9.png", b"\xff\xfe.png"):
        with open(os.fsencode(folder / "a") + b"/" + name, "wb") as file:
            file.write(png())
    return folder


@case("a class whose name is not UTF-8", "works", "folder.classes", "folder.empty_class")
def _(folder):
    classes(folder)
    os.mkdir(os.fsencode(folder) + b"/caf\xe9")
    with open(os.fsencode(folder) + b"/caf\xe9/a.png", "wb") as file:
        file.write(png())
    return folder


@case("nothing but broken images", "store.no_images")
def _(folder):
    for c in "ab":
        (folder / c).mkdir()
        (folder / c / "x.png").write_text("no image")
    return folder


@case("a bomb among honest images", "works")
def _(folder):
    classes(folder)
    (folder / "a" / "bomb.png").write_bytes(png_of(60_000, 60_000))
    (folder / "a" / "empty.jpg").write_bytes(b"")
    return folder


@case("folders 200 deep", "works")
def _(folder):
    deep = classes(folder) / "a" / "/".join(["d" * 10] * 200)
    deep.mkdir(parents=True)
    (deep / "x.png").write_bytes(png())
    return folder


for _name, _pattern in (("that is no expression", "(?P<patient>["), ("without groups", r"\d+"),
                        ("with an unknown group", "(?P<eye>.)"),
                        ("of 10,000 characters", "(?P<patient>" + "a" * 10_000 + ")"), ("nested too deep", "(" * 249 + ")" * 249),
                        ("with a count beyond all", "(?P<patient>a{99999999999})"), ("that never ends", "(?P<patient>(a+)+)$"),
                        ("that takes for ever", "(?P<patient>a*a*a*a*a*a*a*a*)b")):
    def _long_names(folder: Path) -> Path:
        for c in "ab":
            classes(folder, c, n=1)
            (folder / c / f"{'a' * 200}!.png").write_bytes(png())
        return folder
    CASES[f"a pattern {_name}"] = Case(_long_names, ("folder.pattern",), _pattern)


# -------------------------------------------------------------------------------------------------------------------- MURA

def mura(folder: Path, *paths: str) -> Path:
    for p in range(8):
        for label in ("negative", "positive"):
            study = folder / f"MURA-v1.1/{'valid' if p > 5 else 'train'}/XR_ELBOW/patient{p:05d}/study1_{label}"
            study.mkdir(parents=True)
            (study / "image1.png").write_bytes(png(60 + p))
    for path in paths:
        (folder / "MURA-v1.1" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "MURA-v1.1" / path).write_bytes(png())
    return folder


CASES["mura with odd names"] = Case(lambda folder: mura(
    folder, "train/XR_ELBOW/loose.png", "train/XR_ELBOW/patient1/study_negative/image1.png",
    f"train/XR_ELBOW/patient2/study1_{RIGHT_TO_LEFT}/image1.png", "train/XR_ELBOW/patient-3/study1_negative/i.png",
    "train/XR_KNEE/patient00001/study1_negative/image1.png"), ("works",), "set")


@case("mura with lists of studies that are no lists", "works")
def _(folder):
    mura(folder)
    (folder / "MURA-v1.1/train_labeled_studies.csv").write_bytes(NOISE(100_000))
    (folder / "MURA-v1.1/valid_labeled_studies.csv").write_text("MURA-v1.1/valid/XR_ELBOW/" + "x" * 500_000 + ",1\n")
    return folder


@case("mura without images", "mura.classes")
def _(folder):
    (folder / "train/XR_ELBOW/patient00001/study1_negative").mkdir(parents=True)
    return folder


@case("mura of one part and one label", "mura.classes")
def _(folder):
    place = folder / "train/XR_HAND/patient00001/study1_positive"
    place.mkdir(parents=True)
    (place / "image1.png").write_bytes(png())
    return folder


# -------------------------------------------------------------------------------------------------------------------- .npz

def npy(header: bytes, content: bytes = b"") -> bytes:
    """An .npy file with a header of any text."""
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + content


def npz_with(name: str, content: bytes, twice: bool = False) -> bytes:
    file = io.BytesIO()
    honest = arrays()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, value in honest.items():
            if key != name:
                with archive.open(f"{key}.npy", "w") as entry:
                    np.lib.format.write_array(entry, value)
        for _ in range(1 + twice):
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def claims(shape: str, descr: str = "|u1") -> bytes:
    return f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()


class _Evil:
    def __reduce__(self):
        return os.system, ("touch pwned",)


def _objects() -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays(), extra=np.array([1]))
    evil = io.BytesIO()
    np.lib.format.write_array(evil, np.array([_Evil()] * 8, object), allow_pickle=True)
    return npz_with("train_labels", evil.getvalue())


LAYOUT = "npz.layout"
for _name, _content, _expected in (
        ("npz that holds objects that run code", _objects, ("npz.object",)),
        ("npz with the channels in front", lambda: npz(train_images=np.zeros((8, 3, 8, 8), np.uint8)), (LAYOUT,)),
        ("npz with volumes", lambda: npz(train_images=np.zeros((8, 8, 8, 8), np.uint8)), (LAYOUT,)),
        ("npz with one image and no count", lambda: npz(train_images=np.zeros((8, 8), np.uint8)), (LAYOUT,)),
        ("npz with 160 GB in its header", lambda: npz_with("train_images", npy(claims("(10000000, 128, 128)"))),
         ("npz.too_large",)),
        ("npz with a size below zero", lambda: npz_with("train_images", npy(claims("(-8, 8, 8)"))), ("npz.broken",)),
        ("npz with 10^30 in its header", lambda: npz_with("train_images", npy(claims("(1000000, 10**24)"))), ("npz.broken",)),
        ("npz with brackets without end", lambda: npz_with("train_images", npy(b"(" * 9000)), ("npz.broken",)),
        ("npz with a header of 60 kB", lambda: npz_with("train_images", npy(b"#" * 60_000)), ("npz.broken",)),
        ("npz of a billion zeros", lambda: npz_zeros(), ("npz.too_large",)),
        ("npz with fewer labels than images", lambda: npz(train_labels=np.zeros((7, 1), np.uint8)), (LAYOUT,)),
        ("npz with one array twice", lambda: npz_with("train_labels", npy(claims("(8, 1)"), bytes(8)), twice=True),
         ("npz.broken",)),
        ("npz with float images", lambda: npz(train_images=np.zeros((8, 8, 8))), (LAYOUT,)),
        ("npz with text as labels", lambda: npz(train_labels=np.array(["a"] * 8)), (LAYOUT,)),
        ("npz with labels below zero", lambda: npz(train_labels=np.array([[-1], [1]] * 4)), ("npz.labels",)),
        ("npz with a label of a billion", lambda: npz(train_labels=np.array([[0], [10**9]] * 4)), ("npz.labels",)),
        ("npz with one class", lambda: npz(**{f"{s}_labels": np.ones(8, np.uint8) for s in ("train", "val", "test")}),
         ("npz.labels",)),
        ("npz without training images", lambda: npz(train_images=None, train_labels=None), (LAYOUT,)),
        ("npz of nothing", lambda: packed({}), (LAYOUT,)),
        ("npz cut off", lambda: npz()[:-100], ("npz.broken",)),
        ("npz that is text", b"hello", ("npz.not_npz",)),
        ("npz that is empty", b"", ("npz.not_npz",)),
        ("npz that ends early inside", lambda: npz_with("train_images", npy(claims("(8, 8, 8)"), bytes(100))), ("npz.broken",))):
    simple(_name, "set.npz", _content, *_expected)


def npz_zeros() -> bytes:
    """A megabyte that unfolds to a billion images of one pixel and their labels."""
    n = 10**9
    return bomb({"train_images.npy": (npy(claims(f"({n}, 1, 1)")), n), "train_labels.npy": (npy(claims(f"({n},)")), n)})


# ------------------------------------------------------------------------------------------------------------------- tables

def table_case(name: str, text: Callable[[], str | bytes] | str | bytes, *expected: str) -> None:
    assert name not in CASES
    CASES[name] = Case(lambda folder: table(folder, text() if callable(text) else text), expected, "set")


table_case("table with a mark of UTF-8", b"\xef\xbb\xbf" + rows().encode(), "works")
table_case("table in UTF-16", rows().encode("utf-16"), "works")
table_case("table in UTF-16 without a mark", rows().encode("utf-16-le"), "works")
table_case("table in an old encoding", rows(lambda i: ("pneumonía", "sano")[i % 2]).encode("cp1252"), "works")
table_case("table with ragged rows", rows() + "5.png\n6.png,a,b,c\n", "works")
table_case("table in which most rows are ragged", "file,label\n" + "1.png,a,b,c\n" * 50 + rows(), "table.ragged")
table_case("table with 01 and 1", rows(lambda i: ("01", "1")[i % 2]), "works")
table_case("table with NA as a label", rows(lambda i: ("NA", "None")[i % 2]), "works")
table_case("table with one file twice", rows() + "0.png,b\n1.png,b\n", "works")
table_case("table of files that are not there",
           "file,label\n" + "".join(f"x{i}.png,{'ab'[i % 2]}\n" for i in range(20)), "table.files")
table_case("table of paths that lead outside",
           "file,label\n../../../../etc/passwd,a\n/etc/shadow,b\n..\\..\\x.png,a\n" + rows()[11:], "works")
table_case("table of nothing but paths that lead outside", "file,label\n../../../../etc/passwd,a\n/etc/shadow,b\n", "table.files")
table_case("table of a million rows", lambda: "file,label\n" + "0.png,a\n" * 1_000_000, "table.too_large")
table_case("table of 400,000 rows", lambda: "file,label\n" + "x.png,a\n1.png,b\n" * 200_000, "table.classes")
table_case("table of 10,000 columns", lambda: ",".join(f"c{i}" for i in range(10_000)) + "\n" + ("x," * 9_999 + "x\n") * 50,
           "table.file")
table_case("table of random bytes", NOISE(100_000).replace(b"\0", b"\0\0"), "table.not_text")
table_case("table that is an image", png(), "table.not_text")
table_case("table that is a workbook", packed({"xl/workbook.xml": b"x"}), "table.not_text")
table_case("table packed with gzip", gzip.compress(rows().encode()), "table.not_text")
table_case("table with zero bytes", rows().encode() + b"\0" * 10 + b"1.png,a\n", "table.not_text")
table_case("table that is empty", b"", "table.empty")
table_case("table of a header only", "file,label\n", "table.empty")
table_case("table of a million empty lines", b"\n" * 400_000, "table.empty")
table_case("table without a header", rows()[11:], "table.header")
table_case("table of one column", "file\n0.png\n1.png\n", "table.columns")
table_case("table of one class", rows(lambda i: "same"), "table.classes")
table_case("table with a field of 20 MB", lambda: rows() + '15.png,"' + "x" * 20_000_000 + '"\n', "table.quotes")
table_case("table with a quotation mark that never ends", rows() + '1.png,"a\n' + rows()[11:] * 100, "table.quotes")
table_case("table of nothing but quotation marks", b'"' * 3_000_000, "table.quotes")
table_case("table with labels of 10,000 characters", rows(lambda i: "ab"[i % 2] if i < 12 else "x" * 10_000), "works")
table_case("table with nothing but labels of 10,000 characters", rows(lambda i: "xy"[i % 2] * 10_000), "table.rows")
table_case("table with a script as a label", rows(lambda i: (SCRIPT, "=cmd|' /C calc'!A0")[i % 2]), "works")
table_case("table with marks from right to left", rows(lambda i: (RIGHT_TO_LEFT, "normal")[i % 2]), "works")
table_case("table of a different label in each row", lambda: rows(lambda i: f"l{i}"), "works")
table_case("table with two columns of one name",
           "file,label,label\n" + "".join(f"{i}.png,{'ab'[i % 2]},x\n" for i in range(16)), "works")


@case("folder with two tables", "table.which")
def _(folder):
    table(folder, rows())
    (folder / "other.csv").write_text(rows())
    return folder


@case("folder with a table beside its images", "works")
def _(folder):
    return table(folder, rows()).parent


@case("table whose images are links to the outside", "store.no_images")
def _(folder):
    table(folder, "file,label\n" + "".join(f"l{i}.png,{'ab'[i % 2]}\n" for i in range(8)), n=0)
    for i in range(8):
        (folder / f"l{i}.png").symlink_to("/etc/passwd")
    return folder / "labels.csv"


# --------------------------------------------------------------------------------------------------------------------- zips

def zip_with(name: str, content: bytes = b"x", mode: int = 0) -> bytes:
    file = io.BytesIO(packed(HONEST))
    with zipfile.ZipFile(file, "a") as archive:
        info = zipfile.ZipInfo("placeholder.png")
        info.filename, info.external_attr = name, mode << 16
        archive.writestr(info, content)
    return file.getvalue()


def _patched(data: bytes, name: bytes, at: int, value: bytes, local: int | None = None) -> bytes:
    """Change a field of an entry in the list at the end, and where `local` is given also in front of its content."""
    out = bytearray(data)
    centre = data.rindex(b"PK\x01\x02", 0, data.rindex(name))
    out[centre + at:centre + at + len(value)] = value
    if local is not None:
        front = data.rindex(b"PK\x03\x04", 0, data.index(name))
        out[front + local:front + local + len(value)] = value
    return bytes(out)


def _overlapping() -> bytes:
    """All entries of the list point at the same content, as in Fifield's bombs (2019)."""
    data = bytearray(packed({f"set/{'ab'[i % 2]}/{i:04d}.png": png() for i in range(100)}))
    at, first = 0, None
    while (at := data.find(b"PK\x01\x02", at)) >= 0:
        first = data[at + 42:at + 46] if first is None else first
        data[at + 42:at + 46] = first
        at += 4
    return bytes(data)


NAMES = "archive.names"
for _name, _content, _expected in (
        ("zip that is as it should be", lambda: packed(HONEST), ("works",)),
        ("zip with a name that leads up", lambda: zip_with("../../escaped.png"), (NAMES,)),
        ("zip with a name that leads up inside", lambda: zip_with("set/../../../escaped.png"), (NAMES,)),
        ("zip with a name from the root", lambda: zip_with("/tmp/lightbox-escaped.png"), (NAMES,)),
        ("zip with a name for Windows", lambda: zip_with("..\\..\\escaped.png"), (NAMES,)),
        ("zip with a drive", lambda: zip_with("C:/escaped.png"), (NAMES,)),
        ("zip with a link", lambda: zip_with("set/a/link.png", b"/etc/passwd", 0o120777), (NAMES,)),
        ("zip with a link to a folder and a file behind it", lambda: zip_with("set/out", b"/tmp", 0o120777), (NAMES,)),
        ("zip with a device", lambda: zip_with("set/a/zero.png", b"", 0o020666), (NAMES,)),
        ("zip with a name of 60,000 characters", lambda: zip_with("x" * 60_000 + ".png"), (NAMES,)),
        ("zip 5,000 folders deep", lambda: zip_with("d/" * 5_000 + "x.png"), (NAMES,)),
        ("zip with marks in a name", lambda: zip_with("set/a/new\nline.png"), (NAMES,)),
        ("zip with a file that is also a folder", lambda: zip_with("set/a", b"x"), (NAMES,)),
        ("zip bomb of zeros", lambda: bomb({f"set/{c}/0.png": (png(), 190_000_000) for c in "ab"}), ("archive.too_large",)),
        ("zip with a file of a gigabyte", lambda: bomb({"a/x.png": (b"", 10**9)}), ("archive.too_large",)),
        ("zip that says a smaller size than it has",
         lambda: _patched(packed(HONEST | {"set/a/liar.png": bytes(5_000_000)}), b"set/a/liar.png", 24, struct.pack("<I", 100)),
         ("archive.lies",)),
        ("zip that says a larger size than it has",
         lambda: _patched(packed(HONEST | {"set/a/liar.png": bytes(500)}), b"set/a/liar.png", 24, struct.pack("<I", 90_000_000)),
         ("archive.lies",)),
        ("zip whose check sum is wrong",
         lambda: _patched(packed(HONEST), b"set/a/0.png", 16, b"\1\2\3\4"), ("archive.lies",)),
        ("zip whose files share their bytes", _overlapping, ("archive.overlap",)),
        ("zip with a password", lambda: _patched(packed(HONEST | {"x": b""}), b"set/a/0.png", 8, b"\1\0", 6),
         ("archive.encrypted",)),
        ("zip in a rare compression", lambda: _patched(packed(HONEST | {"y": b""}), b"set/a/0.png", 10, b"\x63\0", 8),
         ("archive.unsupported",)),
        ("zip in a zip", lambda: packed({"inner.zip": packed(HONEST)}), ("archive.empty",)),
        ("zip of nothing", lambda: packed({}), ("archive.empty",)),
        ("zip of a program", lambda: packed({"run.exe": b"MZ", ".hidden.png": png()}), ("archive.empty",)),
        ("zip cut off", lambda: packed(HONEST)[:-200], ("archive.broken",)),
        ("zip cut off in front", lambda: packed(HONEST)[300:], ("archive.broken", "archive.overlap")),
        ("zip that is text", b"hello", ("archive.not_zip",)),
        ("zip that is empty", b"", ("archive.not_zip",)),
        ("zip whose list says it has 4 GB", lambda: packed(HONEST)[:-10] + b"\xff\xff\xff\xfe" + packed(HONEST)[-6:],
         ("archive.too_large",)),
        ("zip of one class", lambda: packed({f"set/a/{i}.png": png() for i in range(4)}), ("folder.classes",)),
        ("zip of a table and images",
         lambda: packed({"labels.csv": rows().encode()} | {f"{i}.png": png(40 + i) for i in range(16)}), ("works",))):
    simple(_name, "set.zip", _content, *_expected)


@case("zip with one name twice", NAMES)
def _(folder):
    import warnings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (folder / "set.zip").write_bytes(zip_with("set/a/0.png"))
    return folder / "set.zip"


# ---------------------------------------------------------------------------------------------------------------- the program

def open_case(kind: Case, what: Path | str) -> None:
    from core.config import DataConfig
    from core.datasets import open_dataset
    from core.datasets.folder import Folder, FolderReading
    from core.datasets.intake import decode_image
    if kind.how == "image":
        decode_image(Path(what))
    elif kind.how == "set":
        data = open_dataset(DataConfig(str(what), size=28))
        repr(data), data.counts()
    else:
        Folder(Path(what), FolderReading(kind.how)).scan()


def measured(kind: Case, what: Path | str) -> dict:
    """Open one input: its code, the sentence, seconds by the clock and of work, the process's largest memory meanwhile in MB."""
    from core.errors import LightboxError
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")                       # the peak starts anew
    began, busy, code, said = time.perf_counter(), sum(os.times()[:4]), "works", ""
    try:
        open_case(kind, what)
    except LightboxError as error:
        code, said = error.code, str(error)
    except Exception as error:      # what the test is to find
        code, said = f"not in words: {type(error).__name__}", str(error)
    seconds, cpu = time.perf_counter() - began, sum(os.times()[:4]) - busy
    with open("/proc/self/status") as file:
        peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1000
    return {"code": code, "said": said, "seconds": round(seconds, 3), "cpu": round(cpu, 3), "peak_mb": round(peak)}


def main(root: Path) -> None:
    """Make all inputs, then open them."""
    import pydicom.pixels  # noqa: F401   its import is no part of an answer

    made = {}
    for k, (name, kind) in enumerate(CASES.items()):
        folder = root / "inputs" / f"{k:03d}"
        folder.mkdir(parents=True)
        made[name] = kind.make(folder)
    print(json.dumps({"made": len(made)}), flush=True)
    sys.stdin.readline()                      # the test takes its listing
    for name, what in made.items():
        print(json.dumps({"name": name} | measured(CASES[name], what)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
