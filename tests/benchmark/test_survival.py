"""Told word by word, the same strings survive as in the whole text, and a word is tokenized once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from holdfast.benchmark import survival
from holdfast.benchmark.slot import prepare_slot, survivors
from holdfast.benchmark.survival import Survival
from holdfast.benchmark.vocabulary import attack_vocabulary
from holdfast.tasks import CheckpointError, Example

EXAMPLES = [
    Example("line", "the farmer of a river, said winter:\n", "\nAnswer:", 0),
    Example("word", "is it summer? They all say", " and the painter", 0),
    Example("quoted", 'a stone of copper: "', '" is what they said', 0),
    Example("spaces", "a stone  of copper  ", "  of copper\n\n", 0),
    Example("first", "", "\nyes, and the painter", 0),
    Example("last", "no end, said the farmer\n", "", 0),
    Example("long", "winter apple\n" * 300, "\n" + "the cloud of a river " * 200, 0),
]


def around(vocabulary, slot, rng, count):
    """A string that survives, and so many that differ from it in one token."""
    while True:
        drawn = vocabulary.draw(rng, 64, slot.length)
        [(alive, _)] = survivors(vocabulary, [(slot, drawn)])
        if alive.any():
            break
    strings = np.tile(drawn[alive][0], (count + 1, 1))
    strings[np.arange(1, count + 1), rng.integers(slot.length, size=count)] = vocabulary.draw(rng, 1, count)[0]
    return strings


def truth(vocabulary, slot, strings):
    """Whether each string's tokens are those that the whole text has in its place."""
    texts = map(slot.example.text, vocabulary.write(strings))
    expected = ([*slot.prefix, *string, *slot.suffix] for string in strings.tolist())
    return [vocabulary.tokenizer(text)["input_ids"] == ids for text, ids in zip(texts, expected, strict=True)]


@pytest.mark.parametrize("length", [1, 2, 10])
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.id)
def test_the_same_strings_survive_as_in_the_whole_text(vocabulary, example, length):
    try:
        slot = prepare_slot(example, vocabulary, length, 10**9)
    except CheckpointError:
        pytest.skip("no random string survives there with this tokenizer, which is refused")
    told = [Survival(vocabulary), Survival(vocabulary, again=False)]
    rng = np.random.default_rng(length)
    for strings in (vocabulary.draw(rng, 150, length), around(vocabulary, slot, rng, 150)):
        expected = truth(vocabulary, slot, strings)
        for each in (*told, *told):
            [alive] = each.of([(slot, strings)])
            assert alive.tolist() == expected


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_the_strings(vocabulary, data):
    length = data.draw(st.sampled_from([1, 2, 5]))
    example = data.draw(st.sampled_from(EXAMPLES[:3]))
    try:
        slot = prepare_slot(example, vocabulary, length, 10**9)
    except CheckpointError:
        return
    # Of few tokens, so that words come again at other places.
    few = data.draw(st.lists(st.integers(0, len(vocabulary.ids) - 1), min_size=1, max_size=4))
    places = data.draw(st.lists(st.lists(st.sampled_from(few), min_size=length, max_size=length), max_size=6))
    strings = vocabulary.ids[np.array(places, dtype=np.int64).reshape(-1, length)]
    [alive] = Survival(vocabulary).of([(slot, strings)])
    assert alive.tolist() == truth(vocabulary, slot, strings)


def test_every_common_kind_of_tokenizer_is_taken_at_its_words(vocabulary):
    assert vocabulary.by_words


def test_many_examples_at_once_are_told_as_each_alone(byte_level):
    rng = np.random.default_rng(3)
    slots = [prepare_slot(example, byte_level, 5, 10**9) for example in EXAMPLES]
    proposals = [(slot, around(byte_level, slot, rng, 20 + n)) for n, slot in enumerate(slots)]
    together = Survival(byte_level).of(proposals)
    assert len(together) == len(proposals)
    for (slot, strings), alive in zip(proposals, together, strict=True):
        assert alive.tolist() == truth(byte_level, slot, strings)


