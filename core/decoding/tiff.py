"""TIFF of more than 8 bits, of signed or float values, planar or not, in either byte order (TIFF 6.0 and its supplements).

Pillow reads few of these, and some wrongly. What it does well is to undo the compression: so it is shown the file as a gray 8-bit
image whose rows are the bytes of the real rows, and here these bytes become values: byte order, predictor, packed bits, planes.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

import numpy as np
from PIL import Image

from core.decoding.note import MAX_PIXELS, Note, damaged, too_large, unsupported

MAX_FRAMES = 100            # more are not counted
MAX_TAGS = 4096
MAX_RATIO = 1500            # more than deflate (1,032) and LZW (1,365) can do
INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}          # type -> struct
COMPRESSIONS = {1: "none", 5: "LZW", 8: "deflate", 32946: "deflate", 32773: "PackBits", 34925: "LZMA", 50000: "Zstandard"}
KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}              # SampleFormat -> NumPy's kind
OTHERS = {3: "palette", 5: "CMYK", 6: "YCbCr", 8: "CIELab", 9: "ICCLab", 10: "ITULab", 32803: "camera's raw", 32844: "LogL",
          32845: "LogLuv", 34892: "raw"}


@dataclass
class Page:
    """The tags of one page with whole numbers: {number: values}, and where things lie."""

    order: str
    big: bool
    tags: dict[int, tuple[int, ...]]

    def one(self, tag: int, default: int = 0) -> int:
        values = self.tags.get(tag)
        return values[0] if values else default


def page_starts(data: bytes) -> list[int]:
    """Return where the pages begin, of the first MAX_FRAMES."""
    order, big = ("<" if data[:2] == b"II" else ">"), data[2:4] in (b"+\0", b"\0+")
    word, count, entry = ("Q", "Q", 20) if big else ("I", "H", 12)
    size = struct.calcsize(order + count)
    starts: list[int] = []
    try:
        at, = struct.unpack_from(order + word, data, 8 if big else 4)
        while at and at not in starts and len(starts) < MAX_FRAMES:
            n, = struct.unpack_from(order + count, data, at)
            starts.append(at)
            at, = struct.unpack_from(order + word, data, at + size + n * entry)
    except struct.error:
        pass
    return starts


def read_page(data: bytes, at: int) -> Page:
    """Read the tags of the page that begins at `at`."""
    order, big = ("<" if data[:2] == b"II" else ">"), data[2:4] in (b"+\0", b"\0+")
    form, count, entry, room = ("HHQ", "Q", 20, 8) if big else ("HHI", "H", 12, 4)
    tags = {}
    try:
        n, = struct.unpack_from(order + count, data, at)
        if n > MAX_TAGS:
            raise damaged("TIFF", "it has too many tags")
        for k in range(n):
            here = at + struct.calcsize(order + count) + k * entry
            tag, kind, number = struct.unpack_from(order + form, data, here)
            letter = INTEGERS.get(kind)
            if letter is None or number > len(data):
                continue
            place = here + struct.calcsize(order + form)
            if number * struct.calcsize(letter) > room:
                place, = struct.unpack_from(order + ("Q" if big else "I"), data, place)
            tags[tag] = struct.unpack_from(f"{order}{number}{letter}", data, place)
    except struct.error:
        raise damaged("TIFF", "it is cut off") from None
    return Page(order, big, tags)


def check_size(page: Page) -> int:
    """Return the number of pixels. Raises LightboxError where it is 0 or above the limit."""
    width, height = page.one(256), page.one(257)
    if not width or not height:
        raise damaged("TIFF", "it has no size")
    if width * height > MAX_PIXELS:
        raise too_large(f"The image has {width:,} x {height:,} pixels")
    return width * height


def is_plain(page: Page) -> bool:
    """Return whether Pillow reads all of it rightly: up to 8 bits, not signed, not multiplied with alpha."""
    multiplied = page.tags.get(338, ())[:1] == (1,) and page.one(259, 1) in COMPRESSIONS and page.one(262) in (0, 1, 2)
    return max(page.tags.get(258, (1,))) <= 8 and set(page.tags.get(339, (1,))) <= {1, 4} and not multiplied


def decode_deep(data: bytes, page: Page, notes: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the values, (H, W) or (H, W, 3), and alpha, (H, W) or None, not turned yet."""
    bits, kind = _kind(page)
    channels, photometric = page.one(277, 1), page.one(262, 1)
    compression = page.one(259, 1)
    if photometric not in (0, 1, 2):
        raise unsupported(f"The TIFF image has {OTHERS.get(photometric, 'unknown')} values of {bits} bits, which are not read.")
    if compression not in COMPRESSIONS:
        raise unsupported(f"The TIFF image has {bits} bits a value in a compression ({compression}) that is not read.",
                          "Save it without compression, or as PNG.")
    base = 3 if photometric == 2 else 1
    if channels not in (base, base + 1):
        raise unsupported(f"The TIFF image has {channels} channels of {bits} bits, which is no picture.",
                          "Save the channel that matters, or one image of three colours.")
    planes = channels if page.one(284, 1) == 2 and channels > 1 else 1
    together = channels // planes
    parts = [_plane(data, page, plane, planes, together, bits, kind) for plane in range(planes)]
    values = parts[0] if planes == 1 else np.concatenate(parts, axis=2)
    if photometric == 0:
        notes.append(Note("white_is_zero", "The file stores white as 0: it was inverted."))
        most = (2 ** bits - 1) if kind == "u" else -1 if kind == "i" else 0
        values[..., 0] = (np.array(most, values.dtype) - values[..., 0])
    alpha = _alpha(page, values, base, notes)
    colours = values[..., :base]
    return (colours[..., 0] if base == 1 else colours), alpha


