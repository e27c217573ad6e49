"""DICOM files that are broken or lie."""

from __future__ import annotations

import struct

from tests.hostile.cases import BAD, LARGE, NOISE, SCRIPT, simple
from tests.hostile.material import zeros


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
        ("dicom whose window is words", dicom(window=(b"wide", b"open")), ("works",)),
        ("dicom whose window is below zero", dicom(window=(b"-1e300", b"-5")), ("works",)),
        ("dicom cut off", dicom()[:-60], (BAD,)),
        ("dicom that is zipped as a whole", lambda: dicom("1.2.840.10008.1.2.1.99") + zeros(10**8), ("image.unsupported",)),
        ("dicom in an unknown compression", dicom("1.2.840.10008.1.2.4.99", item(b"") + item(bytes(100)) + END),
         ("image.unsupported",)),
        ("dicom in JPEG Lossless", dicom("1.2.840.10008.1.2.4.70", item(b"") + item(
            b"\xff\xd8\xff\xc3\x00\x0b\x10\x00\x0a\x00\x0a\x01\x01\x11\0" + bytes(60)) + END),
         ("image.unsupported", BAD, "works")),
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
