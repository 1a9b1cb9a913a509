"""Success is a fact about text: a string counts only if the whole text tokenizes to it, and few are lost to that."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from victims import byte_level_tokenizer

from holdfast.benchmark.slot import prepare_slot, survivors
from holdfast.benchmark.vocabulary import attack_vocabulary
from holdfast.tasks import CheckpointError, Example, get_task

PROMPT = get_task("password-match").evaluation().examples[0]


def whole(vocabulary, slot, text):
    """The token ids of the whole text, from scratch, as the victim sees it."""
    return vocabulary.tokenizer(slot.example.text(text))["input_ids"]


def verdicts(vocabulary, slot, strings):
    """By the window, and by the whole text."""
    ((alive, texts),) = survivors(vocabulary, [(slot, strings)])
    truth = [
        whole(vocabulary, slot, text) == [*slot.prefix, *string, *slot.suffix]
        for text, string in zip(texts, strings.tolist(), strict=True)
    ]
    return alive.tolist(), truth


def awkward(vocabulary, length):
    """Strings that begin or end with what merges with its neighbours: spaces, line breaks, punctuation."""
    rng = np.random.default_rng(7)
    strings = vocabulary.draw(rng, 200, length)
    written = zip(vocabulary.ids, vocabulary.pieces, strict=True)
    edges = [i for i, piece in written if piece[0] in " \n.," or piece[-1] in " \n"]
    for row in range(len(strings) if edges else 0):
        strings[row, 0 if row % 2 else -1] = rng.choice(edges)
    return strings


EXAMPLES = [
    PROMPT,
    Example("line", "the farmer of a river, said winter:\n", "\nAnswer:", 0),
    Example("words", "is it summer? say", " and the painter", 0),
    Example("spaces", "a stone  ", "  of copper\n\n", 0),
    Example("edge", "", "\nyes", 0),
    Example("end", "no end\n", "", 0),
    Example("long", "winter apple\n" * 300, "\n" + "the cloud of a river " * 200, 0),
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.id)
def test_the_window_gives_the_whole_texts_verdict(vocabulary, example):
    try:
        slot = prepare_slot(example, vocabulary, 10, 10**9)
    except CheckpointError:
        pytest.skip("no random string survives there with this tokenizer, which is refused")
    random = vocabulary.draw(np.random.default_rng(3), 150, 10)
    for strings in (random, awkward(vocabulary, 10)):
        by_window, by_text = verdicts(vocabulary, slot, strings)
        assert by_window == by_text


def test_the_prefix_and_suffix_are_those_of_the_whole_text(vocabulary):
    slot = prepare_slot(PROMPT, vocabulary, 10, 10**9)
    strings = vocabulary.draw(np.random.default_rng(1), 200, 10)
    ((alive, texts),) = survivors(vocabulary, [(slot, strings)])
    assert alive.mean() > 0.3
    for index in np.flatnonzero(alive):
        ids = whole(vocabulary, slot, texts[index])
        assert len(ids) == slot.tokens
        assert ids == [*slot.prefix, *strings[index], *slot.suffix]


def test_many_examples_in_one_call_are_judged_as_each_alone(byte_level):
    slots = [prepare_slot(example, byte_level, 10, 10**9) for example in EXAMPLES if example.before.endswith("\n")]
    proposals = [(slot, byte_level.draw(np.random.default_rng(n), 20 + n, 10)) for n, slot in enumerate(slots)]
    together = survivors(byte_level, proposals)
    for proposal, (alive, texts) in zip(proposals, together, strict=True):
        ((alone, alone_texts),) = survivors(byte_level, [proposal])
        assert (alive.tolist(), texts) == (alone.tolist(), alone_texts)


def test_no_special_token_can_be_written(vocabulary):
    tokenizer = vocabulary.tokenizer
    assert not set(vocabulary.ids.tolist()) & {*tokenizer.all_special_ids, tokenizer.pad_token_id}
    assert len(vocabulary.ids) > 50


def test_every_token_of_the_vocabulary_is_text_that_encodes_to_itself(vocabulary):
    """Alone, or in the middle of a text, where some tokenizers write it with a space."""
    backend = vocabulary.tokenizer.backend_tokenizer
    encoded = ((token, backend.decode([token])) for token in vocabulary.ids.tolist())
    middle, before = next((i, text) for i, text in encoded if backend.encode(text, add_special_tokens=False).ids == [i])
    assert (np.diff(vocabulary.ids) > 0).all()
    for token, piece in list(zip(vocabulary.ids.tolist(), vocabulary.pieces, strict=True))[::7]:
        assert piece
        assert "\ufffd" not in piece
        alone, after = backend.encode_batch([piece, before + piece], add_special_tokens=False)
        assert alone.ids == [token] or after.ids == [middle, token]


def test_strings_are_written_as_the_tokenizer_decodes_them_but_for_a_space_in_front(vocabulary):
    strings = vocabulary.draw(np.random.default_rng(5), 50, 10)
    decoded = vocabulary.tokenizer.backend_tokenizer.decode_batch(strings.tolist(), skip_special_tokens=False)
    assert [text.removeprefix(" ") for text in vocabulary.write(strings)] == [
        text.removeprefix(" ") for text in decoded
    ]


def test_a_pad_token_that_is_not_marked_special_is_left_out(byte_level):
    token = int(byte_level.ids[30])
    assert token not in attack_vocabulary(byte_level.tokenizer, 400, exclude={token}).ids


def test_tokens_beyond_the_victims_embeddings_are_left_out(byte_level):
    assert attack_vocabulary(byte_level.tokenizer, 300).ids.max() < 300


def surviving_share(tokenizer, ids):
    """Share of random 10-token strings that survive decode and encode."""
    backend = tokenizer.backend_tokenizer
    strings = np.asarray(ids)[np.random.default_rng(0).integers(len(ids), size=(400, 10))].tolist()
    texts = backend.decode_batch(strings, skip_special_tokens=False)
    encoded = backend.encode_batch(texts, add_special_tokens=False)
    return np.mean([each.ids == string for each, string in zip(encoded, strings, strict=True)])


def test_the_vocabulary_rule_is_what_makes_random_strings_survive():
    """On a small byte-level vocabulary, most of whose tokens are single bytes; measured 1 % and 98 %."""
    tokenizer = byte_level_tokenizer(300)
    ordinary = [i for i in range(len(tokenizer)) if i not in tokenizer.all_special_ids]
    assert surviving_share(tokenizer, ordinary) < 0.10
    assert surviving_share(tokenizer, attack_vocabulary(tokenizer, len(tokenizer)).ids) > 0.85


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_survives_really_is_its_tokens_whatever_the_string(vocabulary, data):
    length = data.draw(st.sampled_from([1, 10, 20]))
    slot = prepare_slot(PROMPT, vocabulary, length, 10**9)
    places = data.draw(st.lists(st.integers(0, len(vocabulary.ids) - 1), min_size=length, max_size=length))
    by_window, by_text = verdicts(vocabulary, slot, vocabulary.ids[np.array([places])])
    assert by_window == by_text


def test_drawing_row_by_row_or_at_once_gives_the_same_strings(byte_level):
    one, other = np.random.default_rng(4), np.random.default_rng(4)
    rows = np.concatenate([byte_level.draw(one, 1, 10) for _ in range(20)])
    np.testing.assert_array_equal(rows, byte_level.draw(other, 20, 10))


@pytest.mark.parametrize("context", [80, 100, 120, 150])
def test_a_short_context_shortens_the_text_before_the_slot_and_nothing_else(vocabulary, context):
    example = Example("e", "winter apple and " * 120 + "the last line\n", "\nAnswer:", 1)
    slot = prepare_slot(example, vocabulary, 10, context)
    assert slot.truncated
    assert slot.example.after == example.after
    assert example.before.endswith(slot.example.before)
    assert slot.example.before
    assert context - 8 <= slot.tokens <= context, "it fits, and no more is cut off than needed"
    strings = vocabulary.draw(np.random.default_rng(2), 100, 10)
    ((alive, texts),) = survivors(vocabulary, [(slot, strings)])
    assert alive.any()
    for index in np.flatnonzero(alive):
        assert len(whole(vocabulary, slot, texts[index])) <= context


def test_a_context_that_is_long_enough_cuts_nothing(vocabulary):
    slot = prepare_slot(PROMPT, vocabulary, 10, 10**9)
    assert not slot.truncated
    assert slot.example == PROMPT
    assert not prepare_slot(PROMPT, vocabulary, 10, slot.tokens + 2).truncated


def test_a_context_too_short_for_any_text_before_the_slot_is_refused(vocabulary):
    with pytest.raises(CheckpointError, match="context of 12 tokens is too short for example password-match-"):
        prepare_slot(PROMPT, vocabulary, 10, 12)


@settings(max_examples=30, deadline=None)
@given(context=st.integers(20, 200), repeats=st.integers(1, 30))
def test_whatever_the_context_the_text_fits_or_is_refused(vocabulary, context, repeats):
    example = Example("e", "apple river, stone?\n" * repeats, "\nAnswer:", 0)
    try:
        slot = prepare_slot(example, vocabulary, 10, context)
    except CheckpointError:
        return
    assert slot.tokens <= context
    assert slot.truncated == (slot.example != example)
