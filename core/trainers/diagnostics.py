"""What goes wrong in a training, in words: records in, sentences out.

    diagnose(records, epochs)     every problem that the records show, the gravest first

Each rule is a function of its own with its numbers beside it. A rule only uses what was recorded: records of
older versions lack some keys, and then it stays silent. One bad batch is no problem: of steps the median of
several counts, of epochs two or three in a row. What is next to nothing may grow a thousandfold and still be
next to nothing: losses below LEARNED and gradients below HARMLESS are no problem.

    rule               applies when
    not_a_number       the loss was no longer a number, or infinite
    collapsed          in two epochs running (or in the last one) all validation images got the same prediction
    rate_too_high      the loss stands 25 % above where it began
    gradient_explodes  the gradient norm is 100 times that of the first steps
    gradient_vanishes  the gradient norm is a 10,000th of that of the first steps, though the loss has hardly fallen
    diverges           the validation loss is 50 % above its lowest value while the training loss fell: mean of three epochs
    overfits           the same with 10 %
    first_is_best      four epochs are done and none was better than the first
    below_majority     three epochs are done and none has a higher accuracy than always predicting the most frequent class
    undefined          a metric of the validation images is undefined: they lack a class
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

ABOVE_START = 1.25      # loss now / loss at the start
EXPLODED = 100.0        # gradient norm now / at first
VANISHED = 1e-4         # the same
HARDLY_FELL = 0.8       # loss now / loss at the start, above which next to nothing was learned
DIVERGED, OVERFITTED = 1.5, 1.1      # validation loss / its lowest value
LEARNED = 0.02          # loss: the right class gets 98 %
HARMLESS = 10.0         # gradient norm
SINCE = 3               # epochs after the lowest validation loss before anything is reported
FIRST_OF = 4            # epochs done before it counts that the first was the best
SOME_STEPS = 5          # steps that a median is taken of
NOT_A_NUMBER = "no longer a number"     # in the trainer's reason when it ends for that


@dataclass(frozen=True)
class Diagnosis:
    """One problem of a training. Plain text; class names stand in it as they are.

    Args:
        key: name of the rule
        sentence: what happened, with the numbers
        advice: what to try
        epoch: since when
    """
    key: str
    sentence: str
    advice: str
    epoch: int


@dataclass(frozen=True)
class History:
    """The records of one training, in order."""
    epochs: Sequence[Mapping]           # one for each finished epoch
    steps: Sequence[Mapping]
    ended: bool                         # no epoch follows
    n_val: int
    class_names: Sequence[str]
    reason: str
    majority: float | None


def diagnose(records: Sequence[Mapping], epochs: int, *, class_names: Sequence[str] = (), reason: str = "",
           majority: float | None = None) -> list[Diagnosis]:
    """Return every problem that a training shows, the gravest first.

    Args:
        records: as `Run.records` gives them
        epochs: epochs of the config
        class_names: to name the class that all images get
        reason: of the run's status: a loss that is no number cannot stand in a record
        majority: accuracy of always predicting the most frequent class of the validation images, 0 to 1; None
            where that is not known

    Returns:
        list of Diagnosis, empty for a healthy training and for one that has hardly begun

    >>> records = [{"kind": "step", "epoch": 1, "step": 1, "loss": None}]
    >>> [diagnosis.key for diagnosis in diagnose(records, epochs=10)]
    ['not_a_number']
    """
    of = {kind: [r for r in records if r.get("kind") == kind] for kind in ("start", "step", "epoch", "end")}
    done = of["epoch"][-1]["epoch"] if of["epoch"] else 0
    history = History(of["epoch"], of["step"], bool(of["end"]) or done >= epochs, of["start"][-1].get("n_val", 0) if of["start"]
                    else 0, class_names, reason, majority)
    diagnoses: dict[str, Diagnosis] = {}
    for rule in RULES:
        if not IMPLIED_BY.get(rule.__name__, set()) & diagnoses.keys() and (diagnosis := rule(history)):
            diagnoses[diagnosis.key] = diagnosis
    return list(diagnoses.values())


# --- the rules ---

def not_a_number(history: History) -> Diagnosis | None:
    broken = [r for r in history.steps if r.get("loss") is None or not math.isfinite(r["loss"])]
    if not broken and NOT_A_NUMBER not in history.reason:
        return None
    epoch = broken[0]["epoch"] if broken else _epoch_now(history)
    return Diagnosis("not_a_number", f"The loss is no longer a number since epoch {epoch}: the weights have diverged.",
                     "Start again with a tenth of the learning rate, with warm-up, or with gradient clipping at 1.", epoch)


def collapsed(history: History) -> Diagnosis | None:
    """For one class per image; for several findings, the same prediction for every one of them."""
    same = [(r["epoch"], _only_prediction(r["predicted"], history)) for r in history.epochs if r.get("predicted")]
    if not same or same[-1][1] is None or _one_class(history):
        return None
    run = [epoch for epoch, _ in _tail(same, lambda pair: pair[1] == same[-1][1])]
    if len(run) < 2 and not (history.ended and len(same) == len(history.epochs)):
        return None
    since = f"since epoch {run[0]}" if len(run) > 1 else f"in epoch {run[0]}"
    return Diagnosis("collapsed", f"The predictions have collapsed: {same[-1][1]}, {since}.",
                     "Try a smaller learning rate. Where one class is much more frequent than the others, turn on class "
                     "weights or balanced sampling.", run[0])


def rate_too_high(history: History) -> Diagnosis | None:
    start, now = _loss_at_start(history), _loss_now(history)
    if start is None or now is None or now <= max(ABOVE_START * start, LEARNED):
        return None
    epoch = next((r["epoch"] for r in history.epochs if r["train_loss"] > ABOVE_START * start), _epoch_now(history))
    return Diagnosis("rate_too_high", f"The training loss is higher than at the start: it rose from {start:.3g} to {now:.3g}, "
                     f"since epoch {epoch}.", "The learning rate is too high. Try a tenth of it, or look for one with the "
                     "learning-rate finder on the page Train.",
                     epoch)


def gradient_explodes(history: History) -> Diagnosis | None:
    norms = _grad_norms(history)
    if norms is None or norms[1] <= max(EXPLODED * norms[0], HARMLESS):
        return None
    epoch = history.steps[-SOME_STEPS]["epoch"]
    return Diagnosis("gradient_explodes", f"The gradient explodes: its norm went from {norms[0]:.2g} to {norms[1]:.2g} by "
                     f"epoch {epoch}.", "Clip the gradient at 1, or lower the learning rate.", epoch)


def gradient_vanishes(history: History) -> Diagnosis | None:
    """A network that has learned its images has a small gradient too; then its loss is small, and the rule does not apply."""
    norms, start, now = _grad_norms(history), _loss_at_start(history), _loss_now(history)
    if norms is None or start is None or now is None or norms[1] >= VANISHED * norms[0] or now < max(
            HARDLY_FELL * start, LEARNED):
        return None
    epoch = history.steps[-SOME_STEPS]["epoch"]
    return Diagnosis("gradient_vanishes", f"The gradient vanishes: its norm went from {norms[0]:.2g} to {norms[1]:.2g} by "
                     f"epoch {epoch}, and the loss is {now:.3g} (at first {start:.3g}).",
                     "Fewer layers, other initial weights or less regularisation may help. Without strided pooling the receptive "
                     "field of a small CNN is too small to learn from.", epoch)


def diverges(history: History) -> Diagnosis | None:
    seen = _risen(history, DIVERGED)
    return seen and Diagnosis("diverges", f"The validation loss diverges: {seen[0]}.",
                              "The weights of the best epoch are kept. Stop, and try a smaller learning rate, more "
                              "regularisation or more images; early stopping would have ended the run.", seen[1])


def overfits(history: History) -> Diagnosis | None:
    seen = _risen(history, OVERFITTED)
    return seen and Diagnosis("overfits", f"The network has begun to overfit: {seen[0]}.",
                              "It memorises its training images. The weights of the best epoch are kept; data augmentation, "
                              "weight decay, dropout or early stopping help.", seen[1])


def first_is_best(history: History) -> Diagnosis | None:
    best = [r["epoch"] for r in history.epochs if r.get("is_best")]
    if len(history.epochs) < FIRST_OF or not best or best[-1] != 1 or (history.epochs[0].get("val_loss") or 1) < LEARNED:
        return None
    return Diagnosis("first_is_best", "The best epoch is the first: in the "
                     f"{len(history.epochs) - 1} epochs since then the network has not improved on the validation images.",
                     "The learning rate may be too high, or the network already knew what it can learn here. Try a third of the "
                     "learning rate, with warm-up.", 1)


def below_majority(history: History) -> Diagnosis | None:
    best = max((r["val_accuracy"] for r in history.epochs if r.get("val_accuracy") is not None), default=None)
    if history.majority is None or best is None or len(history.epochs) < SINCE or best > history.majority or _one_class(history):
        return None
    return Diagnosis("below_majority", "No epoch beats always predicting the most frequent class: the best accuracy is "
                     f"{best:.3f}, that of the most frequent class {history.majority:.3f}.",
                     "Look at ROC AUC and balanced accuracy: if they rise, the network does learn, and only the threshold is "
                     "wrong. If not, try another learning rate, a larger network or other images.", 1)


def undefined(history: History) -> Diagnosis | None:
    noted = [r for r in history.epochs if r.get("notes")]
    if not noted or noted[-1] is not history.epochs[-1]:
        return None
    return Diagnosis("undefined", " ".join(noted[-1]["notes"]).replace("in this split", "among the validation images"),
                     "Give the validation set images of every class: make it larger, or split anew.", noted[0]["epoch"])


RULES: tuple[Callable[[History], Diagnosis | None], ...] = (
    not_a_number, collapsed, rate_too_high, gradient_explodes, gradient_vanishes, diverges, overfits, first_is_best,
    below_majority, undefined)

# rule -> diagnoses that imply it
IMPLIED_BY = {"rate_too_high": {"not_a_number"}, "gradient_explodes": {"not_a_number", "rate_too_high"},
           "overfits": {"diverges"}, "first_is_best": {"not_a_number", "collapsed", "rate_too_high"},
           "below_majority": {"collapsed"}, "diverges": {"rate_too_high"}}


# --- small parts ---

def _only_prediction(predicted: Sequence[int], history: History) -> str | None:
    """What all validation images got, in words; None where there were several predictions.

    With one class per image the counts add up to the images. With several findings each count is for itself.
    """
    names = history.class_names
    if len(predicted) > 1 and (not history.n_val or sum(predicted) == history.n_val):
        given = [k for k, n in enumerate(predicted) if n]
        if len(given) != 1:
            return None
        name = names[given[0]] if len(names) == len(predicted) else f"number {given[0]}"
        return f"all validation images get the class {name}"
    if not any(predicted):
        return "no finding is predicted for any validation image"
    if all(n == history.n_val for n in predicted):
        return "every finding is predicted for every validation image"
    return None


def _one_class(history: History) -> bool:
    """Whether all validation images truly are of one class, of which every network that knows it predicts nothing else."""
    return history.majority == 1 or bool(history.epochs) and history.epochs[-1].get("val_accuracy") == 1


def _tail(items: Sequence, fits: Callable) -> Sequence:
    """The longest end of a list whose items all fit."""
    n = next((i for i, item in enumerate(reversed(items)) if not fits(item)), len(items))
    return items[len(items) - n:]


def _risen(history: History, factor: float) -> tuple[str, int] | None:
    """(in words, since which epoch): the mean validation loss of the last epochs is `factor` times the lowest, while the
    training loss fell."""
    known = [r for r in history.epochs if r.get("val_loss") is not None and r.get("train_loss") is not None]
    if len(known) <= SINCE:
        return None
    best = min(range(len(known)), key=lambda i: known[i]["val_loss"])
    low, after = known[best], known[best + 1:]
    now, train = fmean(r["val_loss"] for r in known[-SINCE:]), fmean(r["train_loss"] for r in known[-SINCE:])
    if len(after) < SINCE or now <= max(factor * low["val_loss"], LEARNED) or train >= low["train_loss"]:
        return None
    since = low["epoch"] + 1
    return (f"since epoch {since} the validation loss rose from {low['val_loss']:.3g} to {now:.3g} (mean of the last {SINCE} "
            f"epochs), while the training loss fell from {low['train_loss']:.3g} to {train:.3g}"), since


def _loss_at_start(history: History) -> float | None:
    """Median loss of the first steps that were reported, if they belong to the first epoch."""
    first = [r["loss"] for r in history.steps[:3] if r["epoch"] == 1 and r.get("loss") is not None]
    return median(first) if first else None


def _loss_now(history: History) -> float | None:
    """Training loss of the last epoch; before the first has ended, that of the last steps."""
    if history.epochs:
        return history.epochs[-1].get("train_loss")
    last = [r["loss"] for r in history.steps[-SOME_STEPS:] if r.get("loss") is not None]
    return median(last) if len(history.steps) >= 2 * SOME_STEPS and last else None


def _grad_norms(history: History) -> tuple[float, float] | None:
    """Median gradient norm over the first and over the last steps."""
    if len(history.steps) < 2 * SOME_STEPS:
        return None
    parts = [[r["grad_norm"] for r in part if r.get("grad_norm") is not None and math.isfinite(r["grad_norm"])]
             for part in (history.steps[:SOME_STEPS], history.steps[-SOME_STEPS:])]
    return (median(parts[0]), median(parts[1])) if all(parts) and median(parts[0]) > 0 else None


def _epoch_now(history: History) -> int:
    return history.steps[-1]["epoch"] if history.steps else len(history.epochs) + 1
