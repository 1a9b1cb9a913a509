"""The curves of one entry on one task: every attack and variant, with intervals and published points.

The chart is declared once in Altair and compiled to Vega once; each drawing only fills in its data, because a site
has many.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import altair as alt
from markupsafe import Markup

from ..benchmark import TIERS, format_gpu_time
from ..submissions.published import iteration_cost
from .charts import COLOURS, Chart, cost_axis, powers_of_ten
from .curve_points import curve_points
from .framed_chart import FramedChart
from .share import Share
from .standing import Bounded, Overall, Reported, Standing
from .views import ADVERSARY

_WIDTH, _HEIGHT = 560, 250
Row = dict[str, Any]


def entry_chart(standings: Mapping[str, Standing], colours: Mapping[str, int]) -> Markup | None:
    """One task as SVG. standings: by attack. colours: the place of each attack in COLOURS. None: nothing to draw."""
    drawn = {attack: points_of(standing) for attack, standing in standings.items()}
    ends = [points[-1].cost for points in drawn.values() if points]
    starts = [points[1].cost for points in drawn.values() if len(points) > 1]
    if not ends:
        return None
    # Whole decades, so that many charts share a frame.
    high = 10.0 ** math.ceil(math.log10(max(ends)) - 1e-9)
    low = 10.0 ** math.floor(math.log10(min([*(cost / 2 for cost in starts if cost), high / 100])) + 1e-9)
    rows = [row for attack, points in drawn.items() for row in rows_of(points, attack, colours[attack], low)]
    tiers = [{"cost": tier, "label": format_gpu_time(tier)} for tier in TIERS if low <= tier <= high]
    return _framed().draw(
        {"curves": rows}, frame_data={"tiers": tiers}, domain=(low, high), ticks=powers_of_ten(low, high)
    )


@dataclass(frozen=True)
class DrawnPoint:
    """From `cost` (FLOP) on, up to the next point. published: a figure of the publication itself."""

    cost: float
    share: Share
    published: bool = False


def points_of(standing: Standing) -> list[DrawnPoint]:
    """A curve from cost 0 on: measured ones on the grid of all charts, published ones at their points, and one
    iteration later, from where they are only bounds.
    """
    if not isinstance(standing, Reported):
        costs = [0.0, *(point.cost for point in curve_points(standing))]
        return [DrawnPoint(cost, standing.at(cost)) for cost in costs]
    published = standing.steps()
    step = iteration_cost(standing.curve)
    later = {cost + step for cost, following in pairwise(published) if cost + step < following}
    costs = sorted({*published, *later})
    return [DrawnPoint(cost, standing.at(cost), cost > 0 and cost not in later) for cost in costs]


def rows_of(points: Sequence[DrawnPoint], attack: str, place: int, low: float) -> list[Row]:
    """The chart's data, shares in percent. Points that are bounds, and those that are none, are a line each. A row
    without a value breaks off a line where the other goes on. low: where the axis begins.
    """
    rows: list[Row] = []
    for before, point in zip([None, *points], points, strict=False):
        value, low_end, high_end = point.share.percents
        row = {
            "cost": float(f"{max(point.cost, low):.5g}"),
            "value": value,
            "low": low_end,
            "high": high_end,
            "place": place,
            "attack": attack,
            "wide": attack == ADVERSARY,
            "published": point.published,
            **_kind(point),
        }
        if before and before.share.bound != point.share.bound:
            end = {} if before.share.bound else {"low": before.share.percents[1]}
            ending = {**row, **_kind(before), "published": False}
            rows += [{**ending, **end}, {**ending, "value": None, "low": None, "high": None}]
        rows.append(row)
    return rows


def _kind(point: DrawnPoint) -> Row:
    return {"bound": point.share.bound, "known": not point.share.bound}


@cache
def _framed() -> FramedChart:
    return FramedChart.of(_chart())


def _chart() -> Chart:
    scale = alt.Scale(type="log", nice=False, clamp=True)
    x = alt.X("cost:Q", scale=scale, axis=cost_axis("attack cost per example, FLOP", TIERS[0], TIERS[-1]))
    y = alt.Y(
        "value:Q",
        scale=alt.Scale(domain=[0, 100]),
        axis=alt.Axis(title="robust accuracy, %", values=[0, 25, 50, 75, 100]),
    )
    places = alt.Scale(domain=list(range(len(COLOURS))), range=list(COLOURS))
    colour = alt.Color("place:O", scale=places, legend=None)
    dashes = alt.StrokeDash("bound:N", scale=alt.Scale(domain=[False, True], range=[[1, 0], [5, 3]]), legend=None)
    curves = alt.Chart(alt.NamedData(name="curves")).encode(x=x, color=colour)
    marks = alt.Chart(alt.NamedData(name="tiers")).encode(x=x)
    soft, line = "var(--soft)", "var(--strong-line)"
    y_only = alt.Y("value:Q")
    single = curves.transform_filter("!datum.wide")
    return alt.layer(
        marks.mark_rule(color=line, strokeDash=[2, 3], opacity=0.8),
        marks.mark_text(color=soft, fontSize=11, baseline="bottom", dy=-4).encode(y=alt.value(0), text="label:N"),
        # A bound has no lower end, so no band.
        single.transform_filter("datum.known")
        .mark_area(interpolate="step-after", opacity=0.14)
        .encode(y="low:Q", y2="high:Q", detail="attack:N"),
        curves.transform_filter("datum.wide")
        .mark_line(interpolate="step-after", strokeWidth=8, opacity=0.3)
        .encode(y=y, detail="attack:N"),
        single.mark_line(interpolate="step-after", strokeWidth=2).encode(
            y=y_only, detail="attack:N", strokeDash=dashes
        ),
        single.transform_filter("datum.published").mark_point(filled=True, size=30, opacity=1).encode(y=y_only),
    ).properties(width=_WIDTH, height=_HEIGHT)


def places(attacks: Sequence[str]) -> dict[str, int]:
    """A colour for each attack; from the ninth on colours come again."""
    return {attack: number % len(COLOURS) for number, attack in enumerate(attacks)}


def drawable(standing: Standing) -> bool:
    """Whether a standing has a curve of its own: what is only the worst of others, or their mean, shows nothing new."""
    return not isinstance(standing, Bounded | Overall)
