"""A LIGHTBOX_HOME of the version before this layout still opens: its custom data set, its store, its runs,
what was marked, chosen and exported. home_before.tar.xz holds it (28 phantom patients at 28 px, a CNN of one
convolution), and beside it what that version said of it, on the same machine, before it was packed: the
answers here come from there.
"""

import csv
import io
import json
import tarfile
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.__main__ import main
from core.runs.store import RunStore

MAIN = Path(__file__).parents[1] / "pages" / "main.py"
CLOSE = {"rel": 1e-4, "abs": 1e-5}                  # another processor or torch may round a convolution otherwise
WORDS = ("notes", "alarms", "disagreements", "baselines", "findings")      # sentences may be put better


@pytest.fixture
def before(lightbox_home, tmp_path, monkeypatch) -> Path:
    """What the version before said; its home is this test's LIGHTBOX_HOME."""
    with tarfile.open(Path(__file__).with_name("home_before.tar.xz")) as packed:
        packed.extractall(tmp_path, filter="data")
    (tmp_path / "home" / "machine.json").write_bytes((lightbox_home / "machine.json").read_bytes())
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "expected"


def said(capsys, *words: str) -> str:
    assert main(list(words)) == 0
    return capsys.readouterr().out


def runs() -> list[str]:
    """The ids of the three runs, the oldest first."""
    return [run.id for run in RunStore().list()][::-1]


def same(new, old, path: str = "") -> None:
    """Every number and name that was there is there and equal; what came since may stand beside it."""
    if isinstance(old, dict):
        for key, value in old.items():
            if key not in WORDS:
                assert key in new, f"{path}.{key} is gone"
                same(new[key], value, f"{path}.{key}")
    elif isinstance(old, list):
        assert len(new) == len(old), path
        for k, (a, b) in enumerate(zip(new, old)):
            same(a, b, f"{path}[{k}]")
    elif isinstance(old, float):
        assert new == pytest.approx(old, **CLOSE), path
    elif "sentence" not in path and not path.endswith(("times_test_opened", ".interval", ".label", ".reason")):
        assert new == old, path


def test_runs_keep_their_states_names_notes_and_records(before):
    first, second, third = map(RunStore().get, runs())
    assert [str(run.status().state) for run in (first, second, third)] == ["finished", "finished", "stopped"]
    assert [run.name for run in (first, second, third)] == ["Old run", "Old run", "Stopped run"]
    assert first.notes().text == "A note from before." and set(first.notes().tags) == {"old", "lesson"}
    assert [record["epoch"] for record in first.records("epoch")] == [1, 2, 3, 4]
    assert first.times_test_opened() >= 1


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_run_is_evaluated_as_before(before, capsys, split):
    new = json.loads(said(capsys, "evaluate", runs()[0], "--split", split, "--json"))
    same(new, json.loads((before / f"evaluate_{split}.json").read_text()))


def test_two_runs_compare_as_before(before, capsys):
    first, second, _ = runs()
    same(json.loads(said(capsys, "compare", first, second, "--json")), json.loads((before / "compare.json").read_text()))


def test_marks_are_listed(before, capsys):
    rows = list(csv.reader(io.StringIO(said(capsys, "marks", "few-phantoms"))))
    assert any("P0000-S1-V1" in row and "looks healthy" in row for row in rows)


def test_a_run_and_an_exported_classifier_classify_as_before(before, capsys, monkeypatch):
    monkeypatch.setattr("core.runs.classifiers.SHIPPED", before.parent / "home" / "classifiers")
    old, = csv.DictReader((before / "predict.csv").open())
    for address in (runs()[0], "exported"):
        said(capsys, "predict", address, str(before / "one.png"), "--out", "new.csv")
        new, = csv.DictReader(Path("new.csv").open())
        if address != "exported":                # the threshold that was chosen on validation lies with the run
            assert new["predicted"] == old["predicted"]
        for name in ("prob_normal", "prob_abnormal"):
            assert float(new[name]) == pytest.approx(float(old[name]), abs=1e-5)


def test_a_stopped_run_goes_on_and_ends_as_it_would_have(before, capsys):
    """Its shuffles and augmentations follow from (seed, epoch, image), and its moments lie in the checkpoint."""
    run_id = runs()[2]
    said(capsys, "train", "--resume", run_id)
    run = RunStore().get(run_id)
    assert run.status().state == "finished"
    old, new = json.loads((before / "resumed_epochs.json").read_text()), run.records("epoch")
    assert [record["epoch"] for record in new] == [record["epoch"] for record in old] == [1, 2, 3, 4, 5, 6]
    for a, b in zip(new, old):
        same(a, b)


@pytest.mark.parametrize("page", ["start", "browse", "split", "runs", "evaluate", "errors", "gradcam", "compare", "classify"])
def test_pages_open_on_it(before, page):
    at = AppTest.from_file(str(MAIN), default_timeout=60).run()
    at.query_params.update(run=runs()[0], dataset="few-phantoms", split="val")
    at = at.switch_page(f"{page}/page.py").run()
    assert not at.exception, at.exception
