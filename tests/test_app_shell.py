"""The frame of the app without a browser: the start page through app.py, colours, sheets of tiles, charts, numbers in words."""

import asyncio
import itertools
import json
import math
import subprocess
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.config import RunConfig
from core.files import write_json
from core.runs.store import RunStore
from pages.shared import charts, gallery, layout, theme
from pages.shared.head_script import SCRIPT, HeadScript
from pages.start import hero_image
from tests.odd import ODD

ROOT = Path(__file__).parents[1]


@pytest.fixture
def start(lightbox_home):
    write_json(lightbox_home / "machine.json", {})            # known to be unknown: the page must not wait for torch
    return AppTest.from_file(str(ROOT / "pages" / "main.py"), default_timeout=20)


# ---------------------------------------------------------------------------------------------------------------- the start page

def test_start_offers_its_ways_to_begin(start):
    start.run()
    assert not start.exception
    labels = [button.label for button in start.button]
    assert labels[0] == "Start with phantom X-rays" and "Use my images" in labels
    assert [h.value for h in start.header] == ["Phantom X-rays", "MedMNIST", "My images", "Classify an image"]
    assert len(start.selectbox(key="start_medmnist").options) == 12


def test_own_images_are_looked_at_before_one_leaves(start, tmp_path):
    start.run()
    field = start.text_input(key="start_path")
    field.set_value(str(tmp_path / "nowhere")).run()
    assert "There is no data set, folder or file" in start.error[0].value
    (tmp_path / "only").mkdir()
    cv2.imwrite(str(tmp_path / "only" / "a.png"), np.zeros((9, 9), np.uint8))
    start.text_input(key="start_path").set_value(str(tmp_path)).run()
    assert "one class" in start.error[0].value and start.text_input(key="start_path").value == str(tmp_path)


def test_own_images_that_are_good_are_counted_and_opened(start, tmp_path):
    for k, name in enumerate(("normal", "$sick$")):
        (tmp_path / name).mkdir()
        for i in range(3 + k):
            cv2.imwrite(str(tmp_path / name / f"{i}.png"), np.full((9, 9), 40 * i, np.uint8))
    start.run()
    start.text_input(key="start_path").set_value(str(tmp_path)).run()
    assert not start.error and layout.escape("7 images in 2 classes: $sick$, normal.") in [c.value for c in start.caption]
    start.button(key="start_path_go").click().run()
    assert start.title[0].value == "Add images" and start.query_params["path"] == str(tmp_path)


def test_start_shows_the_latest_runs_and_survives_one_that_is_damaged(start, lightbox_home):
    write_json(lightbox_home / "machine.json", {"key": "", "machine": {}})
    store = RunStore()
    for k in range(6):
        folder = store.root / "runs" / f"20260101-00000{k}-aaaa"
        folder.mkdir(parents=True)
        config = json.loads(RunConfig(name=f"run {k} {ODD}").to_json())
        write_json(folder / "config.json", {"config": config, "device": "cpu", "created": 0.0})
        write_json(folder / "status.json", {"state": "finished", "reason": "", "since": time.time() - 7300})
        (folder / "metrics.jsonl").write_text("".join(
            json.dumps({"kind": "epoch", "epoch": e, "step": e, "val_roc_auc": 0.5 + e / 10}) + "\n" for e in (1, 2, 3)))
    (store.root / "runs" / "20260101-000005-aaaa" / "status.json").write_text("{")
    start.run()
    assert not start.exception
    cards = [c.value for c in start.caption if "AUC" in c.value]
    assert cards == ["finished, 2 h ago | best validation AUC 0.800"] * 4


def test_the_menu_names_each_page_file_once():
    text = (ROOT / "pages" / "main.py").read_text()
    files = sorted(f"{f.parent.name}/{f.name}" for f in (ROOT / "pages").glob("*/page.py"))
    assert all(text.count(f'"{file}"') == 1 for file in files) and text.count("st.Page(") == len(files) == 14
    for page in ("browse", "train", "runs", "evaluate", "errors", "classify"):
        assert f'{layout.page_file(page)}", title="{page.capitalize()}", url_path="{page}"' in text
    with pytest.raises(KeyError):
        layout.page_file("nowhere")


