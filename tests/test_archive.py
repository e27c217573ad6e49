"""A zip is unpacked whole or not at all, and never a byte outside its folder, whatever it says of itself."""

import gzip
import io
import stat
import struct
import tarfile
import time
import zipfile
import zlib

import cv2
import numpy as np
import pytest

from core.config import DataConfig
from core.datasets import archive, open_dataset, open_source
from core.datasets.archive import unpack, unpacked
from core.errors import LightboxError


def png(value: int) -> bytes:
    return cv2.imencode(".png", np.full((20, 30), value, np.uint8))[1].tobytes()


def zipped(folder, files: dict[str, bytes], name="set.zip", method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(folder / name, "w", method) as file:
        for inside, content in files.items():
            file.writestr(inside, content)
    return folder / name


CLASSES = {f"{name}/{i}.png": png(20 * i + 100 * k) for k, name in enumerate(("ill", "well")) for i in range(5)}


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def refused(path, home) -> str:
    """The code of the refusal, after looking that nothing was left anywhere and that it was quick."""
    before = everything(path.parent), time.process_time()
    with pytest.raises(LightboxError) as caught:
        unpack(path)
    assert everything(path.parent) == before[0] and time.process_time() - before[1] < 2
    assert not [p for p in everything(home) if not p.endswith(".lock") and p != "unpacked"]
    assert str(caught.value).endswith(".") and len(str(caught.value)) < 400
    return caught.value.code


# ----------------------------------------------------------------------------------------------------------- honest ones

def test_class_folders_in_a_zip_are_the_same_set_as_unpacked(tmp_path, lightbox_home):
    path = zipped(tmp_path, {"knees/" + name: content for name, content in CLASSES.items()} | {
        "__MACOSX/knees/._0.png": b"x", "knees/.DS_Store": b"x", "knees/read me.pdf": b"x", "knees/inner.zip": b"PK\3\4"})
    assert unpacked(path) is None and open_source(DataConfig(str(path))) is None, "nothing is unpacked by only looking"
    data = open_dataset(DataConfig(str(path), size=16, resize="stretch"))
    assert data.class_names == ("well", "ill") and len(data) == 10 and data.images[0].flat[0] == 0
    assert [int(image[8, 8, 0]) for image in data.images] == [20 * i + 100 * k for k in (0, 1) for i in range(5)]
    folder = unpacked(path)
    assert folder.is_relative_to(lightbox_home / "unpacked")
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.*")) == sorted("knees/" + name for name in CLASSES)


def test_a_table_and_images_in_a_zip(tmp_path):
    table = "file,label\n" + "".join(f"{name},{name[:3]}\n" for name in CLASSES)
    path = zipped(tmp_path, {"labels.csv": table.encode()} | {f"images/{name}": content for name, content in CLASSES.items()})
    assert open_dataset(DataConfig(str(path), size=16)).target == "label"


def test_an_npz_in_a_zip(tmp_path):
    file = io.BytesIO()
    rng = np.random.default_rng(0)
    np.savez(file, train_images=rng.integers(0, 255, (60, 28, 28), np.uint8), train_labels=np.arange(60).reshape(-1, 1) % 2)
    assert len(open_dataset(DataConfig(str(zipped(tmp_path, {"a/mine.npz": file.getvalue()})), size=28))) == 60


def test_it_is_unpacked_once_and_another_content_goes_elsewhere(tmp_path):
    path = zipped(tmp_path, CLASSES)
    first = unpack(path)
    (first / "ill" / "0.png").write_bytes(b"changed by hand")
    assert unpack(path) == first and (first / "ill" / "0.png").read_bytes() == b"changed by hand"
    assert unpack(zipped(tmp_path, CLASSES | {"ill/0.png": png(9)})) != first


def test_stopped_it_leaves_nothing_and_begins_anew(tmp_path, lightbox_home):
    path, seen = zipped(tmp_path, {f"a/{i}.png": png(i) for i in range(120)}), []

    class Stop(BaseException):
        pass

    def progress(phrase, done, total):
        seen.append((done, total))
        if done >= 100:
            raise Stop

    with pytest.raises(Stop):
        unpack(path, progress)
    assert seen == [(0, 120), (50, 120), (100, 120)] and unpacked(path) is None
    assert not list((lightbox_home / "unpacked").rglob("*.png"))
    leftover = lightbox_home / "unpacked" / (unpack(path).name + ".part")      # of a process that was killed
    archive.shutil.rmtree(unpacked(path))
    leftover.mkdir()
    (leftover / "old.png").write_bytes(b"x")
    assert len(list(unpack(path).rglob("*"))) == 121 and not leftover.exists()


# --------------------------------------------------------------------------------------------------------------- hostile ones

NAMES = ["../up.png", "a/../../up.png", "/etc/cron.d/x.png", "C:/x.png", "a\\..\\..\\x.png", "a//b.png", "./a.png", "a/./b.png",
         "x" * 300 + ".png", "a/" * 40 + "b.png", "a\nb.png", "..", "../"]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names_that_lead_elsewhere_refuse_the_whole_zip(tmp_path, lightbox_home, name):
    assert refused(zipped(tmp_path, CLASSES | {name: png(1)}), lightbox_home) == "archive.names"


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices(tmp_path, lightbox_home, kind):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
        info = zipfile.ZipInfo("ill/link.png")
        info.external_attr = (kind | 0o777) << 16
        file.writestr(info, "/etc/passwd")
    assert refused(tmp_path / "set.zip", lightbox_home) == "archive.names"


def test_one_name_twice_or_for_a_file_and_a_folder(tmp_path, lightbox_home):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file, pytest.warns(UserWarning, match="Duplicate name"):
        for value in (1, 2):
            file.writestr("ill/0.png", png(value))
    assert refused(tmp_path / "set.zip", lightbox_home) == "archive.names"
    path = zipped(tmp_path, {"ill.png": png(1), "ill.png/0.png": png(2)})
    assert refused(path, lightbox_home) == "archive.names"
    path = zipped(tmp_path, {"ill.png/0.png": png(1), "ill.png": png(2)})
    assert refused(path, lightbox_home) == "archive.names"


def test_a_name_with_a_zero_byte(tmp_path, lightbox_home):
    path = zipped(tmp_path, {"ill/0X.png.exe": png(1)})
    path.write_bytes(path.read_bytes().replace(b"0X.png", b"0\0.png"))
    assert refused(path, lightbox_home) in ("archive.names", "archive.broken")


def test_bombs(tmp_path, lightbox_home, monkeypatch):
    monkeypatch.setattr(archive, "FREE_RATIO", 10**6)
    zeros = bytes(4 * 10**6)
    assert refused(zipped(tmp_path, {f"a/{i}.png": zeros for i in range(3)}), lightbox_home) == "archive.too_large"
    monkeypatch.setattr(archive, "MAX_FILE", 10**6)
    assert refused(zipped(tmp_path, {"a/0.png": zeros}, method=zipfile.ZIP_STORED), lightbox_home) == "archive.too_large"
    monkeypatch.setattr(archive, "MAX_FILE", 10**8)
    monkeypatch.setattr(archive, "MAX_TOTAL", 10**7)
    path = zipped(tmp_path, {f"a/{i}.png": zeros for i in range(3)}, method=zipfile.ZIP_STORED)
    assert refused(path, lightbox_home) == "archive.too_large"


def test_too_many_files_are_refused_before_their_names_are_read(tmp_path, lightbox_home, monkeypatch):
    monkeypatch.setattr(archive, "MAX_FILES", 100)
    path = zipped(tmp_path, {f"a/{i}.png": b"" for i in range(101)})
    monkeypatch.setattr(zipfile, "ZipFile", None)
    assert refused(path, lightbox_home) == "archive.too_large"
    monkeypatch.setattr(archive, "MAX_DIRECTORY", 1000)
    assert refused(path, lightbox_home) == "archive.too_large"


def test_a_full_disk_is_told_before_anything_is_written(tmp_path, lightbox_home, monkeypatch):
    monkeypatch.setattr(archive, "SPARE", 10**18)
    assert refused(zipped(tmp_path, CLASSES), lightbox_home) == "disk.full"


def test_files_that_share_their_bytes(tmp_path, lightbox_home):
    """The directory's second entry is led to the first one's bytes (as in Fifield's zip bomb, 2019)."""
    path = zipped(tmp_path, {"a/0.png": png(1), "a/1.png": png(1)}, method=zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    struct.pack_into("<I", data, second + 42, 0)
    path.write_bytes(data)
    assert refused(path, lightbox_home) == "archive.overlap"


@pytest.mark.parametrize("said", [1, 50, 10_000])
def test_sizes_that_lie(tmp_path, lightbox_home, said):
    path = zipped(tmp_path, {"a/0.png": bytes(1000), "b/1.png": bytes(1000)})
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 24, said)      # uncompressed size in the directory
    path.write_bytes(data)
    assert refused(path, lightbox_home) == "archive.lies"


def test_damaged_content_locked_content_and_rare_methods(tmp_path, lightbox_home):
    path = zipped(tmp_path, {"a/0.png": png(1)}, method=zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)
    assert refused(path, lightbox_home) == "archive.lies"
    path = zipped(tmp_path, {"a/0.png": png(1)})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert refused(path, lightbox_home) == "archive.encrypted"
    assert refused(zipped(tmp_path, CLASSES, method=zipfile.ZIP_LZMA), lightbox_home) == "archive.unsupported"


@pytest.mark.parametrize("content, code", [
    (b"", "archive.not_zip"), (b"PK", "archive.not_zip"), (b"GIF89a" * 100, "archive.not_zip"),
    (b"PK\3\4" + bytes(200), "archive.broken"), (b"PK\5\6" + bytes(18), "archive.empty"),
    (b"PK\5\6" + b"\xff" * 18, "archive.too_large"), (b"PK\5\6" + bytes(8) + b"\xff\xff\xff\0" + bytes(6), "archive.broken")])
def test_what_is_no_zip(tmp_path, lightbox_home, content, code):
    (tmp_path / "set.zip").write_bytes(content)
    assert refused(tmp_path / "set.zip", lightbox_home) == code


def test_cut_off_at_any_place(tmp_path, lightbox_home):
    whole = zipped(tmp_path, CLASSES).read_bytes()
    for length in range(5, len(whole), 211):
        (tmp_path / "set.zip").write_bytes(whole[:length])
        assert refused(tmp_path / "set.zip", lightbox_home) in ("archive.broken", "archive.not_zip")


def test_a_zip_without_images(tmp_path, lightbox_home):
    assert refused(zipped(tmp_path, {"letter.pdf": b"%PDF", "inner.zip": b"PK\3\4"}), lightbox_home) == "archive.empty"


# ------------------------------------------------------------------------------------------------- names as people write them

def raw_zip(folder, names: list[bytes], contents: list[bytes], flag: int = 0):
    """By hand, with names as bytes, as other programs write them."""
    body, directory = b"", b""
    for name, content in zip(names, contents):
        facts = struct.pack("<HHHHHIIIHH", 20, flag, 0, 0, 33, zlib.crc32(content), len(content), len(content), len(name), 0)
        directory += b"PK\1\2" + struct.pack("<H", 20) + facts + struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + name
        body += b"PK\3\4" + facts + name + content
    end = struct.pack("<HHHHIIH", 0, 0, len(names), len(names), len(directory), len(body), 0)
    (folder / "set.zip").write_bytes(body + directory + b"PK\5\6" + end)
    return folder / "set.zip"


@pytest.mark.parametrize("encode", [lambda name: name.replace("/", "\\").encode(), str.encode])
def test_backslashes_and_names_in_utf_8_without_a_flag(tmp_path, encode):
    names = [f"Lunge/{kind}/{k}.png" for kind in ("kr\u00e4nklich", "ge\u00fcbt \u4e2d") for k in range(3)]
    folder = unpack(raw_zip(tmp_path, [encode(name) for name in names], list(CLASSES.values())[:6]))
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png")) == sorted(names)


def test_names_of_an_old_code_page_stay_apart(tmp_path):
    folder = unpack(raw_zip(tmp_path, [b"a\x84/1.png", b"a\x94/1.png"], [png(1), png(2)]))
    assert {p.name for p in folder.iterdir()} == {"a\u00e4", "a\u00f6"}


@pytest.mark.parametrize("name", [b"..\\a.png", b"x\\..\\..\\a.png", b"C:\\a.png", b"\\\\server\\a.png"])
def test_a_backslash_leads_nowhere(tmp_path, lightbox_home, name):
    assert refused(raw_zip(tmp_path, [name, b"b.png"], [png(1), png(2)]), lightbox_home) == "archive.names"


# ------------------------------------------------------------------------------------------------------------------------- tars

def tarred(folder, files: dict[str, bytes], name="set.tar.gz", mode="w:gz", **change):
    with tarfile.open(folder / name, mode) as file:
        for inside, content in files.items():
            entry = tarfile.TarInfo(inside)
            entry.size = len(content)
            for key, value in change.items():
                setattr(entry, key, value)
            file.addfile(entry, io.BytesIO(content))
    return folder / name


@pytest.mark.parametrize("name, mode", [("set.tar.gz", "w:gz"), ("set.tgz", "w:gz"), ("set.tar", "w"), ("set.tar.bz2", "w:bz2"),
                                        ("set.tar.xz", "w:xz")])
def test_a_tar_is_the_same_set_as_the_zip(tmp_path, name, mode):
    path = tarred(tmp_path, {"./knees/" + inside: content for inside, content in CLASSES.items()} | {
        "./knees/._0.png": b"x", "knees/read me.pdf": b"x"}, name, mode)
    assert unpacked(path) is None
    data = open_dataset(DataConfig(str(path), size=16, resize="stretch"))
    assert data.class_names == ("well", "ill") and len(data) == 10
    assert [int(image[8, 8, 0]) for image in data.images] == [20 * i + 100 * k for k in (0, 1) for i in range(5)]
    assert len([p for p in unpacked(path).rglob("*") if p.is_file()]) == 10


@pytest.mark.parametrize("name, change, code", [
    ("../a.png", {}, "archive.names"), ("/a.png", {}, "archive.names"), ("a.png", {"type": tarfile.SYMTYPE}, "archive.names"),
    ("a.png", {"type": tarfile.LNKTYPE}, "archive.names"), ("a.png", {"type": tarfile.FIFOTYPE}, "archive.names"),
    ("a.txt.gz", {}, "archive.empty")])
def test_a_tar_that_no_honest_program_writes(tmp_path, lightbox_home, name, change, code):
    assert refused(tarred(tmp_path, {"b/c.pdf": b"x", name: png(1)}, **change), lightbox_home) == code


def test_tars_that_are_cut_off_none_or_bombs(tmp_path, lightbox_home):
    path = tarred(tmp_path, CLASSES)
    whole = path.read_bytes()
    for bad in (whole[:len(whole) // 2], b"\x1f\x8b" + whole[9:], b"words", b""):
        path.write_bytes(bad)
        assert refused(path, lightbox_home) == "archive.broken"
    path.write_bytes(gzip.compress(whole))
    assert refused(path, lightbox_home) == "archive.broken"
    head = tarfile.TarInfo("a/b.npz")
    head.size = 50 * 10**9
    path.write_bytes(gzip.compress(head.tobuf() + bytes(10**6)))
    assert refused(path, lightbox_home) == "archive.too_large"
    head.type, head.size = tarfile.XHDTYPE, 3 * 10**9
    path.write_bytes(gzip.compress(head.tobuf(tarfile.GNU_FORMAT) + bytes(10**6)))
    assert refused(path, lightbox_home) == "archive.broken"
