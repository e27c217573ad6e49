"""Soups of runs and snapshots: the members loaded, their weights averaged, batch norm computed again, validation asked.

    make_soup(["RUN@6", "RUN@8", "RUN@10"], data, "soup")      SWA over the snapshots of a run

No label of a test image is read. core/trainers/soup.py has the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.config import Split
from core.datasets.dataset import Dataset
from core.errors import LightboxError
from core.metrics import METRICS
from core.runs.classifiers import load_classifier, settings_of, split_address

if TYPE_CHECKING:
    from core.models.classifier import Classifier

Progress = Callable[[str, int, int], None]
BATCH = 64
SOUPS = ("soup", "greedy_soup")


@dataclass(frozen=True)
class SoupStep:
    """A member as the greedy soup tried it: validation of the mean with it, and whether it stayed in."""
    address: str
    value: float
    kept: bool


@dataclass(frozen=True)
class Soup:
    """A soup.

    Args:
        model: in evaluation mode, on the CPU
        chosen: addresses of the members whose weights are in the mean
        curve: what was tried, in order; of a uniform soup only the mean of all
        metric: a key of METRICS, by which validation was asked
        notes: sentences about it
    """
    model: Classifier
    chosen: tuple[str, ...]
    curve: tuple[SoupStep, ...]
    metric: str
    notes: tuple[str, ...] = ()


def make_soup(members: Sequence[str], data: Dataset, how: str = "soup", progress: Progress | None = None) -> Soup:
    """Average the weights of members: "soup" takes all, "greedy_soup" those that make validation no worse.

    Args:
        members: addresses as `load_classifier` takes them
        data: the open set that they were trained on; batch norm sees its training images, each once and unchanged
        progress: called with (sentence, done, total); may raise to stop

    Raises:
        LightboxError: "soup.how" for another way, "soup.empty" without members, "soup.unlike" where their networks, classes or
            preprocessing differ, and as `load_classifier` does
    """
    from core.trainers.soup import average, greedy_soup
    if how not in SOUPS:
        raise LightboxError("soup.how", f"There is no soup called {how[:80]!r}.", f"There are {' and '.join(SOUPS)}.")
    if not members:
        raise LightboxError("soup.empty", "A soup needs a member.", "Give the addresses of runs or snapshots.")
    kitchen = _Kitchen(members, data, progress)
    states = kitchen.states
    if how == "greedy_soup":
        values = [kitchen.value_of_member(place) for place in range(len(states))]
        chosen, tried = greedy_soup(states, values, kitchen.value_of_mean)
        curve = tuple(SoupStep(members[one.member], one.value * kitchen.sign, one.kept) for one in tried)
        if len(chosen) == 1:                       # one member is no mean: it keeps the statistics that it was trained with
            kitchen.model.load_state_dict(states[chosen[0]])
        else:
            kitchen.take(average([states[place] for place in chosen]))
    else:
        chosen, value = list(range(len(states))), kitchen.value_of_mean(average(states))
        curve = (SoupStep(members[-1], value * kitchen.sign, True),)
    return Soup(kitchen.model.eval().requires_grad_(False), tuple(members[place] for place in chosen), curve, kitchen.metric,
                _notes(members))


class _Kitchen:
    """One network that takes the weights of members and of means in turn, and is asked what validation says."""

    def __init__(self, members: Sequence[str], data: Dataset, progress: Progress | None):
        from core.trainers.batches import SplitData
        loaded = [load_classifier(address).model for address in members]
        self.model, self.progress = loaded[0], progress
        for address, model in zip(members[1:], loaded[1:]):
            _check_alike(members[0], loaded[0], address, model)
        if tuple(data.class_names) != self.model.class_names:
            raise _unlike("These images have other classes than the members were trained for.")
        self.states = [{name: value.clone() for name, value in model.state_dict().items()} for model in loaded]
        config = settings_of(members[0])
        if not config.model.unfreeze_epoch:
            self.model.freeze(config.model.freeze)
        self.rows, self.data = data.part(Split.TRAIN), data
        self.val = SplitData.of(data, Split.VAL)
        self.metric = config.train.monitor

    def value_of_member(self, place: int) -> float:
        """How good a member is by itself, with the statistics that it was trained with."""
        self.model.load_state_dict(self.states[place])
        return self._value()

    def value_of_mean(self, state: dict) -> float:
        """How good a mean is once batch norm was computed for it."""
        self.take(state)
        return self._value()

    def take(self, state: dict) -> None:
        """Load a mean, and compute batch norm again."""
        from core.trainers.soup import needs_statistics, update_batch_norm
        self.model.load_state_dict(state)
        if needs_statistics(self.model):
            update_batch_norm(self.model, self._training_images(), self._report)

    def _training_images(self) -> Iterator:
        """Training images in a fixed random order: a set that is sorted by class would give batches of one class."""
        from core.trainers.batches import Batches, SplitData, shuffled
        split = SplitData(self.data.images, self.rows, self.data.labels[self.rows])
        for images, _ in Batches(split, self.model.device)(shuffled(len(split), BATCH, seed=0, epoch=0)):
            yield images

    def _report(self, done: int) -> None:
        if self.progress:
            self.progress("Computing batch norm's statistics", done, len(self.rows))

    def _value(self) -> float:
        """The metric on validation, turned so that more is better; the loss where it is not defined."""
        from core.trainers.batches import Batches
        from core.trainers.validation import predict, score
        for done, probs in predict(self.model, Batches(self.val, self.model.device), BATCH):
            if self.progress:
                self.progress("Predicting the validation images", done, len(self.val))
        found = score(self.val.labels, probs, self.model.task)
        if found[self.metric] is None:
            self.metric = "loss"
        return self.sign * found[self.metric]

    @property
    def sign(self) -> int:
        """1 where more of the metric is better, else -1."""
        return 1 if METRICS[self.metric].higher_is_better else -1


def _check_alike(first: str, one: Classifier, address: str, other: Classifier) -> None:
    """Raise LightboxError "soup.unlike" where two members do not see, tell apart or compute the same."""
    facts = {"other classes": (one.class_names, other.class_names), "another task": (one.task, other.task),
             "another image size, other channels or another normalisation": (one.preprocessing, other.preprocessing),
             "another network": [{name: value.shape for name, value in model.state_dict().items()} for model in (one, other)]}
    differing = [what for what, (a, b) in facts.items() if a != b]
    if differing:
        raise _unlike(f"{address} has {' and '.join(differing)} than {first}: their weights have no mean.")


def _unlike(sentence: str) -> LightboxError:
    from core.trainers.soup import unlike
    return unlike(sentence)


def _notes(members: Sequence[str]) -> tuple[str, ...]:
    runs = {split_address(address)[0] for address in members}
    settings = [settings_of(run) for run in runs]
    began = {(one.model.weights, one.train.seed if one.model.weights == "none" else 0) for one in settings}
    if len(began) > 1:
        return ("These runs did not begin with the same weights: the mean of such networks is often no better than chance. "
                "Average snapshots of one run, or runs that were fine-tuned from the same weights.",)
    return ()
