"""Each phantom radiograph that was rendered once, kept, so that a store of another size does not render it again.

Tracing the rays takes some twenty milliseconds an image at any size, reading a record a fraction of one. A record has a fixed
length in one file: CRC-32 of the rest, height, width, pixels. Whoever renders an image writes its record; two that do so write
the same bytes. A record that is missing, torn or flipped does not match its CRC and is made again.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

LONGEST = 256                                    # longer side of a cached image in pixels
HEAD = struct.Struct("<IHH")
RECORD = HEAD.size + LONGEST * LONGEST


class RenderCache:
    """Images in a file; `make(i)` gives image i as (H, W) uint8 with a longer side of at most LONGEST pixels."""

    def __init__(self, path: Path, make: Callable[[int], np.ndarray]):
        self.path, self.make = Path(path), make

    def __getitem__(self, i: int) -> np.ndarray:
        """Return image i, (H, W) uint8: read, or made and kept. On a full or read-only disk it is only not kept."""
        pixels = self.read(i)
        if pixels is None:
            pixels = self.make(i)
            try:
                self._write(i, pixels)
            except OSError:
                pass
        return pixels

    def read(self, i: int) -> np.ndarray | None:
        """Return the record of image i, or None where it is missing or damaged."""
        try:
            with open(self.path, "rb", buffering=0) as file:
                file.seek(i * RECORD)
                record = file.read(RECORD)
        except OSError:
            return None
        if len(record) < RECORD:
            return None
        crc, height, width = HEAD.unpack_from(record)
        if not crc or crc != zlib.crc32(record[4:]):
            return None
        return np.frombuffer(record, np.uint8, height * width, HEAD.size).reshape(height, width)

    def _write(self, i: int, pixels: np.ndarray) -> None:
        body = HEAD.pack(0, *pixels.shape)[4:] + pixels.tobytes()
        body += bytes(RECORD - 4 - len(body))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)      # keeps what is there
        with os.fdopen(handle, "r+b", buffering=0) as file:
            file.seek(i * RECORD)
            file.write(struct.pack("<I", zlib.crc32(body)) + body)
