"""The attack vocabulary: the tokens an attacker may write, and how they are written.

Success is a fact about text, so an attack string has to survive being decoded to text and tokenized again. A token
that decodes to part of a character, or to text that the tokenizer would split another way, can never be sent to
the victim; leaving those out first is what makes most random strings survive. What remains is checked in place, on the
text around the slot (see `slot`).
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerFast

from ..tasks import CheckpointError


@dataclass(frozen=True)
class AttackVocabulary:
    """Tokens that decode to valid text and re-encode to themselves.

    ids: (n,) int64, ascending. `pieces[i]` is the text of `ids[i]`.
    concatenates: whether the text of a string of tokens is the texts of its tokens put together, as in byte-level
    BPE; then strings are written without calling the tokenizer's decoder.
    """

    ids: np.ndarray
    pieces: tuple[str, ...]
    concatenates: bool
    tokenizer: PreTrainedTokenizerFast

    def write(self, strings: np.ndarray) -> list[str]:
        """The text of token strings. strings: (n, length) int64 token ids of this vocabulary."""
        if not self.concatenates:
            return self.tokenizer.backend_tokenizer.decode_batch(strings.tolist(), skip_special_tokens=False)
        places = np.searchsorted(self.ids, strings)
        pieces = self.pieces
        return ["".join([pieces[place] for place in row]) for row in places.tolist()]

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
    pieces: list[str] = backend.decode_batch([[i] for i in candidates], skip_special_tokens=False)
    encoded = backend.encode_batch(pieces, add_special_tokens=False)
    kept = [
        (token_id, piece)
        for token_id, piece, encoding in zip(candidates, pieces, encoded, strict=True)
        if piece and "\ufffd" not in piece and encoding.ids == [token_id]
    ]
    if not kept:
        raise CheckpointError(
            f"The attack vocabulary of {tokenizer.name_or_path or 'this tokenizer'} is empty: none of its "
            f"{len(candidates)} ordinary tokens decodes to text that re-encodes to itself, so no attack string can be "
            "written; check that tokenizer.json belongs to this checkpoint."
        )
    if len(kept) == 1:
        raise CheckpointError(
            f"The attack vocabulary of {tokenizer.name_or_path or 'this tokenizer'} has a single token, "
            f"{kept[0][1]!r}, so there is nothing to search; check that tokenizer.json belongs to this checkpoint."
        )
    ids = np.array([token_id for token_id, _ in kept], dtype=np.int64)
    texts = tuple(piece for _, piece in kept)
    return AttackVocabulary(ids, texts, _concatenates(backend.decode_batch, ids, texts), tokenizer)


def _concatenates(decode_batch: Callable[..., Sequence[str]], ids: np.ndarray, pieces: tuple[str, ...]) -> bool:
    """Whether decoding random strings equals joining the decoded tokens."""
    places = np.random.default_rng(0).integers(len(ids), size=(256, 10))
    decoded = decode_batch(ids[places].tolist(), skip_special_tokens=False)
    return all(text == "".join([pieces[i] for i in row]) for text, row in zip(decoded, places.tolist(), strict=True))
