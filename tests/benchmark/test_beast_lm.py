"""BEAST with a language model: tokens as likely as the model finds them, and every pass of it charged for."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from plain import plain_beast
from scipy.stats import chisquare
from victims import DECODERS, byte_level_tokenizer, save_checkpoint

from holdfast.benchmark import Settings, attack_examples, get_attack, load_victim, score
from holdfast.benchmark.attacks import attack_parameters, recorded_attack
from holdfast.benchmark.attacks.beast_lm import BeastLM
from holdfast.benchmark.engine import Engine
from holdfast.benchmark.iteration import dearest_iteration
from holdfast.benchmark.model_proposal import ModelProposal, guided_by
from holdfast.benchmark.plan import plan
from holdfast.benchmark.proposal import TokenStatistics, proposal_for
from holdfast.benchmark.slot import prepare_slot
from holdfast.tasks import CheckpointError, Example, UsageError, get_task

BUDGET = 4e8
WORDS = ["apple", "violin", "garden", "marble", "pepper", "lantern", "silver", "copper", "winter", "yellow"]
EXAMPLES = [
    Example(f"e{number}", f"the {word} said summer\n" * (1 + number % 3), "\nYes or no?", number % 2)
    for number, word in enumerate(WORDS)
]


@cache
def tokenizer():
    """One for all, as training it again may give another."""
    return byte_level_tokenizer()


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    folder = save_checkpoint(tmp_path_factory.mktemp("victim"), "qwen2", tokenizer(), scale=4.0)
    return load_victim(folder, device="cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A language model of another size than the victim, with its tokenizer."""
    folder = tmp_path_factory.mktemp("model")
    save_checkpoint(folder, "qwen2", tokenizer(), scale=5.0, causal=True, hidden_size=16)
    return load_victim(folder, device="cpu")


@pytest.fixture(scope="module")
def proposal(model, victim):
    return ModelProposal(model, victim)


@pytest.fixture(scope="module")
def small(model):
    return guided_by(BeastLM(length=5, width=4, branching=3), model)


def plainly(model, victim, tokens):
    """Log-probabilities of the attack vocabulary behind some tokens, by one pass over all of them."""
    with torch.inference_mode():
        logits = model.model(input_ids=torch.tensor([tokens])).logits[0, -1]
    return logits[torch.from_numpy(victim.vocabulary.ids)].double().log_softmax(-1).numpy()


@pytest.mark.parametrize("architecture", DECODERS)
def test_probabilities_are_those_of_the_model_behind_the_whole_text_so_far(architecture, tmp_path):
    # transformers gives some architectures' tokenizers rules of their own, so the victim is of the same.
    victim = load_victim(save_checkpoint(tmp_path / "victim", architecture, tokenizer()), device="cpu")
    folder = save_checkpoint(tmp_path / "model", architecture, tokenizer(), scale=2.0, causal=True)
    model = load_victim(folder, device="cpu")
    proposal = ModelProposal(model, victim)
    slot = prepare_slot(EXAMPLES[1], victim.vocabulary, 5, victim.context)
    prepared = proposal.prepare(slot)
    assert prepared.keys_values is not None, "what stands before the slot is read once"
    for length in (0, 1, 4):
        strings = victim.vocabulary.draw(np.random.default_rng(length), 3, length)
        expected = np.stack([plainly(model, victim, [*slot.prefix, *row]) for row in strings.tolist()])
        found = proposal.log_probabilities(prepared, strings)
        assert found == pytest.approx(expected, abs=1e-4)
        assert np.exp(found).sum(axis=1) == pytest.approx(1)


