"""BEAST, Beam Search-based Adversarial Attack [Sadasivan et al. 2024, arXiv 2402.15570, Alg. 1], on classifiers.

Strings grow token by token. Each iteration draws, for every string of the beam, likely next tokens from a proposal,
scores all these longer strings by the victim, and keeps the best as the new beam. When the strings have their full
length and nothing broke, the search begins anew with other first tokens. No gradient is used, so what hides gradients
does not hold it off, and strings are as likely as the proposal makes them, so that a filter of unlikely text does not.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .protocol import Search


@dataclass(frozen=True)
class Beast:
    """length: tokens in the slot at most. width: strings in the beam. branching: next tokens tried for each."""

    name: ClassVar[str] = "beast"
    summary: ClassVar[str] = "beam search over strings grown token by token from likely next tokens"
    citation: ClassVar[str] = "Sadasivan et al. 2024, arXiv 2402.15570"
    uses_gradient: ClassVar[bool] = False
    adaptive: ClassVar[bool] = True

    length: int = 10
    width: int = 15
    branching: int = 15

    @property
    def candidates(self) -> int:
        return self.width * self.branching

    @property
    def shortest(self) -> int:
        return min(2, self.length)

    def next_length(self, beam_length: int) -> int:
        return beam_length + 1 if self.shortest <= beam_length < self.length else self.shortest

    def propose(self, search: Search, count: int) -> np.ndarray:
        beam = search.beam
        if self.next_length(beam.shape[1]) == self.shortest:
            # The first token of each string is drawn alone; nothing is scored before there are two.
            beam = search.next_tokens(np.empty((1, 0), dtype=np.int64), self.width)[0, :, None]
            if self.shortest == 1:
                return np.resize(beam, (count, 1))
        branching = -(-count // len(beam))
        tokens = search.next_tokens(beam, branching)
        grown = np.concatenate([np.repeat(beam, tokens.shape[1], axis=0), tokens.reshape(-1, 1)], axis=1)
        # Where fewer are wanted, to replace some that did not survive, every string of the beam has its turn.
        turns = np.arange(len(grown)).reshape(len(beam), -1).T.ravel()[:count]
        return grown[np.sort(turns)]
