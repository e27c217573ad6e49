"""Zips that are broken, lie, or lead out of their folder."""

from __future__ import annotations

import io
import struct
import zipfile

from tests.hostile.cases import case, simple
from tests.hostile.material import HONEST, bomb, packed, png, rows


def zip_with(name: str, content: bytes = b"x", mode: int = 0) -> bytes:
    file = io.BytesIO(packed(HONEST))
    with zipfile.ZipFile(file, "a") as archive:
        info = zipfile.ZipInfo("placeholder.png")
        info.filename, info.external_attr = name, mode << 16
        archive.writestr(info, content)
    return file.getvalue()


def _patched(data: bytes, name: bytes, at: int, value: bytes, local: int | None = None) -> bytes:
    """Change a field of an entry in the list at the end, and where `local` is given also in front of its content."""
    out = bytearray(data)
    centre = data.rindex(b"PK\x01\x02", 0, data.rindex(name))
    out[centre + at:centre + at + len(value)] = value
    if local is not None:
        front = data.rindex(b"PK\x03\x04", 0, data.index(name))
        out[front + local:front + local + len(value)] = value
    return bytes(out)


def _overlapping() -> bytes:
    """All entries of the list point at the same content, as in Fifield's bombs (2019)."""
    data = bytearray(packed({f"set/{'ab'[i % 2]}/{i:04d}.png": png() for i in range(100)}))
    at, first = 0, None
    while (at := data.find(b"PK\x01\x02", at)) >= 0:
        first = data[at + 42:at + 46] if first is None else first
        data[at + 42:at + 46] = first
        at += 4
    return bytes(data)


NAMES = "archive.names"
for _name, _content, _expected in (
        ("zip that is as it should be", lambda: packed(HONEST), ("works",)),
        ("zip with a name that leads up", lambda: zip_with("../../escaped.png"), (NAMES,)),
        ("zip with a name that leads up inside", lambda: zip_with("set/../../../escaped.png"), (NAMES,)),
        ("zip with a name from the root", lambda: zip_with("/tmp/lightbox-escaped.png"), (NAMES,)),
        ("zip with a name for Windows", lambda: zip_with("..\\..\\escaped.png"), (NAMES,)),
        ("zip with a drive", lambda: zip_with("C:/escaped.png"), (NAMES,)),
        ("zip with a link", lambda: zip_with("set/a/link.png", b"/etc/passwd", 0o120777), (NAMES,)),
        ("zip with a link to a folder and a file behind it", lambda: zip_with("set/out", b"/tmp", 0o120777), (NAMES,)),
        ("zip with a device", lambda: zip_with("set/a/zero.png", b"", 0o020666), (NAMES,)),
        ("zip with a name of 60,000 characters", lambda: zip_with("x" * 60_000 + ".png"), (NAMES,)),
        ("zip 5,000 folders deep", lambda: zip_with("d/" * 5_000 + "x.png"), (NAMES,)),
        ("zip with marks in a name", lambda: zip_with("set/a/new\nline.png"), (NAMES,)),
        ("zip with a file that is also a folder", lambda: zip_with("set/a", b"x"), (NAMES,)),
        ("zip bomb of zeros", lambda: bomb({f"set/{c}/0.png": (png(), 190_000_000) for c in "ab"}), ("archive.too_large",)),
        ("zip with a file of a gigabyte", lambda: bomb({"a/x.png": (b"", 10**9)}), ("archive.too_large",)),
        ("zip that says a smaller size than it has",
         lambda: _patched(packed(HONEST | {"set/a/liar.png": bytes(5_000_000)}), b"set/a/liar.png", 24, struct.pack("<I", 100)),
         ("archive.lies",)),
        ("zip that says a larger size than it has",
         lambda: _patched(packed(HONEST | {"set/a/liar.png": bytes(500)}), b"set/a/liar.png", 24, struct.pack("<I", 90_000_000)),
         ("archive.lies",)),
        ("zip whose check sum is wrong",
         lambda: _patched(packed(HONEST), b"set/a/0.png", 16, b"\1\2\3\4"), ("archive.lies",)),
        ("zip whose files share their bytes", _overlapping, ("archive.overlap",)),
        ("zip with a password", lambda: _patched(packed(HONEST | {"x": b""}), b"set/a/0.png", 8, b"\1\0", 6),
         ("archive.encrypted",)),
        ("zip in a rare compression", lambda: _patched(packed(HONEST | {"y": b""}), b"set/a/0.png", 10, b"\x63\0", 8),
         ("archive.unsupported",)),
        ("zip in a zip", lambda: packed({"inner.zip": packed(HONEST)}), ("archive.empty",)),
        ("zip of nothing", lambda: packed({}), ("archive.empty",)),
        ("zip of a program", lambda: packed({"run.exe": b"MZ", ".hidden.png": png()}), ("archive.empty",)),
        ("zip cut off", lambda: packed(HONEST)[:-200], ("archive.broken",)),
        ("zip cut off in front", lambda: packed(HONEST)[300:], ("archive.broken", "archive.overlap")),
        ("zip that is text", b"hello", ("archive.not_zip",)),
        ("zip that is empty", b"", ("archive.not_zip",)),
        ("zip whose list says it has 4 GB", lambda: packed(HONEST)[:-10] + b"\xff\xff\xff\xfe" + packed(HONEST)[-6:],
         ("archive.too_large",)),
        ("zip of one class", lambda: packed({f"set/a/{i}.png": png() for i in range(4)}), ("folder.classes",)),
        ("zip of a table and images",
         lambda: packed({"labels.csv": rows().encode()} | {f"{i}.png": png(40 + i) for i in range(16)}), ("works",))):
    simple(_name, "set.zip", _content, *_expected)


@case("zip with one name twice", NAMES)
def _(folder):
    import warnings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (folder / "set.zip").write_bytes(zip_with("set/a/0.png"))
    return folder / "set.zip"
