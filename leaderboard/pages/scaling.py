"""The scaling page: size against robust accuracy, offence against defence, and attack success against attack compute.

Three figures with their fits, and every point of them as CSV and JSON.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from math import isfinite
from typing import Any

from markupsafe import Markup

from ..charts import COLOURS, svg
from ..fits import Line, signed
from ..offence_defence import RATES, SHOWN_RATE, DefenceFit, OffenceDefence, offence_defence
from ..scaling import Model, models_of, section_name, sizes
from ..scaling_charts import offence_charts, ramp, series_labels, size_chart, success_chart
from ..scaling_findings import size_finding, slope_finding, success_finding, training_findings, training_summary
from ..site import Files, Site
from ..size_trend import SizeFit, SizeTrend, size_trend
from ..success_trend import SuccessFit, SuccessTrend, success_trend

SCHEMA_VERSION = 1
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell of text must not begin with, or spreadsheets take it for a formula."""
Key = tuple[str, str]


@dataclass(frozen=True)
class Swatch:
    """One line of a legend."""

    colour: str
    text: str


@dataclass(frozen=True)
class RateView:
    """The second figure at one success rate."""

    rate: float
    chart: Markup
    fits: tuple[DefenceFit, ...]


@dataclass(frozen=True)
class Section:
    """One figure for one task and attack. anchor: its name in links."""

    anchor: str
    title: str
    legend: tuple[Swatch, ...]
    chart: Markup
    fits: Sequence[Any]
    rates: tuple[RateView, ...] = ()
    share: Markup | None = None


def pages(site: Site) -> Files:
    """The page, and the data of its figures."""
    return site.once("scaling", site.standings.values(), partial(_made, site))


def _made(site: Site) -> Files:
    """The page and its data."""
    models = models_of(site)
    trends = {key: size_trend(each) for key, each in models.items()}
    defended = {key: found for key, each in models.items() if (found := offence_defence(each)) is not None}
    success = {key: found for key, each in models.items() if (found := success_trend(each)) is not None}
    files = site.page(
        "scaling.html",
        "scaling.html",
        section="Scaling",
        size_sections=[_size_section(key, trend) for key, trend in trends.items() if trend.fits],
        defence_sections=[_defence_section(key, found, models[key]) for key, found in defended.items()],
        success_sections=[_success_section(key, found, models[key]) for key, found in success.items()],
        size=size_finding(trends),
        training=training_summary(training_findings(models, trends)),
        slopes=slope_finding(defended),
        success=success_finding(success),
        doubtful=sorted({model.name for each in models.values() for model in each if model.doubtful}),
        unusable=sorted(_without_pretraining(models)),
        measured=_measured_sizes(models),
        rates=RATES,
        shown_rate=SHOWN_RATE,
        section_name=section_name,
        widest=max((fit.widest for each in defended.values() for fit in each.fits), default=1.0),
        odds=_factor,
        signed=signed,
        share=_share_text,
    )
    return files | _downloads(trends, defended, success)


def _factor(value: float) -> str:
    """What odds are multiplied by, to the digits that its interval would bear."""
    return f"{value:.1f}" if value < 100 else f"{float(f'{value:.2g}'):,.0f}"


def _share_text(value: float) -> str:
    return f"{value * 100:.2g} %"


def _size_section(key: Key, trend: SizeTrend) -> Section:
    labels = series_labels(trend.points)
    return Section(
        anchor=_anchor("size", key),
        title=section_name(key),
        legend=tuple(Swatch(COLOURS[place % len(COLOURS)], label) for place, label in enumerate(labels)),
        chart=svg(size_chart(trend.budgets, trend.points, trend.fits)),
        fits=trend.fits,
    )


def _defence_section(key: Key, found: OffenceDefence, models: Sequence[Model]) -> Section:
    names = _size_names(models)
    charts = offence_charts(found, names)
    return Section(
        anchor=_anchor("defence", key),
        title=section_name(key),
        legend=_size_legend(names),
        chart=charts[SHOWN_RATE],
        fits=found.fits,
        rates=tuple(
            RateView(rate, chart, tuple(fit for fit in found.fits if fit.success_rate == rate))
            for rate, chart in charts.items()
        ),
        share=offence_charts(found, names, share=True).get(SHOWN_RATE),
    )


