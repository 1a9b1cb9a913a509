"""The three charts of the scaling page. What is told apart by colour is named in a legend beside the chart, in HTML.

Panels are declared over names of data, and once for all charts that differ in their data alone. Nothing is drawn
beyond the axes, so that no mark needs a clip, whose number would depend on what else was drawn before.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from math import ceil, floor, log10
from typing import Any

import altair as alt
import numpy as np
from markupsafe import Markup

from .charts import COLOURS, Chart, Specification, power_labels, side_by_side, specification, svg
from .fits import logit, share_of
from .offence_defence import RATES, SHOWN_RATE, DefenceFit, DefencePoint, OffenceDefence
from .scaling import Series
from .size_trend import Budget, SizeFit, SizePoint
from .success_trend import SuccessFit, SuccessPoint

Row = dict[str, Any]
Data = dict[str, list[Row]]
Range = tuple[float, float]
"""The least and the greatest of some values."""
_SHARES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
_SHAPES = {"known": "circle", "bound": "triangle-down", "held": "triangle-up", "doubtful": "diamond"}
_KINDS = {"reached": "known", "between": "known", "at most": "bound", "more than": "held"}
_GUIDE = "var(--strong-line)"


def _declared_once(panel: Callable[..., Chart]) -> Callable[..., Specification]:
    """Altair takes longer to declare a panel than Vega to draw it."""
    return lru_cache(maxsize=200)(lambda *given: specification(panel(*given)))


def size_chart(budgets: Sequence[Budget], points: Sequence[SizePoint], fits: Iterable[SizeFit]) -> Specification:
    """Parameters against robust accuracy, a panel per budget; the lines are the fits."""
    labels, x = tuple(series_labels(points)), _range(point.parameters for point in points)
    lines, data, panels = list(fits), {}, []
    for place, budget in enumerate(budgets):
        own = [point for point in points if (point.budget, point.amount) == (budget.kind, budget.amount)]
        data[f"points{place}"] = size_rows(own)
        data[f"lines{place}"] = _fitted_shares(fit for fit in lines if fit.budget == budget)
        panels.append(_size_panel(place, budget.text, labels, x))
    return side_by_side(panels, data, spacing=18)


def offence_charts(found: OffenceDefence, sizes: Sequence[str], *, share: bool = False) -> dict[float, Markup]:
    """Defence compute against attack compute, drawn for each success rate: a panel per series, a line per size.

    sizes: those of the task and attack, which choose the colours. share: defence compute as a share of pretraining, at
    the rate that is shown first alone. Axes are the same at all rates, so that one declaration serves them all.
    """
    series = list(dict.fromkeys(fit.series for fit in found.fits))
    if share:
        known = {point.source + point.family for point in found.points if point.defence_share}
        series = [each for each in series if each.source + each.family in known]
    if not series:
        return {}
    panels = []
    for place, each in enumerate(series):
        # Of all rates: the axes are theirs.
        rows = defence_rows(found.points, each, share=share)
        x, y = _range(row["x"] for row in rows), _range(row["attack"] for row in rows)
        panels.append(_offence_panel(place, each.label, tuple(sizes), x, y, share))
    charts = {}
    for rate in (SHOWN_RATE,) if share else RATES:
        points = [point for point in found.points if point.success_rate == rate]
        data: Data = {}
        for place, each in enumerate(series):
            fit = next(fit for fit in found.fits if (fit.series, fit.success_rate) == (each, rate))
            data |= _offence_data(place, defence_rows(points, each, share=share), fit)
        charts[rate] = svg(side_by_side(panels, data, spacing=24))
    return charts


def success_chart(points: Sequence[SuccessPoint], fits: Sequence[SuccessFit], sizes: Sequence[str]) -> Specification:
    """Attack compute against logit(ASR), a panel per series, a line per model."""
    ends = [
        model.intercept + model.slope * x for fit in fits for model in fit.models for x in (model.first, model.last)
    ]
    y = _range([*(point.logit for point in points), *ends])
    data, panels = {}, []
    for place, fit in enumerate(fits):
        own = [point for point in points if (point.source, point.family) == fit.series[:2]]
        data[f"points{place}"] = success_rows(own)
        data[f"lines{place}"] = [
            {"size": model.size, "cost": 10**x, "logit": model.intercept + model.slope * x, "last": x == model.last}
            for model in fit.models
            for x in (model.first, model.last)
        ]
        x = _range(point.cost for point in own)
        panels.append(_success_panel(place, fit.series.label, tuple(sizes), x, y))
    return side_by_side(panels, data, spacing=24)


def size_rows(points: Iterable[SizePoint]) -> list[Row]:
    """The first chart's data, shares in percent."""
    return [
        {
            "slug": point.slug,
            "series": point.series,
            "parameters": point.parameters,
            "value": 100 * point.robust_accuracy,
            "low": 100 * point.low,
            "high": 100 * point.high,
            "bound": point.bound,
            "mark": "doubtful" if point.doubtful else "bound" if point.bound else "known",
        }
        for point in points
    ]


