"""Warnings about an evaluation: what to know before its numbers are believed. Sentences with numbers, the
gravest first.

    warnings_of(result, epochs)      all warnings of a `core.evaluation.run_evaluation.RunEvaluation`

What only concerns the predictions themselves (one class predicted for all, not above the majority, ROC AUC
undefined, few images) stands in the notes of `core.metrics.evaluate`; the rules here also know the training,
the validation and how often the test set was opened. Problems of a training are those of
core/trainers/diagnostics.py.

    rule               warns when
    notes              see `core.metrics.evaluate`
    copied             images have a copy in training
    untrained          a class had no training image
    below_baseline     the network is no better than the logistic regression on 16 x 16 pixels
    imbalanced         nine of ten labels are the same, so that the accuracy is high without any skill
    first_is_best      the weights are those of the first epoch, though more were trained
    far_from_test      validation is better than test by more than chance gives
    opened_often       test was opened more than once
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from core.evaluation.run_evaluation import RunEvaluation
from core.metrics import METRICS, MULTI_LABEL, Estimate
from core.metrics.evaluation import Note

ONE_SIDED = 0.9         # majority accuracy from which an accuracy says little
FAR = 0.02              # between validation and test: less is of no consequence, chance or not


def warnings_of(result: RunEvaluation, *, epochs: int = 0) -> list[Note]:
    """Return the warnings; names of classes stand in them as they are.

    Args:
        result: with baselines; of test with validation and times_test_opened
        epochs: how many the training has finished
    """
    return [note for rule in RULES for note in rule(result, epochs)]


def notes(result: RunEvaluation, epochs: int) -> Sequence[Note]:
    return result.notes


def copied(result: RunEvaluation, epochs: int) -> Sequence[Note]:
    found = result.copies
    if found is None or not found.copied:
        return ()
    name = "roc_auc" if result.task == MULTI_LABEL else "accuracy"
    every, without = found.every.get(name), found.without.get(name)
    numbers = "None is left that the network cannot know."
    if every is not None and without is not None and without.low is not None:
        title = METRICS[name].title
        numbers = f"{title} {_text(every)} on all images, {_text(without)} on the {found.n - found.copied:,} without a copy."
    return [Note("copies", f"{found.sentence} A network may know these by heart. {numbers}")]


def untrained(result: RunEvaluation, epochs: int) -> Sequence[Note]:
    n = {one.name: one.n for one in result.per_class}
    return [Note("untrained_class", f"'{name}' had no training image, so the network cannot know it"
                 + (f": its {n[name]:,} images here count as errors." if n.get(name) else "."))
            for name in result.untrained]


def below_baseline(result: RunEvaluation, epochs: int) -> Sequence[Note]:
    logistic = next((base for base in result.baselines if base.name != "majority"), None)
    ours = result.value("roc_auc")
    if logistic is None or ours is None or logistic.roc_auc is None or ours > logistic.roc_auc:
        return ()
    return [Note("below_baseline",
                 f"The network is no better than a {logistic.name}: ROC AUC {ours:.3f} against "
                 f"{logistic.roc_auc:.3f}. Brightness and framing alone may explain its result.")]


def imbalanced(result: RunEvaluation, epochs: int) -> Sequence[Note]:
    share = result.majority_accuracy
    if share < ONE_SIDED:
        return ()
    what = f"of the images are '{result.majority_class}'"
    if result.task == MULTI_LABEL:
        what = "of all labels are \"no finding\""
    return [Note("imbalanced",
                 f"The accuracy ({result.value('accuracy'):.3f}) says little: {100 * share:.1f} % {what}, so "
                 f"always predicting that gives {share:.3f}. Look at ROC AUC, average precision and "
                 "sensitivity.")]


def first_is_best(result: RunEvaluation, epochs: int) -> Sequence[Note]:
    if result.epoch != 1 or epochs < 2:
        return ()
    return [Note("first_is_best",
                 f"The best epoch is the first of {epochs}: on validation the network never improved after "
                 "one epoch. The learning rate may be too high, or there is little to learn.")]


def far_from_test(result: RunEvaluation, epochs: int) -> Sequence[Note]:
    for name in ("roc_auc",) if result.task == MULTI_LABEL else ("roc_auc", "accuracy"):
        val, test = result.validation.get(name), result.estimates[name]
        if val is None or val.low is None or test.low is None:
            continue
        # the two sides that face each other
        chance = np.hypot(val.value - val.low, test.high - test.value)
        if val.value - test.value > max(chance, FAR):
            return [Note("far_from_test",
                         f"Validation is far better than test: {METRICS[name].title} {_text(val)} on "
                         f"validation, {_text(test)} on test. The test images may be from another source, or "
                         "validation may share patients with training.")]
    return ()


def opened_often(result: RunEvaluation, epochs: int) -> Sequence[Note]:
    if result.times_test_opened < 2:
        return ()
    return [Note("opened_often",
                 f"The test set was opened {result.times_test_opened} times. Choices made after the first "
                 "look were informed by it, so these numbers are optimistic.")]


RULES: tuple[Callable[[RunEvaluation, int], Sequence[Note]], ...] = (
    notes, copied, untrained, below_baseline, imbalanced, first_is_best, far_from_test, opened_often)


def _text(one: Estimate) -> str:
    return f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})"
