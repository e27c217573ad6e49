"""Runs that were never trained, in any state, and the pages about training without a browser."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from streamlit.testing.v1 import AppTest

from core.files import write_json
from core.runs.run import Progress
from core.runs.store import Run, RunStore
from tests.drawn import Drawn, charts
from tests.tiny import tiny_config

APP = Path(__file__).parents[1] / "pages" / "main.py"
CPU = {"devices": [{"device": "cpu", "name": "2 CPU cores", "memory_bytes": 1}]}
WAY = {"queued": (), "starting": ("starting",), "running": ("starting", "running"),
       "stopping": ("starting", "running", "stopping"), "stopped": ("starting", "running", "stopping", "stopped"),
       "finished": ("starting", "running", "finished"),
       "failed": ("starting", "failed"), "interrupted": ("starting", "running", "interrupted")}


def no_machine(monkeypatch) -> list[str]:
    """Pages see a machine with a CPU, and no trainer is started. Returns the devices for which one would have been."""
    from pages.shared import preview, run_feed
    started: list[str] = []
    monkeypatch.setattr("core.runs.store.machine", lambda: CPU)
    monkeypatch.setattr("core.runs.preflight.machine", lambda: CPU)
    monkeypatch.setattr("pages.shared.preview.machine", lambda: CPU)
    monkeypatch.setattr("core.runs.store.start_worker", lambda root, device: started.append(device))
    for cached in (preview.devices, preview.ready, run_feed._recovered):
        cached.clear()
    return started


def open_page(page: str, **query: str) -> AppTest:
    """A page by its address, as a person who follows a link sees it."""
    at = AppTest.from_file(str(APP), default_timeout=60).run()
    at.query_params.update(query)
    at = at.switch_page(f"{page}/page.py").run()
    assert not at.exception, at.exception
    return at


def start_record(epoch: int = 0, step: int = 0, **more) -> dict:
    how = {"precision": "float32", "channels_last": True, "threads": 1,
           "tried": [{"threads": 1, "channels_last": True, "images_per_second": 134.6},
                     {"threads": 2, "channels_last": False, "images_per_second": 77.0}]}
    return {"kind": "start", "epoch": epoch, "step": step, "at": 0.0, "device": "cpu", "how": how, "parameters": 722370,
            "n_train": 96, "n_val": 24, "notes": ["The last layer is new."], **more}


def step_record(epoch: int, step: int, steps: int = 6, loss: float = 0.7, **more) -> dict:
    return {"kind": "step", "epoch": epoch, "step": step, "steps": steps, "loss": loss, "lr": 1e-3, "grad_norm": 2.0,
            "images_per_second": 134.6, "seconds_left": 9.0, **more}


def epoch_record(epoch: int, auc: float | None, best: bool = True, seconds: float = 3.0, **more) -> dict:
    return {"kind": "epoch", "epoch": epoch, "lr": 1e-3, "train_loss": 1 / epoch, "train_accuracy": 0.6,
            "val_loss": 1.2 / epoch, "val_accuracy": 0.75, "val_roc_auc": auc, "images_per_second": 120.0, "seconds": seconds,
            "is_best": best, "notes": [], **more}


def put_run(state: str = "finished", records: list[dict] = (), reason: str = "", tags: tuple[str, ...] = (), **changes) -> Run:
    """A run in a state, with records. Where a trainer must live the test has to hold its lock, else it reads as interrupted."""
    run = RunStore().create(tiny_config("phantom", **changes), tags=tags)
    for step in WAY[state]:
        run.change(step, reason if step == state else "")
    if state != "queued":
        run.queue.remove(run.id)
    for record in records:
        run.append(record)
    epochs = [r for r in records if r["kind"] == "epoch"]
    run.write_progress(Progress(phase="Training", epoch=len(epochs) + 1, epochs=run.config.train.epochs, step=3, steps=6,
                     images_per_second=134.6, seconds_left=9.0))
    if records:
        write_json(run.folder / "data.json", {
            "dataset": "phantom", "title": "Phantom", "task": "binary-class", "target": "finding",
            "class_names": ["normal", "<b>$x$"], "size": 28, "resize": "pad", "channels": 1, "fingerprint": "f",
            "split_hash": "s", "n": {"train": 96, "val": 24, "test": 24}, "split_note": "By patient."})
    return run


def text_of(at: AppTest) -> str:
    """All that stands on the page in words."""
    kinds = ("title", "header", "markdown", "caption", "info", "warning", "error", "metric", "code")
    return "\n".join(f"{getattr(e, 'label', '')} {getattr(e, 'value', '')}" for kind in kinds for e in at.get(kind))


def html_of(at: AppTest, part: str) -> str:
    """The HTML on the page that has this in it; "" where there is none."""
    return next((e.proto.body for e in at.get("html") if part in e.proto.body), "")


def curve(at: AppTest, title: str) -> tuple[pa.Table, Drawn, str]:
    """What a chart with this title was given: its table, the chart, its words."""
    chart = next(iter(charts(at, f"{title} by epoch")), None)
    assert chart, f"no chart {title}"
    return chart.tables["curve"], chart, chart.alt
