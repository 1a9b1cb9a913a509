"""Likely next tokens, for attacks that grow their strings token by token.

An attack that a language model guides is given one (see `model_proposal`). For the others the proposal is what the
task's own training text says about which token follows which: relative frequencies of pairs, mixed with those of single
tokens and with the uniform distribution over the attack vocabulary [interpolation, Jelinek and Mercer 1980]. It costs
an attacker no pass of any model.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array

from ..tasks import UsageError
from .attacks import Attack, BeamAttack, GuidedAttack
from .model_proposal import ModelProposal
from .pass_base import Prepared
from .slot import Slot
from .victim import Victim
from .vocabulary import AttackVocabulary

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

    def prepare(self, slot: Slot) -> Prepared:
        return Prepared(slot)

    def next_tokens(self, prepared: Prepared, strings: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
        ids = self.vocabulary.ids
        count = min(count, len(ids))
        context = prepared.slot.prefix[-1] if prepared.slot.prefix else None
        drawn = [
            rng.choice(len(ids), size=count, replace=False, p=self.probabilities(int(row[-1]) if len(row) else context))
            for row in strings
        ]
        return ids[np.array(drawn, dtype=np.int64).reshape(len(strings), count)]


def proposal_for(
    attack: Attack, victim: Victim, texts: Callable[[], Iterable[str]], model: Victim | None = None
) -> Proposal | None:
    """What an attack needs to grow its strings; None for one that does not.

    texts: the task's training texts. model: for an attack that a language model guides. Raises: UsageError when such
    an attack is given none, CheckpointError when it does not fit the victim.
    """
    if isinstance(attack, GuidedAttack):
        if model is None:
            raise UsageError(f"The attack {attack.name} needs a language model that proposes its tokens.")
        return ModelProposal(model, victim)
    return TokenStatistics.of(texts(), victim.vocabulary) if isinstance(attack, BeamAttack) else None
