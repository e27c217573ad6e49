"""How fast images are augmented: the composition of report R000's Table 3 here, with torchvision and with kornia.

    python -m bench.augment [--sizes 28 224] [--channels 1 3] [--batch 64] [--repeats 9] [--device cpu]

    lightbox       core.augment.images.augment on a batch: each image has numbers of its own, known from seed, epoch, index
    kornia         kornia.augmentation on the same batch: each image has numbers of its own, from a random state
    torchvision    transforms.v2 on tensors, image by image, because a call on a batch changes all its images alike
    tv on PIL      the same on Pillow images, as most programs do it, with the way to a tensor; noise is left to the tensor
    first six      the six knobs that Lightbox had first, alone

All do the same: flip 0.5, crop (0, 0.1), blur with chance 0.2, linear contrast (0.75, 1.5), multiply (0.8, 1.2), affine
(scale 20 %, shift 20 %, rotation 25, shear 8 degrees), noise 0.05. kornia and torchvision interpolate once for the crop and
once for the affine change. The ways take turns, so that a busy moment meets all. Printed are images per second: median and
range over the repeats, and how many times as many as torchvision on tensors. kornia is no part of Lightbox: pip install kornia
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import torch
from torchvision.transforms import v2

from bench.machine import line, options_of
from core.augment import PRESETS
from core.augment.images import augment
from core.config import AugmentConfig

R000 = PRESETS["r000"].config
FIRST = AugmentConfig(flip=0.5, rotate=25.0, shift=0.15, scale=0.2, brightness=0.15, contrast=0.3)


def lightbox(config: AugmentConfig) -> Callable[[torch.Tensor], torch.Tensor]:
    epoch = 0

    def run(images: torch.Tensor) -> torch.Tensor:
        nonlocal epoch
        epoch += 1
        return augment(images, config, (0, epoch), torch.arange(len(images)))
    return run


def kornia_batch(size: int) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """The composition in kornia's own classes; None where kornia is not installed."""
    try:
        import kornia.augmentation as K
    except ImportError:
        return None
    changes = K.AugmentationSequential(
        K.RandomHorizontalFlip(p=0.5), K.RandomResizedCrop((size, size), scale=(0.81, 1.0), ratio=(0.9, 1.1), p=1.0),
        K.RandomAffine(25, translate=(0.2, 0.2), scale=(0.8, 1.2), shear=8, p=1.0),
        K.RandomGaussianBlur((5, 5), (0.01, 0.5), p=0.2))

    def run(images: torch.Tensor) -> torch.Tensor:
        n, device = len(images), images.device
        images = changes(images)
        contrast, factor = torch.rand(2, n, 1, 1, 1, device=device)
        images = tone(images, 0.75 + 0.75 * contrast, 0.8 + 0.4 * factor)
        return images.add(torch.randn_like(images), alpha=0.05).clamp_(0, 1)
    return run


def torchvision_each(size: int, pil: bool) -> Callable[[torch.Tensor], torch.Tensor]:
    """The composition in torchvision's v2, one image after the other."""
    place = v2.Compose([v2.RandomHorizontalFlip(0.5),
                        v2.RandomResizedCrop(size, scale=(0.81, 1.0), ratio=(0.9, 1.1), antialias=pil),
                        v2.RandomAffine(25, translate=(0.2, 0.2), scale=(0.8, 1.2), shear=8,
                                        interpolation=v2.InterpolationMode.BILINEAR),
                        v2.RandomApply([v2.GaussianBlur(5, (0.01, 0.5))], p=0.2)])
    to_tensor = v2.Compose([v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)])

    def each(image) -> torch.Tensor:
        image = place(image)
        image = tone(to_tensor(image) if pil else image, 0.75 + 0.75 * torch.rand(()), 0.8 + 0.4 * torch.rand(()))
        return image.add(torch.randn_like(image), alpha=0.05).clamp_(0, 1)

    def run(images) -> torch.Tensor:
        return torch.stack([each(image) for image in images])
    return run


def tone(images: torch.Tensor, contrast: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Linear contrast about mid-gray, then multiply, each cut to [0, 1]."""
    return ((images - 0.5) * contrast + 0.5).clamp_(0, 1).mul_(factor).clamp_(0, 1)


def pictures(n: int, channels: int, size: int) -> torch.Tensor:
    """Smooth random images in [0, 1]: (n, channels, size, size)."""
    coarse = torch.rand(n, channels, 7, 7, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)


def measure(ways: dict[str, tuple[Callable, object]], repeats: int, n: int, wait: Callable[[], None]) -> dict[str, np.ndarray]:
    """Images per second of each way, (repeats,), in turns; a first call of each is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, (run, images) in ways.items():
            wait()
            begun = time.perf_counter()
            run(images)
            wait()
            seconds[name].append(time.perf_counter() - begun)
    return {name: n / np.array(times[1:]) for name, times in seconds.items()}


def main() -> None:
    parser = options_of(__doc__, sizes=[28], channels=[1], batch=4, repeats=1)
    parser.add_argument("--sizes", type=int, nargs="+", default=[28, 224])
    parser.add_argument("--channels", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    wait = (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else (lambda: None)
    has_kornia = kornia_batch(28) is not None
    print(line(), f"kornia {version('kornia')}" if has_kornia else "no kornia: pip install kornia", sep=", ")
    print(f"{options.threads} thread, batches of {options.batch}, {options.repeats} repeats, {device}; images per second")
    for channels in options.channels:
        for size in options.sizes:
            images = pictures(options.batch, channels, size).to(device)
            ways = {"lightbox": (lightbox(R000), images), "torchvision": (torchvision_each(size, pil=False), images)}
            if has_kornia:
                ways["kornia"] = (kornia_batch(size), images)
            if device.type == "cpu":
                ways["tv on PIL"] = (torchvision_each(size, pil=True), [v2.functional.to_pil_image(image) for image in images])
            ways["first six"] = (lightbox(FIRST), images)
            found = measure(ways, options.repeats, options.batch, wait)
            base = np.median(found["torchvision"])
            for name, rates in found.items():
                print(f"{size:4} px, {'gray  ' if channels == 1 else 'colour'}  {name:12} {np.median(rates):9,.0f}   "
                      f"({rates.min():,.0f} to {rates.max():,.0f})   x {np.median(rates) / base:.1f}", flush=True)


if __name__ == "__main__":
    main()
