"""The three charts of the scaling page. What is told apart by colour is named in a legend beside the chart, in HTML."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from math import ceil, exp, floor, log10
from typing import Any

import altair as alt
import numpy as np

from .charts import COLOURS, Chart, power_labels
from .offence_defence import DefenceFit, DefencePoint
from .scaling import Series
from .size_trend import Budget, SizeFit, SizePoint
from .success_trend import SuccessFit, SuccessPoint

Row = dict[str, Any]
_SHARES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
_GUIDE = "var(--strong-line)"


def size_chart(budgets: Sequence[Budget], points: Iterable[SizePoint], fits: Iterable[SizeFit]) -> Chart:
    """Parameters against robust accuracy, a panel per budget; the lines are the fits."""
    rows, lines = size_rows(points), _fitted_shares(fits)
    labels = series_labels(points)
    x = _log_x("parameters", "parameters", [row["parameters"] for row in rows])
    scale = _scale(labels, COLOURS)
    colour = alt.Color("series:N", scale=scale, legend=None)
    panels = []
    for place, budget in enumerate(budgets):
        title = "robust accuracy, %" if place == 0 else None
        y = alt.Y("value:Q", scale=alt.Scale(domain=[0, 100]), axis=alt.Axis(title=title, tickCount=5))
        own = [row for row in rows if (row["budget"], row["amount"]) == (budget.kind, budget.amount)]
        own_lines = [row for row in lines if (row["budget"], row["amount"]) == (budget.kind, budget.amount)]
        base = alt.Chart(alt.Data(values=own)).encode(x=x, color=colour)
        ranges = base.mark_rule(strokeWidth=1.25, opacity=0.7).encode(y=alt.Y("low_value:Q"), y2="high_value:Q")
        fitted = (
            alt.Chart(alt.Data(values=own_lines))
            .mark_line(strokeWidth=1.5, opacity=0.8, clip=True)
            .encode(x=x, y=y, color=colour, detail="series:N")
        )
        panel = alt.layer(fitted, ranges, _marked(base, y, "series:N", scale))
        panels.append(panel.properties(width=250, height=230, title=alt.TitleParams(budget.text, fontSize=13)))
    return alt.hconcat(*panels, spacing=18)


def offence_chart(
    points: Sequence[DefencePoint], fits: Sequence[DefenceFit], *, share: bool = False, sizes: Sequence[str]
) -> Chart:
    """Defence compute against attack compute at one success rate, a panel per series, a line per size.

    share: defence compute as a share of pretraining. sizes: those of the task and attack, which choose the colours.
    """
    return alt.hconcat(*(_offence_panel(points, fit, share, sizes) for fit in fits), spacing=24)


def success_chart(points: Sequence[SuccessPoint], fits: Sequence[SuccessFit], *, sizes: Sequence[str]) -> Chart:
    """Attack compute against logit(ASR), a panel per series, a line per model."""
    panels = []
    for fit in fits:
        own = [
            {**asdict(point), "mark": "doubtful" if point.doubtful else "known"}
            for point in points
            if (point.source, point.family) == fit.series[:2]
        ]
        ends = [
            {"size": model.size, "cost": 10**x, "logit": model.intercept + model.slope * x, "last": x == model.last}
            for model in fit.models
            for x in (model.first, model.last)
        ]
        x = _log_x("cost", "attack compute per example, FLOP", [row["cost"] for row in own])
        scale = _scale(sizes, ramp(len(sizes)))
        colour = alt.Color("size:N", scale=scale, legend=None)
        logits = [round(log10(each / (1 - each)) / log10(exp(1)), 4) for each in _SHARES]
        percents = alt.Axis(title="attack success rate, %", values=logits, labelExpr=_PERCENT)
        y = alt.Y("logit:Q", scale=alt.Scale(domain=[-5.3, 6.3]), axis=percents)
        base = alt.Chart(alt.Data(values=own)).encode(x=x, color=colour)
        lines = alt.Chart(alt.Data(values=ends)).encode(x=x, y=y, color=colour, detail="size:N")
        ends_of_lines = lines.transform_filter("datum.last").mark_text(align="left", dx=5, fontSize=11, clip=True)
        drawn = alt.layer(
            lines.mark_line(strokeWidth=1.5, clip=True),
            _marked(base, y, "size:N", scale, 30),
            ends_of_lines.encode(text="size:N"),
        )
        panels.append(drawn.properties(width=400 if len(fits) > 1 else 600, height=300, title=_title(fit.series, fits)))
    return alt.hconcat(*panels, spacing=24)


def size_rows(points: Iterable[SizePoint]) -> list[Row]:
    """The first chart's data: the points as they are downloaded, and in percent."""
    return [
        {
            **asdict(point),
            "value": 100 * point.robust_accuracy,
            "low_value": 100 * point.low,
            "high_value": 100 * point.high,
            "mark": "doubtful" if point.doubtful else "bound" if point.bound else "known",
        }
        for point in points
    ]


