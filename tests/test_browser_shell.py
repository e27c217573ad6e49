"""The frame of the app in a real browser: addresses, chips, the gallery by mouse and keyboard, stopping what takes long."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from core.models import MODELS
from tests.browser_support import ROOT, SlowLine, choose, serve, wait_idle
from tests.odd import GRAYS, ODD, SIDE, STRIP

PAGES = {"": "Lightbox", "browse": "Browse", "add": "Add images", "split": "Split", "augment": "Augment",
         "network": "Network", "train": "Train", "runs": "Runs", "evaluate": "Evaluate", "errors": "Errors",
         "gradcam": "Grad-CAM", "compare": "Compare", "ensemble": "Ensemble",
         "classify": "Classify"}
LIGHT = "rgb(251, 251, 250)"            # the background in .streamlit/config.toml


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    script = Path(__file__).with_name("shell_page.py")
    with serve(script, tmp_path_factory.mktemp("shell"), "--server.headless", "true") as server:
        yield server


def visit(page, url: str) -> None:
    """Open the test page and wait until it stands."""
    page.goto(url)
    expect(page.get_by_role("button", name="sick predicted as sick: 9 90.0 %, of 10")).to_be_visible()
    expect(page.locator(".tile")).to_have_count(50)
    wait_idle(page)


@pytest.mark.parametrize("address", ["", "train", *(pytest.param(address, marks=pytest.mark.slow)
                                                    for address in PAGES if address not in ("", "train"))])
def test_the_first_visitor_of_a_fresh_server_sees_any_page(page, tmp_path, machine_json, address):
    """From another folder, with a new home, on a desktop (DISPLAY), where Streamlit would ask for an e-mail address.

    What the machine can do is known already: thirteen servers would each import torch to ask.
    """
    (tmp_path / "lightbox").mkdir()
    (tmp_path / "lightbox" / "machine.json").write_bytes(machine_json)
    with serve(ROOT / "app.py", tmp_path, cwd=tmp_path, DISPLAY=":0") as server:
        page.emulate_media(color_scheme="light")
        page.goto(f"{server.url}/{address}")
        expect(page.locator("h1")).to_have_text(re.compile(PAGES[address]))
        assert page.get_by_role("dialog").count() == 0 and page.get_by_text("Page not found").count() == 0
        links = page.locator("[data-testid=stTopNavLink]")
        expect(links).to_have_count(len(PAGES))
        assert links.evaluate_all("links => links.map(a => a.pathname.slice(1))") == list(PAGES)
        assert page.locator("[data-testid=stException]").count() == 0 and "mail" not in server.log.read_text().lower()
        background = page.locator("[data-testid=stApp]").evaluate("app => getComputedStyle(app).backgroundColor")
        assert background == LIGHT, ".streamlit/config.toml beside app.py counts, whatever folder the server is started from"
        icon = page.locator("link[rel~=icon]").evaluate("link => link.href")
        assert page.request.get(icon).headers["content-type"] == "image/png"
        page.goto("about:blank")                              # before the server goes, so that the page does not miss it


def test_the_menu_leads_from_page_to_page(app, page):
    page.goto(app.url)
    page.get_by_role("link", name="Evaluate").click()
    expect(page.locator("h1")).to_have_text("Evaluate")
    assert page.url.split("?")[0].endswith("/evaluate")


def test_start_goes_to_the_phantoms_with_one_click(app, page):
    page.goto(app.url)
    expect(page.get_by_role("img", name="X-rays")).to_be_visible()
    assert page.get_by_role("img", name="X-rays").evaluate("e => e.naturalWidth") > 1000
    page.get_by_role("button", name="Start with phantom X-rays").click()
    page.wait_for_url("**/browse?dataset=phantom*")


def test_back_goes_to_the_page_before_whatever_a_page_writes_into_its_address(app, page):
    """Streamlit makes a step of the history for each parameter; here each thing that a person does is one."""
    page.goto("about:blank")
    page.goto(f"{app.url}/browse?dataset=breastmnist")
    wait_idle(page)
    page.go_back()
    assert page.url == "about:blank", "what a page writes when it is opened is no step"
    page.goto(app.url)
    wait_idle(page)
    page.get_by_role("button", name=re.compile("^Use .*MNIST")).click()
    page.wait_for_url("**/browse?**px=**")
    wait_idle(page)
    page.get_by_role("link", name="Train", exact=True).click()
    page.wait_for_url("**/train?**dataset=**")
    wait_idle(page)
    page.go_back()
    expect(page.locator("h1")).to_have_text("Browse")
    wait_idle(page)
    page.go_back()
    expect(page.locator("h1")).to_have_text("Lightbox")
    wait_idle(page)
    assert page.url.rstrip("/") == app.url
    page.go_back()
    assert page.url == "about:blank"


def test_start_finds_out_by_itself_what_this_machine_is(page, tmp_path):
    with serve(ROOT / "app.py", tmp_path, "--server.headless", "true") as server:
        page.goto(server.url)
        expect(page.get_by_text("looking for a GPU")).to_be_visible()
        expect(page.get_by_text("of disk space free")).to_be_visible(timeout=90_000)
        page.goto("about:blank")


def test_start_says_what_is_wrong_with_a_path_and_keeps_it(app, page):
    page.goto(app.url)
    field = page.get_by_label("Path of a folder, table, zip or .npz file")
    field.fill("/no/such/<b>$place$</b>")
    field.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("/no/such/<b>$place$</b>")
    assert field.input_value() == "/no/such/<b>$place$</b>"


def test_streamlit_still_has_the_elements_that_our_style_names(shell, page):
    named = set(re.findall(r"\[data-[^\]]+\]", (ROOT / "pages" / "shared" / "streamlit.css").read_text()))
    files = [file for file in (ROOT / "pages").rglob("*") if file.suffix in (".css", ".js", ".py")]
    elsewhere = [file.name for file in files
                 if file.name != "streamlit.css" and re.search("data-testid|st-emotion", file.read_text())]
    assert not elsewhere, "only streamlit.css names what is private to Streamlit"
    visit(page, shell.url)
    expect(page.locator("[data-testid=stVegaLiteChart] svg")).to_be_visible()
    gone = [selector for selector in sorted(named) if not page.locator(selector).count()]
    assert not gone, f"this version of Streamlit has no {', '.join(gone)}: see pages/shared/streamlit.css"


def test_gallery_shows_each_image_in_its_tile_without_its_neighbours(shell, page):
    visit(page, shell.url)
    pictures = page.locator(".tile .picture")
    expect(pictures).to_have_count(50)
    page.wait_for_timeout(300)
    for i in (2, 7, 8, 13, 30, 49):
        pixels = np.asarray(Image.open(io.BytesIO(pictures.nth(i).screenshot())).convert("L"), int)
        row, edge = pixels[len(pixels) // 2], STRIP * pixels.shape[1] / SIDE
        assert np.abs(row[:int(edge) - 1] - (255 - GRAYS[i])).max() <= 4, f"strip of tile {i}"
        assert np.abs(row[int(edge) + 2:] - GRAYS[i]).max() <= 4, f"tile {i}"
        for last in (pixels[4:-4, -1], pixels[-1, 15:-4]):
            assert np.abs(last - GRAYS[i]).max() <= 4, f"right or lower edge of tile {i}"


def test_gallery_is_clicked_and_says_so_once(shell, page):
    visit(page, shell.url)
    tiles = page.get_by_role("option")
    expect(tiles.nth(3)).to_have_attribute("aria-selected", "true")
    tiles.nth(11).click()
    expect(page.get_by_text("clicked 11", exact=True)).to_be_visible()
    expect(tiles.nth(11)).to_have_attribute("aria-selected", "true")
    page.get_by_text("Work", exact=True).click()             # another run of the script, without a click on a tile
    expect(page.get_by_text("clicked None")).to_be_visible()
    expect(tiles.nth(3)).to_have_attribute("aria-selected", "true")


def columns_of(page) -> int:
    """Return how many tiles stand in the first row, once that stays: styles and the page's width may come later than tiles."""
    seen = []
    while len(seen) < 4 or len(set(seen[-4:])) > 1:
        assert len(seen) < 60, f"the grid does not come to rest: {seen}"
        page.wait_for_timeout(250)
        tops = page.locator(".tile").evaluate_all("tiles => tiles.map(tile => tile.getBoundingClientRect().top)")
        seen.append(sum(top == tops[0] for top in tops))
    return seen[-1]


