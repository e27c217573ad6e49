"""The part "Groups and patients" of Evaluate: by study and patient, by any column, experts on their own part."""

import csv
import dataclasses
import json
import shutil
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from core import metrics
from core.__main__ import main
from core.datasets import open_dataset
from core.evaluation import thresholds
from core.evaluation.predictions import Predictions, with_patients
from core.metrics.operating_points import Threshold
from core.runs import checkpoints
from core.runs.store import Run
from pages.evaluate import groups as breakdown
from pages.evaluate.groups import groups_of
from pages.shared.filters import columns_of
from pages.shared.layout import format_interval
from tests import judged
from tests.drawn import charts
from tests.judged import open_page, text_of

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


def image_table(at, *columns: str):
    """The first table on the page with these columns."""
    return next(frame.value for frame in at.dataframe if set(columns) <= set(frame.value))


def test_each_group_is_judged_by_itself(people):
    at = open_page("evaluate", run=people.id, section="groups")
    table = image_table(at, "group", "sensitivity").set_index("group")
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
    assert "All images: device one" in text_of(at)            # a column with one value makes no groups


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


def test_the_maximum_of_a_study_is_one_click_away(people, capsys):
    at = open_page("evaluate", run=people.id, section="groups")
    choice = at.segmented_control(key="group_pool")
    table = choice.set_value("max").run().dataframe[0].value.set_index("group")
    data = open_dataset(people.config.data)
    with np.load(people.folder / "predictions.npz") as stored:
        answers = pd.DataFrame({"label": stored["val_labels"], "p": stored["val_probs"][:, 1].astype(float)},
                               index=stored["val_image_ids"]).join(data.table.set_index("image_id")[["patient", "study"]])
    true = {}
    for unit in ("study", "patient"):
        frame = answers.groupby(unit)[["label", "p"]].max()
        true[unit] = cohen_kappa_score(frame["label"], frame["p"] > 0.5)
        assert table.loc[f"by {unit}", "cohen_kappa"].startswith(f"{true[unit]:.3f}")
    main(["evaluate", people.id, "--pool", "max", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["by_study"]["pool"] == "max" and found["by_study"]["cohen_kappa"]["value"] == pytest.approx(true["study"])
    assert found["by_patient"]["cohen_kappa"]["value"] == pytest.approx(true["patient"])
    assert main(["evaluate", people.id, "--pool", "max", "--on", "phantom"]) != 0 and "--pool" in capsys.readouterr().err


def test_numbers_are_cut_into_quarters(people):
    at = open_page("evaluate", run=people.id, section="groups")
    chosen = next(box for box in at.selectbox if box.label == "Column")
    assert set(chosen.options) >= {"Age", "Site"} and not set(chosen.options) & {"Patient", "Study", "Label", "Device", "Path"}
    ages = image_table(chosen.select("age").run(), "group", "sensitivity")
    assert list(ages["n"]) == [16] * 4 and list(ages["group"]) == ["28 to 34", "36 to 42", "44 to 50", "52 to 58"]


def test_quarters_of_a_column_with_gaps():
    ages = pd.DataFrame({"age": [str(age) for age in range(100)] + [""] * 4})
    groups = groups_of(ages["age"].to_numpy(), columns_of(ages)["age"])
    assert [groups.count(g) for g in ("0 to 24", "25 to 49", "50 to 74", "75 to 99", "")] == [25, 25, 25, 25, 4]
    days = pd.DataFrame({"days": [str(2**day) for day in range(20)]})      # of equal width they would hold 18, 1, 0 and 1
    groups = groups_of(days["days"].to_numpy(), columns_of(days)["days"])
    assert [groups.count(g) for g in ("1 to 16", "32 to 512", "1024 to 16384", "32768 to 524288")] == [5, 5, 5, 5]
    sites = pd.DataFrame({"site": ["b", "a", "", "a"]})
    assert groups_of(sites["site"].to_numpy(), columns_of(sites)["site"]) == ["b", "a", "", "a"]


def test_bands_of_numbers_stand_in_the_order_of_the_numbers(monkeypatch):
    found = [SimpleNamespace(group=group) for group in ("", "10 to 20", "5 to 9", "100 to 120")]     # as large as they come
    monkeypatch.setattr(breakdown, "_breakdown", lambda *_: found)
    column = columns_of(pd.DataFrame({"age": [str(age) for age in range(121)]}))["age"]
    rows = breakdown._rows(SimpleNamespace(run=None, split="", preds=None, metrics=(), patients=None,
                                           result=SimpleNamespace(positive=None)), column, [])
    assert [row.group for row in rows] == ["5 to 9", "10 to 20", "100 to 120", ""]


def test_every_expert_is_scored_on_its_own_part_and_beside_it_this_run_on_the_same_images(people):
    data = open_dataset(people.config.data)
    val = data.indices("val")
    north = val[data.table["site"].to_numpy()[val] == "north"]
    folder = people.folder.with_name("20260101-000000-aaaa")
    shutil.copytree(people.folder, folder)
    expert = dataclasses.replace(people, folder=folder)
    answer(expert, north[:20], seed=5)
    at = open_page("evaluate", run=people.id, section="groups")
    table = image_table(at, "network", "group")
    assert list(table["group"]) == ["north", "north"] and list(table["n"]) == [20, 20]
    with np.load(people.folder / "predictions.npz") as ours, np.load(folder / "predictions.npz") as theirs:
        common = np.isin(ours["val_image_ids"], theirs["val_image_ids"])
        true = [metrics.measure(a["val_labels"][kept], a["val_probs"][kept], "binary-class")["accuracy"]
                for a, kept in ((ours, common), (theirs, slice(None)))]
    assert [text[:4] for text in table["accuracy"]] == [f"{value:.2f}" for value in true]
    assert table["network"].iloc[0] == "this run"


def stored(run: Run) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Labels, probabilities and the rows of the table of the stored validation answers."""
    with np.load(run.folder / "predictions.npz") as arrays:
        labels, probs, ids = arrays["val_labels"], arrays["val_probs"], arrays["val_image_ids"]
    return labels, probs, open_dataset(run.config.data).table.set_index("image_id").loc[ids]


def cells_of(labels, probs, patients, threshold: float = 0.5) -> dict[str, str]:
    """What the table must show of these images, patients drawn again with all their images."""
    cells, _ = metrics.estimate(labels, probs, "binary-class", patients, each=(), names=breakdown.SHOWN, threshold=threshold,
                              draws=500)
    return {name: format_interval(one.value, one.low, one.high, 2) for name, one in cells.items()}


def test_groups_know_their_patients_and_the_threshold_that_is_frozen_meanwhile(people):
    labels, probs, known = stored(people)
    for threshold in (0.5, 0.65):
        at = open_page("evaluate", run=people.id, section="groups")
        everybody, _ = metrics.estimate(labels, probs, "binary-class", known["patient"], names=["roc_auc"], threshold=threshold)
        low, high = everybody["roc_auc"].interval
        assert f"95 % CI: {low:.3f} to {high:.3f}" in text_of(at), "the top of the page knows them too"
        table = image_table(at, "group", "sensitivity").set_index("group")
        for group in ("north", "south"):
            of = (known["site"] == group).to_numpy()
            want = cells_of(labels[of], probs[of], known["patient"].to_numpy()[of], threshold)
            assert table.loc[group, list(want)].to_dict() == want
            assert want != cells_of(labels[of], probs[of], None, threshold)
        thresholds.freeze(people, Threshold(0.65))


def test_the_dots_are_the_measure_of_each_group_beside_that_of_all(people):
    labels, probs, known = stored(people)
    at = open_page("evaluate", run=people.id, section="groups")
    at = next(box for box in at.selectbox if box.label == "Metric in the chart").select("specificity").run()
    chart, = charts(at, "Specificity by Site")
    for group in ("north", "south"):
        of = (known["site"] == group).to_numpy()
        want = metrics.measure(labels[of], probs[of], "binary-class")["specificity"]
        cells, _ = metrics.estimate(labels[of], probs[of], "binary-class", known["patient"].to_numpy()[of], each=(),
                                  names=["specificity"])
        assert f"{group} {want:.3f} ({cells['specificity'].low:.3f} to {cells['specificity'].high:.3f})" in chart.alt
    overall = metrics.measure(labels, probs, "binary-class")["specificity"]
    assert f"Specificity of all images, {overall:.3f}" in text_of(at)
    assert [row["value"] for row in chart.rows("overall")] == pytest.approx([overall])


def test_another_column_of_the_same_run_is_judged_anew_and_small_groups_are_named(people):
    at = open_page("evaluate", run=people.id, section="groups")
    assert "Fewer than" not in text_of(at)
    data = open_dataset(people.config.data)
    answer(people, data.indices("val")[:12])                              # three patients: 28, 30 and 32 years old
    at = open_page("evaluate", run=people.id, section="groups")
    assert set(image_table(at, "group", "sensitivity")["group"]) == {"north", "south"}
    at = next(box for box in at.selectbox if box.label == "Column").select("age").run()
    table = image_table(at, "group", "sensitivity")
    assert list(table["group"]) == ["28", "30", "32"] and list(table["n"]) == [4, 4, 4]
    assert "Fewer than 10 images: 28, 30, 32." in text_of(at)


def test_a_patient_with_two_labels_is_left_out_and_counted(people):
    with np.load(people.folder / "predictions.npz") as arrays:
        arrays = dict(arrays)
    arrays["val_labels"] = arrays["val_labels"].copy()
    arrays["val_labels"][:2] = 1 - arrays["val_labels"][:2]                # one study of the first patient
    np.savez(people.folder / "predictions.npz", **arrays)
    at = open_page("evaluate", run=people.id, section="groups")
    assert list(at.dataframe[0].value["n"]) == [64, 32, 15]
    assert "By patient, 1 of 16 are excluded" in text_of(at) and "By study" not in text_of(at)


def test_studies_of_two_patients_with_the_same_number_are_two():
    table = pd.DataFrame({"image_id": ["a", "b", "c", "d"], "patient": ["p", "q", "p", ""], "study": ["1", "1", "", "2"]})
    found = Predictions(np.zeros(5, int), np.zeros((5, 2)), ["d", "b", "not there", "a", "c"], 1)
    known = with_patients(found, SimpleNamespace(table=table))
    assert known.patients == ("", "q", "", "p", "p") and len(set(known.studies)) == 4
    assert known.studies[2] == known.studies[4] == "" and "" not in (known.studies[0], known.studies[1], known.studies[3])
    nobody = with_patients(found, SimpleNamespace(table=table[["image_id"]]))
    assert nobody.patients is None and nobody.studies is None


def test_two_experts_of_a_part_keep_their_own_numbers_and_others_are_none(people):
    data = open_dataset(people.config.data)
    val = data.indices("val")
    site = data.table["site"].to_numpy()[val]

    def other(name: str, rows: np.ndarray, seed: int, **facts) -> Run:
        folder = people.folder.with_name(f"20260101-000000-{name}")
        shutil.copytree(people.folder, folder)
        about = json.loads((folder / "config.json").read_text())
        about["config"]["name"] = name
        (folder / "config.json").write_text(json.dumps(about))
        (folder / "data.json").write_text(json.dumps(json.loads((folder / "data.json").read_text()) | facts))
        expert = dataclasses.replace(people, folder=folder)
        answer(expert, rows, seed)
        return expert
    north, south = val[site == "north"], val[site == "south"]
    found = [other("bbbb", south[::2], 5), other("cccc", south[5:28], 6)]
    other("dddd", north, 7, class_names=["left", "right"])                # asks something else
    other("eeee", np.r_[north[:9], south[:9]], 8)                         # knows both parts
    other("ffff", north[:9], 9, task="ordinal-regression")
    table = image_table(open_page("evaluate", run=people.id, section="groups"), "network", "group")
    labels, probs, known = stored(people)
    want = []
    for expert in sorted(found, key=lambda run: run.id, reverse=True):
        theirs, said, rows = stored(expert)
        patients = rows["patient"].to_numpy()
        ours = [known.index.get_loc(image) for image in rows.index]
        want += [("this run", cells_of(labels[ours], probs[ours], patients)["roc_auc"]),
                 (expert.name, cells_of(theirs, said, patients)["roc_auc"])]
    shown = list(zip(table["network"], table["roc_auc"]))
    assert sorted(shown) == sorted(want) and set(table["group"]) == {"south"} and len({cell for _, cell in want}) == 4


def test_a_set_without_columns_and_one_that_is_gone_get_a_sentence(run):
    assert "no column to group" in text_of(open_page("evaluate", run=run.id, section="groups"))
    about = json.loads((run.folder / "config.json").read_text())
    about["config"]["data"]["dataset"] = "/nowhere/gone.npz"
    (run.folder / "config.json").write_text(json.dumps(about))
    at = open_page("evaluate", run=run.id, section="groups")
    assert at.metric and at.error            # the numbers stay; only the groups are missing
