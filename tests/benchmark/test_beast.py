"""BEAST: strings grow by likely tokens, the best of a beam are kept, and every pass is charged for its own length."""

from collections import Counter
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from plain import plain_beast
from scipy.stats import binomtest
from victims import TEXT, byte_level_tokenizer, save_checkpoint

from holdfast.benchmark import RandomToken, attack_examples, load_victim
from holdfast.benchmark.attacks import get_attack
from holdfast.benchmark.attacks.beast import Beast
from holdfast.benchmark.pass_base import Prepared
from holdfast.benchmark.proposal import PAIRS, SINGLES, TokenStatistics
from holdfast.benchmark.settings import training_texts
from holdfast.benchmark.slot import prepare_slot
from holdfast.benchmark.vocabulary import attack_vocabulary
from holdfast.submissions.checkpoints import checkpoint_folder
from holdfast.tasks import Example, UsageError, get_task

SMALL = Beast(length=5, width=4, branching=3)
BUDGET = 2e8
WORDS = ["apple", "violin", "garden", "marble", "pepper", "lantern", "silver", "copper", "winter", "yellow"]
EXAMPLES = [
    Example(f"e{number}", f"the {word} said summer\n" * (1 + number % 3), "\nYes or no?", number % 2)
    for number, word in enumerate(WORDS)
]


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    return load_victim(save_checkpoint(tmp_path_factory.mktemp("decoder"), "qwen2", scale=4.0), device="cpu")


@pytest.fixture(scope="module")
def statistics(decoder):
    return TokenStatistics.of(TEXT, decoder.vocabulary)


def attacked(victim, statistics, attack=SMALL, budget=BUDGET, **settings):
    return attack_examples(victim, EXAMPLES, attack, budget=budget, proposal=statistics, **settings)


def test_records_do_not_depend_on_batch_size_or_order(decoder, statistics):
    reference = attacked(decoder, statistics)
    assert any(record.break_cost for record in reference)
    assert any(record.clean_correct and not record.break_cost for record in reference)
    for batch_size in (5, 300):
        assert attacked(decoder, statistics, batch_size=batch_size) == reference
    backwards = attack_examples(decoder, EXAMPLES[::-1], SMALL, budget=BUDGET, proposal=statistics)
    assert backwards == reference[::-1]


def test_it_takes_the_path_of_a_plain_implementation(decoder, statistics):
    """Candidates judged one at a time on the whole text, and charged one at a time."""

    def next_tokens(slot, string, count, rng):
        strings = np.array([string], dtype=np.int64)
        return statistics.next_tokens(Prepared(slot), strings, count, rng)[0].tolist()

    for example, record in zip(EXAMPLES, attacked(decoder, statistics), strict=True):
        if record.clean_correct:
            best, cost = plain_beast(decoder, example, SMALL, record.iterations, next_tokens)
            assert (best, cost) == (record.attack_tokens, record.cost)


def test_strings_grow_to_their_length_and_begin_anew():
    lengths, length = [], 0
    for _ in range(9):
        length = SMALL.next_length(length)
        lengths.append(length)
    assert lengths == [2, 3, 4, 5, 2, 3, 4, 5, 2]
    assert Beast(length=1).next_length(0) == Beast(length=1).next_length(1) == 1


@pytest.mark.parametrize("length", [1, 25])
def test_every_length_is_only_what_the_text_shows(decoder, statistics, length):
    attack = Beast(length=length, width=4, branching=4)
    for example, record in zip(EXAMPLES, attacked(decoder, statistics, attack), strict=True):
        if record.attack_string is not None:
            assert min(2, length) <= len(record.attack_tokens or ()) <= length
            verdict = decoder.classify(example.text(record.attack_string))
            assert (verdict != example.label) == (record.break_cost is not None)


