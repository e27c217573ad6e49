"""Files in MedMNIST's layout: what is in them comes out, and what is wrong with them is said."""

import io
import zipfile

import numpy as np
import pytest

from core.config import DataConfig
from core.datasets import open_dataset
from core.datasets.npz import Npz, read_headers
from core.errors import LightboxError

RNG = np.random.default_rng(0)


def arrays(train=12, val=4, test=5, side=8, channels=(), classes=2, labels_shape=(1,)) -> dict[str, np.ndarray]:
    out = {}
    for split, n in {"train": train, "val": val, "test": test}.items():
        out[f"{split}_images"] = RNG.integers(0, 256, (n, side, side, *channels), dtype=np.uint8)
        out[f"{split}_labels"] = (np.arange(n) % classes).astype(np.uint8).reshape(n, *[1] * len(labels_shape))
    return out


def saved(tmp_path, content: dict, compressed: bool = True, name: str = "mine.npz"):
    path = tmp_path / name
    (np.savez_compressed if compressed else np.savez)(path, **content)
    return path


def refused(path, code: str, *words: str) -> None:
    with pytest.raises(LightboxError) as caught:
        open_dataset(DataConfig(str(path), size=16))
    assert caught.value.code == code, caught.value
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_images_and_labels_come_out_in_order(tmp_path, channels, compressed):
    content = arrays(side=16, channels=channels)
    data = open_dataset(DataConfig(str(saved(tmp_path, content, compressed)), size=16))
    for split in ("train", "val", "test"):
        rows = data.indices(split)
        expected = content[f"{split}_images"]
        np.testing.assert_array_equal(data.images[rows], expected.reshape(*expected.shape[:3], -1))
        np.testing.assert_array_equal(data.labels[rows], content[f"{split}_labels"][:, 0])
    order = RNG.permutation(len(data))      # back and forth through the stream
    everything = np.concatenate([content[f"{s}_images"] for s in ("train", "val", "test")])
    for i in order:
        np.testing.assert_array_equal(data.original(i), everything[i].reshape(16, 16, -1))


@pytest.mark.parametrize("labels_shape, classes, task, names", [
    ((), 2, "binary-class", ("0", "1")), ((1,), 3, "multi-class", ("0", "1", "2"))])
def test_the_task_follows_from_the_labels(tmp_path, labels_shape, classes, task, names):
    data = open_dataset(DataConfig(str(saved(tmp_path, arrays(classes=classes, labels_shape=labels_shape))), size=16))
    assert (data.task, data.class_names) == (task, names) and data.labels.dtype == np.int64 and data.labels.ndim == 1


def test_several_findings_an_image(tmp_path):
    content = arrays()
    for split in ("train", "val", "test"):
        content[f"{split}_labels"] = RNG.integers(0, 2, (len(content[f"{split}_images"]), 14))
    data = open_dataset(DataConfig(str(saved(tmp_path, content)), size=16))
    assert data.task == "multi-label, binary-class" and data.labels.shape == (21, 14)
    counts = data.counts()
    everything = np.concatenate([content[f"{s}_labels"] for s in ("train", "val", "test")])
    np.testing.assert_array_equal(counts["total"], [*everything.sum(0), 21])


def test_a_missing_validation_part_is_taken_from_training(tmp_path):
    content = {k: v for k, v in arrays(train=100, test=20).items() if not k.startswith("val")}
    data = open_dataset(DataConfig(str(saved(tmp_path, content)), size=16, val_fraction=0.2))
    assert list(data.counts().loc["total"]) == [80, 20, 20, 120]
    assert "no validation set" in data.split_note
    assert (data.table["image_id"][data.indices("test")].str.startswith("test")).all()


# Every fault is said, and nothing is executed or allocated

def test_what_is_no_npz(tmp_path):
    path = tmp_path / "x.npz"
    path.write_text("hello")
    refused(path, "npz.not_npz", "x.npz")
    path.write_bytes(b"")
    refused(path, "npz.not_npz")
    np.save(path.with_suffix(".npy"), np.zeros(3))
    path.write_bytes(path.with_suffix(".npy").read_bytes())
    refused(path, "npz.not_npz")


