"""Flags: what a reader should know before trusting a number. Here their names, and those that records alone raise.

A flag never blocks a score; it is shown beside it [as AutoAttack's checks warn, Croce and Hein 2020]. What a victim has
to be run for is in `health`; what needs two results, in `submissions.flags`. Every flag is explained in
docs/health-checks.md.
"""

from collections.abc import Sequence
from typing import Protocol

from .curves import Proportion

OTHER_DATA = "other-data"
NON_DETERMINISTIC = "non-deterministic"
BATCH_DEPENDENT = "batch-dependent"
LENGTH_DEPENDENT = "length-dependent"
VANISHING_GRADIENT = "vanishing-gradient"
NON_FINITE_GRADIENT = "non-finite-gradient"
WORSE_THAN_RANDOM = "worse-than-random"
CONSTANT_PREDICTOR = "constant-predictor"
NEAR_CHANCE = "near-chance"
FLAGS = (
    OTHER_DATA,
    NON_DETERMINISTIC,
    BATCH_DEPENDENT,
    LENGTH_DEPENDENT,
    VANISHING_GRADIENT,
    NON_FINITE_GRADIENT,
    WORSE_THAN_RANDOM,
    CONSTANT_PREDICTOR,
    NEAR_CHANCE,
)

ENOUGH = 20
"""Examples from which on answers are judged: of fewer, a sound victim gets too many wrong by chance."""
SAME_ANSWER = 0.95
"""Share of one label among the answers that makes a constant predictor. On balanced examples such a victim is right on
55 % of them at most.
"""
BALANCED = 0.25
"""Share of the rarer right label from which on one answer to everything is no good answer."""
CHANCE = 0.5


class Answered(Protocol):
    """What a record or a result says about one example without an attack."""

    @property
    def label(self) -> int: ...
    @property
    def clean_correct(self) -> bool: ...


def answer_flags(records: Sequence[Answered]) -> list[str]:
    """Flags that follow from the answers without an attack, by name; none where there are too few examples to tell."""
    if len(records) < ENOUGH:
        return []
    return [
        name
        for name, raised in ((CONSTANT_PREDICTOR, is_constant(records)), (NEAR_CHANCE, is_near_chance(records)))
        if raised
    ]


def is_constant(records: Sequence[Answered]) -> bool:
    """Whether nearly all answers are the same, though the right ones are not."""
    answers = [record.label if record.clean_correct else 1 - record.label for record in records]
    labels = [record.label for record in records]
    return _rarer(answers) <= 1 - SAME_ANSWER and _rarer(labels) >= BALANCED


def is_near_chance(records: Sequence[Answered]) -> bool:
    """Whether clean accuracy is not shown to be better than guessing: its 95 % interval begins at 50 % or below."""
    low, _ = Proportion(sum(record.clean_correct for record in records), len(records)).interval
    return low <= CHANCE


def _rarer(labels: Sequence[int]) -> float:
    """Share of the rarer of two labels."""
    share = sum(labels) / len(labels)
    return min(share, 1 - share)
