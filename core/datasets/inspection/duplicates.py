"""Duplicates: images that occur twice, exactly or saved again, made brighter, cropped a little, made smaller or mirrored.

Three steps, each for fewer images than the one before:

    summary     one pass over the stored pixels: a hash of them, a perceptual hash, brightness
    candidates  pairs whose perceptual hashes differ in few bits, among all N (N - 1) / 2 pairs and their mirror images
    confirm     the originals: equal pixels, or the same fine detail once one is aligned with the other

Two views of a patient, or two patients in the same position, agree in what is large; only duplicates agree in noise and
texture too. The limits below were measured on 5,840 chest films and 355 phantom images with eleven kinds of duplicates each:
those without a crop are found in 95 to 100 of 100 cases, cropped by up to 3 % a side in 93 to 99, by up to 6 % in about
60; no other pair was mistaken for one. Images of 28 px have little detail: there 63 to 100 of 100 are found.

Perceptual hash: signs of low DCT coefficients, after Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions,
2010. Alignment: Evangelidis and Psarakis, ECC image alignment, PAMI 2008.

N images of S x S pixels.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from core.datasets.dataset import Dataset
from core.datasets.geometry import inner_size, scale
from core.datasets.source import Progress
from core.errors import LightboxError

SIDE = 128            # pixels a side at which two originals are compared
LOW = 11              # low frequencies of the DCT in each direction
BITS = LOW * LOW - 1  # all but the mean
NEAR = 22             # bits that the hashes of two candidates may differ in
MAX_CANDIDATES = 50_000      # that are compared closely; the nearest, where there are more
DETAIL, DETAIL_PER_BIT, DETAIL_MOST = 0.58, 0.02, 0.84      # least correlation of fine detail: more where the hashes differ more
DETAIL_STILL = 0.5    # where nothing had to be moved to align them
DETAIL_SMALL = 0.85   # the same for images below 48 px, which have little detail
TURN, SHEAR, GROWTH = 0.6, 0.03, 0.15     # degrees, and shares of the side: a duplicate is not turned, another patient often is
KEPT = 1500           # originals in memory at SIDE x SIDE
BLOCK = 1024          # rows of the table of distances in memory


@dataclass(frozen=True, eq=False)
class PixelSummary:
    """What one pass over the pixels measures of each image.

    Args:
        digests: (N,) 16 bytes each: equal for equal stored pixels
        hashes, mirrored: (N, 2) uint64: the perceptual hash, and that of the mirror image
        mean, spread: (N,) float32: mean and standard deviation of the gray values, 0 to 255, bars left out
    """

    digests: np.ndarray
    hashes: np.ndarray
    mirrored: np.ndarray
    mean: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True)
class DuplicatePair:
    """Two rows of the table with the same image.

    Args:
        kind: "exact" or "near"
        distance: bits between the hashes, 0 to BITS
        mirrored: whether one is the other's mirror image
    """

    a: int
    b: int
    kind: str
    distance: int
    mirrored: bool = False


class Alignment(NamedTuple):
    """How well an image fits another once it is aligned, and how far it had to be moved.

    Args:
        detail: correlation of the fine detail, -1 to 1
        turn: degrees
        shear: share of the side
        growth: the larger |log| of the two scales
    """

    detail: float
    turn: float
    shear: float
    growth: float


def summarise_pixels(data: Dataset, progress: Progress | None = None) -> PixelSummary:
    """Read the stored pixels once, in chunks."""
    n = len(data)
    digests, hashes, mirrored = np.zeros(n, "V16"), np.zeros((n, 2), np.uint64), np.zeros((n, 2), np.uint64)
    mean, spread = np.zeros(n, np.float32), np.zeros(n, np.float32)
    boxes = _content(data)
    for start in range(0, n, 256):
        for i in range(start, min(n, start + 256)):
            pixels = np.ascontiguousarray(data.images[i])
            digests[i] = hashlib.blake2b(pixels, digest_size=16).digest()
            height, width = boxes[i]
            top, left = (data.size - height) // 2, (data.size - width) // 2
            gray = pixels[top:top + height, left:left + width].mean(axis=2) if pixels.shape[2] > 1 else \
                pixels[top:top + height, left:left + width, 0]
            mean[i], spread[i] = gray.mean(), gray.std()
            hashes[i], mirrored[i] = perceptual_hash(gray)
        if progress:
            progress("Reading the images", min(n, start + 256), n)
    return PixelSummary(digests, hashes, mirrored, mean, spread)


def perceptual_hash(gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the hash of an image (H, W) and of its mirror image, each (2,) uint64.

    The bits are the signs of the low DCT coefficients of the image brought to 32 x 32. Brightness and contrast change no sign;
    mirroring changes that of each odd horizontal one.
    """
    small = cv2.resize(np.ascontiguousarray(gray, np.float32), (32, 32), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small)[:LOW, :LOW].ravel()[1:]
    low = np.where(np.abs(low) < 1e-3, 0, low)             # what is only rounding has no sign
    return _pack(low > 0), _pack(low * _ODD > 0)


