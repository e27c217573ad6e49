"""From a DICOM frame's stored values to gray or colours, as PS3.3 C.11 of the standard has it
(https://dicom.nema.org/medical/dicom/current):

    stored value -> rescale slope and intercept, or modality table -> window, or VOI table -> 0..255
    -> inverted for MONOCHROME1 and for the presentation LUT INVERSE; padding -> black

The first window is used where there are several; where there is none that shows anything, the image's own range, as for other
images of more than 8 bits (depth.py), padding left out. All of it is worked out once for each value that occurs (at most 65,536),
then looked up for each pixel.
"""

from __future__ import annotations

import numpy as np

from core.decoding.depth import SLAB, Reading, choose_range, percentiles_of_counts
from core.decoding.note import Note


def gray(stored: np.ndarray, file, groups: list, notes: list[Note], reading: Reading) -> np.ndarray:
    """Return (H, W) uint8 from (H, W) stored values of 8 or 16 bits.

    Args:
        groups: the data sets in which the elements of this frame stand, the first that has one counts
    """
    stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    low, high = int(stored.min()), int(stored.max())
    unsigned = np.dtype(f"u{stored.dtype.itemsize}")
    offset = stored.view(unsigned) - np.array(low).astype(unsigned)      # wraps rightly for signed values
    levels, flat = np.arange(low, high + 1), offset.reshape(-1)
    counts = sum(np.bincount(flat[at:at + SLAB], minlength=high - low + 1) for at in range(0, len(flat), SLAB))
    padding = _padding(file, levels, notes)
    if (counts[~padding] > 0).any():
        counts = np.where(padding, 0, counts)
    else:
        padding[:] = False
    values, linear = _modality(levels, file, groups, notes)
    there = counts > 0
    shown = _window(values, there, file, groups, notes, reading, linear)
    if shown is None:
        shown = _own_range(values[there], counts[there], values, stored.dtype.itemsize, notes, reading)
    if low < high:
        shown = _inverted(shown, file, notes)
    shown = np.where(padding, 0, shown)
    return np.round(255 * np.clip(shown, 0, 1)).astype(np.uint8)[offset]


def _inverted(shown: np.ndarray, file, notes: list[Note]) -> np.ndarray:
    if file.PhotometricInterpretation == "MONOCHROME1":
        notes.append(Note("inverted", "The file stores white as 0 (MONOCHROME1): it was inverted."))
    elif str(file.get("PresentationLUTShape") or "").strip().upper() == "INVERSE":
        notes.append(Note("inverted", "The file asks to be shown inverted (presentation LUT INVERSE): it was inverted."))
    else:
        return shown
    return 1 - shown