def defence_rows(points: Iterable[DefencePoint], series: Series, share: bool) -> list[Row]:
    """The second chart's data for one series: its points, and the undefended ones of the same family at the margin.

    Undefended models have no place on a log axis; they stand a decade below the least defence.
    """
    field = "defence_share" if share else "defence"
    own = [
        asdict(point)
        for point in points
        if (point.source, point.family) == series[:2]
        and point.training in (series.training, "none")
        and getattr(point, field) is not None
    ]
    least = min((row[field] for row in own if row[field] > 0), default=1.0)
    margin = 10.0 ** (floor(log10(least)) - 1)
    marks = {"reached": "known", "between": "known", "at most": "bound", "more than": "held"}
    return [
        {**row, "x": row[field] or margin, "mark": "doubtful" if row["doubtful"] else marks[row["kind"]]} for row in own
    ]


def series_labels(points: Iterable[SizePoint]) -> list[str]:
    return list(dict.fromkeys(point.series for point in points))


def ramp(count: int) -> list[str]:
    """Colours from one end to the other, for sizes in order."""
    steps = [round(100 * place / max(1, count - 1)) for place in range(count)]
    return [f"color-mix(in oklab, var(--c2) {step}%, var(--c1))" for step in steps]


_PERCENT = "format(100 / (1 + exp(-datum.value)), '.0f')"
_SHAPES = {"known": "circle", "bound": "triangle-down", "held": "triangle-up", "doubtful": "diamond"}


def _offence_panel(points: Sequence[DefencePoint], fit: DefenceFit, share: bool, sizes: Sequence[str]) -> Chart:
    rows = defence_rows(points, fit.series, share)
    margin = min((row["x"] for row in rows), default=1.0)
    title = "adversarial training as a share of pretraining" if share else "adversarial training, FLOP"
    x = _log_x("x", title, [row["x"] for row in rows], none=margin)
    y = _log_y("attack", "attack compute per example, FLOP", [row["attack"] for row in rows])
    scale = _scale(sizes, ramp(len(sizes)))
    colour = alt.Color("size:N", scale=scale, legend=None)
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, color=colour)
    lines = base.transform_filter("datum.fitted").mark_line(strokeWidth=1.5).encode(y=y, detail="size:N")
    ends = alt.Chart(alt.Data(values=_last_of_each_size(rows))).encode(x=x, y=y, color=colour, text="size:N")
    rule = alt.Chart(alt.Data(values=[{"x": margin * 10**0.5}])).mark_rule(stroke=_GUIDE, strokeDash=[2, 3])
    layers = [rule.encode(x=x), lines, *_guides(rows, fit, x, y), _marked(base, y, "size:N", scale)]
    layers.append(ends.mark_text(align="left", dx=7, fontSize=11))
    return alt.layer(*layers).properties(width=400, height=300, title=_title(fit.series, [fit, fit]))


def _last_of_each_size(rows: Iterable[Row]) -> list[Row]:
    last: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: row["x"]):
        last[row["size"]] = {"size": row["size"], "x": row["x"], "attack": row["attack"]}
    return list(last.values())


