"""kill -9 of the trainer at random moments: the same final weights as an unbroken run, no finished epoch lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(2700)])])
def test_killed_runs_end_as_if_nothing_had_happened(tmp_path, kills):
    """In two campaigns beside each other where there are many kills: a killed trainer leaves a core idle half of the time."""
    each = [kills // 2] * 2 if kills > 10 else [kills]      # of low priority: other tests run beside them
    campaigns = [subprocess.Popen([sys.executable, "-m", "tests.kill_campaign", str(tmp_path / str(seed)), str(n), str(seed)],
                                  text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parents[1],
                                  env={**os.environ, "OMP_NUM_THREADS": "1"}) for seed, n in enumerate(each, 7)]
    for campaign, n in zip(campaigns, each):
        out, errors = campaign.communicate()
        assert campaign.returncode == 0, errors[-3000:]
        found = json.loads(out.strip().splitlines()[-1])
        print(found)
        assert found["kills"] == n and found["killed_while"].get("running", 0) > n // 4
        assert (found["lost_epochs"], found["corrupt"], found["different"]) == (0, 0, 0), found