def _success_section(key: Key, found: SuccessTrend, models: Sequence[Model]) -> Section:
    names = _size_names(models)
    return Section(
        anchor=_anchor("success", key),
        title=section_name(key),
        legend=_size_legend(names),
        chart=svg(success_chart(found.points, found.fits, names)),
        fits=found.fits,
    )


def _size_names(models: Iterable[Model]) -> list[str]:
    return list(dict.fromkeys(model.size for model in models))


def _size_legend(names: Sequence[str]) -> tuple[Swatch, ...]:
    return tuple(Swatch(colour, name) for colour, name in zip(ramp(len(names)), names, strict=True))


def _anchor(figure: str, key: Key) -> str:
    return f"{figure}-{key[0]}-{key[1]}".replace("_", "-")


def _without_pretraining(models: Mapping[Key, Sequence[Model]]) -> set[str]:
    """Families of publications of which no pretraining compute is used."""
    known: dict[str, bool] = {}
    for model in (model for each in models.values() for model in each):
        if model.series.source != "measured":
            family = model.series.family
            known[family] = known.get(family, False) or model.pretraining is not None
    return {family for family, usable in known.items() if not usable}


def _measured_sizes(models: Mapping[Key, Sequence[Model]]) -> int:
    """Different sizes among measured models."""
    return len(sizes(model for each in models.values() for model in each if model.series.source == "measured"))


def _downloads(
    trends: Mapping[Key, SizeTrend], defended: Mapping[Key, OffenceDefence], success: Mapping[Key, SuccessTrend]
) -> Files:
    """Every point that is drawn, and every fit."""
    drawn = {key: trend for key, trend in trends.items() if trend.fits}
    return {
        **_data("size", drawn, _size_fit),
        **_data("offence-defence", defended, _defence_fit),
        **_data("attack-success", success, _success_fit),
    }


def _data(name: str, found: Mapping[Key, Any], fit_data: Any) -> Files:
    points = [
        {"task": key[0], "attack": key[1], **asdict(point)} for key, each in found.items() for point in each.points
    ]
    fits = [{"task": key[0], "attack": key[1], **fit_data(fit)} for key, each in found.items() for fit in each.fits]
    content = {"schema_version": SCHEMA_VERSION, "points": points, "fits": fits}
    return {
        f"api/scaling/{name}.json": (json.dumps(content, indent=1, allow_nan=False) + "\n").encode(),
        f"api/scaling/{name}.csv": _csv(points),
    }


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue().encode()


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _size_fit(fit: SizeFit) -> dict[str, Any]:
    return {
        "series": fit.label,
        "source": fit.series.source,
        "budget": fit.budget.kind,
        "amount": fit.budget.amount,
        "models": fit.models,
        "attacked": fit.attacked,
        **_line("slope", fit.line),
        "spearman": _rounded(fit.correlation),
        "larger_better": fit.larger_better[0],
        "pairs": fit.larger_better[1],
    }


def _defence_fit(fit: DefenceFit) -> dict[str, Any]:
    overall = None if fit.overall is None else Line(fit.overall.slope, 0.0, fit.overall.points)
    return {
        "series": fit.series.label,
        "source": fit.series.source,
        "success_rate": fit.success_rate,
        **_line("slope", overall),
        "points": fit.points,
        "not_reached": fit.held,
        "reached_before_the_first_point": fit.early,
        "by_size": [
            {"size": size, "parameters": n, "points": line.points, **_line("slope", line)} for size, n, line in fit.each
        ],
    }


def _success_fit(fit: SuccessFit) -> dict[str, Any]:
    return {
        "series": fit.series.label,
        "source": fit.series.source,
        "fitted": fit.fitted,
        **_line("slope_over_size", fit.slopes),
        **_line("level_over_size", fit.levels),
        "models": [
            {
                "slug": model.slug,
                "parameters": model.parameters,
                "slope": _rounded(model.slope),
                "intercept": _rounded(model.intercept),
                "logit_after_ten_iterations": _rounded(model.level),
                "points": model.points,
                "doubtful": model.doubtful,
            }
            for model in fit.models
        ],
    }


def _line(name: str, line: Line | None) -> dict[str, float | None]:
    slope = None if line is None else line.slope
    ends = (None, None, None) if slope is None else (slope.value, slope.low, slope.high)
    return {f"{name}{end}": _rounded(value) for end, value in zip(("", "_low", "_high"), ends, strict=True)}


def _rounded(value: float | None) -> float | None:
    """To five digits: what is the same on every machine."""
    return float(f"{value:.5g}") if value is not None and isfinite(value) else None
