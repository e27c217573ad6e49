"""A network as its stages, from the image to the classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from core.charts import palette
from core.charts.chart import Chart, built_once, one_each, table

if TYPE_CHECKING:
    import altair as alt


def architecture(stages: Sequence[tuple[str, tuple[int, ...], int, bool]]) -> Chart:
    """Return a network as a row of boxes, as high as the side of what a stage puts out, with the parameters
    below.

    Args:
        stages: (name, shape of the output, parameters, whether its weights are frozen)
    """
    sides = [shape[-1] if len(shape) == 3 else 1 for _, shape, *_ in stages]
    heights = [0.25 + 0.75 * math.log2(side + 1) / 10 for side in sides]              # 1 px to 512 px
    boxes = pa.table({"order": list(range(len(stages))), "name": [name for name, *_ in stages],
                      "low": [0.5 - height / 2 for height in heights],
                      "high": [0.5 + height / 2 for height in heights],
                      "shape": [" \u00d7 ".join(map(str, shape)) for _, shape, *_ in stages],
                      "parameters": [parameters for _, _, parameters, _ in stages],
                      "state": ["frozen" if frozen else "trained" for *_, frozen in stages]})
    said = "; ".join(f"{name} {shape}, {parameters:,} parameters" for name, shape, parameters in zip(
        boxes["name"].to_pylist(), boxes["shape"].to_pylist(), boxes["parameters"].to_pylist()))
    return Chart(_architecture_spec(), {"stages": boxes}, f"The network, stage by stage: {said}.",
                 paper=(90 * len(stages), 190))


@built_once
def _architecture_spec() -> alt.LayerChart:
    import altair as alt
    states = ["trained", "frozen"]
    colors = one_each(states, (palette.ACCENT, palette.QUIET))
    legend = alt.Legend(orient="bottom", title="Weights")
    base = table("stages").encode(x=alt.X("order:O", axis=None,
                                          scale=alt.Scale(paddingInner=0.35, paddingOuter=0.2)))
    scale = alt.Scale(domain=[0, 1])
    boxes = base.mark_bar(fillOpacity=0.25, strokeWidth=1.5, cornerRadius=4).encode(
        y=alt.Y("low:Q", axis=None, scale=scale), y2="high:Q",
        color=alt.Color("state:N", legend=legend, scale=colors),
        stroke=alt.Stroke("state:N", legend=None, scale=colors),
        strokeDash=alt.StrokeDash("state:N", legend=None, scale=one_each(states, ((1, 0), (4, 3)))))
    return alt.layer(
        boxes,
        base.mark_text(dy=-10, fontWeight="bold", fontSize=11, limit=85).encode(
            y=alt.Y("high:Q", axis=None, scale=scale), text="name:N"),
        base.mark_text(angle=270, fontSize=10).encode(y=alt.datum(0.5, axis=None), text="shape:N"),
        base.mark_text(dy=13, fontSize=10).encode(
            y=alt.Y("low:Q", axis=None, scale=scale), text=alt.Text("parameters:Q", format=",")))
