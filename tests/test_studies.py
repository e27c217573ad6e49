"""Learning curves and resolution studies: which runs belong on one line, and what each point says."""

import dataclasses
import statistics

import pandas as pd
import pytest

from core.config import KNOBS, DataConfig
from core.datasets import open_dataset
from core.evaluation import studies
from core.evaluation.studies import NATIVE, UNKNOWN, Member, also_differ, family, fold, is_study, members, native_side
from core.runs.store import RunStore
from core.runs.summary import RunSummary
from tests import judged
from tests.tiny import tiny_config

trained = judged.trained          # fixture
N = {"train": 100, "val": 20, "test": 30}


def member(id: str, native: int | None = 28, class_names=("a", "b"), n=(), dataset="/x/breastmnist.npz", **changes) -> Member:
    return Member(RunSummary(id, id, tiny_config(dataset, **changes), task="binary-class", class_names=class_names,
                             n=N | dict(n)), native)


def test_a_learning_curve_takes_what_differs_in_the_share_of_images_and_the_seed_alone():
    whole = member("whole")
    half, tenth = (member(i, n={"train": n}, **{"data.train_fraction": n / 100}) for i, n in (("half", 50), ("tenth", 10)))
    again = member("again", **{"train.seed": 7})
    others = [member("lr", **{"optim.lr": 0.5}), member("size", **{"data.size": 64}), member("fold", **{"data.split_seed": 3}),
              member("set", dataset="/x/pneumoniamnist.npz"), member("classes", class_names=("a", "c")),
              member("file", native=64, dataset="/x/breastmnist_64.npz")]
    found = members(whole, [*others, whole, again, half, tenth], "images")
    assert [m.id for m in found] == ["tenth", "half", "whole", "again"]
    assert is_study(found, "images") and not is_study([whole, again], "images")


def test_upsampled_images_stand_apart_from_those_that_had_the_size():
    small = member("28")
    blown = member("28 at 64", **{"data.size": 64})
    real = member("64", native=64, dataset="/y/breastmnist_64.npz", **{"data.size": 64})
    large = member("224 at 64", native=224, dataset="/x/breastmnist_224.npz", **{"data.size": 64})
    lost = member("lost", native=None, **{"data.size": 128})
    found = members(small, [small, blown, real, large, lost], "size")
    assert {m.id: m.kind for m in found} == {"28": NATIVE, "28 at 64": "upsampled 28", "64": NATIVE, "224 at 64": NATIVE,
                                             "lost": UNKNOWN}
    points = fold(found, "size", {m.id: (0.1 * i, None, None) for i, m in enumerate(found)})
    assert [(p.kind, p.x, sorted(p.values)) for p in points] == [
        (NATIVE, 28, ["28"]), (NATIVE, 64, ["224 at 64", "64"]), (UNKNOWN, 128, ["lost"]), ("upsampled 28", 64, ["28 at 64"])]
    assert is_study([blown, real], "size") and not is_study([real, large], "size") and not is_study([blown, real], "images")


def test_one_set_at_several_sizes_is_a_family_and_nothing_else_is():
    assert family("/a/breastmnist.npz") == family("/b/breastmnist_64.npz") == family("breastmnist_224.npz") == "breastmnist"
    assert family("/a/pneumonia_28.npz") == family("/a/pneumonia_64.npz")
    assert family("/a/knee_64") == "/a/knee_64" and family("/a/breastmnist_60.npz") == "breastmnist_60"


def test_seeds_are_folded_into_mean_and_standard_deviation():
    runs = [member(str(s), **{"train.seed": s}) for s in range(4)]
    values = {"0": (0.8, 0.7, 0.9), "1": (0.9, 0.8, 1.0), "2": (0.7, 0.6, 0.8), "3": (None, None, None)}
    point, = fold(runs, "images", values)
    assert set(point.values) == {"0", "1", "2"} and (point.low, point.high) == (None, None)
    assert point.mean == pytest.approx(statistics.mean((0.8, 0.9, 0.7)))
    assert point.spread == pytest.approx(statistics.stdev((0.8, 0.9, 0.7)))
    single, = fold(runs[:1], "images", values)
    assert (single.mean, single.spread, single.low, single.high) == (0.8, None, 0.7, 0.9)
    assert fold(runs, "images", {"0": (float("nan"), None, None)}) == []


def test_what_else_differs_between_chosen_runs_is_said():
    one, other = member("1"), member("2", **{"data.size": 64, "optim.lr": 0.5, "train.seed": 3, "train.batch_size": 8})
    assert also_differ([one, other], "size") == ["batch size", "learning rate"]
    fraction = KNOBS["data.train_fraction"].label.lower()
    assert also_differ([one, member("3", **{"data.train_fraction": 0.5})], "size") == [fraction]
    assert also_differ([one, member("3", **{"data.train_fraction": 0.5})], "images") == [] == also_differ([], "size")


def test_every_field_of_a_study_is_one_of_the_config():
    known = {*KNOBS, "name"}
    assert studies.REPEATS <= known and all(study.fields <= known for study in studies.STUDIES.values())


def test_the_size_of_the_originals_is_read_from_the_store(trained, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(trained))
    run = RunStore(trained).list()[0]
    assert native_side(run) == 28
    data = run.config.data
    assert open_dataset(DataConfig(**dataclasses.asdict(data))).table["width"].iloc[0] == "28"      # the oracle: the open set
    monkeypatch.setenv("LIGHTBOX_HOME", str(trained / "elsewhere"))
    assert native_side(run) is None


def test_the_size_of_oblong_originals_is_their_longer_side(trained, monkeypatch):
    sizes = pd.DataFrame({"width": ["30", "30", "80", ""], "height": ["20", "50", "60", ""]})
    monkeypatch.setattr(studies.pd, "read_csv", lambda *_, **__: sizes)
    assert native_side(RunStore(trained).list()[0]) == 50                      # the middle one of 30, 50 and 80


def test_runs_that_were_judged_on_other_numbers_of_images_are_no_study():
    whole, half = member("whole"), member("half", n={"train": 50}, **{"data.train_fraction": 0.5})
    for split in ("val", "test"):
        other = member("other", n={"train": 50, split: 19}, **{"data.train_fraction": 0.5})
        assert [m.id for m in members(whole, [whole, half, other], "images")] == ["half", "whole"], split
