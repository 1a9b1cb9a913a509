"""GCG with cheaper iterations, steps that gradients do not suggest, and new beginnings.

Three changes to `gcg`, each a parameter, at the same canonical cost: fewer candidates per iteration, so that a budget
buys more steps; candidates that swap up to `swaps` promising tokens at once, and a share of them that redraw a block of
neighbouring tokens at random in place of following the gradient [as the random search of Andriushchenko et al. 2024,
arXiv 2404.02151]; and a new random string when `patience` iterations have brought nothing better.
`docs/experiments/gcg.py` measures what each is worth; until that is done this is no installed attack.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .protocol import Search

_LONGEST_BLOCK = 4


@dataclass(frozen=True)
class GCGPlus:
    """length: tokens in the slot. candidates: strings scored per iteration. top_k: tokens kept per position.

    swaps: tokens swapped at once, at most. blocks: share of candidates that redraw a block at random. patience:
    iterations without a better string before the search begins anew; 0: never. random_start: whether the first
    iteration scores random strings.
    """

    name: ClassVar[str] = "gcg_plus"
    summary: ClassVar[str] = "greedy coordinate gradient with smaller steps, random blocks and restarts"
    citation: ClassVar[str] = "after Zou et al. 2023, arXiv 2307.15043"
    uses_gradient: ClassVar[bool] = True
    adaptive: ClassVar[bool] = True

    length: int = 10
    candidates: int = 16
    top_k: int = 256
    swaps: int = 2
    blocks: float = 0.5
    patience: int = 200
    random_start: bool = False

    def propose(self, search: Search, count: int) -> np.ndarray:
        if search.fresh and self.random_start:
            return search.vocabulary.draw(search.rng, count, self.length)
        blocks = int((search.rng.random(count) < self.blocks).sum())
        return np.concatenate([self._swapped(search, count - blocks), self._redrawn(search, blocks)])

    def _swapped(self, search: Search, count: int) -> np.ndarray:
        """The best string with some tokens replaced by promising ones: (count, length)."""
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

    def _redrawn(self, search: Search, count: int) -> np.ndarray:
        """The best string with a block of neighbouring tokens redrawn: (count, length)."""
        widths = search.rng.integers(1, min(_LONGEST_BLOCK, self.length) + 1, size=count)
        starts = search.rng.integers(0, self.length - widths + 1)
        drawn = search.vocabulary.draw(search.rng, count, self.length)
        places = np.arange(self.length)
        inside = (places >= starts[:, None]) & (places < (starts + widths)[:, None])
        return np.where(inside, drawn, search.best)
