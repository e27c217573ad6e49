"""Every broken or hostile input is answered by one clear sentence, in time, in little memory, and leaves no trace elsewhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile import CASES

SECONDS = 2.0     # of work, of this process and its children: what a machine at rest needs by the clock
PATIENCE = 10.0   # by the clock, while other programs are busy too
MEMORY = 700      # MB, of the process as a whole


def listing(root: Path) -> list[tuple]:
    """Everything below a folder except LIGHTBOX_HOME: path, kind, size and time of change."""
    found = []
    for folder, folders, files in os.walk(os.fsencode(root)):
        folders[:] = [f for f in folders if os.path.join(folder, f) != os.fsencode(root / "home")]
        for name in (*folders, *files):
            facts = os.lstat(os.path.join(folder, name))
            found.append((os.path.join(folder, name), facts.st_mode, facts.st_size, facts.st_mtime_ns))
    return sorted(found)


@pytest.fixture(scope="module")
def opened(tmp_path_factory) -> dict:
    """All inputs opened one after the other in one process, and the folders around before and after."""
    root = tmp_path_factory.mktemp("hostile")
    for name in ("home", "tmp", "user", "cwd"):
        (root / name).mkdir()
    repository = Path(__file__).parents[1]
    environment = os.environ | {"LIGHTBOX_HOME": str(root / "home"), "TMPDIR": str(root / "tmp"), "HOME": str(root / "user"),
                                "PYTHONPATH": str(repository), "PYTHONWARNINGS": "ignore", "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen([sys.executable, "-m", "tests.hostile", str(root)], cwd=root / "cwd", env=environment, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    made = process.stdout.readline()
    before = listing(root)
    out, errors = process.communicate("go\n", timeout=300)
    results = [json.loads(line) for line in out.splitlines()]
    return {"made": made, "results": {r["name"]: r for r in results}, "errors": errors, "returncode": process.returncode,
            "before": before, "after": listing(root)}


def test_the_process_survives_all_of_them(opened):
    last = list(opened["results"])[-1:] or ["none"]
    assert opened["returncode"] == 0, f"it died after {last[0]}: {opened['errors'][-2000:]}"
    assert len(CASES) >= 60 and set(opened["results"]) == set(CASES)
    assert "Traceback" not in opened["errors"], opened["errors"][-2000:]


@pytest.mark.parametrize("name", CASES)
def test_one_clear_sentence_in_time(opened, name):
    result, expected = opened["results"][name], CASES[name].expected
    assert result["code"] in expected, result
    assert result["cpu"] <= SECONDS and result["seconds"] <= PATIENCE and result["peak_mb"] <= MEMORY, result
    if result["code"] != "works":
        said = result["said"]
        assert said.endswith(".") and 20 < len(said) < 700 and "Traceback" not in said and "\n" not in said.strip(), said


def test_nothing_outside_the_folder_of_the_app_is_written(opened):
    assert opened["before"] == opened["after"]
    assert not Path("/tmp/lightbox-escaped.png").exists()


def test_a_listing_sees_what_was_written(tmp_path):
    """The check above would notice a file, a change and a link."""
    (tmp_path / "a").write_text("x")
    first = listing(tmp_path)
    (tmp_path / "b").symlink_to("a")
    assert listing(tmp_path) != first
