"""Where an axis begins and ends, where its ticks stand and what is written beside them, chosen from the data.

Vega picks ticks by itself, but writes them with a fixed number of digits: a ROC AUC between .9998 and 1 would
read "1, 1, 1". Here a label has as many digits as it takes to tell neighbouring ticks apart.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

NICE = (1, 2, 5)                            # a step between ticks is one of these times a power of ten
PREFIXES = {12: "T", 9: "G", 6: "M", 3: "k"}


@dataclass(frozen=True)
class Axis:
    """Lowest and highest value, and the ticks between them with a label each."""

    domain: tuple[float, float]
    ticks: tuple[float, ...]
    labels: tuple[str, ...]

    def as_param(self) -> dict:
        """Return it as the value of a Vega-Lite parameter."""
        return {"domain": self.domain, "ticks": self.ticks, "labels": self.labels}


def linear(values: Iterable[float], *, limits: tuple[float, float] = (-math.inf, math.inf), count: int = 5,
           integers: bool = False, room: float = 0.06, signed: bool = False) -> Axis:
    """Return a linear axis for values; what is not finite is left out.

    Args:
        values: of any number; without any the axis goes from 0 to 1
        limits: what is possible at all, as (0, 1) for a share: the axis never goes past it
        count: ticks at most
        integers: ticks at whole numbers only, for epochs and counts
        room: free space at both ends, as a share of the range
        signed: write a plus before what is above zero, for differences

    >>> linear([.9998, 1], limits=(0, 1)).labels
    ('0.99980', '0.99985', '0.99990', '0.99995', '1.00000')
    >>> linear([0, 3], integers=True, room=0).labels
    ('0', '1', '2', '3')
    """
    low, high = _ends(values, limits)
    free = room * (high - low) if low < high else 0.05 * abs(low) or 1.0
    ticks = _ticks(max(low - free, limits[0]), min(high + free, limits[1]), count, integers)
    # Ends at a tenth of a step: a curve that grows moves them, and with them all that is drawn, only now and
    # then.
    part = (ticks[1] - ticks[0]) / 10 if len(ticks) > 1 else free
    low = max(_round(math.floor(_near((low - free) / part)) * part, part), limits[0]) if free else low
    high = min(_round(math.ceil(_near((high + free) / part)) * part, part), limits[1]) if free else high
    return Axis((low, high), ticks, _written(ticks, _fixed, "+" if signed else ""))


def log(values: Iterable[float], *, count: int = 5, room: float = 0.04, powers: bool = False) -> Axis:
    """Return a logarithmic axis for values; what is not above zero is left out.

    Ticks stand at powers of ten; where there are fewer than two, at 1, 2 and 5 times a power of ten, or
    between.

    Args:
        count: ticks at most
        powers: write 1e-4 and not 0.0001, for learning rates

    >>> log([1e-6, 1], powers=True, room=0, count=7).labels
    ('1e-6', '1e-5', '1e-4', '1e-3', '1e-2', '1e-1', '1e0')
    >>> log([3e5, 2e8]).labels
    ('1M', '10M', '100M')
    """
    found = [v for v in values if v > 0]
    low, high = _ends(found or [1.0], (0, math.inf))
    free = (high / low) ** room if high > low else 2.0
    low, high = low / free, high * free
    ticks = _log_ticks(low, high, count)
    return Axis((low, high), ticks, _written(ticks, _power if powers else _prefixed, ""))


def shares(low: float = 0.0, high: float = 1.0) -> Axis:
    """Return the axis of a share or a probability from 0 to 1, a tick at each fifth."""
    return linear([low, high], limits=(0, 1), count=6, room=0)


def _ends(values: Iterable[float], limits: tuple[float, float]) -> tuple[float, float]:
    numbers = np.asarray(list(values) if not isinstance(values, np.ndarray) else values, float).ravel()
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return max(0.0, limits[0]), min(1.0, limits[1])
    return max(float(numbers.min()), limits[0]), min(float(numbers.max()), limits[1])


def _ticks(low: float, high: float, count: int, integers: bool = False) -> tuple[float, ...]:
    """Multiples of the smallest nice step of which no more than `count` lie between the ends."""
    power = math.floor(math.log10((high - low) / count)) - 1
    for step in (float(f"{nice}e{power + more}") for more in range(400) for nice in NICE):
        first, last = math.ceil(_near(low / step)), math.floor(_near(high / step))
        if last - first < count and (not integers or step >= 1):
            return tuple(_round(k * step, step) for k in range(first, last + 1))
    raise AssertionError("of a step far beyond the range there is one multiple in it at most")


def _near(number: float) -> float:
    """The whole number that was meant where division left a trace."""
    return round(number) if math.isclose(number, round(number), rel_tol=1e-14, abs_tol=1e-9) else number


def _round(value: float, step: float) -> float:
    """0.30000000000000004 -> 0.3: without the digits that lie far below a step."""
    return round(value, min(300, 6 - math.floor(math.log10(step)))) if step < 1e6 else value


def _log_ticks(low: float, high: float, count: int) -> tuple[float, ...]:
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    decades = [10.0 ** k for k in range(first, last + 1)]
    if len(decades) > 1:
        return tuple(decades[::math.ceil(len(decades) / count)])
    between = [float(f"{nice}e{k}") for k in range(first - 1, last + 1) for nice in NICE]
    between = [tick for tick in between if low <= tick <= high]
    return tuple(between) if 1 < len(between) <= count else _ticks(low, high, count)


def _written(ticks: Sequence[float], write: Callable[[float, int], str], sign: str) -> tuple[str, ...]:
    """The ticks with as few digits as show each as it is."""
    step = min((abs(b - a) for a, b in itertools.pairwise(ticks)), default=0.0)
    largest = max(map(abs, ticks), default=0.0)
    if write is _fixed and not 1e-4 <= largest < 1e9:
        write = _power
    for digits in range(18):
        labels = [write(tick, digits) for tick in ticks]
        off = [abs(_read(label) - tick) for label, tick in zip(labels, ticks)]
        if all(far <= max(1e-3 * min(step, abs(tick)), 1e-12 * abs(tick)) for far, tick in zip(off, ticks)):
            break
    return tuple(f"{sign if tick > 0 else ''}{label}" for tick, label in zip(ticks, labels))


def _read(label: str) -> float:
    label = label.replace(",", "")
    power = {prefix: power for power, prefix in PREFIXES.items()}.get(label[-1:], 0)
    return float(label.rstrip("TGMk")) * 10 ** power


def _fixed(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"


def _power(value: float, digits: int) -> str:
    mantissa, power = f"{value:.{digits}e}".split("e")
    return f"{mantissa}e{int(power)}" if float(mantissa) else "0"


def _prefixed(value: float, digits: int) -> str:
    if value < 1e-4:
        return _power(value, digits)
    for power, prefix in PREFIXES.items():
        if value >= 10 ** power:
            return f"{value / 10 ** power:.{digits}f}".removesuffix(".0") + prefix
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
