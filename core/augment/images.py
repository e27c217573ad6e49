"""Augment whole batches of tensors, on the device where they are.

    augment   a batch of images -> changed copies
    draw      the numbers of each image, for a page that shows them

An image's numbers, the noise of each pixel included, depend on (seed, epoch, index of the image) alone: not on the batch, the
order or what was drawn before. So a run that was stopped and resumed sees what an unbroken run sees, without any random state
to save.

Letters of the shapes: N images, C channels, H x W pixels.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from core.augment.augmentations import AUGMENTATIONS, STREAM, active
from core.config import AugmentConfig

GEOMETRIC = {"crop", "scale", "shear", "rotate", "shift"}             # all that one interpolation does
BLOCK = 2**19            # numbers that a CPU changes at a time: 2 MB stay in its cache from one step to the next


def augment(images: Tensor, config: AugmentConfig, seed_epoch: tuple[int, int], indices: Tensor) -> Tensor:
    """Return changed copies of a batch.

    The order is that of the table AUGMENTATIONS. First the geometry: flips, then crop, scale, shear, rotation and shift in one
    interpolation. Then blur; brightness and contrast, linear contrast, multiply; saturation, hue; and last the noise, so that
    nothing blurs it. After each step of intensity, colour and noise, values are clipped to [0, 1].

    Args:
        images: (N, C, H, W) float in [0, 1]
        config: with nothing switched on, `images` itself comes back
        seed_epoch: the run's seed and the number of the epoch
        indices: (N,) int64, the number of each image in the set

    Returns:
        the same shape, type and device, in [0, 1]. What comes in from outside the image is black.

    >>> images, config = torch.rand(4, 1, 8, 8), AugmentConfig(flip=0.5, rotate=7.0)
    >>> changed = augment(images, config, (0, 1), torch.arange(4))
    >>> changed.shape, torch.equal(changed[2:], augment(images[2:], config, (0, 1), torch.arange(2, 4)))
    (torch.Size([4, 1, 8, 8]), True)
    """
    indices = indices.to(images.device, non_blocking=True)
    if not active(config) or not len(images):
        return images
    block = max(1, BLOCK // images[0].numel()) if images.device.type == "cpu" else len(images)
    parts = [_change(part, config, seed_epoch, numbers) for part, numbers in zip(images.split(block), indices.split(block))]
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def _change(images: Tensor, config: AugmentConfig, seed_epoch: tuple[int, int], indices: Tensor) -> Tensor:
    drawn = draw(config, seed_epoch, indices)
    for name in ("flip", "flip_vertical"):       # by themselves: exact, and the most used need no interpolation
        if name in drawn:
            images = torch.where(drawn[name][:, :, None, None], images.flip(-1 if name == "flip" else -2), images)
    if drawn.keys() & GEOMETRIC:
        images = _move(images, drawn)
    if "blur" in drawn:
        images = _blur(images, drawn["blur"], config.blur_sigma)
    if drawn.keys() & {"brightness", "contrast"}:
        images = _intensity(images, drawn)
    if "linear_contrast" in drawn:               # x a + (1 - a) / 2
        factor = _per_image(drawn["linear_contrast"], images)
        images = torch.addcmul((1 - factor) / 2, images, factor).clamp_(0, 1)
    if "multiply" in drawn:
        images = (images * _per_image(drawn["multiply"], images)).clamp_(0, 1)
    if images.shape[1] == 3:                     # gray images have no colour to change
        if "saturation" in drawn:
            images = torch.lerp(_gray(images), images, _per_image(drawn["saturation"], images)).clamp_(0, 1)
        if "hue" in drawn:
            images = _turn_hue(images, drawn["hue"])
    if "noise" in drawn:
        images = _add_noise(images, drawn["noise"], seed_epoch, indices)
    return images


def draw(config: AugmentConfig, seed_epoch: tuple[int, int], indices: Tensor) -> dict[str, Tensor]:
    """Return the random numbers of each image: name -> (N, k), in the units of AUGMENTATIONS, for what is switched on."""
    streams: dict[int, Tensor] = {}
    drawn = {}
    for name in active(config):
        entry = AUGMENTATIONS[name]
        for stream in {column // STREAM for column in entry.columns} - streams.keys():
            streams[stream] = uniform(seed_epoch, indices, stream)
        u = torch.stack([streams[column // STREAM][:, column % STREAM] for column in entry.columns], dim=1)
        drawn[name] = entry.draw(u, *(getattr(config, knob) for knob in entry.knobs(name)))
    return drawn


def _per_image(values: Tensor, images: Tensor) -> Tensor:
    """(N, 1) -> (N, 1, 1, 1) of the type of the images."""
    return values.to(images.dtype).view(-1, 1, 1, 1)


# --- geometry ---

def _move(images: Tensor, drawn: dict[str, Tensor]) -> Tensor:
    """Crop, scale, shear and rotate about the centre, then shift, in one bilinear interpolation.

    grid_sample asks the other way round: which place of the input does output p show? With c the centre,
    q = crop(Shear^-1 R(-angle) / scale (p - c - shift) + c).
    """
    n, _, height, width = images.shape
    zero, one = images.new_zeros(n, 1, dtype=torch.float32), images.new_ones(n, 1, dtype=torch.float32)
    angle = drawn.get("rotate", zero).deg2rad()[:, 0]
    scale = drawn.get("scale", one)[:, 0]
    shift = drawn.get("shift", zero.expand(n, 2)) * 2            # shares of the side; the grid runs from -1 to 1
    cos, sin = angle.cos() / scale, angle.sin() / scale
    aspect = height / width                                       # grid units: half a width across, half a height down
    turn = torch.stack([cos, sin * aspect, -sin / aspect, cos], dim=1).view(n, 2, 2)
    if "shear" in drawn:                                          # q_x = p_x + tan(shear) p_y undoes x - tan(shear) y
        lean = drawn["shear"].deg2rad().tan() * aspect
        turn = torch.stack([turn[:, 0] + lean * turn[:, 1], turn[:, 1]], dim=1)
    theta = torch.cat([turn, -turn @ shift[:, :, None]], dim=2)   # (N, 2, 3)
    if "crop" in drawn:
        low, high = drawn["crop"][:, ::2], drawn["crop"][:, 1::2]              # lost at (left, top), at (right, bottom)
        theta = theta * (1 - low - high)[:, :, None]
        theta = torch.cat([theta[:, :, :2], theta[:, :, 2:] + (low - high)[:, :, None]], dim=2)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    moved = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return moved.to(images.dtype)                                 # positions need float32, whatever the pixels are


# --- blur and noise ---

def _blur(images: Tensor, sigma: Tensor, largest: float) -> Tensor:
    """A Gaussian along the rows, then along the columns. sigma: (N, 1) in pixels, 0 leaves an image exactly as it is.

    Cut off at three times the largest sigma; beyond the edge the image is mirrored.
    """
    radius = min(math.ceil(3 * largest), min(images.shape[2:]) - 1)
    places = torch.arange(-radius, radius + 1, device=images.device)
    weights = torch.exp(-0.5 * (places / sigma.clamp_min(1e-3)) ** 2)          # (N, 2 radius + 1)
    weights = (weights / weights.sum(dim=1, keepdim=True)).to(images.dtype)[:, :, None, None, None]
    for axis in (2, 3):
        padded = F.pad(images, (0, 0, radius, radius) if axis == 2 else (radius, radius, 0, 0), mode="reflect")
        length = images.shape[axis]
        images = padded.narrow(axis, 0, length) * weights[:, 0]
        for k in range(1, 2 * radius + 1):                                     # a sum of shifted images: no kernel per image
            images.addcmul_(padded.narrow(axis, k, length), weights[:, k])
    return images.clamp_(0, 1)                                                 # the weights sum to 1 but for rounding


def _add_noise(images: Tensor, drawn: Tensor, seed_epoch: tuple[int, int], indices: Tensor) -> Tensor:
    """x + sigma z, cut to [0, 1]. drawn: (N, 2), sigma and whether each channel has noise of its own.

    Images with sigma 0 come back as they are.
    """
    n, channels, height, width = images.shape
    sigma, own = drawn[:, :1, None, None], drawn[:, 1:, None, None]
    z = normal(seed_epoch, indices, channels * height * width).view(n, channels, height, width)
    if channels > 1:
        z = torch.where(own > 0, z, z[:, :1])
    return torch.addcmul(images, z.to(images.dtype), sigma.to(images.dtype)).clamp_(0, 1)


# --- intensity and colour ---

def _intensity(images: Tensor, drawn: dict[str, Tensor]) -> Tensor:
    """(x - mean) contrast + mean + brightness, cut to [0, 1]; the mean is that of the whole image."""
    n = len(images)
    contrast = drawn.get("contrast", images.new_ones(n, 1)).to(images.dtype).view(n, 1, 1, 1)
    brightness = drawn.get("brightness", images.new_zeros(n, 1)).to(images.dtype).view(n, 1, 1, 1)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return torch.addcmul(mean * (1 - contrast) + brightness, images, contrast).clamp_(0, 1)


def _gray(images: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 1, H, W), the luma of ITU-R BT.601."""
    red, green, blue = images.split(1, dim=1)
    return 0.2989 * red + 0.587 * green + 0.114 * blue


