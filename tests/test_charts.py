"""Charts against results from elsewhere: scikit-learn's curves, NumPy's histograms, names that are drawn as
typed."""

import io
import itertools
import platform
import re
import subprocess
import sys
import time
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix, precision_recall_curve, roc_curve

from core.charts import architecture, comparisons, curves, members, palette, probabilities, sanity
from core.charts.chart import Chart, built_once, position, table, thin, thin_staircase
from core.charts.save import as_png, as_svg
from core.metrics.calibration import reliability
from core.metrics.ranking import pr_curve
from core.metrics.ranking import roc_curve as our_roc_curve
from pages.shared.charts import heading

ROOT = Path(__file__).parents[1]
ODD = ["<b>$x$</b>", "a:b", "lung.left[0]", "it's \"q\" & 'r'", "back\\slash", "datum.x", "100 %", "1"]
RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 2, 300)
SCORES = np.clip(0.5 + 0.2 * (2 * LABELS - 1) + RANDOM.normal(0, 0.25, 300), 0, 1).round(2)
EPOCHS = np.arange(1.0, 11)


def texts(svg: str) -> list[str]:
    """What is written in a picture, in its order."""
    return [element.text for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")
            and element.text]


# -----------------------------------------------------------------------------------------------------------
# curves

def test_the_points_of_the_roc_curve_are_scikit_learns():
    fpr, tpr, _ = our_roc_curve(LABELS == 1, SCORES)
    chart = curves.roc({"ill": (fpr, tpr)}, ["red"], point=(0.2, 0.8))
    rows = chart.tables["curve"].to_pydict()
    wanted_fpr, wanted_tpr, _ = roc_curve(LABELS, SCORES)
    assert rows["x"] == pytest.approx(wanted_fpr) and rows["y"] == pytest.approx(wanted_tpr)
    path, = (element.get("d") for element in ElementTree.fromstring(as_svg(chart)).iter()
             if element.get("aria-roledescription") == "line mark"
             and "Class: ill" in (element.get("aria-label") or ""))
    side = chart.paper
    drawn = np.array(re.findall(r"[ML]([-\d.e]+),([-\d.e]+)", path), float)
    assert drawn / side == pytest.approx(np.stack([wanted_fpr, 1 - wanted_tpr], 1), abs=2e-3)


def test_the_points_of_the_precision_recall_curve_are_scikit_learns():
    precision, recall, _ = pr_curve(LABELS == 1, SCORES)
    rows = curves.precision_recall({"ill": (recall, precision)}, ["red"],
                                   prevalence=0.4).tables["curve"].to_pydict()
    wanted_precision, wanted_recall, _ = precision_recall_curve(LABELS, SCORES)
    assert rows["x"] == pytest.approx(wanted_recall) and rows["y"] == pytest.approx(wanted_precision)


def test_the_points_of_the_reliability_diagram_are_scikit_learns():
    scores = np.clip(SCORES + 0.0037, 0, 1)                     # off the edges of the bins
    bins = reliability(LABELS == 1, scores)
    columns = list(vars(bins).values())             # edges, images, predicted, observed, lowest, highest
    chart = probabilities.reliability([probabilities.Bins("ill", "red", *columns[2:6], columns[1])], of="ill",
                                      alt="")
    rows = chart.tables["points"].to_pydict()
    observed, predicted = calibration_curve(LABELS, scores, n_bins=10)
    assert rows["observed"] == pytest.approx(observed) and rows["predicted"] == pytest.approx(predicted)
    assert sum(rows["n"]) == 300


def test_bars_of_the_histogram_are_those_of_numpy():
    chart = probabilities.histogram(LABELS, SCORES, ["well", "ill"], threshold=0.5, bins=30)
    rows = chart.tables["bins"].to_pylist()
    for k, name in enumerate(("well", "ill")):
        wanted, edges = np.histogram(SCORES[LABELS == k], 30, (0, 1))
        assert [row["n"] for row in rows if row["class"] == name] == wanted.tolist()
        assert [row["low"] for row in rows if row["class"] == name] == pytest.approx(edges[:-1])


def test_numbers_in_the_confusion_matrix_are_scikit_learns():
    true, predicted = RANDOM.integers(0, 3, 200), RANDOM.integers(0, 3, 200)
    wanted = confusion_matrix(true, predicted)
    drawn = texts(as_svg(probabilities.confusion(wanted, ["a", "b", "c"])))
    assert [int(text) for text in drawn if text.isdigit()] == wanted.ravel().tolist()


