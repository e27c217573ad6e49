""".npz files that are broken or lie."""

from __future__ import annotations

import io
import os
import struct
import zipfile

import numpy as np

from tests.hostile.cases import simple
from tests.hostile.material import arrays, bomb, npz, packed


def npy(header: bytes, content: bytes = b"") -> bytes:
    """An .npy file with a header of any text."""
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + content


def npz_with(name: str, content: bytes, twice: bool = False) -> bytes:
    file = io.BytesIO()
    honest = arrays()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, value in honest.items():
            if key != name:
                with archive.open(f"{key}.npy", "w") as entry:
                    np.lib.format.write_array(entry, value)
        for _ in range(1 + twice):
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def claims(shape: str, descr: str = "|u1") -> bytes:
    return f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()


class _Evil:
    def __reduce__(self):
        return os.system, ("touch pwned",)


def _objects() -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays(), extra=np.array([1]))
    evil = io.BytesIO()
    np.lib.format.write_array(evil, np.array([_Evil()] * 8, object), allow_pickle=True)
    return npz_with("train_labels", evil.getvalue())


LAYOUT = "npz.layout"
for _name, _content, _expected in (
        ("npz that holds objects that run code", _objects, ("npz.object",)),
        ("npz with the channels in front", lambda: npz(train_images=np.zeros((8, 3, 8, 8), np.uint8)), (LAYOUT,)),
        ("npz with volumes", lambda: npz(train_images=np.zeros((8, 8, 8, 8), np.uint8)), (LAYOUT,)),
        ("npz with one image and no count", lambda: npz(train_images=np.zeros((8, 8), np.uint8)), (LAYOUT,)),
        ("npz with 160 GB in its header", lambda: npz_with("train_images", npy(claims("(10000000, 128, 128)"))),
         ("npz.too_large",)),
        ("npz with a size below zero", lambda: npz_with("train_images", npy(claims("(-8, 8, 8)"))), ("npz.broken",)),
        ("npz with 10^30 in its header", lambda: npz_with("train_images", npy(claims("(1000000, 10**24)"))), ("npz.broken",)),
        ("npz with brackets without end", lambda: npz_with("train_images", npy(b"(" * 9000)), ("npz.broken",)),
        ("npz with a header of 60 kB", lambda: npz_with("train_images", npy(b"#" * 60_000)), ("npz.broken",)),
        ("npz of a billion zeros", lambda: npz_zeros(), ("npz.too_large",)),
        ("npz with fewer labels than images", lambda: npz(train_labels=np.zeros((7, 1), np.uint8)), (LAYOUT,)),
        ("npz with one array twice", lambda: npz_with("train_labels", npy(claims("(8, 1)"), bytes(8)), twice=True),
         ("npz.broken",)),
        ("npz with float images", lambda: npz(train_images=np.zeros((8, 8, 8))), (LAYOUT,)),
        ("npz with text as labels", lambda: npz(train_labels=np.array(["a"] * 8)), (LAYOUT,)),
        ("npz with labels below zero", lambda: npz(train_labels=np.array([[-1], [1]] * 4)), ("npz.labels",)),
        ("npz with a label of a billion", lambda: npz(train_labels=np.array([[0], [10**9]] * 4)), ("npz.labels",)),
        ("npz with one class", lambda: npz(**{f"{s}_labels": np.ones(8, np.uint8) for s in ("train", "val", "test")}),
         ("npz.labels",)),
        ("npz without training images", lambda: npz(train_images=None, train_labels=None), (LAYOUT,)),
        ("npz of nothing", lambda: packed({}), (LAYOUT,)),
        ("npz cut off", lambda: npz()[:-100], ("npz.broken",)),
        ("npz that is text", b"hello", ("npz.not_npz",)),
        ("npz that is empty", b"", ("npz.not_npz",)),
        ("npz that ends early inside", lambda: npz_with("train_images", npy(claims("(8, 8, 8)"), bytes(100))), ("npz.broken",))):
    simple(_name, "set.npz", _content, *_expected)


def npz_zeros() -> bytes:
    """A megabyte that unfolds to a billion images of one pixel and their labels."""
    n = 10**9
    return bomb({"train_images.npy": (npy(claims(f"({n}, 1, 1)")), n), "train_labels.npy": (npy(claims(f"({n},)")), n)})
