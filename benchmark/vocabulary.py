"""The attack vocabulary: the tokens an attacker may write, and how they are written.

Success is a fact about text, so an attack string has to survive being decoded to text and tokenized again. A token
that decodes to part of a character, or to text that the tokenizer would split another way, can never be sent to
the victim; leaving those out first is what makes most random strings survive. What remains is checked in place, on the
text around the slot (see `slot`).
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from ..tasks import CheckpointError


@dataclass(frozen=True)
class AttackVocabulary:
    """Tokens that decode to valid text and re-encode to themselves.

    ids: (n,) int64, ascending. `pieces[i]` is the text of `ids[i]`: in the middle of a text where that differs from
    the text of the token alone, as in SentencePiece and WordPiece, which write a word's space only after something.
    concatenates: whether the text of a string of tokens is the texts of its tokens put together; then strings are
    written without calling the tokenizer's decoder.
    """

    ids: np.ndarray
    pieces: tuple[str, ...]
    concatenates: bool
    tokenizer: PreTrainedTokenizerFast

    def write(self, strings: np.ndarray) -> list[str]:
        """The text of token strings. strings: (n, length) int64 token ids of this vocabulary."""
        if not self.concatenates:
            return self.tokenizer.backend_tokenizer.decode_batch(strings.tolist(), skip_special_tokens=False)
        return [self.join(row) for row in self.places(strings).tolist()]

    def places(self, strings: np.ndarray) -> np.ndarray:
        """Where in `ids` each token stands: an int64 array of the same shape."""
        return np.searchsorted(self.ids, strings)

    def join(self, places: Sequence[int]) -> str:
        """The texts of the tokens at some places of `ids`, put together."""
        pieces = self.pieces
        return "".join([pieces[place] for place in places])

    def boundaries(self, places: np.ndarray) -> np.ndarray:
        """Which tokens begin a word: the first of each string, and those that begin with a space behind one that does
        not end in white space.

        places: (n, length) of tokens in `ids`. Returns (n, length) bool.
        """
        found = self.opens[places]
        found[:, :1] = True
        found[:, 1:] &= self.closes[places[:, :-1]]
        return found

    @cached_property
    def opens(self) -> np.ndarray:
        """Which tokens begin with a space: (n,) bool."""
        return np.array([piece.startswith(" ") for piece in self.pieces])

    @cached_property
    def closes(self) -> np.ndarray:
        """Which tokens end with something other than white space: (n,) bool."""
        return np.array([not piece[-1].isspace() for piece in self.pieces])

    @cached_property
    def by_words(self) -> bool:
        """Whether every word is tokenized on its own; a word goes from one boundary to the next."""
        return self.concatenates and _by_words(self)

    def draw(self, rng: np.random.Generator, count: int, length: int) -> np.ndarray:
        """Uniform random token strings: (count, length) int64. Drawing row by row or at once gives the same rows."""
        return self.ids[rng.integers(len(self.ids), size=(count, length))]


def attack_vocabulary(tokenizer: PreTrainedTokenizerFast, size: int, exclude: Collection[int] = ()) -> AttackVocabulary:
    """Measure the attack vocabulary of a fast tokenizer.

    size: rows of the victim's embedding table; tokens beyond it cannot be fed to the victim.
    exclude: further tokens that may not be written, such as the pad token where it is not marked special.
    Raises: CheckpointError when fewer than two tokens qualify.
    """
    backend = tokenizer.backend_tokenizer
    special = {*tokenizer.all_special_ids, *exclude}
    special.update(token_id for token_id, token in backend.get_added_tokens_decoder().items() if token.special)
    candidates = [i for i in range(min(size, len(tokenizer))) if i not in special]
    kept = _faithful(backend, candidates)
    if not kept:
        raise CheckpointError(
            f"The attack vocabulary of {tokenizer.name_or_path or 'this tokenizer'} is empty: none of its "
            f"{len(candidates)} ordinary tokens decodes to text that re-encodes to itself, so no attack string can be "
            "written; check that tokenizer.json belongs to this checkpoint."
        )
    concatenates = _concatenates(backend, kept)
    if not concatenates:
        anchor = [kept[0][0]]
        following = _faithful(backend, candidates, anchor)
        if following and _concatenates(backend, following, anchor):
            kept, concatenates = following, True
    if len(kept) == 1:
        raise CheckpointError(
            f"The attack vocabulary of {tokenizer.name_or_path or 'this tokenizer'} has a single token, "
            f"{kept[0][1]!r}, so there is nothing to search; check that tokenizer.json belongs to this checkpoint."
        )
    ids = np.array([token_id for token_id, _ in kept], dtype=np.int64)
    return AttackVocabulary(ids, tuple(piece for _, piece in kept), concatenates, tokenizer)


def _faithful(backend: Tokenizer, candidates: Sequence[int], anchor: Sequence[int] = ()) -> list[tuple[int, str]]:
    """The tokens that decode, after `anchor`, to valid text that re-encodes to the same, each with the text it adds."""
    before = backend.decode(list(anchor), skip_special_tokens=False)
    texts = backend.decode_batch([[*anchor, token_id] for token_id in candidates], skip_special_tokens=False)
    encodings = backend.encode_batch(texts, add_special_tokens=False)
    return [
        (token_id, text[len(before) :])
        for token_id, text, encoding in zip(candidates, texts, encodings, strict=True)
        if text.startswith(before) and text != before and "\ufffd" not in text and encoding.ids == [*anchor, token_id]
    ]


def _concatenates(backend: Tokenizer, kept: Sequence[tuple[int, str]], anchor: Sequence[int] = ()) -> bool:
    """Whether decoding random strings, after `anchor`, equals joining the texts of their tokens."""
    before = backend.decode(list(anchor), skip_special_tokens=False)
    drawn = [[kept[place] for place in row] for row in np.random.default_rng(0).integers(len(kept), size=(256, 10))]
    decoded = backend.decode_batch(
        [[*anchor, *(token_id for token_id, _ in row)] for row in drawn], skip_special_tokens=False
    )
    return all(text == before + "".join(piece for _, piece in row) for text, row in zip(decoded, drawn, strict=True))


def _by_words(vocabulary: AttackVocabulary) -> bool:
    """Whether words are tokenized on their own: no token reaches over a boundary, and it shows on random strings.

    Merges, and the likeliest segmentation, cannot get from one word to the next where no token does. What a tokenizer
    does to a text before it looks for tokens is not known, hence the trial.
    """
    backend = vocabulary.tokenizer.backend_tokenizer
    everything = [[token_id] for token_id in range(backend.get_vocab_size(with_added_tokens=True))]
    if any(re.search(r"\S ", text) for text in backend.decode_batch(everything, skip_special_tokens=False)):
        return False
    strings = vocabulary.draw(np.random.default_rng(0), 256, 10)
    places = vocabulary.places(strings)
    words: list[tuple[list[int], str]] = []
    owners: list[int] = []
    for row, begins in enumerate(vocabulary.boundaries(places)):
        starts = np.flatnonzero(begins)
        for word, where in zip(np.split(strings[row], starts[1:]), np.split(places[row], starts[1:]), strict=True):
            words.append((word.tolist(), vocabulary.join(where.tolist())))
            owners.append(row)
    encoded = backend.encode_batch([text for _, text in words], add_special_tokens=False)
    alive = np.ones(len(strings), dtype=bool)
    for row, (word, _), encoding in zip(owners, words, encoded, strict=True):
        alive[row] &= encoding.ids == word
    whole = backend.encode_batch(vocabulary.write(strings), add_special_tokens=False)
    return alive.tolist() == [each.ids == string for each, string in zip(whole, strings.tolist(), strict=True)]