_ODD = np.where(np.tile(np.arange(LOW) % 2 == 1, LOW), -1, 1)[1:]


def _pack(bits: np.ndarray) -> np.ndarray:
    return np.packbits(np.pad(bits, (0, 128 - BITS))).view(np.uint64)


def candidates(summary: PixelSummary, progress: Progress | None = None, near: int = NEAR,
               most: int = MAX_CANDIDATES) -> tuple[list[DuplicatePair], bool]:
    """Return the pairs with a < b and at most `near` bits between their hashes, the nearest first.

    Memory stays flat: a block of rows at a time, and no more than `most` pairs (where there are more, `near` is lowered).

    Returns:
        the pairs, and whether these are all: False where `near` had to be lowered
    """
    n, found, complete = len(summary.hashes), [], True
    words = [np.ascontiguousarray(summary.hashes[:, k]) for k in (0, 1)]
    turned = [np.ascontiguousarray(summary.mirrored[:, k]) for k in (0, 1)]
    for start in range(0, n, BLOCK):
        stop = min(n, start + BLOCK)
        for other, mirrored in ((words, False), (turned, True)):
            for begin in range(start, n, 8 * BLOCK):
                end = min(n, begin + 8 * BLOCK)
                distance = sum(np.bitwise_count(mine[start:stop, None] ^ theirs[None, begin:end])
                               for mine, theirs in zip(words, other))
                rows, columns = np.nonzero(distance <= near)
                later = columns + begin > rows + start
                rows, columns = rows[later], columns[later]
                found.append(np.column_stack([rows + start, columns + begin, distance[rows, columns],
                                              np.full(len(rows), mirrored)]).astype(np.int32))
        while sum(map(len, found)) > most:
            complete, near = False, near - 1
            together = np.concatenate(found)
            found = [together[together[:, 2] <= near]]
            if near == 0:
                found = [found[0][:most]]
        if progress:
            progress("Comparing all pairs", stop, n)
    together = np.concatenate(found) if found else np.zeros((0, 4), np.int32)
    order = np.lexsort((together[:, 3], together[:, 2]))
    best: dict[tuple[int, int], DuplicatePair] = {}
    for a, b, distance, mirrored in together[order].tolist():
        best.setdefault((a, b), DuplicatePair(a, b, "near", distance, bool(mirrored)))
    return list(best.values()), complete


