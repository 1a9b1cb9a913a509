"""The engine finds what a plain search finds, charges what it should, and is not swayed by how it is run."""

import itertools
import random

import numpy as np
import pytest
import torch
from plain import plain_gradient
from victims import save_checkpoint

from holdfast.benchmark import GCG, RandomToken, attack_examples, load_victim
from holdfast.benchmark.engine import Engine, _stream
from holdfast.benchmark.slot import prepare_slot
from holdfast.tasks import Example, UsageError

FRUITS = ["apple", "river", "stone", "cloud", "lantern", "orchard", "pepper", "violin", "garden", "marble"]
SEASONS = ["winter", "summer", "autumn", "spring", "morning", "evening", "yellow", "purple", "copper", "silver"]
EXAMPLES = [
    Example(f"e{number}", f"the {a} said {b}\n" * (1 + number % 4), "\nYes or no?", number % 2)
    for number, (a, b) in enumerate(zip(FRUITS, SEASONS, strict=True))
]
SMALL_GCG = GCG(candidates=24, top_k=32)
BUDGET = 1.5e9


@pytest.fixture(scope="module", params=["gpt_neox", "llama", "bert"])
def victim(request, tmp_path_factory):
    return load_victim(save_checkpoint(tmp_path_factory.mktemp(request.param), request.param, scale=6.0))


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    return load_victim(save_checkpoint(tmp_path_factory.mktemp("decoder"), "llama", scale=6.0))


def survives(victim, slot, string):
    """Whether a string tokenizes to itself in the whole text, special tokens included."""
    text = slot.example.text(victim.vocabulary.write(string[None])[0])
    return victim.tokenizer(text)["input_ids"] == [*slot.prefix, *string.tolist(), *slot.suffix]


def first_string(victim, slot, rng):
    while not survives(victim, slot, string := victim.vocabulary.draw(rng, 1, slot.length)[0]):
        pass
    return string


@pytest.mark.parametrize("attack", [RandomToken(), SMALL_GCG], ids=lambda attack: attack.name)
def test_records_do_not_depend_on_batch_size_threads_or_order(victim, attack):
    threads = torch.get_num_threads()
    reference = attack_examples(victim, EXAMPLES, attack, budget=BUDGET / 4)
    assert any(record.iterations > 1 for record in reference)
    try:
        for batch_size, number in ((1, 1), (7, 2), (64, 1)):
            torch.set_num_threads(number)
            shuffled = random.Random(batch_size).sample(EXAMPLES, len(EXAMPLES))
            records = attack_examples(victim, shuffled, attack, budget=BUDGET / 4, batch_size=batch_size)
            assert {record.example_id: record for record in records} == {
                record.example_id: record for record in reference
            }
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("attack", [RandomToken(), SMALL_GCG], ids=lambda attack: attack.name)
def test_an_example_is_attacked_the_same_way_alone_and_among_others(decoder, attack):
    together = attack_examples(decoder, EXAMPLES, attack, budget=BUDGET)
    for number in (0, 3, 7):
        assert attack_examples(decoder, [EXAMPLES[number]], attack, budget=BUDGET) == [together[number]]


@pytest.mark.parametrize("attack", [RandomToken(), SMALL_GCG], ids=lambda attack: attack.name)
def test_every_success_is_a_fact_about_the_text(victim, attack):
    records = attack_examples(victim, EXAMPLES, attack, budget=BUDGET)
    for example, record in zip(EXAMPLES, records, strict=True):
        assert record.clean_correct == (victim.classify(example.text()) == example.label)
        if record.attack_string is None:
            continue
        text = example.text(record.attack_string)
        assert (victim.classify(text) != example.label) == (record.break_cost is not None)
        ids = victim.tokenizer(text)["input_ids"]
        assert len(ids) == record.tokens
        assert list(record.attack_tokens) in [ids[start : start + 10] for start in range(len(ids) - 9)]
        np.testing.assert_array_equal(record.attack_logits, victim.logits(text))


@pytest.mark.parametrize("attack", [RandomToken(), SMALL_GCG], ids=lambda attack: attack.name)
def test_whole_iterations_are_charged_and_fit_the_budget(victim, attack):
    passes = 2 * attack.candidates + (6 if attack.uses_gradient else 0)
    for record in attack_examples(victim, EXAMPLES, attack, budget=BUDGET):
        iteration = passes * victim.parameters * record.tokens
        assert record.cost == record.iterations * iteration
        if record.break_cost is not None:
            assert record.break_cost == record.cost <= BUDGET
        elif record.clean_correct:
            assert record.cost <= BUDGET < record.cost + iteration
        else:
            assert record.cost == 0


def test_random_tokens_break_an_example_where_a_plain_loop_does(decoder):
    """One string at a time, the whole text each time, nothing shared."""
    for example, record in zip(EXAMPLES, attack_examples(decoder, EXAMPLES, RandomToken(), budget=BUDGET), strict=True):
        if not record.clean_correct:
            continue
        slot = prepare_slot(example, decoder.vocabulary, 10, decoder.context)
        rng = np.random.default_rng(_stream(0, "examples", "random_token", "suffix", example.id))
        first_string(decoder, slot, rng)
        tried = 0
        while tried < record.iterations:
            string = decoder.vocabulary.draw(rng, 1, 10)[0]
            if survives(decoder, slot, string):
                tried += 1
                text = example.text(decoder.vocabulary.write(string[None])[0])
                if decoder.classify(text) != example.label:
                    break
        assert tried == record.iterations
        if record.break_cost is not None:
            assert tuple(string) == record.attack_tokens


