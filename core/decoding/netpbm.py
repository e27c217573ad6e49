"""PGM and PPM of 16 bits, of which Pillow would keep 8 for colours (https://netpbm.sourceforge.net/doc/ppm.html)."""

from __future__ import annotations

import re

import numpy as np

from core.decoding.note import MAX_PIXELS, damaged, too_large

HEAD = re.compile(rb"P([56])" + rb"(?:\s|#[^\n\r]*[\n\r])+(\d{1,10})" * 3 + rb"\s")


def read_deep(data: bytes) -> np.ndarray | None:
    """Return (H, W) or (H, W, 3) uint16; None where it is not binary with more than 8 bits."""
    head = HEAD.match(data[:4096])
    if not head:
        return None
    channels = 3 if head[1] == b"6" else 1
    width, height, most = (int(number) for number in head.groups()[1:])
    if most < 256:
        return None
    if width * height > MAX_PIXELS:
        raise too_large(f"The image has {width:,} x {height:,} pixels")
    if not width * height or most > 65535:
        raise damaged("PNM", "its header is not one")
    wanted = width * height * channels
    if len(data) - head.end() < 2 * wanted:
        raise damaged("PNM", "it is cut off")
    values = np.frombuffer(data, ">u2", wanted, head.end()).astype(np.uint16)
    if values.max() > most:
        raise damaged("PNM", "it holds larger values than it says")
    return values.reshape((height, width, 3) if channels == 3 else (height, width))
