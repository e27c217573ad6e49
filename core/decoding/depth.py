"""From values of any depth to 8 bits: which of them becomes black and which white, and the note that says so.

    whole range    the image's own darkest and brightest value; the default
    percentiles    0.1 and 99.9; without a choice only where those few pixels would take more than half of all gray levels, as a
                   hot pixel of a detector does
    window         by its centre and width, as in radiology
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from core.decoding.note import Note
from core.errors import LightboxError

OWN = "own window"
INTENSITIES = ("", "percentiles", "whole range", OWN)
SHARE = 1000            # one pixel in so many is left out at each end by the percentiles
ENOUGH = 256            # pixels, fewer have no percentiles
SLAB = 2**20            # values at a time, so that memory stays flat


@dataclass(frozen=True)
class Reading:
    """How a person wants an image to be read.

    Args:
        intensity: one of INTENSITIES, for images of more than 8 bits: "" the file's own window where it has one, else the whole
            range or percentiles, as above; OWN takes `window`
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
        intensity, window = request.get("intensity") or "", tuple(map(float, window)) if window else None
        if window is None and intensity != OWN:
            intensity, window = parse_intensity(intensity)
        if (intensity == OWN) != (window is not None) or window and not _is_window(window):
            raise NO_WINDOW
        return cls(intensity, window, int(request.get("frame") or 0))


NO_WINDOW = LightboxError("image.option", "A window needs a centre and a width above 0.", "Give both as numbers, such as 40 400.")


def parse_intensity(text: str) -> tuple[str, tuple[float, float] | None]:
    """Return (one of INTENSITIES, window) of a text: "", percentiles, whole range, or a window's centre and width.

    Raises LightboxError "image.option".

    >>> parse_intensity("Whole range"), parse_intensity("-600 1500"), parse_intensity("40,5; 400")
    (('whole range', None), ('own window', (-600.0, 1500.0)), ('own window', (40.5, 400.0)))
    """
    plain = " ".join(text.split()).lower()
    if plain in INTENSITIES and plain != OWN:
        return plain, None
    parts = re.split(r"[\s;/|]+", plain.strip("()[]")) if re.search(r"[\s;/|]", plain) else plain.strip("()[]").split(",")
    try:
        window = tuple(float(part.strip(",").replace(",", ".")) for part in parts)
    except ValueError:
        raise LightboxError("image.option", f"{text[:80]!r} is no way to read intensities.",
                            "Choose percentiles or whole range, or give a window as centre and width: 40 400.") from None
    if not _is_window(window):
        raise NO_WINDOW
    return OWN, window


def intensity_text(text: str) -> str:
    """Return such a text in the one way in which it is kept. Raises LightboxError "image.option".

    >>> intensity_text(" 40.0,400 ")
    '40 400'
    """
    intensity, window = parse_intensity(text)
    return f"{window[0]:.12g} {window[1]:.12g}" if window else intensity


def _is_window(window: tuple[float, ...]) -> bool:
    return len(window) == 2 and bool(np.isfinite(window).all()) and window[1] > 0


def choose_range(least: float, most: float, low: float, high: float, reading: Reading, kind: str) -> tuple[float, float, Note]:
    """Return what becomes black and what white, and the note about it.

    Args:
        least, most: the darkest and the brightest value
        low, high: the percentiles 0.1 and 99.9, or `least` and `most` where there are too few pixels
        kind: "16-bit ", "float ", ""
    """
    ends = {"least": least, "most": most}
    if reading.intensity == OWN:
        centre, width = reading.window
        return centre - width / 2, centre + width / 2, Note(
            "window.own", f"Your window (centre {centre:,.6g}, width {width:,.6g}) was applied to its {kind}values "
            f"{least:,.6g} to {most:,.6g}.", **ends)
    few = high - low < (most - least) / 2
    if low < high and (reading.intensity == "percentiles" or few and not reading.intensity):
        why = "as a few pixels lie far outside" if few else "as you chose"
        return low, high, Note("percentiles", f"Its {kind}values {low:,.6g} to {high:,.6g} (percentiles 0.1 and 99.9) "
                               f"were scaled to 0 to 255, {why}: all lie between {least:,.6g} and {most:,.6g}.", **ends)
    return least, most, Note("range", f"Its {kind}values {least:,.6g} to {most:,.6g} were scaled to 0 to 255.", **ends)


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
    if least == most and reading.intensity != OWN:
        notes.append(Note("constant", f"All its {kind} values are {least:,.6g}: it became black.", least=least, most=most))
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
