"""A zip (or a tar, tarball.py) with images, unpacked into a folder of the app and then read like any other folder.

    LIGHTBOX_HOME/unpacked/<key>/           there when it is whole
    LIGHTBOX_HOME/unpacked/<key>.part/      while it is made, under the lock <key>.lock

A zip can lie about everything it says of itself. So its directory is bounded before it is read, every name, size, ratio and
place in it is checked before anything is written, each file is counted while it is written, and only images and tables are
extracted at all. Nothing is ever written outside the folder: a name with "..", a link or a path from the root refuses the zip.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from core.config import home
from core.datasets import tarball
from core.datasets.image_names import SUFFIXES
from core.datasets.source import Progress
from core.datasets.text import short, suffix_of
from core.datasets.walk import IGNORED
from core.errors import LightboxError
from core.files import Lock, disk_errors

MAX_FILES = 200_000
MAX_DIRECTORY = 60_000_000       # bytes of the list of files inside
MAX_FILE = 200_000_000           # bytes of one file, as for images everywhere; an .npz may have more
MAX_TOTAL = 100 * 10**9
MAX_RATIO = 200                  # times smaller than unpacked: more is a bomb; images hardly shrink at all
FREE_RATIO = 100_000_000         # up to so many bytes the ratio does not matter
MAX_NAME, MAX_DEPTH = 200, 20
SPARE = 100 * 10**6              # bytes that stay free on the disk
TAKEN = SUFFIXES | {".csv", ".tsv", ".txt", ".npz"}
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, struct.error, NotImplementedError, RuntimeError, UnicodeError,
          OverflowError, IndexError)
PACK_AGAIN = "Zip the folder with the images again, with the standard tool of your computer."


def unpacked(path: Path) -> Path | None:
    """Return where a zip or tar was unpacked to, None where that has not been done. Raises LightboxError as `unpack` does."""
    folder = tarball.folder_of(path) if tarball.is_tar(path) else folder_of(path, read_directory(path))
    return folder if folder.is_dir() else None


def unpack(path: Path, progress: Progress | None = None) -> Path:
    """Unpack a zip or tar once and return the folder with its content. What `progress` raises stops it, and nothing stays behind.

    Raises:
        LightboxError: "archive.not_zip", "archive.broken", "archive.encrypted", "archive.names" (a name that leads outside, a
            link, one name twice), "archive.too_large" (files, bytes, ratio, a list too long), "archive.overlap",
            "archive.lies" (more or other content than it says), "archive.unsupported", "archive.empty", "disk.full"
    """
    if tarball.is_tar(path):
        folder = tarball.folder_of(path)
        return _once(path, folder, path.stat().st_size, lambda part, said: tarball.write(path, part, said), progress)
    entries = read_directory(path)
    folder = folder_of(path, entries)
    if folder.is_dir():
        return folder
    wanted = check(path, entries)
    total = sum(entry.file_size for entry in wanted)
    return _once(path, folder, total, lambda part, said: _write(path, wanted, part, total, said), progress)


def _once(path: Path, folder: Path, total: int, write: Callable[[Path, Progress], None], progress: Progress | None) -> Path:
    """Return the folder; where it is not there yet, let `write` fill it, all or nothing. `total` is in bytes."""
    if folder.is_dir():
        return folder
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder.parent).free
        if free < total + SPARE:
            raise LightboxError("disk.full", f"{path.name} needs {total / 1e9:.1f} GB when unpacked; {folder.parent} has "
                                f"{free / 1e9:.1f} GB left.", "Free some space, or set LIGHTBOX_HOME to another disk.")
        with Lock(folder.with_name(folder.name + ".lock")):
            if folder.is_dir():                       # somebody else was quicker
                return folder
            part = folder.with_name(folder.name + ".part")
            shutil.rmtree(part, ignore_errors=True)      # somebody was killed here
            part.mkdir()
            try:
                write(part, progress or (lambda phrase, done, total: None))
                os.rename(part, folder)
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)
                raise
    return folder


def read_directory(path: Path) -> list[zipfile.ZipInfo]:
    """Return the list of files in a zip, bounded before it is read."""
    try:
        with open(path, "rb") as file:
            _bound_directory(path, file)
            with zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
        for entry in entries:
            entry.filename = true_name(entry)
        return entries
    except OSError as error:
        raise LightboxError("archive.not_zip", f"{path.name} cannot be opened: {error.strerror}.",
                            "Check that it exists and that you may read it.") from error
    except BROKEN as error:
        raise LightboxError("archive.broken", f"{path.name} is a damaged zip, or cut off.",
                            "Copy or download it again.") from error


def true_name(entry: zipfile.ZipInfo) -> str:
    """Return the name that was meant: / for the backslashes of some Windows programs, and its letters as UTF-8 where they are.

    A zip says by a flag that its names are UTF-8; many programs, that of the Mac too, write UTF-8 and no flag (APPNOTE D).
    """
    name = entry.orig_filename
    if not entry.flag_bits & 0x800 and not name.isascii():
        raw = name.encode("cp437")
        name = _unicode_path(entry.extra, raw) or name
        with contextlib.suppress(UnicodeDecodeError):
            name = raw.decode("utf-8")
    return name.replace("\\", "/")


def _unicode_path(extra: bytes, raw: bytes) -> str:
    """Return Info-ZIP's name in UTF-8 (APPNOTE 4.6.9), "" where there is none or it is of another name."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        body = extra[at + 4:at + 4 + length]
        if kind == 0x7075 and len(body) > 5 and struct.unpack_from("<I", body, 1)[0] == zlib.crc32(raw):
            return body[5:].decode("utf-8", "replace")
        at += 4 + length
    return ""


