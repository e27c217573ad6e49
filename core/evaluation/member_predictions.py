"""What the members of an ensemble predict of the same images.

    gather(members, "val").probs               (M, N, K)

Predictions that a run has stored are reused. What is missing (an epoch that is not the best one, an expert on the images of
another part, augmented copies of the images) is computed once and kept in the folder of the run.

M members (columns), N images, K classes.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from core.config import RunConfig
from core.datasets import open_dataset
from core.datasets.dataset import Dataset
from core.errors import LightboxError
from core.evaluation.compare import SPLITS
from core.evaluation.members import require_fitting, without_fold
from core.evaluation.predictions import Predictions, load_predictions, predict_split
from core.files import Lock, write_atomic
from core.runs import checkpoints
from core.runs.ensembles import load_member
from core.runs.members import Member
from core.runs.run import Run
from core.runs.store import RunStore

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class MemberPredictions:
    """What the members say of the same images.

    Args:
        members: in the order of their columns
        labels: (N,) int64, or (N, K) for several findings
        probs: (M, N, K) float32, a row for each column
        image_ids, patients, studies: as in Predictions
        parts: (N,) int64, of experts: the column whose expert an image belongs to; else None
        fingerprint: of the images
    """
    members: tuple[Member, ...]
    labels: np.ndarray
    probs: np.ndarray
    image_ids: list[str]
    patients: tuple[str, ...] | None
    studies: tuple[str, ...] | None
    task: str
    class_names: tuple[str, ...]
    parts: np.ndarray | None = None
    fingerprint: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """What each column is called: its network's name, or that of a series of folds."""
        columns: dict[int, list[Member]] = defaultdict(list)
        for member in self.members:
            columns[member.column].append(member)
        return tuple(column[0].name if len(column) == 1 else f"{without_fold(column[0].name)} ({len(column)} folds)"
                     for _, column in sorted(columns.items()))

    @cached_property
    def groups(self) -> np.ndarray | None:
        """(N,) the patient of each image, None where no patient is known. One whose patient is unknown stands alone."""
        if self.patients is None:
            return None
        return np.array([f"patient {name}" if name else f"image {i}" for i, name in enumerate(self.patients)])


def gather(members: Sequence[Member], split: str = "val", progress: Progress | None = None, *,
           draws: int = 0) -> MemberPredictions:
    """Return what members predict of the same images of a split.

    Args:
        progress: called with (sentence, done, total) while something is computed; may raise to stop
        draws: see EnsembleSpec

    Raises:
        LightboxError: "ensemble.differ" where they do not fit together, "ensemble.member", and as `predict_split`
    """
    require_fitting(members)
    store = RunStore()
    runs = [store.get(member.run) for member in members]
    stored = [_own(run, member, split, progress, draws) for run, member in zip(runs, members)]
    about, experts = runs[0].data(), bool(members[0].part)
    in_folds = split == "val" and members[-1].column < len(members) - 1
    frame = _frame(stored if experts or in_folds else stored[:1])
    if in_folds:
        probs = [_out_of_fold([s for s, m in zip(stored, members) if m.column == c], frame)
                 for c in range(members[-1].column + 1)]
    else:
        each = [_aligned(run, member, one, frame, split, progress, draws) for run, member, one in zip(runs, members, stored)]
        probs = [np.mean([p for p, m in zip(each, members) if m.column == c], axis=0) for c in range(members[-1].column + 1)]
    parts = _parts(stored, members, frame) if experts else None
    return MemberPredictions(tuple(members), frame.labels, np.stack(probs), frame.image_ids, frame.patients, frame.studies,
                             about["task"], tuple(about["class_names"]), parts, about["fingerprint"])


def _own(run: Run, member: Member, split: str, progress: Progress | None, draws: int) -> Predictions:
    """What a member predicts of its own split: as stored, or computed and kept."""
    stored = load_predictions(run, split)
    if stored is not None and stored.epoch == member.epoch and not draws:
        return stored
    best = checkpoints.best_epoch(run.checkpoints)
    if split == "test" and stored is None:
        run.note_test_opened()
    if member.epoch == best and not draws:
        return predict_split(run, split, progress=progress)
    if stored is None:
        stored = predict_split(run, split, progress=progress)
    return replace(stored, probs=_elsewhere(run, member, stored.image_ids, split, progress, draws), epoch=member.epoch)


