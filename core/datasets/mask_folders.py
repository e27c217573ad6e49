"""Folders such as `masks` beside a folder of the images that they belong to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from core.datasets.level_words import FINDINGS, denied, words_of
from core.datasets.mask_names import IMAGE_WORDS, WITHOUT_SPLIT, core_of, folders_around, kinds_in, shorter


class HelperFolder(NamedTuple):
    """A folder whose name says that it holds helpers.

    Args:
        sure: its files need no partner
        siblings: names of the other folders beside it
    """

    sure: bool
    siblings: set[str]


def helpers_in_folders(paths: list[str], kind: str) -> Iterator[tuple[str, str | None]]:
    """Yield (path, its image or None) for the files of folders called as a kind of helper, where other images lie beside them."""
    folders = _helper_folders(paths, kind)
    if not folders:
        return
    inside, images = defaultdict(list), Images(kind)
    for path in paths:
        folder = next((f for f in reversed(folders_around(path)) if f in folders), None)
        if folder:
            inside[folder].append(path)
        else:
            images.add(path)
    for folder, files in inside.items():
        sure, siblings = folders[folder]
        partners = images.partners(files, folder, sure)
        paired = sum(map(bool, partners)) >= 0.5 * len(files)
        if paired or sure and any(set(words_of(name)) & IMAGE_WORDS for name in siblings):
            yield from zip(files, partners)


def _helper_folders(paths: list[str], kind: str) -> dict[str, HelperFolder]:
    """Return the folders that are called as a kind, are no classes, and have something else beside them."""
    folders, marked = _marked_folders(paths, kind)
    if not marked:
        return {}
    direct = {path.rpartition("/")[0] for path in paths}
    _mark_what_only_wraps(folders, marked, direct)
    found = {}
    for parent, names in marked.items():
        siblings = folders[parent] - set(names)
        if not (set(names) < folders[parent] or parent in direct):
            continue
        for name, sure in names.items():
            if not _is_class(name, sure, siblings):
                found[f"{parent}/{name}".lstrip("/")] = HelperFolder(sure, siblings)
    return found


def _marked_folders(paths: list[str], kind: str) -> tuple[dict[str, set[str]], dict[str, dict[str, bool]]]:
    """Return parent -> names of the folders in it; and, of those called as the kind, parent -> name -> needs no partner."""
    folders, marked = defaultdict(set), defaultdict(dict)
    for path in paths:
        parts = path.split("/")
        for k, name in enumerate(parts[:-1]):
            parent = "/".join(parts[:k])
            if name not in folders[parent]:
                folders[parent].add(name)
                sure = dict(kinds_in(name)).get(kind)
                if sure is not None:
                    marked[parent][name] = sure
    return folders, marked


def _mark_what_only_wraps(folders: dict[str, set[str]], marked: dict[str, dict[str, bool]], direct: set[str]) -> None:
    """Mark truth instead of mask in truth/mask/1.png, where mask is all that truth holds and images lie beside truth.

    Args:
        direct: folders with files of their own
    """
    for parent, inner in list(marked.items()):
        if parent and parent not in direct and set(inner) == folders[parent] and len(inner) == 1:
            above, _, name = parent.rpartition("/")
            if any({*words_of(other)} & IMAGE_WORDS for other in folders[above] - {name}):
                marked[above].setdefault(name, inner.popitem()[1])


def _is_class(name: str, sure: bool, others: set[str]) -> bool:
    """Return whether a folder called as a helper is a class: "mask" beside "nomask", "lesion" beside "healthy"."""
    words = {*words_of(name)} - FINDINGS
    if any("".join(words_of(name)) in denied(other) for other in others):
        return True
    return not sure and bool(words) and bool(others) and all(FINDINGS & {*words_of(other)} for other in others)


@dataclass
class Images:
    """Images outside of the folders of one kind of helpers, by what may lead from a helper to them.

    Args:
        named: what a name says beside the kind -> paths
        loose: the same without words such as train -> paths
        near: folder above the one around them -> paths
    """

    kind: str
    named: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    loose: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    near: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, path: str) -> None:
        """Add the path of an image."""
        self.named[core_of(path, self.kind)].append(path)
        self.loose[core_of(path, self.kind, WITHOUT_SPLIT)].append(path)
        self.near["/".join(path.split("/")[:-2])].append(path)

    def partners(self, files: list[str], folder: str, sure: bool) -> list[str | None]:
        """Return the image of each file in a folder of helpers, None where there is none."""
        found = [_nearest(path, self._named_as(path)) for path in files]
        alone = self.near[folder.rpartition("/")[0]]      # hash/images/hash.png of hash/masks/other.png
        return [partner or alone[0] for partner in found] if sure and len(alone) == 1 else found

    def _named_as(self, path: str) -> list[str]:
        core = core_of(path, self.kind)
        same = self.named.get(core) or self.loose.get(core_of(path, self.kind, WITHOUT_SPLIT))
        return same or next((self.named[c] for c in shorter(core)[1:] if c in self.named), [])


def _nearest(path: str, candidates: list[str]) -> str | None:
    """Return the candidate whose folders share most names with those of `path`."""
    folders = set(path.split("/")[:-1])
    return max(candidates, key=lambda c: len(folders & set(c.split("/")[:-1])), default=None)
