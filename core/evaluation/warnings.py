"""What must be known before a number of a judged run is believed: sentences, the gravest first, with the numbers in them.

    alarms(result, ...)      every alarm of a result of `core.evaluation.evaluate.judge`

Each rule is a function of its own. What only concerns the answers themselves (one answer for all, not above the majority, ROC AUC
undefined, few images) is said by the notes of `core.metrics.evaluate`; the rules here also know the training, the validation
and how often the test split was opened. The illnesses of a training are those of core/trainers/diagnostics.py.

    rule               speaks when
    notes              see `core.metrics.evaluate`
    below_baseline     the network is no better than the logistic regression on 16 x 16 pixels
    meaningless        nine of ten labels say the same, so that the accuracy is high without any skill
    first_is_best      the weights are those of the first epoch, though more were trained
    far_from_test      validation is better than test by more than chance gives
    opened_often       test was opened more than once
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from core.metrics import METRICS, MULTI_LABEL

ONE_SIDED = 0.9         # majority accuracy from which an accuracy says little
FAR = 0.02              # between validation and test: less is of no consequence, chance or not


@dataclass(frozen=True)
class Judged:
    """What the rules look at.

    Args:
        result: of `core.evaluation.evaluate.judge`, with "measures", "baselines", "notes"
        epochs: how many the training has finished
        validation: measure -> cell of the same run on validation, where test is judged
        times_opened: of the test split, where test is judged
    """
    result: Mapping
    epochs: int = 0
    validation: Mapping[str, Mapping] = field(default_factory=dict)
    times_opened: int = 0


def alarms(result: Mapping, *, epochs: int = 0, validation: Mapping[str, Mapping] | None = None,
           times_opened: int = 0) -> list[str]:
    """Plain sentences; names of classes stand in them as they are. The arguments are those of `Judged`."""
    judged = Judged(result, epochs, validation or {}, times_opened)
    return [sentence for rule in RULES for sentence in rule(judged)]


# --------------------------------------------------------------------------------------------------------------- the rules

def notes(judged: Judged) -> list[str]:
    return list(judged.result["notes"])


def below_baseline(judged: Judged) -> list[str]:
    logistic = next((base for base in judged.result["baselines"] if base["name"] != "majority"), None)
    ours = judged.result["measures"]["roc_auc"]["value"]
    if logistic is None or ours is None or logistic["roc_auc"] is None or ours > logistic["roc_auc"]:
        return []
    return [f"A {logistic['name']} does as well: its ROC AUC is {logistic['roc_auc']:.3f}, that of the network {ours:.3f}. "
            "What the network sees beyond brightness and framing does not show here."]


def meaningless(judged: Judged) -> list[str]:
    result = judged.result
    share, findings = result["majority_accuracy"], result["task"] == MULTI_LABEL
    if share < ONE_SIDED:
        return []
    what = ("of all answers to be given are \"no finding\"" if findings else f"of the images are '{result['majority_class']}'")
    return [f"The accuracy ({result['accuracy']:.3f}) says little: {100 * share:.1f} % {what}, so always answering that is right "
            f"in {share:.3f}. Look at ROC AUC, average precision and sensitivity."]


def first_is_best(judged: Judged) -> list[str]:
    if judged.result["epoch"] != 1 or judged.epochs < 2:
        return []
    return [f"The best epoch is the first of {judged.epochs}: on validation the network never became better than after one pass. "
            "The learning rate may be too high, or there is little to learn here."]


def far_from_test(judged: Judged) -> list[str]:
    names = ("roc_auc",) if judged.result["task"] == MULTI_LABEL else ("roc_auc", "accuracy")
    found = []
    for name in names:
        val, test = judged.validation.get(name), judged.result["measures"][name]
        if not val or None in (val["low"], test["low"]):
            continue
        gap = val["value"] - test["value"]
        chance = np.hypot(val["value"] - val["low"], test["high"] - test["value"])     # the two sides that face each other
        if gap > max(chance, FAR):
            title = METRICS[name].title
            found.append(f"Validation is far better than test: {title} {_said(val)} on validation, {_said(test)} on test. The "
                         "test images may come from elsewhere, or validation may share patients with training.")
    return found[:1]


def opened_often(judged: Judged) -> list[str]:
    if judged.times_opened < 2:
        return []
    return [f"The test set was opened {judged.times_opened} times: what was changed after the first look was changed with its "
            "answers in mind, and the numbers flatter by that."]


RULES: tuple[Callable[[Judged], list[str]], ...] = (
    notes, below_baseline, meaningless, first_is_best, far_from_test, opened_often)


def _said(cell: Mapping) -> str:
    return f"{cell['value']:.3f} ({cell['low']:.3f} to {cell['high']:.3f})"
