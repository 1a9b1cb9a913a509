"""Generated tasks: short puzzles over a list of ordinary English words, made by a seeded generator.

The evaluation words and the training words are disjoint. Every draw comes from SHA-256 in counter mode, so that the
examples are the same on every machine and with every version of Python and numpy.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from .errors import UsageError
from .selection import Item, content_key

DEFAULT_TRAINING_COUNT = 10_000
ATTEMPTS = 1_000
"""Draws that may repeat an earlier item before the generator counts as exhausted."""


class Draws:
    """A stream of uniform draws that depends on `seed` alone."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._count = 0

    def below(self, bound: int) -> int:
        """A whole number from 0 to `bound` - 1 (256 random bits: the bias of the modulo is below 2^-200)."""
        self._count += 1
        return int.from_bytes(hashlib.sha256(f"{self._seed}/{self._count}".encode()).digest()) % bound

    def pick(self, options: Sequence[str]) -> str:
        return options[self.below(len(options))]


def is_evaluation_word(word: str) -> bool:
    """About one word in five is kept for evaluation, decided by the word alone."""
    return int.from_bytes(hashlib.sha256(word.encode()).digest()) % 5 == 0


@cache
def words(*, evaluation: bool) -> tuple[str, ...]:
    """The evaluation words or the training words, sorted."""
    listed = files("holdfast.tasks").joinpath("words.txt").read_text(encoding="ascii").split()
    return tuple(word for word in listed if is_evaluation_word(word) == evaluation)


@dataclass(frozen=True)
class GeneratedSource:
    """A generator of items; `pose(words, label, draws)` makes the fields of one item that has that label."""

    pose: Callable[[Sequence[str], int, Draws], dict[str, str]]

    @property
    def remedy(self) -> str:
        return (
            "it is generated from a word list inside the holdfast package, so one of the package's files was probably "
            "changed: install holdfast again"
        )

    def evaluation(self, stream: str, size: int, mirror: Path | None) -> list[Item]:
        return self._generate(words(evaluation=True), f"{stream}/evaluation", size)

    def training(self, stream: str, size: int, count: int | None, seed: int, mirror: Path | None) -> list[Item]:
        count = DEFAULT_TRAINING_COUNT if count is None else count
        return self._generate(words(evaluation=False), f"{stream}/training/{seed}", count)

    def _generate(self, words: Sequence[str], seed: str, count: int) -> list[Item]:
        """`count` different items with labels by turns."""
        draws = Draws(seed)
        items: dict[str, Item] = {}
        repeats = 0
        while len(items) < count:
            label = len(items) % 2
            fields = self.pose(words, label, draws)
            key = content_key(*fields.values())
            repeats = repeats + 1 if key in items else 0
            if repeats > ATTEMPTS:
                raise UsageError(f"{count} different examples were asked for, but only about {len(items)} can be made.")
            items.setdefault(key, Item(fields, label, key, group=key))
        return list(items.values())
