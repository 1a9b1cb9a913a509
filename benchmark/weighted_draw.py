"""Draws of different places by their shares, without adding up the shares of all places.

Shares are a base, whose running totals are known, with a few places raised. A draw is then a search among the raised
places and one in the base. What comes out is what adding up all shares would have given: where a point lies so close
to the edge of a place that rounding could decide, they are added up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Shares:
    """base: (n + 1,) running totals from 0. places: (k,) raised ones, ascending. raised: (k,) by how much.

    plain: gives the (n,) shares themselves.
    """

    base: np.ndarray
    places: np.ndarray
    raised: np.ndarray
    plain: Callable[[], np.ndarray]

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """What `rng.choice(n, count, replace=False, p=shares)` draws: (count,) different places."""
        drawn = np.empty(0, dtype=np.int64)
        while len(drawn) < count:
            points = rng.random(count - len(drawn))
            found = self._search(points, drawn)
            if found is None:
                found = self._search_plainly(points, drawn)
            drawn = np.concatenate([drawn, found[np.sort(np.unique(found, return_index=True)[1])]])
        return drawn

    def _search(self, points: np.ndarray, drawn: np.ndarray) -> np.ndarray | None:
        """The places that points in [0, 1) fall on when those drawn are left out; None where rounding could decide."""
        gone = np.sort(drawn)
        below, upto = self._edges(gone)
        gaps = running_totals(upto - below)
        aims = points * (self.base[-1] + self._raises[-1] - gaps[-1])
        aims += gaps[(below - gaps[:-1]).searchsorted(aims, side="right")]
        behind = self._tops.searchsorted(aims, side="right")
        found = self.base[1:].searchsorted(aims - self._raises[behind], side="right")
        found = np.minimum(found, self._ends[behind])
        below, upto = self._edges(found)
        # Sums of n numbers that make 1 are off by less than n times the precision; here, one for each place left out.
        doubt = 4 * np.finfo(float).eps * len(self.base) * (1 + len(drawn))
        return found if np.minimum(aims - below, upto - aims).min() > doubt else None

    def _search_plainly(self, points: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        shares = self.plain()
        shares[drawn] = 0
        upto = np.cumsum(shares)
        upto /= upto[-1]
        return upto.searchsorted(points, side="right")

    def _edges(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Running totals of all shares before each place, and with it."""
        before = self.places.searchsorted(places, side="left")
        upto = self.places.searchsorted(places, side="right")
        return self.base[places] + self._raises[before], self.base[places + 1] + self._raises[upto]

    @cached_property
    def _raises(self) -> np.ndarray:
        return running_totals(self.raised)

    @cached_property
    def _tops(self) -> np.ndarray:
        """Running totals of all shares up to each raised place."""
        return self.base[self.places + 1] + self._raises[1:]

    @cached_property
    def _ends(self) -> np.ndarray:
        """The last place of each stretch up to a raised place, and of what comes after them."""
        return np.append(self.places, len(self.base) - 2)


def running_totals(values: np.ndarray) -> np.ndarray:
    """(n,) -> (n + 1,), from 0."""
    return np.concatenate([[0.0], np.cumsum(values)])
