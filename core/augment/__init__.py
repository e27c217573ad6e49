"""Random changes of training images: what there is, where it is dubious for X-rays, and presets.

    AUGMENTATIONS   the table: name in AugmentConfig -> how its numbers are drawn, and what people should know
    PRESETS         settings that go together
    active          which augmentations a config switches on
    caveats         which sentences of caution apply to a config and a set of images

Nothing here imports torch, so that a page can show it at once. `core.augment.images` changes the images.
"""

from core.augment.augmentations import AUGMENTATIONS, GROUPS, STREAM, active, caveats, summary
from core.augment.presets import PRESETS, preset_of

__all__ = ["AUGMENTATIONS", "GROUPS", "PRESETS", "STREAM", "active", "caveats", "preset_of", "summary"]
