"""Compute against robustness: survival curves over a log axis of cost, the tiers marked, a few entries picked out."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from ..benchmark import TIERS
from .charts import COLOURS, Chart, cost_axis, tier_marks
from .curve_points import CurvePoint
from .views import RELATIVE_TIERS

Row = dict[str, Any]


def rows_of(curves: Mapping[str, Sequence[CurvePoint]]) -> list[Row]:
    """The chart's data, shares in percent. curves: by slug. A curve that is a bound anywhere is drawn dashed."""
    return [
        {
            "slug": slug,
            "cost": point.cost,
            "value": round(100 * point.value, 2),
            "low": round(100 * point.low, 2),
            "high": round(100 * point.high, 2),
            "bound": any(each.bound for each in points),
        }
        for slug, points in curves.items()
        for point in points
    ]


def survival_chart(
    rows: Sequence[Row] | None, chosen: Sequence[str], *, relative: bool = False, width: int = 960, height: int = 340
) -> Chart:
    """chosen: slugs in colour and with their interval, eight at most; the others stand grey behind. rows: None for a
    data set named `curves`, which a page's script fills.
    """
    data = alt.NamedData(name="curves") if rows is None else alt.Data(values=list(rows))
    low, high = (1.0, RELATIVE_TIERS[-1]) if relative else (TIERS[0] / 100, TIERS[-1])
    axis = cost_axis("attack cost per example, forward passes of the victim") if relative else cost_axis()
    x = alt.X("cost:Q", scale=alt.Scale(type="log", domain=[low, high], clamp=True), axis=axis)
    y = alt.Y("value:Q", scale=alt.Scale(domain=[0, 100]), axis=alt.Axis(title="robust accuracy, %", tickCount=5))
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
    if rows is None:
        layers.append(front.mark_point(size=120, opacity=0).encode(y=y, tooltip=tip))
    marks = None if relative else tier_marks(low, high)
    drawn = alt.layer(*([] if marks is None else [marks]), *layers)
    return drawn.add_params(alt.param(name="chosen", value=list(chosen))).properties(width=width, height=height)
