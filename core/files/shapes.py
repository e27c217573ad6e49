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


def fit_shape(value: Any, shape: Any, at: str = "") -> Any:
    """Return a value of plain JSON if it has a shape, as an object of it where the shape is a class.

    Args:
        shape: Any; str, bool, float (any number), int; None or one text; an Enum; a range (a whole number in it);
            `Between`; a compiled pattern (a text that it matches whole); [T], list[T], tuple[T, ...],
            dict[str, T]; [T, U], a list of two; a tuple of shapes, or T | U, for one of them; a dataclass (keys
            are its fields, those with a default may be missing, unknown ones are left out); or
            {"key": T, "key?": T, "start*": T}: a dict with these keys, with ? where it may be missing, with *
            for all that start so. Other keys may be there
        at: where the value stands, for the message

    Raises Damaged.

    >>> fit_shape({"epoch": 3, "val_loss": 0.5}, {"epoch": range(10), "best?": bool, "val_*": float})
    {'epoch': 3, 'val_loss': 0.5}
    >>> fit_shape([1, "2"], list[int])
    Traceback (most recent call last):
    core.files.shapes.Damaged: [1] is not as the app writes it
    """
    if type(value) is float and shape is NUMBER and -1e300 <= value <= 1e300:
        return value                                     # most of what a training reports
    if isinstance(shape, dict):
        return _fit_keys(value, shape, at)
    if isinstance(shape, list):
        return _fit_items(value, shape, at)
    if dataclasses.is_dataclass(shape) and isinstance(shape, type):
        return _fit_dataclass(value, shape, at)
    origin, parts = typing.get_origin(shape), typing.get_args(shape)
    if isinstance(shape, tuple) or origin in (typing.Union, types.UnionType):
        return _fit_one_of(value, shape if isinstance(shape, tuple) else parts, at)
    if origin in (list, tuple) and isinstance(value, list):
        return origin(fit_shape(one, parts[0], f"{at}[{k}]") for k, one in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {key: fit_shape(one, parts[1], f"{at}.{key[:40]}") for key, one in value.items()}
    if isinstance(shape, type) and issubclass(shape, Enum):
        if isinstance(value, str) and value in [one.value for one in shape]:
            return shape(value)
    elif origin is None and _is_plain(value, shape):
        return value
    raise Damaged(f"{at or 'it'} is not as the app writes it")


def _is_plain(value: Any, shape: Any) -> bool:
    """Whether a value without parts has a shape without parts."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(shape, range):
        return number and isinstance(value, int) and value in shape
    if isinstance(shape, Between):
        return number and shape.low <= value <= shape.high
    if isinstance(shape, re.Pattern):
        return isinstance(value, str) and shape.fullmatch(value) is not None
    if shape is None or shape is Any or isinstance(shape, str):
        return shape is Any or value == shape
    if shape in (int, float):
        return number and isinstance(value, int | shape)
    return isinstance(value, shape)


def _fit_keys(value: Any, shape: dict, at: str) -> dict:
    if not isinstance(value, dict):
        raise Damaged(f"{at or 'it'} has no keys")
    fitted = dict(value)
    for key, part in shape.items():
        name = key.rstrip("?*")
        if key not in value and key == name:
            raise Damaged(f"{at}.{name} is missing")
        for there in [k for k in value if k.startswith(name)] if key.endswith("*") else [name]:
            if there in value:
                fitted[there] = fit_shape(value[there], part, f"{at}.{there[:40]}")
    return fitted


def _fit_items(value: Any, shape: list, at: str) -> list:
    if not isinstance(value, list) or len(shape) > 1 and len(value) != len(shape):
        raise Damaged(f"{at or 'it'} is no list, or one of another length")
    return [fit_shape(one, shape[k % len(shape)], f"{at}[{k}]") for k, one in enumerate(value)]


def _fit_dataclass(value: Any, shape: type, at: str) -> Any:
    hints = typing.get_type_hints(shape, include_extras=True)
    missing = dataclasses.MISSING
    keys = {f.name + ("" if f.default is missing and f.default_factory is missing else "?"):
            f.metadata.get("shape", hints[f.name]) for f in dataclasses.fields(shape)}
    fitted = _fit_keys(value, keys, at)
    return shape(**{f.name: fitted[f.name] for f in dataclasses.fields(shape) if f.name in fitted})


def _fit_one_of(value: Any, shapes: tuple, at: str) -> Any:
    for shape in shapes:
        try:
            return fit_shape(value, shape, at)
        except Damaged:
            continue
    raise Damaged(f"{at or 'it'} is not as the app writes it")


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
