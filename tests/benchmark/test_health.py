"""Robustness that is only apparent is flagged, by victims that really have the fault; sound victims are not."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from trained import EXAMPLES, save_trained
from victims import with_logits

from holdfast.benchmark import Settings, Victim, attack_examples, get_attack, load_victim, score
from holdfast.benchmark.flags import ENOUGH, FLAGS, answer_flags
from holdfast.benchmark.health import HANDFUL, handful, health_flags, health_readings
from holdfast.benchmark.outcome import Record
from holdfast.benchmark.readings import BATCHED, REPEATED, RESOLVED
from holdfast.submissions.checkpoints import checkpoint_folder
from holdfast.tasks import EvaluationSet, Example, get_task
from holdfast.tasks.task import digest_of

ARCHITECTURES = ("gpt2", "llama", "bert", "modernbert")
PASSWORDS = get_task("password-match").evaluation().examples[:60]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Victim]:
    """A freshly loaded victim that has learned its task; the checkpoint is trained once."""
    folder = tmp_path_factory.mktemp("trained")

    def load(architecture: str) -> Victim:
        if not (folder / architecture).exists():
            save_trained(folder / architecture, architecture)
        return load_victim(folder / architecture, device="cpu")

    return load


def accuracy(victim: Victim, examples: list[Example]) -> float:
    return float(np.mean([victim.classify(example.text("led q")) == example.label for example in examples]))


# Sound victims.


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_sound_victim_raises_no_flag(trained: Callable[[str], Victim], architecture: str) -> None:
    victim = trained(architecture)
    assert accuracy(victim, EXAMPLES) >= 0.9
    assert health_flags(victim, EXAMPLES) == []


@pytest.mark.parametrize("checkpoint", ["password-match-undefended", "password-match-adversarial"])
def test_the_bundled_checkpoints_raise_no_flag_and_are_far_from_every_threshold(checkpoint: str) -> None:
    readings = health_readings(load_victim(checkpoint_folder(checkpoint), device="cpu"), PASSWORDS)
    assert readings.flags == []
    assert readings.repeated == 0
    assert readings.batched is not None
    assert readings.batched < BATCHED / 100
    assert readings.promises is not None
    assert np.median(readings.promises) > 1000 * RESOLVED
    assert readings.long_spread is not None
    assert readings.long_spread > 1000 * RESOLVED


@pytest.mark.parametrize("factor", [1e-6, 1e3])
@pytest.mark.parametrize("architecture", ["llama", "bert"])
def test_being_sure_or_unsure_of_everything_is_no_fault(
    trained: Callable[[str], Victim], architecture: str, factor: float
) -> None:
    """Margins of thousands saturate the cross-entropy of the right label, but not that of the wrong one, which attacks
    use.
    """
    assert health_flags(with_logits(trained(architecture), lambda logits: factor * logits), EXAMPLES) == []


def test_a_margin_of_fifteen_is_no_fault(trained: Callable[[str], Victim]) -> None:
    victim = trained("gpt2")
    typical = float(np.median([abs(np.subtract(*victim.logits(example.text()))) for example in EXAMPLES[:8]]))
    sure = with_logits(victim, lambda logits: 15 / typical * logits)
    assert np.median([abs(np.subtract(*sure.logits(example.text()))) for example in EXAMPLES[:8]]) > 14
    assert health_flags(sure, EXAMPLES) == []


# Outputs that change.


@pytest.mark.parametrize("architecture", ["gpt2", "bert"])
def test_dropout_that_was_left_on_is_flagged(trained: Callable[[str], Victim], architecture: str) -> None:
    victim = trained(architecture)
    victim.model.train()
    assert any(module.p > 0 for module in victim.model.modules() if isinstance(module, nn.Dropout))
    assert "non-deterministic" in health_flags(victim, EXAMPLES)


def test_a_little_noise_is_flagged(trained: Callable[[str], Victim]) -> None:
    """A thousandth of the margins, which turns no answer but the closest."""
    noisy = with_logits(trained("llama"), lambda logits: logits * (1 + 1e-3 * torch.randn_like(logits)))
    assert health_flags(noisy, EXAMPLES) == ["non-deterministic"]


def mixing(victim: Victim, share: float) -> Victim:
    """The victim with a share of the batch's mean logits taken from each row's own, as batch normalisation does."""
    return with_logits(victim, lambda logits: logits - share * logits.mean(dim=0, keepdim=True))


@pytest.mark.parametrize("architecture", ["llama", "bert"])
@pytest.mark.parametrize("share", [0.5, 0.02])
def test_normalisation_over_the_batch_is_flagged(
    trained: Callable[[str], Victim], architecture: str, share: float
) -> None:
    assert health_flags(mixing(trained(architecture), share), EXAMPLES) == ["batch-dependent"]


def test_attention_to_padding_is_flagged(trained: Callable[[str], Victim]) -> None:
    """An encoder that is not told which tokens are padding."""
    victim = trained("modernbert")

    def without_mask(
        _: nn.Module, args: tuple[Any, ...], given: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return args, given | {"attention_mask": torch.ones_like(given["attention_mask"])}

    victim.model.register_forward_pre_hook(without_mask, with_kwargs=True)
    assert health_flags(victim, EXAMPLES) == ["batch-dependent"]


# Texts near the context.


def on_long_texts(victim: Victim, longest: int, answer: Callable[[torch.Tensor], torch.Tensor]) -> Victim:
    """The victim with another answer to texts of more than `longest` tokens, whatever way it is run."""

    def change(_: nn.Module, args: tuple[Any, ...], given: dict[str, Any], output: Any) -> Any:
        ids = given.get("input_ids")
        if ids is not None and ids.shape[1] > longest:
            output.logits = answer(output.logits)
        return output

    victim.model.register_forward_hook(change, with_kwargs=True)
    return victim


def refuse(_: torch.Tensor) -> torch.Tensor:
    raise ValueError("too long for me")


@pytest.mark.parametrize("architecture", ["gpt2", "modernbert"])
@pytest.mark.parametrize(
    "answer",
    [
        refuse,
        lambda logits: torch.tensor([[7.0, -7.0]]).expand_as(logits),
        lambda logits: logits * torch.inf,
    ],
    ids=["refuses", "one answer", "no number"],
)
def test_refusing_long_texts_is_flagged(
    trained: Callable[[str], Victim], architecture: str, answer: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    victim = trained(architecture)
    longest = max(len(victim.tokenizer(example.text())["input_ids"]) for example in EXAMPLES) + 20
    assert longest < 200 < victim.context
    assert health_flags(on_long_texts(victim, longest, answer), EXAMPLES) == ["length-dependent"]


def test_a_context_that_is_longer_than_the_table_of_positions_is_flagged(trained: Callable[[str], Victim]) -> None:
    victim = trained("gpt2")
    victim.context = 300
    assert health_flags(victim, EXAMPLES) == ["length-dependent"]


# Gradients.


@pytest.mark.parametrize("architecture", ["llama", "bert"])
@pytest.mark.parametrize(
    "squash",
    [
        torch.round,
        lambda logits: (10 * logits).round() / 10,
        lambda logits: torch.softmax(1e3 * logits, dim=-1),
        lambda logits: torch.tanh(1e3 * logits),
        lambda logits: logits.detach() + 0,
    ],
    ids=["rounded", "rounded to tenths", "probabilities of a huge temperature", "steep tanh", "detached"],
)
def test_outputs_that_no_gradient_leads_through_are_flagged(
    trained: Callable[[str], Victim], architecture: str, squash: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    assert health_flags(with_logits(trained(architecture), squash), EXAMPLES) == ["vanishing-gradient"]


def test_gradients_that_underflow_in_low_precision_are_flagged(trained: Callable[[str], Victim]) -> None:
    """The judge is sound; what the attack searches with is not."""
    victim = trained("llama")
    half = load_victim(victim.folder, device="cpu", dtype="float16")
    assert health_flags(half, EXAMPLES) == []
    tiny = with_logits(half, lambda logits: 1e-7 * logits)
    half.judge = victim.model
    assert health_flags(tiny, EXAMPLES) == ["vanishing-gradient"]


@pytest.mark.parametrize("architecture", ["llama", "bert"])
def test_gradients_that_are_no_numbers_are_flagged(trained: Callable[[str], Victim], architecture: str) -> None:
    """A square root at zero: it changes no answer, and its slope is infinite."""
    victim = with_logits(trained(architecture), lambda logits: logits + (logits * 0).abs().sqrt())
    assert accuracy(victim, EXAMPLES[:20]) >= 0.9
    assert health_flags(victim, EXAMPLES) == ["non-finite-gradient"]


# Answers without an attack.


def answers(labels: list[int], given: list[int]) -> list[Record]:
    return [
        Record(f"e{number}", label, label == answer, False, 50, None, 0, 0, (0.0, 1.0))
        for number, (label, answer) in enumerate(zip(labels, given, strict=True))
    ]


BALANCED = [0, 1] * 50


def test_a_constant_predictor_is_flagged_up_to_its_threshold() -> None:
    assert answer_flags(answers(BALANCED, [1] * 100)) == ["constant-predictor", "near-chance"]
    assert answer_flags(answers(BALANCED, [0] * 5 + [1] * 95)) == ["constant-predictor", "near-chance"]
    assert answer_flags(answers(BALANCED, [0] * 6 + [1] * 94)) == ["near-chance"]


def test_one_label_is_no_fault_where_it_is_nearly_always_right() -> None:
    assert answer_flags(answers([0] * 5 + [1] * 95, [1] * 100)) == []


@pytest.mark.parametrize(("right", "flags"), [(31, ["near-chance"]), (32, []), (0, ["near-chance"])])
def test_accuracy_that_guessing_could_explain_is_flagged(right: int, flags: list[str]) -> None:
    """Of 50 examples, half of each label."""
    labels = [0, 1] * 25
    given = [label if number < right else 1 - label for number, label in enumerate(labels)]
    assert answer_flags(answers(labels, given)) == flags


def test_few_examples_are_not_judged() -> None:
    assert answer_flags(answers([0, 1] * 10, [1] * 20)[: ENOUGH - 1]) == []
    assert answer_flags(answers([0, 1] * 10, [1] * 20)) == ["constant-predictor", "near-chance"]


# With a score.


def test_the_handful_spans_the_lengths_and_does_not_depend_on_order() -> None:
    chosen = handful(EXAMPLES)
    lengths = [len(example.text()) for example in chosen]
    assert len(set(chosen)) == HANDFUL
    assert lengths == sorted(lengths)
    assert {lengths[0], lengths[-1]} == {f(len(example.text()) for example in EXAMPLES) for f in (min, max)}
    assert handful(EXAMPLES[::-1]) == chosen
    assert handful(EXAMPLES[:3]) == sorted(EXAMPLES[:3], key=lambda example: (len(example.text()), example.id))
    assert len(handful(EXAMPLES[:1])) == 1


def test_a_score_carries_the_flags_and_is_otherwise_the_same(trained: Callable[[str], Victim], tmp_path: Path) -> None:
    """Records and costs are those of the engine alone, which knows nothing of checks."""
    victim = with_logits(trained("llama"), lambda logits: torch.round(logits) + torch.tensor([50.0, 0.0]))
    evaluation = EvaluationSet("somebody-elses", 1, tuple(EXAMPLES), digest_of(EXAMPLES), "0" * 64, "none is needed")
    for name in ("random_token", "gcg"):
        attack, settings = get_attack(name), Settings("custom", 24, 3e9)
        result = score(victim, evaluation, attack, settings, tmp_path, accept_other_data=True)
        assert result.flags == ["constant-predictor", "near-chance", "other-data", "vanishing-gradient"]
        records = attack_examples(victim, EXAMPLES[:24], attack, budget=3e9, task="somebody-elses")
        assert [record.example_id for record in records] == [record.id for record in result.records]
        assert [(each.break_cost, each.cost, each.iterations) for each in records] == [
            (each.break_cost, each.cost, each.iterations) for each in result.records
        ]
        assert result.run.canonical_flop == sum(each.cost for each in records)


def test_the_same_victim_gets_the_same_readings(trained: Callable[[str], Victim]) -> None:
    victim = trained("gpt2")
    assert health_readings(victim, EXAMPLES) == health_readings(victim, EXAMPLES[::-1])


def test_every_threshold_is_above_what_rounding_does_and_below_what_a_fault_does() -> None:
    assert RESOLVED < np.finfo(np.float32).eps < REPEATED < BATCHED
    assert math.isclose(RESOLVED, np.finfo(np.float32).eps, rel_tol=0.2)


def test_every_flag_is_explained_in_the_documentation() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "health-checks.md").read_text(encoding="utf-8")
    assert {line.removeprefix("### ") for line in page.splitlines() if line.startswith("### ")} == set(FLAGS)
