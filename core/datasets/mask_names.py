"""What the name of a file or folder says of masks, crops, copies and thumbnails."""

from __future__ import annotations

import re
from functools import cache

from core.datasets.level_words import CONTAINERS, SPLIT_WORDS, words_of

# kind -> words in the name of a folder or file that say so; those of the second row need a partner for half of the files
KINDS = {
    "mask": ({"mask", "masks", "groundtruth", "groundtruths", "segmentation", "segmentations", "annotation", "annotations",
              "annotated"},
             {"label", "labels", "gt", "seg", "segs", "manual", "contour", "contours", "roi", "rois", "lesion", "matte", "truth",
              "anno"}),
    "derived": ({"heatmap", "heatmaps", "saliency", "attentionmap", "attentionmaps", "distancemap", "distancemaps",
                 "weightedmaps"},
                {"overlay", "overlays", "segmented", "cropped", "crops", "preprocessed", "enhanced", "bbox", "bboxes"}),
    "augmented": ({"augmented", "augmentation", "aug"}, {"fold", "folds"}),
    "thumbnail": ({"thumbnail", "thumbnails", "thumbs", "preview", "previews"}, set()),
}
IMAGE_WORDS = CONTAINERS | {"orig", "original", "originals", "raw", "input", "inputs", "scan", "photo", "frame", "frames",
                            "dicom", "flair"}
WITHOUT_SPLIT = frozenset({*IMAGE_WORDS, *SPLIT_WORDS})
FORMATS = {"png", "jpg", "jpeg", "tif", "tiff", "bmp", "dicom", "dcm", "webp"}


def folders_around(path: str) -> list[str]:
    """Return the folders around a file, from the outermost on: "a/b/1.png" -> ["a", "a/b"]."""
    parts = path.split("/")
    return ["/".join(parts[:k]) for k in range(1, len(parts))]


def stem_of(path: str) -> str:
    """Return a file's name without its folder and its ending."""
    name = path.rpartition("/")[2]
    return name.rpartition(".")[0] or name


def kinds_of(words: list[str]) -> list[tuple[str, bool]]:
    """Return the kinds that some words speak of, and whether they need no partner."""
    words = {*words, *map("".join, zip(words, words[1:]))}
    return [(kind, bool(words & plain)) for kind, (plain, unsure) in KINDS.items() if words & (plain | unsure)]


@cache
def kinds_in(name: str) -> list[tuple[str, bool]]:
    """Return the kinds that the name of a folder speaks of, and whether they need no partner."""
    return [("mask", True)] if name.lower() == "ground" else kinds_of(words_of(name))      # ground glass is a finding


@cache
def pattern_of(kind: str) -> re.Pattern:
    """Return a search for the words of a kind that is quick, and finds them inside of other words too."""
    return re.compile("|".join(sorted({*KINDS[kind][0], *KINDS[kind][1], "ground.truth"})), re.IGNORECASE)


def core_of(path: str, kind: str, drop: frozenset[str] = frozenset(IMAGE_WORDS), cut: bool = True) -> str:
    """Return what a file's name says beside its kind: "benign (1)_mask_2" and "benign (1)" are both "benign 1".

    Args:
        cut: leave out what stands behind the kind
    """
    words = words_of(stem_of(path))
    marks = KINDS[kind][0] | KINDS[kind][1]
    at = next((k for k, word in enumerate(words) if word in marks or "".join(words[k:k + 2]) in marks), None)
    if at and cut:
        words = words[:at]
    words = [word for word in words if word not in marks and word not in drop]
    return " ".join(words)


def shorter(core: str) -> list[str]:
    """Return a core and what is left of it without its last words, as long as there is a number: a mask's name may say more.

    >>> shorter("14 hge left")
    ['14 hge left', '14 hge', '14']
    """
    words = core.split()
    return [" ".join(words[:k]) for k in range(len(words), 0, -1) if k == len(words) or any(map(str.isdecimal, words[:k]))]
