"""The picture on the start page: a row of phantom radiographs. `python -m pages.start.hero_image` draws it
again.

It is kept as a file because the first phantom of a new server takes a second, and the start page should not.
"""

from pathlib import Path

import cv2
import numpy as np

PICTURE = Path(__file__).with_suffix(".jpg")
ALT = "Seven synthetic X-rays: wrists, elbows and shoulders, some with a fracture or a metal plate"
CHOSEN = ("P0001-S1-V1", "P0017-S1-V2", "P0013-S1-V2", "P0006-S2-V1", "P0000-S1-V2", "P0024-S2-V1", "P0017-S1-V1")
HEIGHT, GAP = 480, 6             # pixels; twice what is shown, for screens with small pixels


def draw_hero() -> np.ndarray:
    """Draw the chosen images in full height side by side: (HEIGHT, W) uint8."""
    from core.datasets.phantom import render
    from core.datasets.phantom.source import parse_image_id
    parts = []
    for image_id in CHOSEN:
        pixels = render(*parse_image_id(image_id))[0]
        width = round(pixels.shape[1] * HEIGHT / pixels.shape[0])
        parts += [cv2.resize(pixels, (width, HEIGHT), interpolation=cv2.INTER_AREA), np.zeros((HEIGHT, GAP), np.uint8)]
    return np.concatenate(parts[:-1], axis=1)


if __name__ == "__main__":
    cv2.imwrite(str(PICTURE), draw_hero(), [cv2.IMWRITE_JPEG_QUALITY, 85])
    print(f"wrote {PICTURE.name}, {PICTURE.stat().st_size:,} bytes")
