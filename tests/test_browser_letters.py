"""The lesson of the letter, clicked through: a network that reads a lead letter, and one that never saw one.

Both are trained here, on the wrists of fifty phantom patients. On its own validation images the first is right every time.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.config import RunConfig
from core.datasets.custom import CustomDataset, save_custom_dataset
from core.runs.recipes import apply
from core.runs.store import Run, RunStore
from core.worker import queue_worker
from tests.browser_support import ROOT, serve, wait_idle
from tests.judged import CPU

SETS = {"letters": ({"letters": 1.0}, 5), "plain": ({}, 10)}              # what is wrong with the set, and epochs
SHARE = re.compile(r"(\d+) % of the heat lies there, ([\d.]+) times")
NUMBERS = re.compile(r"(?:accuracy|ROC AUC) is ([\d.]+) where the letter matches the label, ([\d.]+) where it contradicts it")


@pytest.fixture(scope="module")
def lesson(tmp_path_factory):
    """A server with the two runs: (its address, {name: run})."""
    folder = tmp_path_factory.mktemp("letters")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_HOME", str(folder / "lightbox"))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setattr("core.runs.store.machine", lambda: CPU)
        runs = {name: _train(name, reading, epochs, folder / "lightbox") for name, (reading, epochs) in SETS.items()}
    with serve(ROOT / "app.py", folder, "--server.headless", "true", OMP_NUM_THREADS="1") as server:
        yield server.url, runs


def _train(name: str, reading: dict, epochs: int, home: Path) -> Run:
    """The quick recipe, in this process."""
    save_custom_dataset(CustomDataset(name, name, "phantom", "", {"patients": 50, "parts": ["wrist"]} | reading))
    config = apply(RunConfig().with_(**{"data.dataset": name}), "quick").with_(**{
        "train.epochs": epochs, "train.threads": 1, "train.precision": "float32", "train.device": "cpu", "name": name})
    store = RunStore(home)
    run = store.create(config)
    store.queue.claim("cpu")
    queue_worker.train_run(run, home)
    assert run.status().state == "finished", run.log()
    return run


def press(page: Page, label: str) -> None:
    page.get_by_role("button", name=label).click()
    expect(page.get_by_role("button", name=label)).to_have_count(0)
    wait_idle(page, 120_000)


@pytest.mark.slow                 # it trains two networks
@pytest.mark.timeout(600)
def test_a_network_that_reads_the_letter_is_found_out_and_one_without_letters_is_not(lesson, page):
    url, runs = lesson
    page.goto(f"{url}/evaluate?run={runs['letters'].id}")
    accuracy = page.get_by_test_id("stMetric").filter(has_text="Accuracy").first
    expect(accuracy).to_contain_text(re.compile(r"1\.000|0\.9\d\d"))                   # as good as it can look
    page.goto(f"{url}/gradcam?run={runs['letters'].id}&true=1&predicted=all&target=1")
    wait_idle(page, 60_000)

    press(page, "Run the sanity checks")
    said = page.get_by_test_id("stAlert").filter(has_text="They point at the letters")
    share, times = SHARE.search(said.inner_text()).groups()
    assert int(share) >= 10 and float(times) >= 2                                        # map energy on the letter
    for title in ("Randomised weights", "Deletion and insertion", "Where the heat lies"):
        expect(page.get_by_text(title)).to_be_visible()

    press(page, "Run the shortcut test")
    said = page.get_by_test_id("stAlert").filter(has_text="This network relies on the letter")
    agrees, contrary = map(float, NUMBERS.search(said.inner_text()).groups())
    assert agrees >= 0.9 and contrary <= 0.2                                             # collapse on the conflict set

    page.goto(f"{url}/gradcam?run={runs['plain'].id}&true=1&predicted=all&target=1")
    press(page, "Run the shortcut test")
    said = page.get_by_test_id("stAlert").filter(has_text="This network does not rely on the letter")
    assert NUMBERS.search(said.inner_text()) and "relies" not in said.inner_text()
    assert not runs["letters"].times_test_opened() and not runs["plain"].times_test_opened()
