"""Hostile files are dropped on Classify: each is pixels or a sentence, and the server reads the next one."""

import os
import signal
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.conftest import REAL
from tests.hostile.dicom import dicom
from tests.hostile.images import chunk, png_of
from tests.hostile.material import png

GIVEN = REAL.parent / "cases" / "hostile"
KINDS = {      # name -> bytes; what is made here, so that nothing need be there
    "bomb.png": png_of(60_000, 60_000, chunk(b"IDAT", b"")),
    "gigabytes.png": png_of(5000, 5000, chunk(b"IDAT", zlib.compress(bytes(1000))), depth=16, colour=6),
    "damaged.png": png()[:40] + b"x" + png()[41:],
    "endless.tif": b"II*\0" + struct.pack("<IHHHIII", 8, 1, 256, 4, 1, 9, 8),
    "lies.dcm": dicom(rows=500),
    "noise.jpg": b"\xff\xd8\xff" + np.random.default_rng(0).bytes(5000),
    "words.png": b"<script>alert(1)</script>",
    "empty.png": b"",
}


@pytest.fixture(scope="module")
def drops(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("drops")
    for name, content in KINDS.items():
        (folder / name).write_bytes(content)
    return [*sorted(folder.iterdir()), *(sorted(GIVEN.iterdir()) if GIVEN.is_dir() else [])]


def drop(page, path: Path) -> None:
    """Drop a file and wait until it is classified or refused."""
    page.goto(page.url.split("?")[0])
    expect(page.locator("input[type=file]")).to_be_attached()
    page.locator("input[type=file]").set_input_files(str(path))
    expect(page.get_by_role("alert").or_(page.get_by_text("Preprocessing")).first).to_be_visible(timeout=60_000)


def workers_of(server: int) -> list[int]:
    found = []
    for process in filter(str.isdecimal, os.listdir("/proc")):
        try:
            parent = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
            if parent == server and b"core.decoding.worker" in Path(f"/proc/{process}/cmdline").read_bytes():
                found.append(int(process))
        except OSError:
            continue
    return found


@pytest.mark.slow      # one file after the other
def test_each_hostile_file_is_answered_and_the_server_lives(page, app, drops, tmp_path):
    good = tmp_path / "good.png"
    good.write_bytes(png(120, (64, 64)))
    page.goto(f"{app.url}/classify")
    for path in drops:
        drop(page, path)
    drop(page, good)
    expect(page.get_by_text("Preprocessing")).to_be_visible()
    for worker in workers_of(app.pid):                 # whatever ends it, the next file has another
        os.kill(worker, signal.SIGSEGV)
    drop(page, good)
    expect(page.get_by_text("Preprocessing")).to_be_visible()
    assert workers_of(app.pid) and "Traceback" not in app.log.read_text(errors="replace")