class Watched:
    """A tokenizer that notes what it is given in batches."""

    def __init__(self, backend):
        self.backend, self.texts = backend, []

    def encode(self, *arguments, **options):
        return self.backend.encode(*arguments, **options)

    def encode_batch_fast(self, texts, **options):
        self.texts += texts
        return self.backend.encode_batch_fast(texts, **options)


def watched(told):
    told._backend = Watched(told._backend)
    return told._backend.texts


def test_a_word_is_tokenized_once(byte_level):
    slot = prepare_slot(EXAMPLES[0], byte_level, 10, 10**9)
    told = Survival(byte_level)
    texts, rng = watched(told), np.random.default_rng(0)
    words = byte_level.ids[byte_level.opens & byte_level.closes]
    strings = np.tile(rng.choice(words, 10), (200, 1))
    strings[np.arange(1, 200), rng.integers(10, size=199)] = byte_level.draw(rng, 1, 199)[0]
    told.of([(slot, strings)])
    by_window = sum(len(slot.window.around(text)) for text in byte_level.write(strings))
    assert 0 < sum(map(len, texts)) < by_window / 4
    assert len(set(texts)) == len(texts)
    count = len(texts)
    told.of([(slot, strings[::-1]), (slot, strings[:5])])
    assert len(texts) == count


def test_no_more_is_kept_than_there_is_room_for(byte_level, monkeypatch):
    monkeypatch.setattr(survival, "ROOM", 10)
    monkeypatch.setattr(survival, "SLOTS", 3)
    told, rng = Survival(byte_level), np.random.default_rng(0)
    for example in EXAMPLES * 2:
        slot = prepare_slot(example, byte_level, 5, 10**9)
        strings = around(byte_level, slot, rng, 40)
        [alive] = told.of([(slot, strings)])
        assert alive.tolist() == truth(byte_level, slot, strings)
        assert len(told._known) <= 10
        assert len(told._ends) <= 3


def over_words():
    """A tokenizer with tokens that reach over spaces, as it does not split text before it merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<pad>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(["the cloud of a river, and the farmer of the river said so."] * 50, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>")


def test_a_tokenizer_whose_tokens_reach_over_spaces_is_asked_about_the_text():
    tokenizer = over_words()
    vocabulary = attack_vocabulary(tokenizer, len(tokenizer), exclude={0})
    assert not vocabulary.by_words
    places = {piece: place for place, piece in enumerate(vocabulary.pieces)}
    # Two words that are tokens, and a token that is both.
    halves = [(piece[:i], piece[i:]) for piece in places for i in range(1, len(piece)) if piece[i] == " "]
    [(first, second), *_] = [pair for pair in halves if all(half in places for half in pair)]
    slot = prepare_slot(EXAMPLES[0], vocabulary, 3, 10**9)
    strings = around(vocabulary, slot, np.random.default_rng(0), 20)
    strings[5, 1:] = vocabulary.ids[[places[first], places[second]]]
    [alive] = Survival(vocabulary).of([(slot, strings)])
    assert alive.tolist() == truth(vocabulary, slot, strings)
    assert alive[0]
    assert not alive[5]


def test_where_words_mislead_beside_an_example_its_window_is_asked(byte_level, monkeypatch):
    """As they would for a tokenizer that looks at more than a word, which random strings alone did not show."""
    slot = prepare_slot(EXAMPLES[0], byte_level, 5, 10**9)
    strings = around(byte_level, slot, np.random.default_rng(1), 30)
    told = Survival(byte_level)
    texts = watched(told)
    monkeypatch.setattr(Survival, "_by_words", lambda _, asked: [np.zeros(len(rows), dtype=bool) for _, rows in asked])
    [alive] = told.of([(slot, strings)])
    assert alive.tolist() == truth(byte_level, slot, strings)
    assert alive.any()
    assert not texts
