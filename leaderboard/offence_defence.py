"""Offence against defence: the attack compute that reaches a success rate, against the compute of adversarial training.

[Howe et al. 2024, arXiv 2407.18213]. Success is counted among clean-correct examples. Between published iterations the
rate is not known, so a crossing is put at the first published point at or above the rate.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log10
from typing import Literal

import numpy as np

from ..submissions.reported import ReportedCurve
from .fits import Line, Parallels, parallel_lines, straight_line
from .scaling import Model, Series, by_series, one_per_model, seeds, sizes
from .standing import Measured, Reported

RATES = (0.02, 0.05, 0.10, 0.25, 0.50)
"""Attack success rates to choose from."""
SHOWN_RATE = 0.10
_FEWEST_POINTS = 3
"""Of one size, for a slope of its own."""


Kind = Literal["reached", "between", "at most", "more than"]


@dataclass(frozen=True)
class Crossing:
    """What it costs to reach a success rate, FLOP per example.

    kind: reached, to the iteration; between, where iterations before this one were not published; at most, where none
    before it was; more than, where the attack stopped below the rate. before: the last cost known to be too little.
    """

    cost: float
    kind: Kind
    before: float


@dataclass(frozen=True)
class DefencePoint:
    """One model at one success rate. defence, pretraining: FLOP; 0 without a defence, None where not known."""

    slug: str
    size: str
    source: str
    family: str
    training: str
    stage: str
    parameters: int
    success_rate: float
    defence: float
    pretraining: float | None
    defence_share: float | None
    attack: float
    kind: Kind
    before: float
    doubtful: bool
    fitted: bool


@dataclass(frozen=True)
class DefenceFit:
    """log10 attack FLOP against log10 defence FLOP in one series at one success rate.

    overall: one slope, an intercept per size. each: per size, for those with three points or more. held, early: points
    left out because the rate was not reached, or already at the first published point. widest: how far apart the two
    published iterations are between which a rate was crossed, as a factor, at most.
    """

    series: Series
    success_rate: float
    overall: Parallels | None
    each: tuple[tuple[str, int, Line], ...]
    points: int
    held: int
    early: int
    widest: float


@dataclass(frozen=True)
class OffenceDefence:
    points: tuple[DefencePoint, ...]
    fits: tuple[DefenceFit, ...]


def crossing(standing: Measured | Reported, rate: float) -> Crossing | None:
    """When an attack reaches a success rate (0 < rate <= 1); None when no example was right to begin with."""
    if isinstance(standing, Reported):
        return _published_crossing(standing.curve, rate)
    correct = int((standing.costs > 0).sum())
    if correct == 0:
        return None
    broken = np.sort(standing.costs[np.isfinite(standing.costs) & (standing.costs > 0)])
    needed = math.ceil(rate * correct - 1e-9)
    if needed > len(broken):
        return Crossing(standing.survival.budget, "more than", standing.survival.budget)
    cost = float(broken[needed - 1])
    return Crossing(cost, "reached", cost)


def _published_crossing(curve: ReportedCurve, rate: float) -> Crossing:
    iteration, cost = 0, 0.0
    for point in curve.points:
        if point.attack_success_rate.median >= rate:
            if point.iteration == iteration + 1:
                return Crossing(point.cost, "reached", cost)
            return Crossing(point.cost, "between" if iteration else "at most", cost)
        iteration, cost = point.iteration, point.cost
    return Crossing(cost, "more than", cost)


def offence_defence(models: Sequence[Model]) -> OffenceDefence | None:
    """All points of a task and attack at every rate; None where no training has two sizes with two stages each."""
    inside = by_series(model for model in models if model.defence is not None)
    trained = {series: each for series, each in inside.items() if series.training != "none" and _is_grid(each)}
    if not trained:
        return None
    points: list[DefencePoint] = []
    fits: list[DefenceFit] = []
    for rate in RATES:
        for series, own in inside.items():
            drawn = _points(own, rate, fitted=series in trained)
            points += drawn
            if series in trained:
                fits.append(_fit(series, rate, [point for point in drawn if point.training == series.training]))
    return OffenceDefence(tuple(points), tuple(fits))


def _is_grid(models: Sequence[Model]) -> bool:
    computes = {size: {each.defence for each in models if each.parameters == size} for size in sizes(models)}
    return sum(len(each) > 1 for each in computes.values()) > 1


def _points(models: Iterable[Model], rate: float, *, fitted: bool) -> list[DefencePoint]:
    crossings = {model.slug: found for model in models if (found := crossing(model.standing, rate)) is not None}
    # Of several curves of one model, the one that says most closely when the rate was reached.
    order = ("reached", "between", "at most", "more than")
    once = one_per_model(
        [model for model in models if model.slug in crossings],
        lambda model: (order.index(crossings[model.slug].kind), -crossings[model.slug].before, -seeds(model)),
    )
    return [_point(model, rate, crossings[model.slug], fitted) for model in once]


def _point(model: Model, rate: float, found: Crossing, fitted: bool) -> DefencePoint:
    defence = model.defence or 0.0
    return DefencePoint(
        slug=model.slug,
        size=model.size,
        source=model.series.source,
        family=model.series.family,
        training=model.series.training,
        stage=model.stage,
        parameters=model.parameters,
        success_rate=rate,
        defence=defence,
        pretraining=model.pretraining,
        defence_share=None if model.pretraining is None else float(f"{defence / model.pretraining:.6g}"),
        attack=found.cost,
        kind=found.kind,
        before=found.before,
        doubtful=model.doubtful,
        fitted=fitted and defence > 0 and found.kind in ("reached", "between") and not model.doubtful,
    )


def _fit(series: Series, rate: float, points: Sequence[DefencePoint]) -> DefenceFit:
    used = [point for point in points if point.fitted]
    each = []
    for size in sorted({point.parameters for point in used}):
        own = [point for point in used if point.parameters == size]
        line = straight_line(*_logs(own)) if len(own) >= _FEWEST_POINTS else None
        if line is not None:
            each.append((own[0].size, size, line))
    return DefenceFit(
        series=series,
        success_rate=rate,
        overall=parallel_lines(*_logs(used), [point.parameters for point in used]),
        each=tuple(each),
        points=len(used),
        held=sum(point.kind == "more than" for point in points),
        early=sum(point.kind == "at most" for point in points),
        widest=max((point.attack / point.before for point in used if point.kind == "between"), default=1.0),
    )


def _logs(points: Iterable[DefencePoint]) -> tuple[list[float], list[float]]:
    known = list(points)
    return [log10(point.defence) for point in known], [log10(point.attack) for point in known]
