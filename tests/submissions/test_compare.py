"""A comparison is of the same question only, loses nothing that the base had, and alarms when it should."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_results import HELD, WRONG, made

from holdfast.submissions.compare import (
    CLEAN,
    OFFICIAL_ADVERSARY,
    Comparison,
    Row,
    compare_results,
    failures,
    parse_condition,
)
from holdfast.tasks import RecordError, UsageError

STRONG = [HELD] * 140 + [10**12] * 50 + [WRONG] * 10
WEAK = [HELD] * 100 + [10**10] * 40 + [10**12] * 50 + [WRONG] * 10
OUTCOME = st.one_of(st.just(HELD), st.just(WRONG), st.integers(10**9, 4 * 10**12))


def both(outcomes, **kwargs):
    """A release: the outcomes under two official attacks."""
    return [made(outcomes, **kwargs), made(outcomes, attack="random_token", **kwargs)]


def rows_of(comparison, attack):
    return [row for row in comparison.rows if row.attack == attack]


def places(comparison):
    return [(row.task, row.attack, row.tier) for row in comparison.rows]


def test_there_is_a_row_per_attack_and_tier_within_the_budget_and_one_for_clean_accuracy():
    tiers = [4e10, 4e11, 4e12, None]
    assert places(compare_results(both(STRONG), both(STRONG))) == [
        ("imdb", CLEAN, 0.0),
        *[("imdb", OFFICIAL_ADVERSARY, tier) for tier in tiers],
        *[("imdb", "gcg", tier) for tier in tiers],
        *[("imdb", "random_token", tier) for tier in tiers],
    ]


def test_a_release_compared_with_itself_shows_nothing():
    comparison = compare_results(both(STRONG), both(STRONG))
    assert comparison.verdict == "no evidence"
    assert {row.verdict for row in comparison.rows} == {"no evidence"}
    assert all(row.difference in (0.0, None) for row in comparison.rows)


def test_a_drop_is_a_regression_at_the_tier_where_it_is():
    comparison = compare_results(both(STRONG), both(WEAK))
    at = {row.tier: row for row in rows_of(comparison, "gcg")}
    assert (at[4e10].verdict, at[4e10].difference, at[4e10].lost, at[4e10].gained) == ("regressed", -0.2, 40, 0)
    assert str(at[4e10].base).startswith("95.0%")
    assert at[None].verdict == "regressed"
    assert rows_of(comparison, CLEAN)[0].verdict == "no evidence"
    assert comparison.verdict == "regressed"


def test_the_same_the_other_way_around_is_an_improvement():
    assert compare_results(both(WEAK), both(STRONG)).verdict == "improved"


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(OUTCOME, OUTCOME), min_size=1, max_size=25))
def test_swapping_base_and_candidate_turns_every_row_around(pairs):
    base, candidate = [made([one for one, _ in pairs])], [made([other for _, other in pairs])]
    opposite = {"regressed": "improved", "improved": "regressed", "no evidence": "no evidence"}
    for there, back in zip(compare_results(base, candidate).rows, compare_results(candidate, base).rows, strict=True):
        assert there.verdict == opposite[back.verdict]
        assert there.p == pytest.approx(back.p)
        assert (there.lost, there.gained) == (back.gained, back.lost)


def test_a_budget_that_is_no_tier_is_compared_too():
    comparison = compare_results([made(STRONG, budget=1e11)], [made(STRONG, budget=1e11)])
    assert [row.tier for row in rows_of(comparison, "gcg")] == [4e10, 1e11, None]


def test_what_broke_above_the_smaller_budget_counts_as_held():
    """The candidate was given more, and broke there; the base was not asked."""
    comparison = compare_results([made([HELD] * 50, budget=4e11)], [made([10**12] * 50, budget=4e12)])
    assert [row.tier for row in rows_of(comparison, "gcg")] == [4e10, 4e11, None]
    assert comparison.verdict == "no evidence"


def test_a_smaller_budget_in_the_candidate_leaves_tiers_missing():
    comparison = compare_results([made(STRONG, budget=4e12)], [made(STRONG, budget=4e11)])
    assert [(row.tier, row.verdict) for row in rows_of(comparison, "gcg")] == [
        (4e10, "no evidence"),
        (4e11, "no evidence"),
        (None, "no evidence"),
        (4e12, "missing"),
    ]
    assert comparison.verdict == "missing"
    assert rows_of(comparison, "gcg")[-1].reason == "the candidate's budget ends at 1 ms"


def test_fewer_examples_in_the_candidate_are_missing_though_compared():
    comparison = compare_results([made(STRONG)], [made(STRONG[:150])])
    assert {row.verdict for row in comparison.rows} == {"missing"}
    assert {row.reason for row in comparison.rows} == {"the candidate has 150 of the base's 200 examples"}
    assert {row.examples for row in comparison.rows} == {150}


def test_more_examples_in_the_candidate_are_left_out():
    comparison = compare_results([made(STRONG[:150])], [made(STRONG)])
    assert {row.verdict for row in comparison.rows} == {"no evidence"}
    assert {row.examples for row in comparison.rows} == {150}


def test_an_attack_that_the_candidate_lacks_is_missing_and_so_is_the_official_adversary():
    comparison = compare_results(both(STRONG), [made(STRONG)])
    (lacking,) = rows_of(comparison, "random_token")
    assert (lacking.verdict, lacking.tier, lacking.reason) == ("missing", None, "the candidate lacks it")
    (adversary,) = rows_of(comparison, OFFICIAL_ADVERSARY)
    assert (adversary.verdict, adversary.reason) == ("missing", "the candidate lacks random_token")
    assert {row.verdict for row in rows_of(comparison, "gcg")} == {"no evidence"}


def test_a_task_that_the_candidate_lacks_is_missing_as_a_whole():
    comparison = compare_results([*both(STRONG), *both(STRONG, task="spam")], both(STRONG))
    lacking = [row for row in comparison.rows if row.task == "spam"]
    assert [row.attack for row in lacking] == [CLEAN, OFFICIAL_ADVERSARY, "gcg", "random_token"]
    assert {(row.verdict, row.reason) for row in lacking} == {("missing", "the candidate lacks the task")}


@pytest.mark.parametrize(
    ("other", "said"),
    [({"digest": "1"}, "the evaluation sets differ"), ({"version": 2}, "version 1 of the task in the base, 2 in the")],
)
def test_other_data_are_never_compared(other, said):
    comparison = compare_results(both(STRONG), both(STRONG, **other))
    assert {row.verdict for row in comparison.rows} == {"not comparable"}
    assert all(said in row.reason and row.p is None and row.base is None for row in comparison.rows)


def test_other_parameters_are_never_compared():
    comparison = compare_results(
        [made(STRONG, attack="beast", parameters={"width": 15, "depth": 25})],
        [made(STRONG, attack="beast", parameters={"width": 5, "depth": 25})],
    )
    (row,) = rows_of(comparison, "beast")
    assert (row.verdict, row.reason) == ("not comparable", "the parameters differ: width 15 and 5")


def test_other_examples_under_the_same_digest_are_never_compared():
    comparison = compare_results([made(STRONG)], [made(STRONG, first=1)])
    assert {(row.attack, row.verdict) for row in comparison.rows} == {
        (CLEAN, "not comparable"),
        ("gcg", "not comparable"),
    }


def test_variants_of_an_attack_are_told_apart():
    release = [made(STRONG, attack="beast", parameters={"width": width, "depth": 25}) for width in (5, 15)]
    comparison = compare_results(release, release)
    assert list(dict.fromkeys(row.attack for row in comparison.rows)) == [CLEAN, "beast (width 5)", "beast (width 15)"]


def test_the_official_adversary_is_derived_only_from_what_both_have():
    assert not rows_of(compare_results([made(STRONG)], both(STRONG)), OFFICIAL_ADVERSARY)


def test_what_only_the_candidate_has_is_listed():
    comparison = compare_results([made(STRONG)], [*both(STRONG), made(STRONG, task="spam")])
    assert comparison.added == ("imdb × random_token", "spam × gcg")
    assert comparison.verdict == "no evidence"


def test_a_filter_leaves_the_rest_out_of_the_correction_too():
    base, candidate = [*both(STRONG), *both(STRONG, task="spam")], [*both(WEAK), *both(STRONG, task="spam")]
    every = compare_results(base, candidate)
    some = compare_results(base, candidate, tasks=["imdb"], attacks=["gcg"])
    assert {(row.task, row.attack) for row in some.rows} == {("imdb", "gcg")}
    assert some.rows[0].adjusted < rows_of(every, "gcg")[0].adjusted


@pytest.mark.parametrize("wanted", [{"tasks": ["spam"]}, {"attacks": ["beast"]}])
def test_a_filter_that_matches_nothing_is_refused_and_so_passes_no_gate(wanted):
    with pytest.raises(UsageError, match=r"The base has no (task 'spam'|attack 'beast') to compare; it has"):
        compare_results([made(STRONG)], [made(STRONG)], **wanted)


@pytest.mark.parametrize(
    ("side", "said"),
    [
        ([], "holds no results"),
        ([made([])], "holds no examples"),
        ([made(STRONG), made(STRONG)], "two results of 'gcg' on 'imdb'"),
        ([made(STRONG), made(STRONG, attack="beast", victim="1")], "several victims"),
        ([made(STRONG), made(STRONG, attack="beast", digest="1")], "several evaluation sets"),
        ([made(STRONG), made(STRONG, attack="beast", version=2)], "several versions of the task"),
    ],
)
def test_a_side_that_is_not_one_release_is_refused(side, said):
    for name, sides in (("base", (side, [made(STRONG)])), ("candidate", ([made(STRONG)], side))):
        with pytest.raises(RecordError, match=f"^The {name}[^\n]*{said}[^\n]*[.]$"):
            compare_results(*sides)


def failing(comparison, *conditions):
    return [(each.row.attack, each.row.tier, each.reason) for each in failures(comparison, conditions)]


def one_row(**kwargs):
    row = {"task": "imdb", "attack": "gcg", "tier": 4e10, "verdict": "no evidence", **kwargs}
    return Comparison((Row(**row),))


def test_without_a_condition_nothing_fails():
    assert failures(one_row(verdict="regressed", difference=-0.5), []) == []


def test_a_regression_fails_under_regression():
    assert failing(one_row(verdict="regressed"), parse_condition("regression")) == [("gcg", 4e10, "regressed")]
    assert not failing(one_row(verdict="improved"), parse_condition("regression"))


@pytest.mark.parametrize(("difference", "fails"), [(-0.051, True), (-0.05, False), (0.06, False), (None, False)])
def test_a_drop_fails_when_it_is_larger_than_the_limit(difference, fails):
    """As measured, whether or not chance explains it. 0.05 is often 0.05000000000000004 in a computer."""
    assert bool(failing(one_row(difference=difference), parse_condition("drop>5%"))) == fails


def test_a_drop_that_counts_make_inexact_is_not_larger_than_itself():
    assert not failing(one_row(difference=0.85 - 0.90), parse_condition("drop>5%"))


@pytest.mark.parametrize("verdict", ["missing", "not comparable"])
@pytest.mark.parametrize("condition", ["regression", "drop>99%"])
def test_no_score_never_passes(verdict, condition):
    comparison = one_row(verdict=verdict, reason="because")
    assert failing(comparison, parse_condition(condition)) == [("gcg", 4e10, f"{verdict}: because")]


def test_any_of_several_conditions_fails():
    conditions = [parse_condition("regression"), parse_condition("drop>5%")]
    assert failing(one_row(difference=-0.1), *conditions) == [("gcg", 4e10, "dropped by 10.0 points, more than 5")]


@pytest.mark.parametrize("text", ["drop>5%", " drop > 5 % ", "drop>5", "drop>5.0%"])
def test_a_drop_is_written_in_points(text):
    assert str(parse_condition(text)) == "drop>5%"


@pytest.mark.parametrize("text", ["", "drop", "drop>", "drop>x%", "drop<5%", "drop>-1%", "drop>nan%", "regressions"])
def test_any_other_condition_is_refused(text):
    with pytest.raises(UsageError, match="is neither `regression` nor a drop like 'drop>5%'"):
        parse_condition(text)
