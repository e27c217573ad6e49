"""The page Runs in a browser, with a real training: predictions move, an earlier run is drawn behind, a tag finds it again."""

import re

import pandas as pd
import pytest
from playwright.sync_api import expect

from core.runs.store import RunStore
from tests.browser_support import choose, wait_idle
from tests.followed import epoch_record, put_run, start_record
from tests.tiny import tiny_config, tiny_npz

BARS = "[...document.querySelectorAll('.lightbox-tracked .bar i')].map(bar => bar.style.width).join()"
AFTER = re.compile(r"validation images after epoch \d+")


def epoch_of(page) -> int:
    return int(re.search(r"epoch (\d+)", page.get_by_text(AFTER).inner_text()).group(1))


@pytest.mark.slow      # it watches a training
@pytest.mark.timeout(300)
def test_one_watches_a_training_compares_it_and_finds_it_again(app, page, tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(app.home))
    earlier = put_run("finished", [start_record(), *(epoch_record(e, 0.5 + 0.01 * e) for e in (1, 2, 3))], name="an earlier one",
                      tags=("lesson",))
    run = RunStore(app.home).create(tiny_config(tiny_npz(tmp_path), name="the new one", **{"train.epochs": 1000}))
    page.goto(f"{app.url}/runs?run={run.id}")            # whoever looks starts the trainer

    # The tracked images: eight, whose bars move by themselves
    expect(page.locator(".lightbox-tracked figure")).to_have_count(8, timeout=120_000)
    page.wait_for_function("""() => getComputedStyle(document.querySelector(".lightbox-tracked .picture"))
                                    .backgroundImage.startsWith('url("data:image/jpeg')""")      # each look draws it anew
    seen, bars = epoch_of(page), page.evaluate(BARS)
    page.wait_for_function(f"before => {BARS} !== before", arg=bars, timeout=60_000)
    assert epoch_of(page) > seen
    # however fast the machine is, the training is still under way; the header may have a Stop of its own
    page.get_by_test_id("stMain").get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_text("Stopped", exact=True).first).to_be_visible(timeout=120_000)
    wait_idle(page)
    last = page.evaluate(BARS)
    slider = page.get_by_role("slider", name="Epoch of the tracked images")
    slider.focus()
    slider.press("Home")
    expect(page.get_by_text("validation images after epoch 1", exact=False)).to_be_visible()
    page.wait_for_function(f"before => {BARS} !== before", arg=last)

    # An earlier run behind the curves
    page.get_by_role("button", name=re.compile("Compare with")).click()
    choose(page, page.get_by_role("combobox", name=re.compile("Earlier runs")), re.compile("an earlier one"))
    expect(page.locator(".lightbox-legend")).to_contain_text("an earlier one")
    page.wait_for_url(re.compile(f"with={earlier.id}"))
    page.keyboard.press("Escape")                        # closes the list
    page.keyboard.press("Escape")                        # and what it hangs in
    expect(page.get_by_role("combobox", name=re.compile("Earlier runs"))).to_have_count(0)
    wait_idle(page)

    # A tag and a note, saved as one goes on
    page.get_by_role("tab", name="Notes and tags").click()
    tags = page.get_by_role("combobox", name=re.compile("Tags"))
    tags.click()                                         # the page may scroll to it; a list that was open would close by that
    page.wait_for_timeout(500)
    tags.press_sequentially("wrist", delay=30)
    page.get_by_role("option", name=re.compile("wrist")).wait_for()
    tags.press("Enter")
    expect(page.locator(".st-key-run_state")).to_contain_text("wrist")
    page.keyboard.press("Tab")                           # an open list hides the rest of the page from screen readers
    page.get_by_role("textbox", name="Note").fill("learns in a minute")
    page.get_by_role("tab", name="All runs").click()     # the field is left: what was typed is saved
    page.wait_for_timeout(300)
    wait_idle(page)
    assert run.notes().text == "learns in a minute" and run.notes().tags == ("wrist",)

    # The table finds it by the tag, and by a word of the note
    page.get_by_role("button", name="wrist", exact=True).click()
    expect(page.get_by_text("1 of 2 runs")).to_be_visible()
    page.get_by_role("button", name="wrist", exact=True).click()
    expect(page.get_by_text("1 of 2 runs")).to_have_count(0)
    search = page.get_by_placeholder(re.compile("^Name, tag, note"))
    search.fill("minute learns")
    search.press("Enter")
    expect(page.get_by_text("1 of 2 runs")).to_be_visible()
    search.fill("")
    search.press("Enter")
    expect(page.get_by_text("1 of 2 runs")).to_have_count(0)

    # The table by keyboard: arrows go from row to row, Enter shows a run, a head sorts; and it is saved
    names = page.locator("tbody tr td.name")
    expect(names).to_contain_text(["the new one", "an earlier one"])
    page.get_by_role("button", name="Show the new one").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("button", name="Show an earlier one")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(f"run={earlier.id}"))
    expect(page.get_by_role("button", name="Show an earlier one")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Sort by Run").click()
    expect(names).to_contain_text(["an earlier one", "the new one"])
    with page.expect_download() as saved:
        page.get_by_role("button", name="CSV").click()
    table = pd.read_csv(saved.value.path())
    assert table["id"].tolist() == [earlier.id, run.id] and table["ROC AUC, val"][0] == 0.53