def defence_rows(points: Iterable[DefencePoint], series: Series, *, share: bool = False) -> list[Row]:
    """The second chart's data for one series: its points, and the undefended ones of the same family at the margin.

    Undefended models have no place on a log axis; they stand a decade below the least defence.
    """
    own = [
        (point, compute)
        for point in points
        if (point.source, point.family) == series[:2]
        and point.training in (series.training, "none")
        and (compute := point.defence_share if share else point.defence) is not None
    ]
    margin = 10.0 ** (floor(log10(min((compute for _, compute in own if compute > 0), default=1.0))) - 1)
    return [
        {
            "slug": point.slug,
            "size": point.size,
            "x": compute or margin,
            "attack": point.attack,
            "fitted": point.fitted,
            "mark": "doubtful" if point.doubtful else _KINDS[point.kind],
        }
        for point, compute in own
    ]


def success_rows(points: Iterable[SuccessPoint]) -> list[Row]:
    """The third chart's data."""
    return [
        {
            "slug": point.slug,
            "size": point.size,
            "cost": point.cost,
            "logit": point.logit,
            "mark": "doubtful" if point.doubtful else "known",
        }
        for point in points
    ]


def series_labels(points: Iterable[SizePoint]) -> list[str]:
    return list(dict.fromkeys(point.series for point in points))


def ramp(count: int) -> list[str]:
    """Colours from one end to the other, for sizes in order."""
    steps = [round(100 * place / max(1, count - 1)) for place in range(count)]
    return [f"color-mix(in oklab, var(--c2) {step}%, var(--c1))" for step in steps]


@_declared_once
def _size_panel(place: int, title: str, labels: tuple[str, ...], parameters: Range) -> Chart:
    scale = _scale(labels, COLOURS)
    x, colour = _log_x("parameters", "parameters", parameters), alt.Color("series:N", scale=scale, legend=None)
    axis = alt.Axis(title="robust accuracy, %" if place == 0 else None, tickCount=5)
    y = alt.Y("value:Q", scale=alt.Scale(domain=[0, 100]), axis=axis)
    base = _named(f"points{place}").encode(x=x, color=colour)
    # The interval of a bound reaches down to 0 and says no more than its triangle.
    known = base.transform_filter("!datum.bound")
    ranges = known.mark_rule(strokeWidth=1.25, opacity=0.7).encode(y=alt.Y("low:Q"), y2="high:Q")
    fitted = _named(f"lines{place}").mark_line(strokeWidth=1.5).encode(x=x, y=y, color=colour)
    panel = alt.layer(fitted, ranges, _marked(base, y, "series:N", scale))
    return panel.properties(width=250, height=230, title=_title(title))


@_declared_once
def _offence_panel(place: int, title: str, sizes: tuple[str, ...], defence: Range, attack: Range, share: bool) -> Chart:
    name = "adversarial training as a share of pretraining" if share else "adversarial training, FLOP"
    x = _log_x("x", name, defence, none=defence[0])
    y = _log_y("attack", "attack compute per example, FLOP", attack)
    scale = _scale(sizes, ramp(len(sizes)))
    colour = alt.Color("size:N", scale=scale, legend=None)
    base = _named(f"points{place}").encode(x=x, color=colour)
    ends = _named(f"ends{place}").encode(x=x, y=y, color=colour, text="size:N")
    dashes = alt.StrokeDash("dashed:N", scale=alt.Scale(domain=[True, False], range=[[5, 4], [1, 0]]), legend=None)
    guides = _named(f"guides{place}").mark_line(stroke=_GUIDE, strokeWidth=1.5)
    return alt.layer(
        _named(f"margin{place}").mark_rule(stroke=_GUIDE, strokeDash=[2, 3]).encode(x=x),
        base.transform_filter("datum.fitted").mark_line(strokeWidth=1.5).encode(y=y),
        guides.encode(x=x, y=y, strokeDash=dashes),
        _marked(base, y, "size:N", scale),
        ends.mark_text(align="left", dx=7, fontSize=11),
    ).properties(width=400, height=280, title=_title(title))


@_declared_once
def _success_panel(place: int, title: str, sizes: tuple[str, ...], cost: Range, logits: Range) -> Chart:
    scale = _scale(sizes, ramp(len(sizes)))
    colour = alt.Color("size:N", scale=scale, legend=None)
    percents = alt.Axis(
        title="attack success rate, %",
        values=[round(logit(each), 4) for each in _SHARES],
        labelExpr="format(100 / (1 + exp(-datum.value)), '.0f')",
    )
    x = _log_x("cost", "attack compute per example, FLOP", cost)
    y = alt.Y("logit:Q", scale=alt.Scale(domain=[logits[0] - 0.4, logits[1] + 0.4], nice=False), axis=percents)
    fitted = _named(f"lines{place}").encode(x=x, y=y, color=colour)
    return alt.layer(
        fitted.mark_line(strokeWidth=1.5),
        _marked(_named(f"points{place}").encode(x=x, color=colour), y, "size:N", scale, 30),
        fitted.transform_filter("datum.last").mark_text(align="left", dx=5).encode(text="size:N"),
    ).properties(width=400, height=280, title=_title(title))


