"""One threshold at a time, written down plainly: what the arrays of core.metrics.operating_points are compared with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.metrics.intervals import wilson_by_patient, wilson_interval
from core.metrics.operating_points import ratio_interval

Interval = tuple[float, float] | None


@dataclass(frozen=True)
class Operating:
    """Counts and rates at a threshold; None where there is nothing to divide by."""
    tp: int
    fn: int
    fp: int
    tn: int
    prevalence: float
    sensitivity: float | None
    sensitivity_interval: Interval
    specificity: float | None
    specificity_interval: Interval
    ppv: float | None = None
    ppv_interval: Interval = None
    npv: float | None = None
    npv_interval: Interval = None


def operate(labels: np.ndarray, scores: np.ndarray, threshold: float, prevalence: float | None = None,
            patients: Sequence | None = None) -> Operating:
    """Cut at a threshold; `prevalence` None takes that of the labels."""
    positive, flagged = np.asarray(labels).astype(bool), np.asarray(scores, np.float64) > threshold
    share = float(positive.mean()) if prevalence is None else prevalence
    se, se_limits = _rate(flagged, positive, patients)
    sp, sp_limits = _rate(~flagged, ~positive, patients)
    counts = (int((positive & flagged).sum()), int((positive & ~flagged).sum()), int((~positive & flagged).sum()),
              int((~positive & ~flagged).sum()))
    if se is None or sp is None:
        return Operating(*counts, share, se, se_limits, sp, sp_limits)
    return Operating(*counts, share, se, se_limits, sp, sp_limits, *bayes(share, se, se_limits, 1 - sp, flip(sp_limits)),
                     *bayes(1 - share, sp, sp_limits, 1 - se, flip(se_limits)))


def _rate(right: np.ndarray, of: np.ndarray, patients: Sequence | None) -> tuple[float | None, Interval]:
    if not of.any():
        return None, None
    return float(right[of].mean()), wilson_by_patient(right[of], None if patients is None else np.asarray(patients)[of])


def flip(limits: tuple[float, float]) -> tuple[float, float]:
    return 1 - limits[1], 1 - limits[0]


def bayes(share: float, a: float, a_limits: tuple[float, float], b: float,
          b_limits: tuple[float, float]) -> tuple[float | None, Interval]:
    """A predictive value from the rates of those who rightly (a) and who wrongly (b) get the result:

        PPV = pi R / (pi R + 1 - pi),        R = sensitivity / (1 - specificity)
    """
    if not a and not b:
        return None, None
    low, high = ratio_interval(np.array([a]), np.array([a_limits]), np.array([b]), np.array([b_limits]))[0]
    limits = tuple(1.0 if math.isinf(r) else share * r / (share * r + 1 - share) for r in (low, high))
    return share * a / (share * a + (1 - share) * b), limits


def predictive_values(tp: int, fn: int, fp: int, tn: int, prevalence: float) -> tuple[tuple, tuple]:
    """(PPV, its interval) and (NPV, its interval) of independent images."""
    m, n = tp + fn, fp + tn
    se, sp = wilson_interval(tp, m), wilson_interval(tn, n)
    return (bayes(prevalence, tp / m, se, fp / n, flip(sp)), bayes(1 - prevalence, tn / n, sp, fn / m, flip(se)))


def per_thousand(sensitivity: float, specificity: float, prevalence: float, people: int = 1000) -> dict[str, int]:
    """What happens to so many people, in whole people."""
    def whole(x: float) -> int:
        return math.floor(x + 0.5 + 1e-9)
    sick = whole(people * prevalence)
    detected = min(whole(people * prevalence * sensitivity), sick)
    return {"sick": sick, "detected": detected, "missed": sick - detected,
            "false_alarms": whole(people * (1 - prevalence) * (1 - specificity))}
