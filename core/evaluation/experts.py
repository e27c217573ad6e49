"""Experts: runs that were trained on one part of the images only, such as one body part, each evaluated on
its own part.

A network for the wrist that is evaluated on all seven parts of the arm, or one for all parts whose number is
compared with that of the wrist alone, looks better or worse than it is. So images are matched by their names,
one by one: what a run is compared with was computed on the very same images, and their number is shown with
it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def own_part(image_ids: Sequence[str], part_of: Mapping[str, str]) -> str | None:
    """Return the one part that all images of a run belong to; None where they are of several, or one of them
    is unknown.

    Args:
        image_ids: of the images that a run has predicted
        part_of: image id -> its part, of the images that another run has predicted

    >>> own_part(["a", "b"], {"a": "wrist", "b": "wrist", "c": "hand"})
    'wrist'
    """
    parts = {part_of.get(image) for image in image_ids}
    return parts.pop() if len(parts) == 1 else None


def find_experts(part_of: Mapping[str, str], others: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return {part: the runs that predicted images of that part alone, in the order of `others`}.

    Args:
        others: run id -> the images that it has predicted
    """
    found: dict[str, list[str]] = {}
    # where all images are of one part, every run would be an expert
    if len(set(part_of.values())) < 2:
        return found
    for run, images in others.items():
        part = own_part(images, part_of) if len(images) else None
        if part is not None:
            found.setdefault(part, []).append(run)
    return found


def same_images(ours: Sequence[str], theirs: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the images that two runs share: two (n,) int64, in the order of `theirs`.

    >>> [rows.tolist() for rows in same_images(["a", "b", "c"], ["c", "x", "a"])]
    [[2, 0], [0, 2]]
    """
    place = {image: i for i, image in enumerate(ours)}
    common = [(place[image], j) for j, image in enumerate(theirs) if image in place]
    return tuple(np.array(column, np.int64) for column in (zip(*common) if common else ((), ())))
