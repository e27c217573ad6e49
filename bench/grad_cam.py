"""Grad-CAM's time for 1 and 32 images at 224 px, beside the grad-cam package. `python -m bench.grad_cam`

Both explain class 0 at the same layer of the same network with random weights, in float32 with one thread. `forward` is
the plain prediction without gradients, the least that any method needs. DenseNet's layer is denseblock4: both read it
in the same state. The methods take turns, and each figure is the least processor time of a few turns: what else runs on
the machine can only add to it.
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


def fastest(works: list[Callable[[], object]], runs: int) -> list[float]:
    """Milliseconds of processor time of each work's fastest run, after one that is not counted."""
    times = [[] for _ in works]
    for _ in range(runs + 1):
        for work, taken in zip(works, times):
            start = time.process_time()
            work()
            taken.append(time.process_time() - start)
    return [1000 * min(taken[1:]) for taken in times]


def measure(name: str, layer: str, n: int, runs: int) -> list[float]:
    """Milliseconds for `n` images of 3 x 224 x 224: [plain forward, core.explain.grad_cam, the grad-cam package]."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model = torchvision.models.get_model(name, weights=None).eval()
    images, targets = torch.rand(n, 3, 224, 224), torch.zeros(n, dtype=torch.int64)

    def ours():
        return grad_cam(model, images, targets, layer)

    def package():
        with GradCAM(model=model, target_layers=[model.get_submodule(layer)]) as cam:
            return cam(input_tensor=images, targets=[ClassifierOutputTarget(0)] * n)

    return fastest([torch.no_grad()(lambda: model(images)), ours, package], runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(line())
    print(f"one thread, float32, 224 px, milliseconds of processor time, fastest of {options.runs}")
    print(f"{'network':15}{'images':>7}{'forward':>10}{'ours':>10}{'grad-cam':>10}{'ratio':>7}")
    for name, layer in LAYERS.items():
        for n in (1, 32):
            forward, ours, theirs = measure(name, layer, n, options.runs)
            print(f"{name:15}{n:7d}{forward:10.0f}{ours:10.0f}{theirs:10.0f}{theirs / ours:7.1f}", flush=True)


if __name__ == "__main__":
    main()
