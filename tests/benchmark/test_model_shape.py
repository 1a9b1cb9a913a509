"""What a shape says about its cost is what transformers builds and what the engine executes."""

import pytest
import torch
from transformers import AutoModelForSequenceClassification, GPTNeoXConfig, LlamaConfig

from holdfast.benchmark import Engine, get_attack
from holdfast.benchmark.last_token import last_block
from holdfast.benchmark.model_shape import PYTHIA, SHAPES, ModelShape, get_shape
from holdfast.benchmark.pass_base import linear_weights
from holdfast.benchmark.rates import plain_flop
from holdfast.benchmark.slot import prepare_slot
from holdfast.benchmark.stand_in import load_shape, prompts, save_shape
from holdfast.submissions.entry import find_registry, load_registry
from holdfast.tasks import UsageError


def config_of(shape: ModelShape) -> GPTNeoXConfig | LlamaConfig:
    common = {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_labels": 2,
    }
    if shape.name in PYTHIA:
        return GPTNeoXConfig(intermediate_size=4 * shape.width, **common)
    return LlamaConfig(intermediate_size=28_672, num_key_value_heads=8, **common)


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_counts_what_transformers_builds(name: str) -> None:
    shape = SHAPES[name]
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(config_of(shape))
    block = last_block(model)
    assert block is not None
    assert shape.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert shape.weights == linear_weights(model)
    assert shape.last_block == linear_weights(block)


def test_a_shape_has_the_parameters_that_the_registry_has_of_it() -> None:
    published = {
        entry.slug: {task.parameters for task in entry.manifest.tasks.values()}
        for entry in load_registry(find_registry(None))
        if entry.slug.startswith("pythia-") and entry.slug.endswith("-finetuned")
    }
    for slug, parameters in published.items():
        name = slug.removeprefix("pythia-").removesuffix("-finetuned").replace("1-4b", "1.4b")
        assert parameters == {SHAPES[name.replace("-", ".")].parameters}
    assert len(published) >= 9


def test_the_flop_of_passes_are_those_worked_out_by_hand() -> None:
    shape = ModelShape("small", 4, 2, 1, 10, parameters=500, weights=100, last_block=30)
    # 3 tokens that see 5 before them: 3 * (2 * 100 + 4 * 4 * 2 * 8).
    assert shape.pass_flop(3, before=5) == 3 * (200 + 256)
    # In the last block two of the three are left out.
    assert shape.candidate_flop(5, 3) == 1368 - 2 * 2 * 30
    assert shape.gradient_flop(5, 3) == 1248 + 2 * 1368
    assert shape.prefix_flop(6) == 6 * (200 + 32 * 3)


def test_the_flop_of_a_candidate_are_those_that_the_engine_executes(tmp_path) -> None:
    victim = load_shape(save_shape("14m", None, tmp_path), "cpu", "float32")
    assert victim.parameters == SHAPES["14m"].parameters
    attack = get_attack("random_token")
    [example] = prompts(victim, 60, 1)
    engine = Engine(victim, attack, budget=1e30, batch_size=64, look_over=False)
    slot = prepare_slot(example, victim.vocabulary, attack.length, victim.context)
    rounds = engine.rounds([example])
    assert next(rounds) == []  # broken by nothing
    before = (engine.candidates, engine.executed)
    next(rounds)
    executed = (engine.executed - before[1]) / (engine.candidates - before[0])
    expected = plain_flop(SHAPES["14m"], attack, len(slot.prefix), slot.tokens - len(slot.prefix))
    assert executed == pytest.approx(expected, rel=0.02)


def test_a_stand_in_is_made_of_pythias_shapes_alone(tmp_path) -> None:
    with pytest.raises(UsageError, match="No stand-in is made of the shape '70b'"):
        save_shape("70b", None, tmp_path)
    with pytest.raises(UsageError, match="There is no shape '15m'; choose one of 14m"):
        get_shape("15m")
