"""GCG with cheaper iterations, longer steps and new beginnings.

Three changes to `gcg`, each a parameter, at the same canonical cost: fewer candidates per iteration, so that a budget
buys more steps; candidates that swap up to `swaps` promising tokens at once; and a new random string when `patience`
iterations have brought nothing better. `docs/experiments/gcg.py` measures what each is worth, and what else was tried.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .protocol import Search


@dataclass(frozen=True)
class GCGPlus:
    """length: tokens in the slot. candidates: strings scored per iteration. top_k: tokens kept per position.

    swaps: tokens swapped at once, at most. patience: iterations without a better string before the search begins anew;
    0: never.
    """

    name: ClassVar[str] = "gcg_plus"
    summary: ClassVar[str] = "greedy coordinate gradient with fewer candidates an iteration, longer steps and restarts"
    citation: ClassVar[str] = "after Zou et al. 2023, arXiv 2307.15043"
    uses_gradient: ClassVar[bool] = True
    adaptive: ClassVar[bool] = True

    length: int = 10
    candidates: int = 16
    top_k: int = 256
    swaps: int = 4
    patience: int = 100

    def propose(self, search: Search, count: int) -> np.ndarray:
        assert search.gradient is not None
        promising = search.gradient.top_k(self.top_k)
        strings = np.tile(search.best, (count, 1))
        positions = search.rng.permuted(np.tile(np.arange(self.length), (count, 1)), axis=1)
        ranks = search.rng.integers(promising.shape[1], size=(count, self.length))
        swaps = search.rng.integers(1, min(self.swaps, self.length) + 1, size=count)
        for turn in range(int(swaps.max(initial=0))):
            rows = np.flatnonzero(swaps > turn)
            places = positions[rows, turn]
            strings[rows, places] = promising[places, ranks[rows, turn]]
        return strings
