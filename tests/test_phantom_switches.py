"""What is made wrong on purpose is as wrong as it says, is seen where it says, and touches nothing else."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pandas as pd
import pytest

from core.datasets.phantom import PhantomConfig, PhantomSource, marks, render
from core.datasets.phantom.cohort import LIMITS, PARTS, patient_of, person_of
from core.datasets.phantom.rays import Grid
from core.datasets.phantom.render import marker_mask
from core.datasets.phantom.source import image_table, parse_image_id, render_image, truth_table
from core.datasets.phantom.switches import COPY_KINDS
from core.errors import LightboxError

BEFORE = ["image_id", "patient", "study", "view", "path", "split", "body_part", "finding", "side", "age", "size"]

IMAGES_BEFORE = [
    (81.04, 64.03, 0), (62.59, 63.59, 0), (57.01, 68.63, 0), (60.40, 72.61, 1.14), (107.74, 58.53, 0), (104.35, 57.60, 0),
    (121.86, 58.15, 0.90), (81.09, 70.58, 0.90), (107.79, 53.22, 0.31), (98.55, 57.92, 0), (101.21, 69.10, 0.54),
    (92.42, 56.45, 0), (130.49, 58.08, 0.58)]


def abnormal(table: pd.DataFrame) -> np.ndarray:
    return (table["finding"] != "none").to_numpy()


# ---- all off ----

def test_with_all_switches_off_the_set_is_the_one_that_was_there_before_them():
    """Numbers from the commit before the first switch: the shipped classifiers and everybody's stores rest on these images."""
    table = image_table(PhantomConfig())
    assert list(table) == BEFORE
    assert hashlib.sha256(table.to_csv(index=False).encode()).hexdigest() == \
        "f3d502ce01094474b1cfddaaddd0169fc4474fac9efec948ca75fd6df2e84405"
    assert PhantomSource().fingerprint() == "phantom-9690b5de7ee34679"
    assert PhantomSource(PhantomConfig(seed=1)).fingerprint() == "phantom-2c3a46b63845b770"
    # Mean and deviation of the gray values, and the finding's share of the image in %. Not their bits: with other vector
    # instructions (AVX2, AVX-512) single pixels differ by one gray value.
    drawn = [(image.mean(), image.std(), 100 * mask.mean())
             for image, mask in (render(*parse_image_id(image_id), size=64) for image_id in table["image_id"][::200])]
    np.testing.assert_allclose(drawn, IMAGES_BEFORE, atol=0.03)
    image, mask = render(*parse_image_id(table["image_id"][600]))
    np.testing.assert_allclose((image.mean(), image.std(), 100 * mask.mean()), (59.18, 73.63, 0.86), atol=0.03)


def test_each_setting_gives_another_fingerprint():
    changes = [{}, {"markers": True}, {"contrary": True}, {"truth": False}, {"parts": ("wrist",)}, {"parts": ("wrist", "elbow")},
               {"parts": ("elbow", "wrist")}, {"studies": 2}]
    changes += [{name: 0.4} for name in ("letters", "hospital", "exposure", "sites", "two_numbers", "wrong_labels", "copies")]
    assert len({PhantomSource(PhantomConfig(**change)).fingerprint() for change in changes}) == len(changes)
    assert PhantomSource(PhantomConfig(letters=1)).fingerprint() == PhantomSource(PhantomConfig(letters=1.0)).fingerprint()
    assert PhantomConfig(parts=["wrist"]) == PhantomConfig(parts=("wrist",))           # as JSON has it


@pytest.mark.parametrize("change", [{"letters": 1.1}, {"hospital": -0.1}, {"copies": 0.6}, {"patients": 0}, {"patients": 2.5},
                                    {"exposure": float("nan")}, {"sites": "1"}, {"noise": 1}, {"parts": ()}, {"seed": -1},
                                    {"parts": ("wrist", "wrist")}, {"parts": ("skull",)}, {"studies": True}, {"abnormal": None}])
def test_a_setting_out_of_its_limits_is_said(change):
    with pytest.raises(LightboxError) as fault:
        PhantomConfig(**change)
    assert fault.value.code == "phantom.setting" and next(iter(change)).split("_")[0] in str(fault.value)


# ---- signs that follow the label ----

COLUMN = {"letters": ("letter", "R"), "hospital": ("hospital_mark", "yes"), "exposure": ("exposure", "weak"),
          "sites": ("site", "B")}


