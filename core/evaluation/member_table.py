"""What an ensemble is made of, as pages and reports show it: each member with its weight and how good it is alone.

    for row in member_rows(run): row.member.name, row.weight, row.auc

Only what is stored is read: nothing is predicted, and no torch is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import LightboxError
from core.evaluation.leaderboard import score
from core.metrics.estimates import Estimate
from core.models.combine import WAYS, Fitted
from core.runs.ensembles import fitted_of, member_problem
from core.runs.members import EnsembleSpec, Member
from core.runs.run import Run
from core.runs.store import RunStore
from core.runs.summary import stored_scores

QUICK = 2_000           # images for which intervals take no time that a person notices
ALIKE = ("soft", "hard", "logits", "rank", "soup")      # in these ways each member counts the same


@dataclass(frozen=True)
class MemberRow:
    """A member of an ensemble in a table.

    Args:
        member: which weights
        network: its title; "" where the run was deleted
        size: px a side of what it sees; 0 where the run was deleted
        images: which images it learned from, where not all: a part, or a fold; else ""
        weight: its share, all together 1; None where the way has none, or one for each image
        auc: ROC AUC on its own validation images, without an interval for an epoch that is not its best one
        problem: a sentence where it was deleted or changed, else ""
    """
    member: Member
    network: str
    size: int
    images: str
    weight: float | None
    auc: Estimate
    problem: str = ""


def member_rows(run: Run, most: int = QUICK) -> list[MemberRow]:
    """Return a row for each member of an ensemble or a soup, in the order in which it was made.

    Args:
        most: validation images up to which intervals are computed where nobody has computed them yet
    """
    spec, store = run.ensemble, RunStore()
    weights = weights_of(spec, {} if spec.is_soup else fitted_of(run))
    return [_row(store, member, weight, spec, most) for member, weight in zip(spec.members, weights)]


def _row(store: RunStore, member: Member, weight: float | None, spec: EnsembleSpec, most: int) -> MemberRow:
    problem = member_problem(member)
    if spec.is_soup and problem:
        problem = f"{problem} The soup has weights of its own and needs it no more."
    try:
        run = store.get(member.run)
        config = run.check().config
        return MemberRow(member, run.network_title, run.data().get("size", config.data.size), _images(run), weight,
                         auc_of(run, member.epoch, most), problem)
    except LightboxError:                                  # it was deleted, or is damaged
        return MemberRow(member, "", 0, member.part, weight, Estimate(None), problem)


def _images(run: Run) -> str:
    data = run.config.data
    column, _, value = data.only.partition(":")
    parts = [f"{column.replace('_', ' ')} {value.replace('|', ' or ')}"] if column else []
    return ", ".join(parts + ([f"fold {data.fold + 1} of {data.folds}"] if data.folds > 1 and data.fold >= 0 else []))


def auc_of(run: Run, epoch: int, most: int = QUICK) -> Estimate:
    """Return ROC AUC of an epoch on a run's own validation images, with its interval where that is at hand; see `member_rows`."""
    n = run.data().get("n", {}).get("val", 0)
    found = stored_scores(run).get("val") or (score(run, "val") if n <= most else None)
    if found and found["epoch"] == epoch and "roc_auc" in found["measures"]:
        value, low, high, method = found["measures"]["roc_auc"]
        return Estimate(value, low, high, n=found["n"], n_positive=found["n_positive"], method=method)
    record = next((one for one in run.records("epoch") if one["epoch"] == epoch), {})
    return Estimate(record.get("val_roc_auc"), n=n)


def weights_of(spec: EnsembleSpec, fitted: Fitted) -> list[float | None]:
    """Return the share of each member, all together 1; None where the way has no weights, or others for each image. The folds
    of one config share the weight of their column.

    >>> spec = EnsembleSpec("soft", (Member("r0", "a", 1, "", 0), Member("r1", "b", 1, "", 0), Member("r2", "c", 1, "", 1)))
    >>> weights_of(spec, {})
    [0.25, 0.25, 0.5]
    """
    columns = [len(group) for group in spec.columns]
    if spec.how in ALIKE:
        each: Sequence[float] = [1 / spec.width] * spec.width
    elif spec.how in WAYS and WAYS[spec.how].weighted and len(fitted.get("weights", ())) == spec.width:
        each = fitted["weights"]
    else:
        return [None] * len(spec.members)
    return [float(each[member.column]) / columns[member.column] for member in spec.members]


def coefficients_of(spec: EnsembleSpec, fitted: Fitted) -> tuple[str, list[float]] | None:
    """Return how much a stacking model listens to each column, (what that is, M values); None for other ways.

    For two classes it is the coefficient of the member's probability of the second, else the sum of the sizes of all of its
    coefficients.
    """
    if spec.how != "stacking" or spec.on_features or "coef" not in fitted:
        return None
    coef = np.asarray(fitted["coef"])
    if coef.shape == (1, spec.width):
        return "Coefficient", coef[0].tolist()
    return "Sum of the sizes of its coefficients", np.abs(coef).sum(axis=0).reshape(spec.width, -1).sum(axis=1).tolist()