def _padding(file, levels: np.ndarray, notes: list[Note]) -> np.ndarray:
    """Return (V,) bool, which stored values only fill up the frame."""
    ends = [_number([file], name) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if ends[0] is None or not np.isfinite(ends[0]):
        return np.zeros(len(levels), bool)
    ends = [end for end in ends if end is not None and np.isfinite(end)]
    bits, signed = int(file.BitsAllocated), int(file.PixelRepresentation)
    half = 2 ** (bits - 1)
    ends = [(end + half) % 2 ** bits - half if signed else end % 2 ** bits for end in ends]      # some write it without its sign
    padding = (levels >= min(ends)) & (levels <= max(ends))
    if padding.any():
        notes.append(Note("padding", "Its padding was left out and is black."))
    return padding


def _own_range(there: np.ndarray, counts: np.ndarray, values: np.ndarray, size: int, notes: list[Note],
               reading: Reading) -> np.ndarray:
    """Return (V,) where 0 is black and 1 white, from the values that are there and how many pixels have each."""
    order = np.argsort(there, kind="stable")
    there, counts = there[order], counts[order]
    least, most = float(there[0]), float(there[-1])
    if least == most:
        notes.append(Note("constant", f"All its values are {least:,.6g}: it became black.", least=least, most=most))
        return np.zeros(len(values))
    low, high = percentiles_of_counts(there, counts)
    black, white, note = choose_range(least, most, low, high, reading, "")
    if size > 1 or note.code != "range" or (least, most) != (0, 255):
        notes.append(note)
    return (values - black) / (white - black)


def _modality(levels: np.ndarray, file, groups: list, notes: list[Note]) -> tuple[np.ndarray, bool]:
    """Return (V,) float64, what the stored values mean, and whether the file says it in a way that can be read."""
    table = _element(groups, "ModalityLUTSequence")
    if table:
        return _lookup(levels, table[0], file)[0], True
    slope, intercept = (_number(groups, name) for name in ("RescaleSlope", "RescaleIntercept"))
    if any(number is not None and np.isnan(number) for number in (slope, intercept)):
        notes.append(Note("rescale.left_out", "How its values are rescaled is written in no number and was left out."))
        return levels.astype(np.float64), False
    values = levels * (1.0 if slope is None else slope) + (intercept or 0.0)
    if not np.isfinite(values).all() or slope == 0:
        raise ValueError("rescaled to nothing")
    return values, True


def _window(values: np.ndarray, there: np.ndarray, file, groups: list, notes: list[Note], reading: Reading,
            rescaled: bool) -> np.ndarray | None:
    """Return (V,) in 0..1 by the file's table or window; None where it has none that shows anything, or another is wanted."""
    if reading.intensity:
        return None
    table = _element(groups, "VOILUTSequence")
    if table:
        shown, most = _lookup(np.round(values), table[0], file)
        shown, words = shown / most, "lookup table"
    else:
        centre, width = (_number(groups, name) for name in ("WindowCenter", "WindowWidth"))
        if centre is None or width is None:
            return None
        if not np.isfinite([centre, width]).all() or width <= 0 or not rescaled:
            notes.append(Note("window.left_out", "Its window is no pair of numbers that can be applied and was left out."))
            return None
        shown = _by_window(values, centre, width, str(_element(groups, "VOILUTFunction") or "LINEAR").upper())
        words = f"window (centre {centre:,.6g}, width {width:,.6g})"
    if there.sum() > 1 and round(255 * shown[there].min()) == round(255 * shown[there].max()):
        notes.append(Note("window.left_out", "Its window would show one single gray value and was ignored."))
        return None
    ends = {"least": float(values[there].min()), "most": float(values[there].max())}
    notes.append(Note("window", f"Its own {words} was applied.", **ends))
    return shown


def _by_window(values: np.ndarray, centre: float, width: float, function: str) -> np.ndarray:
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
    if function == "LINEAR_EXACT" or width <= 1:
        return np.clip((values - centre) / width + 0.5, 0, 1)
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)      # PS3.3 C.11.2.1.2.1


def _lookup(values: np.ndarray, table, file) -> tuple[np.ndarray, int]:
    """Look up a table of PS3.3 C.11.1.1: (V,) float64 of its entries for whole values, and the largest that an entry can be."""
    count, first, bits = (int(v) for v in table.LUTDescriptor)
    entries = table.LUTData
    if isinstance(entries, bytes):
        entries = np.frombuffer(entries, "<u2" if file.original_encoding[1] else ">u2")
    entries = np.asarray(entries, np.float64)[:count or 65536]
    return entries[np.clip(values - first, 0, len(entries) - 1).astype(np.int64)], 2 ** bits - 1


def _element(groups: list, name: str):
    """Return an element's value from the first data set that has it, None where none does."""
    return next((value for group in groups if (value := group.get(name)) not in (None, "")), None)


def _number(groups: list, name: str) -> float | None:
    """Return the first number of an element, NaN where something else is written there, None where nothing is.

    The raw text is read: pydicom refuses the whole element where one of its numbers has a decimal comma.
    """
    for group in groups:
        if name not in group:
            continue
        value = group.get_item(name).value
        if not isinstance(value, bytes | str) or len(value) in (2, 4) and _is_binary(name):
            value = group[name].value      # a number already, or one of two bytes
            if not isinstance(value, str | bytes) and hasattr(value, "__len__"):
                value = value[0] if len(value) else None
        if isinstance(value, bytes):
            value = value.decode("ascii", "replace")
        if value is None or isinstance(value, str) and not value.strip(" \0"):
            continue
        try:
            return float(value.split("\\")[0].strip(" \0") if isinstance(value, str) else value)
        except ValueError:
            return float("nan")
    return None


def _is_binary(name: str) -> bool:
    return name.startswith("PixelPadding")


def colour(values: np.ndarray, notes: list[Note]) -> np.ndarray:
    """Return (H, W, 3) uint8; of 16 bits the high byte is used, so that colours keep their proportions."""
    values = values[..., :3]
    if values.dtype.itemsize == 1:
        return np.ascontiguousarray(values)
    notes.append(Note("upper_bits", "The upper 8 of its 16 bits were used."))
    return (values >> 8).astype(np.uint8)
