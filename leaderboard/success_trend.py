"""Attack success against attack compute without a defence: logit(ASR) against log10 FLOP, model by model.

Only points with a rate strictly between 0 and 1 have a logit. Points of one curve are not independent, as what is
broken stays broken, so that a model has a slope without an interval; intervals are over models.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10

import numpy as np

from ..submissions.published import iteration_cost
from .fits import Line, logit, straight_line
from .scaling import FEWEST_SIZES, Model, Series, by_series, one_per_model, seeds, sizes
from .size_trend import ITERATIONS, passes_of
from .standing import Measured, Reported

_FEWEST_POINTS = 3
"""Of one curve, for a slope."""
_MEASURED_POINTS = 20


@dataclass(frozen=True)
class SuccessPoint:
    """One point of one curve. cost: FLOP per example. success_rate: broken so far among clean-correct examples."""

    slug: str
    size: str
    source: str
    family: str
    parameters: int
    cost: float
    success_rate: float
    logit: float
    doubtful: bool


@dataclass(frozen=True)
class ModelSlope:
    """One curve. slope: logits per tenfold attack compute. level: the line after ten iterations of the attack, logits.

    level is None where what ten iterations cost is not known.
    """

    slug: str
    size: str
    parameters: int
    slope: float
    intercept: float
    level: float | None
    first: float
    last: float
    points: int
    doubtful: bool


@dataclass(frozen=True)
class SuccessFit:
    """How slope and level go with log10 N over the models of one series, doubtful ones left out."""

    series: Series
    models: tuple[ModelSlope, ...]
    slopes: Line | None
    levels: Line | None
    fitted: int


@dataclass(frozen=True)
class SuccessTrend:
    points: tuple[SuccessPoint, ...]
    fits: tuple[SuccessFit, ...]


def success_trend(models: Sequence[Model]) -> SuccessTrend | None:
    """The undefended models on one task under one attack; None where no series has enough sizes."""
    points: list[SuccessPoint] = []
    fits: list[SuccessFit] = []
    for series, inside in by_series(model for model in models if model.series.training == "none").items():
        # Of several curves of one model, the one that begins soonest.
        once = one_per_model(inside, lambda model: (_begins(model), -seeds(model)))
        if len(sizes(once)) < FEWEST_SIZES:
            continue
        drawn = {model.slug: _points(model) for model in once}
        points += [point for model in once for point in drawn[model.slug]]
        lines = [line for model in once if (line := _slope(model, drawn[model.slug])) is not None]
        used = [line for line in lines if not line.doubtful]
        levels = [(log10(line.parameters), line.level) for line in used if line.level is not None]
        fits.append(
            SuccessFit(
                series=series,
                models=tuple(lines),
                slopes=straight_line([log10(line.parameters) for line in used], [line.slope for line in used]),
                levels=straight_line([x for x, _ in levels], [y for _, y in levels]),
                fitted=len(used),
            )
        )
    return SuccessTrend(tuple(points), tuple(fits)) if fits else None


def success_rates(standing: Measured | Reported) -> list[tuple[float, float]]:
    """Cost (FLOP) and success rate where a curve was published, or at up to 20 of the costs at which examples broke."""
    if isinstance(standing, Reported):
        return [(point.cost, point.attack_success_rate.median) for point in standing.curve.points if point.iteration]
    correct = int((standing.costs > 0).sum())
    broken = np.sort(standing.costs[np.isfinite(standing.costs) & (standing.costs > 0)])
    places = sorted({round(place) for place in np.linspace(0, len(broken) - 1, min(len(broken), _MEASURED_POINTS))})
    return [(float(broken[place]), float((broken <= broken[place]).sum() / correct)) for place in places]


def _begins(model: Model) -> int:
    if isinstance(model.standing, Measured):
        return 1
    return next((point.iteration for point in model.standing.curve.points if point.iteration), 0)


def _points(model: Model) -> list[SuccessPoint]:
    return [
        SuccessPoint(
            slug=model.slug,
            size=model.size,
            source=model.series.source,
            family=model.series.family,
            parameters=model.parameters,
            cost=cost,
            success_rate=round(rate, 6),
            logit=round(logit(rate), 6),
            doubtful=model.doubtful,
        )
        for cost, rate in success_rates(model.standing)
        if 0 < rate < 1
    ]


def _slope(model: Model, points: Sequence[SuccessPoint]) -> ModelSlope | None:
    if len(points) < _FEWEST_POINTS:
        return None
    x = [log10(point.cost) for point in points]
    line = straight_line(x, [point.logit for point in points])
    if line is None:
        return None
    ten = _ten_iterations(model)
    return ModelSlope(
        slug=model.slug,
        size=model.size,
        parameters=model.parameters,
        slope=line.slope.value,
        intercept=line.intercept,
        level=None if ten is None else line.at(log10(ten)),
        first=x[0],
        last=x[-1],
        points=len(points),
        doubtful=model.doubtful,
    )


def _ten_iterations(model: Model) -> float | None:
    """What ten iterations cost, FLOP per example; those of GCG for a measured model."""
    if isinstance(model.standing, Reported):
        return ITERATIONS[0] * iteration_cost(model.standing.curve)
    return passes_of(ITERATIONS[0]) * model.standing.unit
