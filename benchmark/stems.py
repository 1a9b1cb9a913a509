"""Candidates of one iteration begin alike: where their beginnings are run once, each pays only for what comes after.

A decoder's keys and values at a token depend on what stands before it and on nothing else. The candidates of a greedy
coordinate search are the best string up to the token that was swapped, those of a beam search a string of the beam up
to the last token. So these strings are run once, and candidates that share enough of one are run together behind it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

PIECES = 8
"""Groups that the candidates behind one beginning are cut into, at most, by how much of it they share."""
SMALLEST = 8
"""Candidates in such a group, at least, where there are as many: fewer would leave the processor idle."""


@dataclass(frozen=True)
class Piece:
    """Candidates that run together. rows: (n,) their numbers. stem: which beginning; shared: tokens of it in common."""

    rows: np.ndarray
    stem: int = 0
    shared: int = 0


def cut(strings: np.ndarray, beginnings: np.ndarray, most: int) -> Iterator[Piece]:
    """Cut candidates (n, length) into pieces by what they share with one of several beginnings (stems, tokens).

    most: candidates in a piece. No piece shares all of its strings, so there is a token left to run.
    """
    length = min(strings.shape[1] - 1, beginnings.shape[1])
    alike = strings[:, None, :length] == beginnings[None, :, :length]
    shared = np.logical_and.accumulate(alike, axis=2).sum(axis=2)
    nearest = shared.argmax(axis=1)
    shared = shared[np.arange(len(strings)), nearest]
    width = min(most, max(SMALLEST, power_of_two(len(strings) // PIECES)))
    for stem in np.unique(nearest).tolist():
        rows = np.flatnonzero(nearest == stem)
        rows = rows[np.argsort(-shared[rows], kind="stable")]
        for start in range(0, len(rows), width):
            piece = rows[start : start + width]
            yield Piece(piece, stem, int(shared[piece[-1]]))


def power_of_two(count: int) -> int:
    """The smallest power of two that is not below `count`, at least 1."""
    return 1 << max(0, count - 1).bit_length()
