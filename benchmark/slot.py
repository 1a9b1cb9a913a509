"""Where an attack string meets the prompt: token positions of the slot, and the check that a string survives there.

For one example and one victim, the text `before + attack string + after` tokenizes to `prefix + attack tokens +
suffix` with the same prefix and suffix for nearly every attack string; a string for which it does not (because its
ends merge with their neighbours, or its tokens with each other) does not survive, and is not a candidate.

Tokenizing the whole prompt for each candidate would cost more than the victim's forward pass on long prompts. Fast
tokenizers split text at white space before they merge, so a short window of text around the slot decides. The window
is measured per example to give the whole prompt's verdict on sample strings, widened until it does, and the string that
breaks an example is judged on the whole text in any case.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from transformers import PreTrainedTokenizerFast

from ..tasks import CheckpointError, Example
from .position import OFFICIAL_POSITION, Position, placed
from .vocabulary import AttackVocabulary

SAMPLES = 16
WINDOWS = (24, 96, 384)
_LINE_BREAKS: dict[Position, int] = {"suffix": 0, "infix": 4, "prefix": 4}
"""Tokens that a position's own line may add to the text."""


@dataclass(frozen=True)
class Slot:
    """One example prepared for attack with strings of `length` tokens.

    example: cut where the string goes; what stands first is shortened where the context was too short (`truncated`).
    clean: the text without an attack.
    prefix, suffix: token ids before and after the attack string, the tokenizer's own special tokens included.
    window: text and tokens around the slot that decide whether a string survives.
    """

    example: Example
    length: int
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    truncated: bool
    window: "Window"
    clean: str

    @property
    def tokens(self) -> int:
        """T: real tokens of the full text with an attack string in the slot."""
        return self.tokens_with(self.length)

    def tokens_with(self, length: int) -> int:
        """The same with a string of so many tokens."""
        return len(self.prefix) + length + len(self.suffix)


@dataclass(frozen=True)
class Window:
    """A stretch of text around the slot, and the tokens its two sides have when a string survives."""

    before: str
    after: str
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    special: bool
    """Whether the window is the whole prompt, tokenized with the tokenizer's special tokens."""

    def around(self, text: str) -> str:
        return self.before + text + self.after


def survivors(
    vocabulary: AttackVocabulary, proposals: Sequence[tuple[Slot, np.ndarray]]
) -> list[tuple[np.ndarray, list[str]]]:
    """Which proposed strings tokenize to themselves in place, for many examples in one tokenizer call.

    proposals: per example its slot and candidate strings, (n, length) int64 token ids.
    Returns per example a (n,) bool array and the n texts.
    """
    written = [vocabulary.write(strings) for _, strings in proposals]
    alive = [np.zeros(len(strings), dtype=bool) for _, strings in proposals]
    backend = vocabulary.tokenizer.backend_tokenizer
    for special in (False, True):
        chosen = [i for i, (slot, _) in enumerate(proposals) if slot.window.special == special]
        texts = [proposals[i][0].window.around(text) for i in chosen for text in written[i]]
        if not texts:
            continue
        encodings = iter(backend.encode_batch_fast(texts, add_special_tokens=special))
        for i in chosen:
            prefix, suffix = list(proposals[i][0].window.prefix), list(proposals[i][0].window.suffix)
            for row, string in enumerate(proposals[i][1].tolist()):
                alive[i][row] = next(encodings).ids == prefix + string + suffix
    return list(zip(alive, written, strict=True))


