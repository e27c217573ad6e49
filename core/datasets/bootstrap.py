"""Bootstrap by patient: the training images drawn with replacement, so that networks of one set differ.

Breiman, Bagging predictors, Machine Learning 24, 1996: each network learns from a draw of its own. Here whole patients are drawn,
as many as there are, because the images of a patient are no independent ones (Field & Welsh, Bootstrapping clustered data, 2007).
Of n patients a draw has on average n (1 - (1 - 1/n)^n), which is 63.2 % of many; the others are out of bag.

The split is the same for every draw: validation and test stay, so runs of other draws can be compared and combined. The draw only
says how often an image of the training set is learned.
"""

from __future__ import annotations

import numpy as np


def draw_patients(group: np.ndarray, split_seed: int, number: int) -> np.ndarray:
    """Draw patients with replacement.

    Args:
        group: (n,) a name for the patient of each training image
        split_seed, number: of the split, and of the draw, from 1; the same two give the same draw

    Returns:
        (n,) int64, how often each image was drawn: equal within a patient

    >>> draw_patients(np.array(["a", "a", "b", "c"]), 0, 2).tolist()
    [2, 2, 1, 0]
    """
    _, patient = np.unique(group.astype(str), return_inverse=True)
    patients = patient.max(initial=-1) + 1
    rng = np.random.default_rng([split_seed, 2, number])      # [seed, 1] draws train_fraction
    drawn = rng.integers(0, patients, patients) if patients else np.zeros(0, np.int64)
    return np.bincount(drawn, minlength=patients)[patient].astype(np.int64)


def draw_sentence(times: np.ndarray, group: np.ndarray, split_seed: int, number: int) -> str:
    """Return what was drawn, in a sentence.

    Args:
        times, group: (n,) as `draw_patients` returns and takes them
    """
    patients, first = np.unique(group.astype(str), return_index=True)
    n, drawn = len(patients), int((times[first] > 0).sum())
    expected = 1 - (1 - 1 / n) ** n if n else 0.0
    return (f"Bootstrap by patient, draw {number} (seed {split_seed}): {drawn:,} of {n:,} training patients were drawn "
            f"({drawn / max(1, n):.1%}; {expected:.1%} are expected), some more than once. Of the training images "
            f"{(times == 1).sum():,} are in training once, {(times > 1).sum():,} more often, and {(times == 0).sum():,} are out "
            f"of bag: this run does not learn from them. With repeats there are {times.sum():,}.")
