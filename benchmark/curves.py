"""What a result says: robust accuracy at a cost, and the figures derived from it.

Robust accuracy as a function of cost is a survival curve of break costs, right-censored at the budget. Intervals are
95 % Wilson intervals [Wilson 1927; Brown et al. 2001]. Everything here follows from a `Survival`: a result is one, and
so is what is derived from several (the official adversary).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from statsmodels.stats.proportion import proportion_confint

from .budget import GPU_SECOND, forward_cost
from .results import VictimPart

CONFIDENCE = 0.95
AUC_RANGE = (1e-4 * GPU_SECOND, GPU_SECOND)
"""The costs over which the area under the curve is taken: 0.1 ms to 1 s, in FLOP."""


class Outcome(Protocol):
    """What became of one example. break_cost: FLOP, None if it held or was wrong. tokens: T of its text."""

    @property
    def id(self) -> str: ...
    @property
    def clean_correct(self) -> bool: ...
    @property
    def break_cost(self) -> int | None: ...
    @property
    def tokens(self) -> int: ...


class Survival(Protocol):
    """Break costs of one victim's examples in official order, right-censored at the budget (FLOP per example)."""

    @property
    def records(self) -> Sequence[Outcome]: ...
    @property
    def budget(self) -> float: ...
    @property
    def victim(self) -> VictimPart: ...


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
        low, high = _wilson(self.successes, self.total)
        return (0.0 if self.bound else low), high

    def __str__(self) -> str:
        low, high = self.interval
        return f"{'≤ ' if self.bound else ''}{self.value:.1%} [{low:.1%}, {high:.1%}]"


@lru_cache(maxsize=100_000)
def _wilson(successes: int, total: int) -> tuple[float, float]:
    ends = proportion_confint(successes, total, alpha=1 - CONFIDENCE, method="wilson")
    low, high = np.clip(np.array(ends, dtype=float), 0.0, 1.0).tolist()
    return low, high


def clean_accuracy(survival: Survival) -> Proportion:
    return Proportion(sum(record.clean_correct for record in survival.records), len(survival.records))


def attack_success_rate(survival: Survival) -> Proportion | None:
    """Share of clean-correct examples that broke within the budget; None when no example was clean-correct."""
    correct = sum(record.clean_correct for record in survival.records)
    broken = sum(record.break_cost is not None for record in survival.records)
    return Proportion(broken, correct) if correct else None


def robust_accuracy(survival: Survival, cost: float) -> Proportion:
    """Share of examples that are right when clean and hold at `cost` FLOP; a bound where the budget did not reach."""
    holding = sum(holds(record, cost) for record in survival.records)
    return Proportion(holding, len(survival.records), bound=cost > survival.budget and holding > 0)


def holds(record: Outcome, cost: float) -> bool:
    """Whether an example is right when clean and not broken at `cost` FLOP."""
    return record.clean_correct and (record.break_cost is None or record.break_cost > cost)


def curve(survival: Survival) -> list[tuple[float, Proportion]]:
    """The survival curve: robust accuracy from each distinct break cost on, up to the budget."""
    costs = sorted({record.break_cost for record in survival.records if record.break_cost is not None})
    return [(0.0, clean_accuracy(survival)), *((cost, robust_accuracy(survival, cost)) for cost in costs)]


def median_break_cost(survival: Survival) -> float:
    """Cost at which half of the clean-correct examples are broken, in FLOP; infinite if most held, nan if none is
    correct.
    """
    costs = sorted(
        math.inf if record.break_cost is None else record.break_cost
        for record in survival.records
        if record.clean_correct
    )
    return costs[(len(costs) - 1) // 2] if costs else math.nan


def area_under_curve(survival: Survival) -> float | None:
    """Mean robust accuracy over log cost from 0.1 ms to 1 s; None when the budget did not reach and something still
    held.
    """
    low, high = AUC_RANGE
    if survival.budget < high and robust_accuracy(survival, survival.budget).successes:
        return None
    span = math.log(high / low)
    held = (
        math.log(min(max(record.break_cost or math.inf, low), high) / low) / span
        for record in survival.records
        if record.clean_correct
    )
    return sum(held) / len(survival.records)


def forward_passes(survival: Survival, cost: float) -> float:
    """A cost in multiples of one forward pass of this victim over its median text."""
    return cost / forward_cost(survival.victim.parameters, _median_tokens(survival.records))


def _median_tokens(records: Sequence[Outcome]) -> int:
    return int(np.median([record.tokens for record in records]))
