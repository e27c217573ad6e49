"""Ensembles made, and what they predict.

    run = make_ensemble(members_of([...]), "soft")     a run like any other, with predictions of the validation images
    predict_ensemble(run, "test")                      what `predict_split` does for such a run

Nothing here sees a label of a test image: what is fitted is fitted on validation. A way that is fitted there would look better
there than it is, so the predictions of validation images that are stored and shown are *cross-fitted*: validation is divided
by patient into FOLDS parts, and what is said of a part was fitted on the others. The weights that are kept, and that predict
test and new images, were fitted on all of validation.

M members, N images, K classes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from core import metrics
from core.datasets import open_dataset
from core.datasets.dataset import Dataset
from core.datasets.stratify import stratified_group_split
from core.errors import LightboxError
from core.evaluation.gate import fit_gate, gate_of, known_gate
from core.evaluation.member_predictions import MemberPredictions, Progress, gather
from core.evaluation.members import config_of, require_fitting
from core.evaluation.predictions import Predictions, predict_split, store_predictions
from core.evaluation.soup import make_soup
from core.files import write_json
from core.models.combine import WAYS, Fitted, fit_logistic, mixture_of_experts, scores_to_probs
from core.runs import checkpoints
from core.runs.classifiers import load_classifier
from core.runs.ensembles import load_member
from core.runs.members import EPOCH, TITLES, EnsembleSpec, Member
from core.runs.run import Run
from core.runs.states import State
from core.runs.store import NAME_LENGTH, RunStore

FOLDS = 5               # parts of validation for cross-fitting
FEATURE_STRENGTH = 0.01     # scikit-learn's C where thousands of features are stacked


# ---------------------------------------------------------------------------------------------- one way

def fit(how: str, said: MemberPredictions) -> Fitted:
    """Fit a way of combining on what members said of validation images. Returns {} where nothing is learned."""
    way = WAYS[how]
    return way.fit(said.probs, said.labels, said.task) if way.fit else {}


def combine(how: str, said: MemberPredictions, fitted: Fitted) -> np.ndarray:
    """Return (N, K) float32 from what members said, with what was fitted before; experts need fitted["gate"] (N, M)."""
    return np.clip(WAYS[how].combine(said.probs, fitted, said.task), 0, 1).astype(np.float32)


def cross_fitted(how: str, said: MemberPredictions) -> np.ndarray:
    """Return (N, K) float32 on validation, where no image is combined with weights that were fitted on it, nor on another image
    of its patient; the plain combination where nothing is fitted."""
    if how == "experts":
        return combine(how, said, {"gate": known_gate(said.parts, len(said.probs))})
    if WAYS[how].fit is None:
        return combine(how, said, {})
    return _cross_fitted(said, lambda rows: fit(how, rows_of(said, rows)),
                         lambda rows, fitted: combine(how, rows_of(said, rows), fitted))


def _cross_fitted(said: MemberPredictions, fit_on, predict_on) -> np.ndarray:
    n = len(said.labels)
    groups = np.arange(n) if said.groups is None else np.unique(said.groups, return_inverse=True)[1]
    parts = stratified_group_split(groups, said.labels, dict.fromkeys(range(FOLDS), 1 / FOLDS), np.random.default_rng(0))
    probs = np.zeros((n, len(said.class_names)), np.float32)
    for part in sorted(set(parts)):
        inside = parts == part
        if inside.all():                      # a single patient: there is nothing else to fit on
            return np.asarray(predict_on(np.arange(n), fit_on(np.arange(n))), np.float32)
        probs[inside] = predict_on(np.flatnonzero(inside), fit_on(np.flatnonzero(~inside)))
    return probs


def rows_of(said: MemberPredictions, rows: np.ndarray) -> MemberPredictions:
    """Return what was said of some of the images."""
    def some(names):
        return None if names is None else tuple(names[i] for i in rows)
    return replace(said, labels=said.labels[rows], probs=said.probs[:, rows], image_ids=[said.image_ids[i] for i in rows],
                   patients=some(said.patients), studies=some(said.studies),
                   parts=None if said.parts is None else said.parts[rows])


# --------------------------------------------------------------------------------------------- features

def member_features(members: Sequence[Member], image_ids: Sequence[str], split: str,
                    progress: Progress | None = None) -> np.ndarray:
    """Return the features of all members side by side, (N, F1 + F2 + ...) float32. Those of each network are kept."""
    from core.config import home
    from core.trainers.batches import SplitData
    from core.trainers.embedding import plain_features
    columns = []
    for member in members:
        config = RunStore().get(member.run).config
        data = open_dataset(replace(config.data, only=""), progress)
        row = {name: i for i, name in enumerate(data.table["image_id"].astype(str))}
        rows = np.array([row[name] for name in image_ids])
        part = replace(SplitData.of(data, split), indices=rows, labels=data.labels[rows])
        features = plain_features(load_member(member), part, config, home() / "features", progress, member.name[:40])
        columns.append(np.array(features))
    return np.concatenate(columns, axis=1)


def fit_features(features: np.ndarray, labels: np.ndarray, classes: int, task: str) -> Fitted:
    """Fit a logistic regression on the members' features, each scaled to unit variance."""
    mean, scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
    coef, intercept = fit_logistic((features - mean) / scale, labels, classes, task, FEATURE_STRENGTH)
    return {"coef": coef, "intercept": intercept, "mean": mean, "scale": scale}


