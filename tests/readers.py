"""Several tiny networks of one set, for the tests of ensembles: seeds, another size, two experts, three folds. Trained once."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from core.config import RunConfig
from core.runs.store import Run, RunStore
from core.worker import queue_worker
from tests.judged import CPU

N = 180


def write_set(folder: Path) -> Path:
    """A folder with images and a table of label, patient (two images each) and side: a bright square says the class; on the right
    side it stands elsewhere."""
    rng = np.random.default_rng(0)
    rows = []
    (folder / "images").mkdir(parents=True)
    for i in range(N):
        label, side = int(rng.integers(2)), "LR"[i // 2 % 2]
        image = rng.integers(0, 150, (28, 28), dtype=np.uint8)
        image[0:6, 20:28] = 230 if side == "L" else 20
        top = 6 if side == "L" else 16
        image[top:top + 6, 4 + 10 * label:10 + 10 * label] = 210
        cv2.imwrite(str(folder / "images" / f"{i:03}.png"), image)
        rows.append((f"images/{i:03}.png", ("normal", "abnormal")[label], f"p{i // 2:03}", side))
    pd.DataFrame(rows, columns=["image", "label", "patient", "side"]).to_csv(folder / "labels.csv", index=False)
    return folder


BASE = {"data.size": 28, "model.name": "small_cnn", "optim.lr": 3e-3, "train.epochs": 2, "train.batch_size": 16,
        "train.device": "cpu", "train.threads": 1, "train.precision": "float32", "data.val_fraction": 0.25}
RUNS = {"a": {"train.seed": 0}, "b": {"train.seed": 1}, "c": {"train.seed": 2}, "small": {"data.size": 20, "data.channels": 3},
        "left": {"data.only": "side:L"}, "right": {"data.only": "side:R"},
        **{f"fold {k}": {"data.folds": 3, "data.fold": k} for k in range(3)}, "other split": {"data.split_seed": 5},
        "snapshots": {"train.epochs": 4, "train.snapshots": 2, "optim.schedule": "cyclic", "optim.cycles": 2,
                      "augment.rotate": 10.0, "augment.flip": 0.5}}


@pytest.fixture(scope="session")
def trained_readers(tmp_path_factory) -> Path:
    """A home with a finished run for each of RUNS, named so."""
    home = tmp_path_factory.mktemp("readers")
    folder = write_set(tmp_path_factory.mktemp("set") / "sides")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_HOME", str(home))
        patch.setattr("core.runs.store.machine", lambda: CPU)
        store = RunStore(home)
        for name, changes in RUNS.items():
            run = store.create(RunConfig().with_(**(BASE | {"data.dataset": str(folder), "name": name} | changes)))
            store.queue.claim("cpu")
            queue_worker.train_run(run, home)
            assert run.status().state == "finished", run.log()
    return home


@pytest.fixture
def readers(trained_readers, tmp_path, monkeypatch) -> dict[str, Run]:
    """name -> run, in a home of its own, so that a test may break it."""
    home = tmp_path / "home"
    shutil.copytree(trained_readers, home)
    monkeypatch.setenv("LIGHTBOX_HOME", str(home))
    monkeypatch.setattr("core.runs.store.machine", lambda: CPU)
    return {run.config.name: run for run in RunStore(home).list()}
