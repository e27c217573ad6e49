"""Files that the app wrote, read as if a stranger had: their size, their JSON and the shape of what is in it.

A disk fails, a file is edited by hand, a copy is cut off. So nothing that a page or a command reads is believed:
`read_json(path, shape)` returns what has the shape, or raises `Damaged`, and nothing else.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import stat
import types
import typing
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

MOST_BYTES = 32_000_000          # of a JSON file: the longest that the app writes are some hundred kB


class Damaged(ValueError):
    """What is in a file is not what the app writes there. The text says where and why."""


@dataclasses.dataclass(frozen=True)
class Between:
    """A number from low to high, both allowed: a shape for `fit_shape`."""

    low: float
    high: float


REAL = Between(-1e300, 1e300)
TIME = Between(0, 1e11)          # seconds since 1970 that a calendar can show
NUMBER = (REAL, None)            # None where it is undefined


def read_json(path: Path, shape: Any = dict, most: int = MOST_BYTES) -> Any:
    """Read a JSON file that the app wrote, which may be damaged in any way; returns what `fit_shape` makes of it.

    Raises:
        FileNotFoundError: it is not there
        Damaged: it cannot be read, is no JSON, has NaN, infinity, a number of more than 64 bits or text that is
            no Unicode, or does not have the shape
    """
    return parse_json(read_file(path, most), shape)


def read_file(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return the bytes of a file. Raises FileNotFoundError, and Damaged for a folder, a pipe or too long a file."""
    try:
        facts = os.stat(path)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > most:
            raise Damaged("it is no file, or a longer one than any that the app writes")
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Damaged(str(error)) from None


def parse_json(text: bytes | str, shape: Any = dict) -> Any:
    """Return the value of a JSON text in a shape. Raises Damaged as `read_json` does."""
    try:
        text = text.decode() if isinstance(text, bytes) else text
        value = json.loads(text, parse_constant=_number, parse_int=_whole, parse_float=_number)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()          # half a pair of surrogates is no text
        return fit_shape(value, shape)
    except Damaged:
        raise
    except (ValueError, RecursionError) as error:
        raise Damaged(f"it is no JSON that the app writes: {type(error).__name__}") from None


