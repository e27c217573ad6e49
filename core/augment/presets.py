"""PRESETS, the table of augmentations that go together, those of the published reports among them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from core.augment.augmentations import AUGMENTATIONS, active
from core.config import AugmentConfig


@dataclass(frozen=True)
class Preset:
    """A config with a name. What `changes` does not name is at its default."""

    title: str
    help: str
    changes: Mapping[str, float]

    @property
    def config(self) -> AugmentConfig:
        return dataclasses.replace(AugmentConfig(), **self.changes)


PRESETS = {
    "none": Preset("None", "Images as they are.", {}),
    "gentle": Preset("Gentle for X-rays", "What differs between exposures anyway: a little rotation, shift, size and intensity.",
                     {"rotate": 7.0, "shift": 0.05, "scale": 0.1, "brightness": 0.1, "contrast": 0.1}),
    "r000": Preset("Report on body parts in MURA (R000)",
                   "The composition of the report on body parts in MURA: flip 0.5, crop (0, 0.1), blur "
                   "0.2, linear contrast (0.75, 1.5), noise 0.05 (per channel 0.5), multiply (0.8, 1.2), and an affine change. "
                   "It gives one number for the blur; here that is its probability, up to 0.5 px.",
                   {"flip": 0.5, "crop": 0.1, "scale": 0.2, "shear": 8.0, "rotate": 25.0, "shift": 0.2, "blur": 0.2,
                    "blur_sigma": 0.5, "linear_contrast": 1.0, "linear_contrast_low": 0.75, "linear_contrast_high": 1.5,
                    "multiply": 1.0, "multiply_low": 0.8, "multiply_high": 1.2, "noise": 1.0, "noise_scale": 0.05,
                    "noise_per_channel": 0.5}),
    "r001": Preset("Report on MURA, normal or abnormal (R001)",
                   "The augmentation of the report on normal or abnormal in MURA: rotation up to 30 degrees and "
                   "flips both ways.", {"flip": 0.5, "flip_vertical": 0.5, "rotate": 30.0}),
    "r002": Preset("Report on MedMNIST (R002), simple",
                   "The simple transforms of the report on MedMNIST: flip, shift, rotation, crop, colour "
                   "jitter and noise. It gives no ranges; these are moderate ones.",
                   {"flip": 0.5, "crop": 0.1, "rotate": 15.0, "shift": 0.1, "brightness": 0.1, "contrast": 0.2,
                    "saturation": 0.2, "hue": 0.05, "noise": 0.5, "noise_scale": 0.03}),
}


def preset_of(config: AugmentConfig) -> str | None:
    """Return the key of the preset that a config equals, None where there is none. Ranges of what is off do not count.

    >>> preset_of(AugmentConfig()), preset_of(AugmentConfig(rotate=3.0))
    ('none', None)
    """
    def effective(c: AugmentConfig) -> dict[str, float]:
        return {knob: getattr(c, knob) for name in active(c) for knob in AUGMENTATIONS[name].knobs(name)}
    return next((key for key, preset in PRESETS.items() if effective(preset.config) == effective(config)), None)
