"""What several pages show of one image: its class in words, its pixels encoded, names and values in two
columns."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import cv2
import numpy as np

from core.datasets import Dataset

EXACT = 1_200_000                # up to so many pixels an original goes to the browser without loss


def class_text(data: Dataset, row: int) -> str:
    """Return the class of an image in words; with several findings all that it has."""
    return data.label_text(row)


def encode(pixels: np.ndarray) -> tuple[str, bytes]:
    """Encode (H, W, C) uint8 as (MIME type, bytes): lossless up to EXACT pixels, above as JPEG of high
    quality."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.shape[2] == 3 else pixels
    if pixels.shape[0] * pixels.shape[1] <= EXACT:
        return "image/png", cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
    return "image/jpeg", cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def facts_html(facts: Iterable[tuple[str, object]]) -> str:
    """Return names and values in two columns; what is empty is left out. Text is shown as typed."""
    return "<dl class='lb-facts'>" + "".join(f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>"
                                             for name, value in facts if str(value)) + "</dl>"
