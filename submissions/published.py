"""What a reported curve says at a cost: the figures that `benchmark.curves` gives for a result, from published points.

Points are where they were published, and nothing is put in between: where the attack went on and more was broken by the
next point, robust accuracy is only bounded from above. Counts are those of one training seed, so that an interval is
not narrower than one run can make it; medians over seeds are rounded to whole examples.
"""

import math
from bisect import bisect_right
from itertools import pairwise

from ..benchmark import get_attack
from ..benchmark.budget import GPU_SECOND, cost_of_iteration
from ..benchmark.curves import AUC_RANGE, Proportion
from .reported import ReportedCurve

_ROUNDING = 1e-5
"""Costs are published with six digits."""


def published_clean_accuracy(curve: ReportedCurve) -> Proportion:
    return Proportion(round(curve.clean_accuracy.median * curve.examples), curve.examples)


def published_budget(curve: ReportedCurve) -> float:
    """FLOP per example up to the last point; infinite when nothing was left to break."""
    last = curve.points[-1]
    return math.inf if last.attack_success_rate.median >= 1 else last.cost


def published_accuracy(curve: ReportedCurve, cost: float) -> Proportion:
    """Robust accuracy at `cost` FLOP; a bound between points where more broke, and after the last."""
    number = bisect_right(curve.costs, cost * (1 + _ROUNDING))
    rate, iteration = (curve.rates[number - 1], curve.points[number - 1].iteration) if number else (0.0, 0)
    if math.floor(cost / iteration_cost(curve) * (1 + _ROUNDING)) <= iteration:
        unknown = False
    elif number == len(curve.rates):
        unknown = rate < 1
    else:
        unknown = curve.rates[number] > rate
    holding = round(curve.clean_accuracy.median * curve.examples * (1 - rate))
    return Proportion(holding, curve.examples, bound=unknown and holding > 0)


def published_median(curve: ReportedCurve) -> tuple[float, bool]:
    """Cost at which half of the clean-correct examples were broken, in FLOP, and whether that is only a bound.

    Infinite if most held.
    """
    previous = 0
    for point in curve.points:
        if point.attack_success_rate.median >= 0.5:
            return point.cost, point.iteration > previous + 1
        previous = point.iteration
    return math.inf, False


def published_area(curve: ReportedCurve) -> float | None:
    """Mean robust accuracy over log cost from 0.1 ms to 1 s; None where a bound lies between."""
    low, high = AUC_RANGE
    inside = [point.cost for point in curve.points if low < point.cost < high]
    edges = [low, *inside, high]
    area = 0.0
    for left, right in pairwise(edges):
        # Just before the right edge: the whole step must be known.
        share = published_accuracy(curve, right * (1 - 10 * _ROUNDING))
        if share.bound:
            return None
        area += share.value * math.log(right / left)
    return area / math.log(high / low)


def published_steps(curve: ReportedCurve) -> list[tuple[float, Proportion]]:
    """The points as robust accuracy, from clean accuracy at cost 0 on."""
    steps = [(0.0, published_clean_accuracy(curve))]
    steps += [(point.cost, published_accuracy(curve, point.cost)) for point in curve.points if point.iteration]
    return steps


def iteration_cost(curve: ReportedCurve) -> float:
    """FLOP per example of one iteration."""
    last = curve.points[-1]
    return last.cost / last.iteration if last.iteration else GPU_SECOND


def published_forward_cost(curve: ReportedCurve) -> float | None:
    """FLOP of one forward pass, from what an iteration cost; None for attacks that we do not have.

    The paper's GCG has the parameters of ours: 128 candidates and a gradient are 131 forward passes.
    """
    if curve.attack != "gcg":
        return None
    attack = get_attack(curve.attack)
    passes = cost_of_iteration(1, 1, attack.candidates, gradient=attack.uses_gradient) / 2
    return iteration_cost(curve) / passes
