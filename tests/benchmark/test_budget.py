"""Cost is canonical, and budgets are read and written as people say them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.benchmark import GCG, PROFILES, TIERS, RandomToken, format_gpu_time, get_profile, parse_budget
from holdfast.benchmark.budget import backward_cost, cost_of_iteration, format_flop, forward_cost
from holdfast.tasks import UsageError

PYTHIA_14M = 7_629_056


def test_a_forward_pass_is_charged_2nt_and_a_backward_pass_4nt():
    assert forward_cost(PYTHIA_14M, 60) == 915_486_720
    assert backward_cost(PYTHIA_14M, 60) == 1_830_973_440


def test_an_iteration_of_gcg_on_60_tokens_of_pythia_14m_costs_what_the_paper_charges():
    # 128 candidates x 2NT + 2NT + 4NT = 262 NT = 262 x 7,629,056 x 60
    official = GCG()
    cost = cost_of_iteration(PYTHIA_14M, 60, official.candidates, gradient=official.uses_gradient)
    assert cost == 119_928_760_320
    assert cost == 117_182_300_160 + 915_486_720 + 1_830_973_440


def test_an_iteration_of_random_tokens_is_one_forward_pass():
    official = RandomToken()
    assert cost_of_iteration(PYTHIA_14M, 60, official.candidates, gradient=official.uses_gradient) == 915_486_720


def test_the_tiers_are_those_of_the_leaderboard():
    assert TIERS == (4e10, 4e11, 4e12, 4e13, 4e14, 4e15)
    assert [format_gpu_time(tier) for tier in TIERS] == ["0.1 ms", "1 ms", "10 ms", "100 ms", "1 s", "10 s"]


def test_the_profiles_nest():
    assert {name: (each.examples, each.budget) for name, each in PROFILES.items()} == {
        "quick": (50, 4e11),
        "lite": (200, 4e12),
        "standard": (200, 4e14),
        "full": (500, 4e15),
    }
    assert all(each.budget in TIERS for each in PROFILES.values())


def test_an_unknown_profile_is_answered_with_the_list():
    with pytest.raises(UsageError, match=r"There is no profile 'huge'; choose one of quick, lite, standard, full\."):
        get_profile("huge")


@pytest.mark.parametrize(
    ("text", "flop"),
    [
        ("10ms", 4e12),
        ("1 s", 4e14),
        ("0.1ms", 4e10),
        (".5 min", 1.2e16),
        ("2h", 2.88e18),
        ("500us", 2e11),
        ("500 µs", 2e11),
        ("100 ns", 4e7),
        ("1e-3 s", 4e11),
        (" 10MS ", 4e12),
        ("4e12FLOP", 4e12),
        ("4E+12 flops", 4e12),
        ("1flop", 1.0),
    ],
)
def test_a_budget_is_gpu_time_or_flop(text, flop):
    assert parse_budget(text) == pytest.approx(flop, rel=1e-12)


MALFORMED = "|10|ms|10 parsecs|-5ms|0ms|0 FLOP|1e999s|1e-999s|nan s|inf s|1,5ms|1_0ms|10ms 5s|٣ms|10 μſ|10m\ns| "


@pytest.mark.parametrize("text", MALFORMED.split("|"))
def test_a_malformed_budget_is_refused_with_an_example_of_a_good_one(text):
    with pytest.raises(UsageError) as caught:
        parse_budget(text)
    assert str(caught.value) == (
        f"The budget '{text}' is not a positive amount of GPU time or FLOP; write it like 10ms, 1s or 4e12FLOP."
    )


@settings(max_examples=200, deadline=None)
@given(st.floats(min_value=1e6, max_value=1e22))
def test_what_is_printed_is_read_back_to_three_digits(cost):
    assert parse_budget(format_gpu_time(cost)) == pytest.approx(cost, rel=6e-3)
    assert parse_budget(format_flop(cost)) == pytest.approx(cost, rel=6e-3)


@settings(max_examples=200, deadline=None)
@given(st.floats(min_value=1e6, max_value=1e22))
def test_a_printed_number_is_short_and_never_a_thousand_of_a_smaller_unit(cost):
    number, unit = format_gpu_time(cost).split()
    assert len(number.replace(".", "")) <= 4 or unit == "h"
    assert unit == "h" or float(number) < 1000


@pytest.mark.parametrize(
    ("cost", "text"),
    [(0, "0 s"), (4e11, "1 ms"), (3.9999e14, "1 s"), (4e14 * 90, "1.5 min"), (4e5, "1 ns"), (1.3e10, "32.5 µs")],
)
def test_gpu_time_is_printed_with_three_digits(cost, text):
    assert format_gpu_time(cost) == text


@pytest.mark.parametrize("names", [("0.1ms", "100us"), ("1ms",), ("10ms",), ("100ms", "0.1s"), ("1s",), ("10s",)])
def test_a_budget_typed_as_a_tier_is_that_tier_to_the_last_digit(names):
    assert {parse_budget(name) for name in names} <= set(TIERS)