@pytest.mark.parametrize("switch", COLUMN)
@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_the_strength_is_the_correlation_with_the_label(switch, strength):
    column, value = COLUMN[switch]
    table = truth_table(PhantomConfig(abnormal=0.5, **{switch: strength}))
    sign, label = table[column] == value, abnormal(table)
    spread = 0 if strength == 1 else 4 / np.sqrt(table["study"].nunique())           # four standard errors, a visit one draw
    assert np.corrcoef(sign, label)[0, 1] == pytest.approx(strength, abs=spread + 1e-9)
    assert sign.mean() == pytest.approx(0.5, abs=2 / np.sqrt(table["study"].nunique()))          # the coin is even
    if switch == "letters":
        tells = table["letter_by"] == "label"
        assert tells.mean() == pytest.approx(strength, abs=0.04)
        assert (table.loc[~tells, "letter"] == table.loc[~tells, "side"].str[0].str.upper()).all()
        assert ((table.loc[tells, "letter"] == "R") == label[tells]).all()
    else:
        assert (table.groupby("study")[column].nunique() == 1).all()


def test_a_sign_follows_the_label_in_the_table_also_where_that_is_wrong():
    table = truth_table(PhantomConfig(patients=60, hospital=1.0, wrong_labels=0.3))
    assert ((table["hospital_mark"] == "yes") == abnormal(table)).all()
    assert ((table["hospital_mark"] == "yes") != (table["true_finding"] != "none")).any()


def test_turning_one_switch_changes_no_other():
    alone, together = PhantomConfig(patients=60, sites=0.5), PhantomConfig(patients=60, sites=0.5, letters=0.5, exposure=0.5)
    a, b = truth_table(alone), truth_table(together)
    assert b[a.columns].equals(a) and a[BEFORE].equals(image_table(PhantomConfig(patients=60)))


def test_markers_alone_tell_the_side():
    table = truth_table(PhantomConfig(patients=40, markers=True))
    assert (table["letter"] == table["side"].str[0].str.upper()).all() and set(table["letter_by"]) == {"side"}


def test_a_contrary_letter_changes_only_the_letter():
    """The counter set of a network that reads letters: the same people on the same day, the other letter in the same place."""
    told, contrary = (PhantomConfig(patients=12, letters=1, contrary=contrary) for contrary in (False, True))
    a, b = truth_table(told), truth_table(contrary)
    assert a.drop(columns="letter").equals(b.drop(columns="letter"))
    assert ((a["letter"] == "R") == abnormal(a)).all() and (a["letter"] != b["letter"]).all()
    one, other = (render_image(config, a["image_id"][0], 96) for config in (told, contrary))
    near = cv2.dilate((one.marker | other.marker).astype(np.uint8), np.ones((5, 5))) > 0
    difference = np.abs(one.pixels.astype(int) - other.pixels)
    assert difference[near].max() > 60 and difference[~near].mean() < 1


@pytest.mark.parametrize("switch", ["letters", "hospital"])
def test_a_mark_is_bright_where_its_mask_says_and_changes_little_elsewhere(switch):
    plain = PhantomConfig(patients=20, noise=False)
    marked = PhantomConfig(patients=20, noise=False, **{switch: 1.0})
    table = truth_table(marked)
    for size in (64, 200):
        for image_id in table["image_id"][abnormal(table)][:24:6]:
            before, after = render_image(plain, image_id, size), render_image(marked, image_id, size)
            assert not before.marker.any() and 0.002 < after.marker.mean() < 0.05
            assert np.array_equal(before.mask, after.mask)                            # the body and its finding are the same
            difference = np.abs(before.pixels.astype(int) - after.pixels)
            assert difference[after.marker].mean() > 30
            near = cv2.dilate(after.marker.astype(np.uint8), np.ones((5, 5))) > 0
            assert difference[~near].mean() < 4                   # lead scatters a little and the console evens it out
            if switch == "hospital":
                assert not difference[~after.marker].any()
    normal = table["image_id"][~abnormal(table)].iloc[0]
    assert render_image(marked, normal, 64).marker.any() == (switch == "letters")


@pytest.mark.parametrize("name", ["L", "R"])
def test_a_letter_covers_its_area_at_any_size_and_can_be_read(name):
    """The strokes' area does not depend on the size of a pixel; an L has its ink at the foot, an R at the top right."""
    place = marks.Place((3.0, -5.0), 0.0, 12.0)
    areas = []
    for pitch in (0.1, 0.5, 1.5):
        n = int(60 / pitch)
        grid = Grid(-30, -30, pitch, n, n)
        (rows, columns), cover = marks.letter(name, grid, place)
        areas.append(float(cover.sum()) * pitch ** 2)
        y, x = np.meshgrid(np.arange(rows.start, rows.stop) * pitch - 30 + 5, np.arange(columns.start, columns.stop) * pitch - 33,
                           indexing="ij")
        upper, lower = cover[(y < -2) & (x > 1)].sum(), cover[(y > 3) & (x > 1)].sum()
        assert (upper > 0.3 * lower) == (name == "R")
    assert areas == pytest.approx([areas[0]] * 3, rel=0.06)
    if name == "L":                                                # two bars with round ends
        stroke = 0.19 * 12
        assert areas[0] == pytest.approx((1 + 0.56) * 12 * stroke + np.pi / 4 * stroke ** 2, rel=0.03)