def prepare_slot(
    example: Example,
    vocabulary: AttackVocabulary,
    length: int,
    context: int,
    position: Position = OFFICIAL_POSITION,
) -> Slot:
    """Tokenize one example around its slot, shortening `before` from the front where the context is too short.

    length: tokens in an attack string. context: the victim's longest input, in tokens.
    Raises: CheckpointError when not even an empty `before` fits, or when no string survives in place.
    """
    original, truncated = _fit(example, vocabulary.tokenizer, length + _LINE_BREAKS[position], context)
    example = placed(original, position)
    strings = vocabulary.draw(np.random.default_rng(0), SAMPLES, length)
    whole = Window(example.before, example.after, (), (), special=True)
    split, verdicts = _split(whole, strings, vocabulary)
    if split is None:
        strings = vocabulary.draw(np.random.default_rng(1), 32 * SAMPLES, length)
        split, verdicts = _split(whole, strings, vocabulary)
    if split is None:
        raise CheckpointError(
            f"No attack string survives in example {example.id}: none of {33 * SAMPLES} random strings of {length} "
            "tokens tokenizes back to itself between the example's texts; end the text before the slot and start "
            "the text after it with a line break."
        )
    prefix, suffix = split
    window = Window(example.before, example.after, prefix, suffix, special=True)
    for width in WINDOWS:
        narrow = Window(_tail(example.before, width), _head(example.after, width), (), (), special=False)
        if len(narrow.before) + len(narrow.after) >= len(example.before) + len(example.after):
            break
        narrow_split, narrow_verdicts = _split(narrow, strings, vocabulary)
        if narrow_split is not None and narrow_verdicts == verdicts:
            window = replace(narrow, prefix=narrow_split[0], suffix=narrow_split[1])
            break
    return Slot(example, length, prefix, suffix, truncated, window, original.text())


def _fit(example: Example, tokenizer: PreTrainedTokenizerFast, length: int, context: int) -> tuple[Example, bool]:
    """Cut whole tokens off the front of `before` until the text with any attack string fits the context."""
    backend = tokenizer.backend_tokenizer
    truncated = False
    while True:
        # The slot is empty here; its neighbours may tokenize one token apart once it is filled.
        excess = len(backend.encode(example.text(), add_special_tokens=True).ids) + length + 2 - context
        if excess <= 0:
            return example, truncated
        shorter = cut_front(example, tokenizer, excess)
        if shorter is None:
            raise CheckpointError(
                f"The victim's context of {context} tokens is too short for example {example.id}: the text after the "
                f"slot and {length} attack tokens leave no room for the text before it; use a model with a longer "
                f"context."
            )
        example = shorter
        truncated = True


def cut_front(example: Example, tokenizer: PreTrainedTokenizerFast, count: int) -> Example | None:
    """The example without the first `count` tokens of `before`; None when it would have nothing left."""
    offsets = tokenizer.backend_tokenizer.encode(example.before, add_special_tokens=False).offsets
    if len(offsets) <= count:
        return None
    # Several tokens can write one character, and all begin with it; something is cut in any case.
    return replace(example, before=example.before[max(1, offsets[count][0]) :])


def _split(
    window: Window, strings: np.ndarray, vocabulary: AttackVocabulary
) -> tuple[tuple[tuple[int, ...], tuple[int, ...]] | None, list[bool]]:
    """The tokens on both sides of the slot that most strings leave as they are, and which strings do."""
    backend = vocabulary.tokenizer.backend_tokenizer
    texts = [window.around(text) for text in vocabulary.write(strings)]
    sides = [
        _sides(encoding.ids, string)
        for encoding, string in zip(
            backend.encode_batch(texts, add_special_tokens=window.special), strings.tolist(), strict=True
        )
    ]
    votes = Counter(side for side in sides if side is not None)
    if not votes:
        return None, [False] * len(sides)
    split = votes.most_common(1)[0][0]
    return split, [side == split for side in sides]


def _sides(ids: list[int], string: list[int]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """What stands before and after `string` in `ids`; None when it is not there in one piece."""
    length = len(string)
    for start in range(len(ids) - length, -1, -1):
        if ids[start] == string[0] and ids[start : start + length] == string:
            return tuple(ids[:start]), tuple(ids[start + length :])
    return None


def _tail(text: str, width: int) -> str:
    """The last `width` characters of a text, starting at white space where there is some."""
    if len(text) <= width:
        return text
    tail = text[-width:]
    space = next((i for i, character in enumerate(tail) if character.isspace()), 0)
    return tail[space:] if space < width // 2 else tail


def _head(text: str, width: int) -> str:
    """The first `width` characters of a text, ending before white space where there is some."""
    if len(text) <= width:
        return text
    head = text[:width]
    space = next((i for i in range(width - 1, width // 2, -1) if head[i].isspace()), width)
    return head[:space]
