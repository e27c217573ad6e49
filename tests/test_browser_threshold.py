"""The threshold in a real browser: every number follows the drag while the server is silent, and is what Python computes."""

import re
import shutil

import numpy as np
import pytest
from playwright.sync_api import expect

from core.evaluation.thresholds import of
from core.metrics.operating_points import choose
from core.runs.store import RunStore
from tests import judged
from tests.browser_support import SlowLine, wait_idle
from tests.judged import plant
from tests.operating import operate, per_thousand

trained = judged.trained          # fixture
RNG = np.random.default_rng(4)
LABELS = np.arange(40) % 3 == 0
PATIENTS = np.array([f"p{i // 4}" for i in range(40)])            # each has images of both sides, and several of one
SCORES = RNG.permutation(np.linspace(0.03, 0.97, 40)).astype(np.float32) * 0.7 + 0.3 * LABELS.astype(np.float32)


@pytest.fixture(scope="module")
def run(app, trained):
    shutil.copytree(trained / "runs", app.home / "runs")
    run, = RunStore(app.home).list()
    probs = np.stack([1 - SCORES, SCORES], axis=1)
    plant(run, "val", LABELS.astype(int), probs, PATIENTS)
    plant(run, "test", LABELS[::-1].astype(int), probs[::-1])      # here nobody knows the patients
    return run


def open_threshold(page, app, run, split: str) -> None:
    page.goto(f"{app.url}/evaluate?run={run.id}&split={split}&section=threshold&sought=1")
    expect(page.locator(".threshold .matrix")).to_be_visible(timeout=60_000)
    wait_idle(page)


def shown(page) -> float:
    return float(page.locator(".threshold .at b").inner_text())


def check_all(page, labels, scores, prevalence: float, patients=None) -> None:
    """Every number in sight against tests/operating.py at the threshold that is written there."""
    at = operate(labels, scores, shown(page), prevalence, patients)
    cells = page.locator(".matrix td b").all_inner_texts()
    assert [int(text) for text in cells] == [at.tn, at.fp, at.fn, at.tp]
    rows = page.locator(".rates tr").all()
    for row, name in zip(rows, ("sensitivity", "specificity", "ppv", "npv"), strict=True):
        value, limits = getattr(at, name), getattr(at, f"{name}_interval")
        assert row.locator("td").all_inner_texts()[:2] == (
            ["-", "-"] if value is None else [f"{value:.3f}", f"{limits[0]:.3f} to {limits[1]:.3f}"]), name
    people = per_thousand(at.sensitivity, at.specificity, prevalence)
    words = page.locator(".threshold .sentence").inner_text()
    assert [int(n.replace(",", "")) for n in re.findall(r"(\d[\d,]*) (?:with|detected|missed|false)", words)] == [
        people["sick"], people["detected"], people["missed"], people["false_alarms"]]
    assert f"sensitivity {at.sensitivity:.3f}, specificity {at.specificity:.3f}" in (
        page.locator(".curves svg").first.get_attribute("aria-label"))


def test_a_drag_is_answered_without_the_server(app, page, run):
    line = SlowLine(page)
    open_threshold(page, app, run, "val")
    assert shown(page) == 0.5
    typed = page.get_by_role("spinbutton", name="Prevalence in percent")
    line.hold()                                                    # from here on the page hears nothing
    typed.fill("3.5")
    typed.press("Enter")
    box = page.locator(".threshold .left svg").bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 40)
    page.mouse.down()
    seen, dots = [], []
    for share in (0.3, 0.45, 0.9, 1.2, 0.62):                      # once beyond the end: nobody is called
        page.mouse.move(box["x"] + share * box["width"], box["y"] + 40)
        seen.append(shown(page))
        dots.append(page.locator(".curves .point").first.get_attribute("cx"))
        check_all(page, LABELS, SCORES, patients=PATIENTS, prevalence=0.035)
    page.mouse.up()
    assert seen[0] < seen[1] < seen[4] < seen[2] < seen[3] == 1 and len(set(dots)) >= 4
    slider = page.get_by_role("slider", name="Threshold")
    slider.focus()
    for key in ("ArrowLeft", "PageDown", "Home"):
        before = shown(page)
        page.keyboard.press(key)
        assert shown(page) < before
        check_all(page, LABELS, SCORES, patients=PATIENTS, prevalence=0.035)
    assert slider.get_attribute("aria-valuetext") == f"0: {LABELS.sum()} detected, 0 missed, {(~LABELS).sum()} false positives"
    for button, rule, wish in (("Youden", "youden", {}), ("Target sensitivity", "sensitivity", {"sensitivity": 0.8}),
                               ("Cost ratio", "cost", {"cost": 30.0, "prevalence": 0.035})):
        if wish:
            page.get_by_role("spinbutton", name=button).fill(str(next(iter(wish.values()))))
        page.get_by_role("button", name=button).click()
        assert shown(page) == pytest.approx(choose(rule, LABELS, SCORES, **wish).value, abs=5.1e-4), rule
        check_all(page, LABELS, SCORES, patients=PATIENTS, prevalence=0.035)
    line.let_go()


def test_what_is_frozen_on_validation_is_only_looked_at_on_test(app, page, run):
    open_threshold(page, app, run, "val")
    page.get_by_role("button", name="Target sensitivity").click()
    page.get_by_role("button", name="Freeze").click()
    expect(page.locator(".threshold .kept")).to_contain_text("Frozen for test")
    chosen = choose("sensitivity", LABELS, SCORES, sensitivity=0.95)
    assert of(run) == chosen.value
    wait_idle(page)
    open_threshold(page, app, run, "test")
    assert shown(page) == pytest.approx(chosen.value, abs=5.1e-4)
    expect(page.locator(".threshold .kept")).to_contain_text("frozen on validation")
    check_all(page, LABELS[::-1], SCORES[::-1], LABELS.mean())
    for name in ("Youden", "Freeze", "Unfreeze"):
        assert page.get_by_role("button", name=name).count() == 0
    page.get_by_role("slider", name="Threshold").focus()
    page.keyboard.press("PageUp")
    expect(page.locator(".threshold .kept")).to_contain_text("Not kept")
    check_all(page, LABELS[::-1], SCORES[::-1], LABELS.mean())
    page.get_by_role("button", name="Back to").click()
    assert shown(page) == pytest.approx(chosen.value, abs=5.1e-4) and of(run) == chosen.value
    open_threshold(page, app, run, "val")
    page.get_by_role("button", name="Unfreeze").click()
    expect(page.locator(".threshold .kept")).to_contain_text("Nothing is frozen")
    assert of(run) == 0.5
