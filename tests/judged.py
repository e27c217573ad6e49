"""A trained run for the tests of the pages that evaluate it, made once, and the pages themselves without a browser."""

from __future__ import annotations

import json
import shutil
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.runs import checkpoints
from core.runs.store import Run, RunStore
from core.worker import queue_worker
from tests.tiny import tiny_config, tiny_npz

APP = Path(__file__).parents[1] / "pages" / "main.py"
CPU = {"devices": [{"device": "cpu", "name": "CPU", "memory_bytes": 1}]}


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A home with one finished run: three epochs of SqueezeNet on bright squares."""
    home = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_HOME", str(home))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setattr("core.runs.store.machine", lambda: CPU)
        store = RunStore(home)
        run = store.create(tiny_config(tiny_npz(home, n=160), **{"train.epochs": 4, "optim.lr": 3e-3}))
        store.queue.claim("cpu")
        queue_worker.train_run(run, home)
        assert run.status().state == "finished", run.log()
    return home


@pytest.fixture
def run(trained, tmp_path, monkeypatch) -> Run:
    """The trained run in a home of its own, so that a test may break it."""
    home = tmp_path / "home"
    shutil.copytree(trained, home)
    monkeypatch.setenv("LIGHTBOX_HOME", str(home))
    return RunStore(home).list()[0]


def open_page(page: str, **query: str) -> AppTest:
    """A page by its address, as a person who follows a link sees it."""
    at = AppTest.from_file(str(APP), default_timeout=60).run()
    at.query_params.update(query)
    at = at.switch_page(f"{page}/page.py").run()
    assert not at.exception, at.exception
    return at


def press(at: AppTest, label: str) -> AppTest:
    at = next(button for button in at.button if button.label == label).click().run()
    assert not at.exception, at.exception
    return at


def stored_arrays(run: Run) -> dict[str, np.ndarray]:
    with np.load(run.folder / "predictions.npz") as stored:
        return dict(stored)


def store_arrays(run: Run, **arrays: np.ndarray) -> None:
    """Replace some of a run's stored predictions."""
    np.savez(run.folder / "predictions.npz", **stored_arrays(run) | arrays)


def plant(run: Run, split: str, labels: np.ndarray, probs: np.ndarray, patients: np.ndarray | None = None) -> None:
    """Replace a run's stored predictions on a split by others, for the same images."""
    ids = stored_arrays(run).get(f"{split}_image_ids", stored_arrays(run)["val_image_ids"])
    people = {} if patients is None else {f"{split}_patients": patients}
    store_arrays(run, **{f"{split}_labels": labels, f"{split}_probs": probs.astype(np.float32), f"{split}_image_ids": ids,
                         f"{split}_epoch": np.array(checkpoints.best_epoch(run.checkpoints))} | people)


def change_json(run: Run, file: str, /, **values: Any) -> None:
    """Replace some values of a run's config.json (by "section.field"), data.json or status.json."""
    path = run.folder / f"{file}.json"
    content = json.loads(path.read_text())
    for key, value in values.items():
        place = content["config"] if file == "config" else content
        *sections, field = key.split(".")
        for section in sections:
            place = place[section]
        place[field] = value
    path.write_text(json.dumps(content))


def another_run(run: Run, run_id: str, /, **settings: Any) -> Run:
    """Copy a run beside itself, with some other settings."""
    other = replace(run, folder=run.folder.with_name(run_id))
    shutil.copytree(run.folder, other.folder)
    change_json(other, "config", **settings)
    return other


def another_seed(run: Run) -> None:
    """Put beside a run an older copy that differs in nothing but its seed."""
    another_run(run, "20210101-000000-cafe", **{"train.seed": 7})


def rename_classes(run: Run, *names: str) -> None:
    change_json(run, "data", class_names=list(names))


def galleries(at: AppTest) -> list[dict]:
    """What the browser is told to show: the header of each gallery of the page, in order."""
    return [header for name, header in _elements(at) if name.endswith("lightbox_gallery")]


def maps(at: AppTest) -> list[dict]:
    return [header for name, header in _elements(at) if name.endswith("lightbox_map")]


def pairs(at: AppTest) -> list[dict]:
    """The pictures of the page Grad-CAM: as it is, and changed."""
    return [header for name, header in _elements(at) if name.endswith("lightbox_what_if")]


def matrices(at: AppTest) -> list[dict]:
    return [json.loads(e.proto.json) for e in at.get("bidi_component") if e.proto.component_name.endswith("lightbox_confusion")]


def _elements(at: AppTest):
    for element in at.get("bidi_component"):
        data = element.proto.bytes
        if data:
            length, = struct.unpack("<I", data[:4])
            yield element.proto.component_name, json.loads(data[4:4 + length])


def text_of(at: AppTest) -> str:
    """All that stands on the page in words."""
    kinds = ("title", "header", "subheader", "markdown", "caption", "info", "warning", "error", "html")
    return "\n".join(str(getattr(e, "value", "") or getattr(e.proto, "body", "")) for kind in kinds for e in at.get(kind))
