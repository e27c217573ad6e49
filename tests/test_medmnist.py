"""The table of MedMNIST sets against the medmnist package, and how their files are found, fetched and checked."""

import contextlib
import hashlib
import http.server
import re
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from core.config import DataConfig
from core.datasets import is_ready, medmnist, open_dataset
from core.errors import LightboxError


def breast(folder, size=28, name="breastmnist", counts=(546, 78, 156), **change):
    """A stand-in file with the official counts; returns its path."""
    rng = np.random.default_rng(size)
    content = {}
    for split, n in zip(("train", "val", "test"), counts):
        content[f"{split}_images"] = rng.integers(0, 256, (n, size, size), dtype=np.uint8)
        content[f"{split}_labels"] = rng.integers(0, 2, (n, 1), dtype=np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / medmnist.file_name(name, size)
    np.savez_compressed(path, **(content | change))
    return path


def test_the_table_is_that_of_the_package():
    from medmnist import INFO
    two_dimensional = {name: facts for name, facts in INFO.items() if not name.endswith("3d")}
    assert set(medmnist.INFO) == set(two_dimensional)
    for name, theirs in two_dimensional.items():
        ours = medmnist.INFO[name]
        assert ours.title == theirs["python_class"] and ours.task == theirs["task"]
        assert ours.licence == theirs["license"]
        assert dict(zip(("train", "val", "test"), ours.counts)) == theirs["n_samples"]
        assert ours.class_names == tuple(theirs["label"][str(k)] for k in range(len(theirs["label"])))
        for size in medmnist.SIZES:
            suffix = "" if size == 28 else f"_{size}"
            assert medmnist._official(name, size) == (theirs["url" + suffix], theirs["MD5" + suffix])
            assert theirs["url" + suffix].startswith(f"{medmnist.ZENODO}/files/{medmnist.file_name(name, size)}")


@pytest.mark.parametrize("there, wanted, taken", [((28, 64, 128), 28, 28), ((28, 64, 128), 50, 64), ((28, 64), 64, 64),
                                                  ((28, 64), 100, 64), ((128,), 28, 128)])
def test_the_smallest_file_that_is_large_enough_is_taken(lightbox_home, there, wanted, taken):
    for size in there:
        breast(lightbox_home / "datasets", size, counts=(4, 4, 4))
    assert medmnist.find_file("breastmnist", wanted).name == medmnist.file_name("breastmnist", taken)


def test_files_are_found_in_both_places(tmp_path, lightbox_home, monkeypatch):
    assert medmnist.find_file("breastmnist", 28) is None
    monkeypatch.setenv("MEDMNIST_ROOT", str(tmp_path))
    breast(tmp_path)
    assert medmnist.find_file("breastmnist", 28).parent == tmp_path
    breast(lightbox_home / "datasets")
    assert medmnist.find_file("breastmnist", 28).parent == lightbox_home / "datasets"


def test_by_name_and_by_path_it_is_the_same_set(lightbox_home):
    path = breast(lightbox_home / "datasets")
    named, by_path = open_dataset(DataConfig("breastmnist", size=28)), open_dataset(DataConfig(str(path), size=28))
    assert (named.name, by_path.name) == ("breastmnist", str(path))
    assert named.class_names == by_path.class_names == ("normal, benign", "malignant")
    assert named.task == "binary-class" and named.licence == "CC BY 4.0" and named.split_hash == by_path.split_hash
    assert any("MD5" in note for note in named.notes)
    larger = open_dataset(DataConfig("breastmnist", size=64))
    assert larger.images.shape == (780, 64, 64, 1) and larger.original(0).shape == (28, 28, 1)
    assert any("28 x 28" in note for note in larger.notes)


def test_the_official_check_sum_is_recognised(lightbox_home, monkeypatch):
    path = breast(lightbox_home / "datasets")
    monkeypatch.setattr(medmnist, "_official", lambda name, size: ("", hashlib.md5(path.read_bytes()).hexdigest()))
    assert not any("MD5" in note for note in open_dataset(DataConfig("breastmnist", size=28)).notes)


def test_other_counts_are_a_note_and_other_labels_an_error(lightbox_home):
    path = breast(lightbox_home / "datasets", counts=(10, 4, 4))
    assert any("10 + 4 + 4" in note for note in open_dataset(DataConfig(str(path), size=28)).notes)
    breast(lightbox_home / "datasets", train_labels=np.full((546, 1), 7))
    with pytest.raises(LightboxError, match="not those of BreastMNIST"):
        open_dataset(DataConfig("breastmnist", size=28))


@pytest.mark.parametrize("name", medmnist.INFO)
@pytest.mark.parametrize("size", medmnist.SIZES)
def test_each_of_the_twelve_sets_opens_at_each_size(lightbox_home, name, size):
    """Stand-in files with a few images in the official form: channels, labels and task as the package has them."""
    from medmnist import INFO
    facts, rng = INFO[name], np.random.default_rng(0)
    classes, colour = len(facts["label"]), (3,) if facts["n_channels"] == 3 else ()
    several = facts["task"].startswith("multi-label")
    content = {}
    for split in ("train", "val", "test"):
        content[f"{split}_images"] = rng.integers(0, 256, (classes, size, size, *colour), dtype=np.uint8)
        content[f"{split}_labels"] = rng.integers(0, 2, (classes, classes)) if several else np.arange(classes)[:, None]
    (lightbox_home / "datasets").mkdir()
    np.savez(lightbox_home / "datasets" / medmnist.file_name(name, size), **content)
    data = open_dataset(DataConfig(name, size=size))
    assert data.images.shape == (3 * classes, size, size, facts["n_channels"]) and data.task == facts["task"]
    assert data.labels.shape == (3 * classes, classes)[:1 + several] and len(data.class_names) == classes
    np.testing.assert_array_equal(data.original(0).squeeze(), content["train_images"][0])


# Downloads, from a server of our own

class Server(http.server.BaseHTTPRequestHandler):
    """Gives one file, whole or in parts, and can be made to behave badly."""

    content, ranges, cut, asked = b"", True, None, []

    def do_GET(self):
        begin = 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        self.asked.append(int(asked[1]) if asked else None)
        if asked and self.ranges:
            begin = int(asked[1])
            if begin >= len(self.content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(self.content) - 1}/{len(self.content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(self.content) - begin))
        self.end_headers()
        with contextlib.suppress(OSError):      # who asked has stopped
            self.wfile.write(self.content[begin:self.cut])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Gives a file of 3 MB; the table says that it is breastmnist at 64 px, and its check sum."""
    path = breast(tmp_path / "served", 64)
    handler = type("Handler", (Server,), {"content": path.read_bytes(), "asked": []})
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://127.0.0.1:{httpd.server_port}/{path.name}"
    monkeypatch.setattr(medmnist, "_official", lambda name, size: (url, hashlib.md5(path.read_bytes()).hexdigest()))
    yield handler
    httpd.shutdown()
    httpd.server_close()


class Stop(Exception):
    pass


def stop_at(share: float):
    def progress(sentence, done, total):
        if sentence.startswith("Downloading") and done > share * total:
            raise Stop
    return progress


def fetched(home):
    folder = home / "datasets"
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock")), folder / "breastmnist_64.npz"


def test_a_set_that_is_not_here_is_downloaded_and_checked(server, lightbox_home):
    seen = []
    assert not is_ready(DataConfig("breastmnist", size=64))
    data = open_dataset(DataConfig("breastmnist", size=64), lambda *p: seen.append(p))
    assert len(data) == 780 and is_ready(DataConfig("breastmnist", size=64))
    names, file = fetched(lightbox_home)
    assert names == [file.name] and file.read_bytes() == server.content
    downloads = [p for p in seen if p[0].startswith("Downloading")]
    assert downloads[-1][1] == downloads[-1][2] == len(server.content) and server.asked == [None]
    assert not any("MD5" in note for note in data.notes)


def test_a_download_that_was_stopped_goes_on_where_it_was(server, lightbox_home):
    with pytest.raises(Stop):
        medmnist.download("breastmnist", 64, stop_at(0.5))
    names, file = fetched(lightbox_home)
    assert names == ["breastmnist_64.npz.part"]
    kept = (lightbox_home / "datasets" / names[0]).stat().st_size
    assert 0.5 * len(server.content) < kept < len(server.content)
    seen = []
    medmnist.download("breastmnist", 64, lambda *p: seen.append(p))
    assert file.read_bytes() == server.content and server.asked == [None, kept]
    assert seen[0][1:] == (kept, len(server.content)) and fetched(lightbox_home)[0] == [file.name]


def test_one_that_is_cut_off_too(server, lightbox_home):
    server.cut = 1_000_000
    with pytest.raises(LightboxError) as caught:
        medmnist.download("breastmnist", 64)
    assert caught.value.code == "download.failed" and "cut off after 1.0 of" in caught.value.message
    server.cut = None
    assert medmnist.download("breastmnist", 64).read_bytes() == server.content and server.asked == [None, 1_000_000]


def test_a_server_that_gives_no_parts_gives_the_whole_again(server, lightbox_home):
    server.ranges = False
    with pytest.raises(Stop):
        medmnist.download("breastmnist", 64, stop_at(0.5))
    assert medmnist.download("breastmnist", 64).read_bytes() == server.content


@pytest.mark.parametrize("kept", ["another file", "longer", "whole", "empty"])
def test_whatever_was_kept_the_right_file_comes_out(server, lightbox_home, kept):
    content = server.content
    (lightbox_home / "datasets").mkdir()
    (lightbox_home / "datasets/breastmnist_64.npz.part").write_bytes(
        {"another file": b"x" * 100_000, "longer": content + b"x", "whole": content, "empty": b""}[kept])
    assert medmnist.download("breastmnist", 64).read_bytes() == content
    assert len(server.asked) == (1 if kept in ("whole", "empty") else 2)


def test_a_wrong_check_sum_is_never_used(server, lightbox_home, monkeypatch):
    url = medmnist._official("breastmnist", 64)[0]
    monkeypatch.setattr(medmnist, "_official", lambda name, size: (url, "0" * 32))
    with pytest.raises(LightboxError) as caught:
        open_dataset(DataConfig("breastmnist", size=64))
    assert caught.value.code == "download.failed" and "checksum" in caught.value.message
    assert fetched(lightbox_home)[0] == [] and medmnist.find_file("breastmnist", 64) is None and server.asked == [None]


@pytest.mark.parametrize("url, word", [("http://127.0.0.1:9/breastmnist_64.npz", "refused"), (None, "404")])
def test_without_a_network_the_steps_by_hand_are_told(server, lightbox_home, monkeypatch, url, word):
    if url is None:
        server.do_GET = lambda self: self.send_error(404)
        url = medmnist._official("breastmnist", 64)[0]
    monkeypatch.setattr(medmnist, "_official", lambda name, size: (url, "0" * 32))
    with pytest.raises(LightboxError) as caught:
        open_dataset(DataConfig("breastmnist", size=64))
    said = str(caught.value)
    assert caught.value.code == "download.failed"
    assert all(part in said for part in ("breastmnist_64.npz", medmnist.ZENODO, str(lightbox_home / "datasets"), word))


def test_a_disk_that_is_too_small_is_told_before(server, lightbox_home, monkeypatch):
    monkeypatch.setattr(medmnist.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(LightboxError) as caught:
        medmnist.download("breastmnist", 64)
    assert caught.value.code == "disk.full" and fetched(lightbox_home)[0] == []


def test_the_real_file(real_data, monkeypatch):
    monkeypatch.setenv("MEDMNIST_ROOT", str(real_data / "medmnist"))
    data = open_dataset(DataConfig("breastmnist", size=28))
    counts = data.counts()
    assert list(counts.loc["total"]) == [546, 78, 156, 780] and counts.loc["normal, benign", "test"] == 114
    assert any("MD5" in note for note in data.notes)      # re-saved, as its README says
    with np.load(real_data / "medmnist/breastmnist.npz") as file:
        np.testing.assert_array_equal(data.images[data.indices("train"), ..., 0], file["train_images"])
