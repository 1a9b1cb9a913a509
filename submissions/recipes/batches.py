"""What a model sees in training: whole texts, tokenized as the victim will tokenize them, with something in the slot.

A model that has only seen empty slots answers at chance once the slot is filled, however it is filled. Each time an
example is shown, its slot is therefore filled afresh with random tokens of the attack vocabulary, as text, so that
what the model sees is what a victim sees. Most of these strings have the official length; the other slots are empty.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler
from transformers import PreTrainedTokenizerFast

from ...benchmark.slot import cut_front
from ...benchmark.vocabulary import AttackVocabulary
from ...tasks import Example, UsageError
from .tokenizer import pad_id

ALIKE = 200
"""Characters; texts whose lengths differ by less count as equally long. A finer sorting saves little padding, and tells
a batch's labels by its length where they hang together."""
OFFICIAL_LENGTH = 10
LONGEST = 20
OTHER = 0.3
"""Share of the strings that have any length from 1 to LONGEST; the others have the official length."""
NEIGHBOURS = 50
"""Batches that are sorted by length together: enough to waste little on padding, few enough to stay random."""


@dataclass(frozen=True)
class Case:
    """An example to train on. string: what stands in its slot; None for fresh random tokens each time."""

    example: Example
    string: str | None = None


class Cases(Dataset[Case]):
    """The cases of one stretch of training, with their length in characters to batch them by."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self._cases = cases
        self.lengths = np.array([len(case.example.before) + len(case.example.after) for case in cases])

    def __len__(self) -> int:
        return len(self._cases)

    def __getitem__(self, index: int) -> Case:
        return self._cases[index]


class RandomSlots:
    """An endless, seeded supply of what stands in slots: random strings, as text, in a share `filled`, or nothing."""

    def __init__(self, vocabulary: AttackVocabulary, filled: float, rng: np.random.Generator) -> None:
        self._vocabulary = vocabulary
        self._filled = filled
        self._rng = rng

    def draw(self) -> str:
        if self._rng.random() >= self._filled:
            return ""
        length = int(self._rng.integers(1, LONGEST + 1)) if self._rng.random() < OTHER else OFFICIAL_LENGTH
        return self._vocabulary.write(self._vocabulary.draw(self._rng, 1, length))[0]


class Collator:
    """Fills slots, tokenizes whole texts and pads them on the right."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, slots: RandomSlots) -> None:
        self._tokenizer = tokenizer
        self._slots = slots

    def __call__(self, cases: Sequence[Case]) -> dict[str, torch.Tensor]:
        """input_ids and attention_mask: (batch, longest) int64. labels: (batch,) int64."""
        strings = [self._slots.draw() if case.string is None else case.string for case in cases]
        texts = [case.example.text(string) for case, string in zip(cases, strings, strict=True)]
        backend = self._tokenizer.backend_tokenizer
        rows = [encoding.ids for encoding in backend.encode_batch_fast(texts, add_special_tokens=True)]
        labels = torch.tensor([case.example.label for case in cases])
        return {**padded(self._tokenizer, rows), "labels": labels}


def padded(tokenizer: PreTrainedTokenizerFast, rows: Sequence[list[int]]) -> dict[str, torch.Tensor]:
    """Rows of tokens, padded on the right to the longest: input_ids and attention_mask, (batch, longest) int64."""
    ids = torch.full((len(rows), max(map(len, rows))), pad_id(tokenizer), dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask}


class ByLength(Sampler[int]):
    """A shuffled order in which the members of each batch are of similar length, and batches come in random order."""

    def __init__(self, lengths: np.ndarray, batch_size: int, rng: np.random.Generator) -> None:
        self._lengths = lengths
        self._batch_size = batch_size
        self._rng = rng

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        order = self._rng.permutation(len(self._lengths))
        stretch = NEIGHBOURS * self._batch_size
        batches: list[np.ndarray] = []
        for start in range(0, len(order), stretch):
            near = order[start : start + stretch]
            near = near[np.argsort(self._lengths[near] // ALIKE, kind="stable")]
            batches += [near[i : i + self._batch_size] for i in range(0, len(near), self._batch_size)]
        # An incomplete batch goes last, so that the others keep their members.
        batches.sort(key=len, reverse=True)
        whole = sum(len(batch) == self._batch_size for batch in batches)
        for i in [*self._rng.permutation(whole), *range(whole, len(batches))]:
            yield from batches[i].tolist()


def shortened(examples: Sequence[Example], tokenizer: PreTrainedTokenizerFast, context: int) -> list[Example]:
    """Cut tokens off the front of `before`, as for a victim, until every text fits the context with its slot filled.

    Raises: UsageError when an example does not fit even without its `before`.
    """
    backend = tokenizer.backend_tokenizer
    room = context - LONGEST - 2
    fitting = list(examples)
    left = list(range(len(fitting)))
    while left:
        encodings = backend.encode_batch_fast([fitting[i].text() for i in left], add_special_tokens=True)
        excess = [(i, len(encoding.ids) - room) for i, encoding in zip(left, encodings, strict=True)]
        left = []
        for i, too_many in excess:
            if too_many <= 0:
                continue
            shorter = cut_front(fitting[i], tokenizer, too_many)
            if shorter is None:
                raise UsageError(
                    f"A context of {context} tokens is too short for example {fitting[i].id}; train with a longer one."
                )
            fitting[i] = shorter
            left.append(i)
    return fitting
