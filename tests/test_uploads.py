"""A folder sent by a browser: kept whole under safe names, or refused in a sentence with nothing left behind."""

import cv2
import numpy as np
import pytest

from core.config import DataConfig
from core.datasets import open_dataset, uploads
from core.datasets.uploads import SentFile, keep_folder
from core.errors import LightboxError


def sent(name, content=b"x"):
    return SentFile(name, len(content), lambda: content)


def png(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 20), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def class_folder():
    return [sent(f"knees/{name}/{i}.png", png(10 * k + i)) for k, name in enumerate(("normal", "grade 1"))
            for i in range(12)]


def refused(files, code):
    with pytest.raises(LightboxError) as error:
        keep_folder(files)
    assert error.value.code == code
    return str(error.value)


def test_an_uploaded_folder_is_read_like_any_other(lightbox_home):
    kept = keep_folder([*class_folder(), sent("knees/.DS_Store"), sent("knees/notes.docx")])
    assert (kept.kept, kept.left_out, kept.path.name) == (24, 2, "knees")
    assert kept.path.is_relative_to(lightbox_home / "uploads")
    data = open_dataset(DataConfig(str(kept.path), size=16))
    assert len(data) == 24 and set(data.class_names) == {"normal", "grade 1"}
    assert (kept.path / "normal" / "3.png").read_bytes() == png(3)


def test_the_same_folder_is_kept_once_and_another_beside_it(lightbox_home):
    one, again = keep_folder(class_folder()), keep_folder(class_folder()[::-1])
    other = keep_folder([*class_folder(), sent("knees/normal/new.png", png(99))])
    assert one == again and other.path != one.path
    assert len([p for p in (lightbox_home / "uploads").iterdir() if p.is_dir()]) == 2


@pytest.mark.parametrize("name", ["../x.png", "a/../../x.png", "/etc/x.png", "C:/x.png", "a\\x.png", "a//x.png", "./x.png",
                                  "a/\x00.png", "a/\ud800.png", "/".join("a" * 30) + ".png", "a" * 300 + ".png", ""])
def test_a_name_that_leads_elsewhere_refuses_the_folder(lightbox_home, name):
    refused([*class_folder(), sent(name)], "upload.names")
    assert not (lightbox_home / "uploads").exists()


@pytest.mark.parametrize("names", [("k/a.png", "k/a.png"), ("k/a.png", "k/A.PNG"), ("k/a.png", "k/a.png/b.png")])
def test_one_name_twice_refuses_the_folder(names):
    refused([sent(name, png(k)) for k, name in enumerate(names)], "upload.names")


def test_limits_are_known_before_anything_is_read(monkeypatch, lightbox_home):
    def never():
        raise AssertionError("read")
    assert "20,000" in refused([SentFile(f"a/{i}.png", 1, never) for i in range(20_001)], "upload.too_large")
    refused([SentFile("a/x.png", uploads.MAX_FILE + 1, never)], "upload.too_large")
    refused([SentFile(f"a/{i}.png", 10**8, never) for i in range(21)], "upload.too_large")
    refused([sent("a/notes.docx")], "upload.empty")
    refused([], "upload.empty")
    refused([SentFile("a/x.png", 5, lambda: b"1234")], "upload.size")
    assert not (lightbox_home / "uploads").exists()


def test_a_stop_and_a_full_disk_leave_nothing_behind(monkeypatch, lightbox_home):
    class Stop(Exception):
        pass

    def stop(sentence, done, total):
        if sentence.startswith("Keeping") and done == 5:
            raise Stop
    with pytest.raises(Stop):
        keep_folder(class_folder(), stop)
    assert [p.suffix for p in (lightbox_home / "uploads").iterdir()] == [".lock"]
    with monkeypatch.context() as patch:
        patch.setattr("core.datasets.uploads.SPARE", 10**18)
        refused(class_folder(), "disk.full")
    assert keep_folder(class_folder()).kept == 24
