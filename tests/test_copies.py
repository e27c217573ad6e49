"""Copies: grouped as a plain search over a graph groups them, kept together or apart by the split, counted, and evaluated."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.__main__ import main
from core.audit import audit
from core.config import DataConfig
from core.datasets import inspection, open_dataset
from core.datasets.groups import contradicting_groups, copy_groups, join_groups
from core.datasets.inspection import DuplicatePair, inspect, inspection_file, kept_inspection
from core.datasets.scan import untrained_notes
from core.datasets.source import Target
from core.datasets.splits import make_split, misspelt_sentences
from core.errors import LightboxError
from core.evaluation.copies import copied_images, evaluate_copies
from core.evaluation.evaluate import evaluate
from core.evaluation.predictions import Predictions
from core.metrics import wilson_interval
from core.metrics.estimates import estimate
from core.runs.store import Run, RunStore
from core.worker import queue_worker
from tests.copied import NAMES, write_set
from tests.followed import no_machine, text_of
from tests.judged import open_page
from tests.tiny import tiny_config


def table_of(n: int, patients: list[str] | None = None, parts: list[str] | None = None) -> pd.DataFrame:
    return pd.DataFrame({"image_id": [f"i{k}" for k in range(n)], "patient": patients or [""] * n, "study": "",
                         "split": parts or [""] * n})


# -------------------------------------------------------------------------------------------------------------- groups

def test_groups_are_those_of_a_walk_through_the_graph():
    rng = np.random.default_rng(0)
    for n in (1, 7, 60):
        pairs = [DuplicatePair(*map(int, pair), "near", 3) for pair in rng.integers(0, n, (n // 2, 2))]
        patient = rng.integers(0, max(1, n // 2), n)
        near = {k: {k} for k in range(n)}
        for pair in pairs:
            near[pair.a].add(pair.b), near[pair.b].add(pair.a)
        for group, also in ((copy_groups(n, pairs), ()), (join_groups(patient, copy_groups(n, pairs)), patient)):
            for k in range(n):
                seen, todo = set(), [k]
                while todo:
                    one = todo.pop()
                    if one not in seen:
                        seen.add(one)
                        todo += near[one] | ({j for j in range(n) if also[j] == also[one]} if len(also) else set())
                assert set(np.flatnonzero(group == group[k]).tolist()) == seen


def test_groups_whose_labels_differ_are_counted():
    copies = np.array([0, 0, 1, 1, 2, 2, 3])
    assert contradicting_groups(copies, np.array([0, 0, 0, 1, 1, -1, 1])) == 1
    assert contradicting_groups(copies, np.array([[0, 1], [1, 1], [0, 0], [0, 0], [1, -1], [1, 0], [0, 0]])) == 1


# --------------------------------------------------------------------------------------------------------------- splits

def test_a_split_by_copies_divides_neither_copies_nor_patients():
    rng = np.random.default_rng(1)
    copies, patient = rng.integers(0, 150, 300), rng.integers(0, 220, 300)
    table, labels = table_of(300, [f"p{p}" for p in patient]), rng.integers(0, 2, 300)
    made = make_split(table, labels, NAMES, DataConfig(split="copies"), copies).split
    joined = join_groups(patient, copies)
    for group in (copies, patient, joined):
        assert pd.Series(made).groupby(group).nunique().max() == 1
    by_patient = make_split(table, labels, NAMES, DataConfig(split="patient"), copies)
    assert pd.Series(by_patient.split).groupby(copies).nunique().max() > 1, "which alone does not do it"
    folds = [make_split(table, labels, NAMES, DataConfig(split="copies", folds=3, fold=k), copies).split for k in range(3)]
    assert all(pd.Series(one).groupby(joined).nunique().max() == 1 for one in folds)


@pytest.mark.parametrize("copies, kept", [("keep", False), ("together", True)])
def test_validation_that_is_cut_out_of_training_keeps_copies_together_when_asked(copies, kept):
    groups = np.arange(120) // 3
    table = table_of(120, parts=["train"] * 90 + ["test"] * 30)
    config = DataConfig(copies=copies, val_fraction=0.2)
    made = make_split(table, np.arange(120) % 2, NAMES, config, groups if config.needs_copies else None).split
    assert (made[90:] == "test").all() and (made == "val").sum() == pytest.approx(24, abs=8)
    assert (pd.Series(made).groupby(groups).nunique().max() == 1) == kept


def test_of_each_group_one_is_kept_and_of_an_official_test_set_first():
    groups = np.array([0, 0, 1, 1, 2, 3, 4, 4, 4, 5, 6, 7] + list(range(8, 40)))
    parts = ["train", "test", "train", "train", "test", "train", "train", "test", "test", "train", "val", "val"] + ["train"] * 32
    made = make_split(table_of(44, parts=parts), np.arange(44) % 2, NAMES, DataConfig(copies="first"), groups)
    assert [k for k, part in enumerate(made.split) if not part] == [0, 3, 6, 8]
    assert "4 copies are in no part" in made.note and "None of the 3 test images has a copy in training." in made.note
    new = make_split(table_of(44, parts=parts), np.arange(44) % 2, NAMES, DataConfig(split="image", copies="first"), groups).split
    assert (new == "").sum() == 44 - 40 and pd.Series(new[new != ""]).groupby(groups[new != ""]).size().max() == 1


def test_what_has_no_known_label_is_in_no_part():
    labels = np.array([0, 1] * 30 + [-1] * 5)
    made = make_split(table_of(65), labels, NAMES, DataConfig())
    assert (made.split[60:] == "").all() and (made.split[:60] != "").all() and "5 images have no known label" in made.note


def test_too_few_groups_are_said_as_groups():
    with pytest.raises(LightboxError) as caught:
        make_split(table_of(6), np.array([0, 1] * 3), NAMES, DataConfig(split="copies"), np.zeros(6, int))
    assert caught.value.code == "split.too_few" and "1 group" in str(caught.value)


# ------------------------------------------------------------------------------------------------------ searched once, kept

@pytest.fixture
def planted(tmp_path, lightbox_home) -> tuple[Path, np.ndarray]:
    """36 images: 8 pictures three times, 12 once."""
    groups = sorted([k for k in range(8)] * 3 + list(range(8, 20)))
    return write_set(tmp_path / "set", groups), np.array(groups)


def test_the_search_runs_once_and_a_damaged_file_is_searched_anew(planted, monkeypatch):
    data = open_dataset(DataConfig(str(planted[0]), size=32))
    assert kept_inspection(data) is None
    first, path, search = inspect(data), inspection_file(data), inspection.summarise_pixels
    assert copy_groups(len(data), first.duplicates).max() + 1 == 20 and len(first.duplicates) == 24
    calls = []
    monkeypatch.setattr(inspection, "summarise_pixels", lambda *args: calls.append(1) or search(*args))
    assert inspect(open_dataset(DataConfig(str(planted[0]), size=32, split="copies"))) == first and not calls
    whole = path.read_bytes()
    other = json.loads(whole) | {"images": 35}
    for damaged in (b"", b"[]", whole[:-9], whole.replace(b"exact", b"near", 1), whole.replace(b'"version": 1', b'"version": 0'),
                    json.dumps(other).encode(), b"[" * 100_000):
        calls.clear()
        path.write_bytes(damaged)
        inspection._read.cache_clear()
        assert inspect(data) == first and calls == [1] and path.read_bytes() == whole, damaged[:60]


def test_the_command_line_says_the_number_and_lists_what_it_says(planted, tmp_path, capsys):
    folder, _ = planted
    main(["audit", str(folder), "--set", "data.size=32", "--json"])
    facts = json.loads(capsys.readouterr().out)
    data = open_dataset(DataConfig(str(folder), size=32))
    group, train = copy_groups(36, inspect(data).duplicates), data.indices("train")
    expected = {part: int(np.isin(group[data.indices(part)], group[train]).sum()) for part in ("val", "test")}
    assert {part: facts[part]["copies_in_train"] for part in expected} == expected and sum(expected.values()) > 0
    assert facts["duplicate_groups"] == 8 and len(facts["duplicates"]) == 24
    for flags, listed in (([], 20), (["--all"], 24)):
        main(["audit", str(folder), "--set", "data.size=32", *flags, "--csv", str(tmp_path / "pairs.csv")])
        out = capsys.readouterr().out
        assert sum(line.startswith("  exact:") for line in out.splitlines()) == listed
        assert ("and 4 more pairs" in out) == (listed == 20) and "24 pairs of duplicates in 8 groups" in out
        assert f"{expected['test']:,} of {facts['test']['n']:,} test images" in out
    rows = list(csv.DictReader(io.StringIO((tmp_path / "pairs.csv").read_text())))
    assert len(rows) == 24 and all(row["kind"] == "exact" and row["image"] != row["other_image"] for row in rows)


def test_files_that_cannot_be_read_are_said_on_the_command_line(planted, capsys):
    for k in range(7):
        (planted[0] / "a" / f"broken{k}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(90))
    main(["audit", str(planted[0]), "--set", "data.size=32"])
    said = capsys.readouterr().err
    assert "7 files" in said and "broken0.png" in said and "and 2 more" in said


# ------------------------------------------------------------------------------------------------------------- evaluation

def test_metrics_without_copies_are_those_of_the_others(planted):
    """All with a copy right, of the others 3 of 4: the closed forms of both accuracies and their intervals."""
    data = open_dataset(DataConfig(str(planted[0]), size=32, split="image", val_fraction=0.3, test_fraction=0.3))
    rows = data.indices("test")
    ids = data.table["image_id"].iloc[rows].tolist()
    assert copied_images(data, ids) is None, "nobody has searched yet"
    group = copy_groups(36, inspect(data).duplicates)
    copied = np.isin(group[rows], group[data.indices("train")])
    assert copied_images(data, [*ids, "unknown"]).tolist() == [*copied.tolist(), False] and 0 < copied.sum() < len(rows)
    labels = data.labels[rows]
    wrong = np.flatnonzero(~copied)[::2]
    pred = labels.copy()
    pred[wrong] = 1 - pred[wrong]
    probs = np.eye(2)[pred] * 0.8 + 0.1
    every, _ = estimate(labels, probs, "binary-class", each=())
    found = evaluate_copies(Predictions(labels, probs, ids, 1), data, "test", "binary-class", every)
    n, k = len(rows), int((~copied).sum())
    assert (found.n, found.copied) == (n, copied.sum())
    assert found.every["accuracy"].value == pytest.approx(1 - len(wrong) / n)
    assert found.without["accuracy"].value == pytest.approx(1 - len(wrong) / k)
    assert found.without["accuracy"].interval == pytest.approx(wilson_interval(k - len(wrong), k))
    assert json.loads(json.dumps(found.as_dict()))["without"] == k


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A home with a run that learned random labels of noise by heart: 24 of its 48 test images are copies of training images, and
    so are the validation images, or the best epoch would be a matter of luck."""
    home, rng = tmp_path_factory.mktemp("memorised"), np.random.default_rng(3)
    coarse, labels = rng.integers(0, 235, (70, 4, 4), np.uint8), rng.integers(0, 2, 70).astype(np.uint8)
    images = np.kron(coarse, np.ones((1, 7, 7), np.uint8)) + rng.integers(0, 20, (70, 28, 28), np.uint8)
    rows = {"train": np.arange(40), "val": np.arange(24, 40), "test": np.r_[:24, 40:64]}
    np.savez(home / "noise.npz", **{f"{part}_{what}": values[of] for part, of in rows.items()
                                    for what, values in (("images", images), ("labels", labels[:, None]))})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_HOME", str(home))
        patch.setattr("core.runs.store.machine", lambda: {"devices": [{"device": "cpu", "name": "CPU", "memory_bytes": 1}]})
        store = RunStore(home)
        run = store.create(tiny_config(home / "noise.npz", **{"model.name": "cnn", "train.epochs": 12, "optim.lr": 3e-3,
                                                              "train.batch_size": 8}))
        store.queue.claim("cpu")
        queue_worker.train_run(run, home)
        assert run.status().state == "finished", run.log()
    return home


