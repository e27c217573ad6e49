"""Every page in both themes as axe-core (Deque's rules for WCAG 2.2 and good practice) sees it, with a trained run to show."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

from core.runs.store import RunStore
from tests.browser_support import ROOT, serve, wait_idle
from tests.judged import another_seed, trained  # noqa: F401

# What Streamlit itself draws: (rule, part of the element's HTML) -> why nothing can be done about it here.
STREAMLIT = {
    ("presentation-role-conflict", 'data-testid="stFileUploaderDropzone"'):
        "the drop zone has role=presentation and an aria-label; the button inside it is what is focused and named",
}
# Nothing moves or fades: what is half transparent for a moment would be found too pale.
STILL = "*, *::before, *::after { transition: none !important; animation: none !important; }"
# Rules that axe-core leaves off: a name must contain what is seen, or who speaks to the page cannot say it.
ALSO = {"rules": {"label-content-name-mismatch": {"enabled": True}}}
OF_DATA = ("browse", "split", "augment", "network", "train")
OF_RUN = ("runs", "evaluate", "errors", "gradcam", "compare", "ensemble", "classify")


@pytest.fixture(scope="module")
def server(trained, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("axe")
    shutil.copytree(trained, folder / "lightbox")
    RunStore(folder / "lightbox").list()[0].annotate(tags=["lesson"])
    another_seed(RunStore(folder / "lightbox").list()[0])          # Compare needs two
    with serve(ROOT / "app.py", folder, "--server.headless", "true") as running:
        yield running


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    script = Path(__file__).with_name("shell_page.py")
    with serve(script, tmp_path_factory.mktemp("shell"), "--server.headless", "true") as running:
        yield running


@pytest.mark.parametrize("address", ["", "add", *OF_DATA, *OF_RUN])
def test_a_page_keeps_the_rules_of_accessibility(server, page, address):
    run = max(RunStore(server.home).list(), key=lambda run: run.id)
    query = f"dataset={run.config.data.dataset}" if address in OF_DATA else f"run={run.id}" if address in OF_RUN else ""
    said = []
    page.on("console", lambda message: said.append(message.text) if message.type == "warning" else None)
    for section in ("",) if address != "evaluate" else ("&section=threshold", "&section=calibration", "&section=groups", ""):
        page.goto(f"{server.url}/{address}?{query}{section}")
        expect(page.locator("h1")).to_be_visible()
        check(page)
    assert not said, "the console stays empty: an empty chart makes Vega warn"


def test_the_parts_that_pages_share_keep_the_rules(shell, page):
    page.goto(shell.url)
    expect(page.locator(".tile")).to_have_count(50)
    check(page)


def check(page) -> None:
    wait_idle(page)
    page.add_style_tag(content=STILL)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(300)
        faults = violations(page)
        for _ in range(5):                       # while a script runs, Streamlit fades what may change
            if not faults:
                break
            page.wait_for_timeout(500)
            faults = violations(page)
        assert not faults, f"{scheme}: {faults}"


def violations(page) -> list[str]:
    """A line for each element that breaks a rule, but for those of STREAMLIT."""
    from axe_playwright_python.sync_playwright import Axe
    found = Axe().run(page, options=ALSO).response["violations"]
    return [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]
            if not any(rule["id"] == known and part in node["html"] for known, part in STREAMLIT)]