def _by_features(features: np.ndarray, fitted: Fitted, task: str) -> np.ndarray:
    return scores_to_probs((features - fitted["mean"]) / fitted["scale"] @ fitted["coef"].T + fitted["intercept"], task)


# --------------------------------------------------------------------------------------------- the run

def make_ensemble(members: Sequence[Member], how: str, *, name: str = "", gate: str = "", learned: bool = False, draws: int = 0,
                  on_features: bool = False, progress: Progress | None = None) -> Run:
    """Make a run of an ensemble: fit it on validation, predict validation, write its folder.

    Args:
        members: as `core.evaluation.members.members_of` gives them
        how: a key of WAYS, or one of SOUPS
        name: of the run; "" makes one
        gate, learned, draws, on_features: see EnsembleSpec
        progress: called with (sentence, done, total); may raise to stop, and then there is no run

    Raises:
        LightboxError: "ensemble.how" for a way that is not known or does not fit, and as `gather`
    """
    _check_way(members, how, gate, draws, on_features)
    spec = EnsembleSpec(how, tuple(members), gate, learned, draws, on_features)
    config = config_of(members, name or default_name(spec))
    require_fitting(members)
    said = None if spec.is_soup else gather(members, "val", progress, draws=draws)
    data = open_dataset(config.data, progress)
    run, lock = RunStore().create_ensemble(config, spec)
    try:
        write_json(run.folder / "data.json", data.facts())
        run.change(State.RUNNING, only_from={State.STARTING})
        if said is None:
            _make_soup(run, spec, data, progress)
        else:
            _make_combination(run, spec, data, said, progress)
        _finish(run, spec)
    except BaseException:
        lock.release()
        RunStore().delete_folder(run)
        raise
    lock.release()
    return run


def _check_way(members: Sequence[Member], how: str, gate: str, draws: int, on_features: bool) -> None:
    if how not in TITLES:
        raise LightboxError("ensemble.how", f"There is no way to combine called {how!r}.", f"Ways: {', '.join(TITLES)}.")
    if (how == "experts") != bool(gate):
        raise LightboxError("ensemble.how", "Experts need the column that says which part each one knows, and only they do.",
                            "Add --gate COLUMN, or --gate learned, to --how experts.")
    if on_features and how != "stacking":
        raise LightboxError("ensemble.how", "Only stacking can see the features of its members.", "Choose stacking.")
    if on_features and members[-1].column < len(members) - 1:
        raise LightboxError("ensemble.how", "The networks of several folds have features that cannot be compared.",
                            "Stack their probabilities.")
    least = 1 if draws or members[-1].column < len(members) - 1 else 2
    if len(members) < least and not gate:
        raise LightboxError("ensemble.empty", "An ensemble needs two members, the folds of one config, or augmented copies "
                            "of the images.", "Give more runs, or --tta 8.")


def default_name(spec: EnsembleSpec) -> str:
    """Return what an ensemble is called that nobody has named.

    >>> default_name(EnsembleSpec("soft", tuple(Member(f"r{i}", "ResNet-18", 1, "", i) for i in range(3))))
    'Soft vote of 3: ResNet-18'
    """
    names = list(dict.fromkeys(member.name.partition(", ")[0] for member in spec.members))
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{spec.title}: {shown}"[:NAME_LENGTH]


