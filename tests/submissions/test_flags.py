"""What follows from results is shown beside them: a gradient attack that random tokens outdo, answers of no worth."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_results import HELD, WRONG, Outcomes, made

from holdfast.benchmark import OFFICIAL_ATTACKS, Result
from holdfast.submissions.claims import claims_of
from holdfast.submissions.declared import HubCheckpoint
from holdfast.submissions.entry import Entry, Key
from holdfast.submissions.flags import flags_of, worse_than_random
from holdfast.submissions.manifest import Author, Defence, Manifest, TaskEntry

EARLY, LATE = 10**10, 10**12
OUTCOME = st.one_of(st.just(HELD), st.just(WRONG), st.integers(10**9, 4 * 10**12))


def random_tokens(outcomes: Outcomes, **others: object) -> Result:
    return made(outcomes, attack="random_token", **others)  # type: ignore[arg-type]


def entry_with(*results: Result) -> Entry:
    checkpoint = HubCheckpoint(repo="a/victim", commit="a1" * 20)
    manifest = Manifest(
        schema_version=1,
        slug="made-up",
        name="A made-up classifier",
        authors=[Author(name="Ada Tester")],
        licence="Apache-2.0",
        submitted=date(2026, 1, 31),
        family="Pythia",
        defence=Defence(kind="none"),
        tasks={"imdb": TaskEntry(checkpoint=checkpoint, parameters=1_000_000)},
    )
    return Entry(
        Path("made-up"),
        manifest,
        {Key(result.task.name, result.attack.name, result.attack.position): result for result in results},
    )


# A gradient attack beside random tokens.


def test_a_gradient_attack_that_breaks_fewer_than_random_tokens_is_flagged() -> None:
    """Five examples that only random tokens broke, and none that only GCG did: p = 1/32."""
    gcg, other = made([HELD] * 5 + [EARLY] * 5), random_tokens([EARLY] * 10)
    assert flags_of([gcg], [gcg, other]) == ("worse-than-random",)
    assert flags_of([other], [gcg, other]) == ()


def test_four_examples_could_be_chance() -> None:
    assert not worse_than_random(made([HELD] * 4 + [EARLY] * 5), random_tokens([EARLY] * 9))


def test_only_what_one_of_the_two_broke_decides() -> None:
    """Six against one: p = 8/128. Seven against one: p = 9/256. What both broke, or neither, is no news."""
    both = [EARLY] * 50
    assert not worse_than_random(made([HELD] * 6 + [EARLY] + both), random_tokens([EARLY] * 6 + [HELD] + both))
    assert worse_than_random(made([HELD] * 7 + [EARLY] + both), random_tokens([EARLY] * 7 + [HELD] + both))


def test_both_are_given_the_smaller_budget() -> None:
    """What GCG broke with ten times the budget counts as held, and what random tokens broke beyond GCG's, too."""
    assert worse_than_random(made([LATE] * 5, budget=4e12), random_tokens([EARLY] * 5, budget=4e11))
    assert not worse_than_random(made([HELD] * 5, budget=4e11), random_tokens([LATE] * 5, budget=4e12))


def test_examples_that_were_wrong_when_clean_say_nothing() -> None:
    assert not worse_than_random(made([WRONG] * 5 + [EARLY] * 5), random_tokens([WRONG] * 5 + [EARLY] * 5))
    assert not worse_than_random(made([HELD] * 5), random_tokens([WRONG] * 5))


def test_an_attack_that_hardly_moved_says_nothing_about_gradients() -> None:
    """An iteration of GCG is 262 NT: ten of them cost 1.31e11 FLOP here."""
    few = {"tokens": 50, "victim_parameters": 1_000_000}
    ten = 10 * 262 * 50 * 1_000_000
    outcomes = [10**8] * 5
    assert not worse_than_random(
        made([HELD] * 5, budget=ten - 1, **few), random_tokens(outcomes, budget=ten - 1, **few)
    )
    assert worse_than_random(made([HELD] * 5, budget=ten, **few), random_tokens(outcomes, budget=ten, **few))


@pytest.mark.parametrize(
    "other",
    [{"victim": "1"}, {"digest": "1"}, {"version": 2}, {"task": "spam"}, {"first": 1}, {"parameters": {"length": 20}}],
)
def test_results_that_were_not_asked_the_same_are_not_compared(other: dict[str, object]) -> None:
    assert worse_than_random(made([HELD] * 5), random_tokens([EARLY] * 5))
    assert not worse_than_random(made([HELD] * 5), random_tokens([EARLY] * 5, **other))


def test_fewer_examples_are_compared_as_far_as_they_go() -> None:
    assert worse_than_random(made([HELD] * 9), random_tokens([EARLY] * 5))
    assert not worse_than_random(made([HELD] * 9), random_tokens([EARLY] * 4))


@pytest.mark.parametrize(("candidates", "flagged"), [(24, True), (128, False)])
def test_iterations_are_those_of_the_attack_that_was_run(candidates: int, flagged: bool) -> None:
    """Ten have to fit the budget: they do with 24 candidates each."""
    few: dict[str, Any] = {"tokens": 50, "victim_parameters": 1_000_000, "budget": 5e10}
    gcg = made([HELD] * 5, parameters={"length": 10, "candidates": candidates, "top_k": 32}, **few)
    assert worse_than_random(gcg, random_tokens([EARLY] * 5, **few)) == flagged


@pytest.mark.parametrize("attack", ["random_token", "somebody-elses"])
def test_only_known_gradient_attacks_are_judged(attack: str) -> None:
    same = made([HELD] * 5, attack=attack, parameters={"length": 10})
    assert not worse_than_random(same, random_tokens([EARLY] * 5))


@given(st.lists(st.tuples(OUTCOME, OUTCOME), min_size=1, max_size=40))
def test_an_attack_that_breaks_no_fewer_is_never_flagged(
    pairs: list[tuple[int | str | None, int | str | None]],
) -> None:
    gcg, other = made([one for one, _ in pairs]), random_tokens([two for _, two in pairs])
    both = [(one, two) for one, two in pairs if WRONG not in (one, two)]
    fewer = sum(one is not HELD for one, _ in both) < sum(two is not HELD for _, two in both)
    assert fewer or not worse_than_random(gcg, other)


def test_claims_of_the_gradient_attack_and_of_the_official_adversary_carry_the_flag() -> None:
    entry = entry_with(*(made([HELD if attack == "gcg" else EARLY] * 5, attack=attack) for attack in OFFICIAL_ATTACKS))
    flagged = ("gcg-suffix", "official-adversary")
    names = ("official-adversary", *(f"{attack}-suffix" for attack in OFFICIAL_ATTACKS))
    assert {claim.attack: claim.flags for claim in claims_of(entry, "imdb")} == {
        name: ("worse-than-random",) if name in flagged else () for name in names
    }


# What the answers without an attack say.


def test_a_result_from_before_the_checks_says_what_its_records_say() -> None:
    """Forty examples, every second one wrong: 50 % right, all of them of one label."""
    wrong = made([HELD, WRONG] * 20)
    assert wrong.flags == []
    [claim] = claims_of(entry_with(wrong), "imdb")
    assert claim.flags == ("constant-predictor", "near-chance")


def test_recorded_flags_stay_and_none_is_shown_twice() -> None:
    recorded = made([HELD, WRONG] * 20).model_copy(update={"flags": ["near-chance", "batch-dependent"]})
    assert flags_of([recorded], []) == ("batch-dependent", "constant-predictor", "near-chance")