def test_tokens_are_drawn_as_often_as_they_are_likely_and_none_twice(proposal, victim):
    prepared = proposal.prepare(prepare_slot(EXAMPLES[0], victim.vocabulary, 5, victim.context))
    strings = np.tile(victim.vocabulary.ids[7:8], (4000, 1))
    drawn = proposal.next_tokens(prepared, strings, 3, np.random.default_rng(0))
    assert all(len(set(row)) == 3 for row in drawn.tolist())
    shares = np.exp(proposal.log_probabilities(prepared, strings[:1])[0])
    likely = np.argsort(-shares)[:10]
    assert shares[likely[0]] > 2 / len(shares), "some tokens are likelier than others"

    def agrees(tokens, shares):
        counts = np.array([(tokens == victim.vocabulary.ids[place]).sum() for place in likely])
        expected = shares[likely] * len(tokens)
        rest = [len(tokens) - counts.sum()], [len(tokens) - expected.sum()]
        return chisquare(np.append(counts, rest[0]), np.append(expected, rest[1])).pvalue

    assert agrees(drawn[:, 0], shares) > 0.001
    # The second one is drawn from what the first has left.
    left = shares * sum(shares[i] / (1 - shares[i]) for i in range(len(shares))) - shares**2 / (1 - shares)
    assert agrees(drawn[:, 1], left) > 0.001
    everything = proposal.next_tokens(prepared, strings[:1], 10**6, np.random.default_rng(1))
    assert sorted(everything[0].tolist()) == victim.vocabulary.ids.tolist()


def test_it_takes_the_path_of_a_plain_implementation_and_costs_what_that_would(victim, model, proposal, small):
    """Every string on its own, every pass over the whole text, every pass charged."""
    ids = victim.vocabulary.ids

    def next_tokens(slot, string, count, rng):
        noisy = plainly(model, victim, [*slot.prefix, *string]) + rng.gumbel(size=len(ids))
        return ids[np.argsort(-noisy, kind="stable")[:count]].tolist()

    records = attack_examples(victim, EXAMPLES, small, budget=BUDGET, proposal=proposal)
    assert any(record.break_cost for record in records)
    assert any(record.clean_correct and record.iterations > 4 for record in records), "the search begins anew"
    for example, record in zip(EXAMPLES, records, strict=True):
        if record.clean_correct:
            best, cost = plain_beast(victim, example, small, record.iterations, next_tokens, model.parameters)
            assert (best, cost) == (record.attack_tokens, record.cost)


def test_records_do_not_depend_on_batch_size_or_order(victim, proposal, small):
    reference = attack_examples(victim, EXAMPLES, small, budget=BUDGET, proposal=proposal)
    for batch_size in (5, 300):
        assert attack_examples(victim, EXAMPLES, small, budget=BUDGET, proposal=proposal, batch_size=batch_size) == (
            reference
        )
    backwards = attack_examples(victim, EXAMPLES[::-1], small, budget=BUDGET, proposal=proposal)
    assert backwards == reference[::-1]


def test_an_iteration_is_charged_its_proposals_and_none_is_begun_that_does_not_fit(victim, model, proposal, small):
    tokens = prepare_slot(EXAMPLES[0], victim.vocabulary, 5, victim.context).tokens
    around, asked = tokens - 5, 2 * model.parameters
    first = asked * (around + 4 * (around + 1)) + 12 * 2 * victim.parameters * (around + 2)
    last = asked * 4 * (around + 4) + 12 * 2 * victim.parameters * tokens
    assert dearest_iteration(small, victim.parameters, tokens) == max(first, last)
    (example,) = [replace(EXAMPLES[0], label=victim.classify(EXAMPLES[0].text()))]
    for budget, iterations in ((first - 1, 0), (first, 1)):
        (record,) = attack_examples(victim, [example], small, budget=budget, proposal=proposal)
        assert (record.iterations, record.cost) == (iterations, first * iterations)


def test_a_single_token_is_proposed_by_one_pass(victim, model, proposal):
    attack = guided_by(BeastLM(length=1, width=4, branching=3), model)
    tokens = prepare_slot(EXAMPLES[0], victim.vocabulary, 1, victim.context).tokens
    asked = 2 * model.parameters * (tokens - 1)
    assert dearest_iteration(attack, victim.parameters, tokens) == asked + 12 * 2 * victim.parameters * tokens
    assert attack_examples(victim, EXAMPLES, attack, budget=BUDGET, proposal=proposal)


