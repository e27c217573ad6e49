"""The audit against a set whose truth is known: it finds the copies that were planted, all of them and no others."""

from __future__ import annotations

import dataclasses
import json

import pandas as pd
import pytest

from core.audit import audit, overlaps
from core.config import DataConfig
from core.datasets import open_dataset
from core.datasets.custom import CustomDataset, save_custom_dataset
from core.datasets.formats import options_to_json
from core.datasets.phantom import PhantomConfig
from core.datasets.phantom.export import Plan, export
from core.datasets.phantom.source import truth_table

CONFIG = PhantomConfig(seed=3, patients=20, copies=0.4, two_numbers=0.5, wrong_labels=0.2, letters=0.5, sites=0.5,
                       truth=False)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """The set under a name of its own, opened, its audit, and the truth about it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_HOME", str(tmp_path_factory.mktemp("home")))
        save_custom_dataset(CustomDataset("riddle", "A riddle", "phantom", "", json.loads(json.dumps(options_to_json(CONFIG)))))
        data = open_dataset(DataConfig("riddle", size=64))
        yield data, audit(data), truth_table(CONFIG)


def test_it_finds_the_planted_copies_and_no_others(planted):
    data, found, truth = planted
    assert data.title == "A riddle" and "copy_of" not in data.table
    copies = truth[truth["copy_of"] != ""]
    ids = data.table["image_id"]
    expected = {frozenset((row.image_id, row.copy_of)): "exact" if row.copy_how == "exact" else "near"
                for row in copies.itertuples()}
    seen = {frozenset((ids[pair.a], ids[pair.b])): pair.kind for pair in found.duplicates}
    assert seen == expected and len(seen) == len(found.duplicates) > 30
    assert not any(pair.mirrored for pair in found.duplicates)


def test_it_counts_them_by_split_and_label(planted):
    _, found, truth = planted
    rows = truth.set_index("image_id")
    copies = truth[truth["copy_of"] != ""]
    across = copies[copies["split"].to_numpy() != rows.loc[copies["copy_of"], "split"].to_numpy()]
    said = found.to_json()
    for part in ("val", "test"):
        for kind in ("exact", "near"):
            some = across[(across["copy_how"] == "exact") == (kind == "exact")]
            images = {name for pair in zip(some["image_id"], some["copy_of"]) for name in pair}
            assert said[part][f"{kind}_duplicates"] == (rows.loc[list(images), "split"] == part).sum() > 0
    label = (rows["finding"] != "none").to_dict()
    contradicting = sum(label[row.image_id] != label[row.copy_of] for row in copies.itertuples())
    assert sum(map(found.contradicts, found.duplicates)) == contradicting > 0


def test_a_set_without_copies_has_none(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    save_custom_dataset(CustomDataset("clean", "Clean", "phantom", "", {"patients": 10, "markers": True}))
    assert audit(open_dataset(DataConfig("clean", size=64))).duplicates == ()


def test_somebody_with_two_numbers_is_seen_as_soon_as_the_table_says_so(planted, tmp_path, monkeypatch):
    """By patient numbers nobody is on both sides. Read with the column person as the patient, the audit counts them exactly."""
    _, found, truth = planted
    assert found.overlaps["val"].patients == found.overlaps["test"].patients == 0
    monkeypatch.setattr("core.datasets.phantom.export.MIN_FOR_WORKERS", 1000)        # so few are made sooner here
    told = dataclasses.replace(CONFIG, patients=13, truth=True)
    table = export(Plan(told, "table", 32), tmp_path / "set")
    people = pd.read_csv(table, dtype=str, keep_default_na=False)
    trained = set(people["person"][people["split"] == "train"])
    from core.datasets.table import TableOptions
    reading = TableOptions(labels=("label",), patient="person", study="study")
    save_custom_dataset(CustomDataset("people", "People", "table", str(table), json.loads(json.dumps(options_to_json(reading)))))
    data = open_dataset(DataConfig("people", size=32))
    for part, overlap in overlaps(data.table, data.table["split"].to_numpy()).items():
        shared = people["person"][people["split"] == part].isin(trained)
        assert overlap.patients == shared.sum() > 0 and overlap.patient_share == pytest.approx(shared.mean())
