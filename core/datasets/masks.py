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

from core.datasets.level_words import CONTAINERS, FINDINGS, SPLIT_WORDS, denied, words_of

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
WORDS = {"mask": ("mask or outline of another image", "masks or outlines of other images"),
         "augmented": ("augmented copy", "augmented copies"), "thumbnail": ("thumbnail", "thumbnails"),
         "derived": ("picture made from another image", 
                     "pictures made from other images (overlays, crops, heat maps, other formats)"),
         "copy": ("image of a second copy of the set inside itself", "images of a second copy of the set inside itself")}
FORMATS = {"png", "jpg", "jpeg", "tif", "tiff", "bmp", "dicom", "dcm", "webp"}
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
        parts = path.split("/")
        folder = next((f for k in range(1, len(parts)) if (f := "/".join(parts[:k])) in whole), None)
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


def _stem(path: str) -> str:
    name = path.rpartition("/")[2]
    return name.rpartition(".")[0] or name


def _kinds_of(words: list[str]) -> list[tuple[str, bool]]:
    """Return the kinds that some words speak of, and whether they need no partner."""
    words = {*words, *map("".join, zip(words, words[1:]))}
    return [(kind, bool(words & plain)) for kind, (plain, unsure) in KINDS.items() if words & (plain | unsure)]


@cache
def _kinds_in(name: str) -> list[tuple[str, bool]]:
    return [("mask", True)] if name.lower() == "ground" else _kinds_of(words_of(name))      # ground glass is a finding


@cache
def _is_helper_folder(name: str) -> bool:
    return bool(_kinds_in(name)) and not {*words_of(name)} & {"lesion", "fold", "folds"}      # those may be classes


def is_helper(path: str) -> bool:
    """Return whether a folder around a file says that it is a mask, a crop or a thumbnail of another one."""
    return any(map(_is_helper_folder, path.split("/")[:-1]))


@cache
def _marks(kind: str) -> re.Pattern:
    return re.compile("|".join(sorted({*KINDS[kind][0], *KINDS[kind][1], "ground.truth"})), re.IGNORECASE)


def _core(path: str, kind: str, drop: frozenset[str] = frozenset(IMAGE_WORDS), cut: bool = True) -> str:
    """Return what a file's name says beside its kind: "benign (1)_mask_2" and "benign (1)" are both "benign 1".

    Args:
        cut: leave out what stands behind the kind
    """
    words = words_of(_stem(path))
    marks = KINDS[kind][0] | KINDS[kind][1]
    at = next((k for k, word in enumerate(words) if word in marks or "".join(words[k:k + 2]) in marks), None)
    if at and cut:
        words = words[:at]
    words = [word for word in words if word not in marks and word not in drop]
    return " ".join(words)


WITHOUT_SPLIT = frozenset({*IMAGE_WORDS, *SPLIT_WORDS})


def _shorter(core: str) -> list[str]:
    """Return a core and what is left of it without its last words, as long as there is a number: a mask's name may say more.

    >>> _shorter("14 hge left")
    ['14 hge left', '14 hge', '14']
    """
    words = core.split()
    return [" ".join(words[:k]) for k in range(len(words), 0, -1) if k == len(words) or any(map(str.isdecimal, words[:k]))]


def _by_file_name(paths: list[str], helpers: Masks) -> None:
    """Take `x_mask.png` and `mask_x.png` for masks where x.png or image_x.png lies in the same folder."""
    for kind in ("mask", "derived"):
        if not any(map(_marks(kind).search, paths)):
            continue
        images, marked = {}, []
        for path in paths:
            folder = path.rpartition("/")[0]
            if kind in dict(_kinds_of(words_of(_stem(path)))):
                marked.append((path, folder))
            else:
                images.setdefault((folder, _core(path, kind)), path)
        for path, folder in marked:
            cores = [*_shorter(_core(path, kind)), _core(path, kind, cut=False)]      # the last: x_seg_60 of x_flair_60
            image = next((images[folder, core] for core in cores if (folder, core) in images), None)
            if image:
                helpers.add(path, image, kind)


