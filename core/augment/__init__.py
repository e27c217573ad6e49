"""Random changes of training images: what there is, where it is dubious for X-rays, and compositions to start from.

    AUGMENTATIONS   the table: name in AugmentConfig -> how its numbers are drawn, and what people should know
    PRESETS         settings that go together, those of the published reports among them
    active          which augmentations a config switches on
    doubts          which sentences of caution apply to a config and a set of images

Nothing here imports torch, so that a page can show it at once. `core.augment.images` changes the images.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.config import AugmentConfig

if TYPE_CHECKING:
    from torch import Tensor

GROUPS = {"place": "Place", "tone": "Tone", "noise": "Noise and blur", "colour": "Colour"}


@dataclass(frozen=True)
class Doubt:
    """A reason to think twice.

    Attributes:
        sentence: plain text
        when: config, whether the images are gray -> whether it applies; by default whenever the augmentation is on
    """

    sentence: str
    when: Callable[[AugmentConfig, bool], bool] = lambda c, gray: True


@dataclass(frozen=True)
class Augmentation:
    """One change. Its switch is the knob of the same name: a chance or a limit, and zero is off.

    Attributes:
        group: key of GROUPS
        what: a sentence for people
        short: a few words with the numbers of a config, for a summary
        usual: what the switch goes to when it is switched on
        columns: which of an image's random numbers it takes; never renumber, or old runs can not be repeated
        draw: uniform numbers in [0, 1) (N, len(columns)), then the values of its knobs -> (N, k)
        ranges: its further knobs, in the order in which `draw` takes them after the switch
        doubts: where it is dubious for medical images
    """

    group: str
    what: str
    short: str
    usual: float
    columns: tuple[int, ...]
    draw: Callable[..., Tensor]
    ranges: tuple[str, ...] = ()
    doubts: tuple[Doubt, ...] = ()

    def knobs(self, name: str) -> tuple[str, ...]:
        """Fields of AugmentConfig: the switch `name`, then the ranges."""
        return (name, *self.ranges)


def _around(middle: float) -> Callable[[Tensor, float], Tensor]:
    """Uniform in [middle - limit, middle + limit)."""
    return lambda u, limit: middle + (2 * u - 1) * limit


def _by_chance(neutral: float) -> Callable[[Tensor, float, float, float], Tensor]:
    """With the chance of column 0 uniform in [low, high) from column 1, else `neutral`, which changes nothing."""
    return lambda u, chance, low, high: (low + (high - low) * u[:, 1:]).where(u[:, :1] < chance, neutral)


def _grain(u: Tensor, chance: float, sigma: float, per_channel: float) -> Tensor:
    import torch

    return torch.cat([(u[:, :1] < chance) * sigma, (u[:, 1:] < per_channel).to(u.dtype)], dim=1)


# In the order in which they are applied. Columns 0 to 6 are the oldest and have had their numbers since the first run.
AUGMENTATIONS: dict[str, Augmentation] = {
    "flip": Augmentation(                                         # mirrored or not
        "place", "A mirror image, left for right.", "flip left-right {flip:.0%}", 0.5, (0,), lambda u, chance: u < chance,
        doubts=(Doubt("A left-right flip puts the heart on the other side and mirrors the letters L and R: for most radiographs "
                      "that is a picture that cannot occur."),)),
    "flip_vertical": Augmentation(
        "place", "Turned over, top to bottom.", "flip up-down {flip_vertical:.0%}", 0.5, (7,), lambda u, chance: u < chance,
        doubts=(Doubt("A flip up-down puts the diaphragm above the lungs and mirrors letters: no radiograph is read like "
                      "that."),)),
    "crop": Augmentation(                                         # shares lost at the left, right, top, bottom
        "place", "A strip at each side is cut off and the rest fills the image.", "crop up to {crop:.0%} a side", 0.1,
        (8, 9, 10, 11), lambda u, limit: u * limit,
        doubts=(Doubt("Crop can cut off the letter L or R or a mark at the edge. That may be welcome, since a network should not "
                      "lean on them; but a finding at the edge goes the same way."),)),
    "scale": Augmentation(                                        # factor, above 1 is larger
        "place", "Larger or smaller about the centre.", "scale ±{scale:.0%}", 0.1, (4,), _around(1),
        doubts=(Doubt("Sizes carry meaning: a heart a third larger is a finding. Scale by more than a quarter hides that.",
                      lambda c, gray: c.scale > 0.25),)),
    "shear": Augmentation(                                        # degrees
        "place", "Upright lines lean to one side.", "shear ±{shear:g}°", 5.0, (12,), _around(0),
        doubts=(Doubt("Shear by more than ten degrees gives angles of joints that no patient has.",
                      lambda c, gray: c.shear > 10),)),
    "rotate": Augmentation(                                       # degrees, positive is clockwise
        "place", "Turned about the centre.", "rotate ±{rotate:g}°", 7.0, (1,), _around(0),
        doubts=(Doubt("Patients are placed with care: a radiograph that is turned by more than about 15 degrees is rare, and its "
                      "black corners are something a network can learn.", lambda c, gray: c.rotate > 15),)),
    "shift": Augmentation(                                        # right and down, shares of width and height
        "place", "Moved to the left or right, up or down.", "shift ±{shift:.0%}", 0.05, (2, 3), _around(0),
        doubts=(Doubt("Shift by more than a tenth pushes what lies at the edge out of the image: letters and marks, but findings "
                      "too.", lambda c, gray: c.shift > 0.1),)),
    "blur": Augmentation(                                         # sigma in pixels, 0 is sharp
        "noise", "Less sharp, by a Gaussian.", "blur {blur:.0%}, up to {blur_sigma:g} px", 0.5, (13, 14),
        lambda u, chance, sigma: (u[:, 1:] * sigma).where(u[:, :1] < chance, 0.0), ("blur_sigma",),
        doubts=(Doubt("A hairline fracture is a pixel or two wide: a blur of more than one pixel can remove it and leave its "
                      "label.", lambda c, gray: c.blur_sigma > 1),)),
    "brightness": Augmentation(                                   # added; 1 is the full range
        "tone", "Brighter or darker: the same number is added everywhere.", "brightness ±{brightness:.0%}", 0.1, (5,),
        _around(0),
        doubts=(Doubt("Brightness by more than a quarter of the range drowns lungs in black or bone in white: what is cut off is "
                      "lost.", lambda c, gray: c.brightness > 0.25),)),
    "contrast": Augmentation(                                     # factor about the image's mean
        "tone", "Gray values stretched or squeezed about the mean of the image.", "contrast ±{contrast:.0%}", 0.2, (6,),
        _around(1),
        doubts=(Doubt("Contrast by more than a half can leave an image almost without structure.",
                      lambda c, gray: c.contrast > 0.5),)),
    "linear_contrast": Augmentation(                              # factor about mid-gray
        "tone", "Gray values stretched or squeezed about mid-gray.",
        "linear contrast {linear_contrast:.0%}, {linear_contrast_low:g} to {linear_contrast_high:g}", 0.5, (15, 16),
        _by_chance(1.0), ("linear_contrast_low", "linear_contrast_high"),
        doubts=(Doubt("Linear contrast stretches about mid-gray, wherever the image lies: at 1.5 all that is darker than a sixth "
                      "of the range turns black, and all above five sixths white.",
                      lambda c, gray: c.linear_contrast_high >= 1.5),)),
    "multiply": Augmentation(                                     # factor
        "tone", "All gray values times a number.", "multiply {multiply:.0%}, {multiply_low:g} to {multiply_high:g}", 0.5,
        (17, 18), _by_chance(1.0), ("multiply_low", "multiply_high"),
        doubts=(Doubt("Multiplying by more than 1.5 turns bright bone into plain white: a fracture line in it is lost.",
                      lambda c, gray: c.multiply_high > 1.5),)),
    "saturation": Augmentation(                                   # factor, 0 is gray
        "colour", "Colours paler or stronger.", "saturation ±{saturation:.0%}", 0.2, (19,), _around(1),
        doubts=(Doubt("Saturation does nothing here: these images are gray.", lambda c, gray: gray),
                Doubt("In stained tissue and skin colour is part of the finding: saturation by more than a half may hide it.",
                      lambda c, gray: not gray and c.saturation > 0.5))),
    "hue": Augmentation(                                          # share of the colour circle
        "colour", "All colours turn on the colour circle.", "hue ±{hue:.0%}", 0.05, (20,), _around(0),
        doubts=(Doubt("Hue does nothing here: these images are gray.", lambda c, gray: gray),
                Doubt("In stained tissue and skin colour is part of the finding: a turn of more than a twentieth of the circle "
                      "gives colours that do not occur.", lambda c, gray: not gray and c.hue > 0.05))),
    "noise": Augmentation(                                        # standard deviation; 1 where each channel has noise of its own
        "noise", "Grain: each pixel gets a random number of its own.", "noise {noise:.0%}, {noise_scale:g}", 0.5, (21, 22),
        _grain, ("noise_scale", "noise_per_channel"),
        doubts=(Doubt("Noise of more than a tenth of the range covers fine lines: an image that cannot be read teaches nothing.",
                      lambda c, gray: c.noise_scale > 0.1),)),
}
STREAM = 16                          # random numbers an image has in one stream: columns 0-15, 16-31 ...
OFF = AugmentConfig()


def active(config: AugmentConfig) -> tuple[str, ...]:
    """Names of the augmentations that are switched on, in the order in which they are applied."""
    return tuple(name for name in AUGMENTATIONS if getattr(config, name))


def doubts(config: AugmentConfig, gray: bool) -> list[str]:
    """The sentences that apply to what is switched on, for a set of gray or of coloured images."""
    return [doubt.sentence for name in active(config) for doubt in AUGMENTATIONS[name].doubts if doubt.when(config, gray)]


def summary(config: AugmentConfig) -> list[str]:
    """A few words for each augmentation that is switched on, in the order in which they are applied."""
    return [AUGMENTATIONS[name].short.format(**vars(config)) for name in active(config)]


# --- settings that go together ---

@dataclass(frozen=True)
class Preset:
    """A config with a name. What `changes` does not name is at its default."""

    title: str
    help: str
    changes: Mapping[str, float]

    @property
    def config(self) -> AugmentConfig:
        return dataclasses.replace(OFF, **self.changes)


PRESETS = {
    "none": Preset("None", "Images as they are.", {}),
    "gentle": Preset("Gentle for X-rays", "What differs from one exposure to the next by itself: a little turn, shift, size and "
                     "tone.", {"rotate": 7.0, "shift": 0.05, "scale": 0.1, "brightness": 0.1, "contrast": 0.1}),
    "r000": Preset("Report R000, Table 3", "The composition of the report on body parts in MURA: flip 0.5, crop (0, 0.1), blur "
                   "0.2, linear contrast (0.75, 1.5), noise 0.05 (per channel 0.5), multiply (0.8, 1.2), and an affine change. "
                   "It gives one number for the blur; here that is its chance, up to 0.5 px.",
                   {"flip": 0.5, "crop": 0.1, "scale": 0.2, "shear": 8.0, "rotate": 25.0, "shift": 0.2, "blur": 0.2,
                    "blur_sigma": 0.5, "linear_contrast": 1.0, "linear_contrast_low": 0.75, "linear_contrast_high": 1.5,
                    "multiply": 1.0, "multiply_low": 0.8, "multiply_high": 1.2, "noise": 1.0, "noise_scale": 0.05,
                    "noise_per_channel": 0.5}),
    "r001": Preset("Report R001", "That of the report on normal or abnormal in MURA: rotation up to 30 degrees and flips both "
                   "ways.", {"flip": 0.5, "flip_vertical": 0.5, "rotate": 30.0}),
    "r002": Preset("Report R002, simple", "The simple transforms of the report on MedMNIST: flip, shift, rotation, crop, colour "
                   "jitter and noise. It gives no ranges; these are moderate ones.",
                   {"flip": 0.5, "crop": 0.1, "rotate": 15.0, "shift": 0.1, "brightness": 0.1, "contrast": 0.2,
                    "saturation": 0.2, "hue": 0.05, "noise": 0.5, "noise_scale": 0.03}),
}


def preset_of(config: AugmentConfig) -> str | None:
    """The key of the preset that a config is, None where it is none of them.

    The range of what is switched off does not count.
    """
    def seen(c: AugmentConfig) -> dict[str, float]:
        return {knob: getattr(c, knob) for name in active(c) for knob in AUGMENTATIONS[name].knobs(name)}
    return next((key for key, preset in PRESETS.items() if seen(preset.config) == seen(config)), None)