def test_gcg_takes_the_path_of_a_plain_implementation(decoder):
    """Gradient through one-hot tokens of the whole text, candidates judged one at a time."""
    attack = GCG(candidates=12, top_k=16)
    records = attack_examples(decoder, EXAMPLES, attack, budget=BUDGET)
    followed = 0
    for example, record in zip(EXAMPLES, records, strict=True):
        if not record.clean_correct or record.iterations > 60:
            continue
        followed += 1
        assert plain_gcg(decoder, example, attack, record.iterations) == record.attack_tokens
    assert followed >= 3


def plain_gcg(victim, example, attack, iterations):
    slot = prepare_slot(example, victim.vocabulary, attack.length, victim.context)
    ids = victim.vocabulary.ids
    rng = np.random.default_rng(_stream(0, "examples", "gcg", "suffix", example.id))
    best, best_margin = first_string(victim, slot, rng), np.inf
    for _ in range(iterations):
        gradient = plain_gradient(victim, slot, best).numpy()
        gradient[np.arange(attack.length), np.searchsorted(ids, best)] = np.inf
        promising = np.sort(ids[np.argsort(gradient, axis=1)[:, : attack.top_k]], axis=1)
        strings = []
        while len(strings) < attack.candidates:
            count = attack.candidates - len(strings)
            positions, ranks = rng.integers(attack.length, size=count), rng.integers(attack.top_k, size=count)
            for position, rank in zip(positions, ranks, strict=True):
                string = best.copy()
                string[position] = promising[position, rank]
                if survives(victim, slot, string):
                    strings.append(string)
        margins = []
        for string in strings:
            logits = victim.logits(example.text(victim.vocabulary.write(string[None])[0]))
            margins.append(logits[example.label] - logits[1 - example.label])
            if logits.argmax() != example.label:
                return tuple(string)
        if min(margins) < best_margin:
            best, best_margin = strings[int(np.argmin(margins))], min(margins)
    return tuple(best)


def test_the_best_string_never_gets_worse(decoder):
    example = EXAMPLES[0]
    margins = []
    for iterations in (1, 4, 16):
        slot = prepare_slot(example, decoder.vocabulary, 10, decoder.context)
        budget = iterations * (2 * 24 + 6) * decoder.parameters * slot.tokens
        [record] = attack_examples(decoder, [example], SMALL_GCG, budget=budget)
        if record.attack_logits:
            margins.append(record.attack_logits[example.label] - record.attack_logits[1 - example.label])
    assert margins == sorted(margins, reverse=True)


def test_a_budget_below_one_iteration_attacks_nothing(decoder):
    for record in attack_examples(decoder, EXAMPLES, GCG(), budget=1e6):
        assert (record.iterations, record.cost, record.break_cost, record.attack_string) == (0, 0, None, None)


def test_wrong_examples_are_not_attacked(decoder):
    flipped = [Example(e.id, e.before, e.after, 1 - decoder.classify(e.text())) for e in EXAMPLES]
    for record in attack_examples(decoder, flipped, RandomToken(), budget=BUDGET):
        assert not record.clean_correct
        assert record.cost == 0


def test_the_seed_changes_the_strings_and_nothing_else_does(decoder):
    first, again, other = (
        attack_examples(decoder, EXAMPLES, SMALL_GCG, budget=BUDGET / 4, seed=seed) for seed in (0, 0, 1)
    )
    assert first == again
    assert [record.attack_string for record in first] != [record.attack_string for record in other]


def test_time_and_work_are_accounted_for(decoder):
    engine = Engine(decoder, SMALL_GCG, budget=BUDGET / 4)
    records = list(engine.run(EXAMPLES))
    seconds = engine.stopwatch.seconds()
    assert all(value > 0 for value in seconds.values())
    assert engine.passes.executed > 0
    scored = sum(record.iterations for record in records) * SMALL_GCG.candidates
    assert engine.candidates == scored


def test_progress_ends_with_every_example_done(decoder):
    seen = []
    engine = Engine(decoder, RandomToken(), budget=BUDGET / 8, on_progress=seen.append)
    records = list(engine.run(EXAMPLES))
    last = seen[-1]
    assert (last.done, last.total) == (len(EXAMPLES), len(EXAMPLES))
    assert last.broken == sum(record.break_cost is not None for record in records)
    assert all(before.spent <= after.spent + 1e-9 for before, after in itertools.pairwise(seen))
    assert last.spent == pytest.approx(1.0)


def test_examples_with_one_id_or_a_third_label_are_refused(decoder):
    twice = [EXAMPLES[0], EXAMPLES[0]]
    with pytest.raises(UsageError, match="Two examples have the id e0"):
        attack_examples(decoder, twice, RandomToken(), budget=BUDGET)
    with pytest.raises(UsageError, match="label 2"):
        attack_examples(decoder, [Example("x", "a\n", "\nb", 2)], RandomToken(), budget=BUDGET)
