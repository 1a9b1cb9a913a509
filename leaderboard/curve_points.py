"""Curves as charts draw them: robust accuracy at the costs of a fixed grid where it changes.

The grid has 20 costs per decade and holds every tier. A curve is drawn no farther than something was measured.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cache, lru_cache

from ..benchmark import TIERS
from ..submissions.published import iteration_cost
from .share import Share
from .standing import Bounded, Overall, Reported, Standing
from .views import RELATIVE_TIERS

_PER_DECADE = 20
_DECADES = (2, 6)
"""Drawn below the first and above the first tier, in decades."""


@dataclass(frozen=True)
class CurvePoint:
    """From `cost` on, up to the next point. cost: FLOP, or forward passes of the victim."""

    cost: float
    share: Share

    @property
    def value(self) -> float:
        return self.share.value

    @property
    def low(self) -> float:
        return self.share.low

    @property
    def high(self) -> float:
        return self.share.high

    @property
    def bound(self) -> bool:
        return self.share.bound


@lru_cache(maxsize=50_000)
def curve_points(standing: Standing, *, relative: bool = False) -> tuple[CurvePoint, ...]:
    """The curve of a standing; the last point repeats the one before at the end of what is known."""
    end = _end(standing, relative)
    if end is None:
        return ()
    costs = grid(relative)
    # Between two changes the grid is flat: only the first cost of it after each has to be asked.
    last = bisect_right(costs, end * (1 + 1e-9)) - 1
    asked = {bisect_left(costs, change) for change in _changes(standing, relative)}
    points: list[CurvePoint] = []
    for number in sorted({0, last, *(each for each in asked if each < last)}) if last >= 0 else ():
        share = standing.at(costs[number], relative=relative)
        if number == last or not points or _differ(points[-1].share, share):
            points.append(CurvePoint(costs[number], share))
    return tuple(points)


@cache
def grid(relative: bool) -> tuple[float, ...]:
    """Costs in FLOP, or in forward passes."""
    first = RELATIVE_TIERS[0] if relative else TIERS[0]
    steps = range(-_DECADES[0] * _PER_DECADE, _DECADES[1] * _PER_DECADE + 1)
    return tuple(float(f"{first * 10 ** (step / _PER_DECADE):.6g}") for step in steps)


def _changes(standing: Standing, relative: bool) -> list[float]:
    """The costs at which a standing may change, in its own unit."""
    if isinstance(standing, Overall):
        return [cost for part in standing.parts for cost in _changes(part, relative)]
    if isinstance(standing, Bounded):
        found = [cost for part in standing.parts for cost in _changes(part, False)]
    elif isinstance(standing, Reported):
        # One iteration later a figure is only a bound.
        step = iteration_cost(standing.curve)
        found = [cost for point in standing.steps() for cost in (point, point + step)]
    else:
        found = standing.steps()
    unit = standing.unit if relative and standing.unit else 1.0
    # Rounding must not put a change behind the cost of the grid that it is at.
    return [cost / unit * (1 - 1e-5) for cost in found] + [cost / unit * (1 + 1e-5) for cost in found]


def _end(standing: Standing, relative: bool) -> float | None:
    """Up to which cost the curve is drawn, in its own unit; None where that has none."""
    if not relative:
        return standing.drawn_to
    if standing.unit is None:
        return None
    if isinstance(standing, Overall):
        ends = [_end(part, relative) for part in standing.parts]
        return min((end for end in ends if end is not None), default=None)
    return standing.drawn_to / standing.unit


def _differ(one: Share, other: Share) -> bool:
    return one is not other and (one.bound != other.bound or abs(one.value - other.value) > 1e-12)
