"""Files beside the images that are no images of their own: masks, heat maps, thumbnails, augmented and doubled copies.

They are recognised by their names, and by their content where names say nothing: a mask has few gray values and the size of its
image. They are left out and counted; masks are kept as the truth for heat maps.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import permutations

from core.datasets.level_words import FINDINGS, SPLIT_WORDS, words_of
from core.datasets.mask_folders import helpers_in_folders
from core.datasets.mask_names import (
    FORMATS,
    IMAGE_WORDS,
    KINDS,
    core_of,
    folders_around,
    kinds_in,
    kinds_of,
    pattern_of,
    shorter,
    stem_of,
)

WORDS = {"mask": ("mask or outline of another image", "masks or outlines of other images"),
         "augmented": ("augmented copy", "augmented copies"), "thumbnail": ("thumbnail", "thumbnails"),
         "derived": ("picture made from another image", 
                     "pictures made from other images (overlays, crops, heat maps, other formats)"),
         "copy": ("image of a second copy of the set inside itself", "images of a second copy of the set inside itself")}
PAIRS = 6           # of a mask and its image that are looked at where names say nothing
SIBLINGS = 5        # folders in one folder that are compared with each other, at most
FLAT = 8            # gray values of a mask, at most


@dataclass
class Masks:
    """What is no image of its own.

    Args:
        kind: path -> a key of WORDS
        masks: path of an image -> paths of its masks
    """

    kind: dict[str, str] = field(default_factory=dict)
    masks: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, path: str, image: str | None, kind: str = "mask") -> None:
        self.kind[path] = kind
        if image and kind == "mask":
            self.masks[image].append(path)


def find_copies(sizes: dict[str, int]) -> dict[str, str]:
    """Return path -> folder, for the images of each folder that holds its own surroundings once more.

    Args:
        sizes: path with / -> bytes
    """
    inside, doubled = Counter(), Counter()
    for path, size in sizes.items():
        parts = path.split("/")
        for k in range(len(parts) - 1):
            folder = "/".join(parts[:k + 1])
            inside[folder] += 1
            if len(parts) > 2 and sizes.get("/".join(parts[:k] + parts[k + 1:])) == size:
                doubled[folder] += 1
    whole = {folder for folder, count in doubled.items() if count >= 0.9 * inside[folder]}
    found = {}
    for path in sizes:
        folder = next((f for f in folders_around(path) if f in whole), None)
        if folder:
            found[path] = folder
    return found


def find_masks(paths: list[str], look: Callable[[str], tuple] | None = None) -> Masks:
    """Tell masks, augmented copies and thumbnails from images.

    Args:
        paths: below the folder of the set, with /
        look: path -> (width and height, number of gray values); where given, folders of the same file names whose names say
            nothing are told apart by it
    """
    helpers = Masks()
    _by_file_name(paths, helpers)
    rest = [path for path in paths if path not in helpers.kind]
    _by_folder_name(rest, helpers)
    _by_sibling([path for path in rest if path not in helpers.kind], helpers)
    if look:
        _by_content([path for path in rest if path not in helpers.kind], helpers, look)
        _by_longer_name([path for path in rest if path not in helpers.kind], helpers, look)
    return helpers


@cache
def _is_helper_folder(name: str) -> bool:
    return bool(kinds_in(name)) and not {*words_of(name)} & {"lesion", "fold", "folds"}      # those may be classes


def is_helper(path: str) -> bool:
    """Return whether a folder around a file says that it is a mask, a crop or a thumbnail of another one."""
    return any(map(_is_helper_folder, path.split("/")[:-1]))


def _by_file_name(paths: list[str], helpers: Masks) -> None:
    """Take `x_mask.png` and `mask_x.png` for masks where x.png or image_x.png lies in the same folder."""
    for kind in ("mask", "derived"):
        if not any(map(pattern_of(kind).search, paths)):
            continue
        images, marked = {}, []
        for path in paths:
            folder = path.rpartition("/")[0]
            if kind in dict(kinds_of(words_of(stem_of(path)))):
                marked.append((path, folder))
            else:
                images.setdefault((folder, core_of(path, kind)), path)
        for path, folder in marked:
            cores = [*shorter(core_of(path, kind)), core_of(path, kind, cut=False)]      # the last: x_seg_60 of x_flair_60
            image = next((images[folder, core] for core in cores if (folder, core) in images), None)
            if image:
                helpers.add(path, image, kind)


def _by_folder_name(paths: list[str], helpers: Masks) -> None:
    """Take folders such as `masks` for helpers where a folder of other images stands beside them."""
    for kind in KINDS:
        for path, image in helpers_in_folders(paths, kind):
            helpers.add(path, image, kind)


def _by_sibling(paths: list[str], helpers: Masks) -> None:
    """Take Images_Square beside Images, and TIF beside PNG, for the same images once more where they hold the same names."""
    groups = defaultdict(lambda: defaultdict(dict))
    for path in paths:
        parts = path.split("/")
        for k, name in enumerate(parts[:-1]):
            if _plain_words(name) & (IMAGE_WORDS | FORMATS):
                groups["/".join(parts[:k])][name]["/".join(parts[k + 1:-1]) + stem_of(path)] = path
    for folders in groups.values():
        for one, other in permutations(sorted(folders), 2) if len(folders) <= SIBLINGS else ():
            words, more = _plain_words(one), _plain_words(other)
            said = words < more and words <= IMAGE_WORDS and not any(
                w.isdecimal() or w in SPLIT_WORDS or w in FINDINGS for w in more - words)
            if (said or words | more <= FORMATS and one < other) and len(
                    folders[one].keys() & folders[other].keys()) >= max(3, 0.9 * len(folders[other])):
                for path in folders[other].values():
                    helpers.add(path, None, "derived")


@cache
def _plain_words(name: str) -> frozenset[str]:
    return frozenset(words_of(name))


def _by_content(paths: list[str], helpers: Masks, look: Callable[[str], tuple]) -> None:
    """Take a folder for masks where its files are called as those beside it, have their size and few gray values."""
    folders = defaultdict(dict)
    for path in paths:
        folder = path.rpartition("/")[0]
        if folder:
            folders[folder][stem_of(path)] = path
    groups = defaultdict(list)
    for folder in folders:
        groups[folder.rpartition("/")[0]].append(folder)
    for one, other in (pair for siblings in groups.values() if len(siblings) <= SIBLINGS for pair in permutations(siblings, 2)):
        shared = sorted(folders[one].keys() & folders[other].keys())
        if len(shared) < 3 or len(shared) < 0.9 * len(folders[one]):
            continue
        if _are_flat([(folders[one][stem], folders[other][stem]) for stem in shared], look):
            for stem, path in folders[one].items():
                helpers.add(path, folders[other].get(stem))


def _are_flat(pairs: list[tuple[str, str]], look: Callable[[str], tuple]) -> bool:
    """Return whether the first of each pair, a few are looked at, has few gray values and the size of the second."""
    seen = ((look(a), look(b)) for a, b in pairs[::max(1, len(pairs) // PAIRS)][:PAIRS])
    return all(a[0] == b[0] and 1 <= a[1] <= FLAT < 2 * FLAT < b[1] for a, b in seen)


def _by_longer_name(paths: list[str], helpers: Masks, look: Callable[[str], tuple]) -> None:
    """Take x_1stHO.png, x-d.bmp and x.png for masks of x.jpg in the same folder where their content says so."""
    named = defaultdict(list)
    for path in paths:
        named[path.rpartition("/")[0], stem_of(path)].append(path)
    groups = defaultdict(list)      # what the name has more, or another ending -> [(path, image)]
    for (folder, stem), same in named.items():
        cuts = [at.start() for at in re.finditer(r"[_ .-]", stem)][-2:]
        base = next((stem[:cut] for cut in cuts if (folder, stem[:cut]) in named), None)
        for path in same:
            if len(same) == 2:
                groups[path.rpartition(".")[2].lower()].append((path, same[path == same[0]]))
            elif base:
                groups[stem[len(base):]].append((path, named[folder, base][0]))
    for pairs in groups.values():
        if len(pairs) >= 3 and _are_flat(pairs, look):
            for path, image in pairs:
                helpers.add(path, image)
