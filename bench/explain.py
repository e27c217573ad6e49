"""How long explanations take. `python -m bench.explain [--only resnet18]`

First table: Grad-CAM of class 0 for 1 and 32 images of 224 px, beside the grad-cam package and captum: the same layer of the
same network with random weights, all cores. `forward` is the plain prediction without gradients. Ours comes twice: in
float32, and as the gallery of the page Errors asks for it, with bfloat16 up to the layer where the processor has it. The
methods take turns; each figure is the median of the milliseconds that a person waits. The last columns say how equal the
maps of 32 images are: the largest difference from captum's, in percent of its peak.

Second table: each method of core.explain on one image. Third: 200 images with their maps as the page Errors shows them, from
pixels in the store to the sheet that goes to the browser; the fastest turn, because what else runs can only add to it.
"""

from __future__ import annotations

import logging
import os
import statistics
from collections.abc import Callable

import numpy as np
import torch
import torchvision
from torch.nn import functional as F

logging.disable(logging.WARNING)       # Streamlit says of each cached function that no browser is there

from bench.machine import Meter, line, options_of  # noqa: E402
from core.config import ModelConfig  # noqa: E402
from core.explain import METHODS, explain  # noqa: E402
from core.explain.passes import bfloat16_is_fast  # noqa: E402
from core.models import build_model  # noqa: E402
from core.runs.classifiers import as_input  # noqa: E402
from pages.shared import gallery, heatmap_image, heatmaps  # noqa: E402

LAYERS = {"resnet18": "layer4", "densenet121": "features.denseblock4", "squeezenet1_1": "features"}
TILE = 128                 # pixels of a thumbnail in the gallery


def waited(works: list[Callable[[], object]], runs: int) -> list[float]:
    """Return the milliseconds of each work, the median of its runs after one that is not counted."""
    times = [[] for _ in works]
    for _ in range(runs + 1):
        for work, taken in zip(works, times):
            meter = Meter()
            work()
            taken.append(1000 * meter.seconds())
    return [statistics.median(taken[1:]) for taken in times]


def beside_others(name: str, layer: str, n: int, size: int, runs: int) -> str:
    """Return a row of the first table."""
    from captum.attr import LayerGradCam
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    torch.manual_seed(0)
    model = torchvision.models.get_model(name, weights=None).eval()
    images, targets = torch.rand(n, 3, size, size), torch.zeros(n, dtype=torch.int64)
    module = model.get_submodule(layer)

    def package():
        with GradCAM(model=model, target_layers=[module]) as cam:
            return cam(input_tensor=images, targets=[ClassifierOutputTarget(0)] * n)

    def captum():
        maps = LayerGradCam(model, module).attribute(images, target=targets, relu_attributions=True).detach()
        return F.interpolate(maps, size=images.shape[2:], mode="bilinear", align_corners=False)[:, 0]

    def full():
        return explain("grad_cam", model, images, targets, layer)

    def half():
        return explain("grad_cam", model, images, targets, layer, half=True)

    expected = captum()
    off = [100 * float((ours() - expected).abs().max() / expected.max().clamp_min(1e-12)) for ours in (full, half)]
    forward, ours, ours_half, theirs, captums = waited(
        [torch.no_grad()(lambda: model(images)), full, half, package, captum], runs)
    return (f"{name:15}{n:7d}{forward:9.0f}{ours:8.0f}{ours_half:10.0f}{theirs:10.0f}{captums:8.0f}"
            f"{f'{theirs / ours:.1f}, {theirs / ours_half:.1f}':>15}"
            f"{f'{captums / ours:.1f}, {captums / ours_half:.1f}':>14}{f'{off[0]:.3f}, {off[1]:.1f} %':>16}")


def each_method(name: str, size: int, runs: int) -> None:
    """Print the seconds of one image by each method; with ResNet-18 they are what METHODS calls seconds_hint."""
    model = torchvision.models.get_model(name, weights=None).eval()
    image, target = torch.rand(1, 3, size, size), torch.tensor([0])
    print(f"\nseconds for one image, {name}, {LAYERS[name]}")
    for key, method in METHODS.items():
        (taken,) = waited([lambda key=key: explain(key, model, image, target, LAYERS[name])], 1 if method.many else runs)
        print(f"  {method.title:25}{taken / 1000:8.2f}", flush=True)


def map_gallery(name: str, n: int, size: int, runs: int) -> None:
    """Print how long the gallery of the page Errors takes, with a network that is already loaded."""
    images = np.random.default_rng(0).integers(0, 256, (n, size, size, 1), np.uint8)
    model = build_model(ModelConfig(name=name, weights="none"), classes=2, size=size, channels=1, resize="pad", seed=0,
                        task="binary-class", class_names=("normal", "abnormal"))
    model = heatmaps.to_channels_last(model.eval().requires_grad_(False))
    targets, places = torch.arange(n) % 2, list(range(n))
    parts = [places[start:start + heatmaps.BATCH] for start in range(0, n, heatmaps.BATCH)]

    def step(part: list[int]) -> np.ndarray:
        return explain("grad_cam", model, as_input(model, list(images[part])), targets[part], half=True).numpy()

    taken = []
    for turn in range(runs + 1):
        meter = Meter()
        maps = np.concatenate(list(heatmaps.in_parallel(step, parts)))
        peak, _ = heatmap_image.scale_of(maps)
        drawn = heatmap_image.overlays(images, maps, 0.6, peak, side=round(1.25 * TILE))
        encoded = gallery._sheet(drawn, f"{name} {turn}", TILE)[0]
        taken.append((meter.seconds(), meter.cpu_seconds()))
    seconds, processor = min(taken[1:])                       # the first warms up
    print(f"  {name:15}{seconds:8.2f} s, {processor:.2f} s of processor time, {len(encoded) / 1e6:.1f} MB", flush=True)


def main() -> None:
    parser = options_of(__doc__, runs=1, only="squeezenet1_1", counts=[2], size=32, gallery=8, threads=1)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", choices=LAYERS, help="one network")
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--gallery", type=int, default=200, metavar="IMAGES")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(line())
    print(f"{options.threads} threads, {options.size} px, milliseconds, median of {options.runs}; "
          f"bfloat16 {'is' if bfloat16_is_fast(torch.device('cpu')) else 'is not'} in the processor")
    print(f"{'network':15}{'images':>7}{'forward':>9}{'ours':>8}{'bfloat16':>10}{'grad-cam':>10}{'captum':>8}"
          f"{'grad-cam/ours':>15}{'captum/ours':>14}{'differs by':>16}")
    for name, layer in LAYERS.items():
        for n in options.counts:
            if options.only in (None, name):
                print(beside_others(name, layer, n, options.size, options.runs), flush=True)
    each_method(options.only or "resnet18", options.size, options.runs)
    print(f"\n{options.gallery} images of {options.size} px with Grad-CAM, drawn and encoded; fastest of {options.runs}")
    for name in ("resnet18", "squeezenet1_1"):
        if options.only in (None, name):
            map_gallery(name, options.gallery, options.size, options.runs)


if __name__ == "__main__":
    main()
