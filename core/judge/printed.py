"""Can these printed numbers belong together? What a table says about itself, without its data.

    check(claim)          accuracy, precision, recall, F1, kappa and n of one row: sentences, and every confusion matrix that fits
    check_table(text)     the same for each row of a pasted table; totals are added up, rows are held against each other

An accuracy is a whole number of images divided by n, so most decimals are impossible for a small n (the GRIM test: Brown &
Heathers, Soc Psychol Pers Sci 8, 2017). Two classes leave four counts, and each printed number cuts down the tables of four
counts that are possible; where none is left, the numbers cannot come from one set of answers.

Numbers are taken as text, since "0.70" says more than 0.7: printed with d digits, the true value lies within half a unit of
the last digit.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from core.errors import LightboxError
from core.metrics import wilson_interval

RATES = ("accuracy", "precision", "recall", "specificity", "f1", "kappa")
COUNTS = ("tp", "fn", "fp", "tn")
LARGEST = 20_000            # images, where the positives are known; the search grows with their number
LARGEST_OPEN = 4_000        # images, where they are not: it grows with n squared then
SHOWN = 1_000               # matrices kept of those that fit
SLACK = 1e-9                # of floating point, in images


@dataclass(frozen=True)
class Claim:
    """One row of a printed table. Everything that is not printed is "" or None.

    Args:
        values: a key of RATES -> the number as text
        n, positive: images judged, and how many of them are of class 1
        counts: a key of COUNTS -> images
        average: a key of AVERAGES; "" tries them all, since few tables say it
    """
    name: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    n: int | None = None
    positive: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    average: str = ""


@dataclass(frozen=True)
class Finding:
    """One sentence about a claim. `fault` says that something printed cannot be true."""
    sentence: str
    fault: bool


@dataclass(frozen=True)
class Verdict:
    """Args:
        findings: the faults first
        matrices: average -> (M, 4) int64: tn, fp, fn, tp of every confusion matrix that gives all printed numbers
        intervals: measure -> (value, low, high), Wilson's at 95 %, where its two counts are known for sure
    """
    findings: tuple[Finding, ...]
    matrices: Mapping[str, np.ndarray]
    intervals: Mapping[str, tuple[float, float, float]]

    @property
    def possible(self) -> bool:
        return not any(finding.fault for finding in self.findings)


# --------------------------------------------------------------------------------------------------------- printed numbers

def window(printed: str) -> tuple[float, float]:
    """Where the number lies that was rounded to this: "0.73" -> (0.725, 0.735), "72.4 %" -> (0.7235, 0.7245), "1,2" reads 1.2.

    A share above 1 is read as percent. Raises LightboxError "printed.number".
    """
    text = printed.strip().replace(",", ".").replace("\u2212", "-")
    percent = text.endswith("%")
    text = text.rstrip("% ")
    misprinted = re.fullmatch(r"0\d+", text)              # as "075226", which has lost its point
    if misprinted or not re.fullmatch(r"-?(\d+\.?\d*|\.\d+)", text):
        raise LightboxError("printed.number", f"{printed!r} is no number.",
                            "It seems to have lost its decimal point." if misprinted else "Write it as it stands, such as 0.724.")
    value, half = float(text), 0.5 * 10.0 ** -len(text.partition(".")[2])
    if percent or 1 < value <= 100:
        value, half = value / 100, half / 100
    if not -1 <= value <= 1:
        raise LightboxError("printed.number", f"{printed} does not lie between 0 and 1.", "Write a share or a percentage.")
    return value - half, value + half


def whole_counts(printed: str, n: int) -> range:
    """The numbers of images k of which k / n is printed like that; an empty range where there is none."""
    low, high = window(printed)
    return range(max(0, math.ceil(low * n - SLACK)), min(n, math.floor(high * n + SLACK)) + 1)


# ------------------------------------------------------------------------------------------------------ confusion matrices

def _share(part, whole):
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=np.asarray(whole) > 0)


def _of_classes(tn, fp, fn, tp) -> dict[str, tuple]:
    """Precision, recall and F1 of class 1 and of class 0. Nothing divided by nothing counts as 0, as scikit-learn has it."""
    return {"precision": (_share(tp, tp + fp), _share(tn, tn + fn)), "recall": (_share(tp, tp + fn), _share(tn, tn + fp)),
            "f1": (_share(2 * tp, 2 * tp + fp + fn), _share(2 * tn, 2 * tn + fp + fn))}


def _binary(tn, fp, fn, tp) -> dict:
    return {name: one for name, (one, _) in _of_classes(tn, fp, fn, tp).items()}


def _macro(tn, fp, fn, tp) -> dict:
    return {name: (one + zero) / 2 for name, (one, zero) in _of_classes(tn, fp, fn, tp).items()}


def _macro_of_means(tn, fp, fn, tp) -> dict:
    means = _macro(tn, fp, fn, tp)
    p, r = means["precision"], means["recall"]
    return means | {"f1": _share(2 * p * r, p + r)}


def _weighted(tn, fp, fn, tp) -> dict:
    share = (tp + fn) / (tn + fp + fn + tp)
    return {name: share * one + (1 - share) * zero for name, (one, zero) in _of_classes(tn, fp, fn, tp).items()}


def _micro(tn, fp, fn, tp) -> dict:
    return dict.fromkeys(("precision", "recall", "f1"), (tp + tn) / (tn + fp + fn + tp))


AVERAGES = {            # name: (what a person reads, function of the four counts)
    "binary": ("numbers of the positive class", _binary),
    "macro": ("macro averages", _macro),
    "macro_of_means": ("macro averages, with F1 made of the mean precision and the mean recall", _macro_of_means),
    "weighted": ("weighted averages, each class by its images", _weighted),
    "micro": ("micro averages, which all equal the accuracy", _micro),
}


def measures_of(tn, fp, fn, tp, average: str) -> dict[str, np.ndarray]:
    """Every key of RATES from four counts (arrays of one shape), averaged as asked. Kappa is Cohen's."""
    return AVERAGES[average][1](tn, fp, fn, tp) | _without_average(tn, fp, fn, tp)


