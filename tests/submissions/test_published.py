"""What a reported curve says at a cost, on points worked out by hand."""

import math

import pytest

from holdfast.submissions.published import (
    published_accuracy,
    published_area,
    published_budget,
    published_forward_cost,
    published_median,
)
from holdfast.submissions.reported import ReportedCurve


def curve(
    points: dict[int, float], *, per_iteration: float = 1e12, clean: float = 0.9, examples: int = 200
) -> ReportedCurve:
    """points: attack success rate by iteration."""
    return ReportedCurve.model_validate(
        {
            "task": "imdb",
            "attack": "gcg",
            "position": "suffix",
            "parameters": 1000,
            "examples": examples,
            "seeds": 1,
            "clean_accuracy": {"median": clean, "low": clean, "high": clean},
            "points": [
                {
                    "iteration": iteration,
                    "cost": iteration * per_iteration,
                    "attack_success_rate": {"median": rate, "low": rate, "high": rate},
                }
                for iteration, rate in points.items()
            ],
        }
    )


EVERY = {0: 0.0, 1: 0.2, 2: 0.5, 3: 0.5}
GAPS = {4: 0.2, 8: 0.6}


@pytest.mark.parametrize(
    ("points", "cost", "holding", "bound"),
    [
        (EVERY, 0.0, 180, False),
        (EVERY, 0.99e12, 180, False),
        (EVERY, 1e12, 144, False),
        (EVERY, 2.5e12, 90, False),
        (EVERY, 3.9e12, 90, False),
        (EVERY, 4e12, 90, True),  # a fourth iteration was not published
        (GAPS, 0.5e12, 180, False),  # before the first iteration nothing can have broken
        (GAPS, 1e12, 180, True),  # one to three iterations broke up to 20 %
        (GAPS, 4.9e12, 144, False),
        (GAPS, 5e12, 144, True),
        (GAPS, 8e12, 72, False),
    ],
)
def test_robust_accuracy_is_what_was_published_and_a_bound_where_nothing_was(
    points: dict[int, float], cost: float, holding: int, bound: bool
) -> None:
    share = published_accuracy(curve(points), cost)
    assert (share.successes, share.total, share.bound) == (holding, 200, bound)


def test_a_gap_in_which_nothing_broke_is_known() -> None:
    assert not published_accuracy(curve({4: 0.3, 8: 0.3}), 6e12).bound


def test_when_everything_broke_the_curve_is_known_for_ever() -> None:
    broken = curve({1: 0.5, 2: 1.0})
    assert published_budget(broken) == math.inf
    assert published_accuracy(broken, 1e18).value == 0
    assert not published_accuracy(broken, 1e18).bound


def test_the_median_is_where_half_were_broken_and_a_bound_after_a_gap() -> None:
    assert published_median(curve(EVERY)) == (2e12, False)
    assert published_median(curve(GAPS)) == (8e12, True)
    assert published_median(curve({1: 0.1})) == (math.inf, False)


def test_the_area_is_the_mean_over_log_cost_and_none_where_a_bound_lies_between() -> None:
    # Clean accuracy 0.9 up to 4e12, the middle of 0.1 ms .. 1 s on a log axis, then nothing.
    whole = curve({1: 1.0}, per_iteration=4e12)
    assert published_area(whole) == pytest.approx(0.45, abs=1e-4)
    assert published_area(curve(GAPS)) is None
    assert published_area(curve({1: 0.1})) is None


def test_a_forward_pass_follows_from_an_iteration_of_gcg() -> None:
    assert published_forward_cost(curve(EVERY, per_iteration=131e9)) == pytest.approx(1e9)