def _guides(rows: Sequence[Row], fit: DefenceFit, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Lines of slope 1 and of the fitted slope through the middle of what was fitted."""
    used = [(log10(row["x"]), log10(row["attack"])) for row in rows if row["fitted"]]
    if not used:
        return []
    middle = np.mean(used, axis=0)
    left, right = min(a for a, _ in used), max(a for a, _ in used)
    slopes = [1.0]
    if fit.overall is not None:
        slopes.append(fit.overall.slope.value)
    found = []
    for dash, slope in zip(([5, 4], [1, 0]), slopes, strict=False):
        ends = [{"x": 10**a, "attack": 10 ** (middle[1] + slope * (a - middle[0]))} for a in (left, right)]
        line = alt.Chart(alt.Data(values=ends)).mark_line(stroke=_GUIDE, strokeWidth=1.5, strokeDash=dash, clip=True)
        found.append(line.encode(x=x, y=y))
    return found


def _marked(base: alt.Chart, y: alt.Y, field: str, scale: alt.Scale, size: int = 46) -> alt.Chart:
    """Points whose shape says what they are; only what is known is filled."""
    kinds = list(_SHAPES)
    filled = [1 if kind == "known" else 0 for kind in kinds]
    return base.mark_point(size=size, strokeWidth=1.4).encode(
        y=y,
        shape=alt.Shape("mark:N", scale=alt.Scale(domain=kinds, range=list(_SHAPES.values())), legend=None),
        fill=alt.Fill(field, scale=scale, legend=None),
        fillOpacity=alt.FillOpacity("mark:N", scale=alt.Scale(domain=kinds, range=filled), legend=None),
    )


def _fitted_shares(fits: Iterable[SizeFit]) -> list[Row]:
    rows = []
    for fit in fits:
        if fit.line is None:
            continue
        for x in np.linspace(log10(fit.smallest.parameters), log10(fit.largest.parameters), 25):
            share = 100 / (1 + exp(-fit.line.at(float(x))))
            row = {"series": fit.label, "budget": fit.budget.kind, "amount": fit.budget.amount}
            rows.append({**row, "parameters": 10 ** float(x), "value": share})
    return rows


def _title(series: Series, among: Sequence[object]) -> alt.TitleParams:
    return alt.TitleParams(series.label if len(among) > 1 else "", fontSize=13)


def _scale(domain: Sequence[str], colours: Sequence[str]) -> alt.Scale:
    return alt.Scale(domain=list(domain), range=[colours[place % len(colours)] for place in range(len(domain))])


def _decades(values: Sequence[float]) -> tuple[list[float], list[float]]:
    """The domain that holds all values, and the powers of ten in it."""
    low, high = min(values, default=1.0), max(values, default=10.0)
    inside = range(ceil(log10(low) - 1e-9), floor(log10(high) + 1e-9) + 1)
    return [low / 1.5, high * 2], [10.0**power for power in inside]


def _log_x(field: str, title: str, values: Sequence[float], none: float | None = None) -> alt.X:
    domain, ticks = _decades(values)
    labels = _negative_powers() if none is not None else power_labels()
    if none is not None:
        labels = f"datum.value < {none * 1.5} ? 'none' : {labels}"
        ticks = [none, *(tick for tick in ticks if tick > none * 1.5)]
    axis = alt.Axis(title=title, values=ticks, labelExpr=labels, grid=False)
    return alt.X(f"{field}:Q", scale=alt.Scale(type="log", domain=domain, nice=False), axis=axis)


def _log_y(field: str, title: str, values: Sequence[float]) -> alt.Y:
    domain, ticks = _decades(values)
    axis = alt.Axis(title=title, values=ticks, labelExpr=power_labels())
    return alt.Y(f"{field}:Q", scale=alt.Scale(type="log", domain=domain, nice=False), axis=axis)


def _negative_powers() -> str:
    """As `power_labels`, and shares of one in percent."""
    return f"datum.value < 1 ? format(datum.value * 100, '~g') + ' %' : {power_labels()}"
