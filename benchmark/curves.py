"""What a result says: robust accuracy at a cost, and the figures derived from it.

Robust accuracy as a function of cost is a survival curve of break costs, right-censored at the budget. Intervals are
95 % Wilson intervals [Wilson 1927; Brown et al. 2001].
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from statsmodels.stats.proportion import proportion_confint

from .budget import GPU_SECOND, forward_cost
from .results import ExamplePart, Result

CONFIDENCE = 0.95
AUC_RANGE = (1e-4 * GPU_SECOND, GPU_SECOND)
"""The costs over which the area under the curve is taken: 0.1 ms to 1 s, in FLOP."""


@dataclass(frozen=True)
class Proportion:
    """A share of examples with its 95 % Wilson interval. bound: the true value may be lower, never higher, than
    `value`.
    """

    successes: int
    total: int
    bound: bool = False

    @property
    def value(self) -> float:
        return self.successes / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Low and high end; the low end of a bound is 0."""
        ends = proportion_confint(self.successes, self.total, alpha=1 - CONFIDENCE, method="wilson")
        low, high = np.clip(np.array(ends, dtype=float), 0.0, 1.0).tolist()
        return (0.0 if self.bound else low), high

    def __str__(self) -> str:
        low, high = self.interval
        return f"{'≤ ' if self.bound else ''}{self.value:.1%} [{low:.1%}, {high:.1%}]"


def clean_accuracy(result: Result) -> Proportion:
    return Proportion(result.summary.clean_correct, result.summary.examples)


def attack_success_rate(result: Result) -> Proportion | None:
    """Share of clean-correct examples that broke within the budget; None when no example was clean-correct."""
    summary = result.summary
    return Proportion(summary.broken, summary.clean_correct) if summary.clean_correct else None


def robust_accuracy(result: Result, cost: float) -> Proportion:
    """Share of examples that are right when clean and hold at `cost` FLOP; a bound where the budget did not reach."""
    holding = sum(_holds(record, cost) for record in result.records)
    return Proportion(holding, len(result.records), bound=cost > result.budget and holding > 0)


def _holds(record: ExamplePart, cost: float) -> bool:
    return record.clean_correct and (record.break_cost is None or record.break_cost > cost)


def curve(result: Result) -> list[tuple[float, Proportion]]:
    """The survival curve: robust accuracy from each distinct break cost on, up to the budget."""
    costs = sorted({record.break_cost for record in result.records if record.break_cost is not None})
    return [(0.0, clean_accuracy(result)), *((cost, robust_accuracy(result, cost)) for cost in costs)]


def median_break_cost(result: Result) -> float:
    """Cost at which half of the clean-correct examples are broken, in FLOP; infinite if most held, nan if none is
    correct.
    """
    costs = sorted(
        math.inf if record.break_cost is None else record.break_cost
        for record in result.records
        if record.clean_correct
    )
    return costs[(len(costs) - 1) // 2] if costs else math.nan


def area_under_curve(result: Result) -> float | None:
    """Mean robust accuracy over log cost from 0.1 ms to 1 s; None when the budget did not reach and something still
    held.
    """
    low, high = AUC_RANGE
    if result.budget < high and robust_accuracy(result, result.budget).successes:
        return None
    span = math.log(high / low)
    held = (
        math.log(min(max(record.break_cost or math.inf, low), high) / low) / span
        for record in result.records
        if record.clean_correct
    )
    return sum(held) / len(result.records)


def forward_passes(result: Result, cost: float) -> float:
    """A cost in multiples of one forward pass of this victim over its median text."""
    return cost / forward_cost(result.victim.parameters, _median_tokens(result.records))


def _median_tokens(records: Sequence[ExamplePart]) -> int:
    return int(np.median([record.tokens for record in records]))
