"""The page Ensemble: how long until it stands, and after another way was chosen. `python -m bench.ensembles [--images 10000]`

Five finished runs of one split, with predictions of so many validation images, a third as many patients, two and ten classes. The
page is drawn without a browser, as AppTest does: what the server computes. The first time nothing is remembered of these runs.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import tempfile
from pathlib import Path

import numpy as np

from bench.machine import ROOT, Meter, line, noise_set, options_of, train_one

MEMBERS = 5
WAYS = ("hard", "weighted", "logits", "rank", "greedy", "stacking", "soft")


def five_runs(home: Path, images: int, classes: int) -> list[str]:
    """Train one network, copy it, and give each copy predictions of its own: they share some of their mistakes."""
    os.environ["LIGHTBOX_HOME"] = str(home)
    from core.evaluation.predictions import Predictions, load_predictions, store_predictions
    from core.runs.store import RunStore
    path = noise_set(home / "noise.npz", train=64, test=2 * images, size=16 if classes == 2 else 28, classes=classes)
    first = train_one(home, str(path), "--model", "small_cnn", "--size", "16", "--set", "train.threads=1")
    store, rng = RunStore(home), np.random.default_rng(0)
    before = load_predictions(store.get(first), "val")
    shared = rng.normal(0, 0.7, (images, classes))
    people = tuple(f"p{i // 3}" for i in range(images))
    ids = []
    for k in range(MEMBERS):
        name = f"{first[:-4]}{k:04x}"
        folder = store.root / "runs" / name
        if name != first:
            shutil.copytree(store.root / "runs" / first, folder)
        config = json.loads((folder / "config.json").read_text())
        config["config"]["train"]["seed"], config["config"]["name"] = k, f"seed {k}"
        (folder / "config.json").write_text(json.dumps(config))
        scores = rng.normal(0, 1, (images, classes)) + shared + 1.2 * np.eye(classes)[before.labels]
        probs = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        store_predictions(store.get(name), "val", Predictions(before.labels, probs.astype(np.float32), before.image_ids,
                                                              before.epoch, people, None, before.fingerprint))
        ids.append(name)
    return ids


def page_of(members: list[str]):
    """The page with these members, drawn once with others, so that modules are imported and the table is known."""
    from streamlit.testing.v1 import AppTest
    at = AppTest.from_file(str(ROOT / "pages" / "main.py"), default_timeout=600).run()
    at.query_params.update(members="none")
    at = at.switch_page("ensemble/page.py").run()
    at.query_params["members"] = ",".join(members)
    return at


def checked(at):
    assert not at.exception, at.exception
    return at


def main() -> None:
    parser = options_of(__doc__, images=60, turns=1)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    print(line())
    for classes in (2, 10):
        with tempfile.TemporaryDirectory() as folder:
            members = five_runs(Path(folder), options.images, classes)
            measure(members, classes, options)


def measure(members: list[str], classes: int, options) -> None:
    """Print the times of one set of runs."""
    from pages.ensemble import cached
    title = f"{MEMBERS} runs, {options.images:,} validation images, {classes} classes"
    first = []
    for _ in range(options.turns):
        at = page_of(members)
        cached.forget()
        meter = Meter()
        checked(at.run())
        first.append((meter.seconds(), meter.cpu_seconds()))
    seconds, computed = (statistics.median(one) for one in zip(*first))
    print(f"{title}: the page stands after {seconds:.3f} s, of which {computed:.3f} s are computed")
    again = []
    for way in WAYS:
        control = next(one for one in at.segmented_control if one.label == "Way to combine")
        meter = Meter()
        checked(control.set_value(way).run())
        again.append((way, meter.seconds(), meter.cpu_seconds()))
    for way, seconds, computed in again:
        print(f"{title}: another way, {way}, {seconds:.3f} s, of which {computed:.3f} s are computed")


if __name__ == "__main__":
    main()
