"""Ticks and labels of charts: they differ, say where they are, and are those that are really drawn."""

import math

import altair as alt
import numpy as np
import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from core.charts import axes
from core.charts.chart import Chart, built_once, position, table
from core.charts.save import as_svg
from tests.test_charts import texts


def ticks(axis: axes.Axis, log: bool = False) -> list[str]:
    """The labels that are really drawn along an axis."""
    @built_once
    def build(log: bool) -> alt.Chart:
        return table("none").mark_point().encode(x=position("x", "x", log=log))
    return texts(as_svg(Chart(build(log), {"none": pa.table({"x": pa.array([], pa.float64())})}, "",
                              {"x_axis": axis})))


RANGES = [[0.9998, 1], [0.5, 0.51], [0, 3], [1e-6, 1], [1, 1], [0, 0], [0.7, 0.7], [-0.03, 0.02],
          [99990, 100010], [0, 2.5e6],
          [1e-9, 3e-9], [0.99999999, 1], [-1, 1], [1234.5, 1234.6], [], [math.nan], [math.inf, 2, 3]]


@pytest.mark.parametrize("values", RANGES, ids=str)
@pytest.mark.parametrize("count", [3, 5, 8])
def test_labels_of_neighbouring_ticks_differ_and_say_where_the_tick_is(values, count):
    axis = axes.linear(values, count=count)
    assert 2 <= len(axis.ticks) <= count and len(set(axis.labels)) == len(axis.labels)
    steps = np.diff(axis.ticks)
    assert steps == pytest.approx(steps[0], rel=1e-6)
    read = [float(label.replace(",", "")) for label in axis.labels]
    assert read == pytest.approx(axis.ticks, abs=1e-3 * steps[0])
    low, high = axis.domain
    assert low <= axis.ticks[0] and axis.ticks[-1] <= high
    assert all(low <= value <= high for value in values if math.isfinite(value))


@pytest.mark.parametrize("values", RANGES, ids=str)
def test_the_labels_that_are_drawn_are_those(values):
    axis = axes.linear(values)
    assert ticks(axis) == list(axis.labels)


@pytest.mark.parametrize("values", [[1e-6, 1], [1e-3, 1e-3], [2e-4, 8e-4], [3e5, 2e8], [1.1, 1.3],
                                    [5e-8, 9e13], []], ids=str)
@pytest.mark.parametrize("powers", [True, False])
def test_labels_of_logarithmic_axes_differ_and_are_drawn(values, powers):
    axis = axes.log(values, powers=powers)
    assert 2 <= len(axis.ticks) and len(set(axis.labels)) == len(axis.labels) and axis.domain[0] > 0
    assert ticks(axis, log=True) == list(axis.labels)


def test_learning_rates_are_written_as_powers():
    assert axes.log([1e-6, 1], powers=True, count=8).labels == ("1e-6", "1e-5", "1e-4", "1e-3", "1e-2",
                                                                "1e-1", "1e0")


@pytest.mark.parametrize("values", [[0.9998, 1], [0, 1], [1, 1], [0, 0], [0.001, 0.999]], ids=str)
def test_the_axis_of_a_share_never_goes_past_it(values):
    low, high = axes.linear(values, limits=(0, 1)).domain
    assert 0 <= low < high <= 1


@pytest.mark.parametrize("last", [1, 2, 3, 7, 12, 40, 300, 5000])
@pytest.mark.parametrize("count", [3, 6])
def test_epochs_and_counts_are_whole_numbers(last, count):
    axis = axes.linear([0, last], integers=True, room=0, count=count)
    assert axis.domain == (0, last) and all(label.replace(",", "").isdigit() for label in axis.labels)
    assert len(axis.ticks) <= count


def test_differences_have_a_sign():
    assert axes.linear([-0.02, 0.02], signed=True).labels == ("-0.02", "-0.01", "0.00", "+0.01", "+0.02")


def test_a_growing_curve_moves_its_axis_only_now_and_then():
    """Each move draws the whole chart anew in the browser."""
    domains = [axes.linear([0.3 - i / 1e4, 0.7]).domain for i in range(100)]
    assert len(set(domains)) < 10


def test_a_chart_without_data_is_a_sentence_and_one_with_data_is_drawn():
    """Vega warns in the browser's console of each scale that has nothing to span."""
    def page():
        import numpy as np

        from core.charts import curves
        from pages.shared.charts import show_chart
        for key, n in (("none", 0), ("some", 3)):
            points = np.arange(float(n))
            show_chart(curves.runs("Loss", [("A", "A", points, points)], {"A": "red"}), key=key)
    at = AppTest.from_function(page).run()
    assert not at.exception and [caption.value for caption in at.caption] == ["There is nothing to draw yet."]
    assert len(at.get("vega_lite_chart") or at.get("arrow_vega_lite_chart")) == 1
