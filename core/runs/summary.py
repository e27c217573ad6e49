"""A run in a table: what it is, what it reached, what it cost. Read from a few small files, without opening
anything large.

    scores.json    {split: {"stamp", "epoch", "n", "n_positive", "counts": [tp, fn, fp, tn],
                    "measures": {metric: [value, low, high, method]}}}: metrics with their intervals, computed once by
                   core/evaluation/leaderboard.py
"""

from __future__ import annotations

import os
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from core import __version__
from core.augment import active
from core.config import RunConfig
from core.files import Damaged, read_file, read_json
from core.models import uses_small_stem
from core.runs.codes import run_code
from core.runs.members import SOUPS
from core.runs.names import network_title
from core.runs.run import Run
from core.runs.shapes import SCORES, read_record

# Files of a run on which its summary depends: where none of them has changed, neither has the summary.
FILES = ("config.json", "status.json", "metrics.jsonl", "notes.json", "data.json", "predictions.npz", "threshold.json",
         "scores.json")

SCORED = 2          # raise it when scores.json gets more: what was computed before is then computed again


@dataclass(frozen=True)
class RunSummary:
    """A run in a table.

    Args:
        data_title: title of its data set
        split_hash: of its data set, equal where two runs were evaluated on the same images
        epoch: finished epochs
        seconds: of training and validation together; epoch_seconds: of a median epoch; None before the first
            one ended
        since: when it came into its state
        task, n: of its data set: the task, and split -> number of images; empty before it has started
        curve: ROC AUC on validation of each epoch, None where it is undefined; empty for an ensemble
        best_epoch: whose weights are kept, by the metric that was chosen for that; 0 before the first epoch ended
        recorded: metric -> value on validation in the best epoch, as the trainer reported it, without
            intervals
        trained: the same on the training images, of a run that evaluates them like the others; else empty, for what is
            summed while the weights change, on augmented images, is another number
        scores: split -> what scores.json has of it, where it is of the predictions and the threshold of now
        unscored: splits with predictions, but without such scores
        code: name of the run in the way of report R001
        details: what the name of the network does not say: its head, what is frozen, whether images are
            augmented
        ensemble: how an ensemble combines its members; "" for a single network
        ensemble_title: what stands where a trained run has its network, "" for one
        members: of an ensemble or a soup the ids of the runs that it was made from, that of several epochs several times
        draws: of an ensemble, augmented copies of an image that each member sees; 0 is the image alone
    """
    id: str
    name: str
    config: RunConfig
    state: str = "finished"
    created: float = 0.0
    device: str = "cpu"
    data_title: str = ""
    split_hash: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""
    class_names: tuple[str, ...] = ()
    channels: int = 1
    task: str = ""
    n: Mapping[str, int] = field(default_factory=dict)
    since: float = 0.0
    epoch: int = 0
    seconds: float | None = None
    epoch_seconds: float | None = None
    curve: tuple[float | None, ...] = ()
    best_epoch: int = 0
    recorded: Mapping[str, float] = field(default_factory=dict)
    trained: Mapping[str, float] = field(default_factory=dict)
    scores: Mapping[str, dict] = field(default_factory=dict)
    unscored: tuple[str, ...] = ()
    code: str = ""
    details: str = ""
    ensemble: str = ""
    ensemble_title: str = ""
    members: tuple[str, ...] = ()
    draws: int = 0

    @property
    def n_train(self) -> int:
        return self.n.get("train", 0)

    @property
    def best_auc(self) -> float | None:
        """Best ROC AUC on validation so far; of an ensemble, which has no curve, what it reaches."""
        return max((auc for auc in self.curve if auc is not None), default=self.recorded.get("roc_auc"))

    @property
    def dataset(self) -> str:
        return self.config.data.dataset

    @property
    def network(self) -> str:
        return self.config.model.name

    @property
    def network_title(self) -> str:
        """Its network as people call it, or how an ensemble combines how many."""
        return self.ensemble_title or network_title(self.network)

    @property
    def was_trained(self) -> bool:
        """Whether a training stands behind it, with epochs and a speed: not behind an ensemble or a soup."""
        return not self.ensemble

    @property
    def has_weights(self) -> bool:
        """Whether its checkpoint holds the weights of a network: an ensemble's members have theirs."""
        return self.ensemble in ("", *SOUPS)

    @property
    def size(self) -> int:
        return self.config.data.size

    @property
    def small_stem(self) -> bool:
        return uses_small_stem(self.config.model, self.config.data.size)

    @property
    def epochs(self) -> int:
        """As many as it is to train."""
        return self.config.train.epochs

    @property
    def when(self) -> str:
        """When it was made: the time today, else the day."""
        made, now = time.localtime(self.created), time.localtime()
        return time.strftime("%H:%M" if made[:3] == now[:3] else "%d %b %Y", made)

    def value(self, metric: str, split: str = "val") -> float | None:
        """Return a metric without its interval; None where it is not known or undefined."""
        if split in self.scores:
            return self.scores[split]["measures"].get(metric, (None,))[0]
        return {"train": self.trained, "val": self.recorded}.get(split, {}).get(metric)

    def matches(self, words: str) -> bool:
        """Return whether each of these words is in the name, tags, note, data, network or code; case does not
        matter. An ensemble is found by "ensemble" and how it combines, not by the network of one of its members."""
        network = ("ensemble", self.ensemble) if self.ensemble else (self.network,)
        text = " ".join((self.name, *self.tags, self.note, self.dataset, *network, self.network_title, self.code,
                         self.details)).casefold()
        return all(word in text for word in words.casefold().split())

    def is_like(self, other: RunSummary) -> bool:
        """Return whether an image should take both the same time in training. Ensembles are not trained."""
        return self.was_trained and other.was_trained and all(getattr(self, name) == getattr(other, name)
                   for name in ("network", "size", "small_stem", "device")) and (
            self.config.model.freeze == other.config.model.freeze)