def _without_average(tn, fp, fn, tp) -> dict[str, np.ndarray]:
    """Those that mean the same in every table."""
    n = tn + fp + fn + tp
    chance = ((tp + fn) * (tp + fp) + (tn + fp) * (tn + fn)) / n**2
    accuracy = (tp + tn) / n
    return {"accuracy": accuracy, "specificity": _share(tn, tn + fp), "kappa": _share(accuracy - chance, 1 - chance)}


def matrices(values: Mapping[str, str], n: int, positive: int | None, averages: Sequence[str]) -> dict[str, np.ndarray]:
    """Every confusion matrix of two classes that gives all these numbers.

    The accuracy fixes how many answers were right, up to a few; for each such number and each number of positives the search
    runs over the true positives. Without an accuracy it runs over the true negatives too.

    Returns:
        average -> (M, 4) int64 of tn, fp, fn, tp; only averages for which there is one

    Raises:
        LightboxError: "printed.number", "printed.large" where the search would take too long
    """
    windows = {name: window(text) for name, text in values.items()}
    known = ("accuracy" in values) + (positive is not None)
    if not known or n > (LARGEST_OPEN, LARGEST)[known - 1]:
        raise LightboxError("printed.large", f"With n = {n:,} there are too many tables of four counts to try.",
                            "Give the accuracy and how many images are positive.")
    found: dict[str, list[np.ndarray]] = {}
    for table in _tables(whole_counts(values["accuracy"], n) if "accuracy" in values else None, n, positive):
        # What means the same in every table goes first: little is left for the averages.
        table = table[_inside(_without_average(*table.T), windows)]
        for average in averages if len(table) else ():
            fits = table[_inside(AVERAGES[average][1](*table.T), windows)]
            if len(fits):
                found.setdefault(average, []).append(fits)
    return {average: np.concatenate(parts) for average, parts in found.items()}


def _tables(right: range | None, n: int, positive: int | None) -> Iterator[np.ndarray]:
    """Blocks (M, 4) of tn, fp, fn, tp: those with so many right answers, or all of them."""
    for p in range(n + 1) if positive is None else (positive,):
        if right is None:
            for tp in range(p + 1):
                tn = np.arange(n - p + 1)
                yield np.stack([tn, n - p - tn, np.full_like(tn, p - tp), np.full_like(tn, tp)], axis=1)
            continue
        for k in right:
            tp = np.arange(max(0, k - (n - p)), min(p, k) + 1)
            yield np.stack([k - tp, n - p - k + tp, p - tp, tp], axis=1)


def _inside(has: Mapping[str, np.ndarray], windows: Mapping[str, tuple[float, float]]) -> np.ndarray:
    """(M,) bool: which rows have every printed number of these."""
    inside = np.ones(len(next(iter(has.values()))), bool)
    for name in has.keys() & windows.keys():
        low, high = windows[name]
        inside &= (has[name] >= low - SLACK) & (has[name] <= high + SLACK)
    return inside


