"""Opening a set: one call for names, folders and files, quick the second time, and light to import."""

import dataclasses
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from core.config import DataConfig, Task
from core.datasets import DATASETS, Dataset, decode_image, fit, is_ready, list_datasets, open_dataset
from core.datasets.source import COLUMNS
from core.errors import LightboxError


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("healthy", "ill"):
        for i in range(40):
            path = tmp_path / "set" / name / f"person{i // 2 + 100 * (name == 'ill')}_virus_{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (30, 50), dtype=np.uint8)).save(path)
    return tmp_path / "set"


def test_an_open_set_has_what_its_docstring_says(folder):
    data = open_dataset(DataConfig(str(folder), size=24))
    assert isinstance(data, Dataset) and len(data) == 80 and data.images.shape == (80, 24, 24, 1)
    assert data.labels.dtype == np.int64 and data.task in list(Task) and set(COLUMNS) <= set(data.table)
    assert list(data.table.index) == list(range(80)) and data.table["image_id"].is_unique
    parts = [data.indices(s) for s in ("train", "val", "test")]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(80))
    with pytest.raises(KeyError):
        data.indices("holdout")
    assert data.target == "class" and data.targets == (("class", "Class"),) and len(data.split_hash) == 64
    for word in ("80 of 24 x 24", "healthy", "ill", "binary-class", data.split_note):
        assert word in repr(data)


def test_counts_agree_with_counting(folder):
    data = open_dataset(DataConfig(str(folder), size=24))
    counts = data.counts()
    assert list(counts.index) == ["healthy", "ill", "total"] and list(counts.columns) == ["train", "val", "test", "total"]
    for k, name in enumerate(data.class_names):
        for split in ("train", "val", "test"):
            assert counts.loc[name, split] == sum((data.labels == k) & (data.table["split"] == split))
    assert (counts.loc["total"] == counts.iloc[:-1].sum()).all() and (counts["total"] == counts.iloc[:, :3].sum(axis=1)).all()


@pytest.mark.parametrize("resize", ["pad", "stretch", "crop"])
@pytest.mark.parametrize("channels", [0, 1, 3])
def test_training_and_a_dropped_file_see_the_same_pixels(folder, resize, channels):
    data = open_dataset(DataConfig(str(folder), size=24, resize=resize, channels=channels))
    for i in (0, 41, 79):
        dropped = decode_image((folder / data.table["path"][i]).read_bytes()).pixels
        np.testing.assert_array_equal(fit(dropped, data.size, data.resize, data.channels), data.images[i])


def test_another_split_needs_no_new_store(folder):
    data = open_dataset(DataConfig(str(folder), size=24))
    assert is_ready(DataConfig(str(folder), size=24, split="image", split_seed=5))
    assert not is_ready(DataConfig(str(folder), size=32)) and not is_ready(DataConfig("no such thing"))
    other = open_dataset(DataConfig(str(folder), size=24, split="image", split_seed=5))
    assert other.images.filename == data.images.filename and other.split_hash != data.split_hash


@pytest.mark.parametrize("name, words", [("brestmnist", "Did you mean breastmnist?"), ("nowhere/at/all", "nowhere"),
                                         ("x" * 5000, "cannot be opened"), ("a\0b", "a")])
def test_an_unknown_name_is_answered_in_words(name, words):
    with pytest.raises(LightboxError, match=words.replace("?", r"\?")) as caught:
        open_dataset(DataConfig(name))
    assert caught.value.code == "dataset.unknown"


def test_kinds_of_files_that_are_not_read_yet(tmp_path):
    (tmp_path / "labels.docx").write_text("a,b\n")
    with pytest.raises(LightboxError) as caught:
        open_dataset(DataConfig(str(tmp_path / "labels.docx")))
    assert caught.value.code == "dataset.unsupported"


def test_an_unknown_target_names_those_that_there_are(folder):
    with pytest.raises(LightboxError, match="Targets: class") as caught:
        open_dataset(DataConfig(str(folder), size=24, target="age"))
    assert caught.value.code == "dataset.target"


def test_the_list_is_quick_and_complete():
    list_datasets()
    start = time.perf_counter()
    infos = list_datasets()
    assert time.perf_counter() - start < 0.05
    assert [i.name for i in infos] == list(DATASETS) and infos[0].name == "phantom" and len(infos) == 14
    for info in infos:
        assert info.title and info.description[-1] in ".?" and (info.available or info.how_to_get)


def test_nothing_heavy_is_imported():
    program = ("import sys; from core.datasets import list_datasets; list_datasets(); "
               "print([m for m in ('torch', 'sklearn', 'medmnist', 'torchvision', 'streamlit', 'scipy') if m in sys.modules])")
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "[]"


def test_a_real_folder_opens_again_in_50_ms(real_data):
    config = DataConfig(str(real_data / "medmnist/pneumonia_28.npz"), size=28)
    open_dataset(config)
    times = []
    for _ in range(5):
        start = time.process_time()
        open_dataset(config)
        times.append(time.process_time() - start)
    assert min(times) < 0.05


def test_the_phantom_opens_with_patients_apart_and_its_truth_at_hand(monkeypatch):
    from core.datasets import phantom
    small = phantom.PhantomConfig(patients=30)
    entry = dataclasses.replace(DATASETS["phantom"], source=lambda data: phantom.PhantomSource(small))
    monkeypatch.setitem(DATASETS, "phantom", entry)
    data = open_dataset(DataConfig("phantom", size=32))
    assert data.images.shape[1:] == (32, 32, 1) and len(data.targets) == 2
    assert data.table.groupby("patient")["split"].nunique().max() == 1
    assert data.class_names == list_datasets()[0].class_names
    i = int(np.flatnonzero(data.labels == 1)[0])
    assert data.mask(i).any() and data.mask(i).shape == data.original(i).shape[:2]
    whole = fit(data.original(i), 32).astype(int)      # made small at once, yet the same picture
    assert np.corrcoef(whole.ravel(), data.images[i].ravel())[0, 1] > 0.95
    parts = open_dataset(DataConfig("phantom", size=32, target="body_part"))
    assert len(parts.class_names) == 3 and parts.images.filename == data.images.filename
