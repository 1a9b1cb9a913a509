"""What a result says is arithmetic that can be checked by hand."""

import math

import pytest
from made_results import HELD, WRONG, made
from statsmodels.stats.proportion import proportion_confint

from holdfast.benchmark.curves import (
    Proportion,
    area_under_curve,
    attack_success_rate,
    clean_accuracy,
    curve,
    forward_passes,
    median_break_cost,
    robust_accuracy,
)

FIVE = [10**10, 10**11, 10**11, HELD, WRONG]


@pytest.mark.parametrize(
    ("cost", "holding"), [(0, 4), (10**10 - 1, 4), (10**10, 3), (5 * 10**10, 3), (10**11, 1), (4e12, 1)]
)
def test_an_example_is_broken_from_its_break_cost_on(cost, holding):
    share = robust_accuracy(made(FIVE), cost)
    assert (share.successes, share.total, share.bound) == (holding, 5, False)


def test_below_the_first_break_robust_accuracy_is_clean_accuracy():
    assert robust_accuracy(made(FIVE), 1.0) == clean_accuracy(made(FIVE)) == Proportion(4, 5)


def test_beyond_the_budget_there_is_only_a_bound():
    share = robust_accuracy(made(FIVE), 4e13)
    assert share.bound
    assert share.interval[0] == 0.0, "nothing is known from below"
    assert str(share).startswith("≤ 20.0% [0.0%, ")


def test_at_the_budget_itself_it_is_a_measurement():
    assert not robust_accuracy(made(FIVE), 4e12).bound


def test_where_nothing_holds_the_value_is_known_beyond_the_budget_too():
    share = robust_accuracy(made([10**10, 10**11, WRONG]), 4e15)
    assert (share.value, share.bound) == (0.0, False)


@pytest.mark.parametrize(("successes", "total"), [(0, 50), (1, 50), (25, 50), (49, 50), (50, 50), (163, 200), (1, 1)])
def test_intervals_are_wilsons(successes, total):
    low, high = Proportion(successes, total).interval
    expected = proportion_confint(successes, total, alpha=0.05, method="wilson")
    assert (low, high) == pytest.approx(expected, abs=1e-9)
    assert 0 <= low <= successes / total + 1e-12
    assert successes / total - 1e-12 <= high <= 1


def test_an_interval_by_hand():
    """Wilson for 8 of 10: centre (8 + z²/2) / (10 + z²), half-width z sqrt(8·2/10 + z²/4) / (10 + z²), z = 1.96."""
    low, high = Proportion(8, 10).interval
    assert low == pytest.approx(0.4902, abs=5e-5)
    assert high == pytest.approx(0.9433, abs=5e-5)


def test_the_attack_success_rate_is_over_clean_correct_examples():
    assert attack_success_rate(made(FIVE)) == Proportion(3, 4)
    assert attack_success_rate(made([WRONG, WRONG])) is None


def test_the_curve_steps_at_every_distinct_break_cost():
    assert [(cost, share.successes) for cost, share in curve(made(FIVE))] == [(0.0, 4), (10**10, 3), (10**11, 1)]


@pytest.mark.parametrize(
    ("outcomes", "median"),
    [
        ([10**10, 10**11, 10**12], 10**11),
        ([10**10, 10**11, 10**12, HELD], 10**11),
        ([10**10, HELD, HELD], math.inf),
        ([10**10, HELD], 10**10),
        ([10**10, WRONG, WRONG, WRONG], 10**10),
    ],
)
def test_the_median_break_cost_is_where_half_of_the_clean_correct_are_broken(outcomes, median):
    assert median_break_cost(made(outcomes)) == median


def test_without_a_correct_example_there_is_no_median():
    assert math.isnan(median_break_cost(made([WRONG])))


def test_the_area_under_the_curve_by_hand():
    """Over the four decades from 4e10 to 4e14 FLOP: broken at the start 0, after one decade 1/4, after three 3/4, never
    1, wrong when clean 0; the mean of the five is 2/5."""
    outcomes = [4 * 10**10, 4 * 10**11, 4 * 10**13, HELD, WRONG]
    assert area_under_curve(made(outcomes, budget=4e14)) == pytest.approx(0.4)


def test_breaks_outside_the_range_count_as_its_ends():
    assert area_under_curve(made([1], budget=4e15)) == pytest.approx(0.0)
    assert area_under_curve(made([4 * 10**14], budget=4e15)) == pytest.approx(1.0)
    assert area_under_curve(made([10**15], budget=4e15)) == pytest.approx(1.0)


def test_the_area_needs_a_budget_of_one_second_or_nothing_left_to_break():
    assert area_under_curve(made([4 * 10**11, HELD], budget=4e13)) is None
    assert area_under_curve(made([4 * 10**11, WRONG], budget=4e13)) == pytest.approx(0.125)


def test_the_relative_axis_counts_forward_passes_of_the_victim():
    assert forward_passes(made(FIVE, tokens=50, victim_parameters=1_000_000), 10**9) == 10.0
