"""Curves as charts draw them: robust accuracy at the costs of a fixed grid where it changes.

The grid has 20 costs per decade and holds every tier. A curve is drawn no farther than something was measured.
"""

from dataclasses import dataclass
from functools import cache

from ..benchmark import TIERS
from .share import Share
from .standing import Overall, Standing
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


def curve_points(standing: Standing, *, relative: bool = False) -> list[CurvePoint]:
    """The curve of a standing; the last point repeats the one before at the end of what is known."""
    end = _end(standing, relative)
    if end is None:
        return []
    points: list[CurvePoint] = []
    last = None
    for cost in grid(relative):
        if cost > end * (1 + 1e-9):
            break
        share = standing.at(cost, relative=relative)
        last = CurvePoint(cost, share)
        if not points or _differ(points[-1].share, share):
            points.append(last)
    if last is not None and points[-1] is not last:
        points.append(last)
    return points


@cache
def grid(relative: bool) -> tuple[float, ...]:
    """Costs in FLOP, or in forward passes."""
    first = RELATIVE_TIERS[0] if relative else TIERS[0]
    steps = range(-_DECADES[0] * _PER_DECADE, _DECADES[1] * _PER_DECADE + 1)
    return tuple(float(f"{first * 10 ** (step / _PER_DECADE):.6g}") for step in steps)


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
