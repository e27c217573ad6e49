"""Small sets of images with known copies."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

NAMES = ("a", "b")


def write_set(folder: Path, groups: list[int], parts: list[str] | None = None, patients: list[str] | None = None) -> Path:
    """Noise images of 48 px: equal group numbers are byte for byte the same picture. Class by group; parts as folders."""
    pictures = np.random.default_rng(7).integers(0, 255, (max(groups) + 1, 48, 48), np.uint8)
    for k, group in enumerate(groups):
        name = f"{patients[k]}_{k:03d}" if patients else f"{chr(97 + k % 26)}{chr(97 + k // 26)}{'x' * (k % 5)}"
        path = folder / (parts[k] if parts else "") / NAMES[group % 2] / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), pictures[group])
    return folder
