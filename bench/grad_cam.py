"""Grad-CAM's time for 1 and 32 images at 224 px, beside the grad-cam package. `python -m bench.grad_cam [--threads 1]`

Both explain class 0 at the same layer of the same network with random weights, in float32, and each figure is the fastest
of a few runs: what disturbs a measurement only makes it slower. `forward` is the plain prediction without gradients, the
least that any method needs. DenseNet's layer is denseblock4, which both read in the same state.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
import torchvision

from bench.machine import line
from core.explain import grad_cam

LAYERS = {"resnet18": "layer4", "densenet121": "features.denseblock4", "squeezenet1_1": "features"}


def fastest(work: Callable[[], object], runs: int) -> float:
    """Milliseconds of the fastest of `runs`, after one that is not counted."""
    work()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def measure(name: str, layer: str, n: int, runs: int) -> tuple[float, float, float]:
    """Milliseconds for `n` images of 3 x 224 x 224: (plain forward, core.explain.grad_cam, the grad-cam package)."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model = torchvision.models.get_model(name, weights=None).eval()
    images, targets = torch.rand(n, 3, 224, 224), torch.zeros(n, dtype=torch.int64)
    with torch.no_grad():
        forward = fastest(lambda: model(images), runs)
    ours = fastest(lambda: grad_cam(model, images, targets, layer), runs)
    with GradCAM(model=model, target_layers=[model.get_submodule(layer)]) as package:
        theirs = fastest(lambda: package(input_tensor=images, targets=[ClassifierOutputTarget(0)] * n), runs)
    return forward, ours, theirs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(line())
    print(f"threads {options.threads}, float32, 224 px, milliseconds, fastest of {options.runs}")
    print(f"{'network':15}{'images':>7}{'forward':>10}{'ours':>10}{'grad-cam':>10}{'ratio':>7}")
    for name, layer in LAYERS.items():
        for n in (1, 32):
            forward, ours, theirs = measure(name, layer, n, options.runs)
            print(f"{name:15}{n:7d}{forward:10.0f}{ours:10.0f}{theirs:10.0f}{theirs / ours:7.1f}", flush=True)


if __name__ == "__main__":
    main()
