"""However a victim is run, it gives the logits and the gradient of its own full pass."""

import numpy as np
import pytest
import torch
import victims
from plain import plain_gradient
from torch.utils.flop_counter import FlopCounterMode
from transformers import MistralConfig
from victims import ARCHITECTURES, DECODERS, save_checkpoint

from holdfast.benchmark import load_victim, shared_prefix
from holdfast.benchmark.pass_base import Unit
from holdfast.benchmark.passes import FullText, SharedPrefix, passes_for
from holdfast.benchmark.slot import prepare_slot, survivors
from holdfast.tasks import Example

EXAMPLES = [
    Example(f"e{number}", "the farmer said yellow apple\n" * (1 + number % 3) + "pepper?\n", after, number % 2)
    for number, after in enumerate(["\nYes or no?", "\nYes or no?", "\nYes or no?"])
]


def prepared(victim, count=6, examples=EXAMPLES):
    """Slots, and for each `count` strings that survive in it with their texts."""
    rng = np.random.default_rng(0)
    slots = [prepare_slot(example, victim.vocabulary, 10, victim.context) for example in examples]
    drawn = [victim.vocabulary.draw(rng, 40, 10) for _ in slots]
    checked = survivors(victim.vocabulary, list(zip(slots, drawn, strict=True)))
    strings = [rows[alive][:count] for rows, (alive, _) in zip(drawn, checked, strict=True)]
    texts = [[text for text, lives in zip(written, alive, strict=True) if lives][:count] for alive, written in checked]
    return slots, strings, texts


def one_softmax(monkeypatch):
    """Attend to prefix and tail in one softmax, as otherwise in bfloat16 alone. Returns the calls, as they come."""
    calls = []
    attend = shared_prefix._attention_over_both
    monkeypatch.setattr(shared_prefix, "_in_one_softmax", lambda query: not torch.is_grad_enabled())
    monkeypatch.setattr(shared_prefix, "_attention_over_both", lambda *given: calls.append(given) or attend(*given))
    return calls


@pytest.mark.parametrize("in_one", [False, True])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_batched_logits_are_those_of_the_public_path(tmp_path, monkeypatch, architecture, in_one):
    calls = one_softmax(monkeypatch) if in_one else []
    victim = load_victim(save_checkpoint(tmp_path, architecture))
    passes = passes_for(victim)
    slots, strings, texts = prepared(victim)
    units = [Unit(passes.prepare(slot), rows) for slot, rows in zip(slots, strings, strict=True)]
    expected = np.array(
        [[victim.logits(slot.example.text(text)) for text in own] for slot, own in zip(slots, texts, strict=True)]
    )
    np.testing.assert_allclose(passes.logits(units).numpy(), expected, atol=2e-5)
    assert bool(calls) == (in_one and architecture in DECODERS)


@pytest.mark.parametrize("architecture", DECODERS)
def test_decoders_share_their_prefix(tmp_path, architecture):
    passes = passes_for(load_victim(save_checkpoint(tmp_path, architecture)))
    assert isinstance(passes, SharedPrefix)
    assert passes._last_block is not None, "the last layer's feed-forward block sees one token of each text"


@pytest.mark.parametrize("architecture", ["gpt_neox", "qwen2"])
def test_where_pooling_skips_the_last_token_another_one_is_read(tmp_path, architecture):
    victim = load_victim(save_checkpoint(tmp_path, architecture))
    passes = passes_for(victim)
    example = Example("padded", "the farmer said yellow apple\n", "\nYes or no?<|endoftext|>", 1)
    slot = prepare_slot(example, victim.vocabulary, 10, victim.context)
    assert slot.suffix[-1] in victim.pads
    drawn = victim.vocabulary.draw(np.random.default_rng(0), 40, 10)
    [(alive, texts)] = survivors(victim.vocabulary, [(slot, drawn)])
    expected = [victim.logits(example.text(text)) for text, lives in zip(texts, alive, strict=True) if lives]
    logits = passes.logits([Unit(passes.prepare(slot), drawn[alive])])[0]
    np.testing.assert_allclose(logits.numpy(), np.array(expected), atol=2e-5)


