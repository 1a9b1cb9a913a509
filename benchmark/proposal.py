"""Likely next tokens, for attacks that grow their strings token by token.

Where no language model is given, the proposal is what the task's own training text says about which token follows
which: relative frequencies of pairs, mixed with those of single tokens and with the uniform distribution over the
attack vocabulary [interpolation, Jelinek and Mercer 1980]. It costs an attacker no pass of any model.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array

from .attacks import Attack, BeamAttack
from .slot import Slot
from .victim import Victim
from .vocabulary import AttackVocabulary

PAIRS, SINGLES = 0.5, 0.25
"""Weights of the frequencies of pairs and of single tokens; the rest is uniform."""


class Proposal(Protocol):
    """Which tokens may come next."""

    def next_tokens(self, slot: Slot, strings: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
        """Different tokens drawn for each string: (rows, count) int64; fewer where the vocabulary is smaller.

        strings: (rows, length) int64, written so far into the slot; their length may be 0.
        """
        ...

    def cost(self, slot: Slot, length: int) -> int:
        """FLOP charged for the distribution after one string of `length` tokens."""
        ...


@dataclass(frozen=True)
class TokenStatistics:
    """Frequencies in a text. pairs: (all tokens, attack vocabulary) counts; singles: (attack vocabulary,) shares."""

    vocabulary: AttackVocabulary
    pairs: csr_array
    singles: np.ndarray

    @staticmethod
    def of(texts: Iterable[str], vocabulary: AttackVocabulary) -> "TokenStatistics":
        """Count the tokens of some texts, as the victim's tokenizer has them."""
        backend = vocabulary.tokenizer.backend_tokenizer
        size = max(len(vocabulary.tokenizer), int(vocabulary.ids[-1]) + 1)
        place = np.full(size, -1)
        place[vocabulary.ids] = np.arange(len(vocabulary.ids))
        before, after = [], []
        for encoding in backend.encode_batch_fast(list(texts), add_special_tokens=False):
            ids = np.array(encoding.ids, dtype=np.int64)
            before.append(ids[:-1])
            after.append(ids[1:])
        first = np.concatenate([*before, np.empty(0, dtype=np.int64)])
        second = place[np.concatenate([*after, np.empty(0, dtype=np.int64)])]
        written = second >= 0
        shape = (size, len(vocabulary.ids))
        pairs = csr_array((np.ones(written.sum()), (first[written], second[written])), shape=shape)
        counts = np.bincount(second[written], minlength=len(vocabulary.ids))
        return TokenStatistics(vocabulary, pairs, counts / max(1, counts.sum()))

    def probabilities(self, last: int | None) -> np.ndarray:
        """Of each token of the attack vocabulary after a token, or after nothing: (attack vocabulary,) float."""
        uniform = 1 / len(self.vocabulary.ids)
        known = np.zeros(len(self.vocabulary.ids))
        if last is not None:
            start, end = self.pairs.indptr[last], self.pairs.indptr[last + 1]
            known[self.pairs.indices[start:end]] = self.pairs.data[start:end]
        # What was never followed by anything says nothing; its weight goes to the single tokens.
        weight = PAIRS if known.any() else 0.0
        shares = known / known.sum() if known.any() else known
        singles = SINGLES + PAIRS - weight if self.singles.any() else 0.0
        return weight * shares + singles * self.singles + (1 - weight - singles) * uniform

    def next_tokens(self, slot: Slot, strings: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
        ids = self.vocabulary.ids
        count = min(count, len(ids))
        context = slot.prefix[-1] if slot.prefix else None
        drawn = [
            rng.choice(len(ids), size=count, replace=False, p=self.probabilities(int(row[-1]) if len(row) else context))
            for row in strings
        ]
        return ids[np.array(drawn, dtype=np.int64).reshape(len(strings), count)]

    def cost(self, slot: Slot, length: int) -> int:
        return 0


def proposal_for(attack: Attack, victim: Victim, texts: Callable[[], Iterable[str]]) -> Proposal | None:
    """What an attack needs to grow its strings; None for one that does not. texts: the task's training texts."""
    return TokenStatistics.of(texts(), victim.vocabulary) if isinstance(attack, BeamAttack) else None