def test_a_score_names_the_proposal_and_counts_its_passes(victim, model, tmp_path):
    task = get_task("password-match")
    attack = guided_by(get_attack("beast_lm"), model)
    settings = Settings("custom", 4, 6e9)
    result = score(victim, task.evaluation(), attack, settings, tmp_path, proposal=model)
    said = {"proposal": str(model.reference), "proposal_digest": model.digest, "proposal_parameters": model.parameters}
    assert result.attack.parameters == {"length": 10, "width": 15, "branching": 15, **said}
    assert recorded_attack("beast_lm", result.attack.parameters) == attack
    assert any(record.iterations for record in result.records)
    elsewhere = replace(attack, proposal="another/folder")
    again = score(victim, task.evaluation(), elsewhere, settings, tmp_path, proposal=model)
    assert again == result, "the same model is the same proposal, wherever it lies"
    with pytest.raises(Exception, match="another attack parameters"):
        score(victim, task.evaluation(), replace(attack, proposal_digest="0" * 64), settings, tmp_path, proposal=model)


def test_a_dry_run_counts_what_the_proposal_costs_and_takes(victim, model):
    task, settings = get_task("password-match"), Settings("custom", 1, 2e11)
    guided = plan(victim, task.evaluation(), guided_by(get_attack("beast_lm"), model), settings, proposal=model)
    alone = plan(victim, task.evaluation(), get_attack("beast"), settings)
    assert guided.proposing_cost == 15 * 2 * model.parameters * (guided.median_tokens - 1)
    assert guided.iteration_cost - alone.iteration_cost == guided.proposing_cost
    assert (alone.proposing_cost, alone.proposing_seconds) == (0, 0)
    assert guided.proposing_seconds > 0
    scoring = 225 / guided.candidates_per_second
    iterations = guided.iterations[settings.budget]
    assert iterations > 1
    assert guided.seconds >= 0.999 * iterations * (scoring + guided.proposing_seconds)


def test_a_dry_run_refuses_a_proposal_that_does_not_fit(victim):
    task, settings = get_task("password-match"), Settings("custom", 1, 2e9)
    attack = guided_by(get_attack("beast_lm"), victim)
    with pytest.raises(CheckpointError, match="is a classifier, and only a causal language model can propose"):
        plan(victim, task.evaluation(), attack, settings, proposal=victim)


def test_what_was_executed_includes_the_proposals_passes(victim, model, small):
    proposal = ModelProposal(model, victim)
    engine = Engine(victim, small, budget=BUDGET, proposal=proposal)
    list(engine.run(EXAMPLES))
    assert proposal.executed > 0
    assert engine.executed == engine.passes.executed + proposal.executed


def test_what_cannot_propose_is_refused_in_one_sentence(victim, model, small, tmp_path):
    with pytest.raises(CheckpointError, match="is a classifier, and only a causal language model can propose"):
        ModelProposal(victim, victim)
    other = load_victim(save_checkpoint(tmp_path, tokenizer=byte_level_tokenizer(300), causal=True), device="cpu")
    with pytest.raises(CheckpointError, match="has another tokenizer than"):
        ModelProposal(other, victim)
    with pytest.raises(UsageError, match="needs a language model that proposes its tokens"):
        proposal_for(small, victim, list)
    with pytest.raises(UsageError, match="names no proposal"):
        Engine(victim, get_attack("beast_lm"), budget=BUDGET, proposal=ModelProposal(model, victim))
    with pytest.raises(UsageError, match="or another one than it is given"):
        Engine(victim, small, budget=BUDGET, proposal=TokenStatistics.of([], victim.vocabulary))
    with pytest.raises(UsageError, match="The attack gcg uses no proposal"):
        guided_by(get_attack("gcg"), model)
    assert "proposal" not in attack_parameters(get_attack("beast"))