# ------------------------------------------------------------------------------------------------------------- one claim

def check(claim: Claim, others: Sequence[tuple[int, int]] = ()) -> Verdict:
    """What can be said of one row.

    Args:
        others: further (n, positive) of the same table; a row that does not fit its own images may fit those of another

    Raises LightboxError "printed.n" where n or the positives make no sense, "printed.large".
    """
    claim = _completed(claim)
    findings = [*_numbers_that_are_none(claim)]
    claim = replace(claim, values={name: text for name, text in claim.values.items() if _is_number(text)})
    if len(claim.counts) == len(COUNTS):
        findings += _against_its_counts(claim)
        fit = {}
    else:
        findings += _whole_number(claim)
        fit, said = _fitting(claim, others, faulty=any(f.fault for f in findings))
        findings += said
    findings.sort(key=lambda finding: not finding.fault)
    return Verdict(tuple(findings), {a: m[:SHOWN] for a, m in fit.items()}, _intervals(claim, fit))


def _completed(claim: Claim) -> Claim:
    """n and positives from the four counts, where they are all there and n is not printed."""
    total = sum(claim.counts.values())
    n = claim.n if claim.n is not None else total if len(claim.counts) == 4 else None
    if n is not None and n < 1:
        raise LightboxError("printed.n", f"n is {n}.", "Give how many images were judged.")
    if n is not None and claim.positive is not None and not 0 <= claim.positive <= n:
        raise LightboxError("printed.n", f"{claim.positive:,} of {n:,} images cannot be positive.", "Give at most n.")
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
    if right:
        some = f"{right[0]:,}" if len(right) == 1 else f"{right[0]:,} to {right[-1]:,}"
        yield Finding(f"An accuracy of {text} is {some} right answers of {n:,}.", False)
        return
    digits = round(-math.log10(high - low))               # as many as are printed, of the share
    below = math.floor(middle * n)
    yield Finding(f"An accuracy of {text} would be {middle * n:,.2f} right answers of {n:,}, which is no whole number: "
                  f"{below:,} give {below / n:.{digits}f} and {below + 1:,} give {(below + 1) / n:.{digits}f}. It was averaged "
                  "over something else, such as batches, or over other images.", True)


def _averages(claim: Claim) -> Sequence[str]:
    return (claim.average,) if claim.average else tuple(AVERAGES)


def _fitting(claim: Claim, others: Sequence[tuple[int, int]], faulty: bool) -> tuple[dict[str, np.ndarray], list[Finding]]:
    """The confusion matrices that give all numbers, for each average, and what they say."""
    values, n = claim.values, claim.n
    if not n or len(values) < 2:
        return {}, []
    averages = _averages(claim)
    fit = matrices(values, n, claim.positive, averages)
    size = f"{n:,} images" + (f" with {claim.positive:,} positive" if claim.positive is not None else "")
    if fit:
        return fit, [Finding(_these_fit(fit, size), False)]
    said = f"No confusion matrix of {size} gives all these numbers" + ("." if claim.average else ", however they are averaged.")
    if not faulty and len(values) > 2:
        alone = [name for name in values if (name != "accuracy" or claim.positive is not None and n <= LARGEST_OPEN)
                 and matrices({k: v for k, v in values.items() if k != name}, n, claim.positive, averages)]
        if alone:
            said += f" Without the {' or without the '.join(WORDS[name] for name in alone)} the others would fit together."
    elsewhere = [(m, p) for m, p in dict.fromkeys(others) if (m, p) != (n, claim.positive) and matrices(values, m, p, averages)]
    for m, p in elsewhere:
        said += f" They do fit {m:,} images with {p:,} positive: perhaps it was scored on those."
    return {}, [Finding(said, True)]


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
    """The four counts are printed: they must sum to n, and each number must be theirs."""
    tn, fp, fn, tp = (np.array(claim.counts[name]) for name in ("tn", "fp", "fn", "tp"))
    total = int(tn + fp + fn + tp)
    if claim.n != total:
        yield Finding(f"TP, FN, FP and TN sum to {total:,}, but there are {claim.n:,} images.", True)
    if claim.positive is not None and tp + fn != claim.positive:
        yield Finding(f"TP and FN sum to {int(tp + fn):,}, but {claim.positive:,} images are positive.", True)
    if not total:
        return
    for name, text in claim.values.items():
        low, high = window(text)
        has = {a: float(measures_of(tn, fp, fn, tp, a)[name]) for a in _averages(claim)}
        fits = [a for a, value in has.items() if low - SLACK <= value <= high + SLACK]
        if not fits and 0 < has["binary" if "binary" in has else claim.average] - high < (high - low) / 2:
            cut_off = has["binary" if "binary" in has else claim.average]
            yield Finding(f"The {WORDS[name]} of the positive class is {cut_off:.4f}: {text} was cut off, not rounded.", False)
            continue
        if name in ("accuracy", "kappa", "specificity") or claim.average:
            value = next(iter(has.values()))
            if not fits:
                yield Finding(f"The {WORDS[name]} of these counts is {value:.4f}, not {text}.", True)
        elif not fits:
            yield Finding(f"The {WORDS[name]} of these counts is {has['binary']:.3f} for the positive class and "
                          f"{has['macro']:.3f} as the macro average; {text} is neither.", True)
        elif "binary" in fits:
            yield Finding(f"The {WORDS[name]}, {text}, is that of the positive class; the macro average is "
                          f"{has['macro']:.3f}.", False)
        else:
            yield Finding(f"The {WORDS[name]}, {text}, fits as {AVERAGES[fits[0]][0]}.", False)
    better = max(int(tp + fn), int(tn + fp))
    if tp + tn < better:
        yield Finding(f"Always giving the more frequent answer would be right in {better:,} of {total:,} "
                      f"({better / total:.3f}); these answers are in {int(tp + tn):,} ({int(tp + tn) / total:.3f}).", False)