def test_gallery_by_keyboard(shell, page):
    visit(page, shell.url)
    assert page.locator(".tile[tabindex='0']").count() == 1, "one stop for the Tab key"
    page.locator(".tile[tabindex='0']").focus()
    columns = columns_of(page)
    for key in ("Home", "ArrowRight", "ArrowDown", "ArrowRight", "ArrowLeft", "ArrowUp", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"clicked {1 + columns}", exact=True)).to_be_visible()
    page.keyboard.press("End")                               # the focus is still in the grid after the run
    page.keyboard.press(" ")
    expect(page.get_by_text("clicked 49", exact=True)).to_be_visible()


def test_text_from_files_is_shown_as_it_is(shell, page):
    visit(page, shell.url)
    plain = " ".join(ODD.split())
    assert page.locator(".caption").first.inner_text() == plain
    assert page.get_by_role("option").first.get_attribute("aria-label") == f"{plain}, right"
    assert page.locator("[data-testid=stMarkdown]").last.inner_text() == plain
    assert page.get_by_role("alert").inner_text() == f"{plain} Try again."
    assert page.locator("table th[scope=row]").first.inner_text() == plain


def test_confusion_matrix_answers_a_click(shell, page):
    visit(page, shell.url)
    page.get_by_role("button", name="sick predicted as sick: 9 90.0 %, of 10").click()
    expect(page.get_by_text("cell (1, 1)")).to_be_visible()
    expect(page.get_by_role("button", name="sick predicted as sick: 9 90.0 %, of 10")).to_have_attribute("aria-pressed", "true")
    assert page.locator("table button").nth(2).inner_text().split() == ["1", "10.0", "%"]


