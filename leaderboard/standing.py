"""How one entry stands in one view: against one attack, on one task or over all of them.

Measured entries have break costs per example; reported ones have published curves; and some of either lack an attack
that the view is about, so that what they have is only a bound. Pages treat all of them alike, as a `Standing`:

    examples, level, flags   how many examples; the evidence; the flags of the results
    clean, area, median      figures, None where there is none
    unit                     FLOP of one forward pass of this victim; None where that is not known
    reach                    FLOP per example up to which robust accuracy is known
    drawn_to                 FLOP per example up to which there is anything to draw
    at(cost, relative)       robust accuracy at a cost: FLOP per example, or forward passes of this victim
    steps()                  the costs (FLOP) at which robust accuracy changes, 0 first

Two standings are the same only as objects, so that what is derived from one can be remembered for it.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..benchmark.budget import GPU_SECOND
from ..benchmark.curves import (
    Proportion,
    Survival,
    area_under_curve,
    clean_accuracy,
    forward_passes,
    median_break_cost,
)
from ..submissions.evidence import LEVELS, Level
from ..submissions.published import (
    published_accuracy,
    published_area,
    published_budget,
    published_clean_accuracy,
    published_forward_cost,
    published_median,
    published_steps,
)
from ..submissions.reported import ReportedCurve
from .share import Share, mean_share


@dataclass(frozen=True)
class Median:
    """Cost at which half of the clean-correct examples are broken. cost: FLOP or, where asked, forward passes; infinite
    if most held, nan if none was correct. reached: how far the budget went, in the same unit. bound: it may be less.
    """

    cost: float
    reached: float
    bound: bool = False


@dataclass(frozen=True, eq=False)
class Measured:
    """An entry with per-example results. attacks: those that went in."""

    survival: Survival
    level: Level
    flags: tuple[str, ...] = ()
    attacks: tuple[str, ...] = ()

    @property
    def examples(self) -> int:
        return len(self.survival.records)

    @cached_property
    def costs(self) -> np.ndarray:
        """FLOP to break each example, in official order: 0 where it was wrong when clean, infinite where it held."""
        return np.array(
            [
                0.0 if not each.clean_correct else math.inf if each.break_cost is None else each.break_cost
                for each in self.survival.records
            ]
        )

    @cached_property
    def ids(self) -> tuple[str, ...]:
        return tuple(each.id for each in self.survival.records)

    @cached_property
    def clean(self) -> Share:
        return Share.of(clean_accuracy(self.survival))

    @cached_property
    def unit(self) -> float:
        return 1 / forward_passes(self.survival, 1.0)

    @cached_property
    def area(self) -> float | None:
        return area_under_curve(self.survival)

    @cached_property
    def median(self) -> Median:
        return Median(median_break_cost(self.survival), self.survival.budget)

    @property
    def reach(self) -> float:
        return math.inf if not np.isinf(self.costs).any() else self.survival.budget

    @property
    def drawn_to(self) -> float:
        return self.survival.budget

    def at(self, cost: float, *, relative: bool = False) -> Share:
        flop = cost * self.unit if relative else cost
        holding = self.examples - bisect_right(self._sorted_costs, flop)
        beyond = flop > self.survival.budget and holding > 0
        return Share.of(Proportion(holding, self.examples, bound=beyond))

    @cached_property
    def _sorted_costs(self) -> list[float]:
        return np.sort(self.costs).tolist()

    def steps(self) -> list[float]:
        return sorted({0.0, *self.costs[np.isfinite(self.costs)].tolist()})


@dataclass(frozen=True, eq=False)
class Reported:
    """An entry with a curve from a publication. unit: FLOP of one forward pass, where the attack tells it."""

    curve: ReportedCurve
    unit: float | None = None
    level: Level = "reported"
    flags: tuple[str, ...] = ()

    @staticmethod
    def of(curve: ReportedCurve) -> "Reported":
        return Reported(curve, published_forward_cost(curve))

    @property
    def examples(self) -> int:
        return self.curve.examples

    @cached_property
    def clean(self) -> Share:
        return Share.of(published_clean_accuracy(self.curve))

    @cached_property
    def area(self) -> float | None:
        return published_area(self.curve)

    @cached_property
    def median(self) -> Median:
        cost, bound = published_median(self.curve)
        return Median(cost, self.curve.points[-1].cost, bound)

    @property
    def reach(self) -> float:
        return published_budget(self.curve)

    @property
    def drawn_to(self) -> float:
        return self.curve.points[-1].cost

    def at(self, cost: float, *, relative: bool = False) -> Share:
        if relative:
            if self.unit is None:
                raise ValueError("this curve does not tell what a forward pass costs")
            cost *= self.unit
        return Share.of(published_accuracy(self.curve, cost))

    def steps(self) -> list[float]:
        return [cost for cost, _ in published_steps(self.curve)]


@dataclass(frozen=True, eq=False)
class _Joined:
    """What follows from several standings. parts: those."""

    parts: "Sequence[Standing]"

    @cached_property
    def level(self) -> Level:
        return weakest(self.parts)

    @cached_property
    def flags(self) -> tuple[str, ...]:
        return tuple(sorted({flag for part in self.parts for flag in part.flags}))

    @property
    def examples(self) -> int:
        """The fewest of any part."""
        return min(part.examples for part in self.parts)

    def steps(self) -> list[float]:
        return sorted({cost for part in self.parts for cost in part.steps()})


class Bounded(_Joined):
    """An entry under the official adversary without all of the official attacks: it holds at most as well as against
    the worst of those it has.
    """

    @property
    def clean(self) -> Share:
        return self.parts[0].clean

    @property
    def unit(self) -> float | None:
        return next((part.unit for part in self.parts if part.unit is not None), None)

    @property
    def area(self) -> None:
        return None

    @property
    def median(self) -> Median | None:
        medians = [part.median for part in self.parts if part.median is not None]
        first = min(medians, key=lambda median: median.cost, default=None)
        return None if first is None else Median(first.cost, first.reached, bound=True)

    @property
    def reach(self) -> float:
        return 0.0

    @property
    def drawn_to(self) -> float:
        return max(part.drawn_to for part in self.parts)

    def at(self, cost: float, *, relative: bool = False) -> Share:
        if relative:
            if self.unit is None:
                raise ValueError("no attack tells what a forward pass costs")
            cost *= self.unit
        lowest = min((part.at(cost) for part in self.parts), key=lambda share: share.value)
        # Nothing is left to lose: no other attack can take more.
        return lowest if lowest.value == 0 else Share(lowest.value, 0.0, lowest.high, bound=True)


class Overall(_Joined):
    """The mean over tasks. parts: a standing per task, in official order."""

    @cached_property
    def clean(self) -> Share:
        return mean_share([part.clean for part in self.parts])

    @property
    def unit(self) -> float | None:
        """Only to say whether costs can be relative; every task has its own."""
        return None if any(part.unit is None for part in self.parts) else GPU_SECOND

    @cached_property
    def area(self) -> float | None:
        areas = [part.area for part in self.parts if part.area is not None]
        return sum(areas) / len(areas) if len(areas) == len(self.parts) else None

    @property
    def median(self) -> None:
        """Costs to break texts of several tasks have no common median."""
        return None

    @property
    def reach(self) -> float:
        return min(part.reach for part in self.parts)

    @property
    def drawn_to(self) -> float:
        return min(part.drawn_to for part in self.parts)

    def at(self, cost: float, *, relative: bool = False) -> Share:
        return mean_share([part.at(cost, relative=relative) for part in self.parts])


Standing = Measured | Reported | Bounded | Overall


def weakest(parts: Sequence[Standing]) -> Level:
    """The weakest evidence among several."""
    return LEVELS[min(LEVELS.index(part.level) for part in parts)]