def training(**more) -> Chart:
    lines = {curves.TRAIN: (EPOCHS, 1 / EPOCHS), curves.VAL: (EPOCHS, 1.2 / EPOCHS),
             curves.BATCHES: (np.linspace(0.1, 10, 50), 1 / np.linspace(1, 10, 50))}
    return curves.training("Cross-entropy", lines, epochs=10, best=10, **more)


def test_a_training_has_a_line_each_and_a_ring_around_the_best_epoch():
    chart = training(behind={"earlier": (EPOCHS, 2 / EPOCHS)}, legend=True)
    lines = [element.get("aria-label") for element in ElementTree.fromstring(as_svg(chart)).iter()
             if element.get("aria-roledescription") == "line mark"]
    assert [next(name for name in ("earlier", curves.BATCHES, curves.TRAIN, curves.VAL) if name in line)
            for line in lines] == [
        "earlier", curves.BATCHES, curves.TRAIN, curves.VAL]           # validation is drawn over the rest
    assert chart.tables["best"].to_pylist() == [{"epoch": 10, "value": pytest.approx(0.12),
                                                 "line": curves.VAL}]
    assert {curves.TRAIN, curves.VAL, curves.BATCHES, "Epoch", "Cross-entropy"} <= set(texts(as_svg(chart)))


def test_a_curve_is_smoothed_as_pandas_does():
    values = np.random.default_rng(0).normal(size=40)
    values[[0, 7]] = np.nan
    for factor in (0.0, 0.3, 0.9):
        expected = pd.Series(values).ewm(alpha=1 - factor, adjust=True, ignore_na=True).mean().to_numpy()
        known = ~np.isnan(values)
        np.testing.assert_allclose(curves.smooth(values, factor)[known], expected[known])


def test_a_logarithmic_loss_has_powers_of_ten_and_no_zero():
    lines = {curves.TRAIN: (np.arange(1, 5), np.array([10.0, 1.0, 0.1, 0.0]))}
    drawn = texts(as_svg(curves.training("Loss", lines, epochs=4, log=True)))
    assert {"0.1", "1", "10"} <= set(drawn)
    assert "0.1" in curves.training("Loss", lines, epochs=4, log=True).alt.split("now")[0]


def test_an_empty_training_is_drawn_with_its_axes():
    chart = curves.training("ROC AUC", {}, epochs=3)
    assert texts(as_svg(chart))[:4] == ["0", "1", "2", "3"] and "Nothing yet" in chart.alt


# -----------------------------------------------------------------------------------------------------------
# every kind

def every_kind(names: list[str]) -> dict[str, Chart]:
    """A chart of each kind in which these names stand."""
    fpr, tpr, _ = roc_curve(LABELS, SCORES)
    colors = [palette.class_color(k) for k in range(len(names))]
    each = np.linspace(0, 1, 6)
    frame = pd.DataFrame({"x": 10.0 ** np.arange(len(names)) * 1e4, "y": np.linspace(0.7, 0.9, len(names)),
                          "low": 0.6, "high": 0.95,
                          "label": names, "color": colors, "name": names, "details": names})
    means = pd.DataFrame({"x": np.tile([100, 200], len(names)), "kind": np.repeat(names, 2), "mean": 0.8,
                          "low": 0.7, "high": 0.9,
                          "runs": 2})
    bins = list(vars(reliability(LABELS == 1, SCORES)).values())
    return {
        "roc": curves.roc({name: (fpr, tpr) for name in names}, colors),
        "precision_recall": curves.precision_recall({name: (tpr, 1 - fpr) for name in names}, colors),
        "training": curves.training("Loss", {}, behind={name: (EPOCHS, EPOCHS) for name in names}, epochs=10),
        "runs": curves.runs("Loss", [(name, name, EPOCHS, 1 / EPOCHS) for name in names],
                            dict(zip(names, colors))),
        "learning_rates": curves.learning_rates(np.geomspace(1e-6, 1, 40), EPOCHS.repeat(4), EPOCHS.repeat(4),
                                                {names[0]: 1e-3}),
        "histogram": probabilities.histogram(LABELS, SCORES, names[:2], threshold=0.5),
        "reliability": probabilities.reliability([probabilities.Bins(name, color, *bins[2:6], bins[1])
                                                  for name,
                                                  color in zip(names, colors)],
                                                 alt="", of=names[0], legend=True),
        "bin_counts": probabilities.bin_counts(bins[0], bins[1], of=names[0]),
        "confusion": probabilities.confusion(np.eye(len(names), dtype=int), names),
        "estimates": comparisons.estimates([(name, 0.8, 0.7, 0.9, 10) for name in names], "Accuracy",
                                           names[0], overall=0.8),
        "differences": comparisons.differences([(name, 0.02, -0.01, 0.04, False) for name in names]),
        "study": comparisons.study(means, means.rename(columns={"mean": "value"}), "Accuracy",
                                   "Training images",
                                   dict(zip(names, colors)), "", limits=(0, 1)),
        "cost": comparisons.cost(frame, "Parameters", "Accuracy", alt="", limits=(0, 1)),
        "cost_log": comparisons.cost(frame.assign(y=frame["x"]), "Parameters", "Multiply-adds", alt="",
                                     log_y=True),
        "randomisation": sanity.randomisation(names, np.linspace(1, 0, len(names)),
                                              np.linspace(1, 0, len(names)), 0.5),
        "deletion_insertion": sanity.deletion_insertion({name: 1 - each for name in names[:4]},
                                                        {name: each for name in names[:4]}, ""),
        "folds": members.folds("Accuracy", [(name, (0.8, None, 0.9)) for name in names]),
        "scores": members.scores("Accuracy", [(name, "way", 0.8, 0.7, 0.9, 10) for name in names], 0.85, names[0]),
        "weights": members.weights("Weight", [(name, k - 1.0) for k, name in enumerate(names)]),
        "growth": members.growth(1 / EPOCHS, [names[k % len(names)] for k in range(len(EPOCHS))], 4),
        "heat": sanity.heat_by_region([(name, 0.3, 0.1, 0.5, 16) for name in names]),
        "architecture": architecture.architecture([(name, (64, 7, 7), 1000, k % 2 == 0) for k,
                                                   name in enumerate(names)]),
    }