def test_statistics_are_those_of_the_text():
    tokenizer = byte_level_tokenizer()
    vocabulary = attack_vocabulary(tokenizer, len(tokenizer), exclude={tokenizer.pad_token_id})
    statistics = TokenStatistics.of(TEXT, vocabulary)
    written = set(vocabulary.ids.tolist())
    singles, pairs = Counter(), Counter()
    for text in TEXT:
        ids = tokenizer(text)["input_ids"]
        singles.update(token for token in ids[1:] if token in written)
        pairs.update((one, other) for one, other in pairwise(ids) if other in written)
    last = pairs.most_common(1)[0][0][0]
    following = sum(count for (one, _), count in pairs.items() if one == last)
    shares = statistics.probabilities(last)
    assert shares.sum() == pytest.approx(1)
    for place, token in enumerate(vocabulary.ids.tolist()):
        expected = (
            PAIRS * pairs[last, token] / following
            + SINGLES * singles[token] / singles.total()
            + (1 - PAIRS - SINGLES) / len(written)
        )
        assert shares[place] == pytest.approx(expected)
    assert statistics.probabilities(None).sum() == pytest.approx(1)


def test_next_tokens_are_different_and_as_frequent_as_their_probabilities(decoder, statistics):
    slot = prepare_slot(EXAMPLES[0], decoder.vocabulary, 5, decoder.context)
    rng = np.random.default_rng(0)
    drawn = statistics.next_tokens(Prepared(slot), np.tile(decoder.vocabulary.ids[:1], (3000, 1)), 4, rng)
    assert all(len(set(row)) == 4 for row in drawn.tolist())
    shares = statistics.probabilities(int(decoder.vocabulary.ids[0]))
    place = int(shares.argmax())
    first = int((drawn[:, 0] == decoder.vocabulary.ids[place]).sum())
    assert binomtest(first, len(drawn), shares[place]).pvalue > 0.001
    everything = statistics.next_tokens(Prepared(slot), np.empty((1, 0), dtype=int), 10**6, rng)
    assert sorted(everything[0].tolist()) == decoder.vocabulary.ids.tolist()


def test_draws_are_those_of_numpys_weighted_choice(decoder, statistics):
    """To the last bit, and with the generator left in the same state."""
    ids = decoder.vocabulary.ids
    prepared = Prepared(prepare_slot(EXAMPLES[0], decoder.vocabulary, 5, decoder.context))
    ours, theirs = np.random.default_rng(3), np.random.default_rng(3)
    rows = np.resize(theirs.permutation(ids), (200, 1))
    ours.permutation(ids)
    for count in (1, 7, len(ids) // 2):
        expected = [
            theirs.choice(len(ids), size=count, replace=False, p=statistics.probabilities(int(row[0]))) for row in rows
        ]
        assert (statistics.next_tokens(prepared, rows, count, ours) == ids[np.array(expected)]).all()
    assert ours.random() == theirs.random()


def test_without_a_text_every_token_is_as_likely(decoder):
    empty = TokenStatistics.of([], decoder.vocabulary)
    assert np.allclose(empty.probabilities(None), 1 / len(decoder.vocabulary.ids))
    with pytest.raises(UsageError, match="proposal"):
        attack_examples(decoder, EXAMPLES, SMALL, budget=BUDGET)


@cache
def demo():
    return load_victim(checkpoint_folder("password-match-undefended"), device="cpu")


def test_it_breaks_more_than_random_tokens_at_equal_cost():
    victim, examples = demo(), get_task("password-match").evaluation().examples[:30]
    statistics = TokenStatistics.of(training_texts("password-match"), victim.vocabulary)
    ours = attack_examples(victim, examples, get_attack("beast"), budget=2e10, proposal=statistics)
    random = attack_examples(victim, examples, RandomToken(), budget=2e10)
    both = list(zip(ours, random, strict=True))
    only_ours = sum(a.break_cost is not None and b.break_cost is None for a, b in both)
    only_random = sum(a.break_cost is None and b.break_cost is not None for a, b in both)
    assert only_ours > only_random
    assert binomtest(only_ours, only_ours + only_random).pvalue < 0.01, "exact McNemar"