def _by_folder_name(paths: list[str], helpers: Masks) -> None:
    """Take folders such as `masks` for helpers where a folder of other images stands beside them."""
    for kind in KINDS:
        folders, marked = defaultdict(set), defaultdict(dict)      # parent -> names; parent -> name -> needs no partner
        for path in paths:
            parts = path.split("/")
            for k, name in enumerate(parts[:-1]):
                parent = "/".join(parts[:k])
                if name not in folders[parent]:
                    folders[parent].add(name)
                    sure = dict(_kinds_in(name)).get(kind)
                    if sure is not None:
                        marked[parent][name] = sure
        direct = {path.rpartition("/")[0] for path in paths}
        for parent, inner in list(marked.items()):      # truth/mask/1.png: the mask is all that truth holds, which stands for it
            if parent and parent not in direct and set(inner) == folders[parent] and len(inner) == 1:
                above, _, name = parent.rpartition("/")
                if any({*words_of(other)} & IMAGE_WORDS for other in folders[above] - {name}):
                    marked[above].setdefault(name, inner.popitem()[1])
        helper_folders = {f"{parent}/{name}".lstrip("/"): (sure, folders[parent] - set(names))
                          for parent, names in marked.items() for name, sure in names.items()
                          if (set(names) < folders[parent] or any(p.rpartition("/")[0] == parent for p in paths))
                          and not _is_class(name, sure, folders[parent] - set(names))}
        if not helper_folders:
            continue
        inside, outside, loose, near = defaultdict(list), defaultdict(list), defaultdict(list), defaultdict(list)
        for path in paths:
            parts = path.split("/")
            folder = next((f for k in range(len(parts) - 1, 0, -1) if (f := "/".join(parts[:k])) in helper_folders), None)
            if folder:
                inside[folder].append(path)
            else:
                outside[_core(path, kind)].append(path)
                loose[_core(path, kind, WITHOUT_SPLIT)].append(path)
                near["/".join(parts[:-2])].append(path)
        for folder, files in inside.items():
            partners = [_nearest(path, _partners(path, kind, outside, loose)) for path in files]
            sure, siblings = helper_folders[folder]
            alone = near[folder.rpartition("/")[0]]      # hash/images/hash.png of hash/masks/other.png
            partners = [partner or alone[0] for partner in partners] if sure and len(alone) == 1 else partners
            paired = sum(map(bool, partners)) >= 0.5 * len(files)
            beside_images = sure and any(set(words_of(name)) & IMAGE_WORDS for name in siblings)
            if not (paired or beside_images):
                continue
            for path, partner in zip(files, partners):
                helpers.add(path, partner, kind)


def _by_sibling(paths: list[str], helpers: Masks) -> None:
    """Take Images_Square beside Images, and TIF beside PNG, for the same images once more where they hold the same names."""
    groups = defaultdict(lambda: defaultdict(dict))
    for path in paths:
        parts = path.split("/")
        for k, name in enumerate(parts[:-1]):
            if _plain_words(name) & (IMAGE_WORDS | FORMATS):
                groups["/".join(parts[:k])][name]["/".join(parts[k + 1:-1]) + _stem(path)] = path
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


def _is_class(name: str, sure: bool, others: set[str]) -> bool:
    """Return whether a folder called as a helper is a class: "mask" beside "nomask", "lesion" beside "healthy"."""
    words = {*words_of(name)} - FINDINGS
    return any("".join(words_of(name)) in denied(other) for other in others) or not sure and bool(words) and bool(others) and all(
        FINDINGS & {*words_of(other)} for other in others)


def _partners(path: str, kind: str, outside: dict[str, list[str]], loose: dict[str, list[str]]) -> list[str]:
    core, plain = _core(path, kind), _core(path, kind, WITHOUT_SPLIT)
    return outside.get(core) or loose.get(plain) or next((outside[c] for c in _shorter(core)[1:] if c in outside), [])


def _nearest(path: str, candidates: list[str]) -> str | None:
    """Return the candidate whose folders share most names with those of `path`."""
    folders = set(path.split("/")[:-1])
    return max(candidates, key=lambda c: len(folders & set(c.split("/")[:-1])), default=None)


def _by_content(paths: list[str], helpers: Masks, look: Callable[[str], tuple]) -> None:
    """Take a folder for masks where its files are called as those beside it, have their size and few gray values."""
    folders = defaultdict(dict)
    for path in paths:
        folder = path.rpartition("/")[0]
        if folder:
            folders[folder][_stem(path)] = path
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
        named[path.rpartition("/")[0], _stem(path)].append(path)
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