def _turn_hue(images: Tensor, turn: Tensor) -> Tensor:
    """Hue + turn (N, 1), a share of the circle, with value and chroma as they were.

    Hue, chroma and value as in Smith, "Color gamut transform pairs", SIGGRAPH 1978, https://doi.org/10.1145/965139.807361.
    """
    red, green, blue = images.float().split(1, dim=1)
    value, low = images.float().amax(dim=1, keepdim=True), images.float().amin(dim=1, keepdim=True)
    chroma = value - low
    part = chroma.clamp_min(1e-12)
    sixth = torch.where(value == red, (green - blue) / part,                   # where on the circle, 0 to 6; red is 0
                        torch.where(value == green, 2 + (blue - red) / part, 4 + (red - green) / part))
    sixth = sixth + 6 * turn.view(-1, 1, 1, 1)
    k = torch.cat([sixth + 5, sixth + 3, sixth + 1], dim=1) % 6                # how far red, green and blue are from there
    return (value - chroma * torch.minimum(k, 4 - k).clamp_(0, 1)).clamp_(0, 1).to(images.dtype)


# --- numbers without a state ---

def uniform(seed_epoch: tuple[int, int], indices: Tensor, stream: int = 0) -> Tensor:
    """Draw (N,) int64 -> (N, STREAM) float32 from [0, 1): number j of image i is the same for a seed, an epoch and a stream."""
    key = _key(seed_epoch, stream)
    column = torch.arange(STREAM, device=indices.device)
    counter = indices.long()[:, None] * STREAM + column          # every number has a place of its own in one sequence
    bits = splitmix64(counter * _GAMMA + key)
    return ((bits >> 40) & 0xFFFFFF).float() / 2**24              # the upper 24 bits: all that float32 can hold


