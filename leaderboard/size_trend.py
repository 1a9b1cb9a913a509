"""Size against robust accuracy: what a larger model holds, at a tier and at an equal number of forward passes.

At a tier a larger model is attacked for fewer iterations, because each costs more; at an equal number of forward passes
every model is attacked for as many. An attack of which we do not know its forward passes is compared after as many
iterations.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log10
from typing import Literal

from ..benchmark import TIERS, format_gpu_time, get_attack
from ..benchmark.budget import cost_of_iteration
from ..submissions.published import iteration_cost, published_accuracy
from .fits import Line, logistic_line, rank_correlation, rises
from .scaling import FEWEST_SIZES, Model, Series, by_series, one_per_model, seeds, sizes
from .share import Share
from .standing import Reported


@dataclass(frozen=True)
class Budget:
    """What every model is attacked with. amount: FLOP of a tier, forward passes, or iterations, per example."""

    kind: Literal["tier", "passes", "iterations"]
    amount: float

    @property
    def text(self) -> str:
        if self.kind == "tier":
            return f"{format_gpu_time(self.amount)} of GPU time"
        return f"{self.amount:,.0f} {'forward passes' if self.kind == 'passes' else 'iterations'}"


TIER = Budget("tier", TIERS[2])
_FEWEST_ATTACKED = 3
"""At a tier: with fewer models attacked at all, a slope would only be one of clean accuracy."""
ITERATIONS = (10, 128)
"""How far the paper attacked with GCG: fine-tuned models of all sizes, and those of its adversarial training."""
_SHOWN = 4
"""Sizes of a series that must be known at a number of passes for it to be shown."""


@dataclass(frozen=True)
class SizePoint:
    """One model at one budget.

    series: which points lie on one line. attacked: whether the budget pays for one iteration of the attack. fitted:
    whether it went into a trend.
    """

    slug: str
    size: str
    source: str
    family: str
    training: str
    stage: str
    series: str
    parameters: int
    budget: str
    amount: float
    robust_accuracy: float
    low: float
    high: float
    bound: bool
    attacked: bool
    examples: int
    doubtful: bool
    fitted: bool


@dataclass(frozen=True)
class SizeFit:
    """logit(robust accuracy) against log10 N in one series at one budget.

    correlation: Spearman's of N and robust accuracy. larger_better: neighbouring sizes of which the larger holds more,
    of how many. attacked: models for which the budget pays for an iteration. smallest, largest: the points at the ends;
    lowest, highest: robust accuracy.
    """

    series: Series
    label: str
    stage: str
    budget: Budget
    line: Line | None
    models: int
    attacked: int
    correlation: float | None
    larger_better: tuple[int, int]
    smallest: SizePoint
    largest: SizePoint
    lowest: float
    highest: float


@dataclass(frozen=True)
class SizeTrend:
    """All points of a task and attack by budget, and what was fitted to them."""

    budgets: tuple[Budget, ...]
    points: tuple[SizePoint, ...]
    fits: tuple[SizeFit, ...]


def passes_of(iterations: int) -> float:
    """Forward passes of so many iterations of GCG as the paper ran it."""
    gcg = get_attack("gcg")
    return iterations * cost_of_iteration(1, 1, gcg.candidates, gradient=gcg.uses_gradient) / 2


def robust_at(model: Model, budget: Budget) -> Share | None:
    """Robust accuracy at a budget; None where its unit is not known for this model."""
    standing = model.standing
    if budget.kind == "tier":
        return standing.at(budget.amount)
    if budget.kind == "passes":
        return None if standing.unit is None else standing.at(budget.amount, relative=True)
    if not isinstance(standing, Reported):
        return None
    return Share.of(published_accuracy(standing.curve, budget.amount * iteration_cost(standing.curve)))


def size_trend(models: Sequence[Model]) -> SizeTrend:
    """The trend over sizes on one task under one attack; without a fit where no series has enough sizes."""
    points: list[SizePoint] = []
    fits: list[SizeFit] = []
    budgets = _budgets(models)
    for budget in budgets:
        for series, inside in by_series(models).items():
            for stage in _stages(inside):
                drawn, fit = _line(series, stage, [each for each in inside if each.stage == stage], budget)
                # Where a whole series is only bounded there is nothing to see.
                points += [] if all(point.bound for point in drawn) else drawn
                fits += [] if fit is None else [fit]
    return SizeTrend(budgets, tuple(points), tuple(fits))


def _budgets(models: Sequence[Model]) -> tuple[Budget, ...]:
    """The tier, and equal numbers of passes or iterations at which enough sizes of a series are known."""
    passes = [budget for each in ITERATIONS if _enough(models, budget := Budget("passes", passes_of(each)))]
    if passes:
        return (TIER, *passes)
    ends = {each.standing.curve.points[-1].iteration for each in models if isinstance(each.standing, Reported)}
    return (TIER, *(budget for end in sorted(ends) if _enough(models, budget := Budget("iterations", end))))


def _enough(models: Iterable[Model], budget: Budget) -> bool:
    known = [model for model in models if (share := robust_at(model, budget)) is not None and not share.bound]
    return any(len(sizes(inside)) >= _SHOWN for inside in by_series(known).values())


def _stages(models: Iterable[Model]) -> list[str]:
    """The first and the last of a training; without a training there is only the empty one."""
    stages = sorted({model.stage for model in models}, key=lambda stage: (stage == "last", len(stage), stage))
    return list(dict.fromkeys((stages[0], stages[-1])))


def _line(
    series: Series, stage: str, models: Iterable[Model], budget: Budget
) -> tuple[list[SizePoint], SizeFit | None]:
    shares = {model.slug: share for model in models if (share := robust_at(model, budget)) is not None}
    known = [model for model in models if model.slug in shares]
    once = one_per_model(known, lambda model: (shares[model.slug].bound, -seeds(model)))
    used = [model for model in once if not (shares[model.slug].bound or model.doubtful)]
    attacked = sum(_attacked(model, budget) for model in used)
    enough = len(sizes(used)) >= FEWEST_SIZES and attacked >= _FEWEST_ATTACKED
    points = [_point(model, stage, budget, shares[model.slug], enough and model in used) for model in once]
    if not enough:
        return points, None
    return points, _fit(series, stage, budget, [point for point in points if point.fitted])


def _point(model: Model, stage: str, budget: Budget, share: Share, fitted: bool) -> SizePoint:
    return SizePoint(
        slug=model.slug,
        size=model.size,
        source=model.series.source,
        family=model.series.family,
        training=model.series.training,
        stage=stage,
        series=line_label(model.series, stage),
        parameters=model.parameters,
        budget=budget.kind,
        amount=budget.amount,
        robust_accuracy=round(share.value, 6),
        low=round(share.low, 6),
        high=round(share.high, 6),
        bound=share.bound,
        attacked=_attacked(model, budget),
        examples=model.standing.examples,
        doubtful=model.doubtful,
        fitted=fitted,
    )


def _attacked(model: Model, budget: Budget) -> bool:
    """Whether the budget pays for one iteration; where its cost is not recorded, whether anything broke by then."""
    standing = model.standing
    if budget.kind == "iterations":
        return True
    cost = budget.amount * (standing.unit or 0.0) if budget.kind == "passes" else budget.amount
    if isinstance(standing, Reported):
        return cost >= iteration_cost(standing.curve) * (1 - 1e-4)
    return len(standing.steps()) < 2 or standing.steps()[1] <= cost


def line_label(series: Series, stage: str) -> str:
    return f"{series.label}, {stage.replace('-', ' ').replace('last', 'last round')}" if stage else series.label


def _fit(series: Series, stage: str, budget: Budget, points: Sequence[SizePoint]) -> SizeFit:
    x = [log10(point.parameters) for point in points]
    shares = [point.robust_accuracy for point in points]
    held = [round(point.robust_accuracy * point.examples) for point in points]
    return SizeFit(
        series=series,
        label=line_label(series, stage),
        stage=stage,
        budget=budget,
        line=logistic_line(x, held, [point.examples for point in points]),
        models=len(points),
        attacked=sum(point.attacked for point in points),
        correlation=rank_correlation(x, shares),
        larger_better=rises(x, shares),
        smallest=points[0],
        largest=points[-1],
        lowest=min(shares),
        highest=max(shares),
    )