# Kinds whose names are not written: told in a legend beside the chart, in the tooltip or in the words of the
# chart.
UNWRITTEN = {"training", "runs", "learning_rates", "growth"}


@pytest.mark.parametrize("kind", every_kind(["a", "b"]))
def test_every_kind_is_drawn_and_writes_odd_names_as_typed(kind):
    chart = every_kind(ODD)[kind]
    written = texts(as_svg(chart))
    if kind in ("histogram",):
        assert {*ODD[:2], f"Predicted probability of {ODD[1]}"} <= set(written)
    elif kind == "bin_counts":
        assert f"Predicted probability of {ODD[0]}" in written
    elif kind == "randomisation":                       # the first part of a dotted name is its block
        assert {name.partition(".")[0] for name in ODD} <= set(written)
    elif kind not in UNWRITTEN:
        assert set(ODD[:4] if kind == "deletion_insertion" else ODD) <= set(written)
    assert chart.alt or kind in ("reliability", "study", "cost", "cost_log", "deletion_insertion")
    shown = Image.open(io.BytesIO(as_png(chart))).convert("RGB")
    assert shown.getpixel((0, 0)) == (255, 255, 255) and len(shown.getcolors(1 << 24)) > 10


def test_altair_agrees_with_every_chart():
    """Its schema is that of Vega-Lite: it would raise on a misspelt word."""
    for chart in every_kind(["a", "b"]).values():
        spec = chart.vega_lite()
        alt.Chart.from_dict(spec | {"datasets": {name: rows.to_pylist() for name,
                                                 rows in spec["datasets"].items()}})


def test_the_same_data_give_the_same_bytes():
    (one, png), (other, same) = ((as_svg(chart), as_png(chart)) for chart in (training(), training()))
    assert one == other and png == same
    width, height = Image.open(io.BytesIO(png)).size
    shown = ElementTree.fromstring(one)
    scale = width / float(shown.get("width")), height / float(shown.get("height"))
    assert scale == pytest.approx((200 / 72, 200 / 72), rel=0.01)


# socket() on x86-64 and on ARM. The filter loads the number of a call; where it is that one the kernel
# answers EPERM.
SOCKET_CALL = {"x86_64": 41, "aarch64": 198}.get(platform.machine())
FORBID_SOCKETS = f"""
import ctypes, socket, sys
class Filter(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte),
                ("k", ctypes.c_uint)]
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filters", ctypes.POINTER(Filter))]
filters = (Filter * 4)((0x20, 0, 0, 0), (0x15, 0, 1, {SOCKET_CALL}),
                       (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.byref(Program(4, filters)), 0, 0) == 0
try:
    socket.socket()
    sys.exit("a socket could be opened")
except PermissionError:
    pass
""" if sys.platform == "linux" and SOCKET_CALL else ""
SAVE = """
import sys
from core.charts.save import as_png, as_svg
from tests.test_charts import training
sys.stdout.buffer.write(as_png(training()) + as_svg(training()).encode())
"""


