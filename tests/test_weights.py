"""The classifiers that come with the app: small, whole, and as good as their cards say."""

import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from core.config import RunConfig
from core.datasets import decode_image, open_dataset
from core.datasets.phantom import PhantomSource
from core.errors import LightboxError
from core.metrics import accuracy, roc_auc
from core.runs.classifiers import SHIPPED, classify, list_classifiers, load_classifier
from tests.tiny import tiny_config, tiny_npz

NAMES = ("phantom-body-part", "pneumonia")


def claimed(name: str, column: int) -> float:
    """A number of the row "test" of the card."""
    row = next(line for line in (SHIPPED / name / "card.md").read_text().splitlines() if line.startswith("| test"))
    return float(re.match(r"\s*([\d.]+)", row.split("|")[column]).group(1))


@pytest.mark.parametrize("name", NAMES)
def test_each_is_small_has_a_card_and_its_settings(name):
    folder = SHIPPED / name
    assert (folder / "weights.safetensors").stat().st_size <= 6_000_000
    card = (folder / "card.md").read_text()
    assert all(word in card for word in ("Data", "Limits", "test", "not for clinical use", "ROC AUC"))
    assert RunConfig.from_json((folder / "config.json").read_text()).model.name == "squeezenet1_1"
    assert name in [info.address for info in list_classifiers() if info.shipped]


def test_it_knows_the_part_of_each_sample_and_of_fresh_test_patients():
    model = load_classifier("phantom-body-part").model
    for file in sorted((SHIPPED / "phantom-body-part" / "samples").glob("*.jpg")):
        answer = model.class_names[int(classify(model, [decode_image(file).pixels])[0].argmax())]
        assert answer == file.name.split("-")[0], file.name
    source = PhantomSource()
    index = source.scan()
    rows = np.flatnonzero(index.table["split"] == "test")[::12]
    probs = classify(model, [source.original(int(i)) for i in rows])
    assert accuracy(index.targets["body_part"].labels[rows], probs, "multi-class") >= claimed("phantom-body-part", 3) - 0.07


def test_pneumonia_is_as_good_as_its_card_says(real_data):
    model = load_classifier("pneumonia").model
    data = open_dataset(RunConfig().with_(**{"data.dataset": str(real_data / "chest_pneumonia"), "data.size": 128,
                                             "data.resize": "stretch"}).data)
    rows = data.indices("test")
    probs = np.concatenate([classify(model, list(data.images[part])) for part in np.array_split(rows, 12)])
    assert accuracy(data.labels[rows], probs, data.task) == pytest.approx(claimed("pneumonia", 3), abs=0.004)
    assert roc_auc(data.labels[rows], probs, data.task) == pytest.approx(claimed("pneumonia", 5), abs=0.002)


def test_a_flipped_bit_in_shipped_weights_is_noticed(tmp_path, monkeypatch):
    import shutil
    shutil.copytree(SHIPPED / "pneumonia", tmp_path / "pneumonia")
    path = tmp_path / "pneumonia" / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[1_000_000] ^= 8
    path.write_bytes(data)
    monkeypatch.setattr("core.runs.classifiers.SHIPPED", tmp_path)
    with pytest.raises(LightboxError, match="checksum"):
        load_classifier("pneumonia")


def test_export_writes_what_ships_with_a_card_that_agrees_with_the_measures(tmp_path, monkeypatch):
    from core.evaluation.predictions import load_predictions
    from core.report.export import export
    from core.runs.store import RunStore
    from core.worker import queue_worker
    monkeypatch.setattr("core.runs.store.machine", lambda: {"devices": [{"device": "cpu", "name": "CPU", "memory_bytes": 1}]})
    store = RunStore()
    save_file({"features.0.bias": torch.ones(64)}, tmp_path / "start.safetensors")
    run = store.create(tiny_config(tiny_npz(tmp_path), **{"model.weights": f"file:{tmp_path / 'start.safetensors'}",
                                                          "train.monitor": "cohen_kappa"}))
    store.queue.claim("cpu")
    queue_worker.train_run(run, store.root)
    monkeypatch.setattr("core.runs.classifiers.SHIPPED", tmp_path / "weights")
    export(run, tmp_path / "weights" / "tiny", "Tiny", "Squares on noise.")
    found = load_predictions(run, "test")
    card = (tmp_path / "weights" / "tiny" / "card.md").read_text()
    assert f"| test | 24 | {accuracy(found.labels, found.probs, 'binary-class'):.3f} (" in card and "Squares on noise." in card
    assert "model.weights=file:start.safetensors" in card and "chosen by validation cohen kappa" in card
    assert str(tmp_path) not in "".join(p.read_text() for p in (tmp_path / "weights" / "tiny").glob("*.[jm]*"))
    a, b = load_classifier("tiny").model, load_classifier(run.id).model
    assert all((x == y).all() for x, y in zip(a.state_dict().values(), b.state_dict().values()))
