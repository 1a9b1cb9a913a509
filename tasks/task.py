"""What a task is: a typed declaration that turns a source of items into prompts with a slot for the attack string."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .errors import UsageError
from .selection import Item

EVALUATION_SIZE = 500
"""Examples in an official evaluation set; profiles take its first 50, 200 or all."""


@dataclass(frozen=True)
class Example:
    """One prompt, cut in two at the attack slot, and the index of its true label."""

    id: str
    before: str
    after: str
    label: int

    def text(self, attack_string: str = "") -> str:
        """The full prompt with `attack_string` in the slot."""
        return self.before + attack_string + self.after


@dataclass(frozen=True)
class EvaluationSet:
    """The examples a result is scored on, in official order, and the digest that says which ones they were."""

    task: str
    version: int
    examples: tuple[Example, ...]
    digest: str
    """SHA-256 (hex) of these examples, from `digest_of`."""
    pinned: str
    """The digest that the task declares."""
    remedy: str
    """What to do about a mismatch, in words; it depends on the task's source."""

    @property
    def matches(self) -> bool:
        """Whether these are exactly the examples that the task pins."""
        return self.digest == self.pinned

    @property
    def mismatch(self) -> str | None:
        """One sentence for the person who has other examples than the official ones; None when all is well."""
        if self.matches:
            return None
        return (
            f"The evaluation set of {self.task} (version {self.version}) found here, {len(self.examples)} examples "
            f"with digest {self.digest[:12]}, is not the official one, {self.pinned[:12]}, so results on it are not "
            f"comparable with the leaderboard; {self.remedy}."
        )


class Source(Protocol):
    """Where the items of a task come from: `GeneratedSource`, `HubSource`, or a third party's own.

    `stream` names the task and its version, so that two tasks over one source draw different items.
    """

    @property
    def remedy(self) -> str:
        """Why the evaluation set may differ from the pinned one, and what to do about it."""
        ...

    def evaluation(self, stream: str, size: int, mirror: Path | None) -> Sequence[Item]:
        """The official items, in official order; `mirror` is a local copy of the Hub's layout."""
        ...

    def training(self, stream: str, size: int, count: int | None, seed: int, mirror: Path | None) -> Sequence[Item]:
        """`count` training items apart from the `size` evaluation items; None: the source's own default."""
        ...


@dataclass(frozen=True)
class Task:
    """A binary classification task with an official, pinned evaluation set."""

    name: str
    title: str
    description: str
    version: int
    """Goes up whenever the official examples change; results of different versions are never compared."""
    labels: tuple[str, str]
    """The words for label 0 and label 1; a causal language model answers with one of them."""
    slot: str
    """Where the attack string goes, in a sentence."""
    before: str
    """Template of the prompt up to the slot; `{name}` stands for a field of the source's items."""
    after: str
    """Template of the prompt from the slot on."""
    source: Source
    digest: str
    """SHA-256 (hex) of the official evaluation set, see `digest_of`."""
    licence: str
    citation: str
    homepage: str

    @property
    def stream(self) -> str:
        """What seeds every draw made for this task."""
        return f"{self.name}/{self.version}"

    def evaluation(self, *, mirror: Path | None = None) -> EvaluationSet:
        """The official examples in official order. Whether they are the pinned ones is for the caller to ask.

        Raises: DataError when the data cannot be had at all.
        """
        items = self.source.evaluation(self.stream, EVALUATION_SIZE, mirror)
        examples = tuple(self._example(item) for item in items)
        return EvaluationSet(
            task=self.name,
            version=self.version,
            examples=examples,
            digest=digest_of(examples),
            pinned=self.digest,
            remedy=self.source.remedy,
        )

    def training(self, count: int | None = None, *, seed: int = 0, mirror: Path | None = None) -> list[Example]:
        """Balanced examples that share nothing with the evaluation set; the same seed gives the same ones.

        A larger `count` only adds examples at the end. None: everything a data set has, or a generator's default.

        Raises: UsageError when `count` is negative or more than there are; DataError when the data cannot be had.
        """
        if count is not None and count < 0:
            raise UsageError(f"The count must not be negative, and it is {count}.")
        return [self._example(item) for item in self.source.training(self.stream, EVALUATION_SIZE, count, seed, mirror)]

    def _example(self, item: Item) -> Example:
        return Example(
            id=f"{self.name}-{item.key[:12]}",
            before=self.before.format_map(item.fields),
            after=self.after.format_map(item.fields),
            label=item.label,
        )


def digest_of(examples: Iterable[Example]) -> str:
    """SHA-256 (hex) over one line of canonical JSON per example: [id, before, after, label], ASCII, no spaces."""
    digest = hashlib.sha256()
    for example in examples:
        line = json.dumps([example.id, example.before, example.after, example.label], separators=(",", ":"))
        digest.update(line.encode("ascii") + b"\n")
    return digest.hexdigest()