def find_duplicates(data: Dataset, summary: PixelSummary,
                    progress: Progress | None = None) -> tuple[tuple[DuplicatePair, ...], bool]:
    """Return all pairs of duplicates, exact ones first.

    Returns:
        the pairs, and whether all candidates were compared; False where there were too many
    """
    original = _Originals(data)
    exact, near_twins = _exact(summary, original, progress)
    known = {(pair.a, pair.b) for pair in exact}
    likely, complete = candidates(summary, progress)
    likely = sorted((c for c in likely if (c.a, c.b) not in known), key=lambda c: (c.a, c.b))
    pairs = []
    # In the order of the rows, so that an original is read once for all pairs that it is in.
    for done, pair in enumerate(likely, 1):
        if (pair.a, pair.b) in near_twins or same_detail(original.square(pair.a), original.square(pair.b), pair.distance,
                                                         pair.mirrored):
            pairs.append(pair)
        if progress:
            progress("Comparing likely duplicates", done, len(likely))
    return (*exact, *sorted(pairs, key=lambda pair: (pair.distance, pair.a, pair.b))), complete


def _exact(summary: PixelSummary, original: _Originals,
           progress: Progress | None) -> tuple[list[DuplicatePair], set[tuple[int, int]]]:
    """Return pairs with equal originals; and those that are equal in the store only, where the originals differ in size."""
    order = np.argsort(summary.digests, kind="stable")
    digests = summary.digests[order]
    starts = np.flatnonzero(np.r_[True, digests[1:] != digests[:-1]])
    groups = [np.sort(order[a:b]) for a, b in zip(starts, np.r_[starts[1:], len(order)]) if b - a > 1]
    exact, near = [], set()
    for done, rows in enumerate(groups, 1):
        for k, a in enumerate(rows[:20].tolist()):            # of a thousand blank images not half a million pairs
            for b in rows[k + 1:].tolist():
                if original.equal(a, b):
                    exact.append(DuplicatePair(a, b, "exact", 0))
                else:
                    near.add((a, b))
        if progress:
            progress("Comparing equal images", done, len(groups))
    return sorted(exact, key=lambda pair: (pair.a, pair.b)), near


def same_detail(a: np.ndarray, b: np.ndarray, distance: int, mirrored: bool = False) -> bool:
    """Return whether two images (S, S) float32 show the same: the same fine detail, once aligned without turning."""
    fit = align(a, b[:, ::-1] if mirrored else b)
    if fit is None:
        return False
    least = DETAIL_SMALL if len(a) < 48 else min(DETAIL + DETAIL_PER_BIT * distance, DETAIL_MOST)
    if fit.turn < 0.05 and fit.growth < 0.005:      # no two exposures align so exactly: noise may have hidden half of the detail
        least = min(least, DETAIL_STILL)
    return fit.detail >= least and fit.turn <= TURN and fit.shear <= SHEAR and fit.growth <= GROWTH


def align(a: np.ndarray, b: np.ndarray) -> Alignment | None:
    """Align b with a by the affine map of the largest correlation, coarse then fine, and compare the fine detail.

    Detail is what a blur of 1.5 px takes away, divided by its local strength so that edges count no more than grain.

    Args:
        a, b: (S, S) float32

    Returns:
        None where the two cannot be aligned, or where too little is left to compare
    """
    b = np.ascontiguousarray(b)
    move = _find_move(a, b)
    if move is None:
        return None
    detail = _compare_detail(a, b, move)
    if detail is None:
        return None
    growth = max(abs(np.log(max(abs(move[0, 0]), 1e-6))), abs(np.log(max(abs(move[1, 1]), 1e-6))))
    return Alignment(detail, _turn(move), abs(float(move[0, 1] + move[1, 0])), float(growth))


