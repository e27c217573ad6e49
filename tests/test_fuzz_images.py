"""Mutants of images: none ends a process, takes much memory or time, or is answered without words."""

import pytest

from tests.fuzz_images import SECONDS, fuzz, mutant, seeds

HURTS = ("worker ended", "no worker", "above 700 MB", "above 2 s", "no words")


def check(counts) -> None:
    assert not {name: counts[name] for name in HURTS if counts[name]}, counts
    assert counts["decoded"] > counts["mutants"] / 20 and counts["image.broken"] > counts["mutants"] / 20, counts


def test_a_few_mutants():
    counts = fuzz(1500, seed=1)
    assert counts["mutants"] == 1500
    check(counts)


@pytest.mark.slow
def test_a_minute_of_mutants():
    counts = fuzz(10**7, seed=2, seconds=60)
    assert counts["mutants"] > 1000 * SECONDS
    check(counts)


def test_mutants_are_seeded_and_differ():
    import numpy as np
    data = seeds()["PNG L"]
    same = [mutant(data, np.random.default_rng((3, 7))) for _ in range(2)]
    assert same[0] == same[1] != data != mutant(data, np.random.default_rng((3, 8)))
