"""The labels of a target, edited: classes renamed, joined, left out, put in order, and one of two said to be the positive one.

    0=survived, 1=died                     renamed
    mild+severe=sick                       joined; so are classes that get the same name
    unclear=-                              left out: such images are in no part
    melanoma=melanoma, *=other             * is every class that is not named
    none < mild < severe                   grades, in this order
    other | melanoma                       classes, in this order
    "normal, benign"=healthy               quoted: a name with a sign in it; a quote in it is \\", a backslash \\\\

Code everywhere takes the last of two classes as the positive one, so the positive class is put there: that of
`labels.positive`, else the one that `core.datasets.positive` guesses from the names.

N images, K classes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.config import Task
from core.datasets.positive import guess_positive
from core.datasets.source import Target, Understood, one_hot
from core.errors import LightboxError

OUT, REST = "-", "*"
AS_STORED = "as stored"            # of data.positive: the second of two classes, as sets were read before classes were guessed
EXAMPLE = 'For example 0=survived, 1=died, unclear=-, or mild+severe=sick, or none < mild < severe.'
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[,=+<|\n]|[^",=+<|\n]+')
MARKS = frozenset('",=+<|\n')


@dataclass(frozen=True)
class LabelEdit:
    """What is done with the classes of a target.

    Args:
        names: (old, new) pairs; a new name of None leaves the class out
        rest: the new name of all classes without a pair: None leaves them out, "" keeps each
        order: new names in order; () keeps the order, those that are not named follow
        ordinal: whether `order` are grades
    """

    names: tuple[tuple[str, str | None], ...] = ()
    rest: str | None = ""
    order: tuple[str, ...] = ()
    ordinal: bool = False

    def __bool__(self) -> bool:
        """Return whether anything is changed."""
        return self != LabelEdit()

    def __str__(self) -> str:
        """Return the text that `parse_edit` reads."""
        items = [f"{_quote(old)}={_new(new)}" for old, new in self.names]
        if self.rest != "":
            items.append(f"{REST}={_new(self.rest)}")
        if self.order:
            items.append((" < " if self.ordinal else " | ").join(map(_quote, self.order)))
        return ", ".join(items)


def _new(name: str | None) -> str:
    return OUT if name is None else _quote(name)


def _quote(name: str) -> str:
    if name and name == name.strip() and name not in (OUT, REST) and not MARKS & set(name):
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def parse_edit(text: str) -> LabelEdit:
    """Read the text of an edit. Raises LightboxError "labels.map" with what is not understood.

    >>> parse_edit("0=survived, 1=died, ?=-").names
    (('0', 'survived'), ('1', 'died'), ('?', None))
    >>> str(parse_edit('"normal, benign" = healthy, a+b=c'))
    '"normal, benign"=healthy, a=c, b=c'
    """
    names: dict[str, str | None] = {}
    rest, order, ordinal = "", (), False
    for item in _items(text):
        words, signs = _words_and_signs(item)
        if set(signs) in ({"<"}, {"|"}):
            if order:
                raise LightboxError("labels.map", "The classes are put in order twice.", EXAMPLE)
            order, ordinal = tuple(map(_plain, words)), signs[0] == "<"
            continue
        if not _is_renaming(signs):
            raise _unread(item)
        *olds, new = words
        new = None if new == OUT else _plain(new)
        for word in olds:
            if word == REST:
                rest = new
            elif _plain(word) in names:
                raise LightboxError("labels.map", f"The class {_plain(word)!r} is named twice.", EXAMPLE)
            else:
                names[_plain(word)] = new
    if len(set(order)) != len(order):
        raise LightboxError("labels.map", "A class stands twice in the order.", EXAMPLE)
    if "" in names.values():
        raise LightboxError("labels.map", "A class has an empty new name.", f"Write {OUT} to leave it out.")
    return LabelEdit(tuple(names.items()), rest, order, ordinal)


def _items(text: str) -> list[list[tuple[str, bool]]]:
    """Return the items between commas and line ends, each a list of (text, whether it is a sign)."""
    if "".join(TOKEN.findall(text)) != text:
        raise LightboxError("labels.map", f"A quote is not closed in {text[:80]!r}.", 'Write "name" or "a \\" in it".')
    items: list[list] = [[]]
    for token in TOKEN.findall(text):
        if token in (",", "\n"):
            items.append([])
        elif token in MARKS:
            items[-1].append((token, True))
        elif token.strip():
            items[-1].append((token.strip(), False))
    return [item for item in items if item]


def _words_and_signs(item: list[tuple[str, bool]]) -> tuple[list[str], list[str]]:
    """Return the words of an item and the signs between them. Raises LightboxError "labels.map" where they do not alternate."""
    if [is_sign for _, is_sign in item] != [k % 2 == 1 for k in range(len(item))] or len(item) % 2 == 0:
        raise _unread(item)
    texts = [text for text, _ in item]
    return texts[::2], texts[1::2]


def _is_renaming(signs: list[str]) -> bool:
    """Return whether the signs of an item are those of a=new or a+b=new."""
    return signs[-1:] == ["="] and set(signs[:-1]) <= {"+"}


def _plain(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else word


def _unread(item: Sequence[tuple[str, bool]]) -> LightboxError:
    said = " ".join(text for text, _ in item)
    return LightboxError("labels.map", f"{said[:80]!r} is not understood as an edit of classes.", EXAMPLE)


# ------------------------------------------------------------------------------------------------ the edit of a target

def edit_target(target: Target, edit: LabelEdit) -> Target:
    """Return the target with its classes renamed, joined, left out and in order; the same one where nothing is changed.

    Images of a class that is left out get the label -1. Of several findings one that is left out is no finding any more;
    joined ones are there where one of them is, and not known where none is and one is not known. A single finding that is
    left becomes a question with two answers.

    Raises:
        LightboxError: "labels.class" for a class that there is not, "labels.few" where less than two are left

    >>> target = Target("class", "Class", Task.MULTICLASS, ("a", "b", "c"), np.array([0, 1, 2]))
    >>> edited = edit_target(target, parse_edit("b+c=sick, a=well, sick | well"))
    >>> edited.class_names, edited.labels.tolist(), str(edited.task)
    (('sick', 'well'), [1, 0, 0], 'binary-class')
    """
    if not edit:
        return target
    old = target.class_names
    given = {find_class(name, old): new for name, new in edit.names}
    renamed = [given.get(name, name if edit.rest == "" else edit.rest) for name in old]
    kept = list(dict.fromkeys(name for name in renamed if name is not None))
    order = [find_class(name, kept) for name in edit.order]
    if edit.ordinal and len(order) < len(kept):
        missing = next(name for name in kept if name not in order)
        raise LightboxError("labels.class", f"{missing!r} is not in the order of the grades.",
                            "Name every class that is left between <, or put classes in order by |.")
    names = tuple([*order, *(name for name in kept if name not in order)])
    findings = target.labels.ndim == 2
    if len(names) < (1 if findings else min(2, len(old))):
        raise LightboxError("labels.few", f"{len(names)} class{'' if len(names) == 1 else 'es'} would be left of "
                            f"{len(old)}.", "At least two are needed to tell apart.")
    place = np.array([-1 if name is None else names.index(name) for name in renamed], np.int64)
    if findings:
        return _edit_findings(target, names, place)
    labels = np.append(place, -1)[target.labels]
    return replace(target, class_names=names, labels=labels, task=_task(target.task, names, edit, kept))


def find_class(name: str, names: Sequence[str]) -> str:
    """Return the class of a name: as it is written, or the only one that differs in case and blanks."""
    if name in names:
        return name
    near = [one for one in names if one.strip().casefold() == name.strip().casefold()]
    if len(near) == 1:
        return near[0]
    like = difflib.get_close_matches(name, names, n=1)
    raise LightboxError("labels.class", f"There is no class called {name!r}.",
                        f"Did you mean {like[0]!r}?" if like else f"Classes: {', '.join(map(repr, names[:20]))}.")


def _task(task: str, names: Sequence[str], edit: LabelEdit, kept: Sequence[str]) -> str:
    if len(names) == 2:
        return Task.BINARY
    still = task == Task.ORDINAL and (not edit.order or list(names) == list(kept))
    return Task.ORDINAL if edit.ordinal or still else Task.MULTICLASS


def _edit_findings(target: Target, names: tuple[str, ...], place: np.ndarray) -> Target:
    parts = [target.labels[:, place == k] for k in range(len(names))]
    labels = np.stack([np.where((of == 1).any(axis=1), 1, np.where((of == -1).any(axis=1), -1, 0)) for of in parts], axis=1)
    if len(names) > 1:
        return replace(target, class_names=names, labels=labels.astype(np.int64))
    return replace(target, task=Task.BINARY, class_names=(f"no {names[0]}", names[0]), labels=labels[:, 0].astype(np.int64))


def put_positive(target: Target, positive: str = "") -> tuple[Target, str]:
    """Return the target with the positive one of two classes last, and how that one was found: "chosen", "guessed", or "" where
    it is the second as it came.

    Args:
        positive: a class; "" guesses by the names; AS_STORED changes nothing

    Raises:
        LightboxError: "labels.class" for a class that there is not, "labels.positive" where there are not two classes

    >>> put_positive(Target("class", "Class", Task.BINARY, ("malignant", "normal"), np.array([0, 1])))[0].class_names
    ('normal', 'malignant')
    """
    names, how = target.class_names, "chosen"
    if positive == AS_STORED:
        return target, ""
    if target.labels.ndim == 2 or len(names) != 2:
        if positive:
            find_class(positive, names)
            raise LightboxError("labels.positive", f"One class is positive where there are two; here are {len(names)}.",
                                f"Join the others: labels.map={_quote(positive)}={_quote(positive)}, *=other")
        return target, ""
    if positive:
        k = names.index(find_class(positive, names))
    else:
        k, how = guess_positive(names), "guessed"
    if k is None:
        return target, ""
    return (target if k == 1 else turn_round(target)), how


def turn_round(target: Target) -> Target:
    """Return the same with its two classes in the other order."""
    return replace(target, class_names=target.class_names[::-1], labels=np.array([1, 0, -1])[target.labels])


def read_labels(target: Target, edits: Sequence[str], positive: str) -> tuple[Target, list[Understood]]:
    """Return a target as it is asked for, and what to know of that.

    Args:
        edits: texts as of `parse_edit`, one after the other: those of the set, then those of a run
        positive: as in `put_positive`

    Raises:
        LightboxError: as `parse_edit`, `edit_target` and `put_positive`
    """
    edited = target
    for text in edits:
        edited = edit_target(edited, parse_edit(text))
    said = []
    if any(edits):
        out = count_labels(target)[1] - count_labels(edited)[1]
        left = f"; {out:,} images are left out" if out > 0 else ""
        said.append(Understood("labels.map", f"The classes are edited: {'; '.join(filter(None, edits))}{left}.", "labels.map"))
    edited, how = put_positive(edited, positive)
    if how:
        by = "guessed from the names of the classes" if how == "guessed" else "as chosen"
        other, name = edited.class_names
        said.append(Understood("labels.positive", f"The positive class is {name} ({by}).", "labels.positive", other))
    elif len(edited.class_names) == 2 and edited.labels.ndim == 1 and positive != AS_STORED:
        other, name = edited.class_names
        said.append(Understood("labels.positive", f"The positive class is {name}: the names do not say, so it is the second.",
                               "labels.positive", other))
    return edited, said + _not_known(edited)


def _not_known(target: Target) -> list[Understood]:
    """Return of how many images each finding is not known, where there are such."""
    if target.labels.ndim == 1 or not (target.labels < 0).any():
        return []
    unknown = zip(target.class_names, (target.labels < 0).sum(axis=0).tolist())
    each = ", ".join(f"{name} of {n:,}" for name, n in unknown if n)
    return [Understood("labels.not_known", "Findings that are not known count in no loss and no metric; of "
                       f"{len(target.labels):,} images: {each}.")]


def count_labels(target: Target) -> tuple[dict[str, int], int]:
    """Return the images of each class, or with each finding, and how many images have a known label at all."""
    counts = one_hot(target.labels, len(target.class_names)).sum(axis=0)
    known = target.labels >= 0
    return dict(zip(target.class_names, map(int, counts))), int((known.any(axis=1) if known.ndim == 2 else known).sum())
