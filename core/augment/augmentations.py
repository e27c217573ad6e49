"""AUGMENTATIONS, the table of random changes of training images. A new one is a row, and a line in `core.augment.images`.

Nothing here imports torch, so that a page can show it at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.config import AugmentConfig

if TYPE_CHECKING:
    from torch import Tensor

GROUPS = {"geometry": "Geometry", "intensity": "Intensity", "noise": "Noise and blur", "colour": "Colour"}
STREAM = 16                          # random numbers an image has in one stream: columns 0-15, 16-31 ...


@dataclass(frozen=True)
class Caveat:
    """A reason to think twice.

    Args:
        sentence: plain text
        when: config, whether the images are gray -> whether it applies; by default whenever the augmentation is on
    """

    sentence: str
    when: Callable[[AugmentConfig, bool], bool] = lambda c, gray: True


@dataclass(frozen=True)
class Augmentation:
    """One change. Its switch is the knob of the same name: a probability or a limit, and zero is off.

    Args:
        group: key of GROUPS
        help: a sentence for people
        short: a few words with the numbers of a config, for a summary
        default: what the switch goes to when it is switched on
        columns: which of an image's random numbers it takes; never renumber, or old runs cannot be repeated
        draw: uniform numbers in [0, 1) (N, len(columns)), then the values of its knobs -> (N, k)
        ranges: its further knobs, in the order in which `draw` takes them after the switch
        caveats: where it is dubious for medical images
    """

    group: str
    help: str
    short: str
    default: float
    columns: tuple[int, ...]
    draw: Callable[..., Tensor]
    ranges: tuple[str, ...] = ()
    caveats: tuple[Caveat, ...] = ()

    def knobs(self, name: str) -> tuple[str, ...]:
        """Return the fields of AugmentConfig: the switch `name`, then the ranges."""
        return (name, *self.ranges)


def _around(middle: float) -> Callable[[Tensor, float], Tensor]:
    """Uniform in [middle - limit, middle + limit)."""
    return lambda u, limit: middle + (2 * u - 1) * limit


def _by_chance(neutral: float) -> Callable[[Tensor, float, float, float], Tensor]:
    """With the probability of column 0 uniform in [low, high) from column 1, else `neutral`, which changes nothing."""
    return lambda u, chance, low, high: (low + (high - low) * u[:, 1:]).where(u[:, :1] < chance, neutral)


def _noise(u: Tensor, chance: float, sigma: float, per_channel: float) -> Tensor:
    """Sigma, or 0 by chance; and 1 where each channel has noise of its own."""
    return (u < u.new_tensor([chance, per_channel])) * u.new_tensor([sigma, 1.0])


# In the order in which they are applied. Columns 0 to 6 are the oldest and have had their numbers since the first run.
AUGMENTATIONS: dict[str, Augmentation] = {
    "flip": Augmentation(                                         # mirrored or not
        "geometry", "Mirrors the image, left for right.", "flip left-right {flip:.0%}", 0.5, (0,), lambda u, chance: u < chance,
        caveats=(Caveat("A left-right flip mirrors the letters L and R, makes a left hand of a right one, and in a chest puts "
                        "the heart on the other side: few radiographs look like that."),)),
    "flip_vertical": Augmentation(
        "geometry", "Turns the image upside down.", "flip up-down {flip_vertical:.0%}", 0.5, (7,), lambda u, chance: u < chance,
        caveats=(Caveat("An up-down flip mirrors letters and turns the body over, in a chest the diaphragm above the lungs: no "
                        "radiograph is read like that."),)),
    "crop": Augmentation(                                         # shares lost at the left, right, top, bottom
        "geometry", "Cuts a strip off each side; the rest fills the image.", "crop up to {crop:.0%} a side", 0.1,
        (8, 9, 10, 11), lambda u, limit: u * limit,
        caveats=(Caveat("A crop can cut off the letter L or R or another marker. That may be welcome, since a network should not "
                        "rely on them; but a finding near the edge is lost in the same way."),)),
    "scale": Augmentation(                                        # factor, above 1 is larger
        "geometry", "Enlarges or shrinks the image about its centre.", "scale ±{scale:.0%}", 0.1, (4,), _around(1),
        caveats=(Caveat("Sizes carry meaning: in a chest a heart that is a third larger is a finding. Scaling by more than a "
                        "quarter hides that.", lambda c, gray: c.scale > 0.25),)),
    "shear": Augmentation(                                        # degrees
        "geometry", "Tilts upright lines to one side.", "shear ±{shear:g}°", 5.0, (12,), _around(0),
        caveats=(Caveat("A shear of more than 10 degrees gives joint angles that no patient has.",
                        lambda c, gray: c.shear > 10),)),
    "rotate": Augmentation(                                       # degrees, positive is clockwise
        "geometry", "Rotates the image about its centre.", "rotate ±{rotate:g}°", 7.0, (1,), _around(0),
        caveats=(Caveat("Patients are positioned with care: a radiograph that is rotated by more than about 15 degrees is rare, "
                        "and a network can learn from its black corners.", lambda c, gray: c.rotate > 15),)),
    "shift": Augmentation(                                        # right and down, shares of width and height
        "geometry", "Moves the image left or right, up or down.", "shift ±{shift:.0%}", 0.05, (2, 3), _around(0),
        caveats=(Caveat("A shift by more than a tenth pushes what is near the edge out of the image: markers, but findings too.",
                        lambda c, gray: c.shift > 0.1),)),
    "blur": Augmentation(                                         # sigma in pixels, 0 is sharp
        "noise", "Blurs the image with a Gaussian.", "blur {blur:.0%}, up to {blur_sigma:g} px", 0.5, (13, 14),
        lambda u, chance, sigma: (u[:, 1:] * sigma).where(u[:, :1] < chance, 0.0), ("blur_sigma",),
        caveats=(Caveat("A hairline fracture is a pixel or two wide: a blur of more than one pixel can remove it and keep its "
                        "label.", lambda c, gray: c.blur_sigma > 1),)),
    "brightness": Augmentation(                                   # added; 1 is the full range
        "intensity", "Adds the same number to all gray values.", "brightness ±{brightness:.0%}", 0.1, (5,), _around(0),
        caveats=(Caveat("Brightness by more than a quarter of the range turns lungs black or bone white: that detail is lost.",
                        lambda c, gray: c.brightness > 0.25),)),
    "contrast": Augmentation(                                     # factor about the image's mean
        "intensity", "Stretches or squeezes gray values about the mean of the image.", "contrast ±{contrast:.0%}", 0.2, (6,),
        _around(1),
        caveats=(Caveat("Contrast by more than a half can leave an image almost without structure.",
                        lambda c, gray: c.contrast > 0.5),)),
    "linear_contrast": Augmentation(                              # factor about mid-gray
        "intensity", "Stretches or squeezes gray values about mid-gray.",
        "linear contrast {linear_contrast:.0%}, {linear_contrast_low:g} to {linear_contrast_high:g}", 0.5, (15, 16),
        _by_chance(1.0), ("linear_contrast_low", "linear_contrast_high"),
        caveats=(Caveat("Linear contrast stretches about mid-gray, however bright the image is: at 1.5 everything below a sixth "
                        "of the range turns black, and everything above five sixths white.",
                        lambda c, gray: c.linear_contrast_high >= 1.5),)),
    "multiply": Augmentation(                                     # factor
        "intensity", "Multiplies all gray values by a number.", "multiply {multiply:.0%}, {multiply_low:g} to {multiply_high:g}",
        0.5, (17, 18), _by_chance(1.0), ("multiply_low", "multiply_high"),
        caveats=(Caveat("Multiplying by more than 1.5 turns bright bone into plain white: a fracture line in it is lost.",
                        lambda c, gray: c.multiply_high > 1.5),)),
    "saturation": Augmentation(                                   # factor, 0 is gray
        "colour", "Makes colours paler or stronger.", "saturation ±{saturation:.0%}", 0.2, (19,), _around(1),
        caveats=(Caveat("Saturation does nothing here: these images are gray.", lambda c, gray: gray),
                 Caveat("In stained tissue and skin, colour is part of the finding: saturation by more than a half may hide it.",
                        lambda c, gray: not gray and c.saturation > 0.5))),
    "hue": Augmentation(                                          # share of the colour circle
        "colour", "Rotates all colours on the colour circle.", "hue ±{hue:.0%}", 0.05, (20,), _around(0),
        caveats=(Caveat("Hue does nothing here: these images are gray.", lambda c, gray: gray),
                 Caveat("In stained tissue and skin, colour is part of the finding: more than a twentieth of the colour circle "
                        "gives colours that do not occur.", lambda c, gray: not gray and c.hue > 0.05))),
    "noise": Augmentation(                                        # standard deviation; 1 where each channel has noise of its own
        "noise", "Adds Gaussian noise: a random number to each pixel.", "noise {noise:.0%}, {noise_scale:g}", 0.5, (21, 22),
        _noise, ("noise_scale", "noise_per_channel"),
        caveats=(Caveat("Noise of more than a tenth of the range hides fine lines: an image that cannot be read teaches nothing.",
                        lambda c, gray: c.noise_scale > 0.1),)),
}


def active(config: AugmentConfig) -> tuple[str, ...]:
    """Return the names of the augmentations that are switched on, in the order in which they are applied.

    >>> active(AugmentConfig(rotate=7.0, flip=0.5))
    ('flip', 'rotate')
    """
    return tuple(name for name in AUGMENTATIONS if getattr(config, name))


def caveats(config: AugmentConfig, gray: bool) -> list[str]:
    """Return the sentences that apply to what is switched on, for gray or for colour images."""
    return [caveat.sentence for name in active(config) for caveat in AUGMENTATIONS[name].caveats if caveat.when(config, gray)]


def summary(config: AugmentConfig) -> list[str]:
    """Return a few words for each augmentation that is switched on, in the order in which they are applied.

    >>> summary(AugmentConfig(rotate=7.0))
    ['rotate ±7°']
    """
    return [AUGMENTATIONS[name].short.format(**vars(config)) for name in active(config)]
