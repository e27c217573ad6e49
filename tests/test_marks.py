"""Marks of images: kept for each set, nobody's lost when several write, exported as CSV."""

import csv
import io
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core import __main__
from core.errors import LightboxError
from core.runs.marks import COLUMNS, NOTE_LENGTH, Mark, marks_csv, marks_file, put_mark, read_marks

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    return tmp_path


def test_kind_and_note_are_kept_apart_and_taken_away():
    put_mark("knee", "a.png", "unclear")
    put_mark("knee", "a.png", note="  blurred ")
    mark = read_marks("knee")["a.png"]
    assert (mark.kind, mark.note) == ("unclear", "blurred") and mark.changed > 1e9
    put_mark("knee", "a.png", "mislabelled")
    assert read_marks("knee")["a.png"].note == "blurred"
    put_mark("knee", "a.png", "")
    assert read_marks("knee")["a.png"].kind == "", "a note alone stays"
    put_mark("knee", "a.png", note="")
    assert read_marks("knee") == {}


def test_each_set_has_its_own_whatever_its_name(home):
    names = ["knee", "/data/knee", "/other/knee", "../knee", "kn\u00e9e/"]
    for i, name in enumerate(names):
        put_mark(name, "x", note=str(i))
    assert [read_marks(name)["x"].note for name in names] == list("01234")
    assert {path.parent for path in home.rglob("*.json")} == {home / "marks"}
    assert read_marks("never") == {}


def test_two_processes_that_mark_at_the_same_time_lose_nothing(home):
    """Threads and another process, thirty marks each, on the same file."""
    program = "from core.runs.marks import put_mark\nfor i in range(30): put_mark('knee', f'other-{i}', 'unclear')"
    other = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda i: put_mark("knee", f"mine-{i}", "interesting"), range(30)))
    assert other.wait(60) == 0
    assert set(read_marks("knee")) == {f"{who}-{i}" for who in ("mine", "other") for i in range(30)}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"marks": 3}', '{"marks": {"a": {"kind": "unclear"}}}'])
def test_a_damaged_file_is_said_and_never_written_over(text):
    put_mark("knee", "a", "unclear")
    path = marks_file("knee")
    path.write_text(text)
    for work in (lambda: read_marks("knee"), lambda: put_mark("knee", "b", "unclear")):
        with pytest.raises(LightboxError) as error:
            work()
        assert error.value.code == "marks.damaged"
    assert path.read_text() == text


def test_what_is_no_mark_is_refused():
    with pytest.raises(LightboxError) as refused:
        put_mark("knee", "a", "wrong")
    assert refused.value.code == "marks.kind"
    with pytest.raises(LightboxError, match="501"):
        put_mark("knee", "a", note="x" * 501)
    assert read_marks("knee") == {}


def test_the_table_reads_back_and_starts_no_formula(tmp_path, capsys):
    put_mark("knee", 'a "1", b', "unclear", "two\nlines, and a comma")
    put_mark("knee", "=cmd()", note="=1+1")
    rows = list(csv.DictReader(io.StringIO(marks_csv("knee"))))
    assert tuple(rows[0]) == COLUMNS and rows[0]["image_id"] == 'a "1", b' and rows[0]["note"] == "two\nlines, and a comma"
    assert rows[0]["mark"] == "unclear" and rows[1]["mark"] == "" and rows[0]["changed"].endswith("Z")
    assert rows[1]["image_id"] == "'=cmd()" and rows[1]["note"] == "'=1+1"
    assert __main__.main(["marks", "knee"]) == 0
    assert list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline=""))) == rows
    assert __main__.main(["marks", "knee", "--out", str(tmp_path / "m.csv")]) == 0
    assert list(csv.DictReader(open(tmp_path / "m.csv", newline=""))) == rows
    assert "2 marks" in capsys.readouterr().err
    assert __main__.main(["marks", "nothing-here"]) == 2 and "no marks" in capsys.readouterr().err


def test_the_file_says_whose_marks_they_are():
    put_mark("/data/knee", "a", "unclear")
    stored = json.loads(marks_file("/data/knee").read_text())
    assert stored["dataset"] == "/data/knee" and Mark(**stored["marks"]["a"]).kind == "unclear"


def test_the_time_of_a_mark_is_told_in_utc_wherever_one_is(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        monkeypatch.setattr("core.runs.marks.time.time", lambda: 86_400 * 365.0)
        put_mark("knee", "a.png", "unclear", "x" * NOTE_LENGTH)                 # as long as a note may be
        assert marks_csv("knee").splitlines()[1].endswith(",1971-01-01T00:00:00Z")
    finally:
        monkeypatch.undo()
        time.tzset()
    with pytest.raises(LightboxError, match="501 characters"):
        put_mark("knee", "a.png", note="x" * (NOTE_LENGTH + 1))