def _offence_data(place: int, rows: list[Row], fit: DefenceFit) -> Data:
    return {
        f"points{place}": rows,
        f"ends{place}": _last_of_each_size(rows),
        f"margin{place}": [{"x": min(row["x"] for row in rows) * 10**0.5}],
        f"guides{place}": _guides(rows, fit),
    }


def _last_of_each_size(rows: Iterable[Row]) -> list[Row]:
    last = {row["size"]: row for row in sorted(rows, key=lambda row: row["x"])}
    return [{"size": size, "x": row["x"], "attack": row["attack"]} for size, row in last.items()]


def _guides(rows: Sequence[Row], fit: DefenceFit) -> list[Row]:
    """Ends of the lines of slope 1, dashed, and of the fitted slope, both through the middle of what was fitted."""
    used = [(log10(row["x"]), log10(row["attack"])) for row in rows if row["fitted"]]
    if fit.overall is None or not used:
        return []
    points = np.array(used)
    middle = points.mean(axis=0)
    lines = ((1.0, True), (fit.overall.slope.value, False))
    return [
        {"x": 10 ** (middle[0] + away), "attack": float(10 ** (middle[1] + slope * away)), "dashed": dashed}
        for slope, dashed in lines
        for away in _within(points - middle, slope)
    ]


def _within(away: np.ndarray, slope: float) -> list[float]:
    """From where to where a line through 0 stays among points. away: (points, 2). Returns two x."""
    (left, low), (right, high) = away.min(axis=0), away.max(axis=0)
    crossings = sorted((low / slope, high / slope)) if slope else [left, right]
    return [float(max(left, crossings[0])), float(min(right, crossings[1]))]


def _fitted_shares(fits: Iterable[SizeFit]) -> list[Row]:
    return [
        {"series": fit.label, "parameters": 10 ** float(x), "value": 100 * share_of(fit.line.at(float(x)))}
        for fit in fits
        if fit.line is not None
        for x in np.linspace(log10(fit.smallest.parameters), log10(fit.largest.parameters), 15)
    ]


def _named(name: str) -> alt.Chart:
    return alt.Chart(alt.NamedData(name=name))


def _marked(base: alt.Chart, y: alt.Y, field: str, scale: alt.Scale, size: int = 46) -> alt.Chart:
    """Points whose shape says what they are; only what is known is filled."""
    kinds = list(_SHAPES)
    return base.mark_point(size=size, strokeWidth=1.4).encode(
        y=y,
        shape=alt.Shape("mark:N", scale=alt.Scale(domain=kinds, range=list(_SHAPES.values())), legend=None),
        fill=alt.Fill(field, scale=scale, legend=None),
        fillOpacity=alt.condition("datum.mark == 'known'", alt.value(1), alt.value(0)),
    )


def _title(text: str) -> alt.TitleParams:
    return alt.TitleParams(text, fontSize=13)


def _scale(domain: Sequence[str], colours: Sequence[str]) -> alt.Scale:
    return alt.Scale(domain=list(domain), range=[colours[place % len(colours)] for place in range(len(domain))])


def _range(values: Iterable[float]) -> Range:
    every = list(values)
    return min(every, default=1.0), max(every, default=10.0)


def _decades(values: Range) -> tuple[list[float], list[float]]:
    """The domain that holds all values, and the powers of ten in it."""
    low, high = values
    inside = range(ceil(log10(low) - 1e-9), floor(log10(high) + 1e-9) + 1)
    return [low / 1.5, high * 2], [10.0**power for power in inside]


def _log_x(field: str, title: str, values: Range, none: float | None = None) -> alt.X:
    """none: where what has no place on a log axis stands; shares below one are labelled in percent there."""
    domain, ticks = _decades(values)
    labels = power_labels()
    if none is not None:
        percents = f"datum.value < 1 ? format(datum.value * 100, '~g') + ' %' : {labels}"
        labels = f"datum.value < {none * 1.5} ? 'none' : {percents}"
        ticks = [none, *(tick for tick in ticks if tick > none * 1.5)]
    axis = alt.Axis(title=title, values=ticks, labelExpr=labels, grid=False)
    return alt.X(f"{field}:Q", scale=alt.Scale(type="log", domain=domain, nice=False), axis=axis)


def _log_y(field: str, title: str, values: Range) -> alt.Y:
    domain, ticks = _decades(values)
    axis = alt.Axis(title=title, values=ticks, labelExpr=power_labels())
    return alt.Y(f"{field}:Q", scale=alt.Scale(type="log", domain=domain, nice=False), axis=axis)
