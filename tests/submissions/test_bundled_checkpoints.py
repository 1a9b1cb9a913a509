"""Checkpoints in the registry: small and documented; and the demo's two as robust as they are said to be."""

from functools import cache

import pytest

from holdfast.benchmark.attacks import get_attack
from holdfast.benchmark.budget import cost_of_iteration
from holdfast.benchmark.curves import Proportion
from holdfast.benchmark.digest import checkpoint_digest
from holdfast.benchmark.engine import attack_examples
from holdfast.benchmark.outcome import Record
from holdfast.benchmark.victim import Victim, load_victim
from holdfast.submissions.checkpoints import checkpoint_folder, checkpoint_names
from holdfast.submissions.recipes import TrainingRecord, read_training_record
from holdfast.tasks import get_task

NAMES = ("password-match-adversarial", "password-match-undefended")
ITERATIONS = 50
CLEAN = {"password-match-undefended": 0.99, "password-match-adversarial": 0.97}


@cache
def victim_of(name: str) -> Victim:
    return load_victim(checkpoint_folder(name), device="cpu")


@cache
def attacked(name: str, attack: str) -> list[Record]:
    """The first 50 examples that are right without an attack, with the FLOP of 50 iterations of GCG each."""
    victim = victim_of(name)
    examples = get_task("password-match").evaluation().examples
    right = [example for example in examples[:60] if victim.classify(example.text()) == example.label][:50]
    assert len(right) == 50
    tokens = min(len(victim.tokenizer(example.text()).input_ids) for example in right) + 10
    budget = ITERATIONS * cost_of_iteration(victim.parameters, tokens, 128, gradient=True)
    return attack_examples(victim, right, get_attack(attack), budget=budget)


def success(name: str, attack: str) -> Proportion:
    """Attack success rate, with its interval."""
    records = attacked(name, attack)
    return Proportion(sum(record.break_cost is not None for record in records), len(records))


def training_of(name: str) -> TrainingRecord:
    record = read_training_record(checkpoint_folder(name))
    assert record is not None
    return record


def test_the_demos_two_are_there() -> None:
    assert set(NAMES) <= set(checkpoint_names())


def test_all_together_stay_under_12_mb() -> None:
    folders = [checkpoint_folder(name) for name in checkpoint_names()]
    assert sum(path.stat().st_size for folder in folders for path in folder.iterdir()) < 12_000_000


@pytest.mark.parametrize("name", checkpoint_names())
def test_a_checkpoint_is_small_and_has_only_what_it_needs(name: str) -> None:
    files = {path.name: path.stat().st_size for path in checkpoint_folder(name).iterdir()}
    assert sum(files.values()) < (500_000 if name in NAMES else 2_000_000)
    assert set(files) == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "training.json",
    }


@pytest.mark.parametrize("name", checkpoint_names())
def test_its_training_record_belongs_to_it_and_gives_its_command(name: str) -> None:
    record = training_of(name)
    assert record.digest == checkpoint_digest(checkpoint_folder(name))
    assert record.parameters == victim_of(name).parameters
    assert name.startswith(record.task)
    assert record.task_version == get_task(record.task).version
    assert record.command
    readme = (checkpoint_folder(name).parent / "README.md").read_text(encoding="utf-8")
    assert record.command in readme


@pytest.mark.parametrize("name", NAMES)
def test_it_is_right_when_nobody_attacks(name: str) -> None:
    examples = get_task("password-match").evaluation().examples
    right = sum(victim_of(name).classify(example.text()) == example.label for example in examples)
    assert right / len(examples) >= CLEAN[name]


def test_gcg_breaks_the_undefended_one_within_50_iterations() -> None:
    assert success("password-match-undefended", "gcg").value >= 0.8
    assert all(record.iterations <= ITERATIONS for record in attacked("password-match-undefended", "gcg"))


@pytest.mark.slow
def test_random_tokens_break_far_fewer_at_the_same_cost() -> None:
    by_chance, by_gradient = (success("password-match-undefended", attack) for attack in ("random_token", "gcg"))
    assert by_chance.interval[1] < by_gradient.interval[0], "intervals apart"


def test_the_adversarially_trained_one_holds_clearly_better() -> None:
    defended, undefended = (success(name, "gcg") for name in NAMES)
    assert defended.interval[1] < undefended.interval[0], "intervals apart"


def test_the_defence_is_accounted_for() -> None:
    assert training_of("password-match-undefended").compute.defence == 0
    assert training_of("password-match-adversarial").compute.defence > 0
    assert len(training_of("password-match-adversarial").rounds) > 0