@pytest.mark.parametrize("change, words", [
    ({"train_images": None, "train_labels": None}, ["no train_images"]),
    ({"val_labels": None}, ["val_labels is missing"]),
    ({"train_images": np.zeros((12, 8, 8), np.float32)}, ["float32", "uint8"]),
    ({"test_images": np.zeros((5, 9, 8), np.uint8)}, ["test_images are (9, 8)"]),
    ({"train_images": np.zeros((12, 28, 28, 28), np.uint8)}, ["volumes"]),
    ({"train_images": np.zeros((12,), np.uint8)}, ["shape (12,)"]),
    ({"train_labels": np.zeros((11, 1), np.uint8)}, ["12 images and 11 labels"]),
    ({"train_labels": np.zeros((12, 1), np.float64)}, ["float64", "integers"]),
    ({"train_labels": np.zeros((12, 3), np.uint8)}, ["val_labels have the shape"]),
    ({"train_images": np.zeros((0, 8, 8), np.uint8), "train_labels": np.zeros((0, 1), np.uint8)}, ["no training image"]),
    ({"train_images": np.asfortranarray(np.zeros((12, 8, 8), np.uint8))}, ["column by column"])])
def test_another_layout_is_explained(tmp_path, change, words):
    content = {k: v for k, v in (arrays() | change).items() if v is not None}
    refused(saved(tmp_path, content), "npz.layout", *words)


@pytest.mark.parametrize("labels, words", [
    (np.full((12, 1), -1), ["negative number -1"]),
    (np.arange(12).reshape(12, 1) * 1000, ["11,000", "classes"])])
def test_labels_that_cannot_be(tmp_path, labels, words):
    refused(saved(tmp_path, arrays() | {"train_labels": labels}), "npz.labels", *words)


def test_one_class_only(tmp_path):
    content = arrays()
    content |= {k: np.zeros_like(v) for k, v in content.items() if k.endswith("labels")}
    refused(saved(tmp_path, content), "npz.labels", "all labels are 0")


def test_pickled_objects_are_never_read(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    content = arrays() | {"train_labels": np.array([Bomb()] * 12, dtype=object)}
    refused(saved(tmp_path, content), "npz.object", "never read")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_cut_off_file(tmp_path, share):
    path = saved(tmp_path, arrays(train=200))
    path.write_bytes(path.read_bytes()[:int(path.stat().st_size * share)])
    refused(path, "npz.broken", "mine.npz")


def test_a_flipped_bit_is_found_by_the_check_sum_and_nothing_is_left_behind(tmp_path, lightbox_home):
    path = saved(tmp_path, arrays(train=200), compressed=False)
    raw = bytearray(path.read_bytes())
    raw[5000] ^= 1      # inside train_images
    path.write_bytes(raw)
    refused(path, "npz.broken")
    assert not list((lightbox_home / "stores").glob("*.part"))


def lying(tmp_path, shape: tuple, body: bytes = b"\0" * 100):
    """An .npz whose train_images claim to have `shape`."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": shape})
    path = saved(tmp_path, {k: v for k, v in arrays().items() if k != "train_images"})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("train_images.npy", head.getvalue() + body)
    return path


def test_a_head_that_promises_too_much_is_not_believed(tmp_path):
    refused(lying(tmp_path, (10**9, 28, 28)), "npz.too_large", "784 GB")
    refused(lying(tmp_path, (12, 28, 28)), "npz.broken", "9,408")
    refused(lying(tmp_path, (2**62, 2**62, 2**62)), "npz.too_large")


def test_random_damage_never_raises_anything_else(tmp_path):
    raw = saved(tmp_path, arrays()).read_bytes()
    path = tmp_path / "bad.npz"
    for _ in range(200):
        bad = bytearray(raw)
        for at in RNG.integers(0, len(bad), 3):
            bad[at] = RNG.integers(0, 256)
        path.write_bytes(bad)
        try:
            source = Npz(path)
            for i in range(len(source.scan().table)):
                source.original(i)
        except LightboxError as error:
            assert error.code.startswith("npz.")


def test_the_fingerprint_follows_the_content_and_not_the_place(tmp_path):
    content = arrays()
    one, other = saved(tmp_path, content), saved(tmp_path, content, name="other.npz")
    assert Npz(one).fingerprint() == Npz(other).fingerprint()
    content["val_images"][0, 0, 0] ^= 1
    assert Npz(saved(tmp_path, content)).fingerprint() != Npz(other).fingerprint()


def test_heads_are_read_without_the_numbers(tmp_path):
    headers = read_headers(saved(tmp_path, arrays()))
    assert headers["train_images"].shape == (12, 8, 8) and headers["train_images"].dtype == np.uint8
    assert headers["train_images"].offset % 64 == 0


def test_real_files(real_data):
    data = open_dataset(DataConfig(str(real_data / "medmnist/pneumonia_28.npz"), size=28))
    assert list(data.counts().loc["total"]) == [4694, 522, 624, 5840]
    with np.load(real_data / "medmnist/pneumonia_28.npz") as file:
        np.testing.assert_array_equal(data.images[data.indices("test"), ..., 0], file["test_images"])
        np.testing.assert_array_equal(data.labels[data.indices("val")], file["val_labels"][:, 0])
