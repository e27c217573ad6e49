"""What the sanity checks of heat-maps found: maps under random weights, deletion and insertion, where the
heat lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from core.charts import axes, palette
from core.charts.axes import Axis
from core.charts.chart import Chart, built_once, line_legend, one_each, position, row_labels, table

if TYPE_CHECKING:
    import altair as alt

HEIGHT = 260
MEASURES = ("rank correlation", "SSIM")


def randomisation(blocks: Sequence[str], rank_correlation: np.ndarray, ssim: np.ndarray,
                  limit: float) -> Chart:
    """Return how alike maps stay while the weights become random, last layer first (Adebayo et al. 2018).

    Args:
        blocks: names of the layers, in the order in which they become random
        rank_correlation, ssim: (len(blocks),) in [-1, 1]
        limit: below it the maps count as different
    """
    both = {MEASURES[0]: rank_correlation, MEASURES[1]: ssim}
    rows = pa.table({"place": list(range(len(blocks))) * 2, "block": list(blocks) * 2,
                     "value": np.concatenate([np.asarray(values, float) for values in both.values()]),
                     "measure": [name for name, values in both.items() for _ in values]})
    labels = tuple(block.removeprefix("features.").partition(".")[0] for block in blocks)
    ends = Axis((-0.2, len(blocks) - 0.8), tuple(map(float, range(len(blocks)))), labels)
    said = ", ".join(f"{block} {value:.2f}" for block, value in zip(blocks, rank_correlation))
    return Chart(_randomisation_spec(), {"maps": rows, "limit": pa.table({"y": [float(limit)]})},
                 f"Rank correlation with the maps of the trained network: {said}.",
                 {"x_axis": ends,
                  "y_axis": axes.linear([0, 1, *rows["value"].to_numpy()], limits=(-1, 1), count=6)},
                 height=HEIGHT)


@built_once
def _randomisation_spec() -> alt.LayerChart:
    import altair as alt
    y = "Similarity to the trained map"
    rule = table("limit").mark_rule(strokeDash=[2, 3], color=palette.QUIET).encode(y=position("y", "y", y))
    dots = alt.OverlayMarkDef(size=22, color=palette.ACCENT)
    lines = table("maps").mark_line(strokeWidth=2, color=palette.ACCENT, point=dots).encode(
        x=position("x", "place", "Random down to", grid=False, labelLimit=70, labelAngle=-35),
        y=position("y", "value", y),
        strokeDash=alt.StrokeDash("measure:N", title=None, scale=one_each(MEASURES, ((1, 0), (4, 3))),
                                  legend=line_legend(orient="top", offset=2)),
        tooltip=[alt.Tooltip("block:N", title="Random down to"), alt.Tooltip("measure:N", title="Measure"),
                 alt.Tooltip("value:Q", title="Similarity", format=".2f")])
    return alt.layer(rule, lines)


def deletion_insertion(deletion: Mapping[str, np.ndarray], insertion: Mapping[str, np.ndarray],
                       alt: str) -> Chart:
    """Return the probability while pixels are deleted (solid) or inserted (dashed) (Petsiuk et al. 2018).

    Args:
        deletion, insertion: order of the pixels -> (T + 1,) probability, none to all of them; first the map
    """
    parts = [(way, order, np.asarray(values, float))
             for way, curves in (("deletion", deletion), ("insertion", insertion)) for order,
             values in curves.items()]
    rows = pa.table({"share": np.concatenate([np.linspace(0, 1, len(values)) for *_, values in parts]),
                     "value": np.concatenate([values for *_, values in parts]),
                     "order": [order for _, order, values in parts for _ in values],
                     "way": [way for way, _, values in parts for _ in values]})
    return Chart(_deletion_insertion_spec(tuple(deletion)), {"curve": rows}, alt,
                 {"x_axis": axes.shares(), "y_axis": axes.shares()}, height=HEIGHT)


@built_once
def _deletion_insertion_spec(orders: tuple[str, ...]) -> alt.Chart:
    import altair as alt
    colors = (palette.ACCENT, palette.CLASSES[1], palette.CLASSES[0], palette.CLASSES[4])
    names, ways = one_each(orders, colors), one_each(("deletion", "insertion"), ((1, 0), (4, 3)))
    legend = line_legend(orient="top", offset=2, columns=2, columnPadding=6)
    return table("curve").mark_line(strokeWidth=2).encode(
        x=position("x", "share", "Share of the pixels", grid=False),
        y=position("y", "value", "Predicted probability"),
        color=alt.Color("order:N", title=None, scale=names, legend=legend),
        strokeWidth=alt.StrokeWidth("order:O", legend=None, scale=one_each(orders, (3, 1.8, 1.3, 0.8))),
        strokeDash=alt.StrokeDash("way:N", legend=None, scale=ways),
        tooltip=[alt.Tooltip("order:N", title="Order"), alt.Tooltip("way:N", title="Pixels"),
                 alt.Tooltip("share:Q", title="Share of the pixels", format=".0%"),
                 alt.Tooltip("value:Q", title="Predicted probability", format=".2f")])


def heat_by_region(rows: Sequence[tuple[str, float, float, float, int]]) -> Chart:
    """Return which share of the heat lies in each region, beside the region's share of the image.

    Args:
        rows: (region, share of the heat, share of the image, share of maps that are hottest in it, maps)
    """
    names, energy, area, pointing, images = zip(*rows)
    said = "; ".join(f"{name}: {100 * heat:.0f} % of the heat on {100 * size:.0f} % of the image, "
                     f"hottest there in {100 * hits:.0f} %" for name, heat, size, hits, _ in rows)
    regions = pa.table({"region": list(names), "energy": np.array(energy, float),
                        "area": np.array(area, float), "pointing": np.array(pointing, float),
                        "images": np.array(images)})
    return Chart(_heat_spec(names), {"regions": regions}, f"Where the heat lies. {said}.",
                 {"x_axis": axes.shares()}, height=HEIGHT)


@built_once
def _heat_spec(names: tuple[str, ...]) -> alt.LayerChart:
    import altair as alt
    base = table("regions").encode(
        y=row_labels("region", names),
        tooltip=[alt.Tooltip("region:N", title="Region"),
                 alt.Tooltip("energy:Q", title="Share of the heat", format=".1%"),
                 alt.Tooltip("area:Q", title="Share of the image", format=".1%"),
                 alt.Tooltip("pointing:Q", title="Pointing game", format=".0%"),
                 alt.Tooltip("images:Q", title="Maps")])
    title = "Share of the heat"
    return alt.layer(
        base.mark_bar(color=palette.ACCENT, height=alt.RelativeBandSize(0.5)).encode(
            x=position("x", "energy", title), x2=alt.datum(0)),
        base.mark_tick(thickness=2, color=palette.QUIET, height=alt.RelativeBandSize(0.8)).encode(
            x=position("x", "area", title)))
