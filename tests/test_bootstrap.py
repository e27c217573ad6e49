"""Training images drawn by patient, with replacement: what is drawn, what stays, and that everything that trains takes it."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch

from core.config import DataConfig, RunConfig
from core.datasets import open_dataset
from core.datasets.bootstrap import draw_patients
from core.datasets.splits import make_split
from core.evaluation.neighbours import training_rows
from core.evaluation.predictions import load_predictions
from core.runs import checkpoints
from core.runs.names import default_name
from core.runs.sweep import expand
from core.trainers.batches import SplitData
from tests.test_splits import NAMES, cohort
from tests.test_worker import here, store  # noqa: F401
from tests.tiny import tiny_config


def draw(number, **changes):
    table, labels = cohort(400)
    return table, labels, make_split(table, labels, NAMES, DataConfig(split="patient", bootstrap=number, **changes))


def test_patients_are_drawn_whole_and_validation_and_test_stay():
    table, labels, made = draw(1)
    _, _, whole = draw(0)
    assert whole.times is None and (made.split == whole.split).all() and made.hash == whole.hash
    train = made.split == "train"
    per_patient = pd.Series(made.times[train]).groupby(table["patient"][train].to_numpy())
    assert per_patient.nunique().max() == 1 and not made.times[~train].any()
    assert per_patient.first().sum() == len(per_patient)              # as many patients as there are
    assert per_patient.first().max() > 1 and per_patient.first().min() == 0


def test_the_note_says_what_was_drawn():
    table, labels, made = draw(3)
    train = made.split == "train"
    patients = table["patient"][train]
    drawn = patients[made.times[train] > 0].nunique()
    n = patients.nunique()
    assert f"draw 3 (seed 0): {drawn:,} of {n:,} training patients were drawn ({drawn / n:.1%}; 63.3% are expected)" in made.note
    once, more, out = (int(mask.sum()) for mask in (made.times == 1, made.times > 1, train & (made.times == 0)))
    assert f"{once:,} are in training once, {more:,} more often, and {out:,} are out of bag" in made.note


def test_as_many_distinct_patients_are_drawn_as_the_formula_says():
    n, draws = 50, 400
    group = np.repeat(np.arange(n), 2).astype(str)
    distinct = [(draw_patients(group, 0, number)[::2] > 0).mean() for number in range(1, draws + 1)]
    expected = 1 - (1 - 1 / n) ** n
    # of the number of empty cells: (n (n - 1) (1 - 2/n)^n + n (1 - 1/n)^n - n^2 (1 - 1/n)^2n) / n^2
    variance = ((n - 1) * (1 - 2 / n) ** n + (1 - 1 / n) ** n) / n - (1 - 1 / n) ** (2 * n)
    assert abs(np.mean(distinct) - expected) < 4 * np.sqrt(variance / draws)
    assert np.std(distinct) == pytest.approx(np.sqrt(variance), rel=0.15)


def test_a_draw_is_a_function_of_seed_and_number():
    one, same, other, seed = (draw(number, split_seed=seed)[2].times for number, seed in ((1, 0), (1, 0), (2, 0), (1, 1)))
    assert (one == same).all() and (one != other).any() and (one != seed).any()


def test_a_class_that_no_drawn_patient_has_is_said():
    table = pd.DataFrame({"image_id": list("abcdefgh"), "patient": list("stuvwxyz"), "study": "",
                          "split": ["train"] * 6 + ["val", "test"]})
    labels = np.array([0, 0, 0, 0, 0, 1, 0, 1])
    for number in range(1, 30):
        made = make_split(table, labels, NAMES, DataConfig(bootstrap=number))
        assert (f"No image of {NAMES[1]} is in training" in made.note) == (made.times[5] == 0)


def test_an_open_set_gives_what_was_drawn_to_whatever_trains(store):  # noqa: F811
    config = tiny_config(store.root / "tiny.npz", **{"data.bootstrap": 2}).data
    data, whole = open_dataset(config), open_dataset(tiny_config(store.root / "tiny.npz").data)
    rows = data.indices("train")
    assert len(rows) == 96 and (np.diff(rows) >= 0).all() and len(np.unique(rows)) < 80      # no patients: images are drawn
    assert (np.bincount(rows, minlength=len(data)) == data.times).all()
    assert (data.part("train") == whole.indices("train")).all() and (data.indices("val") == whole.indices("val")).all()
    assert data.counts().equals(whole.counts()) and data.split_hash == whole.split_hash
    split = SplitData.of(data, "train")
    assert (split.labels == data.labels[rows]).all() and (training_rows(data) == np.unique(rows)).all()


@pytest.mark.parametrize("changes", [{}, {"model.freeze": "all", "model.name": "squeezenet1_1", "augment.flip": 0.5},
                                     {"train.sampling": "balanced", "train.class_weights": True, "model.normalise": "own"}],
                         ids=["plain", "frozen", "balanced"])
def test_runs_of_two_draws_end_in_other_weights_and_predict_the_same_images(store, changes):  # noqa: F811
    config = tiny_config(store.root / "tiny.npz", **{"model.name": "small_cnn", "train.epochs": 1, **changes})
    runs = [here(store, one) for one in expand(config, {"data.bootstrap": [1, 2]})]
    assert [run.status().state for run in runs] == ["finished"] * 2, runs[0].log()
    a, b = (checkpoints.load_epoch(run.checkpoints, 1).weights for run in runs)
    assert any(not torch.equal(a[name], b[name]) for name in a)
    assert load_predictions(runs[0], "val").image_ids == load_predictions(runs[1], "val").image_ids
    about = [run.data() for run in runs]
    assert about[0]["split_hash"] == about[1]["split_hash"] and "draw 2 (seed 0)" in about[1]["split_note"]
    data = open_dataset(runs[0].config.data)
    assert about[0]["n"]["train"] == 96
    assert about[0]["counts"]["train"] == np.bincount(data.labels[data.indices("train")]).tolist()


def test_names_say_which_draw():
    base = RunConfig()
    assert default_name(base.with_(**{"data.bootstrap": 2})) == f"{default_name(base)}, bootstrap draw 2"
    names = [config.name for config in expand(base, {"data.bootstrap": ["1", "2"], "train.seed": [0, 1]})]
    assert names == [f"{default_name(base)}, bootstrap draw {k}, seed {seed}" for k, seed in itertools.product((1, 2), (0, 1))]
    assert [c.name for c in expand(base.with_(name="Readers"), {"data.bootstrap": [1, 2]})] == ["Readers, bootstrap draw 1",
                                                                                                "Readers, bootstrap draw 2"]