def _make_combination(run: Run, spec: EnsembleSpec, data: Dataset, said: MemberPredictions, progress: Progress | None) -> None:
    if spec.how == "experts":
        fitted = fit_gate(data, spec.gate, spec.members)
        probs = _of_experts(spec, said, data, fitted)
    elif spec.on_features:
        features = member_features(spec.members, said.image_ids, "val", progress)
        classes = len(said.class_names)
        fitted = fit_features(features, said.labels, classes, said.task)
        probs = _cross_fitted(said, lambda rows: fit_features(features[rows], said.labels[rows], classes, said.task),
                              lambda rows, fitted: _by_features(features[rows], fitted, said.task))
    else:
        fitted, probs = fit(spec.how, said), cross_fitted(spec.how, said)
    _save(run, _largest(spec.members), data, {key: np.asarray(value, np.float64) for key, value in fitted.items()})
    store_predictions(run, "val", _predictions(said, probs))


def _make_soup(run: Run, spec: EnsembleSpec, data: Dataset, progress: Progress | None) -> None:
    made = make_soup([member.address for member in spec.members], data, spec.how, progress)
    _save(run, made.model, data, made.model.state_dict(), soup={
        "chosen": made.chosen, "metric": made.metric, "curve": [asdict(step) for step in made.curve]})
    for note in made.notes:
        run.append({"kind": "start", "epoch": 0, "step": 0, "at": time.time(), "notes": [note]})
    predict_split(run, "val", data, progress)


def _largest(members: Sequence[Member]):
    """The network whose images are those of the ensemble's data set."""
    networks = [load_member(member) for member in members]
    return max(networks, key=lambda network: (network.preprocessing.size, network.preprocessing.channels))


def _save(run: Run, model, data: Dataset, weights: dict, **about) -> None:
    """Write the checkpoint: what was fitted, or a soup's weights."""
    import torch
    tensors = {name: torch.as_tensor(value).clone() for name, value in weights.items()} or {"none": torch.zeros(1)}
    checkpoints.save(run.checkpoints, EPOCH, 0, tensors, {}, {
        "classifier": model.describe(), "dataset": data.name, "run": run.id, "best": {"epoch": EPOCH}, "record": None} | about)


def _of_experts(spec: EnsembleSpec, said: MemberPredictions, data: Dataset, fitted: Fitted) -> np.ndarray:
    gate = gate_of(data, said.image_ids, fitted) if spec.learned else known_gate(said.parts, spec.width)
    return mixture_of_experts(said.probs, {"gate": gate}, said.task)


def _predictions(said: MemberPredictions, probs: np.ndarray) -> Predictions:
    return Predictions(said.labels, np.clip(probs, 0, 1).astype(np.float32), said.image_ids, EPOCH, said.patients, said.studies,
                       said.fingerprint)


def _finish(run: Run, spec: EnsembleSpec) -> None:
    """Write the one record that stands for its epochs, so that tables of runs have its metrics, and its end."""
    from core.evaluation.predictions import load_predictions
    preds, task = load_predictions(run, "val"), run.data()["task"]
    values = metrics.measure(preds.labels, preds.probs, task)
    store = RunStore()
    seconds = sum(record.get("seconds") or 0.0 for member in spec.members for record in store.get(member.run).records("epoch"))
    run.append({"kind": "epoch", "epoch": EPOCH, "is_best": True, "seconds": seconds, "monitor": run.config.train.monitor,
                "at": time.time()} | {f"val_{name}": value for name, value in values.items() if value is not None})
    run.change(State.FINISHED, f"{TITLES[spec.how]} of {len(spec.members)} networks.")


def predict_ensemble(run: Run, split: str, progress: Progress | None = None) -> Predictions:
    """Predict a split with an ensemble and store the result. Of test, the members' test sets are opened too, and counted.

    Raises LightboxError as `gather`, and "split.empty".
    """
    spec = run.ensemble
    model = load_classifier(run.id).model               # proves the members first
    said = gather(spec.members, split, progress, draws=spec.draws)
    if spec.how == "experts":
        probs = _of_experts(spec, said, open_dataset(run.config.data, progress), model.fitted)
    elif spec.on_features:
        probs = model.from_features(member_features(spec.members, said.image_ids, split, progress))
    elif split == "val":
        probs = cross_fitted(spec.how, said)
    else:
        probs = combine(spec.how, said, model.fitted)
    preds = _predictions(said, probs)
    store_predictions(run, split, preds)
    return preds
