"""Ranks: entries that chance could swap share one, and the tests behind are those of `submissions.paired`."""

from collections.abc import Sequence

import numpy as np
import pytest
from made_results import HELD, WRONG, made

from holdfast.benchmark.curves import Proportion
from holdfast.leaderboard.ranking import pair_values, ranks
from holdfast.leaderboard.standing import Measured, Overall, Standing
from holdfast.submissions.paired import paired_difference, unpaired_difference

TIER = 1e10


def standing(held: Sequence[bool], **made_as: object) -> Measured:
    return Measured(made([HELD if each else 10**9 for each in held], **made_as), "scored")  # type: ignore[arg-type]


def holding(count: int, of: int = 200, **made_as: object) -> Measured:
    return standing([number < count for number in range(of)], **made_as)


def test_every_pair_is_tested_by_exact_mcnemar_on_the_same_examples() -> None:
    draw = np.random.default_rng(0)
    outcomes = [draw.random(60) < share for share in (0.2, 0.5, 0.5, 0.9)]
    p = pair_values([standing(held.tolist()) for held in outcomes], TIER)
    for a, one in enumerate(outcomes):
        for b, other in enumerate(outcomes):
            expected = 1.0 if a == b else paired_difference(one.tolist(), other.tolist()).p
            assert p[a, b] == pytest.approx(expected)


def test_entries_with_more_examples_are_compared_on_what_both_have() -> None:
    long, short = holding(100, 300), holding(40, 200)
    expected = paired_difference([n < 100 for n in range(200)], [n < 40 for n in range(200)]).p
    assert pair_values([long, short], TIER)[0, 1] == pytest.approx(expected)


def test_other_examples_are_two_proportions() -> None:
    here, elsewhere = holding(30), holding(50, first=1000)
    expected = unpaired_difference(Proportion(30, 200), Proportion(50, 200)).p
    assert pair_values([here, elsewhere], TIER)[0, 1] == pytest.approx(expected)


def test_entries_that_chance_could_swap_share_a_rank() -> None:
    found = ranks({"best": holding(180), "same": holding(176), "worse": holding(60), "worst": holding(2)}, TIER)
    assert found == {"best": 1, "same": 1, "worse": 3, "worst": 4}


def test_a_difference_must_survive_the_correction_for_all_pairs() -> None:
    # Six lost, none gained: p = 0.03 alone.
    pair = {"a": holding(100), "b": holding(94)}
    assert ranks(pair, TIER) == {"a": 1, "b": 2}
    many = {**pair, **{f"c{n}": holding(100) for n in range(3)}}
    assert ranks(many, TIER)["b"] == 1


def test_overall_pools_the_examples_of_all_tasks() -> None:
    def over(counts: Sequence[int]) -> Standing:
        return Overall([holding(count, 40, task=f"t{n}", first=1000 * n) for n, count in enumerate(counts)])

    held = [[n < count for count in (20, 30) for n in range(40)], [n < count for count in (17, 26) for n in range(40)]]
    assert pair_values([over([20, 30]), over([17, 26])], TIER)[0, 1] == pytest.approx(paired_difference(*held).p)


def test_one_entry_and_no_entry_are_ranked_too() -> None:
    assert ranks({"alone": holding(3)}, TIER) == {"alone": 1}
    assert ranks({}, TIER) == {}


def test_an_example_that_is_wrong_when_clean_does_not_hold() -> None:
    wrong = Measured(made([WRONG] * 10 + [HELD] * 10), "scored")
    assert (
        pair_values([wrong, holding(10, 20)], 0.0)[0, 1] == paired_difference([False] * 10 + [True] * 10, [True] * 20).p
    )