def _intervals(claim: Claim, fit: Mapping[str, np.ndarray]) -> dict[str, tuple[float, float, float]]:
    """Wilson's intervals of the shares whose two counts are known: from the counts, or where all matrices agree about them."""
    tables = (np.array([[claim.counts[c] for c in ("tn", "fp", "fn", "tp")]]) if len(claim.counts) == 4
              else np.concatenate(list(fit.values())) if fit else None)
    parts: dict[str, tuple[int, int]] = {}
    if tables is not None:
        tn, fp, fn, tp = tables.T
        for name, k, m in (("accuracy", tp + tn, tn + fp + fn + tp), ("sensitivity", tp, tp + fn), ("specificity", tn, tn + fp),
                           ("precision", tp, tp + fp)):
            middle = len(k) // 2                     # all of them nearly agree; the spread is far inside the interval
            if m[middle] and np.ptp(k / np.maximum(m, 1)) < 0.02:
                parts[name] = int(k[middle]), int(m[middle])
    if "accuracy" not in parts and "accuracy" in claim.values and claim.n:
        if k := whole_counts(claim.values["accuracy"], claim.n):
            parts["accuracy"] = k[len(k) // 2], claim.n
    return {name: (k / m, *wilson_interval(k, m)) for name, (k, m) in parts.items()}


WORDS = {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "specificity": "specificity", "f1": "F1",
         "kappa": "kappa"}


# ------------------------------------------------------------------------------------------------------------ whole tables

HEADINGS = {            # what a column may be called, in small letters without signs
    "accuracy": ("accuracy", "acc"), "precision": ("precision", "prec", "ppv"),
    "recall": ("recall", "rec", "sensitivity", "sens"),
    "specificity": ("specificity", "spec"), "f1": ("f1", "f1score"), "kappa": ("kappa", "\u03ba", "cohenskappa", "k"),
    "n": ("n", "images", "size"), "positive": ("positive", "positives", "pos", "npositive", "npos"),
    "tp": ("tp", "truepositives"), "fn": ("fn", "falsenegatives"), "fp": ("fp", "falsepositives"), "tn": ("tn", "truenegatives"),
}
MOST_ROWS = 200


@dataclass(frozen=True)
class Row:
    """A row of a pasted table with what was found about it; `error` where it could not be read."""
    claim: Claim
    verdict: Verdict | None
    error: str = ""


@dataclass(frozen=True)
class TableVerdict:
    """Args:
        rows: one for each row that holds claims; empty where the table only counts something
        findings: about the whole table: its totals, rows that do not sum to what the others do
    """
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]


