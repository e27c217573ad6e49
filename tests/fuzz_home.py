"""Mutants of the files in a LIGHTBOX_HOME, and everything that pages and commands read of them.

    python -m tests.fuzz_home --mutants 100000 --seed 1      the functions of core: counts, and each traceback that is new
    python -m tests.fuzz_home --mutants 300 --pages          opens the pages on each mutant

A file is cut off, its bits flip, its JSON gets wrong types, huge numbers, NaN, other keys, deep nesting; its arrays other
shapes; or a folder stands in its place. Nothing may end in anything but a LightboxError. The home is that of
home_before.tar.xz: two finished runs and a stopped one, a set of its own, marks, a classifier.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tarfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import LightboxError
from tests.mutants import mutants

PACKED = Path(__file__).with_name("home_before.tar.xz")
SLOW = 2.0                        # seconds that one mutant may take


# ------------------------------------------------------------------------------- what pages and commands read

@dataclass
class Looker:
    """Reads a home as pages and commands do.

    Args:
        root: the home, which LIGHTBOX_HOME names
        said: codes of the LightboxErrors that were met since the last mutant
        turn: counts the mutants; what takes long is asked of some of them
    """
    root: Path
    said: Counter
    turn: int = 0

    def ask(self, function: Callable, *args, **named):
        """Call a function; what it refuses with a sentence is None."""
        try:
            return function(*args, **named)
        except LightboxError as error:
            assert error.code and error.message.strip() and str(error).encode(), error
            self.said[error.code] += 1
            return None

    def look(self, file: str) -> None:
        self.turn += 1
        part = file.split("/")[0]
        {"runs": self.runs, "sets": self.sets, "marks": self.marks, "stores": self.stores, "queue.db": self.queue,
         "classifiers": self.classifiers, "baselines": self.baselines}[part](file)

    def runs(self, file: str) -> None:
        from core.evaluation import compare, leaderboard
        from core.runs.classifiers import list_classifiers
        from core.runs.store import RunStore
        from pages.shared import run_feed
        for cache in (run_feed._known_summaries, run_feed._known_states, run_feed._known_damage, run_feed._followed):
            cache().clear()
        store = RunStore(self.root)
        rows, wrong = run_feed.all_runs(store), run_feed.damaged_runs(store)
        listed = [store.get(row.id) for row in rows]
        assert len(rows) + len(wrong) == len(os.listdir(store.root / "runs")), (rows, wrong)
        if self.turn % 5 == 0:
            assert {run.id for run in store.list()} == {row.id for row in rows} and set(store.damaged()) == set(wrong)
            self.ask(store.recover), self.ask(list_classifiers)
        for error in wrong.values():
            self.said[error.code] += 1
        run_feed.states(store), run_feed.seconds_of_queue(store, rows), leaderboard.group_seeds(rows)
        for row in rows:
            row.matches("old"), row.when, row.value("roc_auc"), row.small_stem
        changed = store.root / "runs" / file.split("/")[1]
        for run in listed:
            if run.folder == changed:
                self.one_run(run, file, next(row for row in rows if row.id == run.id))
        if len(listed) > 1 and self.turn % 4 == 0:
            self.ask(compare.compare, listed[-1], listed[-2])
        self.ask(lambda: store.get(changed.name).check())

    def one_run(self, run, file: str, row) -> None:
        from core.commands.output import best_so_far
        from core.evaluation import leaderboard, thresholds
        from core.evaluation.evaluate import evaluate_predictions
        from core.evaluation.predictions import damaged_predictions, load_predictions
        from core.report.contents import contents
        from core.report.html import report
        from core.runs import checkpoints
        from core.runs.classifiers import load_classifier, settings_of, task_of
        from core.trainers.diagnostics import diagnose
        from pages.runs import curves as run_curves
        from pages.runs import tracked_images
        from pages.shared import error_order, run_feed
        status, progress, records = run.status(), run.progress(), run_feed.follow(run)
        assert [str(r) for r in records] == [str(r) for r in run.records()]
        run_feed.in_words(status, progress, 0, run.device), run_feed.share_done(progress, records), run_feed.place(records)
        run_feed.changed_first(run.config), run.notes(), run.log(), run.times_test_opened(), run.versions, run.name
        (run_feed.best_epoch(records) or {}).get("val_roc_auc"), run_feed.fitting_batch(records)
        best_so_far(run.records("epoch"))
        about = run.data()
        diagnose(records, run.config.train.epochs, class_names=tuple(about.get("class_names", ())), reason=status.reason)
        run_curves.offered(records)
        for measure in run_curves.MEASURES.values():
            for kind, key in (("epoch", measure.train), ("epoch", measure.val), ("step", measure.step)):
                if key:
                    run_feed.curve(run, kind, key)
        images = tracked_images.load_tracked(run, records)
        by_epoch = tracked_images.by_epoch(images, records)
        for probs in by_epoch.values():
            tracked_images.cards(images, probs, None)
        found = load_predictions(run, "val")
        for split in ("val", "test"):
            error = damaged_predictions(run, split)
            self.said[error.code if error else ""] += 1
        if file.endswith(("metrics.jsonl", "notes.json", "progress.json", "status.json", "opened.jsonl")):
            return
        self.ask(thresholds.of, run), self.ask(thresholds.frozen, run, 0), self.ask(thresholds.all_frozen, run)
        self.ask(checkpoints.best_epoch, run.checkpoints)
        self.ask(settings_of, run.id), self.ask(task_of, run.id)
        if ("checkpoints" in file or file.endswith("config.json")) and self.turn % 3 == 0:
            self.ask(load_classifier, run.id), self.ask(checkpoints.load_latest, run.checkpoints)
        if found is not None:
            view = self.ask(error_order.split_view, run, found)
            for order in error_order.ORDERS.values() if view else ():
                order.rank and order.rank(view)
            if self.turn % 3 == 0:
                self.ask(evaluate_predictions, run, "val", found, fit=False, draws=5)
        for split in row.unscored if self.turn % 10 == 0 else ():
            leaderboard.score(run, split)
        if self.turn % 50 == 0 and (what := self.ask(contents, run)) and self.turn % 500 == 0:
            report(what)

    def sets(self, file: str) -> None:
        from core.config import DataConfig
        from core.datasets import is_ready, list_datasets, open_source
        from core.datasets.custom import damaged_custom_datasets, list_custom_datasets
        listed, wrong = list_custom_datasets(), damaged_custom_datasets()
        assert len(listed) + len(wrong) == 1 or Path(file).stem not in {one.name for one in listed}, (listed, wrong)
        for error in wrong.values():
            self.said[error.code] += 1
        for info in list_datasets():
            str(vars(info)).encode()
        for own in listed:
            source = self.ask(open_source, DataConfig(own.name))
            source and self.ask(source.fingerprint)
            is_ready(DataConfig(own.name, size=28))

    def marks(self, file: str) -> None:
        from core.runs.marks import marks_csv, put_mark, read_marks
        found = self.ask(read_marks, "few-phantoms")
        self.ask(marks_csv, "few-phantoms")
        put = self.ask(put_mark, "few-phantoms", "an image", "unclear")
        assert (found is None) == (put is None)

    def stores(self, file: str) -> None:
        from core.datasets.store import _load
        found = _load(self.root / "stores" / file.split("/")[1], "fingerprint")
        if found is None:
            self.said["made anew"] += 1
            return
        for target in found.index.targets.values():
            np.eye(len(target.class_names))[target.labels]
        np.asarray(found.images[:2]).sum()
        str(found.index.understood), [item["path"] for item in found.index.skipped]

    def queue(self, file: str) -> None:
        from core.runs.queue import Queue
        queue = Queue(self.root / "queue.db")
        for run_id, device in queue.waiting():
            assert isinstance(run_id, str) and isinstance(device, str)
        queue.put("a", "cpu")
        assert queue.remove("a")
        for aside in self.root.glob("queue.*broken*"):
            self.said["put aside"] += 1
            shutil.rmtree(aside) if aside.is_dir() else aside.unlink()

    def classifiers(self, file: str) -> None:
        from core.runs.classifiers import load_classifier, settings_of, shipped_classifiers, task_of
        shipped_classifiers()
        for function in (load_classifier, settings_of, task_of):
            self.ask(function, "exported")

    def baselines(self, file: str) -> None:
        from core.evaluation.baselines import kept_baseline
        from core.runs.store import RunStore
        for split in ("val", "test"):
            kept_baseline(RunStore(self.root).list()[-1].data(), split)


def pages(look: Looker, file: str, rng: random.Random) -> None:
    """Open a few pages on the mutant, as a person does."""
    from streamlit.testing.v1 import AppTest
    names = ("start", "runs", "evaluate", "errors", "gradcam", "compare", "ensemble", "browse", "add", "train", "split",
             "classify")
    at = AppTest.from_file(str(Path(__file__).parents[1] / "pages" / "main.py"), default_timeout=120)
    run = file.split("/")[1] if file.startswith("runs/") else sorted(os.listdir(look.root / "runs"))[0]
    at.query_params.update(run=run, dataset="few-phantoms", split=rng.choice(("val", "test")))
    at.run()
    for name in rng.sample(names, 3):
        at = at.switch_page(f"{name}/page.py").run()
        if at.exception:
            raise AssertionError(f"{name}: {at.exception[0].value}\n" + "\n".join(at.exception[0].stack_trace))
        look.said["on a page"] += len(at.error) + len(at.warning)


# ----------------------------------------------------------------------------------------------------- the run

def unpack(folder: Path) -> Path:
    """Unpack the home, complete it with a stored evaluation, and return it; LIGHTBOX_HOME names it from here on."""
    with tarfile.open(PACKED) as packed:
        packed.extractall(folder, filter="data")
    root = folder / "home"
    os.environ["LIGHTBOX_HOME"] = str(root)
    from core.evaluation.leaderboard import score
    from core.runs.store import RunStore
    (root / "machine.json").write_text("{}")
    shutil.rmtree(RunStore(root).list()[0].folder)           # the stopped one; two are enough
    score(RunStore(root).list()[-1], "val")
    return root


def files_of(root: Path) -> list[str]:
    """Return the files that are worth a mutant."""
    left_out = ("machine.json", "log.txt", ".lock", "images.npy", "card.md", "-wal", "-shm", "outliers.json")
    first = sorted(os.listdir(root / "runs"))[0]
    names = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*")) if path.is_file()]
    names = [name for name in names if not name.endswith(left_out) and "/e0003" not in name]
    names = [name for name in names if "/e0002" not in name or name.endswith("meta.json")]
    return [name for name in names if not name.startswith("runs/") or f"/{first}/" in name]


@dataclass
class Outcome:
    """How many mutants, set aside with a sentence or made anew, in tracebacks, slow; the tracebacks by where they end."""
    mutants: int = 0
    said: int = 0
    tracebacks: int = 0
    slow: int = 0
    where: Counter | None = None
    texts: dict | None = None
    codes: Counter | None = None


def fuzz(root: Path, count: int, seed: int, with_pages: bool = False, tell: Callable[[str], None] = lambda text: None) -> Outcome:
    """Change one file after the other, `count` times in all, and look; each file is put back afterwards."""
    import core.runs.classifiers
    import core.runs.store
    core.runs.classifiers.SHIPPED = root / "classifiers"
    core.runs.store.start_worker = lambda *_: None
    rng, outcome = random.Random(seed), Outcome(where=Counter(), texts={}, codes=Counter())
    files = files_of(root)
    contents = {name: (root / name).read_bytes() for name in files}
    streams = {name: mutants(name, contents[name], random.Random(f"{seed} {name}")) for name in files}
    look = Looker(root, Counter())
    while outcome.mutants < count:
        name = files[outcome.mutants % len(files)]
        how, changed = next(streams[name])
        keep = _put(root / name, changed)
        look.said.clear()
        began = time.monotonic()
        try:
            pages(look, name, rng) if with_pages else look.look(name)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)
            own = [one for one in place if {"core", "pages"} & set(Path(one.filename).parts)]
            last = (own or place)[-1]
            at = f"{type(error).__name__} {last.filename}:{last.lineno} {str(error)[:200] if with_pages else ''}"
            if not outcome.where[at]:
                outcome.texts[at] = f"{name} {how} {changed!r:.300}\n{traceback.format_exc()[-3000:]}"
                tell(f"NEW {at}\n{outcome.texts[at]}")
            outcome.where[at] += 1
            outcome.tracebacks += 1
        outcome.slow += time.monotonic() - began > SLOW and not with_pages
        outcome.mutants += 1
        outcome.said += any(look.said[code] for code in look.said if code)
        outcome.codes.update(code for code in look.said if code)
        keep()
        (root / name).write_bytes(contents[name])
        if outcome.mutants % 5000 == 0:
            tell(f"{outcome.mutants} mutants, {outcome.said} set aside, {outcome.tracebacks} tracebacks, {outcome.slow} slow")
    return outcome


def _put(path: Path, changed: bytes | None) -> Callable[[], None]:
    """Write the mutant; returns what makes room for the old file."""
    if changed is not None:
        path.write_bytes(changed)
        return lambda: shutil.rmtree(path) if path.is_dir() else None
    path.unlink()
    path.mkdir()
    return lambda: shutil.rmtree(path) if path.is_dir() else None


def main() -> int:
    import tempfile
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mutants", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pages", action="store_true")
    parser.add_argument("--json", action="store_true", help="one line of JSON, for the tests")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    began = time.monotonic()
    try:
        outcome = fuzz(unpack(folder), options.mutants, options.seed, options.pages, 
                       lambda text: print(text, flush=True, file=sys.stderr if options.json else sys.stdout))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        print(json.dumps({name: getattr(outcome, name) for name in ("mutants", "said", "tracebacks", "slow", "codes", "where")}))
        return 0
    print(f"{outcome.mutants:,} mutants in {time.monotonic() - began:.0f} s: {outcome.said:,} set aside or made anew, "
          f"{outcome.tracebacks:,} tracebacks, {outcome.slow:,} above {SLOW} s")
    print(dict(outcome.codes))
    for at, n in outcome.where.most_common():
        print(f"{n:6} {at}")
    return int(outcome.tracebacks > 0)


if __name__ == "__main__":
    sys.exit(main())