def normal(seed_epoch: tuple[int, int], indices: Tensor, count: int) -> Tensor:
    """Draw (N,) int64 -> (N, count) float32 from a standard normal distribution: number j of image i is always the same.

    Two numbers from each 64 bits: Box and Muller, "A note on the generation of random normal deviates", 1958,
    https://doi.org/10.1214/aoms/1177706645.
    """
    half = -(-count // 2)
    start = splitmix64(indices.long() * _GAMMA + _key(seed_epoch, _NOISE))              # (N,), one sequence an image
    bits = _mix(start[:, None] + torch.arange(1, half + 1, device=indices.device) * _GAMMA).view(torch.int32).view(-1, half, 2)
    radius = ((bits[..., 0] >> 8) & 0xFFFFFF).float().add_(0.5).mul_(2**-24).log_().mul_(-2).sqrt_()
    angle = bits[..., 1].float().mul_(math.pi / 2**31)
    return torch.cat([radius * angle.cos(), radius.mul_(angle.sin_())], dim=1)[:, :count]


def _key(seed_epoch: tuple[int, int], stream: int) -> int:
    seed, epoch = seed_epoch
    key = splitmix64(splitmix64(torch.tensor(seed)) + epoch)      # so that seed 1, epoch 2 is not seed 2, epoch 1
    return int(splitmix64(key ^ stream) if stream else key)       # stream 0 is older than the others


def _signed(bits: int) -> int:
    return bits - 2**64 if bits >= 2**63 else bits


_NOISE = 1 << 32                                                  # a stream that no column has
_GAMMA, _MIX1, _MIX2 = map(_signed, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def splitmix64(state: Tensor) -> Tensor:
    """Return the output of SplitMix64 for a state: a shuffle of all 64-bit numbers in which neighbours land far apart.

    Steele, Lea and Flood, OOPSLA 2014, https://doi.org/10.1145/2660193.2660195. int64 holds the bits; it wraps as
    unsigned numbers do, and the masks make its shifts fill with zeros.
    """
    return _mix(state + _GAMMA)


def _mix(z: Tensor) -> Tensor:
    """Shuffles the bits of z in place: for a number per pixel, copies cost more than arithmetic."""
    z ^= (z >> 30).bitwise_and_(2**34 - 1)
    z *= _MIX1
    z ^= (z >> 27).bitwise_and_(2**37 - 1)
    z *= _MIX2
    z ^= (z >> 31).bitwise_and_(2**33 - 1)
    return z
