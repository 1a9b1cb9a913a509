"""Random search over short blocks of tokens, without gradients.

After the random search of Andriushchenko et al. 2024, arXiv 2404.02151, which redraws a few neighbouring tokens of a
suffix at a random place and keeps what helps. There, one change is scored at a time, and fewer tokens are redrawn the
closer the search gets; here an iteration scores several changes, and how many tokens each redraws is drawn as well.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from holdfast.benchmark.attacks import Search


@dataclass(frozen=True)
class BlockSearch:
    """length: tokens in the slot. candidates: strings scored per iteration. longest: tokens redrawn at most."""

    name: ClassVar[str] = "block_search"
    summary: ClassVar[str] = "random search: redraws a few neighbouring tokens of the best string, keeps what helps"
    citation: ClassVar[str] = "after Andriushchenko et al. 2024, arXiv 2404.02151"
    uses_gradient: ClassVar[bool] = False
    adaptive: ClassVar[bool] = True

    length: int = 10
    candidates: int = 16
    longest: int = 4

    def propose(self, search: Search, count: int) -> np.ndarray:
        widths = search.rng.integers(1, min(self.longest, self.length), size=count, endpoint=True)
        starts = search.rng.integers(self.length - widths, endpoint=True)
        fresh = search.vocabulary.draw(search.rng, count, self.length)
        places = np.arange(self.length) - starts[:, None]
        redrawn = (places >= 0) & (places < widths[:, None])
        return np.where(redrawn, fresh, search.best)
