"""Many images decoded for a store, and what is said once about a whole set where decoding said the same of many
of its images."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from core.datasets.source import Progress, Understood

SAVE_EVERY = 1.0               # seconds between two notes of progress; a kill loses no more than this

SAID = {      # code of a note -> (about one image, about several); codes that are not here say what is ordinary
    "frames": ("holds several frames; only the first was used", "hold several frames; only the first of each was used"),
    "percentiles": ("has a few pixels far outside the rest; the percentiles 0.1 and 99.9 became black and white",
                    "have a few pixels far outside the rest; the percentiles 0.1 and 99.9 of each became black and white"),
    "padding": ("has padding, which is black", "have padding, which is black"),
    "window.left_out": ("has a window that cannot be applied; its own range was used",
                        "have a window that cannot be applied; their own range was used"),
    "rescale.left_out": ("does not say in numbers how its values are rescaled", "do not say in numbers how values are rescaled"),
    "dicom.missing": ("lacks elements that DICOM demands; the usual was taken",
                      "lack elements that DICOM demands; the usual was taken"),
    "upper_bits": ("has colours of more than 8 bits; the upper 8 were used",
                   "have colours of more than 8 bits; the upper 8 were used"),
    "constant": ("has one single value and became black", "have one single value each and became black"),
    "not_finite": ("holds values that are not finite; they became black", "hold values that are not finite; they became black"),
    "alpha": ("is transparent in parts, which were laid over black", "are transparent in parts, which were laid over black"),
    "channel": ("has a channel that is no colour; it was left out", "have a channel that is no colour; it was left out"),
}


def count_notes(notes: Iterable[str]) -> Counter:
    """Return {code: 1} of what is to be said of one image, from its notes."""
    return Counter({note.code for note in notes} & set(SAID))


def sentences(counts: dict[str, int], total: int) -> list[Understood]:
    """Return a sentence for each code, of a set with so many images.

    >>> [said.text for said in sentences({"frames": 2}, 9)]
    ['2 of 9 images hold several frames; only the first of each was used.']
    """
    return [Understood(f"pixels.{code}", f"{n:,} of {total:,} images {SAID[code][n > 1]}.")
            for code, n in sorted(counts.items(), key=lambda pair: -pair[1]) if n and code in SAID]


def decode_all(decode: Callable, write: Callable, save: Callable, state, most: int, workers: int | None,
               progress: Progress) -> None:
    """Decode chunk after chunk, half a second each: smooth progress, prompt stop, little overhead."""
    workers = workers or os.cpu_count() or 1
    chunk, saved = min(16, most), 0.0
    with ThreadPoolExecutor(workers) as pool:
        while state.done < state.total:
            began = time.monotonic()
            rows = range(state.done, min(state.total, state.done + chunk))
            write(list(pool.map(decode, rows) if workers > 1 else map(decode, rows)))
            seconds = time.monotonic() - began
            if seconds < 0.3:
                chunk = min(most, chunk * 2)
            elif seconds > 0.8:
                chunk = max(4, chunk // 2)
            if time.monotonic() - saved > SAVE_EVERY or state.done == state.total:
                save()
                saved = time.monotonic()
            progress("Preparing the images", state.done, state.total)
