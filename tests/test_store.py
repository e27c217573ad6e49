"""The pixel store: decoded once, whole or not there, and whatever was decoded before a kill is kept."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pandas as pd
import pytest

from core.datasets import store as store_module
from core.datasets.source import Index, Source, Target
from core.datasets.store import is_stored, open_store, store_folder
from core.errors import LightboxError
from core.files import Lock


class Numbers(Source):
    """Image i is filled with i; counts how often it was asked; `bad` rows cannot be read, `colour` rows are coloured."""

    name = title = "numbers"

    def __init__(self, n=40, bad=(), colour=(), slow=0.0, mark="1"):
        self.n, self.bad, self.colour, self.slow, self.mark, self.asked = n, bad, colour, slow, mark, []

    def scan(self, progress=None):
        text = [str(i) for i in range(self.n)]
        self.table = pd.DataFrame({"image_id": text, "patient": "", "study": "", "view": "", "path": text, "split": ""})
        return Index(self.table, {"parity": Target("parity", "Parity", "binary-class", ("even", "odd"), np.arange(self.n) % 2),
                                  "both": Target("both", "Both", "multi-label, binary-class", ("x", "y"),
                                                 np.stack([np.arange(self.n) % 2, np.arange(self.n) % 3 == 0], 1).astype(int))},
                     notes=["They are numbers."])

    def original(self, i):
        time.sleep(self.slow)
        self.asked.append(i)
        if i in self.bad:
            raise LightboxError("image.broken", f"Number {i} is broken.", "Mend it.")
        pixels = np.full((16, 16, 3 if i in self.colour else 1), i, np.uint8)      # a square that `fit` leaves as it is
        if i in self.colour:
            pixels[..., 0] = 200
        return pixels

    def fingerprint(self):
        return self.mark


def make(source, channels=0, progress=None):
    return open_store(source, 16, "pad", channels, progress)


def folder_of(source):
    return store_folder(source.title, source.fingerprint(), 16, "pad", 0)


@pytest.fixture
def small_chunks(monkeypatch):
    """So that many notes of progress are taken on few images."""
    monkeypatch.setattr(store_module, "CHUNK_BYTES", 4 * 16 * 16)
    monkeypatch.setattr("core.datasets.decode_many.SAVE_EVERY", 0.0)


class Stop(Exception):
    pass


def make_half(source):
    """Stop after 20 images or a few more; the folder where they are."""
    def stop_at_20(sentence, done, total):
        if done >= 20:
            raise Stop

    with pytest.raises(Stop):
        make(source, progress=stop_at_20)
    return part_of(source)


def part_of(source):
    return folder_of(source).with_name(folder_of(source).name + ".part")


def whole(store, n=40):
    np.testing.assert_array_equal(store.images[:, 0, 0, 0], np.arange(n))
    assert store.images.shape == (n, 16, 16, 1) and store.images.dtype == np.uint8
    np.testing.assert_array_equal(store.index.targets["parity"].labels, np.arange(n) % 2)


def test_it_is_made_once_and_then_mapped():
    source = Numbers()
    assert not is_stored(source, 16, "pad", 0)
    whole(make(source))
    assert sorted(source.asked) == list(range(40)) and is_stored(source, 16, "pad", 0)
    again = make(source)
    whole(again)
    assert len(source.asked) == 40 and isinstance(again.images, np.memmap) and not again.images.flags.writeable
    assert again.index.targets["both"].labels.shape == (40, 2) and again.index.notes == ["They are numbers."]
    assert list(again.index.targets) == ["parity", "both"]


class Sized(Numbers):
    """Image i has i + 1 rows and 20 columns."""

    def original(self, i):
        return np.repeat(super().original(i)[:1, :1], i + 1, axis=0).repeat(20, axis=1)


def test_the_size_of_the_original_is_kept_also_when_stopped_halfway(small_chunks):
    make_half(Sized(bad=(3,)))
    table = make(Sized(bad=(3,))).index.table
    assert table["height"].tolist() == [str(i + 1) for i in range(40) if i != 3] and set(table["width"]) == {"20"}
    assert make(Sized(bad=(3,))).index.table["height"].tolist() == table["height"].tolist(), "and when it is opened again"
    assert not (folder_of(Numbers()) / "sizes.u32").exists()


def test_a_source_that_gives_smaller_images_says_how_large_they_are_in_full():
    class Smaller(Numbers):
        def original_size(self, i, pixels):
            return (0, 0) if i == 5 else (1600, 900)

    table = make(Smaller()).index.table
    assert table["width"].tolist() == ["1600"] * 5 + [""] + ["1600"] * 34 and table["height"][0] == "900"


def test_the_phantom_set_tells_the_size_of_its_radiographs_not_of_the_cache_they_are_stored_from():
    from core.datasets.phantom import PhantomConfig, PhantomSource
    source = PhantomSource(PhantomConfig(patients=3, copies=0.4))
    table = open_store(source, 28, "pad", 1).index.table
    cropped = np.flatnonzero(table["copy_how"] == "crop")
    for i in (0, 5, cropped[0]):
        height, width = source.original(i).shape[:2]
        assert (table["width"][i], table["height"][i]) == (str(width), str(height))


def test_a_store_from_before_sizes_were_kept_opens_without_them():
    make(Numbers())
    path = folder_of(Numbers()) / "table.csv"
    old = pd.read_csv(path, dtype=str, keep_default_na=False).drop(columns=["width", "height"])
    old.to_csv(path, index=False)
    source = Numbers()
    store = make(source)
    whole(store)
    assert not source.asked and set(store.index.table["width"]) == set(store.index.table["height"]) == {""}


def test_one_that_was_stopped_before_sizes_were_kept_goes_on(small_chunks):
    part = make_half(Numbers())
    done = json.loads((part / "progress.json").read_text())["done"]
    (part / "sizes.u32").unlink()
    source = Numbers()
    store = make(source)
    whole(store)
    assert len(source.asked) == 40 - done and store.index.table["width"].tolist() == [""] * done + ["16"] * (40 - done)


def test_columns_of_the_set_that_have_the_same_name_are_kept():
    class Listed(Numbers):
        def scan(self, progress=None):
            index = super().scan(progress)
            index.table["width"] = "about 2000"
            return index

    table = make(Listed()).index.table
    assert set(table["width"]) == {"16"} and set(table["width (as listed)"]) == {"about 2000"}


def test_plain_numpy_reads_it():
    make(Numbers())
    images = np.load(folder_of(Numbers()) / "images.npy")
    np.testing.assert_array_equal(images[:, 3, 3, 0], np.arange(40))


def test_size_resize_channels_and_content_each_have_a_store_of_their_own():
    keys = {store_folder("t", f, s, r, c) for f in "ab" for s in (16, 32) for r in ("pad", "crop") for c in (0, 1, 3)}
    assert len(keys) == 24


def test_unreadable_images_are_left_out_and_listed():
    store = make(Numbers(bad=(0, 7, 39)))
    good = [i for i in range(40) if i not in (0, 7, 39)]
    np.testing.assert_array_equal(store.images[:, 0, 0, 0], good)
    assert list(store.index.table["image_id"]) == [str(i) for i in good]
    np.testing.assert_array_equal(store.index.targets["parity"].labels, np.array(good) % 2)
    assert [s["path"] for s in store.index.skipped] == ["0", "7", "39"]
    assert "Mend it." in store.index.skipped[0]["reason"]
    np.load(folder_of(Numbers()) / "images.npy")      # the head tells the true number


@pytest.mark.parametrize("colour, channels, expected", [((), 0, 1), ((35,), 0, 3), ((35,), 1, 1), ((), 3, 3)])
def test_channels_are_what_the_images_have_unless_asked(small_chunks, colour, channels, expected):
    store = make(Numbers(colour=colour), channels)
    assert store.images.shape == (40, 16, 16, expected)
    gray = [i for i in range(40) if i not in colour]
    assert (store.images[gray] == np.array(gray)[:, None, None, None]).all()


def test_stopped_it_keeps_what_it_has_and_goes_on_from_there(small_chunks):
    source = Numbers(bad=(3,))
    make_half(source)
    assert not is_stored(source, 16, "pad", 0)
    first = len(source.asked)
    store = make(source)
    assert len(source.asked) == 40 and first >= 20      # nothing was decoded twice
    np.testing.assert_array_equal(store.images[:, 0, 0, 0], [i for i in range(40) if i != 3])


def test_killed_at_any_moment_it_goes_on_and_ends_the_same(lightbox_home):
    program = textwrap.dedent("""
        import sys
        from core.datasets import decode_many, store
        from tests.test_store import Numbers, make
        store.CHUNK_BYTES, decode_many.SAVE_EVERY = 4 * 16 * 16, 0.0
        print("go", flush=True)
        make(Numbers(n=200, slow=0.004))
    """)
    rng = np.random.default_rng(0)
    for _ in range(3):
        child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=os.environ)
        child.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.25))
        child.send_signal(signal.SIGKILL)
        child.wait()
    progress = part_of(Numbers()) / "progress.json"
    before = json.loads(progress.read_text())["done"] if progress.exists() else 0
    source = Numbers(n=200)
    whole(make(source), 200)
    assert len(source.asked) == 200 - before


def test_two_windows_make_it_once_and_the_second_sees_how_far_the_first_is(small_chunks):
    source, seen, stores = Numbers(slow=0.02), [], []
    threads = [threading.Thread(target=lambda: stores.append(make(source, progress=lambda *p: seen.append(p)))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stores) == 2 and len(source.asked) == 40
    for store in stores:
        whole(store)
    waiting = [p for p in seen if p[0].startswith("Another")]
    assert waiting and waiting[-1][2] == 40


@pytest.mark.parametrize("damage", ["short", "no table", "short table", "no labels", "no meta", "meta is no JSON"])
def test_a_damaged_store_is_made_anew(damage):
    make(Numbers())
    folder = folder_of(Numbers())
    if damage == "short":
        os.truncate(folder / "images.npy", 3000)
    elif damage == "short table":
        lines = (folder / "table.csv").read_text().splitlines(keepends=True)
        (folder / "table.csv").write_text("".join(lines[:-1]))
    elif damage == "meta is no JSON":
        (folder / "meta.json").write_text("{")
    else:
        (folder / {"no table": "table.csv", "no labels": "labels_both.npy", "no meta": "meta.json"}[damage]).unlink()
    source = Numbers()
    whole(make(source))
    assert len(source.asked) == 40


def test_progress_that_promises_pixels_that_are_not_there_is_not_believed(small_chunks):
    os.truncate(make_half(Numbers()) / "images.npy", 1000)
    whole(make(Numbers()))


def test_a_full_disk_is_told_before_and_during(monkeypatch):
    usage = store_module.shutil.disk_usage("/")
    monkeypatch.setattr(store_module.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(LightboxError) as caught:
        make(Numbers())
    assert caught.value.code == "disk.full" and "GB" in caught.value.message


def test_a_broken_source_leaves_nothing_behind(lightbox_home):
    class Broken(Numbers):
        def original(self, i):
            raise LightboxError("npz.broken", "The file is damaged.", "Download it again.")

    with pytest.raises(LightboxError, match="damaged"):
        make(Broken())
    assert [p.suffix for p in (lightbox_home / "stores").iterdir()] == [".lock"]
    assert not Lock.is_held(next((lightbox_home / "stores").iterdir()))


def test_nothing_readable_is_an_error():
    with pytest.raises(LightboxError) as caught:
        make(Numbers(bad=range(40)))
    assert caught.value.code == "store.no_images" and "Number 0 is broken." in caught.value.message
