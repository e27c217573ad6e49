"""Experts: runs that know one part of the images only, such as one part of the body, and each of them scored on its own part.

A network for the wrist that is scored on all seven parts of the arm, or one for all parts whose number for the wrist is taken
from all of them, looks like something else than it is. So images are matched by their names, one by one: what a run is compared
with was computed on the very same images, and how many these are stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def own_part(image_ids: Sequence[str], part_of: Mapping[str, str]) -> str | None:
    """The one part that all images of a run belong to; None where they are of several, or one of them is unknown.

    Args:
        image_ids: of the images that a run has answered for
        part_of: image id -> its part, of the images that another run has answered for
    """
    parts = {part_of.get(image) for image in image_ids}
    return parts.pop() if len(parts) == 1 else None


def find_experts(part_of: Mapping[str, str], others: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """part -> the runs that answered for images of that part alone, in the order of `others`.

    Args:
        others: run id -> the images that it has answered for
    """
    found: dict[str, list[str]] = {}
    if len(set(part_of.values())) < 2:                 # where all images are of one part, everybody would be an expert
        return found
    for run, images in others.items():
        part = own_part(images, part_of) if len(images) else None
        if part is not None:
            found.setdefault(part, []).append(run)
    return found


def same_images(ours: Sequence[str], theirs: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Where the images that two runs have in common stand in each of them: two (n,) int64, in the order of `theirs`."""
    place = {image: i for i, image in enumerate(ours)}
    common = [(place[image], j) for j, image in enumerate(theirs) if image in place]
    return tuple(np.array(column, np.int64) for column in (zip(*common) if common else ((), ())))
