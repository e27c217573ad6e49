"""A tar with images, packed by gzip, bzip2, xz or not at all: unpacked in one go, by the rules of archive.py.

A tar has no list of its files. Each says its size and kind before its bytes come, so names, sizes and the sum are checked before
anything is written, and a bomb is refused before it is read.
"""

from __future__ import annotations

import lzma
import stat
import tarfile
import zlib
from pathlib import Path

from core.datasets import archive
from core.datasets.source import Progress
from core.datasets.text import short
from core.errors import LightboxError

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
MAX_HEAD = 1_000_000          # bytes of one long name or list of attributes
BROKEN = (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, ValueError, OverflowError, UnicodeError)
MAY_BE = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


class _Entry(tarfile.TarInfo):
    """An entry whose head is bounded: it is read into memory whole."""

    def _proc_member(self, file):
        if self.type in MAY_BE and self.size > MAX_HEAD:
            raise tarfile.ReadError("a name of megabytes")
        return super()._proc_member(file)


def is_tar(path: Path) -> bool:
    """Return whether a file is a tar, by its name."""
    return path.name.lower().endswith(SUFFIXES)


def folder_of(path: Path) -> Path:
    """Return where it is unpacked to: by name, size, time of change and first bytes, as its list is known at the end only."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise LightboxError("archive.not_tar", f"{path.name} is not a file.", "Choose a tar.")
        with open(path, "rb") as file:
            head = file.read(65_536)
    except OSError as error:
        raise LightboxError("archive.not_tar", f"{path.name} cannot be opened: {error.strerror}.",
                            "Check that it exists and that you may read it.") from error
    return archive.named(path.name.split(".")[0], repr((path.name, facts.st_size, facts.st_mtime_ns, head)))


def write(path: Path, part: Path, progress: Progress) -> None:
    """Unpack the images and tables into `part`. Raises LightboxError as `archive.unpack` does, and "archive.not_tar"."""
    packed, total, wanted, names = path.stat().st_size, 0, 0, set()
    try:
        with tarfile.open(path, "r|*", tarinfo=_Entry) as file:
            for k, entry in enumerate(file):
                file.members = []                     # tarfile keeps all that it has seen
                total += max(0, entry.size)
                _check(path, entry, k, total, packed)
                name = entry.name.removeprefix("./").rstrip("/")
                if entry.isdir() or not archive.is_wanted(name):
                    continue
                if name in names:
                    raise LightboxError("archive.names", f"{path.name} holds {short(name)} twice.", archive.PACK_AGAIN)
                names.add(name)
                wanted += 1
                if k % 50 == 0:
                    progress("Unpacking", 0, 0)
                _copy(path, file.extractfile(entry), part / name, entry.size)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise LightboxError("archive.names", f"{path.name} uses the same name for a file and a folder.",
                            archive.PACK_AGAIN) from error
    except BROKEN as error:
        raise LightboxError("archive.broken", f"{path.name} is no tar, or damaged, or cut off.",
                            "Copy or download it again.") from error
    if not wanted:
        raise LightboxError("archive.empty", f"{path.name} holds no images and no table.",
                            "Archives inside an archive are not unpacked: unpack them yourself and give the folder.")


def _check(path: Path, entry: tarfile.TarInfo, number: int, total: int, packed: int) -> None:
    mode = 0 if entry.isreg() else stat.S_IFDIR if entry.isdir() else stat.S_IFLNK
    name = entry.name.removeprefix("./").rstrip("/")
    if name not in ("", "."):
        archive.check_name(path, name, mode)
    if number >= archive.MAX_FILES:
        raise archive.too_large(path, f"it holds more than {number:,} files", f"{archive.MAX_FILES:,}")
    if entry.sparse or entry.size < 0:
        raise LightboxError("archive.unsupported", f"{path.name} holds a file with holes.", archive.PACK_AGAIN)
    if entry.size > archive.MAX_FILE and archive.is_wanted(name) and not name.lower().endswith(".npz"):
        raise archive.too_large(path, f"{short(name)} would have {entry.size / 1e6:,.0f} MB", f"{archive.MAX_FILE / 1e6:.0f} MB")
    if total > archive.MAX_TOTAL:
        raise archive.too_large(path, f"all files together would have {total / 1e9:,.0f} GB or more",
                                f"{archive.MAX_TOTAL / 1e9:.0f} GB")
    if total > archive.FREE_RATIO and total > archive.MAX_RATIO * packed:
        raise archive.too_large(path, f"it would grow {total / max(packed, 1):,.0f} times, as a bomb does",
                                f"{archive.MAX_RATIO} times")


def _copy(path: Path, source, target: Path, size: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    got = 0
    with open(target, "xb") as file:
        while block := source.read(2**20):
            got += len(block)
            file.write(block)
    if got != size:
        raise LightboxError("archive.broken", f"{path.name} is cut off.", "Copy or download it again.")
