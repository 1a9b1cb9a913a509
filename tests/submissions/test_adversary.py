"""The official adversary is, per example, the cheapest of the official attacks at equal budget; no more, no less."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_results import HELD, WRONG, made

from holdfast.benchmark.curves import area_under_curve, clean_accuracy, curve, median_break_cost, robust_accuracy
from holdfast.submissions.adversary import official_adversary
from holdfast.tasks import RecordError

OUTCOME = st.one_of(st.just(HELD), st.just(WRONG), st.integers(10**9, 4 * 10**12))


def test_each_example_breaks_at_its_cheapest_break():
    adversary = official_adversary(
        [made([10**10, 10**11, HELD, HELD, WRONG]), made([10**11, 10**10, 10**12, HELD, WRONG], attack="random_token")]
    )
    assert [record.break_cost for record in adversary.records] == [10**10, 10**10, 10**12, None, None]
    assert [record.attack for record in adversary.records] == ["gcg", "random_token", "random_token", None, None]
    assert [record.clean_correct for record in adversary.records] == [True, True, True, True, False]


def test_where_two_attacks_cost_the_same_the_first_official_one_is_named():
    adversary = official_adversary([made([10**10]), made([10**10], attack="random_token")])
    assert adversary.records[0].attack == "random_token"


def test_every_attack_gets_the_same_budget():
    """GCG was given ten times as much; what it broke above the smaller budget counts as held."""
    adversary = official_adversary(
        [made([10**10, 10**12], budget=4e12), made([HELD, HELD], attack="random_token", budget=4e11)]
    )
    assert adversary.budget == 4e11
    assert [record.break_cost for record in adversary.records] == [10**10, None]


def test_a_break_at_the_budget_itself_counts():
    adversary = official_adversary([made([4 * 10**11], budget=4e12), made([HELD], attack="random_token", budget=4e11)])
    assert adversary.records[0].break_cost == 4 * 10**11


def test_the_examples_are_those_in_common():
    adversary = official_adversary([made([HELD] * 5), made([10**10] * 3, attack="random_token")])
    assert [record.id for record in adversary.records] == ["e0", "e1", "e2"]


def test_an_example_that_one_run_found_wrong_when_clean_costs_the_adversary_nothing():
    adversary = official_adversary([made([WRONG]), made([10**10], attack="random_token")])
    assert robust_accuracy(adversary, 0).value == 0
    assert adversary.records[0].break_cost is None


def test_one_result_alone_gives_its_own_curve_and_says_so():
    alone = made([10**10, 10**11, 10**11, HELD, WRONG], budget=4e14)
    adversary = official_adversary([alone])
    assert adversary.attacks == ("gcg",)
    assert curve(adversary) == curve(alone)
    assert median_break_cost(adversary) == median_break_cost(alone)
    assert area_under_curve(adversary) == area_under_curve(alone)
    assert clean_accuracy(adversary) == clean_accuracy(alone)


def test_attacks_that_are_not_official_stay_out():
    """Neither somebody else's attack nor GCG with other parameters makes the official adversary stronger."""
    adversary = official_adversary(
        [
            made([10**12]),
            made([10**9], attack="beast_lm"),
            made([10**9], parameters={"length": 20, "candidates": 128, "top_k": 256}),
        ]
    )
    assert adversary.attacks == ("gcg",)
    assert adversary.records[0].break_cost == 10**12


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"victim": "1"}, "The victim (its digest) differs between the results of random_token and gcg"),
        ({"digest": "1"}, "The evaluation set (its digest) differs"),
        ({"version": 2}, "The task's version differs"),
        ({"task": "spam"}, "The task differs"),
        ({"first": 1}, "do not hold the same examples in the same order"),
        ({"attack": "random_token"}, "There are two results of random_token"),
    ],
)
def test_results_that_do_not_belong_together_are_refused(other, said):
    with pytest.raises(RecordError, match=r"^[^\n]+[.]$") as refusal:
        official_adversary([made([HELD] * 3, **other), made([HELD] * 3, attack="random_token")])
    assert said in str(refusal.value)


def test_without_an_official_attack_there_is_no_official_adversary():
    with pytest.raises(RecordError, match="None of these results is of an official attack"):
        official_adversary([made([HELD], attack="beast_lm")])


def test_a_result_without_examples_is_refused():
    with pytest.raises(RecordError, match="holds no examples"):
        official_adversary([made([])])


@given(st.lists(st.tuples(OUTCOME, OUTCOME), min_size=1, max_size=30), st.floats(0, 4e12))
def test_the_adversary_is_at_least_as_strong_as_each_attack(pairs, cost):
    attacks = [made([one for one, _ in pairs]), made([other for _, other in pairs], attack="random_token")]
    value = robust_accuracy(official_adversary(attacks), cost).value
    assert value <= min(robust_accuracy(each, cost).value for each in attacks)
    assert value >= sum(robust_accuracy(each, cost).value for each in attacks) - 1 - 1e-9