@pytest.fixture
def memorised(trained, tmp_path, monkeypatch) -> Run:
    """That run in a home of its own."""
    shutil.copytree(trained, tmp_path / "home")
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path / "home"))
    return RunStore(tmp_path / "home").list()[0]


def test_copies_in_training_inflate_the_accuracy_and_the_evaluation_says_so(memorised):
    run = memorised
    data = open_dataset(run.config.data)
    before = evaluate(run, "test")
    assert before.copies is None and "copies" not in {note.code for note in before.warnings}
    inspect(data)
    found = evaluate(run, "test")
    assert found.copies.copied == 24 and found.copies.n == 48
    assert found.value("accuracy") - found.copies.without["accuracy"].value > 0.1
    assert found.copies.every["accuracy"] == found.estimates["accuracy"]
    warning = next(note.text for note in found.warnings if note.code == "copies")
    assert "24 of 48 test images (50.0%)" in warning and f"{found.copies.without['accuracy'].value:.3f}" in warning


def test_the_page_shows_both_rows_once_somebody_has_searched(memorised, monkeypatch):
    no_machine(monkeypatch)
    evaluate(memorised, "test")
    at = open_page("evaluate", run=memorised.id, split="test")
    assert "not searched yet" in text_of(at)
    inspect(open_dataset(memorised.config.data))
    without = evaluate(memorised, "test").copies.without["accuracy"]
    at = open_page("evaluate", run=memorised.id, split="test")
    assert "24 of 48 test images (50.0%)" in text_of(at).replace("\\", "")
    frame = next(table.value for table in at.dataframe if "images" in table.value)
    assert f"{without.value:.3f} ({without.low:.3f} to {without.high:.3f})" == frame["accuracy"].iloc[1]