def check(path: Path, entries: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    """Return the entries to unpack. Raises LightboxError where any entry, wanted or not, is not what an honest zip has."""
    names = set()
    for entry in entries:
        check_name(path, entry.filename, entry.external_attr >> 16, "\0" in entry.orig_filename)
        if entry.filename.rstrip("/") in names:
            raise LightboxError("archive.names", f"{path.name} holds {short(entry.filename)} twice.", PACK_AGAIN)
        names.add(entry.filename.rstrip("/"))
        if entry.flag_bits & 0x1:
            raise LightboxError("archive.encrypted", f"{path.name} is protected by a password.",
                                "Unpack it yourself and give the folder, or make a zip without a password.")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise LightboxError("archive.unsupported", f"{path.name} uses an unsupported compression method.", PACK_AGAIN)
    ends = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):      # each file has its own bytes
        if entry.header_offset < ends:
            raise LightboxError("archive.overlap", f"Files inside {path.name} share the same bytes, as in a zip bomb.",
                                PACK_AGAIN)
        ends = entry.header_offset + 30 + entry.compress_size
    wanted = [entry for entry in entries if not entry.is_dir() and is_wanted(entry.filename)]
    if not wanted:
        raise LightboxError("archive.empty", f"{path.name} holds no images and no table.",
                            "Zips inside a zip are not unpacked: unpack them yourself and give the folder.")
    total, packed = sum(entry.file_size for entry in wanted), sum(entry.compress_size for entry in wanted)
    large = next((e for e in wanted if e.file_size > MAX_FILE and not e.filename.lower().endswith(".npz")), None)
    if large:
        raise too_large(path, f"{short(large.filename)} would have {large.file_size / 1e6:,.0f} MB",
                         f"{MAX_FILE / 1e6:.0f} MB")
    if total > MAX_TOTAL:
        raise too_large(path, f"all files together would have {total / 1e9:,.0f} GB", f"{MAX_TOTAL / 1e9:.0f} GB")
    if total > FREE_RATIO and total > MAX_RATIO * packed:
        raise too_large(path, f"it would grow {total / max(packed, 1):,.0f} times, as a zip bomb does", f"{MAX_RATIO} times")
    return wanted


