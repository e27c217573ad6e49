"""Every program in bench/ runs with --quick and prints its figures, so that what docs/figures.md quotes can be measured again."""

import os
import re
import subprocess
import sys

import pytest

from tests.browser_support import ROOT

# program -> what its figures look like, and how many such lines at least
FIGURES = {
    "app": (r"\d+\.\d\d s \(", 20),
    "augment": (r"x \d+\.\d$", 4),
    "data": (r"\d", 8),
    "decoding": (r" ms +\d+ ms$", 3),
    "ensembles": (r"\d s are computed$", 16),
    "explain": (r"\d+\.\d\d", 10),
    "frozen": (r"times less", 2),
    "intervals": (r"\d+\.\d$", 3),
    "load": (r"( +\d+){11}$", 6),
    "machine": (r"Python 3", 1),
    "readers": (r"\d\.\d{3}.*; \d\.\d{3}", 8),
    "results": (r"\(sd", 3),
    "scale": (r"\d+\.\d\d s \(", 6),
    "screenshots": (r"\d bytes", 14),
    "training": (r"images/s", 6),                     # fastai and lightning need not be there
}
PARTS = {"__init__", "browser", "rivals"}            # programs import these
BROWSER = {"app", "scale", "screenshots"}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("program", FIGURES)
def test_it_runs_and_prints_its_figures(program, tmp_path, request):
    if program in BROWSER:
        request.getfixturevalue("browser")           # says what to install where there is none
    quick = [] if program == "machine" else ["--quick"]
    done = subprocess.run([sys.executable, "-m", f"bench.{program}", *quick], cwd=ROOT, capture_output=True, text=True,
                          env=os.environ | {"LIGHTBOX_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    pattern, least = FIGURES[program]
    lines = [line for line in done.stdout.splitlines() if re.search(pattern, line)]
    assert len(lines) >= least, done.stdout


def test_every_program_is_tried():
    assert {path.stem for path in (ROOT / "bench").glob("*.py")} == set(FIGURES) | PARTS