def _number(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise Damaged(f"{text} is no number")
    return number


def _whole(text: str) -> int:
    if len(text) > 20 or not -2**63 <= (number := int(text)) < 2**63:
        raise Damaged("a number has more than 64 bits")
    return number


def fit_shape(value: Any, shape: Any) -> Any:
    """Return a value of plain JSON if it has a shape, as an object of it where the shape is a class.

    Args:
        shape: Any; str, bool, float (any number), int; None or one text; an Enum; a range (a whole number in it);
            `Between`; a compiled pattern (a text that it matches whole); [T], list[T], tuple[T, ...],
            dict[str, T]; [T, U], a list of two; a tuple of shapes, or T | U, for one of them; a dataclass (keys
            are its fields, those with a default may be missing, unknown ones are left out); or
            {"key": T, "key?": T, "start*": T}: a dict with these keys, with ? where it may be missing, with *
            for all that start so. Other keys may be there

    Raises Damaged.

    >>> fit_shape({"epoch": 3, "val_loss": 0.5}, {"epoch": range(10), "best?": bool, "val_*": float})
    {'epoch': 3, 'val_loss': 0.5}
    >>> fit_shape([1, "2"], list[int])
    Traceback (most recent call last):
    core.files.shapes.Damaged: [1]: not as the app writes it
    """
    return _fitter(shape)(value)


Fitter = Callable[[Any], Any]         # value -> value, or raises Damaged
_made: dict[int, tuple[Any, Fitter]] = {}
WRONG = "not as the app writes it"


def _fitter(shape: Any) -> Fitter:
    """The function that fits values to a shape. Made once: a training's records are some ten thousand lines."""
    known = _made.get(id(shape))
    if known is None or known[0] is not shape:
        if len(_made) > 2000:                            # shapes that are written where they are used
            _made.clear()
        known = _made[id(shape)] = shape, _make(shape)
    return known[1]


def _make(shape: Any) -> Fitter:
    origin, parts = typing.get_origin(shape), typing.get_args(shape)
    if isinstance(shape, dict):
        return _keys(shape)
    if isinstance(shape, list):
        return _items([_make(part) for part in shape], list)
    if dataclasses.is_dataclass(shape) and isinstance(shape, type):
        return _dataclass(shape)
    if isinstance(shape, tuple) or origin in (typing.Union, types.UnionType):
        return _one_of([_make(part) for part in (parts if origin else shape)])
    if origin in (list, tuple):
        return _items([_make(parts[0])], origin)
    if origin is dict:
        return _keys({"*": parts[1]})
    if isinstance(shape, type) and issubclass(shape, Enum):
        members = {one.value: one for one in shape}
        return lambda value: _sound(isinstance(value, str) and value in members) and members[value]
    test = _test(shape)

    def plain(value: Any) -> Any:
        if not test(value):
            raise Damaged(WRONG)
        return value
    return plain


def _sound(sound: bool) -> bool:
    if not sound:
        raise Damaged(WRONG)
    return True


def _test(shape: Any) -> Callable[[Any], bool]:
    """Whether a value without parts has a shape without parts."""
    if isinstance(shape, range):
        return lambda value: type(value) is int and value in shape
    if isinstance(shape, Between):
        low, high = shape.low, shape.high
        return lambda value: (type(value) is float or type(value) is int) and low <= value <= high
    if isinstance(shape, re.Pattern):
        return lambda value: isinstance(value, str) and shape.fullmatch(value) is not None
    if shape is Any:
        return lambda value: True
    if shape in (None, types.NoneType):
        return lambda value: value is None
    if isinstance(shape, str):
        return lambda value: isinstance(value, str) and value == shape
    kinds = {float: (int, float)}.get(shape, (shape,))
    return lambda value: type(value) in kinds


def _one_of(fitters: list[Fitter]) -> Fitter:
    def fit(value: Any) -> Any:
        for fitter in fitters:
            try:
                return fitter(value)
            except Damaged:
                continue
        raise Damaged(WRONG)
    return fit


def _items(fitters: list[Fitter], kind: type) -> Fitter:
    fixed = len(fitters) > 1

    def fit(value: Any) -> Any:
        if type(value) is not list or fixed and len(value) != len(fitters):
            raise Damaged(WRONG)
        fitted = []
        for k, one in enumerate(value):
            try:
                fitted.append(fitters[k if fixed else 0](one))
            except Damaged as error:
                raise _at(f"[{k}]", error) from None
        return kind(fitted)
    return fit


def _at(place: str, error: Damaged) -> Damaged:
    """The same error with one more step on the way to the value."""
    text = str(error)
    return Damaged(f"{place}{'' if text[:1] in '.[' else ': '}{text}")


def _keys(shape: dict) -> Fitter:
    named = [(key.rstrip("?"), key[-1:] == "?", _make(part)) for key, part in shape.items() if key[-1:] != "*"]
    starts = [(key[:-1], _make(part)) for key, part in shape.items() if key[-1:] == "*"]

    def fit(value: Any) -> dict:
        if type(value) is not dict:
            raise Damaged(WRONG)
        wanted = [(name, fitter) for name, optional, fitter in named if name in value or not optional]
        wanted += [(name, fitter) for start, fitter in starts for name in value if name.startswith(start)]
        fitted = dict(value)
        for name, fitter in wanted:
            try:
                fitted[name] = fitter(value[name])
            except KeyError:
                raise Damaged(f".{name}: missing") from None
            except Damaged as error:
                raise _at(f".{name[:40]}", error) from None
        return fitted
    return fit


def _dataclass(shape: type) -> Fitter:
    hints, missing = typing.get_type_hints(shape, include_extras=True), dataclasses.MISSING
    fields = dataclasses.fields(shape)
    keys = _keys({f.name + ("" if f.default is missing and f.default_factory is missing else "?"):
                  f.metadata.get("shape", hints[f.name]) for f in fields})

    def fit(value: Any) -> Any:
        fitted = keys(value)
        return shape(**{f.name: fitted[f.name] for f in fields if f.name in fitted})
    return fit


def read_lines(path: Path, shape: Any = dict) -> list[dict]:
    """Return the JSON objects of a file, a line each, that have a shape; [] where there is no such file.

    A torn line (the writer was killed there) or a damaged one is left out: `damaged_lines` counts them.
    """
    try:
        raw = read_file(path, most=2 * 10**9)
    except (FileNotFoundError, Damaged):
        return []
    return [one for one in (parse_line(line, shape) for line in raw.split(b"\n")[:-1]) if one is not None]


def parse_line(line: bytes, shape: Any = dict) -> dict | None:
    """Return the object in one line; None where there is none, or not of this shape."""
    try:
        return parse_json(line, shape)
    except Damaged:
        return None
