"""Choosing examples by what they say, never by where they stand in a file.

A data set comes in copies: other row orders, other splits, repeated rows. Every choice here hangs on the SHA-256 of
an item's own text, so that every copy with the same content gives the same evaluation set.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from .errors import DataError, UsageError


@dataclass(frozen=True)
class Item:
    """One labelled item of a source, before a task puts it into its prompt."""

    fields: Mapping[str, str]
    """What the prompt templates refer to, by name."""
    label: int
    key: str
    """`content_key` of the item; equal keys are duplicates."""
    group: str
    """Items of one group never stand on both sides of the line between evaluation and training."""
    eligible: bool = True
    """Whether the item may be in the evaluation set."""


def collapse(text: str) -> str:
    """The text with every run of white space made one space, and none at its ends."""
    return " ".join(text.split())


def content_key(*texts: str) -> str:
    """SHA-256 (hex) of the texts, each with its white space collapsed, one per line."""
    return hashlib.sha256("\n".join(collapse(text) for text in texts).encode()).hexdigest()


def distinct(items: Iterable[Item]) -> list[Item]:
    """The items without duplicates, sorted by key; content that appears with both labels is dropped altogether."""
    kept: dict[str, Item] = {}
    disputed: set[str] = set()
    for item in items:
        twin = kept.setdefault(item.key, item)
        if twin.label != item.label:
            disputed.add(item.key)
        elif _precedence(item) < _precedence(twin):
            kept[item.key] = item
    return [kept[key] for key in sorted(kept.keys() - disputed)]


def _precedence(item: Item) -> tuple[bool, list[tuple[str, str]]]:
    """Which of two duplicates (they differ in white space at most) stands for both, whatever order they come in."""
    return (not item.eligible, sorted(item.fields.items()))


def balanced(items: Iterable[Item], *, rank: Callable[[Item], str]) -> list[Item]:
    """The items of both labels by turns, label 0 first, each label in the order of `rank`.

    Every prefix is balanced to within one item; what is left over of the more frequent label is dropped.
    """
    ranked = sorted(items, key=rank)
    pairs = zip(*([item for item in ranked if item.label == label] for label in (0, 1)), strict=False)
    return [item for pair in pairs for item in pair]


def evaluation_items(items: Iterable[Item], size: int) -> list[Item]:
    """The official choice: of the eligible items, the lowest keys of each label, by turns.

    Raises: DataError when one of the two labels has no eligible item.
    """
    chosen = balanced((item for item in distinct(items) if item.eligible), rank=lambda item: item.key)[:size]
    if not chosen:
        raise DataError(
            "The data hold no usable examples of at least one of the two labels; get a complete copy of them."
        )
    return chosen


def training_items(items: Iterable[Item], held_out: Iterable[Item], count: int | None, seed: str) -> list[Item]:
    """A seeded, balanced choice of `count` items (None: as many as there are) that share no group with `held_out`.

    A larger `count` only adds items at the end.

    Raises: UsageError when fewer than `count` items are left.
    """
    groups = {item.group for item in held_out}
    free = (item for item in distinct(items) if item.group not in groups)
    chosen = balanced(free, rank=lambda item: hashlib.sha256(f"{seed}/{item.key}".encode()).hexdigest())
    if count is not None and count > len(chosen):
        raise UsageError(
            f"{count} training examples were asked for, but the data hold only {len(chosen)} balanced ones."
        )
    return chosen[:count]