def summarize(run: Run) -> RunSummary:
    """Read what a table shows of a run.

    Raises:
        LightboxError: where its folder cannot be read
    """
    config, about, notes, epochs = run.check().config, run.data(), run.notes(), _epochs(run.folder / "metrics.jsonl")
    spec = run.ensemble
    best = next((record for record in reversed(epochs) if record.get("is_best")), {})
    seconds = [record.get("seconds") or 0.0 for record in epochs]
    scores, status = stored_scores(run), run.status()
    return RunSummary(
        run.id, run.name, config, status.state, run.created, run.device,
        data_title=about.get("title", config.data.dataset), split_hash=about.get("split_hash", ""),
        tags=notes.tags, note=notes.text, class_names=tuple(about.get("class_names", ())),
        channels=about.get("channels", 1),
        task=about.get("task", ""), n=about.get("n", {}), since=status.since, epoch=epochs[-1]["epoch"] if epochs else 0,
        seconds=sum(seconds) if epochs else None, epoch_seconds=median(seconds) if epochs else None,
        curve=() if spec else tuple(record.get("val_roc_auc") for record in epochs),
        best_epoch=best.get("epoch", 0), recorded=_of_split(best, "val"),
        trained=_of_split(best, "train") if best.get("measured") == "evaluated" else {},
        scores=scores, unscored=tuple(split for split in stored_splits(run) if split not in scores),
        code=run_code(config, about, spec), details="" if spec else _details(config), ensemble=spec.how if spec else "",
        ensemble_title=spec.title if spec else "",
        members=tuple(member.run for member in spec.members) if spec else (), draws=spec.draws if spec else 0)


def _of_split(record: Mapping, split: str) -> dict[str, float]:
    """Return metric -> value of a record of an epoch."""
    return {key.removeprefix(f"{split}_"): value for key, value in record.items()
            if key.startswith(f"{split}_") and isinstance(value, int | float)}


def stored_splits(run: Run) -> list[str]:
    """Return which of "val" and "test" have stored predictions, without reading them."""
    try:
        with zipfile.ZipFile(run.folder / "predictions.npz") as stored:
            names = set(stored.namelist())
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):      # none yet, or damaged: who reads them says which
        return []
    return [split for split in ("val", "test") if f"{split}_probs.npy" in names]


def stored_scores(run: Run) -> dict[str, dict]:
    """Return {split: scores} of scores.json that are of the predictions and the threshold of now."""
    now = scores_stamp(run)
    return {split: {key: value for key, value in found.items() if key != "stamp"}
            for split, found in all_scores(run).items() if found.get("stamp") == now}


def all_scores(run: Run) -> dict[str, dict]:
    """Return what scores.json holds, current or not."""
    try:
        return read_json(run.folder / "scores.json", SCORES)
    except (FileNotFoundError, Damaged):
        return {}


def scores_stamp(run: Run) -> list:
    """Return what changes when the predictions, the threshold or the program do."""
    return [__version__, SCORED, *(number for name in ("predictions.npz", "threshold.json")
                           for number in file_stamp(run.folder / name))]


def file_stamp(path: Path | str) -> tuple[int, int]:
    """Return (time of the last change in ns, bytes) of a file, zeros where there is none."""
    try:
        stat = os.stat(path)
        return stat.st_mtime_ns, stat.st_size
    except OSError:
        return 0, 0


def _details(config: RunConfig) -> str:
    model = config.model
    words = {f"{model.head} head": model.head != "linear", f"cut at {model.cut}": model.cut,
             "frozen": model.freeze == "all",
             f"frozen up to {model.freeze}": model.freeze not in ("none", "all"),
             "augmented": active(config.augment)}
    return ", ".join(word for word, applies in words.items() if applies)


def _epochs(path: Path) -> list[dict]:
    """The "epoch" records of a file, a later one of the same epoch in place of an earlier. Other lines are
    not parsed."""
    try:
        lines = read_file(path, most=2 * 10**9).split(b"\n")[:-1]
    except (FileNotFoundError, Damaged):
        return []
    found = {}
    for line in lines:
        if b'"epoch", ' in line[:24]:
            record = read_record(line)
            if record and record["kind"] == "epoch":
                found[record["epoch"]] = record
    return [found[epoch] for epoch in sorted(found)]
