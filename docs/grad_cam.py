"""Where does a network look, and is it the right place? `python -m docs.grad_cam [FILE.png]`

A network learns whether there is a bright square in noise. The square may be anywhere, and we know where it is; so the heat
of Grad-CAM (Selvaraju et al., ICCV 2017) that lies in the square can be compared with the area of the square, which is what a
map that knows nothing would have. With FILE.png one map is drawn over its image.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch

from core import RunConfig, build_model, explain, open_dataset, train
from core.explain.localization import places

SIZE, SIDE = 64, 16


def squares(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images (n, SIZE, SIZE, 1) uint8, labels (n,) and where the square is, (n, SIZE, SIZE) bool."""
    rng = np.random.default_rng(seed)
    images, labels = rng.integers(0, 160, (n, SIZE, SIZE, 1), dtype=np.uint8), rng.integers(0, 2, n)
    masks = np.zeros((n, SIZE, SIZE), bool)
    for mask, label, (row, column) in zip(masks, labels, rng.integers(0, SIZE - SIDE, (n, 2))):
        mask[row:row + SIDE, column:column + SIDE] = label
    images[masks] = 255
    return images, labels, masks


def save(path: Path) -> Path:
    """Write a data set in MedMNIST's layout."""
    arrays = {}
    for seed, (split, n) in enumerate({"train": 160, "val": 48, "test": 48}.items()):
        images, labels, _ = squares(n, seed)
        arrays |= {f"{split}_images": images[..., 0], f"{split}_labels": labels[:, None]}
    np.savez(path, **arrays)
    return path


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = RunConfig().with_(**{"data.dataset": str(save(Path(folder) / "squares.npz")), "data.size": SIZE,
                                      "model.name": "small_cnn", "train.epochs": 4, "optim.lr": 0.01})
        data = open_dataset(config.data)
        model = build_model(config, data)
        for record in train(model, data, config):
            print(f"epoch {record.epoch}: validation accuracy {record.val['accuracy']:.3f}")

    images, labels, masks = squares(40, 2)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    maps = explain.grad_cam(model.eval(), pixels, torch.ones(len(images), dtype=torch.int64)).numpy()
    shown = labels == 1
    inside = places(maps[shown], {"square": masks[shown]})["square"]
    print(f"{inside.energy:.0%} of the heat lies in the square, which covers {inside.area:.0%} of the image; "
          f"the map is highest there in {inside.pointing:.0%} of {inside.images} images.")
    if len(sys.argv) > 1:
        first = int(np.flatnonzero(shown)[0])
        cv2.imwrite(sys.argv[1], explain.overlay(images[first], maps[first])[..., ::-1])


if __name__ == "__main__":
    main()