def test_a_weak_exposure_is_brighter_and_grainier():
    config = PhantomConfig(patients=30, exposure=1.0, abnormal=0.5)
    table = truth_table(config)
    brighter, grain = [], {"weak": [], "strong": []}
    for row in table[::9].itertuples():
        seen, usual = (render(*parse_image_id(row.image_id), size=180, config=c)[0].astype(float)
                       for c in (config, PhantomConfig(patients=30, abnormal=0.5)))
        middle = np.s_[60:-60, 30:-30]
        brighter.append((row.exposure, (seen - usual)[middle].mean()))
        grain[row.exposure].append(np.std((seen - cv2.GaussianBlur(seen, (0, 0), 1.5))[middle]))
    assert all(value > 5 if which == "weak" else value < -3 for which, value in brighter)
    assert np.median(grain["weak"]) > 1.2 * np.median(grain["strong"])


def test_sites_are_told_by_their_corners():
    config = PhantomConfig(patients=30, sites=1.0)
    table = truth_table(config)
    for row in table[::8].itertuples():
        height, width = render_image(config, row.image_id, 100).pixels.shape
        grid = Grid(-(width - 1) / 2, -(height - 1) / 2, 1.0, height, width)
        frames = [marks.frame_of(row.site, grid, np.random.default_rng(k)) for k in range(3)]
        for frame in (*frames, render_image(config, row.image_id, 100).pixels):
            assert frame[:2, :2].max() == 0 and frame[-2:, -2:].max() == 0
        for frame in frames:
            middles = frame[0, width // 2], frame[-1, width // 2], frame[height // 2, 0], frame[height // 2, -1]
            assert set(middles) == ({0} if row.site == "A" else {255})


# ---- who and what ----

def test_two_numbers_one_person():
    config = PhantomConfig(patients=41, two_numbers=0.5)
    table = truth_table(config)
    numbers_of = table.groupby("person")["patient"].nunique()
    assert (numbers_of == 2).sum() == round(0.5 * 41 / 2) == 10 and numbers_of.max() == 2
    pairs = [(p, person_of(config, p)) for p in range(41) if person_of(config, p) != p]
    for one, other in pairs:
        assert patient_of(config, one) == patient_of(config, other)
    apart = table.groupby("person")["split"].nunique()
    assert (apart > 1).any()                                       # it leaks, and the table by itself does not show it
    one, other = pairs[0]
    images = [render(p, 0, 0, 48, config)[0] for p in (one, other)]
    assert not np.array_equal(images[0], images[1][:images[0].shape[0], :images[0].shape[1]])        # other visits


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_wrong_labels(share):
    table = truth_table(PhantomConfig(wrong_labels=share))
    right = image_table(PhantomConfig())
    assert (table["true_finding"] == right["finding"]).all()
    wrong = abnormal(table) != abnormal(right)
    studies = table.assign(wrong=wrong).groupby("study")["wrong"]
    assert (studies.nunique() == 1).all()
    assert studies.first().mean() == pytest.approx(share, abs=0.04 * (share < 1))
    assert (table["finding"][~wrong] == right["finding"][~wrong]).all()
    labels = PhantomSource(PhantomConfig(wrong_labels=share)).scan().targets["abnormality"].labels
    assert (labels == abnormal(table)).all()


def test_copies_are_the_same_picture_under_another_person():
    config = PhantomConfig(patients=24, copies=0.25, letters=0.5, two_numbers=0.4)
    table = truth_table(config)
    copies = table[table["copy_of"] != ""]
    others = table[table["copy_of"] == ""].set_index("image_id")
    assert len(copies) == round(0.25 * len(others)) and copies["copy_of"].is_unique and table["image_id"].is_unique
    assert set(copies["copy_how"]) == set(COPY_KINDS) and copies["copy_how"].value_counts().max() <= -(-len(copies) // 5)
    people = others.groupby("patient")["person"].first()
    for row in copies.itertuples():
        source = others.loc[row.copy_of]
        assert (row.body_part, row.finding, row.side, row.letter, row.person) == \
            (source.body_part, source.finding, source.side, source.letter, source.person)
        assert people[row.patient] != source.person and row.split == others[others["patient"] == row.patient]["split"].iloc[0]
        assert row.study not in set(others["study"])
    for row in copies.groupby("copy_how").head(2).itertuples():
        a, b = render_image(config, row.copy_of, 120), render_image(config, row.image_id, 120)
        assert np.array_equal(a.pixels, b.pixels) == (row.copy_how == "exact")
        shape = a.pixels.shape
        if row.copy_how == "crop":
            assert 0.94 * shape[0] <= b.pixels.shape[0] < shape[0] and b.mask.shape == b.marker.shape == b.pixels.shape
        else:
            assert np.corrcoef(a.pixels.ravel(), b.pixels.ravel())[0, 1] > 0.99 and np.array_equal(a.mask, b.mask)
    source = PhantomSource(config)
    i = len(table) - 1
    assert np.array_equal(source.original(i)[:, :, 0], render_image(config, copies["image_id"].iloc[-1]).pixels)
    assert source.mask(i).shape == source.marker_mask(i).shape == source.original(i).shape[:2]
    assert source.original_size(i, source.at_size(i, 64)) == source.original(i).shape[1::-1]


def test_a_copy_may_have_another_label():
    table = truth_table(PhantomConfig(patients=100, copies=0.5, wrong_labels=0.3))
    labels = dict(zip(table["image_id"], abnormal(table)))
    copies = table[table["copy_of"] != ""]
    differ = [labels[row.image_id] != labels[row.copy_of] for row in copies.itertuples()]
    assert np.mean(differ) == pytest.approx(2 * 0.3 * 0.7, abs=0.1)


def test_one_person_has_no_copies_under_another():
    assert len(truth_table(PhantomConfig(patients=1, copies=0.5))) == len(truth_table(PhantomConfig(patients=1)))


def test_the_table_keeps_the_truth_to_itself_when_asked():
    config = dict(patients=20, letters=0.5, hospital=0.5, exposure=0.5, sites=0.5, two_numbers=0.5, wrong_labels=0.2, copies=0.2)
    told, untold = PhantomSource(PhantomConfig(**config)), PhantomSource(PhantomConfig(truth=False, **config))
    a, b = told.scan(), untold.scan()
    assert set(b.table) == {*BEFORE, "site"} and set(a.table) - set(b.table) == {
        "letter", "letter_by", "hospital_mark", "exposure", "person", "true_finding", "copy_of", "copy_how"}
    assert a.table[list(b.table)].equals(b.table)
    i = len(b.table) - 1                                                              # a copy is found without the column
    assert np.array_equal(told.at_size(i, 300), untold.at_size(i, 300))
    assert not b.notes and untold.title == "Phantom radiographs" and "wrong" not in untold.description


# ---- how much of what ----

def test_few_patients_with_many_images_and_rare_findings():
    table = truth_table(PhantomConfig(patients=5, studies=30, abnormal=0.1))
    assert (table.groupby("patient")["study"].nunique() == 30).all() and len(table) > 300
    assert 0.03 < abnormal(table).mean() < 0.2


@pytest.mark.parametrize("changes", [{}, {"studies": 7, "patients": 200}, {"copies": 0.3}])
def test_the_expected_number_of_images(changes):
    config = PhantomConfig(**changes)
    assert len(truth_table(config)) == pytest.approx(config.expected_images(), rel=0.03)


def test_parts_by_choice():
    for parts in (("wrist",), ("wrist", "elbow"), tuple(PARTS)):
        index = PhantomSource(PhantomConfig(patients=40, parts=parts)).scan()
        assert set(index.table["body_part"]) == set(parts)
        assert ("body_part" in index.targets) == (len(parts) > 1)
        if len(parts) > 1:
            target = index.targets["body_part"]
            assert target.class_names == parts and [parts[k] for k in target.labels] == list(index.table["body_part"])


def test_every_setting_with_limits_works_at_both_of_them():
    for name, ends in LIMITS.items():
        for value in ends:
            if name in ("patients", "longest"):
                continue
            assert len(truth_table(PhantomConfig(**{"patients": 3, name: value})))


def test_marker_masks_agree_with_the_picture():
    config = PhantomConfig(patients=2, markers=True)
    assert np.array_equal(marker_mask(0, 0, 0, 90, config), render_image(config, "P0000-S1-V1", 90).marker)
    assert marker_mask(0, 0, 0, 90, config).shape == render(0, 0, 0, 90, config)[0].shape