def _frame(parts: Sequence[Predictions]) -> Predictions:
    """The images of several disjoint sets of predictions, one after the other."""
    def joined(name: str) -> tuple[str, ...] | None:
        if all(getattr(one, name) is None for one in parts):
            return None
        return tuple(value for one in parts for value in (getattr(one, name) or ("",) * len(one.labels)))
    return replace(parts[0], labels=np.concatenate([one.labels for one in parts]), probs=np.empty((0, 0)),
                   image_ids=[name for one in parts for name in one.image_ids], patients=joined("patients"),
                   studies=joined("studies"))


def _out_of_fold(folds: Sequence[Predictions], frame: Predictions) -> np.ndarray:
    """(N, K): of each image what the network said that was not trained on it."""
    place = {name: row for one in folds for name, row in zip(one.image_ids, one.probs)}
    if len(place) != len(frame.image_ids) or not place.keys() >= set(frame.image_ids):
        raise LightboxError("ensemble.differ", "The folds of two networks do not have the same images together.",
                            "Train both again on the images of now.")
    return np.stack([place[name] for name in frame.image_ids])


def _aligned(run: Run, member: Member, own: Predictions, frame: Predictions, split: str, progress: Progress | None,
             draws: int) -> np.ndarray:
    """(N, K): what a member says of all images of the frame."""
    if own.image_ids == frame.image_ids:
        return own.probs
    place = {name: i for i, name in enumerate(own.image_ids)}
    missing = [name for name in frame.image_ids if name not in place]
    if missing and not member.part:
        raise LightboxError("ensemble.differ",
                            f"{member.name} has not the same {SPLITS[split]} images: {len(missing):,} are missing.",
                            "Choose runs with the same data, split and split seed.")
    if not missing:
        probs = own.probs[[place[name] for name in frame.image_ids]]
        labels = own.labels[[place[name] for name in frame.image_ids]]
        if (labels != frame.labels).any():
            raise LightboxError("ensemble.differ", f"{member.name} has other labels for the same images.",
                                "The labels were changed between the two runs. Train again on the same labels.")
        return probs
    others = dict(zip(missing, _elsewhere(run, member, missing, split, progress, draws)))
    return np.stack([own.probs[place[name]] if name in place else others[name] for name in frame.image_ids])


def _parts(stored: Sequence[Predictions], members: Sequence[Member], frame: Predictions) -> np.ndarray:
    """(N,) int64: the column whose expert an image belongs to."""
    return np.repeat([member.column for member in members], [len(one.image_ids) for one in stored])


def _elsewhere(run: Run, member: Member, image_ids: Sequence[str], split: str, progress: Progress | None,
               draws: int) -> np.ndarray:
    """What a member says of images beyond its stored predictions, computed once and kept: (N, K) float32.

        runs/<id>/elsewhere-<key>.npz     the key stands for the weights, the images and the draws
    """
    key = hashlib.sha256(json.dumps([member.sha256, list(image_ids), draws]).encode()).hexdigest()[:16]
    path = run.folder / f"elsewhere-{key}.npz"
    try:
        with np.load(path, allow_pickle=False) as stored:
            return stored["probs"]
    except Exception:                                # not there yet, or damaged: it is made again
        pass
    data = open_dataset(replace(run.config.data, only=""), progress)
    probs = _computed(member, data, image_ids, split, progress, run.config, draws)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, probs=probs)
    with Lock(run.folder / "predictions.lock"):
        write_atomic(path, buffer.getvalue())
    return probs


def _computed(member: Member, data: Dataset, image_ids: Sequence[str], split: str, progress: Progress | None, config: RunConfig,
              draws: int) -> np.ndarray:
    from core.trainers.batches import Batches, SplitData
    from core.trainers.classifier import predict
    row = {name: i for i, name in enumerate(data.table["image_id"].astype(str))}
    rows = np.array([row.get(name, -1) for name in image_ids])
    if (rows < 0).any():
        raise LightboxError("run.data_changed", f"Images that {member.name} predicted are no longer in the data set.",
                            "Put the old images back, or train again on the new ones.")
    part = replace(SplitData.of(data, split), indices=rows, labels=data.labels[rows])
    model, probs, done = load_member(member), None, 0
    if draws:
        from core.trainers.tta import predict_augmented
        return predict_augmented(model, part, config.augment, draws, config.train.seed, progress)
    for done, probs in predict(model, Batches(part, model.device), batch_size=64):
        if progress:
            progress(f"Predicting with {member.name}", done, len(part))
    return probs
