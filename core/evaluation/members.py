"""The members of an ensemble: found among runs, and checked against each other.

    members = members_of(["20261121-0352-k3f9", "20261121-0401-a1b2@7"])
    differences(members)                       [] where they can be combined; what they predict: member_predictions.py
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.config import KNOBS, OUT_OF_FOLD, RunConfig
from core.datasets import look_ahead
from core.datasets.text import natural_key
from core.errors import LightboxError
from core.evaluation.compare import OF_THE_MACHINE
from core.evaluation.predictions import load_predictions
from core.runs import checkpoints
from core.runs.classifiers import split_address
from core.runs.ensembles import weights_hash
from core.runs.members import Member
from core.runs.run import Run
from core.runs.states import LIVE
from core.runs.store import RunStore

# Settings that decide which images are in which part.
OF_THE_SPLIT = ("data.dataset", "data.target", "data.label_map", "data.split", "data.copies", "data.val_fraction",
                "data.test_fraction", "data.split_seed", "data.folds")
FREE_IN_A_SERIES = OF_THE_MACHINE | {"data.fold"}


@dataclass(frozen=True)
class Difference:
    """Why a run cannot be combined with the first one.

    Args:
        text: in a sentence
        settings: {dotted setting: value} of the run that is missing, to be trained like `config`; empty where no training helps
        config: of a run like the missing one
    """
    text: str
    settings: dict
    config: RunConfig


def without_fold(name: str) -> str:
    """Return the name of a series of folds: "ResNet-18, fold 2 of 5" -> "ResNet-18"."""
    return name.partition(", fold ")[0]


# ------------------------------------------------------------------------------------------- which runs

def members_of(addresses: Sequence[str], gate: str = "") -> tuple[Member, ...]:
    """Return the members behind ids of runs, or RUN@EPOCH.

    An ensemble of the folds of one config stands for its folds. Runs whose configs differ only in the fold become one column;
    with a `gate`, each run is the expert of the values that its `data.only` names.

    Raises:
        LightboxError: "run.gone", "ensemble.unfinished" for a run that trains or has no epoch, "ensemble.nested" for another
            ensemble, "ensemble.twice" for the same weights twice, "ensemble.expert" for a run that is no expert of the column
    """
    store, found = RunStore(), []
    for address in addresses:
        run_id, epoch = split_address(address)
        run = store.get(run_id)
        spec = run.ensemble
        if spec and not spec.is_soup:
            if spec.width != 1 or spec.how == "experts":
                raise LightboxError("ensemble.nested", f"{run.name} is an ensemble itself.", "Choose its members instead.")
            found += [(store.get(member.run), member.epoch) for member in spec.members]
        else:
            found.append((run, epoch))
    members = [_member(run, epoch, gate) for run, epoch in found]
    if len({(member.run, member.epoch) for member in members}) < len(members):
        raise LightboxError("ensemble.twice", "The same weights were given twice.", "Choose each run once.")
    columns = _columns([run.config for run, _ in found], members)
    return tuple(sorted((replace(member, column=column) for member, column in zip(members, columns)),
                        key=lambda member: member.column))


def _member(run: Run, epoch: int | None, gate: str) -> Member:
    best = checkpoints.best_epoch(run.checkpoints)
    if best is None or run.status().state in LIVE:
        state = "is training" if best is not None else "has not finished an epoch yet"
        raise LightboxError("ensemble.unfinished", f"{run.name} {state}.", "Wait until it has ended, or choose other runs.")
    epoch = epoch or best
    digest = weights_hash(run, epoch)
    if digest is None:
        kept = ", ".join(map(str, checkpoints.snapshots(run.checkpoints)))
        raise LightboxError("checkpoint.missing", f"{run.name} has no checkpoint of epoch {epoch}; it has {kept}.",
                            "Choose an epoch that was kept.")
    name = run.name if epoch == best else f"{run.name}, epoch {epoch}"
    return Member(run.id, name, epoch, digest, 0, _part(run, gate) if gate else "")


def _part(run: Run, gate: str) -> str:
    column, _, value = run.config.data.only.partition(":")
    if column != gate:
        only = f"It was trained on {run.config.data.only.replace(':', ' ')} only." if column else "It was trained on all images."
        raise LightboxError("ensemble.expert", f"{run.name} is no expert for a value of {gate}. {only}",
                            f"Train one network for each: --grid data.only={gate}:*.")
    return value


def _columns(configs: Sequence[RunConfig], members: Sequence[Member]) -> list[int]:
    """Number the columns: runs whose configs differ only in the fold share one where their folds differ."""
    series: dict[str, list[int]] = defaultdict(list)
    for i, config in enumerate(configs):
        same = {name: config.get(name) for name in KNOBS if name not in FREE_IN_A_SERIES}
        series[json.dumps(same, default=str)].append(i)
    numbers, columns = {}, []
    for i, config in enumerate(configs):
        key = next(key for key, rows in series.items() if i in rows)
        folds = [configs[j].data.fold for j in series[key]]
        together = config.data.folds > 1 and len(set(folds)) == len(folds) > 1
        columns.append(numbers.setdefault(key if together else f"member {i}", len(numbers)))
    return columns


# ------------------------------------------------------------------------------------- do they fit together

def differences(members: Sequence[Member]) -> list[Difference]:
    """Return why members cannot be combined, each with the run that would have to be trained; empty where they can.

    They need the same task and classes, and the same images in validation and test: an image that one of them was trained on
    is no test of the others. Experts of one column each have their own part of them; of folds all must be there.
    """
    store = RunStore()
    runs = [store.get(member.run) for member in members]
    first, about = runs[0].config, runs[0].data()
    found = []
    for run in runs[1:]:
        other = run.data()
        if (other["task"], list(other["class_names"])) != (about["task"], list(about["class_names"])):
            found.append(Difference(f"{run.name} learned other classes: {', '.join(other['class_names'][:6])} instead of "
                                    f"{', '.join(about['class_names'][:6])}.", _settings(first, run.config), run.config))
        elif not members[0].part and run.config.data.only != first.data.only:
            column = (run.config.data.only or first.data.only).partition(":")[0]
            found.append(Difference(f"{runs[0].name} and {run.name} were trained on other values of {column}: they are experts, "
                                    "and are combined as such.", {}, run.config))
        elif text := _other_split(runs[0], run, in_series=members[0].column == members[-1].column or bool(members[0].part)):
            found.append(Difference(text, _settings(first, run.config), run.config))
    return found + _missing_folds(members, runs) + _missing_experts(members, runs)


def _settings(first: RunConfig, other: RunConfig) -> dict:
    """The settings of the split in which another run must be changed to fit the first."""
    return {name: first.get(name) for name in (*OF_THE_SPLIT, "data.fold") if first.get(name) != other.get(name)}


def _other_split(a: Run, b: Run, in_series: bool) -> str:
    """Return a sentence where two runs do not have the same images in the same parts, "" where they have."""
    folded = a.config.data.folds > 1 or b.config.data.folds > 1
    same_settings = all(a.config.get(name) == b.config.get(name) for name in OF_THE_SPLIT)
    if in_series or folded:                   # the images of their parts differ: the settings decide
        if same_settings and a.data().get("fingerprint") == b.data().get("fingerprint"):
            return ""
        changed = [name for name in OF_THE_SPLIT if a.config.get(name) != b.config.get(name)]
        return f"{b.name} has another split than {a.name}: {', '.join(changed) or 'its images'} differ."
    if a.data()["split_hash"] == b.data()["split_hash"]:
        return ""
    ours, theirs = (load_predictions(run, "val") for run in (a, b))
    if ours is None or theirs is None:
        return "" if same_settings else f"{b.name} has another split than {a.name}, or another data set."
    if set(ours.image_ids) == set(theirs.image_ids):
        return ""
    both = len(set(ours.image_ids) & set(theirs.image_ids))
    return (f"{b.name} has other validation images than {a.name}: {len(theirs.image_ids):,} and {len(ours.image_ids):,}, "
            f"of which they share {both:,}. An image that one of them was trained on is no test of the others.")


def _missing_folds(members: Sequence[Member], runs: Sequence[Run]) -> list[Difference]:
    found = []
    columns: dict[int, list[Run]] = defaultdict(list)
    for member, run in zip(members, runs):
        columns[member.column].append(run)
    series = {column: group for column, group in columns.items() if len(group) > 1}
    if not series:
        folds = {run.config.data.fold for run in runs if run.config.data.folds > 1}
        if len(folds) > 1:
            found.append(Difference("The runs are of different folds, and no config has all of them.",
                                    {"data.fold": "all"}, runs[0].config))
        return found
    for column, group in columns.items():
        config = group[0].config
        missing = sorted(set(range(config.data.folds)) - {run.config.data.fold for run in group})
        found += [Difference(f"Fold {fold + 1} of {config.data.folds} of {without_fold(group[0].name)} is missing.",
                             {"data.fold": fold}, config) for fold in missing]
        if len(group) == 1 and config.data.folds < 2:
            found.append(Difference(f"{group[0].name} is no series of folds, and others are.",
                                    _settings(next(iter(series.values()))[0].config, config), config))
    return found


def _missing_experts(members: Sequence[Member], runs: Sequence[Run]) -> list[Difference]:
    """Values of the gate's column that no expert has, as far as runs know their set's values."""
    if not members[0].part:
        return []
    column = runs[0].config.data.only.partition(":")[0]
    have = [value for member in members for value in member.part.split("|")]
    twice = sorted({value for value in have if have.count(value) > 1})
    found = [Difference(f"There are two experts for {value}.", {}, runs[0].config) for value in twice]
    known = _values_of(runs[0], column)
    return found + [Difference(f"There is no expert for {column} {value}.", {"data.only": f"{column}:{value}"}, runs[0].config)
                    for value in known if value not in have]


def _values_of(run: Run, column: str) -> list[str]:
    try:
        data = look_ahead(replace(run.config.data, only=""))
    except LightboxError:
        return []
    return [] if data is None or column not in data.table else sorted(set(data.table[column].astype(str)) - {""}, key=natural_key)


def require_fitting(members: Sequence[Member]) -> None:
    """Raise LightboxError "ensemble.differ" with the first reason why members cannot be combined."""
    if not members:
        raise LightboxError("ensemble.empty", "An ensemble needs members.", "Give the ids of finished runs.")
    if found := differences(members):
        first = found[0]
        settings = " ".join(f"--set {name}={value}" for name, value in first.settings.items() if value != "")
        hint = f"Train the missing run: python -m core train ... {settings}" if settings else "Choose others."
        raise LightboxError("ensemble.differ", first.text, hint)


def config_of(members: Sequence[Member], name: str = "") -> RunConfig:
    """Return the settings of an ensemble: those of the member with the largest images, for all parts and all folds."""
    store = RunStore()
    config = max((store.get(member.run).config for member in members), key=lambda one: (one.data.size, one.data.channels))
    changes = {"name": name, "data.only": ""} if members[0].part else {"name": name}
    if len(members) > 1 and members[0].column == members[1].column:
        changes["data.fold"] = OUT_OF_FOLD
    return config.with_(**changes)
