"""What is going wrong with a training, in words: records in, sentences out.

    alarms(records, epochs)     every illness that the records show, the gravest first

Each rule is a function of its own with its numbers beside it. A rule speaks only of what was recorded: records of older
versions lack some keys, and then the rule stays silent. One bad batch is no illness: steps are judged by the median of
several, epochs by two or three in a row.

    rule               speaks when
    not_a_number       the loss was no longer a number, or infinite
    collapsed          in two epochs running (or in the last one) all validation images got the same answer
    rate_too_high      the loss stands 25 % above where it began
    gradient_explodes  the gradient is 100 times as long as at first
    gradient_vanishes  the gradient is 10,000 times shorter than at first, though the loss has hardly fallen
    diverges           the validation loss is 50 % above its lowest value while the training loss fell: mean of three epochs
    overfits           the same with 10 %
    first_is_best      four epochs are done and none was better than the first
    below_majority     three epochs are done and none was right more often than the most frequent answer would be
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

ABOVE_START = 1.25      # loss now / loss at the start
EXPLODED = 100.0        # length of the gradient now / at first
VANISHED = 1e-4         # the same
HARDLY_FELL = 0.8       # loss now / loss at the start, above which nothing was learned
DIVERGED, OVERFITTED = 1.5, 1.1      # validation loss / its lowest value
SINCE = 3               # epochs after the lowest validation loss before anything is said
FIRST_OF = 4            # epochs done before the first may be called the best in earnest
SOME_STEPS = 5          # steps that a median is taken of
NO_NUMBER = "no longer a number"     # what the trainer says when it ends for that


@dataclass(frozen=True)
class Alarm:
    """One illness. Plain text; names of classes stand in it as they are.

    Args:
        key: name of the rule
        sentence: what was seen, with the numbers
        advice: what to try
        epoch: since when
    """
    key: str
    sentence: str
    advice: str
    epoch: int


@dataclass(frozen=True)
class Course:
    """What the rules look at: the records of one training, in order."""
    epochs: Sequence[Mapping]           # one for each finished epoch
    steps: Sequence[Mapping]
    ended: bool                         # no epoch will follow
    n_val: int
    class_names: Sequence[str]
    reason: str
    majority: float | None


def alarms(records: Sequence[Mapping], epochs: int, *, class_names: Sequence[str] = (), reason: str = "",
           majority: float | None = None) -> list[Alarm]:
    """Every illness that a training shows, the gravest first.

    Args:
        records: as `Run.records` gives them
        epochs: how many were asked for
        class_names: to say which class it is that all images get
        reason: of the run's status: a loss that is no number cannot stand in a record
        majority: accuracy on the validation images of always giving their most frequent answer, 0 to 1; None where that is not
            known

    Returns:
        list of Alarm, empty for a healthy training and for one that has hardly begun
    """
    of = {kind: [r for r in records if r.get("kind") == kind] for kind in ("start", "step", "epoch", "end")}
    done = of["epoch"][-1]["epoch"] if of["epoch"] else 0
    course = Course(of["epoch"], of["step"], bool(of["end"]) or done >= epochs, of["start"][-1].get("n_val", 0) if of["start"]
                    else 0, class_names, reason, majority)
    found: dict[str, Alarm] = {}
    for rule in RULES:
        if not SAID_BY.get(rule.__name__, set()) & found.keys() and (alarm := rule(course)):
            found[alarm.key] = alarm
    return list(found.values())


# -------------------------------------------------------------------------------------------------------------------- the rules

def not_a_number(course: Course) -> Alarm | None:
    broken = [r for r in course.steps if r.get("loss") is None or not math.isfinite(r["loss"])]
    if not broken and NO_NUMBER not in course.reason:
        return None
    epoch = broken[0]["epoch"] if broken else _epoch_now(course)
    return Alarm("not_a_number", f"The loss is no longer a number, since epoch {epoch}: the weights have run away.",
                 "Start again with a tenth of the learning rate, with warm-up, or clip the gradient at 1.", epoch)


def collapsed(course: Course) -> Alarm | None:
    """For one class per image; for several findings, the same answer on every one of them."""
    answers = [(r["epoch"], _only_answer(r["predicted"], course)) for r in course.epochs if r.get("predicted")]
    if not answers or answers[-1][1] is None:
        return None
    run = [epoch for epoch, answer in _tail(answers, lambda pair: pair[1] == answers[-1][1])]
    if len(run) < 2 and not (course.ended and len(answers) == len(course.epochs)):
        return None
    since = f"since epoch {run[0]}" if len(run) > 1 else f"in epoch {run[0]}"
    return Alarm("collapsed", f"The network has collapsed: {answers[-1][1]}, {since}.",
                 "Try a smaller learning rate. Where one class is much more frequent than the others, switch on class weights or "
                 "balanced sampling.", run[0])


def rate_too_high(course: Course) -> Alarm | None:
    start, now = _loss_at_start(course), _loss_now(course)
    if start is None or now is None or now <= ABOVE_START * start:
        return None
    epoch = next((r["epoch"] for r in course.epochs if r["train_loss"] > ABOVE_START * start), _epoch_now(course))
    return Alarm("rate_too_high", f"The training loss rose above its start: from {start:.3g} to {now:.3g}, since epoch {epoch}.",
                 "The learning rate is too high. Try a tenth of it, or find one with the learning-rate finder on the page Train.",
                 epoch)


def gradient_explodes(course: Course) -> Alarm | None:
    lengths = _lengths(course)
    if lengths is None or lengths[1] <= EXPLODED * lengths[0]:
        return None
    epoch = course.steps[-SOME_STEPS]["epoch"]
    return Alarm("gradient_explodes", f"The gradient explodes: its length went from {lengths[0]:.2g} to {lengths[1]:.2g} by "
                 f"epoch {epoch}.", "Clip the gradient at 1, or lower the learning rate.", epoch)


def gradient_vanishes(course: Course) -> Alarm | None:
    """A network that knows its images has a short gradient too; then its loss is small, and nothing is said."""
    lengths, start, now = _lengths(course), _loss_at_start(course), _loss_now(course)
    if lengths is None or start is None or now is None or lengths[1] >= VANISHED * lengths[0] or now < HARDLY_FELL * start:
        return None
    epoch = course.steps[-SOME_STEPS]["epoch"]
    return Alarm("gradient_vanishes", f"The gradient vanishes: its length went from {lengths[0]:.2g} to {lengths[1]:.2g} by "
                 f"epoch {epoch}, and the loss stands at {now:.3g} (at first {start:.3g}).",
                 "Fewer layers, another start of the weights or less regularisation may help. Without pooling strides a small "
                 "CNN sees too little to learn from.", epoch)


def diverges(course: Course) -> Alarm | None:
    seen = _risen(course, DIVERGED)
    return seen and Alarm("diverges", f"The validation diverges: {seen[0]}.",
                          "The weights of the best epoch are kept. Stop, and try a smaller learning rate, more regularisation or "
                          "more images; early stopping would have ended it.", seen[1])


def overfits(course: Course) -> Alarm | None:
    seen = _risen(course, OVERFITTED)
    return seen and Alarm("overfits", f"It has begun to overfit: {seen[0]}.",
                          "The network learns its training images by heart. The weights of the best epoch are kept; random "
                          "changes of the images, weight decay, dropout or early stopping help.", seen[1])


def first_is_best(course: Course) -> Alarm | None:
    best = [r["epoch"] for r in course.epochs if r.get("is_best")]
    if len(course.epochs) < FIRST_OF or not best or best[-1] != 1:
        return None
    return Alarm("first_is_best", f"The best epoch is the first: in {len(course.epochs) - 1} epochs since then it has not "
                 "become better on the validation images.",
                 "The learning rate may be too high, or the network knows already what it can learn here. Try a third of the "
                 "learning rate, with warm-up.", 1)


def below_majority(course: Course) -> Alarm | None:
    best = max((r["val_accuracy"] for r in course.epochs if r.get("val_accuracy") is not None), default=None)
    if course.majority is None or best is None or len(course.epochs) < SINCE or best > course.majority:
        return None
    return Alarm("below_majority", "No epoch was right more often than always giving the most frequent answer: at best "
                 f"{best:.3f}, that gives {course.majority:.3f}.",
                 "Look at ROC AUC and balanced accuracy: if they rise, it does learn, and only the threshold is wrong. If "
                 "not, try another learning rate, a larger network or other images.", 1)


RULES: tuple[Callable[[Course], Alarm | None], ...] = (
    not_a_number, collapsed, rate_too_high, gradient_explodes, gradient_vanishes, diverges, overfits, first_is_best,
    below_majority)

# rule -> alarms that say it already
SAID_BY = {"rate_too_high": {"not_a_number"}, "gradient_explodes": {"not_a_number", "rate_too_high"},
           "overfits": {"diverges"}, "first_is_best": {"not_a_number", "collapsed", "rate_too_high"},
           "below_majority": {"collapsed"}, "diverges": {"rate_too_high"}}


# ------------------------------------------------------------------------------------------------------------------ small parts

def _only_answer(predicted: Sequence[int], course: Course) -> str | None:
    """What all validation images got, in words; None where there were several answers.

    With one class per image the counts add up to the images. With several findings each count is for itself.
    """
    names = course.class_names
    if len(predicted) > 1 and (not course.n_val or sum(predicted) == course.n_val):
        given = [k for k, n in enumerate(predicted) if n]
        if len(given) != 1:
            return None
        name = names[given[0]] if len(names) == len(predicted) else f"number {given[0]}"
        return f"all validation images get the class {name}"
    if not any(predicted):
        return "no finding is seen on any validation image"
    if all(n == course.n_val for n in predicted):
        return "every finding is seen on every validation image"
    return None


def _tail(items: Sequence, fits: Callable) -> Sequence:
    """The longest end of a list whose items all fit."""
    n = next((i for i, item in enumerate(reversed(items)) if not fits(item)), len(items))
    return items[len(items) - n:]


def _risen(course: Course, factor: float) -> tuple[str, int] | None:
    """(in words, since which epoch): the mean validation loss of the last epochs is `factor` times the lowest, while the
    training loss fell."""
    known = [r for r in course.epochs if r.get("val_loss") is not None and r.get("train_loss") is not None]
    if len(known) <= SINCE:
        return None
    best = min(range(len(known)), key=lambda i: known[i]["val_loss"])
    low, after = known[best], known[best + 1:]
    now, train = fmean(r["val_loss"] for r in known[-SINCE:]), fmean(r["train_loss"] for r in known[-SINCE:])
    if len(after) < SINCE or now <= factor * low["val_loss"] or train >= low["train_loss"]:
        return None
    since = low["epoch"] + 1
    return (f"since epoch {since} the validation loss rose from {low['val_loss']:.3g} to {now:.3g} (mean of the last {SINCE} "
            f"epochs), while the training loss fell from {low['train_loss']:.3g} to {train:.3g}"), since


def _loss_at_start(course: Course) -> float | None:
    """Median loss of the first steps that were reported, if they belong to the first epoch."""
    first = [r["loss"] for r in course.steps[:3] if r["epoch"] == 1 and r.get("loss") is not None]
    return median(first) if first else None


def _loss_now(course: Course) -> float | None:
    """Training loss of the last epoch; before the first has ended, that of the last steps."""
    if course.epochs:
        return course.epochs[-1].get("train_loss")
    last = [r["loss"] for r in course.steps[-SOME_STEPS:] if r.get("loss") is not None]
    return median(last) if len(course.steps) >= 2 * SOME_STEPS and last else None


def _lengths(course: Course) -> tuple[float, float] | None:
    """Median length of the gradient over the first and over the last steps."""
    if len(course.steps) < 2 * SOME_STEPS:
        return None
    parts = [[r["grad_norm"] for r in part if r.get("grad_norm") is not None and math.isfinite(r["grad_norm"])]
             for part in (course.steps[:SOME_STEPS], course.steps[-SOME_STEPS:])]
    return (median(parts[0]), median(parts[1])) if all(parts) and median(parts[0]) > 0 else None


def _epoch_now(course: Course) -> int:
    return course.steps[-1]["epoch"] if course.steps else len(course.epochs) + 1
