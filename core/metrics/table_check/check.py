"""Are these published numbers consistent? A row of a table is checked without its data.

    check(claim)          accuracy, precision, recall, F1, kappa and n of one row: sentences, and every confusion matrix that fits

Two classes leave four counts, and each printed number cuts down the tables of four counts that are possible
(`core.metrics.table_check.matrices`); where none is left, the numbers cannot come from one set of
predictions. A whole table: `core.metrics.table_check.parse`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from core.errors import LightboxError
from core.metrics import wilson_interval
from core.metrics.table_check.matrices import AVERAGES, LARGEST_OPEN, SLACK, matrices, measures_of, whole_counts, window

RATES = ("accuracy", "precision", "recall", "specificity", "f1", "kappa")
WORDS = {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "specificity": "specificity",
         "f1": "F1",
         "kappa": "kappa"}
COUNTS = ("tp", "fn", "fp", "tn")
SHOWN = 1_000               # matrices kept of those that fit


@dataclass(frozen=True)
class Claim:
    """One row of a published table. Everything that is not printed is "" or None.

    Args:
        values: a key of RATES -> the number as text
        n, positive: images evaluated, and how many of them are of class 1
        counts: a key of COUNTS -> images
        average: a key of AVERAGES; "" tries them all, since few tables name it
        margins: a key of RATES -> what is printed behind \u00b1, as text
        n_guessed: n is not printed but that of the public test part that the row names
    """
    name: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    n: int | None = None
    positive: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    average: str = ""
    margins: Mapping[str, str] = field(default_factory=dict)
    n_guessed: bool = False


@dataclass(frozen=True)
class Finding:
    """One sentence about a claim. `fault` says that something printed cannot be true."""
    sentence: str
    fault: bool


@dataclass(frozen=True)
class Verdict:
    """Args:
        findings: the faults first
        matrices: average -> (M, 4) int64: tn, fp, fn, tp of every confusion matrix that gives all printed
            numbers
        intervals: measure -> (value, low, high), Wilson's at 95 %, where its two counts are known for sure
    """
    findings: tuple[Finding, ...]
    matrices: Mapping[str, np.ndarray]
    intervals: Mapping[str, tuple[float, float, float]]

    @property
    def possible(self) -> bool:
        return not any(finding.fault for finding in self.findings)


def check(claim: Claim, others: Sequence[tuple[int, int]] = ()) -> Verdict:
    """Check one row.

    Args:
        others: further (n, positive) of the same table; a row that does not fit its own images may fit those
            of another

    Raises LightboxError "printed.n" where n or the positives make no sense, "printed.large".
    """
    claim = _completed(claim)
    findings = [*_numbers_that_are_none(claim), *_margins(claim)]
    claim = replace(claim, values={name: text for name, text in claim.values.items() if _is_number(text)})
    if len(claim.counts) == len(COUNTS):
        findings += _against_its_counts(claim)
        fit = {}
    else:
        findings += [*_whole_number(claim), *_no_better(claim)]
        fit, said = _fitting(claim, others, faulty=any(f.fault for f in findings))
        findings += said
    findings.sort(key=lambda finding: not finding.fault)
    return Verdict(tuple(findings), {a: m[:SHOWN] for a, m in fit.items()}, _intervals(claim, fit))


def _completed(claim: Claim) -> Claim:
    """Take n from the four counts, where they are all there and n is not printed."""
    total = sum(claim.counts.values())
    n = claim.n if claim.n is not None else total if len(claim.counts) == 4 else None
    if n is not None and n < 1:
        raise LightboxError("printed.n", f"n is {n}.", "Give the number of images that were evaluated.")
    if n is not None and claim.positive is not None and not 0 <= claim.positive <= n:
        raise LightboxError("printed.n", f"{claim.positive:,} of {n:,} images cannot be positive.",
                            "Give at most n.")
    return replace(claim, n=n)


def _is_number(text: str) -> bool:
    try:
        return bool(window(text))
    except LightboxError:
        return False


def _numbers_that_are_none(claim: Claim) -> Iterator[Finding]:
    for name, text in claim.values.items():
        try:
            window(text)
        except LightboxError as error:
            yield Finding(f"The {WORDS[name]} is a misprint: {error.message} {error.hint}", True)


def _whole_number(claim: Claim) -> Iterator[Finding]:
    """The accuracy must be a whole number of images."""
    text, n = claim.values.get("accuracy"), claim.n
    if text is None or not n:
        return
    right, (low, high) = whole_counts(text, n), window(text)
    middle = (low + high) / 2
    of = f"{n:,}" + (", the public test part, since the table prints no n" if claim.n_guessed else "")
    if right:
        some = f"{right[0]:,}" if len(right) == 1 else f"{right[0]:,} to {right[-1]:,}"
        yield Finding(f"An accuracy of {text} is {some} correct of {of}.", False)
        return
    if cut := whole_counts(text, n, truncated=True):
        yield Finding(f"An accuracy of {text} is {cut[0]:,} correct of {of}, truncated: rounded it would be "
                      f"{cut[0] / n:.{_digits(text)}f}.", False)
        return
    below, digits = math.floor(middle * n), _digits(text)
    near = f"{below:,} give {below / n:.{digits}f} and {below + 1:,} give {(below + 1) / n:.{digits}f}"
    yield Finding(f"An accuracy of {text} would be {middle * n:,.2f} correct of {of}, which is not a whole number: {near}."
                  f"{_other_n(text, n)} It may be an average over batches, or over other images.", True)


def _digits(text: str) -> int:
    """Return how many digits of the share are printed."""
    low, high = window(text)
    return round(-math.log10(high - low))


def _other_n(text: str, n: int) -> str:
    """Name the nearest number of images of which it would be a whole number."""
    for step in range(1, n):
        for other in (n - step, n + step):
            if right := whole_counts(text, other):
                return f" It would be {right[0]:,} of {other:,}."
    return ""


def _no_better(claim: Claim) -> Iterator[Finding]:
    """An accuracy that always predicting the more frequent class reaches too."""
    n, positive, text = claim.n, claim.positive, claim.values.get("accuracy")
    if not n or positive is None or text is None:
        return
    majority = max(positive, n - positive)
    right = whole_counts(text, n) or whole_counts(text, n, truncated=True)
    if right and right[-1] <= majority:
        yield Finding(f"Always predicting the more frequent class would be correct on {majority:,} of {n:,} images "
                      f"({majority / n:.3f}); {text} is no better.", False)


def _margins(claim: Claim) -> Iterator[Finding]:
    """Say of what stands behind \u00b1 whether it is Wald's, p \u00b1 1.96 sqrt(p (1 - p) / n), and whether it passes 0 or 1."""
    negative = None if claim.n is None or claim.positive is None else claim.n - claim.positive
    images = {"recall": claim.positive, "specificity": negative, "accuracy": claim.n}
    for name, text in claim.margins.items():
        try:
            (low, high), (least, most) = window(claim.values[name]), window(text)
        except LightboxError:
            continue
        p, half, n = (low + high) / 2, (least + most) / 2, images.get(name)
        printed = f"{claim.values[name]} \u00b1 {text}"
        beyond = " It passes 0 or 1, where no share can lie: near the ends Wald's formula fails." if not (
            0 <= p - half and p + half <= 1) else ""
        if half <= 0 or not 0 < p < 1:
            continue
        sizes = sorted(z * z * q * (1 - q) / h**2 for q in (low, high) for h in (max(least, 1e-9), most) for z in (1.96,))
        if n and not sizes[0] <= n <= sizes[-1]:
            continue
        m = n or max(1, round(1.96**2 * p * (1 - p) / half**2))
        right = round(p * m)
        _, bottom, top = (right / m, *wilson_interval(right, m))
        yield Finding(f"{printed} for the {WORDS[name]} is Wald's interval of {'' if n else 'some '}{m:,} images.{beyond} "
                      f"Wilson's of {right:,} of {m:,} is {bottom:.3f} to {top:.3f}.", False)