def test_saving_needs_no_network():
    """In a process in which Linux refuses every socket a chart becomes the same bytes."""
    done = subprocess.run([sys.executable, "-c", FORBID_SOCKETS + SAVE], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert done.stdout == as_png(training()) + as_svg(training()).encode()


# -----------------------------------------------------------------------------------------------------------
# cost

def test_a_chart_that_was_drawn_before_costs_next_to_nothing():
    training().vega_lite()
    began = time.process_time()
    for _ in range(50):
        training().vega_lite()
    assert (time.process_time() - began) / 50 < 0.004                  # altair alone takes 9 ms


def test_a_spec_is_built_once_for_the_same_options():
    calls = []

    @built_once
    def build(title: str) -> alt.Chart:
        calls.append(title)
        return table("none").mark_point().encode(x=position("x", "x", title))
    assert build("a") is build("a") and build("b") is not build("a") and calls == ["a", "b"]


@pytest.mark.parametrize("n", [3, 500, 501, 20_000])
def test_thinning_keeps_spikes_and_ends(n):
    y = np.sin(np.arange(n) / 50)
    y[n // 3], y[2 * n // 3] = 9, -9
    x, kept = thin(np.arange(n), y)
    assert len(x) <= 500 and (np.diff(x) > 0).all() and x[0] == 0 and x[-1] == n - 1
    assert kept.max() == y.max() and kept.min() == y.min()
    assert (kept == y[x.astype(int)]).all()


def test_thinning_leaves_out_what_is_not_a_number():
    x, y = thin(np.arange(5), np.array([1, np.nan, 2, np.inf, 3]))
    assert list(x) == [0, 2, 4] and list(y) == [1, 2, 3]


def test_a_thinned_staircase_keeps_its_ends_and_goes_on_rising():
    x, y = thin_staircase(np.linspace(0, 1, 2000), np.linspace(0, 1, 2000) ** 0.5)
    assert len(x) == 500 and (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1) and (np.diff(x) > 0).all()


# -----------------------------------------------------------------------------------------------------------
# palette

def test_a_legend_of_two_hundred_classes_is_cut_and_counts_the_rest():
    def drawn(classes):
        names = {f"class number {k}": ([0, 0, 1], [0, (k + 1) / 201, 1]) for k in range(classes)}
        return curves.roc(names, [palette.class_color(k) for k in range(classes)])
    few, many = drawn(12), drawn(200)
    said = [text for text in texts(as_svg(many)) if text and ("class number" in text or "entries" in text)]
    assert len(said) == 12 and said[-1] == "\u2026189 entries", "eleven names, and how many more there are"
    assert sum("class number" in (text or "") for text in texts(as_svg(few))) == 12
    assert many.height == few.height and many.alt.endswith("class number 11 and 188 more.")
    assert heading("Of classes", {f"class {k}": "red" for k in range(200)}).count("<i ") == 12


def test_pages_and_reports_share_one_palette():
    found = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]
    for mode in ("light", "dark"):
        assert found[mode]["chartCategoricalColors"] == list(palette.CLASSES)
        assert found[mode]["greenColor"] == palette.OUTCOMES["right"]
        assert found[mode]["orangeColor"] == palette.OUTCOMES["wrong"]
    elsewhere = [path for folder in ("core", "pages") for path in (ROOT / folder).rglob("*.py")
                 if path.name != "palette.py"]
    known = {*palette.SPLITS.values(), *palette.CLASSES}
    assert [(path.name, color) for path in elsewhere for color in re.findall("#[0-9a-f]{6}", path.read_text())
            if color in known] == []


def test_lines_of_a_chart_differ_by_more_than_their_colour():
    dashes = [palette.dash(k) for k in range(4)]
    assert len(set(dashes)) == 4 and all(one != other for one,
                                         other in itertools.pairwise(map(palette.dash, range(12))))


def test_pages_draw_charts_through_one_door_and_no_chart_is_written_by_hand():
    sources = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "pages").rglob("*.py")}
    assert [name for name, source in sources.items() if re.search(r"st\.(vega_lite|altair)_chart", source)] == [
        "pages/shared/charts.py"]
    assert [name for name, source in sources.items() if '"layer": [' in source or '"type": "quantitative"' in source] == []
