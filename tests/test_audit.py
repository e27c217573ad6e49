"""The audit: leaks counted as in the published lists, planted copies found and no others, totals and tests as elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from core.audit import audit, image_level, imbalance, overlaps
from core.audit.imbalance import chi_square
from core.audit.official import MURA, unofficial_medmnist, unofficial_mura
from core.config import DataConfig
from core.datasets import open_dataset
from core.datasets.inspection.duplicates import BITS, PixelSummary, candidates, perceptual_hash
from core.datasets.inspection.outliers import robust_z
from core.datasets.phantom import PhantomConfig, render
from core.datasets.phantom.source import image_table, parse_image_id
from core.datasets.splits import make_split
from core.metrics.table_check.totals import check_totals

ROOT = Path(__file__).parents[1]


# --------------------------------------------------------------------------------------------------- patients on both sides

@pytest.fixture(scope="module")
def mura(real_data) -> pd.DataFrame:
    """The lists that come with MURA as a table, read here by a rule of one line."""
    lines = [line for part in ("train", "valid") for line in
             (real_data / "mura_paths" / f"{part}_image_paths.csv").read_text().splitlines()[1:]]
    parts = pd.Series(lines).str.split("/", expand=True)
    return pd.DataFrame({"image_id": lines, "patient": parts[3], "study": parts[2] + "/" + parts[4], "part": parts[2],
                         "split": np.where(parts[1] == "train", "train", "test"),
                         "abnormal": parts[4].str.endswith("positive").astype(int)})


def test_70_10_20_by_image_of_mura_s_negatives_leaks_as_known(mura):
    """88.27 % of test, 88.25 % of validation, 86.6 % by study: means of 200 random splits that others made of the same lists."""
    table = mura[(mura["abnormal"] == 0) & mura["part"].isin(["XR_ELBOW", "XR_SHOULDER", "XR_WRIST"])
                 & (mura["split"] == "train")].assign(split="").reset_index(drop=True)
    assert len(table) == 12_901 and table["patient"].nunique() == 4258
    labels = table["part"].factorize()[0]
    names = ("elbow", "shoulder", "wrist")
    found = []
    for seed in range(6):
        data = DataConfig(split="image", val_fraction=0.1, test_fraction=0.2, split_seed=seed)
        found.append(overlaps(table, make_split(table, labels, names, data).split))
    assert np.mean([f["test"].patient_share for f in found]) == pytest.approx(0.8827, abs=0.005)
    assert np.mean([f["val"].patient_share for f in found]) == pytest.approx(0.8825, abs=0.008)
    assert np.mean([f["test"].study_share for f in found]) == pytest.approx(0.866, abs=0.005)
    by_patient = make_split(table, labels, names, DataConfig(split="patient", val_fraction=0.1, test_fraction=0.2))
    clean = overlaps(table, by_patient.split)
    assert clean["test"].patients == clean["val"].patients == clean["test"].studies == 0
    beside = overlaps(table, image_level(labels, by_patient.split, DataConfig(val_fraction=0.1, test_fraction=0.2)))
    assert beside["test"].patient_share == pytest.approx(0.8827, abs=0.012), "what the page shows beside it"


def test_10_percent_of_mura_s_training_images_leak_as_known(mura):
    """96.0 % share a patient, 94.4 % a study; the official test part shares none and stays as it is."""
    data = DataConfig(split="image", val_fraction=0.1, test_fraction=0)
    split = make_split(mura, mura["abnormal"].to_numpy(), ("normal", "abnormal"), data).split
    found = overlaps(mura, split)
    assert found["val"].patient_share == pytest.approx(0.960, abs=0.006)
    assert found["val"].study_share == pytest.approx(0.944, abs=0.006)
    assert (found["test"].n, found["test"].patients) == (3197, 0)


def test_a_small_overlap_is_counted_by_hand():
    table = pd.DataFrame({"image_id": list("abcdef"), "patient": ["p", "p", "q", "q", "r", ""],
                          "study": ["1", "2", "1", "1", "1", ""]})
    found = overlaps(table, np.array(["train", "val", "train", "val", "val", "val"], dtype=object))["val"]
    assert (found.n, found.patients, found.studies) == (4, 2, 1)
    unknown = overlaps(table.assign(patient="", study=""), np.array(["train"] * 3 + ["test"] * 3, dtype=object))["test"]
    assert unknown.patients is unknown.patient_share is unknown.study_share is None


# --------------------------------------------------------------------------------------------------------------- planted copies

HOW = {"jpeg": lambda x: cv2.imdecode(cv2.imencode(".jpg", x, [cv2.IMWRITE_JPEG_QUALITY, 70])[1], 0),
       "brighter": lambda x: np.clip(x * 1.1 + 12, 0, 255).astype(np.uint8),
       "smaller": lambda x: cv2.resize(x, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA),
       "cropped": lambda x: x[3:-4, 4:-3], "mirrored": lambda x: x[:, ::-1]}


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> tuple[Path, dict[tuple[str, str], str]]:
    """300 phantom images in class folders, with 5 exact and 20 changed copies under new names and patients, a blank, a dark and
    a tiny image. Returns the folder and {(file, file): how}."""
    folder, truth = tmp_path_factory.mktemp("planted") / "set", {}
    config = PhantomConfig(seed=5, patients=60)
    table, rng = image_table(config).iloc[:300], np.random.default_rng(0)
    images = {}
    for row in table.to_dict("records"):
        name = f"{'normal' if row['finding'] == 'none' else 'abnormal'}/{row['patient']}_{row['image_id'][6:]}.png"
        images[name] = render(*parse_image_id(row["image_id"]), size=192, config=config)[0]
    kinds = ["exact"] * 5 + list(HOW) * 4
    for k, (source, kind) in enumerate(zip(rng.choice(list(images), len(kinds), replace=False).tolist(), kinds)):
        copy = f"{'abnormal' if k % 2 else 'normal'}/Q{k:04d}_copy.png"
        images[copy] = images[source].copy() if kind == "exact" else np.ascontiguousarray(HOW[kind](images[source]))
        truth[tuple(sorted((source, copy)))] = kind
    images["normal/blank.png"] = np.full((192, 160), 90, np.uint8)
    images["normal/tiny.png"] = rng.integers(0, 255, (20, 24), np.uint8)
    for name, image in images.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), image)
    return folder, truth


@pytest.fixture(scope="module")
def found(planted, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_HOME", str(tmp_path_factory.mktemp("home")))
        data = open_dataset(DataConfig(str(planted[0]), size=64, split="image"))
        phases = []
        return data, audit(data, lambda phase, done, total: phases.append((phase, done, total))), phases


def test_exactly_the_planted_copies_are_found(planted, found):
    data, result, phases = found
    paths = data.table["path"].to_numpy()
    pairs = {tuple(sorted((paths[p.a], paths[p.b]))): p for p in result.duplicates}
    assert set(pairs) == set(planted[1]), "all of them, and no other"
    for names, how in planted[1].items():
        assert (pairs[names].kind == "exact") == (how == "exact") and pairs[names].mirrored == (how == "mirrored")
    assert {phase for phase, *_ in phases} == {"Reading the images", "Comparing equal images", "Comparing all pairs",
                                               "Comparing likely duplicates"}


def test_copies_are_counted_in_the_parts_where_they_lie(planted, found):
    data, result, _ = found
    split = dict(zip(data.table["path"], data.table["split"]))
    for part in ("val", "test"):
        for kind in ("exact", "near"):
            expected = {name for names, how in planted[1].items() if (how == "exact") == (kind == "exact")
                        and split[names[0]] != split[names[1]] for name in names if split[name] == part}
            key = "exact_duplicates" if kind == "exact" else "near_duplicates"
            assert result.to_json()[part][key] == len(expected)
    labels = dict(zip(data.table["path"], data.labels))
    assert sum(map(result.contradicts, result.duplicates)) == sum(labels[a] != labels[b] for a, b in planted[1])
    across = [result.crosses(p) for p in result.duplicates]
    assert across == sorted(across, reverse=True) and any(across), "those across parts come first"


def test_blank_and_tiny_images_are_odd(found):
    data, result, _ = found
    paths = data.table["path"].to_numpy()
    kinds = {paths[o.row]: o.kind for o in result.outliers}
    assert kinds["normal/blank.png"] == "blank" and kinds["normal/tiny.png"] == "tiny" and len(kinds) <= 4


def test_json_is_plain_and_says_null_where_nothing_is_known(found):
    text = json.dumps(found[1].to_json(), allow_nan=False)
    assert json.loads(text)["val"].keys() >= {"n", "patients_shared_with_train", "studies_shared_with_train", "exact_duplicates",
                                             "near_duplicates"}


def test_the_search_can_be_stopped(planted, found):
    class Stop(Exception):
        pass

    def stop(phase, done, total):
        if phase == "Comparing likely duplicates":
            raise Stop
    with pytest.raises(Stop):
        audit(found[0], stop)


def test_the_command_line_prints_the_audit(planted, lightbox_home):
    answer = subprocess.run([sys.executable, "-m", "core", "audit", str(planted[0]), "--set", "data.split=image", "--set",
                             "data.size=64", "--json"], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr[-2000:]
    facts = json.loads(answer.stdout)
    assert len(facts["duplicates"]) == len(planted[1]) and facts["val"]["n"] + facts["test"]["n"] + facts["n"]["train"] == 327
    refused = subprocess.run([sys.executable, "-m", "core", "audit", "phantom", "--set", "optim.lr=1"], cwd=ROOT,
                             capture_output=True, text=True)
    assert refused.returncode == 2 and "no setting of the data" in refused.stderr


def test_candidates_are_those_of_a_plain_loop():
    rng = np.random.default_rng(0)
    images = [cv2.GaussianBlur(rng.random((64, 64)).astype(np.float32), (0, 0), 4) * 255 for _ in range(60)]
    images += [image[:, ::-1] for image in images[:5]] + [image + rng.normal(0, 0.5, image.shape) for image in images[5:9]]
    pairs = [perceptual_hash(image) for image in images]
    hashes, mirrored = (np.stack([p[k] for p in pairs]) for k in (0, 1))
    summary = PixelSummary(np.zeros(len(images), "V16"), hashes, mirrored, np.zeros(1), np.zeros(1))

    def bits(word):
        return np.unpackbits(word.view(np.uint8))[:BITS]
    expected = {}
    for a in range(len(images)):
        for b in range(a + 1, len(images)):
            for mirrored in (0, 1):
                d = int((bits(pairs[a][0]) != bits(pairs[b][mirrored])).sum())
                if d <= 22 and d < expected.get((a, b), (99,))[0]:
                    expected[a, b] = d, bool(mirrored)
    got, complete = candidates(summary)
    assert {(p.a, p.b): (p.distance, p.mirrored) for p in got} == expected and len(expected) >= 9 and complete
    few, complete = candidates(summary, most=5)
    assert len(few) <= 5 and not complete


def test_40_000_images_are_compared_in_flat_memory():
    import tracemalloc
    rng = np.random.default_rng(0)
    n = 8000                                                     # a twenty-fifth of the pairs of 40,000
    hashes = rng.integers(0, 2**63, (n, 2), np.uint64)
    summary = PixelSummary(np.zeros(n, "V16"), hashes, ~hashes, np.zeros(n), np.zeros(n))
    tracemalloc.start()
    began = time.process_time()
    candidates(summary)
    seconds, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds * 25 < 100 and peak < 150e6, f"{seconds:.2f} s, {peak / 1e6:.0f} MB"


# ------------------------------------------------------------------------------------------------------------- counts and tables

@pytest.mark.parametrize("counts", [[[10, 20], [30, 5]], [[5, 9, 4], [8, 8, 8]], [[100, 30, 40], [20, 50, 60], [7, 9, 12]],
                                    [[50, 50], [50, 50]], [[1000, 3, 5], [20, 1, 900], [1, 2, 3], [4, 4, 4]]])
def test_chi_square_is_that_of_scipy(counts):
    stats = pytest.importorskip("scipy.stats")
    expected = stats.chi2_contingency(counts, correction=False)
    chi2, dof, p = chi_square(np.array(counts))
    assert dof == expected.dof and chi2 == pytest.approx(expected.statistic)
    assert p == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-300)


def test_cramers_v_is_0_for_like_shares_and_1_for_parts_of_one_class():
    even = imbalance(np.tile([0, 0, 1], 100), np.repeat(["train", "val"], 150).astype(object), ("a", "b"))
    assert even.cramers_v == 0 and even.majority_share == pytest.approx(2 / 3) and "right for 66.7 %" in even.sentence
    apart = imbalance(np.repeat([0, 1], 50), np.repeat(["train", "test"], 50).astype(object), ("a", "b"))
    assert apart.cramers_v == pytest.approx(1) and "quite different" in apart.sentence
    alike = imbalance(np.tile([0, 1], 60), np.repeat(["train", "val", "test"], 40).astype(object), ("a", "b"))
    assert alike.cramers_v == 0 and "nearly the same" in alike.sentence


R000 = """| Split | Train | Val | Test | Total |
|---|---|---|---|---|
| Elbow | 2048 | 292 | 585 | 2925 |
| Shoulder | 2948 | 421 | 842 | 4211 |
| Wrist | 4036 | 576 | 1153 | 5765 |
| Total | 9032 | 1289 | 2580 | {total} |"""


@pytest.mark.parametrize("text", [R000.format(total="12941"), R000.format(total="**12,941**"),
                                  R000.format(total="12941").replace("|---|---|---|---|---|\n", "").replace(" | ", "\t")
                                  .replace("| ", "").replace(" |", ""),
                                  R000.format(total="12941").replace("|---|---|---|---|---|\n", "").replace(" | ", ",")
                                  .replace("| ", "").replace(" |", "")])
def test_the_total_that_report_r000_prints_is_wrong(text):
    wrong, checked = check_totals(text)
    assert {(w.where, w.printed, w.summed) for w in wrong} == {("Row Total", 12941, 12901), ("Column Total", 12941, 12901)}
    assert checked == 8
    assert "12,941" in str(wrong[0]) and "12,901" in str(wrong[0])


def test_right_totals_and_no_totals_are_told_apart():
    assert check_totals(R000.format(total="12901")) == ((), 8)
    assert check_totals("a b\n1 2") == check_totals("") == check_totals("<script>\n\x00") == ((), 0)
    assert check_totals("A\t3\nB\t4\nSum\t8")[0][0].summed == 7


def test_mura_s_counts_are_those_of_its_lists(mura):
    assert sum(sum(n[:2]) for n in MURA.values()) == 36_808 and sum(sum(n[2:]) for n in MURA.values()) == 3_197
    table = pd.DataFrame({"body_part": mura["part"].str[3:].str.lower(),
                          "label": np.where(mura["abnormal"] == 1, "abnormal", "normal")})
    assert unofficial_mura(table, mura["split"].to_numpy()) == []
    less = table.iloc[1:]
    assert unofficial_mura(less, mura["split"].to_numpy()[1:]) == [
        "The shoulder has 4,167 abnormal training images (MURA v1.1: 4,168)."]


def test_other_counts_than_medmnist_s_are_said():
    assert unofficial_medmnist({"train": 546, "val": 78, "test": 150}, {"train": 546, "val": 78, "test": 156}, "BreastMNIST") == [
        "There are 150 test images; the official BreastMNIST has 156."]


def test_robust_z_is_not_stretched_by_what_is_odd():
    values = np.r_[np.random.default_rng(0).normal(100, 10, 1000), [400, 900]]
    z = robust_z(values, 1)
    assert np.std(z[:1000]) == pytest.approx(1, abs=0.08) and (np.abs(z) > 6).sum() == 2


def test_real_copies_are_found_in_chest_films(real_data):
    """Files of one test folder; two pairs are the same to the byte, as a hash of the files says."""
    import hashlib
    folder = real_data / "chest_pneumonia" / "test"
    digests = pd.Series({f.name: hashlib.md5(f.read_bytes()).hexdigest() for f in sorted(folder.rglob("*.jpeg"))})
    same = {tuple(sorted(group.index)) for _, group in digests.groupby(digests) if len(group) > 1}
    result = audit(data := open_dataset(DataConfig(str(folder), size=64)))
    names = data.table["path"].str.rpartition("/")[2]
    assert {tuple(sorted((names[p.a], names[p.b]))) for p in result.duplicates} == same and len(same) >= 2


def test_a_split_that_ignores_patients_already_is_what_it_is_compared_with():
    rng = np.random.default_rng(0)
    split, labels = rng.choice(["train", "val", "test"], 200), rng.integers(0, 2, 200)
    assert (image_level(labels, split, DataConfig(split="image")) == split).all()
    assert (image_level(labels, split, DataConfig(split="patient")) != split).any()