def _averages(claim: Claim) -> Sequence[str]:
    return (claim.average,) if claim.average else tuple(AVERAGES)


def _fitting(claim: Claim, others: Sequence[tuple[int, int]],
             faulty: bool) -> tuple[dict[str, np.ndarray], list[Finding]]:
    """The confusion matrices that give all numbers, for each average, and what they say."""
    values, n = claim.values, claim.n
    if not n or len(values) < 2:
        return {}, []
    averages = _averages(claim)
    fit = matrices(values, n, claim.positive, averages)
    size = f"{n:,} images" + (f" with {claim.positive:,} positive" if claim.positive is not None else "")
    if fit:
        return fit, [Finding(_these_fit(fit, size), False)]
    if fit := matrices(values, n, claim.positive, averages, truncated=True):
        return fit, [Finding(f"{_these_fit(fit, size)} Some were truncated, not rounded.", False)]
    text = f"No confusion matrix of {size} gives all these numbers"
    text += "." if claim.average else ", with any average."
    alone = [] if faulty else _odd_ones_out(claim)
    if alone:
        these = " or without the ".join(WORDS[name] for name in alone)
        text += f" Without the {these} the others would be consistent."
    for m, p in dict.fromkeys(others):
        if (m, p) != (n, claim.positive) and matrices(values, m, p, averages, truncated=True):
            text += f" They do fit {m:,} images with {p:,} positive: perhaps it was evaluated on those."
    return {}, [Finding(text, True)]