def _bound_directory(path: Path, file) -> None:
    """Refuse a zip whose list of files is too long to be read, by the record at its end (APPNOTE 4.3.14, 4.3.16)."""
    size = os.fstat(file.fileno()).st_size
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        raise LightboxError("archive.not_zip", f"{path.name} is not a file.", "Choose a zip.")
    start = max(0, size - 65_557)
    file.seek(start)
    tail = file.read(65_557)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        file.seek(0)
        if file.read(4) == b"PK\x03\x04":
            raise LightboxError("archive.broken", f"{path.name} is a damaged zip, or cut off.", "Copy or download it again.")
        raise LightboxError("archive.not_zip", f"{path.name} is not a zip, despite its name.", PACK_AGAIN)
    length, offset = struct.unpack_from("<II", tail, at + 12)
    if tail[max(0, at - 20):at].startswith(b"PK\x06\x07"):      # a zip64: the true numbers stand before
        (record,) = struct.unpack_from("<Q", tail, at - 12)
        file.seek(min(record, size))
        head = file.read(56)
        if len(head) == 56 and head.startswith(b"PK\x06\x06"):
            length, offset = struct.unpack_from("<QQ", head, 40)
    if length > MAX_DIRECTORY:
        raise too_large(path, f"its list of files has {length / 1e6:,.0f} MB", f"{MAX_DIRECTORY / 1e6:.0f} MB")
    file.seek(max(0, start + at - length - 100))
    count = file.read(length + 100).count(b"PK\x01\x02")
    if count > MAX_FILES:
        raise too_large(path, f"it holds {count:,} files", f"{MAX_FILES:,}")
    file.seek(0)


def check_name(path: Path, name: str, mode: int, odd: bool = False) -> None:
    """Raise LightboxError "archive.names" for a name, or a kind of file (`mode` as in stat), that no honest archive has."""
    parts = name.rstrip("/").split("/")
    fault = ""
    if odd or any(ord(c) < 32 for c in name):
        fault = "has characters that no name should have"
    elif name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in parts:
        fault = "leads outside the folder"
    elif "" in parts or "." in parts:
        fault = "is not an ordinary name"
    elif len(parts) > MAX_DEPTH or any(len(part.encode("utf-8", "replace")) > MAX_NAME for part in parts):
        fault = "is too long or too deep"
    elif mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        fault = "is a link or a device, not a file"
    if fault:
        raise LightboxError("archive.names", f"{path.name} is not unpacked: the name {short(name)!r} inside {fault}.",
                            PACK_AGAIN)


def is_wanted(name: str) -> bool:
    """Return whether a file is unpacked, by its name: images and tables are, hidden files and leftovers are not."""
    parts = name.split("/")
    if any(part.startswith(".") or part.lower() in IGNORED for part in parts):
        return False
    return suffix_of(parts[-1]) in TAKEN


def _write(path: Path, wanted: list[zipfile.ZipInfo], part: Path, total: int, progress: Progress) -> None:
    done = 0
    try:
        with zipfile.ZipFile(path) as archive:
            for k, entry in enumerate(wanted):
                if k % 50 == 0:
                    progress("Unpacking", k, len(wanted))
                target = part / entry.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, open(target, "xb") as file:
                    got = 0
                    while block := source.read(2**20):
                        got += len(block)
                        if got > entry.file_size:
                            break
                        file.write(block)
                        if got > 2**24:
                            progress("Unpacking", k, len(wanted))
                done += got
                if got != entry.file_size or done > total:
                    raise LightboxError("archive.lies", f"{short(entry.filename)} in {path.name} does not have the size that the "
                                        "zip states.", PACK_AGAIN)
        progress("Unpacking", len(wanted), len(wanted))
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise LightboxError("archive.names", f"{path.name} uses the same name for a file and a folder.", PACK_AGAIN) from error
    except BROKEN as error:
        raise LightboxError("archive.lies", f"The content of {path.name} is not what it states: {str(error)[:200]}.",
                            "Copy or download it again.") from error


def folder_of(path: Path, entries: list[zipfile.ZipInfo]) -> Path:
    """Return a folder named by the content: names, sizes and checksums of all files as the zip states them."""
    facts = [(e.filename, e.file_size, e.compress_size, e.CRC, e.header_offset) for e in entries]
    return named(path.stem, repr(facts))


def named(stem: str, facts: str) -> Path:
    """Return the folder of an archive, readable in front and unique behind."""
    key = hashlib.sha256(facts.encode("utf-8", "replace")).hexdigest()[:16]
    readable = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:40] or "images"
    return home() / "unpacked" / f"{readable}-{key}"


def too_large(path: Path, what: str, limit: str) -> LightboxError:
    """Return the error for an archive that would become too large."""
    return LightboxError("archive.too_large", f"{path.name} is not unpacked: {what}; the limit is {limit}.",
                         "Unpack it yourself and give the folder, if you trust it.")
