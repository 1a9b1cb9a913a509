"""Positions and lengths: the string stands where it should, on its own line, and counts only as text."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from victims import save_checkpoint

from holdfast.benchmark import GCG, RandomToken, attack_examples, get_attack, load_victim
from holdfast.benchmark.attacks import attack_parameters, variant_name
from holdfast.benchmark.pass_base import Unit
from holdfast.benchmark.passes import FullText, passes_for
from holdfast.benchmark.position import POSITIONS, get_position, placed
from holdfast.benchmark.slot import prepare_slot, survivors
from holdfast.tasks import Example, UsageError

WORDS = st.lists(st.sampled_from(["river", "stone,", "teacher", "said:", "winter!", "copper", "no\nend"]), min_size=1)
PROMPT = Example("a", "Is the review good?\nthe river and the stone said winter is copper\n", "\nAnswer:", 1)
EXAMPLES = [
    Example(
        str(number),
        f"the {word} of a river, said summer and the teacher\n" * (1 + number % 3),
        "\nYes or no?",
        number % 2,
    )
    for number, word in enumerate(["apple", "violin", "garden", "marble", "pepper", "lantern", "silver", "copper"])
]


@pytest.fixture(scope="module", params=["llama", "bert"])
def victim(request, tmp_path_factory):
    return load_victim(save_checkpoint(tmp_path_factory.mktemp(request.param), request.param, scale=6.0), device="cpu")


def test_the_string_stands_on_a_line_of_its_own():
    assert placed(PROMPT, "suffix").text("XX") == PROMPT.before + "XX" + PROMPT.after
    assert placed(PROMPT, "prefix").text("XX") == "XX\n" + PROMPT.before + PROMPT.after
    before, line, after = placed(PROMPT, "infix").text("\0").partition("\n\0\n")
    assert line
    assert f"{before} {after}" == PROMPT.before + PROMPT.after, "nothing but white space gives way"
    assert 0.85 < len(before) / len(PROMPT.before) <= 1


@given(words=WORDS, after=st.sampled_from(["", "\nAnswer:", " yes"]))
def test_every_word_of_a_text_is_there_at_every_position(words, after):
    example = Example("a", " ".join(words) + "\n", after, 0)
    for position in POSITIONS:
        assert placed(example, position).text(" ").split() == example.text(" ").split()


@settings(deadline=None, max_examples=15)
@given(words=WORDS, seed=st.integers(0, 999), position=st.sampled_from(POSITIONS), length=st.integers(1, 20))
def test_what_survives_is_the_tokens_of_the_whole_text(vocabulary, words, seed, position, length):
    example = Example("a", " ".join(words) + "\n", "\nAnswer:", 0)
    slot = prepare_slot(example, vocabulary, length, 10**9, position)
    strings = vocabulary.draw(np.random.default_rng(seed), 40, length)
    ((alive, texts),) = survivors(vocabulary, [(slot, strings)])
    backend = vocabulary.tokenizer.backend_tokenizer
    for string, text, lives in zip(strings.tolist(), texts, alive, strict=True):
        ids = backend.encode(placed(example, position).text(text)).ids
        assert (ids == [*slot.prefix, *string, *slot.suffix]) == lives


@pytest.mark.parametrize("position", POSITIONS)
def test_enough_strings_survive_at_every_position(vocabulary, position):
    slot = prepare_slot(PROMPT, vocabulary, 10, 10**9, position)
    ((alive, _),) = survivors(vocabulary, [(slot, vocabulary.draw(np.random.default_rng(0), 500, 10))])
    assert alive.mean() > 0.2


@pytest.mark.parametrize("length", [10, 20])
@pytest.mark.parametrize("position", POSITIONS)
def test_passes_agree_with_the_public_path(victim, position, length):
    passes = passes_for(victim)
    for example in EXAMPLES[:2]:
        slot = prepare_slot(example, victim.vocabulary, length, victim.context, position)
        strings = victim.vocabulary.draw(np.random.default_rng(2), 24, length)
        ((alive, texts),) = survivors(victim.vocabulary, [(slot, strings)])
        for way in (passes, FullText(victim)):
            [scored] = way.logits([Unit(way.prepare(slot), strings[alive])]).numpy()
            public = [victim.logits(slot.example.text(text)) for text, lives in zip(texts, alive, strict=True) if lives]
            np.testing.assert_allclose(scored, public, rtol=1e-4, atol=1e-4)


def test_a_text_that_is_too_long_is_shortened_at_every_position(victim):
    long = Example("long", "winter apple\n" * 300, "\nAnswer:", 0)
    for position in POSITIONS:
        slot = prepare_slot(long, victim.vocabulary, 10, victim.context, position)
        assert slot.truncated
        assert victim.context - 10 < slot.tokens <= victim.context


def test_variants_have_names_of_their_own():
    for name in ("gcg", "gcg-20", "random_token-5"):
        attack = get_attack(name)
        assert variant_name(attack.name, attack_parameters(attack)) == name
    assert get_attack("gcg-10") == GCG()
    assert get_attack("gcg-20").length == 20
    for wrong in ("gcg-0", "gcg-51", "gcg-x", "nobody-20"):
        with pytest.raises(UsageError):
            get_attack(wrong)
    with pytest.raises(UsageError, match="suffix, infix, prefix"):
        get_position("middle")


def test_positions_draw_their_own_strings(victim):
    drawn = {}
    for position in POSITIONS:
        records = attack_examples(victim, EXAMPLES, RandomToken(), budget=5e7, position=position)
        drawn[position] = [record.attack_tokens for record in records]
    assert drawn["suffix"] != drawn["infix"] != drawn["prefix"]
