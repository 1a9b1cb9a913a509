"""Random tokens: fresh uniform draws, the baseline that every other attack must beat.

Each iteration is one string of tokens drawn independently and uniformly from the attack vocabulary
["Effects of Scale on Language Model Robustness", arXiv 2407.18213, sec. 3].
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .protocol import Search


@dataclass(frozen=True)
class RandomToken:
    """length: tokens in the slot."""

    name: ClassVar[str] = "random_token"
    summary: ClassVar[str] = "fresh uniform draws from the attack vocabulary, one string per iteration"
    citation: ClassVar[str] = "Howe et al. 2024, arXiv 2407.18213"
    uses_gradient: ClassVar[bool] = False
    adaptive: ClassVar[bool] = False

    length: int = 10
    candidates: ClassVar[int] = 1

    def propose(self, search: Search, count: int) -> np.ndarray:
        return search.vocabulary.draw(search.rng, count, self.length)