def check_table(text: str, n: int | None = None, positive: int | None = None) -> TableVerdict:
    """A pasted table with a heading line; columns parted by tabs, semicolons, bars or commas.

    Columns are known by their names (HEADINGS), the first column names the rows. A row or column called total is added up.

    Args:
        n, positive: for rows that do not say it themselves

    Raises:
        LightboxError: "printed.table" where no table can be read
    """
    heading, rows = _parse(text)
    findings = [*_totals(heading, rows)]
    known = [_heading(name) for name in heading]
    if not set(known) & {*RATES, *COUNTS}:
        if not findings:
            raise LightboxError("printed.table", "No column of this table is known, and it has no totals.",
                                "Name the columns: " + ", ".join((*RATES, "n", "positive", *COUNTS))
                                + "; or call a row or column Total.")
        return TableVerdict((), tuple(findings))
    claims = [_claim(known, row, n, positive) for row in rows if not _is_total(row[0])]
    sums = Counter(sum(c.counts.values()) for c, _ in claims if len(c.counts) == 4)
    if sums and n is None and len(sums) > 1:                  # the rows judge the same images, so they must sum to the same
        usual = sums.most_common(1)[0][0]
        claims = [(replace(c, n=c.n or usual) if len(c.counts) == 4 else c, error) for c, error in claims]
    sizes = [(c.n, c.positive) for c, _ in claims if c.n and c.positive is not None]
    return TableVerdict(tuple(_checked(c, error, sizes) for c, error in claims), tuple(findings))


def _checked(claim: Claim, error: str, sizes: Sequence[tuple[int, int]]) -> Row:
    if error:
        return Row(claim, None, error)
    try:
        return Row(claim, check(claim, sizes))
    except LightboxError as problem:
        return Row(claim, None, f"{problem.message} {problem.hint}")


def _parse(text: str) -> tuple[list[str], list[list[str]]]:
    lines = [line for line in text.strip().splitlines() if line.strip() and not re.fullmatch(r"[\s|:+-]+", line)]
    if len(lines) < 2:
        raise LightboxError("printed.table", "A table needs a line of headings and at least one row.", "Paste it with its "
        "headings.")
    if len(lines) > MOST_ROWS:
        raise LightboxError("printed.table", f"The table has {len(lines):,} lines.", f"At most {MOST_ROWS} are checked at once.")
    sign = next((s for s in "\t;|" if s in lines[0]), ",")
    if sign == "|":
        lines = [line.strip().strip("|") for line in lines]
    cells = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO("\n".join(lines)), delimiter=sign)]
    width = len(cells[0])
    return cells[0], [(row + [""] * width)[:width] for row in cells[1:]]


def _heading(name: str) -> str:
    plain = re.sub(r"[^a-z0-9\u03ba]", "", name.lower())
    return next((key for key, names in HEADINGS.items() if plain in names), "")


def _claim(known: Sequence[str], row: Sequence[str], n: int | None, positive: int | None) -> tuple[Claim, str]:
    """A row as a claim, and what could not be read in it."""
    cells = {key: cell for key, cell in zip(known, row) if key and cell and cell not in ("-", "\u2013")}
    numbers, error = {}, ""
    for key in ("n", "positive", *COUNTS):
        if key in cells:
            number = _whole(cells[key])
            if number is None:
                error = f"{cells[key]!r} in column {key} is no whole number."
            else:
                numbers[key] = number
    claim = Claim(row[0] if not known[0] else "", {name: cells[name] for name in RATES if name in cells},
                  numbers.get("n", n), numbers.get("positive", positive), {c: numbers[c] for c in COUNTS if c in numbers})
    return claim, error


def _whole(text: str) -> int | None:
    plain = re.sub(r"[\s,*'\u2009\u202f]", "", text)
    return int(plain) if plain.isdecimal() else None


def _is_total(name: str) -> bool:
    return re.match(r"\W*(total|sum|all together)", name.lower()) is not None


def _totals(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[Finding]:
    """Every row and column that is called a total, added up."""
    sums = [row for row in rows if _is_total(row[0])]
    parts = [row for row in rows if not _is_total(row[0])]
    for row in sums:
        for j in range(1, len(heading)):
            printed, added = _whole(row[j]), [_whole(part[j]) for part in parts]
            if printed is not None and None not in added and added:
                yield _added(f"Column {heading[j]}", sum(added), printed)
    last = len(heading) - 1
    if last > 1 and _is_total(heading[last]):
        for row in rows:
            printed, added = _whole(row[last]), [_whole(cell) for cell in row[1:last]]
            if printed is not None and None not in added:
                yield _added(f"Row {row[0]}", sum(added), printed)


def _added(where: str, added: int, printed: int) -> Finding:
    if added == printed:
        return Finding(f"{where} adds up to {added:,}.", False)
    return Finding(f"{where} adds up to {added:,}, but {printed:,} is printed.", True)
