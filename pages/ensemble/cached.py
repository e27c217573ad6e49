"""What the page computes, once for each version of the members' weights and predictions.

What takes time (predictions that nobody has made yet, stacking) is computed after the rest of the page stands.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from core.errors import LightboxError
from core.evaluation import ensemble_scores
from core.evaluation.ensemble_scores import PartScore, Score
from core.evaluation.ensembles import cross_fitted, fit
from core.evaluation.member_agreement import agreement_of
from core.evaluation.member_predictions import MemberPredictions, gather
from core.evaluation.members import Difference, differences, members_of
from core.evaluation.predictions import load_predictions
from core.metrics.agreement import Agreement
from core.models.combine import WAYS
from core.runs import checkpoints
from core.runs.members import Member
from core.runs.store import Run, RunStore
from core.runs.summary import file_stamp, stored_splits
from pages.shared.layout import long_task

FILES = ("config.json", "status.json", "data.json", "predictions.npz")
SLOW = ("stacking", "mlp")                   # take seconds with many images and classes, and are computed beside the page
ASKED = ("mlp",)                              # and of these, those that may take a minute: only when they are chosen
# probabilities of all members, images and classes together, up to which a way can be fitted, or only combined, many times at once
CHEAP, CHEAP_TO_COMBINE = 60_000, 200_000
# the same times the classes, up to which a slow way is fitted while the page is drawn
AT_ONCE = {"stacking": 200_000, "mlp": 20_000}
KEPT = 24                                     # choices of members that the server remembers


@dataclass(frozen=True)
class Choice:
    """The members that are picked.

    Args:
        key: stands for them: equal for the same weights and predictions
        members: as `members_of` gives them; empty where an error stands
        reasons: why they cannot be combined
        error: what was wrong with the picks
    """

    key: tuple
    members: tuple[Member, ...] = ()
    reasons: tuple[Difference, ...] = ()
    error: LightboxError | None = None


def choice_of(addresses: Sequence[str], column: str) -> Choice:
    """Return what is picked, from addresses of runs (RUN or RUN@EPOCH)."""
    root = RunStore().root / "runs"
    stamps = tuple((address, *(file_stamp(root / address.partition("@")[0] / name) for name in FILES)) for address in addresses)
    return _choice(stamps, column)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _choice(stamps: tuple, column: str) -> Choice:
    try:
        members = members_of([address for address, *_ in stamps], column)
        return Choice((stamps, column), members, tuple(differences(members)))
    except LightboxError as error:
        return Choice((stamps, column), error=error)


def said_by(choice: Choice) -> MemberPredictions:
    """Return what the members predict of validation; what nobody has predicted yet is, with progress and a Stop button.

    Raises LightboxError as `gather` does.
    """
    known = _kept("said")
    if choice.key not in known:
        if _all_stored(choice.members):
            made = gather(choice.members, "val")
        else:
            with long_task("Predicting the validation images", key=f"gather_{hash(choice.key)}") as progress:
                made = gather(choice.members, "val", progress)
        _keep("said", choice.key, made)
    return known[choice.key]


def _all_stored(members: Sequence[Member]) -> bool:
    """Whether all is stored: of experts the images of other parts are not."""
    runs = [RunStore().get(member.run) for member in members]
    return not members[0].part and all("val" in stored_splits(run) and member.epoch == checkpoints.best_epoch(run.checkpoints)
                                       for run, member in zip(runs, members))


# ---------------------------------------------------------------------------------------------------- the rest

def member_scores(choice: Choice, said: MemberPredictions) -> list[Score]:
    """Return the score of each member."""
    return once(choice, "members", lambda: ensemble_scores.member_scores(said))


def way_score(choice: Choice, said: MemberPredictions, way: str) -> Score:
    """Return the score of a way; computed here where it is not known yet."""
    return once(choice, f"way {way}", lambda: ensemble_scores.score(said, cross_fitted(way, said), way, WAYS[way].title))


def fitted(choice: Choice, said: MemberPredictions, way: str) -> dict[str, np.ndarray]:
    """Return what a way learns on all of validation: its weights, the curve of a selection; empty where nothing is learned."""
    return once(choice, f"fitted {way}", lambda: fit(way, said))


def without_each(choice: Choice, said: MemberPredictions, way: str, metric: str) -> list[float | None]:
    """Return the metric of a way without each member."""
    return once(choice, f"without {way} {metric}", lambda: ensemble_scores.without_each(said, way, metric))


def against_best(choice: Choice, said: MemberPredictions, way: str) -> str:
    """Return whether a way differs from the best member by more than chance, in a sentence."""
    return once(choice, f"against {way}", lambda: ensemble_scores.against_best(
        said, way_score(choice, said, way), member_scores(choice, said))["sentence"])


def is_cheap(said: MemberPredictions, way: str, times: int = 1) -> bool:
    """Return whether a slow way can be fitted so many times while the page is drawn, another way several times."""
    if way in SLOW:
        return said.probs.size * len(said.class_names) * times <= AT_ONCE[way]
    return said.probs.size <= (CHEAP if WAYS[way].fit else CHEAP_TO_COMBINE)


def is_ready(choice: Choice, said: MemberPredictions, way: str) -> bool:
    """Return whether the score of a way is known, or known at once."""
    return way not in SLOW or is_cheap(said, way) or is_known(choice, f"way {way}")


def start(choice: Choice, said: MemberPredictions, way: str) -> LightboxError | None:
    """Compute the score of a way beside the page, once for all who look; return why it could not be, where that is known."""
    threads, failed = _kept("threads"), _kept("failed")
    key = choice.key, way

    def work() -> None:
        try:
            way_score(choice, said, way)
        except Exception as error:                        # whatever it is, the page says it and goes on
            _keep("failed", key, LightboxError("ensemble.score", f"{WAYS[way].title} could not be computed: {error}"))
    if key not in threads:
        threads[key] = threading.Thread(target=work, name=f"score {way}", daemon=True)
        threads[key].start()
    return failed.get(key)


def agreement(choice: Choice, said: MemberPredictions) -> Agreement:
    """Return how alike the members are."""
    return once(choice, "agreement", lambda: agreement_of(said))


def part_scores(choice: Choice, said: MemberPredictions, others: Sequence[tuple[str, np.ndarray]], key: str) -> list[PartScore]:
    """Return each network on each part; `key` stands for the others."""
    return once(choice, f"parts {key}", lambda: ensemble_scores.part_scores(said, others))


def is_known(choice: Choice, what: str) -> bool:
    """Return whether something was computed already, so that it costs nothing to show."""
    return (choice.key, what) in _kept("computed")


def once(choice: Choice, what: str, compute: Callable[[], Any]) -> Any:
    """Compute something about a choice, once."""
    known = _kept("computed")
    if (choice.key, what) not in known:
        _keep("computed", (choice.key, what), compute(), KEPT * 20)
    return known[choice.key, what]


def quick_ways(said: MemberPredictions) -> list[str]:
    """Return the ways that stand on the page: those that fit these members. One member, such as the folds of one config, is
    combined with nobody."""
    if len(said.probs) == 1:
        return ["soft"]
    experts = ["experts"] if said.parts is not None else []
    return [*experts, *(way for way in WAYS if way != "experts")]


def network_for_all(run: Run, said: MemberPredictions) -> np.ndarray | None:
    """Return what a network for all parts predicts of the same images, (N, K); None where it has not predicted one of them."""
    stored = load_predictions(run, "val")
    if stored is None:
        return None
    place = {name: i for i, name in enumerate(stored.image_ids)}
    rows = [place.get(name, -1) for name in said.image_ids]
    return None if -1 in rows else stored.probs[rows]


def forget() -> None:
    """Forget everything, as a fresh server does: for measuring."""
    _choice.clear()
    _kept.clear()


@st.cache_resource(show_spinner=False)
def _kept(what: str) -> dict:
    return {}


def _keep(what: str, key: object, value: Any, most: int = KEPT) -> None:
    known = _kept(what)
    known[key] = value
    while len(known) > most:
        known.pop(next(iter(known)), None)