def test_a_report_and_the_command_line_have_both_columns(memorised, capsys):
    from core.report.html import report
    inspect(open_dataset(memorised.config.data))
    assert main(["evaluate", memorised.id, "--split", "test"]) == 0
    words = capsys.readouterr().out
    without = evaluate(memorised, "test").copies.without["accuracy"]
    assert "24 of 48 test images" in words and f"{without.value:.4f} ({without.low:.4f} to {without.high:.4f})" in words
    page = report(memorised, "test")
    assert "24 of 48 test images" in page and f"{without.value:.3f} ({without.low:.3f} to {without.high:.3f})" in page


# ------------------------------------------------------------------------------------------- classes that training lacks

def test_a_class_without_training_images_is_said_and_one_that_is_spelt_otherwise():
    target = Target("finding", "Finding", "multi-class", ("Pneumonia", "normal", "pneumonia"), np.array([0, 1, 1, 2]))
    notes = untrained_notes(target, np.array(["test", "test", "train", "train"], dtype=object))
    assert len(notes) == 2 and "Pneumonia" in notes[0] and "'pneumonia'" in notes[1]
    assert untrained_notes(target, np.array([""] * 4, dtype=object)) == []
    note = make_split(table_of(4, parts=["test", "val", "train", "train"]), target.labels, target.class_names, DataConfig()).note
    assert "No image of Pneumonia is in training." in note and notes[1] in note


@pytest.mark.parametrize("a, b, alike", [("No finding", "no_finding", 1), ("pnuemonia", "pneumonia", 1), ("normals", "Normal", 1),
                                         ("abnormal", "normal", 0), ("grade1", "grade2", 0), ("benign", "malignant", 0)])
def test_names_that_are_alike(a, b, alike):
    assert len(misspelt_sentences((a, b), np.array([0, 1]), np.array([1, 0]))) == alike


def test_an_audit_counts_what_is_known_only(planted):
    data = open_dataset(DataConfig(str(planted[0]), size=32, copies="first"))
    result = audit(data)
    assert result.n["left_out"] == 16 and result.groups == 0 and result.copied == {"val": 0, "test": 0}
