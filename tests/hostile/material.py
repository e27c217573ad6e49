"""What hostile inputs are made of: honest images, tables and arrays, and zips that unfold to more than they are."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


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


def deflated(head: bytes, count: int) -> bytes:
    """Raw deflate of `head` and then `count` zero bytes: one block for a million zeros, again and again."""
    def block(content: bytes) -> bytes:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return packer.compress(content) + packer.flush(zlib.Z_FULL_FLUSH)

    return block(head) + block(bytes(10**6)) * (count // 10**6) + block(bytes(count % 10**6)) + b"\x03\0"


def zeros(count: int) -> bytes:
    """What zlib makes of so many zero bytes, without writing them all."""
    return b"\x78\xda" + deflated(b"", count) + struct.pack(">HH", count % 65521, 1)      # Adler-32 of zeros


HONEST = {f"set/{c}/{i}.png": png(50 + i + 100 * (c == "b")) for c in "ab" for i in range(8)}
