"""Compute against robustness: survival curves over a log axis of cost, the tiers marked, a few entries picked out."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import altair as alt
from markupsafe import Markup

from ..benchmark import TIERS
from .charts import COLOURS, Chart, Specification, compact, cost_axis, specification, tier_marks
from .curve_points import CurvePoint
from .framed_chart import FramedChart
from .views import RELATIVE_TIERS

Row = dict[str, Any]
WIDTH, HEIGHT = 960, 340


def rows_of(curves: Mapping[str, Sequence[CurvePoint]]) -> list[Row]:
    """The chart's data, shares in percent. curves: by slug. A curve that is a bound anywhere is drawn dashed."""
    rows = []
    for slug, points in curves.items():
        bound = any(point.share.bound for point in points)
        for point in points:
            value, low, high = point.share.percents
            rows.append({"slug": slug, "cost": point.cost, "value": value, "low": low, "high": high, "bound": bound})
    return rows


def drawn_curves(rows: Sequence[Row], chosen: Sequence[str], *, width: int = WIDTH, height: int = HEIGHT) -> Markup:
    """The chart as SVG, its costs in FLOP."""
    return _framed(width, height).draw({"curves": rows}, signals={"chosen": list(chosen)})


@cache
def _framed(width: int, height: int) -> FramedChart:
    return FramedChart.of(survival_chart(width=width, height=height))


def declaration(chosen: Sequence[str], *, relative: bool = False, width: int = WIDTH, height: int = HEIGHT) -> str:
    """The chart as Vega-Lite (JSON), over a data set named `curves`.

    chosen: slugs in colour and with their interval, eight at most; the others stand grey behind.
    """
    declared = _declared(relative, width, height)
    params = [{**each, "value": list(chosen)} if each["name"] == "chosen" else each for each in declared["params"]]
    return compact({**declared, "params": params})


@cache
def _declared(relative: bool, width: int, height: int) -> Specification:
    return specification(survival_chart(relative=relative, width=width, height=height))


def survival_chart(*, relative: bool = False, width: int = WIDTH, height: int = HEIGHT) -> Chart:
    """The declaration without its data and with nothing chosen."""
    data = alt.NamedData(name="curves")
    low, high = (1.0, RELATIVE_TIERS[-1]) if relative else (TIERS[0] / 100, TIERS[-1])
    title = "attack cost per example, " + ("forward passes of the victim" if relative else "FLOP")
    x = alt.X("cost:Q", scale=alt.Scale(type="log", domain=[low, high], clamp=True), axis=cost_axis(title, low, high))
    y = alt.Y(
        "value:Q",
        scale=alt.Scale(domain=[0, 100]),
        axis=alt.Axis(title="robust accuracy, %", values=[0, 25, 50, 75, 100]),
    )
    colour = alt.Color("place:O", scale=alt.Scale(domain=list(range(8)), range=list(COLOURS)), legend=None)
    base = alt.Chart(data).transform_calculate(place="indexof(chosen, datum.slug)").encode(x=x, detail="slug:N")
    behind = base.transform_filter("datum.place < 0").encode(y=y)
    front = base.transform_filter("datum.place >= 0")
    # The interval of a bound reaches down to 0 and would cover everything.
    known = front.transform_filter("!datum.bound")
    dashes = alt.StrokeDash("bound:N", scale=alt.Scale(domain=[False, True], range=[[1, 0], [6, 3]]), legend=None)
    tip = [alt.Tooltip("name:N", title="entry"), alt.Tooltip("value:Q", title="robust accuracy, %", format=".1f")]
    layers = [
        behind.mark_line(interpolate="step-after", color="var(--c0)", strokeWidth=1, opacity=0.6),
        known.mark_area(interpolate="step-after", opacity=0.16).encode(y=alt.Y("low:Q"), y2="high:Q", color=colour),
        front.mark_line(interpolate="step-after", strokeWidth=2.25).encode(y=y, color=colour, strokeDash=dashes),
    ]
    layers.append(front.mark_point(size=120, opacity=0).encode(y=y, tooltip=tip))
    marks = None if relative else tier_marks(low, high)
    drawn = alt.layer(*([] if marks is None else [marks]), *layers)
    return drawn.add_params(alt.param(name="chosen", value=[])).properties(width=width, height=height)
