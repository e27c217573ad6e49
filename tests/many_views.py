"""Studies of two views in which only both views together say the class: each view has a mark or not, and the class is whether
exactly one has. One view alone tells nothing: half of the studies with a mark in it are positive, and half of those without.
"""

from pathlib import Path

import cv2
import numpy as np

SIDE = 16


def planted(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images (2 n, 16, 16, 1) uint8, two a study, frontal and lateral; marks (n, 2) of 0 and 1; labels (n,), their XOR."""
    rng = np.random.default_rng(seed)
    marks = rng.integers(0, 2, (n, 2))
    images = rng.integers(1, 90, (n, 2, SIDE, SIDE), dtype=np.uint8)
    for study, view in np.argwhere(marks):
        top, left = rng.integers(2, SIDE - 7, 2)
        images[study, view, top:top + 5, left:left + 5] = 250
    return images.reshape(-1, SIDE, SIDE, 1), marks, marks[:, 0] ^ marks[:, 1]


def side_by_side(images: np.ndarray) -> np.ndarray:
    """(2 n, S, S, 1) -> (n, S, 2 S, 1): frontal, then lateral."""
    return np.concatenate([images[::2], images[1::2]], axis=2)


def write_studies(folder: Path, n: int = 40, seed: int = 0, without: dict[int, int] | None = None, split: bool = True) -> Path:
    """The same as PNG files and a table with patient, study, view and label, two studies a patient.

    without: study -> the view that it lacks
    """
    images, marks, labels = planted(n, seed)
    (folder / "images").mkdir(parents=True)
    lines = ["file,patient,study,view,label" + (",split" if split else "")]
    for k, image in enumerate(images):
        study, view = divmod(k, 2)
        if (without or {}).get(study) == view:
            continue
        name, part = f"images/s{study}v{view}.png", ("train", "train", "train", "val", "test")[study // 2 % 5]
        cv2.imwrite(str(folder / name), image[..., 0])
        lines.append(f"{name},p{study // 2},study{study % 2},{('frontal', 'lateral')[view]},{('same', 'differ')[labels[study]]}"
                     + (f",{part}" if split else ""))
    path = folder / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return path
