"""Greedy Coordinate Gradient [Zou et al. 2023, arXiv 2307.15043, Alg. 1], as arXiv 2407.18213 uses it on classifiers.

Each iteration takes the gradient of the loss with respect to the one-hot tokens of the string, keeps per position the
top-k tokens that promise the largest fall, and scores strings that differ from the current one in one random
position, with a random one of its top-k tokens. The current string is the best one seen: unlike in the original,
which moves to the best of each batch, a batch without an improvement leaves it standing.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .protocol import Search


@dataclass(frozen=True)
class GCG:
    """length: tokens in the slot. candidates: strings scored per iteration. top_k: tokens kept per position."""

    name: ClassVar[str] = "gcg"
    summary: ClassVar[str] = "greedy coordinate gradient: single-token swaps among the most promising by gradient"
    citation: ClassVar[str] = "Zou et al. 2023, arXiv 2307.15043"
    uses_gradient: ClassVar[bool] = True
    adaptive: ClassVar[bool] = True

    length: int = 10
    candidates: int = 128
    top_k: int = 256

    def propose(self, search: Search, count: int) -> np.ndarray:
        promising = self._promising(search)
        rows = np.arange(count)
        positions = search.rng.integers(self.length, size=count)
        ranks = search.rng.integers(promising.shape[1], size=count)
        strings = np.tile(search.best, (count, 1))
        strings[rows, positions] = promising[positions, ranks]
        return strings

    def neighbours(self, search: Search) -> int:
        return self._promising(search).size

    def _promising(self, search: Search) -> np.ndarray:
        """Per position of the best string, the tokens that may stand there instead: (length, tokens)."""
        assert search.gradient is not None
        return search.gradient.top_k(self.top_k)
