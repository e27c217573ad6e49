"""A set that is written and read back is the same set: pixels, labels, patients, splits, counts, masks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from core.datasets.folder import Folder
from core.datasets.formats import FORMATS, detect_format
from core.datasets.geometry import fit
from core.datasets.npz import Npz
from core.datasets.phantom import PhantomConfig, PhantomSource, export
from core.datasets.phantom.export import Plan
from core.datasets.phantom.source import render_image
from core.errors import LightboxError

CONFIG = PhantomConfig(patients=4, letters=0.5, hospital=0.5, wrong_labels=0.3, copies=0.2, abnormal=0.5)
SIZE = 72


@pytest.fixture(scope="module")
def truth():
    return PhantomSource(CONFIG).scan().table


def write(folder: Path, layout: str, **changes) -> Path:
    return export.export(Plan(CONFIG, layout, SIZE, **changes), folder)


def patients_and_counts(index, ids) -> list[tuple]:
    """(patient number, label, split) of each image in the order of `ids`, a list that maps rows to image ids."""
    target = next(iter(index.targets.values()))
    return [(int("".join(c for c in row.patient if c.isdigit())), target.class_names[label], ids[i])
            for i, (row, label) in enumerate(zip(index.table.itertuples(), target.labels))]


def expected(truth, label=lambda row: "normal" if row.finding == "none" else "abnormal") -> list[tuple]:
    return sorted((int(row.patient[1:]), label(row), row.image_id) for row in truth.itertuples())


def test_class_folders_read_back(tmp_path, truth):
    for target, split in (("abnormality", True), ("body_part", False)):
        folder = tmp_path / target
        opened = write(folder, "folders", target=target, split=split)
        source = Folder(opened)
        index = source.scan()
        paths = {job.image.removeprefix("images/"): job for job in Plan(CONFIG, "folders", SIZE, target, split).jobs()}
        ids = [paths[path].image_id for path in index.table["path"]]
        found = patients_and_counts(index, ids)
        assert sorted(found) == (expected(truth) if split else expected(truth, lambda row: row.body_part))
        splits = dict(zip(truth["image_id"], truth["split"]))
        assert list(index.table["split"]) == ([splits[i] for i in ids] if split else [""] * len(ids))
        studies = dict(zip(truth["image_id"], truth["study"]))
        assert len(set(zip(index.table["study"], map(studies.get, ids)))) == truth["study"].nunique()
        for i in (0, len(ids) - 1):
            shown = render_image(CONFIG, ids[i], SIZE)
            assert np.array_equal(source.original(i)[:, :, 0], shown.pixels)
            job = paths[index.table["path"][i]]
            for path, mask in ((job.mask, shown.mask), (job.marker, shown.marker)):
                assert np.array_equal(cv2.imread(str(folder / path), cv2.IMREAD_GRAYSCALE), 255 * mask.astype(np.uint8))
        assert not list(folder.rglob("*.part")) and not list(folder.glob(".*"))
        assert not folder.with_name(target + ".part").exists()


def test_npz_reads_back(tmp_path, truth):
    path = write(tmp_path / "set", "npz")
    assert detect_format(tmp_path / "set") == ("npz", path)
    source = Npz(path)
    index = source.scan()
    order = pd.concat([truth[truth["split"] == split] for split in ("train", "val", "test")])
    assert list(index.table["split"]) == list(order["split"])
    assert list(index.targets["label"].labels) == list((order["finding"] != "none").astype(int))
    arrays = np.load(path)
    for i in range(0, len(order), 5):
        shown = render_image(CONFIG, order["image_id"].iloc[i], SIZE)
        assert np.array_equal(source.original(i), fit(shown.pixels[:, :, None], SIZE))
    for split in ("train", "val", "test"):
        assert arrays[f"{split}_masks"].shape == arrays[f"{split}_images"].shape == arrays[f"{split}_markers"].shape
    which = int(np.flatnonzero(order["split"] == "train")[-1])
    shown = render_image(CONFIG, order["image_id"].iloc[which], SIZE)
    assert np.array_equal(arrays["train_masks"][which], fit(255 * shown.mask.astype(np.uint8)[:, :, None], SIZE)[:, :, 0] > 127)
    told = pd.read_csv(tmp_path / "set" / "truth" / "truth.csv", dtype=str, keep_default_na=False)
    assert told.set_index("image_id")["array"][order["image_id"].iloc[which]] == f"train_images[{which}]"
    assert not (tmp_path / "set" / "work").exists()


def test_mura_layout_is_read_as_mura(tmp_path, truth):
    opened = write(tmp_path / "set", "mura")
    kind, path = detect_format(tmp_path / "set")
    assert kind == "mura"
    source = FORMATS["mura"].build(path, FORMATS["mura"].options())
    index = source.scan()
    jobs = {job.image.removeprefix("MURA-v1.1/"): job for job in Plan(CONFIG, "mura", SIZE).jobs()}
    ids = [jobs[p].image_id for p in index.table["path"]]
    assert sorted(patients_and_counts(index, ids)) == expected(truth)
    rows = truth.set_index("image_id").loc[ids]
    assert list(index.table["body_part"]) == list(rows["body_part"])
    assert list(index.table["split"] == "test") == list(rows["split"] == "test")
    assert index.table["study"].nunique() == truth["study"].nunique()
    assert np.array_equal(source.original(3)[:, :, 0], render_image(CONFIG, ids[3], SIZE).pixels)
    assert "Phantom" in source.title and "Stanford" not in source.licence + source.description
    listed = (opened / "train_image_paths.csv").read_text().split() + (opened / "valid_image_paths.csv").read_text().split()
    assert sorted(p.removeprefix("MURA-v1.1/") for p in listed) == sorted(jobs)
    labels = dict(line.rsplit(",", 1) for s in ("train", "valid")
                  for line in (opened / f"{s}_labeled_studies.csv").read_text().split())
    assert len(labels) == truth["study"].nunique() and all(("positive" in k) == (v == "1") for k, v in labels.items())


def test_a_table_is_read_as_a_table(tmp_path, truth):
    opened = write(tmp_path / "set", "table")
    table = pd.read_csv(opened, dtype=str, keep_default_na=False)
    assert sorted(zip(table["patient"], table["label"], table["image_id"])) == \
        sorted((f"P{patient:04d}", label, name) for patient, label, name in expected(truth))
    pixels = cv2.imread(str(opened.parent / table["file"][7]), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(pixels, render_image(CONFIG, table["image_id"][7], SIZE).pixels)
    pytest.importorskip("core.datasets.table")
    kind, path = detect_format(tmp_path / "set")
    assert kind == "table" and path == opened
    source = FORMATS["table"].build(path, FORMATS["table"].options())
    index = source.scan()
    assert len(index.table) == len(truth) and list(index.table["patient"]) == list(truth["patient"])
    assert list(index.table["split"]) == list(truth["split"])
    target = next(iter(index.targets.values()))
    assert [target.class_names[k] for k in target.labels] == list(table["label"])
    assert np.array_equal(source.original(7)[:, :, 0], pixels)


def test_a_stopped_export_goes_on_and_ends_the_same(tmp_path):
    class Stop(Exception):
        pass

    def stop(sentence, done, total):
        if done == 5:
            raise Stop
    plan = Plan(PhantomConfig(patients=3), "table", 40)
    with pytest.raises(Stop):
        export.export(plan, tmp_path / "set", stop)
    made = list((tmp_path / "set.part" / "images").iterdir())
    assert len(made) == 5 and not (tmp_path / "set").exists()
    before = made[0].stat().st_mtime_ns
    export.export(plan, tmp_path / "set")
    assert (tmp_path / "set" / "images" / made[0].name).stat().st_mtime_ns == before          # not made again
    export.export(plan, tmp_path / "other")
    files = [{p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()}
             for name in ("set", "other")]
    assert files[0] == files[1]


def test_another_plan_begins_anew_and_what_is_not_ours_is_left_alone(tmp_path):
    first, second = (Plan(PhantomConfig(patients=1, seed=seed), "table", 40) for seed in (0, 1))
    with pytest.raises(ZeroDivisionError):
        export.export(first, tmp_path / "set", lambda sentence, done, total: 1 / (3 - done))
    export.export(second, tmp_path / "set")
    names = {p.stem for p in (tmp_path / "set" / "images").iterdir()}
    assert names == set(PhantomSource(second.config).scan().table["image_id"])
    with pytest.raises(LightboxError) as there:
        export.export(second, tmp_path / "set")
    assert there.value.code == "export.exists"
    (tmp_path / "mine.part").mkdir()
    (tmp_path / "mine.part" / "letter.txt").write_text("keep me")
    with pytest.raises(LightboxError):
        export.export(second, tmp_path / "mine")
    assert (tmp_path / "mine.part" / "letter.txt").read_text() == "keep me"


def test_many_are_written_by_processes_and_faults_come_back(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "MIN_FOR_WORKERS", 5)
    plan, said = Plan(PhantomConfig(patients=2), "folders", 40), []
    opened = export.export(plan, tmp_path / "set", lambda sentence, done, total: said.append((done, total)))
    assert said[-1][0] == said[-1][1] == len(plan.jobs()) == len(list(opened.rglob("*.png")))
    job = plan.jobs()[3]
    assert np.array_equal(cv2.imread(str(tmp_path / "set" / job.image), 0), render_image(plan.config, job.image_id, 40).pixels)
    with pytest.raises(LightboxError) as fault:
        part = tmp_path / "bad.part"
        part.mkdir()
        part.joinpath(export.PLAN).write_text(json.dumps(plan.to_json() | {"config": {"patients": -3}}))
        export.run_workers(["files", str(part)], "", 1, lambda *a: None)
    assert fault.value.code == "phantom.setting"


@pytest.mark.parametrize(("changes", "code"), [
    ({"layout": "dicom"}, "export.layout"), ({"size": 4}, "export.size"), ({"size": 100_000}, "export.size"),
    ({"target": "age"}, "export.target"), ({"config": PhantomConfig(patients=20_000)}, "export.too_many")])
def test_what_cannot_be_written_is_said_before_anything_is_made(tmp_path, monkeypatch, changes, code):
    monkeypatch.setattr(export, "MAX_IMAGES", 60)
    if "config" in changes:
        changes = {"config": PhantomConfig(patients=30)}
    with pytest.raises(LightboxError) as fault:
        export.export(Plan(**{"config": PhantomConfig(patients=1), "layout": "table", "size": 40} | changes), tmp_path / "set")
    assert fault.value.code == code and not list(tmp_path.iterdir())


def test_the_readme_tells_the_truth(tmp_path):
    config = PhantomConfig(patients=30, letters=0.8, wrong_labels=0.2, copies=0.1, two_numbers=0.5)
    text = export.readme(Plan(config, "table", 64))
    truth = export.truth_table(config)
    wrong = (truth["finding"] == "none") != (truth["true_finding"] == "none")
    assert f"{wrong.sum():,} images of" in text and f"{(truth['copy_of'] != '').sum()} images are copies" in text
    assert "7 people have more than one" not in text and "8 people have more than one patient ID" in text
    share = ((truth["letter"] == "R") == (truth["finding"] != "none")).mean()
    assert f"{share:.1%} of the images (strength 0.8)" in text and "- None." not in text
    assert "- None." in export.readme(Plan(PhantomConfig(patients=2), "mura", 64))


def test_the_command_line_writes_a_set(tmp_path):
    def phantom(*words):
        return subprocess.run([sys.executable, "-m", "core", "phantom", *words], capture_output=True, text=True)
    done = phantom(str(tmp_path / "set"), "--layout", "npz", "--size", "32", "--set", "patients=2", "--set", "letters=1",
                   "--set", "parts=wrist,elbow")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "set" / "phantom.npz")
    assert Npz(Path(done.stdout.strip())).shape == (32, 32, 1)
    wrong = phantom(str(tmp_path / "x"), "--layout", "npz", "--set", "letters=7")
    assert wrong.returncode == 2 and "letters" in wrong.stderr and not (tmp_path / "x").exists()
