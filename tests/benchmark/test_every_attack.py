"""Every attack, at every position and length, claims what the text shows and nothing else, whatever the tokenizer."""

from itertools import product

import numpy as np
import pytest
import torch
from victims import TEXT, save_checkpoint, with_logits

from holdfast.benchmark import GCG, RandomToken, attack_examples, load_victim
from holdfast.benchmark.attacks import keeps_a_beam, with_length
from holdfast.benchmark.attacks.beast import Beast
from holdfast.benchmark.attacks.beast_lm import BeastLM
from holdfast.benchmark.attacks.gcg_plus import GCGPlus
from holdfast.benchmark.model_proposal import guided_by
from holdfast.benchmark.position import POSITIONS
from holdfast.benchmark.proposal import proposal_for
from holdfast.tasks import Example

ATTACKS = (
    RandomToken(),
    GCG(candidates=12, top_k=32),
    GCGPlus(candidates=12, top_k=24, patience=2),
    Beast(width=3, branching=4),
    BeastLM(width=3, branching=4),
)
PASSES = 16
"""Of the longest text, that the budget of an example pays for: enough to break most, and too few to break all."""
WORDS = ("apple", "violin", "garden", "marble")


def written(word, lines):
    """What stands before and behind the slot, and by hand the text at every position, with {} for the string."""
    most = f"the {word} of a river, said summer\n" * lines + f"the {word} of a stone, said yesterday"
    after = "\nYes or no?"
    return (f"{most} is?\n", after), {
        "suffix": f"{most} is?\n{{}}{after}",
        "infix": f"{most}\n{{}}\nis?\n{after}",
        "prefix": f"{{}}\n{most} is?\n{after}",
    }


WRITTEN = {word: written(word, number % 2) for number, word in enumerate(WORDS)}
CLEAN = {word: "".join(sides) for word, (sides, _) in WRITTEN.items()}


@pytest.fixture(scope="module")
def victim(tokenizer, tmp_path_factory):
    """Random weights, with half of the texts on either side of a boundary that is close to all of them; an encoder
    where the tokenizer is one's.
    """
    architecture = "bert" if tokenizer.cls_token else "llama"
    folder = save_checkpoint(tmp_path_factory.mktemp("victim"), architecture, tokenizer, scale=6.0)
    victim = load_victim(folder, device="cpu")
    middle = float(np.median([np.subtract(*victim.logits(text)) for text in CLEAN.values()]))
    return with_logits(victim, lambda logits: logits - torch.tensor([middle, 0.0]))


@pytest.fixture(scope="module")
def model(tokenizer, tmp_path_factory):
    """A language model with the victim's tokenizer."""
    folder = save_checkpoint(tmp_path_factory.mktemp("model"), "gpt_neox", tokenizer, causal=True)
    return load_victim(folder, device="cpu")


@pytest.fixture(scope="module")
def examples(victim):
    """The victim is right on all of them but the last."""
    answers = {word: victim.classify(text) for word, text in CLEAN.items()}
    answers[WORDS[-1]] = 1 - answers[WORDS[-1]]
    return [Example(word, *WRITTEN[word][0], answers[word]) for word in WORDS]


def says_what_the_text_shows(record, victim, attack, position):
    """Asserts it of a record of an example that was attacked. Returns whether the string broke it."""
    text = WRITTEN[record.example_id][1][position].format(record.attack_string)
    logits = victim.logits(text)
    assert record.attack_logits == tuple(logits.tolist())
    broken = int(logits.argmax()) != record.label
    assert record.break_cost == (record.cost if broken else None)
    ids, tokens = victim.tokenizer(text)["input_ids"], list(record.attack_tokens)
    assert len(tokens) == attack.length or (keeps_a_beam(attack) and 2 <= len(tokens) < attack.length)
    assert any(ids[start : start + len(tokens)] == tokens for start in range(len(ids)))
    assert record.tokens == len(ids) - len(tokens) + attack.length
    return broken


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_a_break_is_claimed_where_the_text_shows_one_and_nowhere_else(victim, model, examples, attack):
    attack = guided_by(attack, model) if attack.name == "beast_lm" else attack
    proposal = proposal_for(attack, victim, lambda: TEXT, model)
    longest = max(len(victim.tokenizer(text)["input_ids"]) for text in CLEAN.values()) + 25
    budget = PASSES * 2 * victim.parameters * longest
    broken = 0
    for position, length in product(POSITIONS, (10, 20)):
        variant = with_length(attack, length)
        records = attack_examples(victim, examples, variant, budget=budget, position=position, proposal=proposal)
        assert [(record.example_id, record.label) for record in records] == [(each.id, each.label) for each in examples]
        assert [record.clean_logits for record in records] == [tuple(victim.logits(t).tolist()) for t in CLEAN.values()]
        assert [record.clean_correct for record in records] == [True] * (len(WORDS) - 1) + [False]
        assert (records[-1].break_cost, records[-1].cost, records[-1].attack_string) == (None, 0, None)
        assert all(0 < record.cost <= budget for record in records[:-1])
        broken += sum(says_what_the_text_shows(record, victim, variant, position) for record in records[:-1])
    assert broken
