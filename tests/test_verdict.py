"""The sentence about some heat-maps: the check that fails first decides it, and its number stands in it."""

import numpy as np
import pytest

from core.explain.localization import Place
from core.explain.randomisation import Randomised
from core.explain.sanity_checks import CheckResults
from core.explain.verdict import points_at, verdict, where


def made(forgot=0.1, gain=0.2, shifts=0.9, seeds=None, empty=0, **regions) -> CheckResults:
    randomised = Randomised(("trained", "2", "0"), np.array([1, 0.45, forgot]), np.array([1, 0.4, 0.3]))     # the last counts
    return CheckResults(8, empty, randomised, {}, {}, gain, "the edges", shifts, seeds, regions)


@pytest.mark.parametrize("found, answer, number", [
    (made(), "yes", "0.20"), (made(empty=8, forgot=0.0), "no", "no evidence"), (made(forgot=0.62), "no", "0.62"),
    (made(gain=-0.07), "doubtful", "-0.07"), (made(gain=0.01), "doubtful", "+0.01"), (made(forgot=0.5), "no", "0.50"),
    (made(shifts=0.31), "doubtful", "0.31"), (made(shifts=None), "yes", "0.10"),
    (made(seeds=0.12), "yes", "0.12"), (made(forgot=0.62, gain=-1, shifts=0), "no", "0.62")])
def test_the_verdict_gives_the_number_that_decided(found, answer, number):
    said = verdict(found)
    assert said.trust == answer and number in said.sentence


def test_where_it_points():
    ring = Place(8, 0.9, 0.3, 1.0)
    assert where(made(**{"border ring": ring})) == ""
    at_letters = where(made(letters=Place(8, 0.6, 0.05, 1.0), finding=Place(8, 0.1, 0.05, 0.0)))
    assert all(part in at_letters for part in ("at the letters", "60 %", "12.0 times"))
    small, large = Place(8, 0.3, 0.01, 1.0), Place(8, 0.6, 0.25, 0.0)           # thirty times an even map, and 2.4 times
    assert points_at(made(letters=small, finding=large)) == "letters"
    hot_ring = made(**{"border ring": Place(8, 0.9, 0.1, 1.0), "finding": large})
    assert points_at(hot_ring) == "finding" and where(hot_ring).startswith("They point at the finding")
    assert "6 % of the heat is in the finding" in where(made(finding=Place(8, 0.06, 0.05, 0.0)))
