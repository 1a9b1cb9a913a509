"""How entries stand: the figures on pages are those of `benchmark.curves`, and bounds are shown as bounds."""

import math
from itertools import pairwise

import pytest
from made_results import HELD, WRONG, made

from holdfast.benchmark import TIERS
from holdfast.benchmark.curves import area_under_curve, clean_accuracy, median_break_cost, robust_accuracy
from holdfast.leaderboard.curve_points import curve_points, grid
from holdfast.leaderboard.share import Share
from holdfast.leaderboard.standing import Bounded, Measured, Overall

OUTCOMES = [10**9, 5 * 10**10, HELD, WRONG, 4 * 10**11, HELD, 3 * 10**12]


@pytest.mark.parametrize("cost", [0.0, 1e9, *TIERS])
def test_a_measured_standing_says_what_the_result_says(cost: float) -> None:
    result = made(OUTCOMES)
    standing = Measured(result, "scored")
    expected = robust_accuracy(result, cost)
    assert standing.at(cost) == Share(expected.value, *expected.interval, expected.bound)
    assert str(standing.at(cost)) == str(expected)
    assert str(standing.clean) == str(clean_accuracy(result))
    assert standing.median.cost == median_break_cost(result)
    assert standing.area == area_under_curve(result)


def test_a_relative_cost_is_in_forward_passes_of_the_victim() -> None:
    standing = Measured(made([10**9, HELD]), "scored")
    assert standing.unit == 2 * 1_000_000 * 50
    assert standing.at(9, relative=True).value == 1
    assert standing.at(10, relative=True).value == 0.5


def test_without_all_official_attacks_the_adversary_is_bounded_by_the_worst_of_those_there_are() -> None:
    weak, strong = (
        Measured(made([HELD] * 8 + [10**9] * 2), "scored"),
        Measured(made([10**9] * 6 + [HELD] * 4), "replayed"),
    )
    bounded = Bounded([weak, strong])
    assert (bounded.at(1e10).value, bounded.at(1e10).low, bounded.at(1e10).bound) == (0.4, 0.0, True)
    assert bounded.level == "scored"
    assert bounded.at(1e8).text == "≤ 100.0%"
    assert not Bounded([Measured(made([10**9] * 4), "scored")]).at(1e10).bound, "nothing is left to lose"


def test_overall_is_the_mean_over_tasks_and_its_interval_follows_from_theirs() -> None:
    parts = [
        Measured(made([10**9] * broken + [HELD] * (10 - broken), task=f"t{broken}"), "scored") for broken in range(5)
    ]
    overall = Overall(parts)
    share = overall.at(1e10)
    assert share.value == pytest.approx(0.8)
    widths = [(part.at(1e10).value - part.at(1e10).low) ** 2 for part in parts]
    assert share.low == pytest.approx(0.8 - math.sqrt(sum(widths)) / 5)
    assert overall.at(1e15).bound


def test_a_drawn_curve_agrees_with_the_figures_at_every_tier_and_ends_where_the_budget_does() -> None:
    standing = Measured(made(OUTCOMES), "scored")
    points = curve_points(standing)
    assert points[-1].cost <= 4e12 * (1 + 1e-9)
    for tier in TIERS[:3]:
        assert tier in grid(False)
        drawn = [point for point in points if point.cost <= tier][-1]
        assert drawn.value == standing.at(tier).value
    assert all(one.cost < other.cost for one, other in pairwise(points))
