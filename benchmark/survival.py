"""Which candidates survive as text, told word by word.

A tokenizer none of whose tokens reaches over a space between two words tokenizes every word on its own. So a string
survives where each of its words does, and words come again: those of the string that a greedy search stands on are in
nearly all candidates around it. What was found of a word is kept, and only words that are new are tokenized.

Whether a tokenizer can be taken at its words is a matter of its tokens, and is tried (see `vocabulary`), once more
beside each example's own texts. Where not, strings are tokenized in the window of text around them (see `slot`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .slot import SAMPLES, Slot, Window, survivors
from .vocabulary import AttackVocabulary

ROOM = 1 << 16
"""Words of which something is kept; when there are more, all are forgotten."""
SLOTS = 1 << 12
"""The same of slots: more than are ever attacked at once."""
LEFT, RIGHT = 1, 2
"""Which end of the slot a word reaches over."""

_Key = bytes | tuple[int, bytes]


@dataclass(frozen=True)
class _Ends:
    """What shares words with the strings in a slot: the text from the last boundary before it to the first after it.

    number: tells slots apart. prefix, suffix: tokens of `before` and `after` where a string survives. before_alone,
    after_alone: whether these are theirs as well where a boundary divides them from the string.
    """

    number: int
    before: str
    after: str
    prefix: list[int]
    suffix: list[int]
    before_alone: bool
    after_alone: bool

    @property
    def divides(self) -> bool:
        """Whether a string that begins with a space begins a word."""
        return bool(self.before) and not self.before[-1].isspace()

    @property
    def parts(self) -> bool:
        """Whether behind a string that does not end in white space a word begins."""
        return self.after.startswith(" ")


@dataclass(frozen=True)
class _Words:
    """Words of strings (n, length) in a slot that have to be looked up.

    tokens, places: the strings, and where their tokens stand in the vocabulary, (n * length,). alive: (n,) which of
    them survive for all that is known. rows: per word, its string. where: its first token, the one behind its last,
    and the ends it reaches over. keys: what it is known by.
    """

    ends: _Ends
    tokens: np.ndarray
    places: np.ndarray
    alive: np.ndarray
    rows: list[int]
    where: list[tuple[int, int, int]]
    keys: list[_Key]


class Survival:
    """Of one attack vocabulary. again: whether words come again; where not, strings are tokenized as they are."""

    def __init__(self, vocabulary: AttackVocabulary, *, again: bool = True) -> None:
        self._vocabulary = vocabulary
        self._by_word = again and vocabulary.by_words
        self._backend = vocabulary.tokenizer.backend_tokenizer
        self._known: dict[_Key, bool] = {}
        self._ends: dict[Window, _Ends | None] = {}
        self._numbered = 0

    def of(self, proposals: Sequence[tuple[Slot, np.ndarray]]) -> list[np.ndarray]:
        """Which proposed strings tokenize to themselves in place: per example (n,) bool.

        proposals: per example its slot and candidate strings, (n, length) int64 token ids.
        """
        ends = [self._ends_of(slot, strings) for slot, strings in proposals]
        words = [(each, strings) for each, (_, strings) in zip(ends, proposals, strict=True) if each]
        by_words = iter(self._by_words(words))
        whole = [proposal for each, proposal in zip(ends, proposals, strict=True) if each is None]
        by_window = iter([alive for alive, _ in survivors(self._vocabulary, whole)])
        return [next(by_window if each is None else by_words) for each in ends]

    def _by_words(self, proposals: Sequence[tuple[_Ends, np.ndarray]]) -> list[np.ndarray]:
        words = [self._words(ends, strings) for ends, strings in proposals]
        self._look_up(words)
        for each in words:
            dead = [row for row, key in zip(each.rows, each.keys, strict=True) if not self._known[key]]
            each.alive[dead] = False
        if len(self._known) > ROOM:
            self._known.clear()
        return [each.alive for each in words]

    def _words(self, ends: _Ends, strings: np.ndarray) -> _Words:
        count, length = strings.shape
        vocabulary = self._vocabulary
        places = vocabulary.places(strings)
        divided = vocabulary.opens[places[:, 0]] if ends.divides else np.full(count, not ends.before)
        parted = vocabulary.closes[places[:, -1]] if ends.parts else np.full(count, not ends.after)
        starts = np.flatnonzero(vocabulary.boundaries(places))
        stops = np.append(starts[1:], strings.size)
        rows = starts // length
        sides = LEFT * ((starts % length == 0) & ~divided[rows]) + RIGHT * ((stops % length == 0) & ~parted[rows])
        # A single token is a word that survives on its own: that is what the vocabulary consists of.
        asked = np.flatnonzero((stops - starts > 1) | (sides > 0))
        where = list(zip(starts[asked].tolist(), stops[asked].tolist(), sides[asked].tolist(), strict=True))
        data = np.ascontiguousarray(strings, dtype=np.int64).tobytes()
        keys: list[_Key] = [
            (4 * ends.number + side, data[8 * start : 8 * stop]) if side else data[8 * start : 8 * stop]
            for start, stop, side in where
        ]
        alive = (ends.before_alone | ~divided) & (ends.after_alone | ~parted)
        return _Words(ends, strings.ravel(), places.ravel(), alive, rows[asked].tolist(), where, keys)

    def _look_up(self, asked: Sequence[_Words]) -> None:
        """Tokenize all words of which nothing is known, in one call."""
        known = self._known
        new: dict[_Key, list[int]] = {}
        texts: list[str] = []
        for words in asked:
            ends = words.ends
            for key, (start, stop, side) in zip(words.keys, words.where, strict=True):
                if key in known or key in new:
                    continue
                text = self._vocabulary.join(words.places[start:stop].tolist())
                expected = words.tokens[start:stop].tolist()
                if side & LEFT:
                    text, expected = ends.before + text, ends.prefix + expected
                if side & RIGHT:
                    text, expected = text + ends.after, expected + ends.suffix
                texts.append(text)
                new[key] = expected
        encodings = self._backend.encode_batch_fast(texts, add_special_tokens=False) if texts else []
        for (key, expected), encoding in zip(new.items(), encodings, strict=True):
            known[key] = encoding.ids == expected

    def _ends_of(self, slot: Slot, strings: np.ndarray) -> _Ends | None:
        """The ends of a slot; None where its strings cannot be taken word by word."""
        if not self._by_word or slot.window.special or not strings.size:
            return None
        if slot.window not in self._ends:
            if len(self._ends) >= SLOTS:
                self._ends.clear()
            found = self._measured(slot.window)
            self._ends[slot.window] = found if found and self._agree(slot, found) else None
        return self._ends[slot.window]

    def _measured(self, window: Window) -> _Ends | None:
        before, after = window.before, window.after
        first = max((i for i in range(1, len(before)) if _divides(before, i)), default=0)
        last = next((i for i in range(1, len(after)) if _divides(after, i)), len(after))
        beyond = self._tokens(before[:first]), self._tokens(after[last:])
        prefix, suffix = list(window.prefix), list(window.suffix)
        inside = prefix[len(beyond[0]) :], suffix[: len(suffix) - len(beyond[1])]
        if prefix != beyond[0] + inside[0] or suffix != inside[1] + beyond[1]:
            return None
        before, after = before[first:], after[:last]
        self._numbered += 1
        alone = self._tokens(before) == inside[0], self._tokens(after) == inside[1]
        return _Ends(self._numbered, before, after, *inside, *alone)

    def _agree(self, slot: Slot, ends: _Ends) -> bool:
        """Whether words say of random strings what the window says."""
        strings = self._vocabulary.draw(np.random.default_rng(0), SAMPLES, slot.length)
        [(alive, _)] = survivors(self._vocabulary, [(slot, strings)])
        [by_words] = self._by_words([(ends, strings)])
        return bool((alive == by_words).all())

    def _tokens(self, text: str) -> list[int]:
        return self._backend.encode(text, add_special_tokens=False).ids if text else []


def _divides(text: str, place: int) -> bool:
    """Whether a word ends before that place of a text, and another one begins there."""
    return text[place] == " " and not text[place - 1].isspace()