def _kind(page: Page) -> tuple[int, str]:
    """Return the bits of a value and NumPy's kind."""
    bits, kinds = set(page.tags.get(258, (1,))), set(page.tags.get(339, (1,)))
    if len(bits) != 1 or len(kinds) != 1:
        raise unsupported("The TIFF image has channels of different depths, which is not read.")
    (bits,), (number,) = bits, kinds
    kind = KINDS.get(number)
    if kind is None or bits not in {"u": (8, 10, 12, 14, 16, 32, 64), "i": (8, 16, 32, 64), "f": (16, 32, 64)}[kind]:
        raise unsupported(f"The TIFF image has {bits} bits a value of a kind that is not read.")
    return bits, kind


def _alpha(page: Page, values: np.ndarray, base: int, notes: list[str]) -> np.ndarray | None:
    if values.shape[2] == base:
        return None
    extra = page.one(338)
    if extra == 2:
        if values.dtype.kind != "u":
            raise unsupported("The TIFF image has transparency in float or signed values, which is not read.")
        return values[..., base]
    if extra == 1:
        if values.dtype.kind != "u" or (values[..., base] != np.iinfo(values.dtype).max).any():
            notes.append(Note("alpha", "Its transparent parts lie over black."))      # they are multiplied in the file
    else:
        notes.append(Note("channel", "A channel that is no colour was left out."))
    return None


