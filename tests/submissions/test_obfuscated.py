"""A victim that only hides its gradients fools GCG, and neither the official adversary nor a reader; sound ones are
not flagged.
"""

from pathlib import Path

import pytest
from victims import with_logits

from holdfast.benchmark import OFFICIAL_ATTACKS, Result, Settings, Victim, get_attack, load_victim, score
from holdfast.benchmark.budget import cost_of_iteration
from holdfast.benchmark.flags import ENOUGH, VANISHING_GRADIENT, WORSE_THAN_RANDOM
from holdfast.submissions.adversary import official_adversary
from holdfast.submissions.checkpoints import checkpoint_folder
from holdfast.submissions.flags import FEWEST, flags_of
from holdfast.tasks import get_task

EVALUATION = get_task("password-match").evaluation()
SETTINGS = Settings("custom", 30, 4e10)


def undefended() -> Victim:
    return load_victim(checkpoint_folder("password-match-undefended"), device="cpu")


@pytest.fixture(scope="module")
def saturated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """Official results of the undefended checkpoint, with logits that are its probabilities at a huge temperature."""
    victim = with_logits(undefended(), lambda logits: (1e3 * logits).softmax(-1))
    out = tmp_path_factory.mktemp("saturated")
    return {name: score(victim, EVALUATION, get_attack(name), SETTINGS, out) for name in OFFICIAL_ATTACKS}


@pytest.mark.slow
def test_it_holds_against_gcg_which_breaks_what_is_behind_it(saturated: dict[str, Result], tmp_path: Path) -> None:
    plain = score(undefended(), EVALUATION, get_attack("gcg"), SETTINGS, tmp_path)
    assert plain.summary.broken > 0.8 * plain.summary.clean_correct
    assert saturated["gcg"].summary.broken < 0.4 * saturated["gcg"].summary.clean_correct


def test_the_official_adversary_breaks_more_of_it(saturated: dict[str, Result]) -> None:
    adversary = official_adversary(list(saturated.values()))
    broken = sum(record.break_cost is not None for record in adversary.records)
    assert broken > 1.5 * saturated["gcg"].summary.broken
    assert "random_token" in {record.attack for record in adversary.records}


def test_it_is_flagged(saturated: dict[str, Result]) -> None:
    assert VANISHING_GRADIENT in saturated["gcg"].flags
    flags = flags_of([saturated["gcg"]], list(saturated.values()))
    assert {VANISHING_GRADIENT, WORSE_THAN_RANDOM} <= set(flags)


@pytest.mark.parametrize("task", ["password-match", "word-length"])
def test_a_sound_victim_is_not(task: str, tmp_path: Path) -> None:
    """Though there are examples enough to judge its answers by, and iterations and breaks to judge its gradients by."""
    settings = Settings("custom", 20, 2.4e10)
    victim = load_victim(checkpoint_folder(f"{task}-undefended"), device="cpu")
    evaluation = get_task(task).evaluation()
    results = [score(victim, evaluation, get_attack(name), settings, tmp_path) for name in ("random_token", "gcg")]
    random_tokens = results[0]
    assert len(random_tokens.records) >= ENOUGH
    longest = max(record.tokens for record in random_tokens.records)
    assert settings.budget >= FEWEST * cost_of_iteration(victim.parameters, longest, 128, gradient=True)
    assert random_tokens.summary.broken >= 5
    assert flags_of(results, results) == ()
