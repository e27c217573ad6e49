"""The counter set of a network that reads letters: the right pixels, the right regions, the right sentence."""

import dataclasses

import numpy as np
import pytest

from core.config import DataConfig
from core.datasets import open_dataset
from core.datasets.own import OwnSet, save_own
from core.errors import LightboxError
from core.judge.conflict import COUNTERS, Answered, can_lie, conflict, judged, regions_of, taken_again
from tests import judged as fixtures

run, trained = fixtures.run, fixtures.trained          # fixtures


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Eight patients with letters, and the same without, open."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_HOME", str(tmp_path_factory.mktemp("home")))
        opened = {}
        for name, letters in (("letters", 1.0), ("plain", 0.0)):
            save_own(OwnSet(name, name, "phantom", "", {"patients": 8, "studies": 1, "parts": ["wrist"], "letters": letters}))
            opened[name] = open_dataset(DataConfig(name, size=48))
        yield opened


def test_taken_again_is_what_a_set_of_its_own_would_have(sets):
    """Pixel for pixel: the same people without their letter are the set that never had one, and the other way round."""
    letters, plain = sets["letters"], sets["plain"]
    rows = np.arange(4)
    for one, other in ((letters, plain), (plain, letters)):
        again = taken_again(one, rows, other.source.config)
        assert np.array_equal(np.stack(again), other.images[:4]) and not np.array_equal(np.stack(again), one.images[:4])
    contrary = dataclasses.replace(letters.source.config, contrary=True)
    assert not np.array_equal(np.stack(taken_again(letters, rows, contrary)), letters.images[:4])


def test_regions_lie_where_the_picture_has_them(sets):
    data = sets["letters"]
    rows = [int(i) for i in np.flatnonzero(data.labels == 1)[:2]] + [int(np.flatnonzero(data.labels == 0)[0])]
    found = regions_of(data, rows)
    assert set(found) == {"finding", "letters"} and found["letters"].shape == (3, 48, 48)
    assert found["finding"][:2].any((1, 2)).all() and not found["finding"][2].any()           # a normal image has none
    assert 0.01 < found["letters"].mean() < 0.1
    without = np.stack(taken_again(data, rows, sets["plain"].source.config))[..., 0].astype(int)
    changed = np.abs(data.images[rows][..., 0].astype(int) - without) > 60
    assert changed.any((1, 2)).all() and not (changed & ~found["letters"]).any()
    assert set(regions_of(sets["plain"], rows)) == {"finding"}


def test_only_phantoms_can_be_taken_again(sets, run):
    assert can_lie(sets["letters"])
    assert not can_lie(dataclasses.replace(sets["letters"], target="body_part"))
    with pytest.raises(LightboxError) as fault:
        conflict(run)
    assert fault.value.code == "conflict.data"


@pytest.mark.parametrize("accuracies, reads", [((1.0, 0.55, 0.0), True), ((0.45, 0.7, 0.44), False), ((0.8, 0.8, 0.69), True)])
def test_who_follows_the_letter_reads_it(accuracies, reads):
    """A letter that only disturbs, whichever it is, is not read."""
    found = judged(tuple(Answered(name, title, False, 100, value, (0.0, 1.0), None, None, None)
                         for (name, (title, _)), value in zip(COUNTERS.items(), accuracies)))
    assert found.reads is reads and ("does not read" in found.sentence) is not reads
    assert ("any letter disturbs it" in found.sentence) is (accuracies[1] == 0.7)
    assert f"{accuracies[0]:.2f} where the letter tells the label, {accuracies[2]:.2f}" in found.sentence