def _plane(data: bytes, page: Page, plane: int, planes: int, together: int, bits: int, kind: str) -> np.ndarray:
    """Return (H, W, together) of one plane, in this machine's byte order."""
    width, height = page.one(256), page.one(257)
    tiled = 324 in page.tags
    step = page.one(322) if tiled else width
    if tiled and (not 0 < step <= 65536 or step * together * bits % 8 or not 0 < page.one(323) <= 65536):
        raise damaged("TIFF", "its tiles have no size")
    across = -(-width // step) * step                  # whole tiles
    row = -(-across * together * bits // 8)
    offsets, counts = (page.tags.get(tag, ()) for tag in ((324, 325) if tiled else (273, 279)))
    if not offsets or len(counts) != len(offsets) or len(offsets) % planes:
        raise damaged("TIFF", "it does not say where its pixels are")
    each = len(offsets) // planes
    offsets, counts = (part[plane * each:(plane + 1) * each] for part in (offsets, counts))
    compressed = page.one(259, 1) != 1
    if row * height > (MAX_RATIO if compressed else 1) * min(sum(counts), len(data)) + (20_000 if compressed else 0):
        raise damaged("TIFF", "it says that it has more pixels than so few bytes can hold")
    raw = _raw(data, page, row, height, step * together * bits // 8 if tiled else 0, offsets, counts)
    return _values(raw, page.order, across, together, bits, kind, page.one(317, 1), step)[:, :width]


def _raw(data: bytes, page: Page, row: int, height: int, tile: int, offsets: tuple, counts: tuple) -> np.ndarray:
    """Return (H, row) uint8, the bytes of the rows without their compression."""
    tags = {256: (row,), 257: (height,), 258: (8,), 259: (page.one(259, 1),), 262: (1,), 266: (page.one(266, 1),), 277: (1,)}
    if tile:
        tags |= {322: (tile,), 323: (page.one(323),), 324: offsets, 325: counts}
    else:
        tags |= {273: offsets, 278: (min(page.one(278, height) or height, height),), 279: counts}
    order, room, letter = page.order, (8 if page.big else 4), ("Q" if page.big else "I")
    tail, lists, start = b"", b"", len(data)
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}{letter}", *values)
        if len(packed) > room:
            packed, lists = struct.pack(order + letter, start + len(lists)), lists + packed
        tail += struct.pack(order + "HH" + letter, tag, 16 if page.big else 4, len(values)) + packed.ljust(room, b"\0")
    head = struct.pack(order + letter, start + len(lists))
    number = struct.pack(order + ("Q" if page.big else "H"), len(tags))
    file = b"".join([data[:8 if page.big else 4], head, data[16 if page.big else 8:], lists, number, tail, b"\0" * room])
    try:
        with Image.open(io.BytesIO(file), formats=["TIFF"]) as image:
            return np.asarray(image)
    except MemoryError:
        raise
    except Exception:
        raise damaged("TIFF", "its pixels cannot be unpacked, or are not all there") from None


def _values(raw: np.ndarray, order: str, width: int, channels: int, bits: int, kind: str, predictor: int,
            step: int) -> np.ndarray:
    """Return (H, W, channels) from the bytes of the rows.

    Args:
        predictor: 1 none, 2 differences along a row, 3 those of the bytes of floats; they begin anew every `step` pixels
    """
    height = len(raw)
    if bits in (10, 12, 14):
        values = _unpack_bits(raw, width * channels, bits)
    elif predictor == 3 and kind == "f":
        values = np.empty((height, width * channels), f"=f{bits // 8}")
        n = step * channels
        for k in range(width // step):
            values[:, k * n:(k + 1) * n] = _float_bytes(raw[:, k * n * bits // 8:(k + 1) * n * bits // 8], channels, bits // 8)
    else:
        values = raw.view(f"{order}{kind}{bits // 8}").astype(f"={kind}{bits // 8}")
    values = values.reshape(height, width, channels)
    if predictor == 2:
        whole = values.view(f"=u{values.dtype.itemsize}")
        for at in range(0, width, step):
            part = whole[:, at:at + step]
            np.cumsum(part, axis=1, dtype=part.dtype, out=part)
    elif predictor not in (1, 3):
        raise damaged("TIFF", "its predictor is not known")
    return values


def _float_bytes(part: np.ndarray, channels: int, size: int) -> np.ndarray:
    """Undo Adobe's predictor 3 (TIFF Technical Note 3): differences of bytes, the highest bytes of all values first."""
    part = np.cumsum(part.reshape(len(part), -1, channels), axis=1, dtype=np.uint8).reshape(len(part), size, -1)
    return np.ascontiguousarray(part.transpose(0, 2, 1)).view(f">f{size}")[..., 0]


def _unpack_bits(raw: np.ndarray, count: int, bits: int) -> np.ndarray:
    """Return (H, count) uint16 of values that lie bit after bit, the highest first."""
    out = np.empty((len(raw), count), np.uint16)
    weights = (1 << np.arange(bits)[::-1]).astype(np.uint16)
    for k in range(0, len(raw), 64):
        part = np.unpackbits(raw[k:k + 64], axis=1)[:, :count * bits].reshape(-1, count, bits)
        out[k:k + 64] = part @ weights
    return out