def test_the_picture_on_the_start_page_is_there_and_light():
    pixels = cv2.imread(str(hero_image.PICTURE))
    assert pixels.shape[0] == hero_image.HEIGHT and hero_image.PICTURE.stat().st_size < 400_000


# ---------------------------------------------------------------------------------------------------------------------- settings

def settings() -> dict:
    return tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())


def test_settings_keep_to_this_machine_and_ask_nothing():
    found = settings()
    assert found["server"]["address"] == "127.0.0.1" and found["server"]["showEmailPrompt"] is False
    assert found["browser"]["gatherUsageStats"] is False and found["client"]["toolbarMode"] == "viewer"
    assert "http" not in (ROOT / ".streamlit" / "config.toml").read_text()


def light(color: str) -> np.ndarray:
    """Linear red, green and blue of "#rrggbb" (IEC 61966-2-1)."""
    c = np.array([int(color[i:i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2: (L1 + 0.05) / (L2 + 0.05)."""
    a, b = sorted((light(c) @ [0.2126, 0.7152, 0.0722] for c in (one, other)), reverse=True)
    return (a + 0.05) / (b + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_and_accent_can_be_read(mode):
    colors = settings()["theme"][mode]
    for ground in (colors["backgroundColor"], colors["secondaryBackgroundColor"]):
        assert contrast(colors["textColor"], ground) > 7
        assert contrast(colors["primaryColor"], ground) > 4.5, "the selected segment is written in it"
        assert contrast(colors["linkColor"], ground) > 4.5
    on_button = {"light": "#ffffff", "dark": "#0c1517"}[mode]
    assert contrast(colors["primaryColor"], on_button) > 4.5, "text on a button, pages/shared/theme.py"
    assert colors["greenColor"] == theme.OUTCOMES["right"] and colors["orangeColor"] == theme.OUTCOMES["wrong"]


@pytest.mark.parametrize("color", [*theme.SPLITS.values(), *theme.OUTCOMES.values(), *theme.CLASSES, theme.QUIET])
def test_colours_stand_out_from_both_backgrounds(color):
    for mode in ("light", "dark"):
        assert contrast(color, settings()["theme"][mode]["backgroundColor"]) > 2.9


# Machado et al. 2009, https://doi.org/10.1109/TVCG.2009.113, severity 1: what people without one kind of cone see.
SIGHTS = {"all cones": np.eye(3),
          "no red cones": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
          "no green cones": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]}


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("group", ["SPLITS", "OUTCOMES", "CLASSES"])
def test_colours_of_a_group_differ_for_everybody(group, sight):
    colors = getattr(theme, group)
    colors = list(colors)[:4] if group == "CLASSES" else list(colors.values())

    def lab(color: str) -> np.ndarray:
        seen = np.clip(np.array(SIGHTS[sight]) @ light(color), 0, 1).astype(np.float32)
        encoded = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * np.power(seen, 1 / 2.4) - 0.055).astype(np.float32)
        return cv2.cvtColor(encoded[None, None], cv2.COLOR_RGB2LAB)[0, 0]
    for one, other in itertools.combinations(colors, 2):
        assert np.linalg.norm(lab(one) - lab(other)) > 20, f"{one} and {other}"


# ----------------------------------------------------------------------------------------------------------------------- gallery

def test_a_sheet_holds_every_tile_where_it_says():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (11, 20, 20, 3), np.uint8)
    sheet, at = gallery.draw_sheet(images, 20)
    assert sheet.shape == (at["rows"] * at["pitch"], at["columns"] * at["pitch"], 3) and at["pitch"] % 8 == 0
    for i, image in enumerate(images):
        x, y = i % at["columns"] * at["pitch"] + at["border"], i // at["columns"] * at["pitch"] + at["border"]
        assert (sheet[y:y + 20, x:x + 20] == image).all()
        assert (sheet[y - 1, x:x + 20] == image[0]).all() and (sheet[y:y + 20, x + 20] == image[:, -1]).all()


@pytest.mark.parametrize("side, kind, off", [(28, "image/png", 0), (96, "image/jpeg", 12)])
def test_the_browser_gets_the_pixels(side, kind, off):
    yy, xx = np.mgrid[:side, :side] / side
    images = np.stack([(255 * (xx * i / 6 + yy * (6 - i) / 6)).astype(np.uint8) for i in range(7)])[..., None]
    encoded, at = gallery._sheet(images, f"test {side}", 96)
    sheet = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    assert at["kind"] == kind and at["n"] == 7
    for i in range(7):
        x, y = i % at["columns"] * at["pitch"] + at["border"], i // at["columns"] * at["pitch"] + at["border"]
        assert np.abs(sheet[y:y + side, x:x + side].astype(int) - images[i, ..., 0]).max() <= off


def test_colour_stays_colour_and_images_of_any_shape_fit():
    red = np.zeros((40, 20, 3), np.uint8)
    red[..., 0] = 255
    encoded, at = gallery._sheet([red, np.full((30, 30, 1), 128, np.uint8)], "red", 96)
    sheet = cv2.cvtColor(cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).astype(int)
    middle, corner = at["border"] + at["side"] // 2, at["border"] + 2
    assert np.abs(sheet[middle, middle] - [255, 0, 0]).max() < 12, "red, not blue"
    assert sheet[middle, corner].max() < 12, "a bar beside the narrow image"
    assert np.abs(sheet[middle, at["pitch"] + middle] - 128).max() < 12


def test_gallery_refuses_what_does_not_fit_together():
    images = np.zeros((3, 8, 8, 1), np.uint8)
    with pytest.raises(ValueError, match="3 images but 2 captions"):
        gallery.gallery(images, key="a", aria_label="a", captions=["1", "2"])
    with pytest.raises(ValueError, match="mark"):
        gallery.gallery(images, key="a", aria_label="a", marks=["right", "good", None])


@pytest.mark.parametrize("value", [None, -1, 3, 1.0, True, "1", [1], {"a": 1}])
def test_what_the_browser_sends_is_checked(value):
    assert gallery._index(value, 3) is None and gallery._index(2, 3) == 2


# ------------------------------------------------------------------------------------------------------------------------ charts

def test_bars_are_sorted_escaped_and_bounded():
    names = ["a", "<script>", "c"] + [f"n{i}" for i in range(20)]
    html = charts.probability_bars(names, [0.1, 0.7, 0.2] + [0.0] * 20, true=2, limit=5)
    assert "<script>" not in html and html.index("&lt;script&gt;") < html.index(">c ") < html.index(">a<")
    assert "c <small>(true)</small>" in html and "70.0 %" in html and "and 18 classes with less" in html
    two = charts.probability_bars(["a", "b", "c", "d"], [0.1, 0.7, 0.15, 0.05], limit=1, always=[3])
    assert [two.count(f"<span>{name}</span>") for name in "abcd"] == [0, 1, 0, 1] and "and 2 classes</p>" in two
    both = charts.probability_bars(["no", "yes"], [0.1, math.nan])
    assert both.index(">no<") < both.index(">yes<") and "<span>-</span>" in both.split(">yes<")[1]
    assert "&lt; 0.1 %" in charts.probability_bars(["no", "yes"], [1.0, 0.0]) and "100.0 %" not in html


def test_a_sparkline_rises_with_its_values():
    svg = charts.sparkline([0.5, None, 0.75, math.nan, 1.0], domain=(0.5, 1.0), width=108, height=28)
    points = [tuple(map(float, p.split(","))) for p in svg.split("points='")[1].split("'")[0].split()]
    assert points == [(4, 24), (54, 14), (104, 4)]
    assert "polyline" not in charts.sparkline([])


# ------------------------------------------------------------------------------------------------------------------------- words

def test_markdown_is_escaped_to_the_letter():
    """CommonMark 2.4: a backslash before ASCII punctuation makes it a letter; without them the text must be the same."""
    escaped = layout.escape(ODD)
    assert escaped.replace("\\\\", "\0").replace("\\", "").replace("\0", "\\") == " ".join(ODD.split())
    assert not {c for i, c in enumerate(escaped) if c in "*_$<`[:#" and escaped[i - 1] != "\\"}


@pytest.mark.parametrize("seconds, text", [(0.25, "0.2 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min"), (130, "2 min 10 s"),
                                           (3600, "1 h"), (8000, "2 h 13 min"), (math.inf, "-"), (None, "-")])
def test_seconds(seconds, text):
    assert layout.format_seconds(seconds) == text


@pytest.mark.parametrize("count, text", [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (6_200_000_000, "6.2 GB"),
                                         (139_000_000_000, "139 GB"), (2e12, "2.0 TB")])
def test_bytes(count, text):
    assert layout.format_bytes(count) == text


def test_numbers_that_are_not_defined_are_a_dash():
    assert layout.format_number(0.91349) == "0.913" and layout.format_percent(0.91349) == "91.3 %"
    assert {layout.format_number(None), layout.format_number(math.nan), layout.format_percent(None)} == {"-"}
    assert layout.format_probability(float("nan")) == "-"
    assert layout.format_interval(0.5, 0.4, 0.61) == "0.500 (0.400 to 0.610)" and layout.format_interval(None, 0, 1) == "-"
    assert layout.format_ago(59) == "just now" and layout.format_ago(7300) == "2 h ago" and layout.format_ago(2e5) == "2 days ago"


@pytest.mark.parametrize("p, digits, text", [(1.0, 1, "> 99.9 %"), (0.9996, 1, "> 99.9 %"), (0.9994, 1, "99.9 %"),
                                             (0.0, 1, "< 0.1 %"), (4e-4, 1, "< 0.1 %"), (6e-4, 1, "0.1 %"),
                                             (0.5, 1, "50.0 %"), (1.0, 0, "> 99 %"), (0.5, 0, "50 %")])
def test_a_network_is_never_certain(p, digits, text):
    assert layout.format_probability(p, digits) == text


def test_a_long_path_keeps_both_ends():
    path = "/data/" + "x" * 100 + "/pneumonia"
    assert len(layout.shorten(path, 60)) == 60 and layout.shorten(path, 60).endswith("/pneumonia")
    assert layout.shorten("short") == "short"




FIRST_VISITORS = """
import sys, threading
sys.setswitchinterval(1e-5)
from pages.shared import first_imports
failed = []
def visit(page):
    try:
        first_imports.import_first(page)
    except BaseException as error:
        failed.append((page, repr(error)))
visitors = [threading.Thread(target=visit, args=(page,)) for page in sys.argv[1:]]
[visitor.start() for visitor in visitors]
[visitor.join() for visitor in visitors]
print(failed)
"""


def test_first_visitors_of_a_fresh_server_do_not_trip_over_each_others_imports():
    """Without the lock about every second such start ends in a deadlock of imports."""
    pages = sorted(file.parent.name for file in (ROOT / "pages").glob("*/page.py"))
    done = subprocess.run([sys.executable, "-c", FIRST_VISITORS, *pages], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_script_of_the_back_button_stands_in_the_head_of_html_and_nowhere_else():
    def answer(path, kind, parts):
        async def app(scope, receive, send):
            assert not dict(scope["headers"]).get(b"accept-encoding") or path.endswith(".js")
            headers = [(b"content-type", kind), (b"content-length", b"1")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for k, part in enumerate(parts, 1):
                await send({"type": "http.response.body", "body": part, "more_body": k < len(parts)})
        sent = []

        async def send(message):
            sent.append(message)
        scope = {"type": "http", "path": path, "headers": [(b"accept-encoding", b"gzip"), (b"host", b"x")]}
        with ThreadPoolExecutor(1) as pool:            # a browser test of the same process has an event loop in this thread
            pool.submit(asyncio.run, HeadScript(app)(scope, None, send)).result()
        return dict(sent[0]["headers"]), b"".join(message["body"] for message in sent[1:])
    headers, body = answer("/train", b"text/html; charset=utf-8", [b"<html><he", b"ad><title>", b"</head>"])
    assert body == b"<html><head>" + SCRIPT + b"<title></head>" and headers[b"content-length"] == str(len(body)).encode()
    for path, kind in (("/_stcore/health", b"text/plain"), ("/static/index.js", b"text/html")):
        assert answer(path, kind, [b"<head>", b"!"])[1] == b"<head>!"
