"""Mutants of a file: cut off, bits flipped, JSON with wrong types, huge numbers and deep nesting, arrays of other shapes."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Iterator

import numpy as np

DEEP = "[" * 60_000
ODD = ("null", "true", '""', '"x"', "-1", "0", "1", "3", "1e308", "1e999", "1" + "0" * 400, "9" * 5000, "NaN", "-Infinity",
       "[]", "{}", '[[]]', '{"a": 1}', '"\\ud800"', '"\\u0000"', '"/"', '"../.."', "0.5", "12345678901234567890",
       '"' + "y" * 3000 + '"', "[1, null]", '["a", "a"]', DEEP, "-9223372036854775808", "4294967296", '"finished"', '"cpu"')


def mutants(name: str, content: bytes, rng: random.Random) -> Iterator[tuple[str, bytes | None]]:
    """Yield (what was done, the new content) without end; None stands for a folder in place of the file."""
    while True:
        kinds: list[Callable] = [cut, flip, flip, overwrite, insert, empty, bad_text, folder]
        if name.endswith((".json", ".jsonl")):
            kinds += [odd_value] * 14 + [other_key] * 4
        if name.endswith(".npz"):
            kinds += [odd_array] * 14
        kind = rng.choice(kinds)
        yield kind.__name__, kind(content, rng)


def cut(content: bytes, rng: random.Random) -> bytes:
    return content[:rng.randrange(len(content) + 1)]


def flip(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8)) if content else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def overwrite(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[:start] + rng.choice((b"\0" * 64, rng.randbytes(16))) + content[start + 16:]


def insert(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    piece = rng.choice((b"\n", b"}", b"{", b",", b"9", b"-", b"e9", b'"', content[:200], b"null", rng.randbytes(3)))
    return content[:start] + piece + content[start:]


def empty(content: bytes, rng: random.Random) -> bytes:
    return rng.choice((b"", b"\n", b"{}", b"[]", b"null", b"{}\n", b"PK\5\6" + b"\0" * 18, b"\x93NUMPY", DEEP.encode()))


def bad_text(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[:start] + rng.choice((b"\xff\xfe", b"\xc3", "\u2028".encode(), b"\\ud800", b"\xf0\x9f")) + content[start:]


def folder(content: bytes, rng: random.Random) -> None:
    return None


def odd_value(content: bytes, rng: random.Random) -> bytes:
    """Put an odd value in the place of one in the JSON, or in one of its lines."""
    def change(value):
        places = list(_places(value))
        if not places:
            return "@0@"
        parent, key = rng.choice(places)
        parent[key] = "@0@"
        return value
    return _changed(content, rng, change).replace(b'"@0@"', rng.choice(ODD).encode(), 1)


def other_key(content: bytes, rng: random.Random) -> bytes:
    """Take a key away, rename it, or give a list one more or one less."""
    def change(value):
        places = list(_places(value))
        if not places:
            return value
        parent, key = rng.choice(places)
        if isinstance(parent, dict) and rng.random() < 0.3:
            parent[rng.choice(("x", "7", "", "-1", "kind", "²"))] = parent.pop(key)
        elif isinstance(parent, dict) or rng.random() < 0.5:
            del parent[key]
        else:
            parent.append(parent[key])
        return value
    return _changed(content, rng, change)


def _changed(content: bytes, rng: random.Random, change: Callable) -> bytes:
    lines = content.split(b"\n") if content.startswith(b'{"kind"') else [content]
    k = rng.randrange(len(lines))
    try:
        lines[k] = json.dumps(change(json.loads(lines[k]))).encode()
    except ValueError:
        pass
    return b"\n".join(lines)


def _places(value) -> Iterator[tuple[dict | list, str | int]]:
    inside = list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    for key, part in inside:
        yield value, key
        yield from _places(part)


def odd_array(content: bytes, rng: random.Random) -> bytes:
    """Give an array of an .npz another shape, type or values; take it away; or claim that it is huge."""
    arrays = dict(np.load(io.BytesIO(content)))
    name = rng.choice(sorted(arrays))
    one = arrays[name]
    arrays[name] = rng.choice((
        lambda: one[:-1] if one.ndim else one[None], lambda: one[None], lambda: np.concatenate([one, one]) if one.ndim else -one,
        lambda: one.astype("U8"), lambda: np.array("x"),
        lambda: np.zeros((0, *one.shape[1:]), one.dtype), lambda: one.ravel()[:1],
        lambda: np.full(one.shape, np.nan), lambda: np.full(one.shape, np.inf), lambda: np.full(one.shape, -7),
        lambda: np.full(one.shape, 2**62), lambda: np.full(one.shape, True), lambda: np.full(one.shape, b"x"),
        lambda: np.full(one.shape, "\ud800"), lambda: one.T, lambda: np.array(0), lambda: np.full(one.shape, 1 + 1j),
        lambda: np.full(one.shape, np.datetime64("2020-01-01"))))()
    if rng.random() < 0.2:
        del arrays[name]
    out = io.BytesIO()
    np.savez(out, **arrays)
    data = out.getvalue()
    return data.replace(b"'shape': (24,", b"'shape': (2**9", 1) if rng.random() < 0.05 else data
