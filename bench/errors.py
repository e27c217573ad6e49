"""Seconds until 200 images with their heat-maps stand on the page Errors. `python -m bench.errors`

The way of the page, from pixels in the store to the sheet that goes to the browser: Grad-CAM of the last layer at 224 px by the
network that is already loaded and was used before, in bfloat16 where the processor has it, one scale for all, drawn at the size
of a thumbnail, encoded. The networks have random weights and the images are noise, which takes as long as any others.

Of some turns the fastest, because what else runs on the machine can only add to it; beside it the processor time of that turn.
"""

from __future__ import annotations

import argparse
import logging
import time

import numpy as np
import torch

logging.disable(logging.WARNING)       # Streamlit says of each cached function that no browser is there
from bench.machine import line  # noqa: E402
from core.config import ModelConfig  # noqa: E402
from core.explain import explain  # noqa: E402
from core.models import build_model  # noqa: E402
from core.runs.classifiers import as_input  # noqa: E402
from pages.shared import (
    gallery,  # noqa: E402
    heatmap_image,  # noqa: E402
    heatmaps,  # noqa: E402
)

SIZE, TILE = 224, 128


def classifier(name: str):
    """A classifier for gray images of SIZE pixels and two classes, ready as the page keeps it."""
    model = build_model(ModelConfig(name=name, weights="none"), classes=2, size=SIZE, channels=1, resize="pad", seed=0,
                        task="binary-class", class_names=("normal", "abnormal"))
    return heatmaps.quick_to_explain(model.eval().requires_grad_(False))


def sheet(model, images: np.ndarray, turn: int) -> bytes:
    """Images (N, S, S, 1) uint8 -> the encoded sheet of all overlays."""
    targets = torch.arange(len(images)) % 2

    def step(part: list[int]) -> np.ndarray:
        return explain("grad_cam", model, as_input(model, list(images[part])), targets[part], half=True).numpy()

    places = list(range(len(images)))
    parts = [places[start:start + heatmaps.BATCH] for start in range(0, len(places), heatmaps.BATCH)]
    maps = np.concatenate(list(heatmaps.side_by_side(step, parts)))
    peak, _ = heatmap_image.scale_of(maps)
    drawn = heatmap_image.overlays(images, maps, 0.6, peak, side=round(1.25 * TILE))
    return gallery._sheet(drawn, f"{id(model)} {turn}", TILE)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    images = np.random.default_rng(0).integers(0, 256, (options.images, SIZE, SIZE, 1), np.uint8)
    print(line())
    print(f"{options.images} images of {SIZE} px with Grad-CAM, drawn and encoded; fastest of {options.turns}")
    print(f"{'network':15}{'seconds':>9}{'processor':>11}{'sheet':>10}")
    for name in ("resnet18", "squeezenet1_1"):
        model, taken = classifier(name), []
        for turn in range(options.turns + 1):
            wall, cpu = time.perf_counter(), time.process_time()
            encoded = sheet(model, images, turn)
            taken.append((time.perf_counter() - wall, time.process_time() - cpu))
        seconds, processor = min(taken[1:])                       # the first warms up
        print(f"{name:15}{seconds:9.2f}{processor:11.2f}{len(encoded) / 1e6:7.1f} MB", flush=True)


if __name__ == "__main__":
    main()
