"""The phantom radiographs as a data set: who has which images, what is to be learned, and the pixels on demand."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import selectors
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from core.config import home
from core.datasets.phantom.cohort import DEFAULT, PhantomConfig, patient_of, splits, study_of
from core.datasets.phantom.plates import LONGEST, Plates
from core.datasets.phantom.render import render
from core.datasets.source import Index, Progress, Source, Target

VERSION = 3          # raise it when pixels change: stores and runs then know that these are other images

WORTH_A_PROCESS = 64  # fewer missing plates than this are made where they are needed


def table_of(config: PhantomConfig) -> pd.DataFrame:
    """A row an image: image_id "P0012-S1-V2", patient, study, view, path, split, body_part, finding, side, age, size."""
    rows = []
    for patient, split in enumerate(splits(config)):
        who = patient_of(config, patient)
        for study in range(who.studies):
            visit = study_of(config, patient, study)
            for view, projection in enumerate(visit.views):
                name = f"P{patient:04d}-S{study + 1}"
                rows.append({"image_id": f"{name}-V{view + 1}", "patient": f"P{patient:04d}", "study": name,
                             "view": projection.name, "path": "", "split": split, "body_part": visit.part,
                             "finding": visit.finding, "side": visit.side, "age": str(who.age), "size": f"{who.size:.2f}"})
    return pd.DataFrame(rows)


def numbers(image_id: str) -> tuple[int, int, int]:
    """(patient, study, view), from 0, of an image id: "P0012-S1-V2" -> (12, 0, 1)."""
    patient, study, view = image_id.split("-")
    return int(patient[1:]), int(study[1:]) - 1, int(view[1:]) - 1


class PhantomSource(Source):
    """The phantom radiographs as a source of images."""

    name = "phantom"
    title = "Phantom radiographs"
    description = ("X-rays of elbows, shoulders and wrists, made by this app from simple physics: about 2,400 images of 400 "
                   "patients who do not exist, with several studies and views each. A study is normal, or it shows a fracture, a "
                   "lytic lesion or a metal plate, and where that is, is known exactly. Not for clinical use.")
    licence = "Apache-2.0 (made by this app)"

    def __init__(self, config: PhantomConfig = DEFAULT):
        self.config = config

    def scan(self, progress: Progress | None = None) -> Index:
        """All images of the set, and the two things to learn from them: is there a finding, and which part is it."""
        table = self.table = table_of(self.config)
        if progress:
            progress("Listing the phantom patients", len(table), len(table))
        abnormal = (table["finding"] != "none").to_numpy().astype(np.int64)
        part = table["body_part"].map(self.config.parts.index).to_numpy().astype(np.int64)
        targets = [Target("abnormality", "Normal or abnormal", "binary-class", ("normal", "abnormal"), abnormal),
                   Target("body_part", "Part of the body", "multi-class", self.config.parts, part)]
        return Index(table, {target.name: target for target in targets})

    def _numbers(self, i: int) -> tuple[int, int, int]:
        return numbers(self._rows["image_id"].iloc[i])

    @property
    def _rows(self) -> pd.DataFrame:
        if self.table is None:
            self.table = table_of(self.config)
        return self.table

    def original(self, i: int) -> np.ndarray:
        """(H, W, 1) uint8 with the longer side of config.longest pixels."""
        return render(*self._numbers(i), config=self.config)[0][:, :, None]

    def at_size(self, i: int, longest: int) -> np.ndarray:
        """The image with at least `longest` pixels on its longer side, (H, W, 1) uint8: from its plate where that is enough."""
        if longest > LONGEST:
            return render(*self._numbers(i), size=longest, config=self.config)[0][:, :, None]
        return self.plates[i][:, :, None]

    def prepare(self, longest: int, progress: Progress) -> None:
        """Make the plates that are missing with all cores. Tracing is many small steps of numpy, which threads would wait for
        each other to do, so each core gets a process (`python -m core.datasets.phantom`)."""
        missing = [] if longest > LONGEST else [i for i in range(len(self._rows)) if self.plates.read(i) is None]
        if len(missing) < WORTH_A_PROCESS:
            return
        cores = os.cpu_count() or 1
        settings = json.dumps(dataclasses.asdict(self.config))
        makers = [subprocess.Popen([sys.executable, "-m", "core.datasets.phantom", settings, str(k), str(cores)], text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3],
                                   env={**os.environ, "LIGHTBOX_HOME": str(home())}) for k in range(cores)]
        try:
            with selectors.DefaultSelector() as waiting:
                for maker in makers:
                    waiting.register(maker.stdout, selectors.EVENT_READ)
                made, total = 0, len(missing)
                while waiting.get_map():
                    for ready, _ in waiting.select():
                        lines = os.read(ready.fd, 65536)         # a line an image; nothing when the process has ended
                        made += lines.count(b"\n")
                        if not lines:
                            waiting.unregister(ready.fileobj)
                    progress("Taking the X-rays", made, total)
        finally:
            for maker in makers:
                maker.kill()
                maker.wait()

    @cached_property
    def plates(self) -> Plates:
        return Plates(home() / "stores" / f"{self.fingerprint()}.plates",
                      lambda i: render(*self._numbers(i), size=LONGEST, config=self.config)[0])

    def mask(self, i: int) -> np.ndarray:
        """(H, W) bool over the original: rays that meet the finding; all False for a normal image."""
        return render(*self._numbers(i), config=self.config)[1]

    def fingerprint(self) -> str:
        """Version and settings, hashed: no pixel has to be made to know whether they changed."""
        settings = {"seed": 0, "patients": 400, "abnormal": 0.43, "longest": 512, "noise": True} | self.config.changed()
        text = json.dumps([VERSION, settings], sort_keys=True)          # the five that there were first are always in it
        return "phantom-" + hashlib.sha256(text.encode()).hexdigest()[:16]


def render_many(wanted: list[tuple[int, int, int]], size: int, config: PhantomConfig = DEFAULT,
                workers: int = 2) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """`render` for many (patient, study, view), in their order. Threads: the array work runs beside the rest of Python."""
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(lambda which: render(*which, size=size, config=config), wanted)


def samples(count: int, size: int = 224,
            config: PhantomConfig = DEFAULT) -> Iterator[tuple[np.ndarray, np.ndarray, dict]]:
    """The first `count` images of different studies that go round all body parts and findings: pixels, mask, table row."""
    table = table_of(config)
    groups = [group for _, group in table.groupby(["finding", "body_part"], sort=False)]
    for k in range(count):
        group = groups[k % len(groups)]
        row = group.iloc[(k // len(groups)) % len(group)].to_dict()
        yield (*render(*numbers(row["image_id"]), size=size, config=config), row)
