"""PNG: each chunk against its checksum, then the pixels of every depth, all 16 bits of them (https://www.w3.org/TR/png-3).

Only the chunks that make the still picture are looked at; what an APNG moves, texts and profiles are not even unpacked. Pillow
undoes the compression and the filters. It keeps 8 of 16 bits, so colours of 16 bits are unpacked twice: once for the upper, once
for the lower bytes.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from core.decoding.note import damaged

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS = 200_000
MAX_RATIO = 1032            # deflate's own limit: more pixels than that cannot be in so few bytes
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
UNPACK = {      # (depth, colour kind) -> Pillow's mode and how the unfiltered bytes lie
    (1, 0): ("1", "1"), (2, 0): ("L", "L;2"), (4, 0): ("L", "L;4"), (8, 0): ("L", "L"), (16, 0): ("I;16", "I;16B"),
    (8, 2): ("RGB", "RGB"), (1, 3): ("P", "P;1"), (2, 3): ("P", "P;2"), (4, 3): ("P", "P;4"), (8, 3): ("P", "P"),
    (8, 4): ("LA", "LA"), (8, 6): ("RGBA", "RGBA")}


@dataclass
class Png:
    """What the chunks say. `depth` is in bits; `kind` is 0 gray, 2 RGB, 3 palette, 4 gray and alpha, 6 RGBA."""

    width: int
    height: int
    depth: int
    kind: int
    interlaced: int
    palette: bytes = b""
    clear: bytes = b""            # tRNS: a see-through value, or the alpha of palette entries
    exif: bytes = b""
    frames: int = 1
    data: list[bytes] = field(default_factory=list)


def read_chunks(data: bytes) -> Png:
    """Read what makes the still picture; raise LightboxError "image.broken" where a chunk is not what its checksum says."""
    png, at = None, len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if at + 12 > len(data):
            if png is not None and png.data:      # without its end; whether the pixels are there shows when they are unpacked
                return png
            raise damaged("PNG", "it is cut off")
        length, name = struct.unpack_from(">I4s", data, at)
        if length > len(data) - at - 12:
            raise damaged("PNG", "it is cut off")
        body = data[at + 8:at + 8 + length]
        if zlib.crc32(body, zlib.crc32(name)) != int.from_bytes(data[at + 8 + length:at + 12 + length], "big"):
            raise damaged("PNG", "a part does not fit its checksum")
        at += 12 + length
        if name == b"IHDR" and png is None:
            png = _header(body)
        elif png is None:
            raise damaged("PNG", "it does not begin with its header")
        elif name == b"IEND":
            break
        else:
            _take(png, name, body)
    if png is None or not png.data:
        raise damaged("PNG", "it holds no pixels")
    return png


def _header(body: bytes) -> Png:
    if len(body) != 13:
        raise damaged("PNG", "its header is not one")
    width, height, depth, kind, packing, filters, interlaced = struct.unpack(">IIBBBBB", body)
    if not width or not height or depth not in DEPTHS.get(kind, ()) or packing or filters or interlaced > 1:
        raise damaged("PNG", "its header is not one")
    return Png(width, height, depth, kind, interlaced)


def _take(png: Png, name: bytes, body: bytes) -> None:
    if name == b"IDAT":
        png.data.append(body)
    elif name == b"PLTE":
        png.palette = body
    elif name == b"tRNS":
        png.clear = body
    elif name == b"eXIf":
        png.exif = body
    elif name == b"acTL" and len(body) == 8:
        png.frames = max(1, int.from_bytes(body[:4], "big"))
    elif name[0] & 0x20 == 0:
        raise damaged("PNG", "it holds a part that is not known")


def decode_png(png: Png) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the values, (H, W) or (H, W, 3) uint8 or uint16, and alpha, (H, W) of the same kind or None."""
    packed = sum(map(len, png.data))
    if (png.width * CHANNELS[png.kind] * png.depth // 8) * png.height > MAX_RATIO * packed + 10_000:
        raise damaged("PNG", "it says that it has more pixels than so few bytes can hold")
    values = _unpack_deep(png) if png.depth == 16 else _unpack(png, *UNPACK[png.depth, png.kind])
    if png.kind == 3:
        return _colours_of(png, values)
    if png.kind in (4, 6):
        colours = values[..., 0] if png.kind == 4 else values[..., :3]
        return colours, values[..., -1]
    return values, _clear_value(png, values)


def _unpack(png: Png, mode: str, layout: str) -> np.ndarray:
    try:
        image = Image.frombytes(mode, (png.width, png.height), b"".join(png.data), "zip", (layout, png.interlaced))
    except (ValueError, OSError, SyntaxError):
        raise damaged("PNG", "its pixels cannot be unpacked, or are not all there") from None
    if mode == "1":
        image = image.convert("L")
    return np.asarray(image)


def _unpack_deep(png: Png) -> np.ndarray:
    if png.kind == 0:
        return _unpack(png, *UNPACK[16, 0])
    if png.kind == 4:      # four bytes a pixel, as RGBA has
        four = _unpack(png, "RGBA", "RGBA")
        return four.view(">u2").astype(np.uint16)
    mode = "RGB" if png.kind == 2 else "RGBA"
    values = _unpack(png, mode, f"{mode};16B").astype(np.uint16)
    values <<= 8
    values |= _unpack(png, mode, f"{mode};16L")
    return values


def _colours_of(png: Png, indexes: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return (H, W, 3) uint8 of a palette, and alpha where some entry has one."""
    entries = len(png.palette) // 3
    if not entries or len(png.palette) % 3 or entries > 256 or len(png.clear) > entries or indexes.max() >= entries:
        raise damaged("PNG", "its palette lacks colours")
    colours = np.frombuffer(png.palette, np.uint8).reshape(-1, 3)[indexes]
    if not png.clear:
        return colours, None
    alpha = np.full(256, 255, np.uint8)
    alpha[:len(png.clear)] = np.frombuffer(png.clear, np.uint8)
    return colours, alpha[indexes]


def _clear_value(png: Png, values: np.ndarray) -> np.ndarray | None:
    """Return alpha where one gray value, or one colour, is see-through."""
    if len(png.clear) != 2 * CHANNELS[png.kind]:
        return None
    key = np.frombuffer(png.clear, ">u2").astype(np.int64)
    if png.depth < 8:
        key = key * (255 // (2 ** png.depth - 1))
    same = (values == key[0]) if values.ndim == 2 else (values == key).all(axis=2)
    return np.where(same, 0, np.iinfo(values.dtype).max).astype(values.dtype)
