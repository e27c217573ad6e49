"""Random changes of training images: whole batches of tensors, on the device where they are.

    AUGMENTATIONS   the table: name in AugmentConfig -> how its numbers are drawn
    draw            the numbers of each image, for a page that shows them
    augment         images in, changed images out

An image's numbers depend on (seed, epoch, index of the image) alone: not on the batch, the order or what was drawn
before. So a run that was stopped and resumed sees what an unbroken run sees, without any random state to save.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from core.config import AugmentConfig


def _around(middle: float) -> Callable[[Tensor, float], Tensor]:
    """Uniform in [middle - limit, middle + limit)."""
    return lambda u, limit: middle + (2 * u - 1) * limit


@dataclass(frozen=True)
class Augmentation:
    """How one knob's numbers come from uniform ones.

    Attributes:
        columns: which of an image's COLUMNS random numbers it takes; never renumber, or old runs can not be repeated
        draw: uniform numbers in [0, 1) (N, len(columns)), the knob's value -> (N, len(columns))
    """

    columns: tuple[int, ...]
    draw: Callable[[Tensor, float], Tensor]


AUGMENTATIONS: dict[str, Augmentation] = {
    "flip": Augmentation((0,), lambda u, chance: u < chance),     # mirrored or not
    "rotate": Augmentation((1,), _around(0)),                     # degrees, positive is clockwise
    "shift": Augmentation((2, 3), _around(0)),                    # right and down, shares of width and height
    "scale": Augmentation((4,), _around(1)),                      # factor, above 1 is larger
    "brightness": Augmentation((5,), _around(0)),                 # added; 1 is the full range
    "contrast": Augmentation((6,), _around(1)),                   # factor about the image's mean
}
COLUMNS = 16                                                      # random numbers an image has; room for more knobs


def augment(images: Tensor, config: AugmentConfig, seed_epoch: tuple[int, int], indices: Tensor) -> Tensor:
    """Changed copies of a batch. First the place (flip, then one interpolation for all else), then the tone.

    Args:
        images: (N, C, H, W) float in [0, 1]
        config: with all knobs at zero, `images` itself comes back
        seed_epoch: the run's seed and the number of the epoch
        indices: (N,) int64, the number of each image in the set

    Returns:
        the same shape, type and device, in [0, 1]. What comes in from outside the image is black.
    """
    drawn = {name: values.to(images.device) for name, values in draw(config, seed_epoch, indices).items()}
    if "flip" in drawn:                          # by itself: exact, and the most used one needs no interpolation
        images = torch.where(drawn["flip"][:, :, None, None], images.flip(-1), images)
    if drawn.keys() & {"rotate", "shift", "scale"}:
        images = _move(images, drawn)
    if drawn.keys() & {"brightness", "contrast"}:
        images = _tone(images, drawn)
    return images


def draw(config: AugmentConfig, seed_epoch: tuple[int, int], indices: Tensor) -> dict[str, Tensor]:
    """What will happen to each image: active knob -> (N, 1), shift (N, 2), in the units of AUGMENTATIONS."""
    active = {name: getattr(config, name) for name in AUGMENTATIONS if getattr(config, name)}
    if not active:
        return {}
    u = uniform(seed_epoch, indices)
    return {name: AUGMENTATIONS[name].draw(u[:, AUGMENTATIONS[name].columns], value) for name, value in active.items()}


def _move(images: Tensor, drawn: dict[str, Tensor]) -> Tensor:
    """Scale and rotate about the centre, then shift, in one bilinear interpolation.

    grid_sample asks the other way round: which place of the input does output p show? With c the centre,
    q = R(-angle) / scale (p - c - shift) + c.
    """
    n, _, height, width = images.shape
    zero, one = images.new_zeros(n, 1, dtype=torch.float32), images.new_ones(n, 1, dtype=torch.float32)
    angle = drawn.get("rotate", zero).deg2rad()[:, 0]
    scale = drawn.get("scale", one)[:, 0]
    shift = drawn.get("shift", zero.expand(n, 2)) * 2            # shares of the side; the grid runs from -1 to 1
    cos, sin = angle.cos() / scale, angle.sin() / scale
    aspect = height / width                                       # grid units: half a width across, half a height down
    turn = torch.stack([cos, sin * aspect, -sin / aspect, cos], dim=1).view(n, 2, 2)
    theta = torch.cat([turn, -turn @ shift[:, :, None]], dim=2)   # (N, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    moved = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return moved.to(images.dtype)                                 # places need float32, whatever the pixels are


def _tone(images: Tensor, drawn: dict[str, Tensor]) -> Tensor:
    """(x - mean) contrast + mean + brightness, cut to [0, 1]; the mean is that of the whole image."""
    n = len(images)
    contrast = drawn.get("contrast", images.new_ones(n, 1)).to(images.dtype).view(n, 1, 1, 1)
    brightness = drawn.get("brightness", images.new_zeros(n, 1)).to(images.dtype).view(n, 1, 1, 1)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return torch.addcmul(mean * (1 - contrast) + brightness, images, contrast).clamp_(0, 1)


# --- numbers without a state ---

def uniform(seed_epoch: tuple[int, int], indices: Tensor) -> Tensor:
    """(N,) int64 -> (N, COLUMNS) float32 in [0, 1): number j of image i is always the same for a seed and an epoch."""
    seed, epoch = seed_epoch
    key = splitmix64(splitmix64(torch.tensor(seed)) + epoch)      # so that seed 1, epoch 2 is not seed 2, epoch 1
    column = torch.arange(COLUMNS, device=indices.device)
    counter = indices.long()[:, None] * COLUMNS + column          # every number has a place of its own in one sequence
    bits = splitmix64(key.to(indices.device) + counter * _GAMMA)
    return ((bits >> 40) & 0xFFFFFF).float() / 2**24              # the upper 24 bits: all that float32 can hold


def _signed(bits: int) -> int:
    return bits - 2**64 if bits >= 2**63 else bits


_GAMMA, _MIX1, _MIX2 = map(_signed, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def splitmix64(state: Tensor) -> Tensor:
    """The output of SplitMix64 for a state: a shuffle of all 64-bit numbers in which neighbours land far apart.

    Steele, Lea and Flood, OOPSLA 2014, https://doi.org/10.1145/2660193.2660195. int64 holds the bits; it wraps as
    unsigned numbers do, and the masks make its shifts fill with zeros.
    """
    z = state + _GAMMA
    z = (z ^ ((z >> 30) & (2**34 - 1))) * _MIX1
    z = (z ^ ((z >> 27) & (2**37 - 1))) * _MIX2
    return z ^ ((z >> 31) & (2**33 - 1))
