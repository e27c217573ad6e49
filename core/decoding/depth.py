"""From values of any depth to 8 bits: which of them becomes black and which white, and the note that says so.

    whole range    the image's own darkest and brightest value; the default
    percentiles    0.1 and 99.9; without a choice only where those few pixels would take more than half of all gray levels, as a
                   hot pixel of a detector does
    window         by its centre and width, as in radiology
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.decoding.note import Note
from core.errors import LightboxError

INTENSITIES = ("", "percentiles", "whole range", "own window")
SHARE = 1000            # one pixel in so many is left out at each end by the percentiles
ENOUGH = 256            # pixels, fewer have no percentiles
SLAB = 2**20            # values at a time, so that memory stays flat


@dataclass(frozen=True)
class Reading:
    """How a person wants an image to be read.

    Args:
        intensity: one of INTENSITIES, for images of more than 8 bits: "" the file's own window where it has one, else the whole
            range or percentiles, as above; "own window" takes `window`
        window: (centre, width) in the file's values, rescaled where the file says how
        frame: which one of several, from 0
    """

    intensity: str = ""
    window: tuple[float, float] | None = None
    frame: int = 0

    @classmethod
    def of(cls, request: dict) -> Reading:
        """Return it from a dictionary with these names. Raises LightboxError "image.option"."""
        window = request.get("window")
        wanted = cls(request.get("intensity") or "", tuple(map(float, window)) if window else None,
                     int(request.get("frame") or 0))
        if wanted.intensity not in INTENSITIES:
            raise LightboxError("image.option", f"{wanted.intensity!r} is no way to read intensities.",
                                f"Choose one of {', '.join(INTENSITIES[1:])}.")
        window = wanted.window
        if (wanted.intensity == "own window") != (window is not None) or window and not (
                len(window) == 2 and np.isfinite(window).all() and window[1] > 0):
            raise LightboxError("image.option", "A window needs a centre and a width above 0.", "Give both as numbers.")
        return wanted


def choose_range(least: float, most: float, low: float, high: float, reading: Reading, kind: str) -> tuple[float, float, Note]:
    """Return what becomes black and what white, and the note about it.

    Args:
        least, most: the darkest and the brightest value
        low, high: the percentiles 0.1 and 99.9, or `least` and `most` where there are too few pixels
        kind: "16-bit ", "float ", ""
    """
    if reading.intensity == "own window":
        centre, width = reading.window
        return centre - width / 2, centre + width / 2, Note(
            "window.own", f"Your window (centre {centre:,.6g}, width {width:,.6g}) was applied to its {kind}values "
            f"{least:,.6g} to {most:,.6g}.")
    few = high - low < (most - least) / 2
    if low < high and (reading.intensity == "percentiles" or few and not reading.intensity):
        why = "as a few pixels lie far outside" if few else "as you chose"
        return low, high, Note("percentiles", f"Its {kind}values {low:,.6g} to {high:,.6g} (percentiles 0.1 and 99.9) "
                               f"were scaled to 0 to 255, {why}: all lie between {least:,.6g} and {most:,.6g}.")
    return least, most, Note("range", f"Its {kind}values {least:,.6g} to {most:,.6g} were scaled to 0 to 255.")


def percentiles_of_counts(levels: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """Return the percentiles 0.1 and 99.9 of values given as levels (V,) in ascending order and how many have each (V,)."""
    total = int(counts.sum())
    left_out = total // SHARE + 1 if total >= ENOUGH else 0
    up_to = np.cumsum(counts)
    low, high = np.searchsorted(up_to, [left_out, total - left_out - 1], side="right")
    return float(levels[low]), float(levels[high])


def to_8_bits(values: np.ndarray, notes: list[str], reading: Reading) -> np.ndarray:
    """uint8 stays; everything else is scaled linearly, from a range that `choose_range` names, to 0..255."""
    if values.dtype == np.uint8:
        return values
    kind = "float" if values.dtype.kind == "f" else f"{values.dtype.itemsize * 8}-bit"
    if values.dtype == np.uint16:
        counts = sum(np.bincount(part, minlength=65536) for part in _slabs(values.reshape(-1)))
        levels = np.flatnonzero(counts)
        least, most = float(levels[0]), float(levels[-1])
        low, high = percentiles_of_counts(levels, counts[levels])
    else:
        least, most, low, high = _ends(values, notes)
    if least == most and reading.intensity != "own window":
        notes.append(Note("constant", f"All its {kind} values are {least:,.6g}: it became black."))
        return np.zeros(values.shape, np.uint8)
    black, white, note = choose_range(least, most, low, high, reading, kind + " ")
    notes.append(note)
    if values.dtype == np.uint16:      # worked out once for each value that can be: 25 million pixels fit in little memory
        return _scaled(np.arange(65536.0), black, white)[values]
    out = np.empty(values.shape, np.uint8)
    for into, part in zip(_slabs(out.reshape(-1)), _slabs(values.reshape(-1))):
        into[:] = _scaled(np.where(np.isfinite(part), part, black).astype(np.float64), black, white)
    return out


def _scaled(values: np.ndarray, black: float, white: float) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        factor = 255.0 / (white - black)
        return np.round(np.clip((values - black) * factor, 0, 255)).astype(np.uint8)


def _slabs(flat: np.ndarray) -> list[np.ndarray]:
    return [flat[at:at + SLAB] for at in range(0, len(flat), SLAB)]


def _ends(values: np.ndarray, notes: list[str]) -> tuple[float, float, float, float]:
    """Return the least and the most finite value, and the percentiles 0.1 and 99.9."""
    flat = values.reshape(-1)
    finite = flat
    if values.dtype.kind == "f":
        finite = flat[np.isfinite(flat)]
        if not len(finite):
            raise LightboxError("image.broken", "The image has no finite value.", "Check how it was exported.")
        if len(finite) < len(flat):
            notes.append(Note("not_finite", f"{len(flat) - len(finite):,} values that are not finite became black."))
    left_out = len(finite) // SHARE + 1 if len(finite) >= ENOUGH else 0
    places = [0, left_out, len(finite) - 1 - left_out, len(finite) - 1]
    least, low, high, most = (float(v) for v in np.partition(finite, sorted(set(places)))[places])
    if not np.isfinite(most - least):
        raise LightboxError("image.broken", "The values of the image are too far apart to be shown.",
                            "Check how it was exported.")
    return least, most, low, high


def over_black(values: np.ndarray, alpha: np.ndarray, notes: list[str]) -> np.ndarray:
    """Lay values (H, W) or (H, W, 3), unsigned, over black: value * alpha / largest, rounded. `alpha` is (H, W) of their kind."""
    opaque = np.iinfo(values.dtype).max
    if (alpha == opaque).all():
        return values
    notes.append(Note("alpha", "Its transparent parts were laid over black."))
    wide = np.uint32 if values.dtype.itemsize < 4 else np.float64
    if values.ndim == 3:
        alpha = alpha[..., None]
    out = np.empty_like(values)
    for k in range(0, len(values), 256):      # some rows at a time
        product = values[k:k + 256].astype(wide) * alpha[k:k + 256]
        out[k:k + 256] = (product + opaque // 2) // opaque
    return out
