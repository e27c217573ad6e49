"""All image files below a folder, and the one that a table means by a name."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cached_property
from itertools import combinations
from pathlib import Path

from core.datasets.image_names import SUFFIXES
from core.datasets.masks import is_helper
from core.datasets.text import suffix_of
from core.datasets.walk import walk
from core.errors import LightboxError

MAX_FILES = 1_000_000       # below the folder, of any type
NAMES_NO_FILE = "It names no file."
NOT_FOUND = "There is no file with this name."


def list_images(folder: Path) -> list[str]:
    """Return the files in a folder and below that may be images, by their names, sorted.

    Raises LightboxError "table.folder" for a folder with more than MAX_FILES files or one that may not be read.
    """
    def on_error(below: str, error: OSError) -> None:
        if not below:
            raise LightboxError("table.folder", f"The folder {folder} cannot be read: {error.strerror}.",
                                "Check that you may open it.") from error

    images = []
    for seen, (path, entry) in enumerate(walk(folder, "", on_error)):
        if seen >= MAX_FILES:
            raise LightboxError("table.folder", f"There are more than {MAX_FILES:,} files in {folder} and below.",
                                "Give a folder that holds the images and little else.")
        if suffix_of(entry.name) in SUFFIXES and _is_text(entry.name):
            images.append(path)
    return sorted(images)


def _is_text(name: str) -> bool:
    """Return False for a name whose bytes are not UTF-8: no table can name such a file."""
    try:
        return name.isascii() or bool(name.encode())
    except UnicodeEncodeError:
        return False


class FileIndex:
    """Finds a file by what a table calls it: its path, a part of it, or its name alone, with its own suffix or another.

    Where no name is the same, ways follow that are less certain: letters in another case, composed and decomposed letters, a
    number without its leading zeros, a word of the name, a folder with several images.

    >>> index = FileIndex(["a/1.png", "b/1.png", "b/2.jpg"])
    >>> index.find("2.png"), index.find("a/1")
    ((2, ''), (0, ''))
    >>> FileIndex(["x/0012_L.png", "x/0012_R.png", "x/0013_L.png"]).find_all(["12"])
    {'12': (0, 1)}
    """

    def __init__(self, files: list[str]):
        self.exact = {path: k for k, path in enumerate(files)}
        self.files, self.by_name, self.by_stem = files, {}, {}
        for k, path in enumerate(files):
            name = path.rpartition("/")[2]
            self.by_name.setdefault(name, []).append(k)
            self.by_stem.setdefault(_stem(name), []).append(k)

    def find(self, cell: str, near: Iterable[str] = ()) -> tuple[int, str]:
        """Return (number in `files`, "") or (-1, a sentence why not).

        Args:
            near: names of folders; where several files have the name, one in such a folder is meant
        """
        if cell in self.exact:
            return self.exact[cell], ""
        wanted = _as_path(cell)
        if wanted in self.exact:
            return self.exact[wanted], ""
        name = wanted.rpartition("/")[2]
        if not name:
            return -1, NAMES_NO_FILE
        candidates, ending, form = self._named(wanted, name)
        if candidates is None:
            return -1, NOT_FOUND
        if len(candidates) > 1:
            candidates = self._nearest(self._longest_match(candidates, ending, form), near)
        if len(candidates) == 1:
            return candidates[0], ""
        first, second = (self.files[k] for k in candidates[:2])
        return -1, f"{len(candidates):,} files have this name, for example {first} and {second}."

    def _named(self, wanted: str, name: str) -> tuple[list[int] | None, str, Callable[[str], str]]:
        """Return the files that a path may mean by its name, None for none, and an ending and a form for `_longest_match`."""
        attempts = ((self.by_name.get(name), wanted, str), (self.by_stem.get(name), wanted, _stem),
                    (self.by_stem.get(_stem(name)), _stem(wanted), _stem))
        for attempt in attempts:
            if attempt[0]:
                return attempt
        joined = self._joined.get(_stem(name).replace("-", "_")) if "/" not in wanted and BREAKS.search(name) else None
        return self._alone_in(wanted) if joined is None else joined, "", str

    def _nearest(self, candidates: list[int], near: Iterable[str]) -> list[int]:
        """Return those of some files that lie in one of the folders, and are images rather than masks or crops of them."""
        if len(candidates) == 1:
            return candidates
        for folder in near:
            inside = [k for k in candidates[:1000] if f"/{folder.strip('/')}/" in f"/{self.files[k]}"] if folder else []
            candidates = inside or candidates
        if len(candidates) == 1:
            return candidates
        # images/1.jpg rather than images_cropped/1.jpg and masks/1.jpg
        return [k for k in candidates[:1000] if not is_helper(self.files[k])] or candidates

    def find_all(self, cells: Iterable[str]) -> dict[str, tuple[int, ...] | str]:
        """Return for each different cell the numbers of its files, mostly one, or a sentence why there is none."""
        found, missing = {}, []
        for cell in cells:
            name = cell.strip().replace("\\", "/").rpartition("/")[2]
            known = name in self.by_name or name in self.by_stem or name.rpartition(".")[0] in self.by_stem
            if name and not known and self._alone_in(_as_path(cell)) is None:
                found[cell] = NOT_FOUND            # a million names without a file are no work
                missing.append(cell)
                continue
            number, problem = self.find(cell)
            found[cell] = problem or (number,)
            if problem == NOT_FOUND:
                missing.append(cell)
        ways = self._ways(missing, few=len(missing) > 0.95 * len(found)) if missing else ()
        for cell in missing if ways else ():
            keys = _keys(_as_path(cell))
            found[cell] = next((files for way in ways if (files := way(keys))), NOT_FOUND)
        return found

    def _alone_in(self, wanted: str) -> list[int] | None:
        """Return the one image of the folder that a path names last, where that is an identifier: 1.3.6.1.4.1.9590/000000.dcm."""
        folder = wanted.rpartition("/")[0].rpartition("/")[2]
        files = self._folders.get(folder, ()) if len(folder) >= 12 and any(map(str.isdigit, folder)) else ()
        return files if len(files) == 1 else None

    def _ways(self, cells: list[str], few: bool) -> list[Callable[[dict[str, str]], tuple[int, ...]]]:
        """Return the less certain ways by which at least one of some of the cells is found, the surest first.

        Once one of them finds most cells, the ones after it are not tried: what it does not find is not there. Where more than
        a few cells are names of files as they stand, only the case of letters may differ.
        """
        sample = [_keys(_as_path(cell)) for cell in cells[::max(1, len(cells) // 300)]]
        chosen = []
        all_ways = (self._by_folded, self._by_spaced, self._by_joined, self._by_number, self._by_folder, self._by_part,
                    self._by_shorter)
        for way in all_ways if few else all_ways[:1]:
            count = sum(bool(way(keys)) for keys in sample)
            chosen += [way] if count else []
            if count > 0.5 * len(sample):
                break
        return chosen

    def _by_folded(self, keys: dict[str, str]) -> tuple[int, ...]:
        files = self._folded.get(keys["folded"], ())
        return tuple(files) if len(files) == 1 else ()

    def _by_spaced(self, keys: dict[str, str]) -> tuple[int, ...]:
        """Return the file whose name has another sign between its words: Case-3-A1 of Case 3 A1."""
        files = self._spaced.get(_spaced(keys["folded"]), ())
        return tuple(files) if len(files) == 1 else ()

    def _by_joined(self, keys: dict[str, str]) -> tuple[int, ...]:
        files = self._joined.get(keys["stem"].replace("-", "_"), ())
        return tuple(files) if len(files) == 1 else ()

    def _by_number(self, keys: dict[str, str]) -> tuple[int, ...]:
        files = self._numbers.get(keys["number"], ()) if keys["number"] else ()
        return tuple(files) if len(files) == 1 else ()

    def _by_folder(self, keys: dict[str, str]) -> tuple[int, ...]:
        """Return all files in the folder of that name: a row for a patient whose images lie there."""
        files = self._folders.get(keys["name"], ())
        return tuple(files) if 0 < len(files) <= MAX_PARTS and len(files) < len(self.files) else ()

    def _by_shorter(self, keys: dict[str, str]) -> tuple[int, ...]:
        """Return the file, or the files of the folder, that a cell names with one more word: 0012 of 0012_study."""
        head, _, word = keys["stem"].rpartition("_")
        files = self.by_stem.get(head) or self._folders.get(head) or ()
        files = files if word.isalpha() and any(map(str.isdigit, head)) else ()
        return tuple(files) if 0 < len(files) <= MAX_PARTS and len(files) < len(self.files) else ()

    def _by_part(self, keys: dict[str, str]) -> tuple[int, ...]:
        """Return all files whose names have this word at the same place: 0012_L and 0012_R of 0012."""
        files = self._parts.get(keys["folded"]) or (self._parts.get(keys["number"]) if keys["number"] else None) or ()
        return tuple(files) if 0 < len(files) <= MAX_PARTS and len(files) < len(self.files) else ()

    @cached_property
    def _joined(self) -> dict[str, list[int]]:
        """Folder and name in one, joined by _ or -: 0012_01_30 of 0012_01/30.png."""
        parts = ((_stem(path).split("/"), k) for k, path in enumerate(self.files) if "/" in path)
        return _group(("_".join(part[-n:]).replace("-", "_"), k) for part, k in parts for n in (2, 3) if len(part) >= n)

    @cached_property
    def _folded(self) -> dict[str, list[int]]:
        return _group((_fold(stem), k) for stem, files in self.by_stem.items() for k in files)

    @cached_property
    def _spaced(self) -> dict[str, list[int]]:
        return _group((_spaced(_fold(stem)), k) for stem, files in self.by_stem.items() for k in files)

    @cached_property
    def _numbers(self) -> dict[str, list[int]]:
        return _group((number, k) for stem, files in self.by_stem.items() if (number := _number(stem)) for k in files)

    @cached_property
    def folders(self) -> list[str]:
        """Names of all folders, at any depth."""
        return list(self._folders)

    @cached_property
    def _folders(self) -> dict[str, list[int]]:
        return _group((folder, k) for k, path in enumerate(self.files) for folder in set(path.split("/")[:-1]))

    @cached_property
    def _parts(self) -> dict[str, list[int]]:
        """Words of names with a digit -> files: the beginning up to each break, the end from each, and any words side by side."""
        pairs = []
        for stem, files in self.by_stem.items():
            breaks = [match.start() for match in BREAKS.finditer(stem)]
            words = [stem[:k] for k in breaks] + [stem[k + 1:] for k in breaks] + BREAKS.split(stem)
            words += [match[1] for word in words[-len(breaks) - 1:] if (match := LETTER_AT_END.fullmatch(word))]
            if len(breaks) <= MAX_BREAKS:      # 002_S_0295 of ADNI_002_S_0295_MR_1
                words += [stem[a + 1:b] for a, b in combinations(breaks, 2)]
            keys = {_fold(word) for word in words if any(map(str.isdigit, word))}
            keys |= {number for key in keys if (number := _number(key))}
            pairs += [(key, k) for key in keys - {_fold(stem)} for k in files]
        return _group(pairs)

    def _longest_match(self, candidates: list[int], ending: str, form) -> list[int]:
        """Return those of the candidates whose paths share the longest ending with what the table says."""
        parts = ending.split("/")[-20:]
        for k in range(len(parts)):
            end = "/" + "/".join(parts[k:])
            matches = [c for c in candidates[:1000] if f"/{form(self.files[c])}".endswith(end)]
            if matches:
                return matches
        return candidates


MAX_PARTS = 200             # files of which one cell is a part: the images of a patient, not half of the set
MAX_BREAKS = 8              # of a name of which any words side by side may be a key
BREAKS = re.compile(r"[_\-. ]")
LETTER_AT_END = re.compile(r"(\d+)[A-Za-z]")       # 9003175L


def _as_path(cell: str) -> str:
    return cell.strip().replace("\\", "/").lstrip("/").removeprefix("./")


def _keys(wanted: str) -> dict[str, str]:
    name = wanted.rpartition("/")[2]
    return {"name": wanted.rstrip("/").rpartition("/")[2], "stem": _stem(name),
            "folded": _fold(_stem(name)), "number": _number(_stem(name))}


def _fold(text: str) -> str:
    return text.casefold() if text.isascii() else unicodedata.normalize("NFC", text).casefold()


def _spaced(name: str) -> str:
    return "-".join(word for word in re.split(r"[\s_-]+", name) if word)


def _number(stem: str) -> str:
    """Return a number without zeros in front and without .0 at its end; "" for what is none."""
    stem = stem.removesuffix(".0")
    return (stem.lstrip("0") or "0") if stem.isascii() and stem.isdecimal() else ""


def _group(pairs: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    groups = defaultdict(list)
    for key, k in pairs:
        groups[key].append(k)
    return groups


def _stem(path: str) -> str:
    """Return the path without its suffix, where that is one of an image."""
    suffix = suffix_of(path)
    return path[:-len(suffix)] if suffix and suffix in SUFFIXES else path
