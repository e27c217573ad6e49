"""kill -9 of the trainer at random moments: the same final weights as an unbroken run, no finished epoch lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(2700)])])
def test_killed_runs_end_as_if_nothing_had_happened(tmp_path, kills):
    answer = subprocess.run([sys.executable, "-m", "tests.kill_campaign", str(tmp_path), str(kills), "7"], text=True,
                            capture_output=True, cwd=Path(__file__).parents[1], env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert answer.returncode == 0, answer.stderr[-3000:]
    found = json.loads(answer.stdout.strip().splitlines()[-1])
    print(found)
    assert found["kills"] == kills and found["killed_while"].get("running", 0) > kills // 4
    assert (found["lost_epochs"], found["corrupt"], found["different"]) == (0, 0, 0), found