def test_chips_follow_the_address_and_write_it(shell, page):
    page.goto(f"{shell.url}/?color=blue")
    expect(page.get_by_text("chips blue 1")).to_be_visible()
    choose(page, page.get_by_label("Color", exact=True), "Red")
    expect(page.get_by_text("chips red 1")).to_be_visible()
    page.wait_for_url("**color=red**")
    page.wait_for_timeout(2_000)                  # for that long an old address is held for one that is late
    page.go_back()
    expect(page.get_by_text("chips blue 1")).to_be_visible()


def test_a_choice_outlasts_a_click_made_before_the_page_had_answered(shell, page):
    line = SlowLine(page)
    visit(page, shell.url)
    line.hold()                                   # the second click comes with the address from before the choice
    choose(page, page.get_by_label("Color", exact=True), "Blue")
    page.get_by_text("Tick", exact=True).click()
    line.let_go()
    expect(page.get_by_text("ticked True")).to_be_visible()
    wait_idle(page)
    expect(page.get_by_text("chips blue 1")).to_be_visible()
    assert "color=blue" in page.url


def test_a_field_filled_in_before_the_page_had_answered_does_not_undo_the_recipe(app, page):
    line = SlowLine(page)
    page.goto(f"{app.url}/train")
    wait_idle(page)
    line.hold()                                   # the second message comes with the network from before the recipe
    page.get_by_text("Quick look").click()
    page.wait_for_timeout(2_000)                  # the server has drawn the recipe's network by then
    epochs = page.get_by_role("spinbutton", name="Epochs", exact=True)
    epochs.fill("3")
    epochs.press("Enter")
    line.let_go()
    expect(page.get_by_text(MODELS["squeezenet1_1"].description)).to_be_visible()
    wait_idle(page)
    expect(page.get_by_text(MODELS["squeezenet1_1"].description)).to_be_visible()
    expect(page.get_by_role("spinbutton", name="Epochs", exact=True)).to_have_value("3")


def test_chips_say_that_a_value_is_not_known_and_take_the_default(shell, page):
    page.goto(f"{shell.url}/?color=%3Cb%3Egreen&number=/my/own")
    expect(page.get_by_role("alert").first).to_contain_text("There is no color called <b>green.")
    expect(page.get_by_text("chips red /my/own")).to_be_visible()


def test_long_work_stops_and_goes_on_where_it_was(shell, page):
    visit(page, shell.url)
    page.get_by_text("Work", exact=True).click()
    expect(page.get_by_text(re.compile(r"Working: \d+ of 60, .* left"))).to_be_visible()
    page.get_by_test_id("stMain").get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Working: stopped. Finished work is kept.")).to_be_visible(timeout=3000)
    wait_idle(page)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("all done in 60 pieces")).to_be_visible()
