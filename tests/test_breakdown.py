"""The part "Groups and patients" of Evaluate: by study and patient, by any column, experts on their own part."""

import csv
import dataclasses
import json
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from core import checkpoints, metrics
from core.datasets import open_dataset
from core.runs import Run
from tests import judged
from tests.judged import open_page, text_of
from ui.breakdown import groups_of
from ui.filters import columns_of

run, trained = judged.run, judged.trained          # fixtures


@pytest.fixture
def people(run, tmp_path) -> Run:
    """The trained run, as if it had been trained on a set with patients, two studies of two views each, sites and ages."""
    folder = tmp_path / "people"
    folder.mkdir()
    rng, rows = np.random.default_rng(0), []
    for patient in range(24):
        for study in range(2):
            for view in range(2):
                name = f"p{patient:02}s{study}v{view}.png"
                cv2.imwrite(str(folder / name), rng.integers(0, 255, (28, 28), np.uint8))
                rows.append({"file": name, "label": ("well", "ill")[patient % 2], "patient": f"p{patient:02}", "study": study,
                             "age": 20 + 2 * patient, "site": ("north", "south")[patient % 4 // 2], "device": "one",
                             "split": "train" if patient < 4 else "val" if patient < 20 else "test"})
    with open(folder / "table.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return _as_if_on(run, folder / "table.csv")


def _as_if_on(run: Run, table) -> Run:
    about = json.loads((run.folder / "config.json").read_text())
    about["config"]["data"] |= {"dataset": str(table), "channels": 1, "split": "official"}
    (run.folder / "config.json").write_text(json.dumps(about))
    data = open_dataset(run.config.data)
    facts = {name: getattr(data, name) for name in ("title", "task", "target", "class_names", "size", "resize", "channels",
                                                    "fingerprint", "split_hash", "split_note")}
    facts |= {"dataset": str(table), "n": {split: len(data.indices(split)) for split in ("train", "val", "test")}}
    (run.folder / "data.json").write_text(json.dumps(facts))
    answer(run, data.indices("val"))
    return run


def answer(run: Run, rows: np.ndarray, seed: int = 0) -> None:
    """Store answers for these rows of the set as those on validation."""
    data, rng = open_dataset(run.config.data), np.random.default_rng(seed)
    labels = data.labels[rows]
    p = np.clip(0.5 + 0.15 * (2 * labels - 1) + rng.normal(0, 0.25, len(rows)), 0.01, 0.99)
    table = data.table.iloc[rows]
    np.savez(run.folder / "predictions.npz", val_labels=labels, val_probs=np.stack([1 - p, p], 1).astype(np.float32),
             val_image_ids=table["image_id"].to_numpy(str), val_epoch=np.array(checkpoints.best_epoch(run.checkpoints)))


def table_of(at, *columns: str):
    """The first table on the page with these columns."""
    return next(frame.value for frame in at.dataframe if set(columns) <= set(frame.value))


def test_each_group_is_judged_by_itself(people):
    at = open_page("evaluate", run=people.id, section="groups")
    table = table_of(at, "group", "sensitivity").set_index("group")
    data = open_dataset(people.config.data)
    with np.load(people.folder / "predictions.npz") as stored:
        labels, probs, ids = stored["val_labels"], stored["val_probs"], stored["val_image_ids"]
    site = data.table.set_index("image_id").loc[ids, "site"].to_numpy()
    assert set(table.index) == {"north", "south"}
    for group in table.index:
        of = site == group
        true = metrics.measure(labels[of], probs[of], "binary-class")
        row = table.loc[group]
        assert (row["n"], row["n_positive"]) == (of.sum(), labels[of].sum())
        for name in ("accuracy", "roc_auc", "sensitivity", "specificity", "cohen_kappa"):
            assert row[name].startswith(f"{true[name]:.2f}"), (group, name)
            assert " to " in row[name] or true[name] in (0, 1)
    assert "All of these images: device one" in text_of(at)            # a column with one value makes no groups


def test_kappa_by_study_and_by_patient_stands_beside_that_by_image(people):
    at = open_page("evaluate", run=people.id, section="groups")
    table = at.dataframe[0].value.set_index("group")
    data = open_dataset(people.config.data)
    with np.load(people.folder / "predictions.npz") as stored:
        answers = pd.DataFrame({"label": stored["val_labels"], "p": stored["val_probs"][:, 1].astype(float)},
                               index=stored["val_image_ids"]).join(data.table.set_index("image_id")[["patient", "study"]])
    counted = {"by image": answers, "by study": answers.groupby("study")[["label", "p"]].mean(),
               "by patient": answers.groupby("patient")[["label", "p"]].mean()}
    assert list(table.index) == list(counted) and list(table["n"]) == [64, 32, 16]
    for name, frame in counted.items():
        true = cohen_kappa_score(frame["label"], frame["p"] > 0.5)
        assert table.loc[name, "cohen_kappa"].startswith(f"{true:.3f}"), name


def test_numbers_are_cut_into_quarters(people):
    at = open_page("evaluate", run=people.id, section="groups")
    chosen = next(box for box in at.selectbox if box.label == "Column")
    assert set(chosen.options) >= {"Age", "Site"} and not set(chosen.options) & {"Patient", "Study", "Label", "Device", "Path"}
    ages = table_of(chosen.select("age").run(), "group", "sensitivity")
    assert list(ages["n"]) == [16] * 4 and list(ages["group"]) == ["28 to 34", "36 to 42", "44 to 50", "52 to 58"]


def test_quarters_of_a_column_with_gaps():
    ages = pd.DataFrame({"age": [str(age) for age in range(100)] + [""] * 4})
    groups = groups_of(ages["age"].to_numpy(), columns_of(ages)["age"])
    assert [groups.count(g) for g in ("0 to 24", "25 to 49", "50 to 74", "75 to 99", "")] == [25, 25, 25, 25, 4]
    sites = pd.DataFrame({"site": ["b", "a", "", "a"]})
    assert groups_of(sites["site"].to_numpy(), columns_of(sites)["site"]) == ["b", "a", "", "a"]


def test_every_expert_is_scored_on_its_own_part_and_beside_it_this_run_on_the_same_images(people):
    data = open_dataset(people.config.data)
    val = data.indices("val")
    north = val[data.table["site"].to_numpy()[val] == "north"]
    folder = people.folder.with_name("20260101-000000-aaaa")
    shutil.copytree(people.folder, folder)
    expert = dataclasses.replace(people, folder=folder)
    answer(expert, north[:20], seed=5)
    at = open_page("evaluate", run=people.id, section="groups")
    table = table_of(at, "network", "group")
    assert list(table["group"]) == ["north", "north"] and list(table["n"]) == [20, 20]
    with np.load(people.folder / "predictions.npz") as ours, np.load(folder / "predictions.npz") as theirs:
        common = np.isin(ours["val_image_ids"], theirs["val_image_ids"])
        true = [metrics.measure(a["val_labels"][kept], a["val_probs"][kept], "binary-class")["accuracy"]
                for a, kept in ((ours, common), (theirs, slice(None)))]
    assert [text[:4] for text in table["accuracy"]] == [f"{value:.2f}" for value in true]
    assert table["network"].iloc[0] == "this run"


def test_a_set_without_columns_and_one_that_is_gone_get_a_sentence(run):
    assert "no column that would cut" in text_of(open_page("evaluate", run=run.id, section="groups"))
    about = json.loads((run.folder / "config.json").read_text())
    about["config"]["data"]["dataset"] = "/nowhere/gone.npz"
    (run.folder / "config.json").write_text(json.dumps(about))
    at = open_page("evaluate", run=run.id, section="groups")
    assert at.metric and at.error            # the numbers stay; only the groups are missing
