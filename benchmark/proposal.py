"""Likely next tokens, for attacks that grow their strings token by token.

An attack that a language model guides is given one (see `model_proposal`). For the others the proposal is what the
task's own training text says about which token follows which: relative frequencies of pairs, mixed with those of single
tokens and with the uniform distribution over the attack vocabulary [interpolation, Jelinek and Mercer 1980]. It costs
an attacker no pass of any model.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array

from ..tasks import UsageError
from .attacks import Attack, is_guided, keeps_a_beam
from .model_proposal import ModelProposal
from .pass_base import Prepared
from .slot import Slot
from .victim import Victim
from .vocabulary import AttackVocabulary
from .weighted_draw import Shares, running_totals

PAIRS, SINGLES = 0.5, 0.25
"""Weights of the frequencies of pairs and of single tokens; the rest is uniform."""


class Proposal(Protocol):
    """Which tokens may come next. executed: FLOP of passes so far. digest: of the model; empty without one."""

    executed: float
    digest: str

    def prepare(self, slot: Slot) -> Prepared: ...

    def next_tokens(self, prepared: Prepared, strings: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
        """Different tokens drawn for each string: (rows, count) int64; fewer where the vocabulary is smaller.

        strings: (rows, length) int64, written so far into the slot; their length may be 0.
        """
        ...


@dataclass(frozen=True)
class TokenStatistics:
    """Frequencies in a text. pairs: (all tokens, attack vocabulary) counts; singles: (attack vocabulary,) shares."""

    vocabulary: AttackVocabulary
    pairs: csr_array
    singles: np.ndarray
    executed = 0.0
    digest = ""

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
        places, counts = self._followers(last)
        if not len(places):
            return self._alone.shares.copy()
        beside = self._beside_pairs
        shares = beside.shares.copy()
        shares[places] = PAIRS * (counts / counts.sum()) + beside.singles[places] + beside.rest
        return shares

    def _followers(self, last: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Places of the tokens that were seen after a token, ascending, and how often each was."""
        first, end = (0, 0) if last is None else self.pairs.indptr[last : last + 2].tolist()
        return self.pairs.indices[first:end], self.pairs.data[first:end]

    @cached_property
    def _alone(self) -> "_Mixture":
        """What was never followed by anything says nothing; the weight of pairs goes to the single tokens."""
        return self._mixed(SINGLES + PAIRS if self.singles.any() else 0.0, 0.0)

    @cached_property
    def _beside_pairs(self) -> "_Mixture":
        return self._mixed(SINGLES if self.singles.any() else 0.0, PAIRS)

    def _mixed(self, weight: float, pairs: float) -> "_Mixture":
        """Single tokens by their weight and the uniform rest."""
        singles, rest = weight * self.singles, (1 - pairs - weight) * (1 / len(self.vocabulary.ids))
        return _Mixture(singles + rest, singles, rest, running_totals(singles + rest))

    def prepare(self, slot: Slot) -> Prepared:
        return Prepared(slot)

    def next_tokens(self, prepared: Prepared, strings: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
        ids = self.vocabulary.ids
        count = min(count, len(ids))
        context = prepared.slot.prefix[-1] if prepared.slot.prefix else None
        drawn = [self._shares(int(row[-1]) if len(row) else context).draw(count, rng) for row in strings]
        return ids[np.array(drawn, dtype=np.int64).reshape(len(strings), count)]

    def _shares(self, last: int | None) -> Shares:
        """`probabilities`, to be drawn from."""
        places, counts = self._followers(last)
        base = self._beside_pairs if len(places) else self._alone
        raised = PAIRS * (counts / counts.sum()) if len(places) else counts
        return Shares(base.totals, places, raised, plain=lambda: self.probabilities(last))


@dataclass(frozen=True)
class _Mixture:
    """shares: singles + rest. totals: their running totals, from 0."""

    shares: np.ndarray
    singles: np.ndarray
    rest: float
    totals: np.ndarray


def proposal_for(
    attack: Attack, victim: Victim, texts: Callable[[], Iterable[str]], model: Victim | None = None
) -> Proposal | None:
    """What an attack needs to grow its strings; None for one that does not.

    texts: the task's training texts. model: for an attack that a language model guides. Raises: UsageError when such
    an attack is given none, CheckpointError when it does not fit the victim.
    """
    if is_guided(attack):
        if model is None:
            raise UsageError(f"The attack {attack.name} needs a language model that proposes its tokens.")
        return ModelProposal(model, victim)
    return TokenStatistics.of(texts(), victim.vocabulary) if keeps_a_beam(attack) else None
