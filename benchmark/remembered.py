"""What is known of the candidates around a string, for as long as a search stays there.

A greedy search against a victim that holds proposes the neighbours of its best string over and over: of 128 candidates
that GCG draws from 2,560 single swaps, most have been seen after some dozens of iterations without a better one. They
are charged for like any other, but what the victim answers is known, and so is whether they survive as text.
"""

import numpy as np

ROOM = 8192
"""Candidates remembered at most; later ones are run as if they were new."""
UNKNOWN, DEAD = -2, -1
"""In place of a candidate's number: nothing is known of it, or that it does not survive as text."""


class Remembered:
    """Candidates by their tokens, numbered in the order in which they were scored.

    logits: (room, 2) float32. judged: (room,) whether they are the public path's. gone_through: whether it has been
    asked if any of them could still displace the best string.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._scored = 0
        self.gone_through = False
        self.logits = np.empty((0, 2), dtype=np.float32)
        self.judged = np.empty(0, dtype=bool)

    @property
    def known(self) -> int:
        """Candidates of which something is known, those included that do not survive."""
        return len(self._numbers)

    def numbers(self, strings: np.ndarray) -> np.ndarray:
        """The number of each of (n, length) candidates, or what stands for it: (n,) int64."""
        if not self._numbers:
            return np.full(len(strings), UNKNOWN)
        find = self._numbers.get
        return np.array([find(row.tobytes(), UNKNOWN) for row in strings], dtype=np.int64)

    def strings(self, numbers: np.ndarray) -> list[np.ndarray]:
        """The candidates of those numbers, each (length,)."""
        keys = {number: key for key, number in self._numbers.items()}
        return [np.frombuffer(keys[number], dtype=np.int64) for number in numbers.tolist()]

    def bury(self, strings: np.ndarray) -> None:
        """Note candidates (n, length) that do not survive."""
        for row in strings:
            if len(self._numbers) < ROOM:
                self._numbers[row.tobytes()] = DEAD

    def add(self, strings: np.ndarray, logits: np.ndarray) -> None:
        """Note candidates (n, length) with their logits (n, 2). One that comes again keeps its first."""
        kept = []
        for place, row in enumerate(strings):
            key = row.tobytes()
            if key not in self._numbers and len(self._numbers) < ROOM:
                self._numbers[key] = self._scored
                self._scored += 1
                kept.append(place)
        self.logits = np.concatenate([self.logits, logits[kept]])
        self.judged = np.concatenate([self.judged, np.zeros(len(kept), dtype=bool)])

    def judge(self, string: np.ndarray, verdict: np.ndarray) -> None:
        """Note what the public path says of a candidate (length,)."""
        number = self._numbers.get(string.tobytes(), UNKNOWN)
        if number >= 0:
            self.logits[number], self.judged[number] = verdict, True