def _find_move(a: np.ndarray, b: np.ndarray) -> np.ndarray | None:
    """Return the (2, 3) affine map from a to b; None where there is none."""
    side = len(a)
    move = np.eye(2, 3, dtype=np.float32)
    for size, blur, steps in ((32, 0.8, 60), (side, 1.0, 40)) if side > 32 else ((side, 0.8, 60),):
        one, other = (cv2.GaussianBlur(cv2.resize(x, (size, size), interpolation=cv2.INTER_AREA), (0, 0), blur) for x in (a, b))
        before, unmoved = move.copy(), float(np.corrcoef(one.ravel(), other.ravel())[0, 1])
        move[:, 2] *= size / side
        try:
            likeness, move = cv2.findTransformECC(one, other, move, cv2.MOTION_AFFINE, (3, steps, 1e-5), None, 1)
        except cv2.error:                    # no map found: they are too different, or one is blank
            return None
        move[:, 2] *= side / size
        if size == 32 and side > 32:
            if likeness < unmoved:           # it ran off; the fine step has a better start where the coarse one began
                likeness, move = unmoved, before
            if likeness < 0.9 or _turn(move) > 4:
                return None                  # the fine step would not bring them together either
    return move


def _compare_detail(a: np.ndarray, b: np.ndarray, move: np.ndarray) -> float | None:
    """Return the correlation of the fine detail of a and of b moved; None where too little is left to compare."""
    side = len(a)
    laid = cv2.warpAffine(b, move, (side, side), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderValue=-1e4)
    inside = (a > 6) & (a < 249) & (laid > 6) & (laid < 249)        # black and white say nothing
    inside = cv2.erode(inside.astype(np.uint8), np.ones((5, 5))) > 0
    if inside.sum() < side * side / 16:
        return None
    fine = []
    for x in (a, np.clip(laid, 0, 255)):
        detail = x - cv2.GaussianBlur(x, (0, 0), 1.5)
        detail = (detail / np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), 4) + 0.5))[inside]
        fine.append(detail - detail.mean())
    strength = float(np.sqrt((fine[0] ** 2).sum() * (fine[1] ** 2).sum()))
    if strength < 1e-3:
        return None
    return float((fine[0] * fine[1]).sum()) / strength


def _turn(move: np.ndarray) -> float:
    return abs(float(np.degrees(np.arctan2(move[1, 0] - move[0, 1], move[0, 0] + move[1, 1]))))


def _content(data: Dataset) -> list[tuple[int, int]]:
    """Return height and width of the image itself inside each stored square, without the bars, where its size is known."""
    heights, widths = (data.table[c].to_numpy() if c in data.table else [""] * len(data) for c in ("height", "width"))
    return [inner_size(int(h), int(w), data.size, data.resize) if h.isdigit() and w.isdigit() and int(h) and int(w)
            else (data.size, data.size) for h, w in zip(heights, widths)]


class _Originals:
    """Originals read once and kept small: gray, SIDE x SIDE, distorted to a square so that a crop moves no bars."""

    def __init__(self, data: Dataset):
        self.data = data
        self.kept: OrderedDict[int, np.ndarray] = OrderedDict()
        # A stream that would be read from its beginning again and again: what the store has is as good, or nearly.
        self.stored = bool(getattr(data.source, "sequential", False))
        self.boxes = _content(data) if self.stored else None

    def square(self, i: int) -> np.ndarray:
        if i in self.kept:
            self.kept.move_to_end(i)
            return self.kept[i]
        pixels = self._pixels(i, lambda: self.data.source.at_size(i, 2 * SIDE))
        gray = pixels if pixels.shape[2] == 1 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None]
        side = min(SIDE, max(16, *gray.shape[:2]))
        self.kept[i] = scale(gray, side, side)[:, :, 0].astype(np.float32)
        while len(self.kept) > KEPT:
            self.kept.popitem(last=False)
        return self.kept[i]

    def equal(self, a: int, b: int) -> bool:
        """Return whether the originals of two rows with equal stored pixels are equal."""
        if self.stored and max(self.data.source.shape[:2]) <= self.data.size:
            return True
        try:
            return np.array_equal(self.data.original(a), self.data.original(b))
        except LightboxError:
            return False

    def _pixels(self, i: int, read: Callable[[], np.ndarray]) -> np.ndarray:
        if not self.stored:
            try:
                return read()
            except LightboxError:            # the file is gone: the store still has it
                pass
        return np.asarray(self.data.images[i])