def test_a_decoder_with_a_sliding_window_gets_the_full_text(tmp_path, monkeypatch):
    def mistral(size):
        return MistralConfig(
            vocab_size=size, num_key_value_heads=2, sliding_window=16, max_position_embeddings=256, **victims._COMMON
        )

    monkeypatch.setitem(ARCHITECTURES, "mistral", mistral)
    victim = load_victim(save_checkpoint(tmp_path, "mistral"))
    passes = passes_for(victim)
    assert isinstance(passes, FullText)
    slots, strings, texts = prepared(victim)
    units = [Unit(passes.prepare(slot), rows) for slot, rows in zip(slots, strings, strict=True)]
    expected = np.array(
        [[victim.logits(slot.example.text(text)) for text in own] for slot, own in zip(slots, texts, strict=True)]
    )
    np.testing.assert_allclose(passes.logits(units).numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_slot_gradient_is_that_of_the_one_hot_tokens(tmp_path, architecture):
    victim = load_victim(save_checkpoint(tmp_path, architecture))
    passes = passes_for(victim)
    slots, strings, _ = prepared(victim, count=1)
    units = [Unit(passes.prepare(slot), rows) for slot, rows in zip(slots, strings, strict=True)]
    gradients = passes.slot_gradient(units)
    for slot, rows, ours in zip(slots, strings, gradients, strict=True):
        expected = plain_gradient(victim, slot, rows[0])
        assert expected.abs().max() > 0
        torch.testing.assert_close(ours, expected, atol=1e-5 * float(expected.abs().max()), rtol=1e-3)


def test_a_text_that_begins_with_the_slot_has_no_prefix_to_share(tmp_path):
    victim = load_victim(save_checkpoint(tmp_path))
    passes = passes_for(victim)
    slot = prepare_slot(Example("bare", "", "\nYes or no?", 0), victim.vocabulary, 10, victim.context)
    assert slot.prefix == ()
    strings = victim.vocabulary.draw(np.random.default_rng(3), 50, 10)
    [(alive, texts)] = survivors(victim.vocabulary, [(slot, strings)])
    expected = [victim.logits(slot.example.text(text)) for text, lives in zip(texts, alive, strict=True) if lives]
    ours = passes.logits([Unit(passes.prepare(slot), strings[alive])])[0].numpy()
    np.testing.assert_allclose(ours, np.array(expected), atol=2e-5)


@pytest.mark.parametrize("way", ["fused", "in the open", "in one"])
def test_it_may_share_a_batch_with_texts_that_have_one(tmp_path, monkeypatch, way):
    """By PyTorch's kernel for CPUs, by the plain products that other devices take, and as in bfloat16."""
    victim = load_victim(save_checkpoint(tmp_path, "llama"))
    slots, strings, texts = prepared(victim, 4, [Example("bare", "", "\nYes or no?", 0), *EXAMPLES])
    passes = passes_for(victim)
    if way == "in one":
        one_softmax(monkeypatch)
    if way == "in the open":
        monkeypatch.setattr(shared_prefix, "_fused_on", lambda query: False)
    assert [len(slot.prefix) > 0 for slot in slots] == [False, True, True, True]
    expected = [
        [victim.logits(slot.example.text(text)) for text in own] for slot, own in zip(slots, texts, strict=True)
    ]
    for count in (4, 1):
        units = [Unit(passes.prepare(slot), rows[:count]) for slot, rows in zip(slots, strings, strict=True)]
        np.testing.assert_allclose(passes.logits(units).numpy(), np.array(expected)[:, :count], atol=2e-5)


@pytest.mark.parametrize("architecture", ["gpt_neox", "qwen2", "bert"])
def test_the_count_of_executed_operations_is_pytorchs_own(tmp_path, architecture):
    victim = load_victim(save_checkpoint(tmp_path, architecture))
    passes = passes_for(victim)
    slots, strings, _ = prepared(victim)
    units = [Unit(passes.prepare(slot), rows) for slot, rows in zip(slots, strings, strict=True)]
    passes.executed = 0.0
    # The fused attention kernels are counted by hand below: PyTorch's counter does not know the CPU's.
    with FlopCounterMode(display=False) as counter:
        passes.logits(units)
    counted = sum(flops for name, flops in counter.get_flop_counts()["Global"].items() if "attention" not in str(name))
    assert counted == pytest.approx(passes.executed, rel=0.25)
    assert counted <= passes.executed, "attention comes on top of the linear layers"