def _odd_ones_out(claim: Claim) -> list[str]:
    """The numbers without which the others would be consistent, of three or more."""
    if len(claim.values) < 3:
        return []
    # Without the accuracy, the search over matrices is long unless the number of positives is known.
    can_go = [name for name in claim.values
              if name != "accuracy" or claim.positive is not None and claim.n <= LARGEST_OPEN]
    return [name for name in can_go
            if matrices({k: v for k, v in claim.values.items() if k != name}, claim.n, claim.positive,
                        _averages(claim))]


def _these_fit(fit: Mapping[str, np.ndarray], size: str) -> str:
    # With an F1 of the means as well, the plain macro average is the simpler reading.
    names = [a for a in fit if a != "macro_of_means" or "macro" not in fit]
    said = []
    for a in names:
        tn, fp, fn, tp = fit[a][len(fit[a]) // 2].tolist()
        many = "one confusion matrix," if len(fit[a]) == 1 else f"{len(fit[a]):,} confusion matrices, such as"
        said.append(f"{AVERAGES[a][0]}: {many} TN {tn:,}, FP {fp:,}, FN {fn:,}, TP {tp:,} "
                    f"(sensitivity {tp / max(tp + fn, 1):.2f}, specificity {tn / max(tn + fp, 1):.2f})")
    return f"They fit {size} as {'; or as '.join(said)}."


def _against_its_counts(claim: Claim) -> Iterator[Finding]:
    """The four counts are printed: they must sum to n, and each number must follow from them."""
    counts = tuple(np.array(claim.counts[name]) for name in ("tn", "fp", "fn", "tp"))
    tn, fp, fn, tp = map(int, counts)
    total = tn + fp + fn + tp
    if claim.n != total:
        yield Finding(f"TP, FN, FP and TN sum to {total:,}, but there are {claim.n:,} images.", True)
    if claim.positive is not None and tp + fn != claim.positive:
        yield Finding(f"TP and FN sum to {tp + fn:,}, but {claim.positive:,} images are positive.", True)
    if not total:
        return
    for name, text in claim.values.items():
        has = {average: float(measures_of(*counts, average)[name]) for average in _averages(claim)}
        if finding := _of_counts(name, text, has, bool(claim.average)):
            yield finding
    majority = max(tp + fn, tn + fp)
    if tp + tn <= majority:
        yield Finding(f"Always predicting the more frequent class would be correct on {majority:,} of {total:,} images "
                      f"({majority / total:.3f}); this is correct on {tp + tn:,} ({(tp + tn) / total:.3f}).",
                      False)


def _of_counts(name: str, text: str, has: Mapping[str, float], average_known: bool) -> Finding | None:
    """One printed number against what the counts give for each average; None where there is nothing to
    say."""
    low, high = window(text)
    fits = [average for average, value in has.items() if low - SLACK <= value <= high + SLACK]
    value = has.get("binary", next(iter(has.values())))
    if not fits and 0 < value - high < (high - low) / 2:
        return Finding(f"The {WORDS[name]} of the positive class is {value:.4f}: {text} was truncated, not rounded.", False)
    if name in ("accuracy", "kappa", "specificity") or average_known:
        value = next(iter(has.values()))
        return None if fits else Finding(f"The {WORDS[name]} of these counts is {value:.4f}, not {text}.",
                                         True)
    if not fits:
        return Finding(f"The {WORDS[name]} of these counts is {has['binary']:.3f} for the positive class and "
                       f"{has['macro']:.3f} as the macro average; {text} is neither.", True)
    if "binary" in fits:
        return Finding(f"The {WORDS[name]}, {text}, is that of the positive class; the macro average is "
                       f"{has['macro']:.3f}.", False)
    return Finding(f"The {WORDS[name]}, {text}, matches as {AVERAGES[fits[0]][0]}.", False)


def _intervals(claim: Claim, fit: Mapping[str, np.ndarray]) -> dict[str, tuple[float, float, float]]:
    """Wilson's intervals of the shares whose two counts are known: from the counts, or where all matrices
    agree about them."""
    tables = (np.array([[claim.counts[c] for c in ("tn", "fp", "fn", "tp")]]) if len(claim.counts) == 4
              else np.concatenate(list(fit.values())) if fit else None)
    parts: dict[str, tuple[int, int]] = {}
    if tables is not None:
        tn, fp, fn, tp = tables.T
        for name, k, m in (("accuracy", tp + tn, tn + fp + fn + tp), ("sensitivity", tp, tp + fn),
                           ("specificity", tn, tn + fp),
                           ("precision", tp, tp + fp)):
            # all of them nearly agree; the spread is far inside the interval
            middle = len(k) // 2
            if m[middle] and np.ptp(k / np.maximum(m, 1)) < 0.02:
                parts[name] = int(k[middle]), int(m[middle])
    if "accuracy" not in parts and "accuracy" in claim.values and claim.n:
        if k := whole_counts(claim.values["accuracy"], claim.n):
            parts["accuracy"] = k[len(k) // 2], claim.n
    return {name: (k / m, *wilson_interval(k, m)) for name, (k, m) in parts.items()}
